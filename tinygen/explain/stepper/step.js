// The step that is shown: in the graph, in a sentence, its code and its arrays.

let at = 0; // the step that is shown
let follows = false; // whether each step opens the boxes that it is in

function go(step) {
  at = Math.max(0, Math.min(STEPS.length - 1, step));
  if (follows && open(OWNER[STEPS[at].node])) drawGraph();
  show();
}

function show() {
  colour();
  tell();
  scrollTo(BUTTONS.get(current()));
}

/** The box of the step that is shown; a line by hand may have none. */
const current = () => (STEPS[at].node < 0 ? null : visible(OWNER[STEPS[at].node]));

/** The step of a node in the pass that we are in, or else in the other one. */
function nearest(node) {
  const same = STEPS.findIndex((step) => step.node === node && step.back === STEPS[at].back);
  return same >= 0 ? same : node;
}

/** What each box shows by now, and which edges the step goes along. */
function colour() {
  const { node, back, line } = STEPS[at];
  const visited = new Set(STEPS.slice(NODES.length, Math.min(at + 1, LINES_BEGIN)).map((step) => step.node));
  const box = current();
  const way = back ? "back" : "forward";
  BUTTONS.forEach((button, item) => {
    button.classList.remove("forward", "back");
    button.removeAttribute("aria-current");
    if (item === box) {
      button.classList.add(way);
      button.setAttribute("aria-current", "step");
    }
    if (item.node >= 0) fill(button, item.node, visited.has(item.node));
    else fillFolded(button, item, visited.has(resultOf(item)), item === box ? NODES[node].name : "");
  });
  const { arrivals, inputs } = line ? { arrivals: [], inputs: [] } : NODES[node];
  const senders = new Set(arrivals.map((arrival) => visible(OWNER[arrival.from])));
  const givers = new Set(inputs.map(([, from]) => visible(OWNER[from])));
  for (const { from, to, path } of PATHS) {
    const active = back ? from === box && senders.has(to) : to === box && givers.has(from);
    path.setAttribute("class", active ? way : "");
  }
}

function fill(button, node, visited) {
  const [, value, gradient] = button.children;
  const done = node <= at || at >= NODES.length;
  value.textContent = done ? brief(NODES[node].value) : "";
  value.className = "v";
  gradient.textContent = visited ? `∂ ${brief(NODES[node].gradient)}` : "";
  gradient.className = "g";
  button.classList.toggle("later", !done);
  button.classList.toggle("bad", done && Boolean(DATA.arrays[NODES[node].value].bad));
}

/** A folded box says which of its steps is shown, and what is known of its result. */
function fillFolded(button, item, visited, step) {
  const [, said, gradient] = button.children;
  said.textContent = step ? `now: ${step}` : `${countOf(item)} steps`;
  gradient.textContent = visited ? `∂ ${brief(NODES[resultOf(item)].gradient)}` : "";
  gradient.className = "g";
}

/** The last node of a box. */
const resultOf = (item) => (item.node >= 0 ? item.node : resultOf(item.children.at(-1)));

/** How many nodes are in a box, counted once. */
function countOf(item) {
  item.count ??= item.node >= 0 ? 1 : item.children.map(countOf).reduce((a, b) => a + b, 0);
  return item.count;
}

function scrollTo(button) {
  if (!button) return;
  const graph = $("graph");
  const [box, room] = [button.getBoundingClientRect(), graph.getBoundingClientRect()];
  graph.scrollBy(box.left + box.width / 2 - room.left - room.width / 2,
                 box.top + box.height / 2 - room.top - room.height / 2);
}

/** The panel: the step in a sentence, its code, and its arrays. */
function tell() {
  const [className, heading, sentence, detail] = told(STEPS[at]);
  $("heading").className = className;
  $("heading").textContent = heading;
  $("say").textContent = sentence;
  $("detail").replaceChildren(...where(), ...detail);
  $("step").scrollTop = 0;
  PARTS.forEach(([id, first], i) => {
    $(id).setAttribute("aria-pressed", at >= first && at < (PARTS[i + 1]?.[1] ?? STEPS.length));
  });
  $("slider").value = at;
  $("slider").setAttribute("aria-valuetext", $("heading").textContent);
  $("count").textContent = `${at + 1} / ${STEPS.length}`;
  if ($("outline").open) outline();
}

/** What is said of a step: its colour, heading, sentence and details. */
function told({ node: index, back, line }) {
  const node = NODES[index];
  if (line) {
    const numbers = line.equations.map(([number]) => `(${number})`).join(" ");
    const heading = `By hand ${at - LINES_BEGIN + 1} of ${LINES.length}: ${numbers}`;
    return ["", heading, sentenceByHand(line), detailByHand(line)];
  }
  const also = byHand(index, back);
  if (back) {
    const heading = `Back ${at - NODES.length + 1} of ${DATA.visits.length}: the gradient of ${node.name}`;
    return ["g", heading, sentenceBack(node), [...detailBack(node, index), ...also]];
  }
  const heading = `Forward ${at + 1} of ${NODES.length}: ${node.name}`;
  return ["v", heading, sentenceForward(node), [...detailForward(node), ...also]];
}

const CONSTANT = "held constant: the result is not differentiated with respect to it";
const isConstant = (node) => node.gradient === null;

function sentenceForward(node) {
  const kind = node.op ? node.formula : `${node.name} is ${isConstant(node) ? CONSTANT : "a parameter"}`;
  return `${kind}; its value is ${inWords(node.value)}.`;
}

function sentenceBack(node) {
  if (!node.arrivals.length) return `The result itself: d${node.name} is ${inWords(node.gradient)}.`;
  const from = [...new Set(node.arrivals.map((arrival) => NODES[arrival.from].name))];
  const arrives = `d${node.name} arrives from ${from.join(" and ")}: ${inWords(node.gradient)}.`;
  const paths = node.arrivals.length;
  if (node.putTogether) return `${arrives} Its ${paths} parts are put back side by side; no two overlap.`;
  return paths > 1 ? `${arrives} ${paths} paths meet here, so their gradients are added.` : arrives;
}

/** Where a NaN began, with a button that goes there. */
function where() {
  const bad = DATA.notFinite;
  if (!bad) return [];
  const step = bad.visit ? NODES.length + DATA.visits.indexOf(bad.node) : bad.node;
  const made = element("p", "", "bad");
  const name = `${bad.visit ? "the gradient of " : ""}${NODES[bad.node].name}`;
  if (step === at) made.textContent = "NaN or infinity begins in this step.";
  else made.append(`NaN or infinity begins in ${name}. `, link("Go there", () => go(step)));
  return [made];
}

function link(text, onclick) {
  const made = element("button", text);
  made.onclick = onclick;
  return made;
}

/** A heading and what stands under it. */
const titled = (title, ...content) => [element("h3", title), ...content];

function detailForward(node) {
  const made = [];
  if (node.op) {
    const formula = code(equation(node.formula, node.numbers, node.value), "v");
    made.push(...titled("The op", formula, note([`op ${node.op}`, node.options, node.source])));
  }
  made.push(...program(node));
  if (node.inputs.length) {
    made.push(...titled("What goes in", cards(node.inputs.map(
      ([argument, from]) => card(labelled(argument, NODES[from].name), NODES[from].value)))));
  }
  made.push(...titled(node.op ? "What comes out" : "Its value", card(node.name, node.value)));
  return made;
}

/** An argument of the op, and what the program calls it. */
const labelled = (argument, name) => (
  argument === name ? name : `${name}, as the op's ${argument}`);

function detailBack(node, index) {
  const made = [];
  if (node.arrivals.length) {
    made.push(...titled("What arrives", cards(node.arrivals.map((arrival) => card(
      `from ${NODES[arrival.from].name}${asIts(arrival)}: ${arrival.formula}`, arrival.value)))));
  }
  if (node.sum) made.push(...titled("The sum where paths meet", ...sumOf(node)));
  if (!isComplete(node)) made.push(...titled("Complete", card(`d${node.name}`, node.gradient)));
  made.push(...passedOn(node, index), ...freed(node), ...program(node));
  made.push(...titled("Its value", card(node.name, node.value)));
  return made;
}

/** Whether what arrived, or the sum that is written out, is all of the gradient. */
function isComplete({ arrivals, gradient, sum }) {
  if (sum) return sum.at.length === 0;
  return arrivals.length === 1 && arrivals[0].value === gradient;
}

function sumOf(node) {
  const { terms, total, at } = node.sum;
  const text = `${terms.map(exact).join(" + ")} = ${exact(total)}`.replaceAll("+ -", "− ");
  const made = [element("p", text, "sum")];
  if (at.length) made.push(note([`the element [${at.join(", ")}], whose gradient is largest in size`]));
  return made;
}

/** Which argument of the op a gradient is for, where one node is several of them. */
const asIts = (arrival) => (arrival.as ? `, ${arrival.as}` : "");

/** What the partials of the node's op return, and to whom. */
function passedOn(node, index) {
  const inputs = [...new Set(node.inputs.map(([, from]) => from))];
  const rows = inputs.flatMap((to) => NODES[to].arrivals
    .filter((arrival) => arrival.from === index)
    .map((arrival) => code(`to ${NODES[to].name}${asIts(arrival)}:  ${
      equation(arrival.formula, arrival.numbers, arrival.value)}`, "g")));
  const constants = inputs.filter((to) => isConstant(NODES[to]));
  rows.push(...constants.map((to) => code(`to ${NODES[to].name}:  nothing, it is held constant`)));
  if (!rows.length) return [];
  return titled(`What the partials of ${node.op} pass on`, ...rows, note([node.source]));
}

/** What the engine needs no longer, once this step is done. A trace holds on to all of it. */
function freed(node) {
  if (!node.op) return [];
  const inputs = [...new Set(node.inputs.map(([, from]) => NODES[from].name))].join(", ");
  return titled("What is freed", note([`d${node.name}, all of which is passed on`,
    `${node.op}'s references to ${inputs}: an array that nobody else holds is freed`]));
}

/** A formula, the same with numbers in it, and what it gives. */
function equation(formula, numbers, value) {
  const result = brief(value);
  if (DATA.arrays[value].shape.length) return `${formula}   (${result})`;
  return [formula, numbers === result ? "" : numbers, result].filter(Boolean).join("  =  ");
}

function program(node) {
  if (!node.code) return [];
  return titled("The line of the program", code(node.code), note([node.where, node.scopes]));
}

function code(text, className = "") {
  const made = element("pre", "", className);
  made.append(element("code", text));
  return made;
}

const note = (parts) => element("p", parts.filter(Boolean).join(" · "), "note");

function cards(all) {
  const made = element("div", "", "cards");
  made.append(...all);
  return made;
}

function card(label, index) {
  const made = element("div", "", "card");
  made.append(element("code", label), view(index));
  return made;
}

const LISTED = 100; // so many steps on either side of this one are in the outline

function outline() {
  const first = Math.max(0, at - LISTED);
  const rows = STEPS.slice(first, at + LISTED).map(({ node, back, line }, i) => {
    const text = line ? `by hand: ${line.code}`
      : back ? `back: d${NODES[node].name}` : `forward: ${NODES[node].formula}`;
    const row = element("li");
    const button = link(text, () => go(first + i));
    if (first + i === at) button.setAttribute("aria-current", "step");
    row.append(button);
    return row;
  });
  $("steps").start = first + 1;
  $("steps").replaceChildren(...rows);
}
