// Boxes that fold, and where each is placed.

const ITEMS = []; // every box, folded or not, by its id
const OWNER = []; // the item of a node

/** Boxes as objects that know their parents. */
function build(described, parent) {
  const isNode = typeof described === "number";
  const item = { id: ITEMS.length, parent, node: isNode ? described : -1, children: [], edges: new Map(),
                 enters: new Set(), leaves: new Set(),
                 name: isNode ? NODES[described].name : described.name, open: !parent,
                 depth: parent ? parent.depth + 1 : 0 };
  ITEMS.push(item);
  if (isNode) OWNER[described] = item;
  else item.children = described.children.map((child) => build(child, item));
  return item;
}
const ROOT = build(DATA.tree, null);
NODES.forEach((node, i) => node.inputs.forEach(([, from]) => connect(OWNER[from], OWNER[i])));
ITEMS.filter((item) => item.children.length).forEach(assignRanks);

/** An edge belongs to the innermost box that holds both ends, and joins two of its children; it
 *  leaves the boxes around one end, and enters those around the other. */
function connect(from, to) {
  let [a, b] = [from, to];
  while (a.parent !== b.parent) {
    if (a.depth >= b.depth) {
      a.parent.leaves.add(a);
      a = a.parent;
    } else {
      b.parent.enters.add(b);
      b = b.parent;
    }
  }
  const key = `${a.id} ${b.id}`;
  const edge = a.parent.edges.get(key) ?? { a, b, ends: [] };
  edge.ends.push([from, to]);
  a.parent.edges.set(key, edge);
}

/** The layer of each child: below all that it is computed from. */
function assignRanks(group) {
  const edges = [...group.edges.values()];
  const after = new Map(group.children.map((child) => [child, []]));
  edges.forEach((edge) => after.get(edge.a).push(edge.b));
  const hasInputs = new Set(edges.map((edge) => edge.b));
  group.children.forEach((child) => { child.rank = 0; });
  for (const child of group.children) { // they are in the order of the pass
    for (const next of after.get(child)) next.rank = Math.max(next.rank, child.rank + 1);
  }
  for (const child of group.children) { // a leaf stands right above what it is for
    const next = after.get(child);
    if (!hasInputs.has(child) && next.length) child.rank = Math.min(...next.map((n) => n.rank)) - 1;
  }
}

/** What stands for an item on the screen: itself, or the outermost folded box around it. */
function visible(item) {
  let shown = item;
  for (let box = item.parent; box; box = box.parent) if (!box.open) shown = box;
  return shown;
}

const WIDTH = 148, HEIGHT = 64, ACROSS = 16, DOWN = 30, MARGIN = 12, LABEL = 22, WAYPOINT = 10;

/** Place the children of an open box in layers, and say how large it is. */
function layOut(group) {
  group.children.forEach((child) => {
    if (child.open && child.children.length) layOut(child);
    else [child.w, child.h] = [WIDTH, HEIGHT];
  });
  const layers = layersOf(group);
  order(layers);
  const width = Math.max(...layers.map(widthOf));
  let y = MARGIN + (group === ROOT ? 0 : LABEL);
  for (const layer of layers) {
    const height = Math.max(...layer.map((cell) => cell.h));
    let x = MARGIN + (width - widthOf(layer)) / 2;
    for (const cell of layer) {
      if (cell.isWaypoint) cell.h = height;
      cell.slack = (height - cell.h) / 2;
      [cell.x, cell.y] = [x, y + cell.slack];
      x += cell.w + ACROSS;
    }
    y += height + DOWN;
  }
  [group.w, group.h] = [width + 2 * MARGIN, y - DOWN + MARGIN];
}

const widthOf = (layer) => layer.reduce((sum, cell) => sum + cell.w + ACROSS, -ACROSS);

/** The children by rank; an edge over several layers gets a waypoint in each of them, and goes around
 *  boxes. An edge from outside begins above the first layer, and one that leaves ends below the last. */
function layersOf(group) {
  const layers = [];
  const put = (cell, rank) => (layers[rank] ??= []).push(cell);
  group.children.forEach((child) => { child.near = []; put(child, child.rank); });
  const end = layers.length;
  const waypoints = (a, b, after, before) => {
    const made = [];
    for (let rank = after + 1; rank < before; rank++) {
      made.push({ w: WAYPOINT, h: 0, near: [], parent: group, isWaypoint: true });
      put(made.at(-1), rank);
    }
    [a, ...made, b].filter(Boolean).reduce(join);
    return made;
  };
  group.edges.forEach((edge) => { edge.waypoints = waypoints(edge.a, edge.b, edge.a.rank, edge.b.rank); });
  group.enters.forEach((child) => { child.above = waypoints(null, child, -1, child.rank); });
  group.leaves.forEach((child) => { child.below = waypoints(child, null, child.rank, end); });
  return layers.filter(Boolean);
}

function join(a, b) {
  a.near.push(b);
  b.near.push(a);
  return b;
}

/** Sort each layer by the mean place of its neighbours, a few times over, so that few edges cross. */
function order(layers) {
  const place = (layer) => layer.forEach((cell, i) => { cell.place = (i + .5) / layer.length; });
  layers.forEach(place);
  for (let sweep = 0; sweep < 6; sweep++) {
    const downwards = sweep % 2 === 0;
    for (const layer of downwards ? layers : [...layers].reverse()) {
      layer.forEach((cell) => { cell.wish = mean(cell.near.map((near) => near.place), cell.place); });
      layer.sort((a, b) => a.wish - b.wish);
      place(layer);
    }
  }
}

const mean = (xs, otherwise) => (xs.length ? xs.reduce((a, b) => a + b, 0) / xs.length : otherwise);

/** Where an item or a waypoint is on the page. */
function origin(cell) {
  let [x, y] = [cell.x ?? 0, cell.y ?? 0];
  for (let box = cell.parent; box; box = box.parent) {
    x += box.x ?? 0;
    y += box.y ?? 0;
  }
  return [x, y];
}
