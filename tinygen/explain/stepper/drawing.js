// The drawing: boxes as buttons, and edges between them.

let BUTTONS = new Map(); // of the visible items
let PATHS = []; // of the edges: {from, to, path}

function drawGraph() {
  [ROOT.x, ROOT.y] = [0, 0];
  layOut(ROOT);
  const canvas = $("canvas");
  fit();
  canvas.style.width = `${ROOT.w}px`;
  canvas.style.height = `${ROOT.h}px`;
  BUTTONS = new Map();
  canvas.replaceChildren(...framesOf(ROOT), drawEdges(), ...boxesOf(ROOT));
}

const LEGIBLE = .75; // the graph is drawn no smaller; where it has no room, it scrolls

const PAPER = 680; // pixels across a sheet of A4 without its margins

/** Scale the graph to this room. */
function fit(room = $("graph").clientWidth, smallest = LEGIBLE) {
  $("canvas").style.zoom = Math.max(smallest, Math.min(1, room / ROOT.w));
}
addEventListener("resize", () => fit());
addEventListener("beforeprint", () => fit(PAPER, 0));
addEventListener("afterprint", () => fit());

/** The frames of open boxes, outer ones first. */
function framesOf(group) {
  const open = group.children.filter((child) => child.open && child.children.length);
  return open.flatMap((child) => {
    const frame = element("div", "", "frame");
    locate(frame, child);
    return [frame, ...framesOf(child)];
  });
}

function locate(made, item) {
  const [x, y] = origin(item);
  Object.assign(made.style, { left: `${x}px`, top: `${y}px`, width: `${item.w}px`, height: `${item.h}px` });
}

function boxesOf(group) {
  return group.children.flatMap((child) => (child.open && child.children.length
    ? [folder(child), ...boxesOf(child)] : [box(child)]));
}

/** The button in the corner of an open box that folds it. */
function folder(item) {
  const made = element("button", `▾ ${item.name}`, "fold");
  const [x, y] = origin(item);
  Object.assign(made.style, { left: `${x + 6}px`, top: `${y + 4}px` });
  made.setAttribute("aria-expanded", "true");
  made.onclick = () => toggle(item);
  return made;
}

function box(item) {
  const isGroup = item.children.length > 0;
  const made = element("button", "", "box" + (isGroup ? " group" : NODES[item.node].op ? "" : " leaf"));
  const name = isGroup ? `▸ ${item.name}` : item.name;
  const title = element("b", name);
  if (!isGroup) title.append(element("small", NODES[item.node].formula.slice(name.length)));
  made.append(title, element("span"), element("span"));
  locate(made, item);
  if (isGroup) {
    made.setAttribute("aria-expanded", "false");
    made.onclick = () => toggle(item);
  } else {
    made.title = NODES[item.node].formula;
    made.onclick = () => {
      go(nearest(item.node));
      BUTTONS.get(item)?.focus({ preventScroll: true }); // the graph may have been drawn anew
    };
  }
  BUTTONS.set(item, made);
  return made;
}

function drawEdges() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", ROOT.w);
  svg.setAttribute("height", ROOT.h);
  svg.setAttribute("aria-hidden", "true");
  const lines = svgElement("g", svg);
  PATHS = [];
  for (const group of ITEMS) if (group.open && visible(group) === group) {
    group.edges.forEach((edge) => PATHS.push(...pathsOf(edge, svg, lines)));
  }
  return svg;
}

/** One path for each pair of visible ends. */
function pathsOf(edge, svg, lines) {
  const pairs = new Map();
  for (const [from, to] of edge.ends) {
    const [a, b] = [visible(from), visible(to)];
    const isTwice = pairs.has(`${a.id} ${b.id}`) && a === from && b === to;
    pairs.set(`${a.id} ${b.id}`, [a, b, isTwice]);
  }
  return [...pairs.values()].map(([from, to, isTwice]) => {
    const path = svgElement("path", lines);
    path.setAttribute("d", curve(from, to, edge));
    if (isTwice) mark(path, "×2", svg);
    return { from, to, path };
  });
}

function svgElement(tag, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  parent.append(made);
  return made;
}

/** A word on the middle of an edge: x * x is computed from x twice. */
function mark(path, word, svg) {
  const { x, y } = path.getPointAtLength(path.getTotalLength() / 2);
  const made = svgElement("text", svg);
  made.setAttribute("x", x);
  made.setAttribute("y", y + 4);
  made.textContent = word;
}

/** Down through each layer on the way, and curved from one to the next. */
function curve(from, to, edge) {
  const [[x, y], [u, v]] = [origin(from), origin(to)];
  const pieces = [
    [x + from.w / 2, y + from.h, y + from.h + from.slack],
    ...waypointsAlong(from, to, edge).map((waypoint) => {
      const [left, top] = origin(waypoint);
      return [left + WAYPOINT / 2, top, top + waypoint.h];
    }),
    [u + to.w / 2, v - to.slack, v],
  ];
  return pieces.map(([x1, top, bottom], i) => {
    if (i === 0) return `M${x1},${top}V${bottom}`;
    const [x0, , y0] = pieces[i - 1];
    const half = (y0 + top) / 2;
    return `C${x0},${half} ${x1},${half} ${x1},${top}V${bottom}`;
  }).join("");
}

function waypointsAlong(from, to, edge) {
  const [up, down] = [[], []];
  for (let a = from; a !== edge.a; a = a.parent) up.push(...a.below);
  for (let b = to; b !== edge.b; b = b.parent) down.unshift(...b.above);
  return [...up, ...edge.waypoints, ...down];
}
