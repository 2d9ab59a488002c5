// The step that is shown: in the graph, in a sentence, its code and its arrays.

let at = 0; // the step that is shown
let lastByHand = NODES.length + DATA.visits.length; // the line by hand that was shown last
let follows = false; // whether each step opens the boxes that it is in

function go(step) {
  at = Math.max(0, Math.min(STEPS.length - 1, step));
  if (STEPS[at].line) lastByHand = at;
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

/** The step of a node in the part that we are in, or else in another one. */
function nearest(node) {
  if (STEPS[at].line) {
    const lines = stepsWith(({ line }) => line?.made.some(({ same }) => same?.node === node));
    if (lines.length) return lines.find((step) => step > at) ?? lines[0];
  }
  const same = STEPS.findIndex((step) => step.node === node && step.back === STEPS[at].back);
  return same >= 0 ? same : node;
}

/** What each box shows by now, and which edges the step goes along. */
function colour() {
  const { node, back, line } = STEPS[at];
  const visits = STEPS.slice(NODES.length, Math.min(at + 1, LINES_BEGIN)).map((step) => step.node);
  const visited = new Set(visits);
  const gone = new Set(visits.filter((visit, i) => NODES[visit].op && NODES.length + i !== at));
  const box = current();
  const way = back ? "back" : "forward";
  BUTTONS.forEach((button, item) => {
    button.classList.remove("forward", "back");
    button.removeAttribute("aria-current");
    if (item === box) {
      button.classList.add(way);
      button.setAttribute("aria-current", "step");
    }
    if (item.node >= 0) fill(button, item.node);
    else fillFolded(button, item, item === box ? NODES[node].name : "");
    const result = resultOf(item);
    const gradient = button.children[2];
    gradient.textContent = visited.has(result) ? `∂ ${brief(NODES[result].gradient)}` : "";
    gradient.className = gone.has(result) && !line ? "g freed" : "g";
  });
  const { arrivals, inputs } = line ? { arrivals: [], inputs: [] } : NODES[node];
  const senders = new Set(arrivals.map((arrival) => visible(OWNER[arrival.from])));
  const givers = new Set(inputs.map(([, from]) => visible(OWNER[from])));
  for (const { from, to, path } of PATHS) {
    const active = back ? from === box && senders.has(to) : to === box && givers.has(from);
    path.setAttribute("class", active ? way : "");
    if (active) path.parentNode.append(path); // on top of the others
  }
}

function fill(button, node) {
  const value = button.children[1];
  const done = node <= at || at >= NODES.length;
  value.textContent = done ? brief(NODES[node].value) : "";
  value.className = "v";
  button.classList.toggle("later", !done);
  button.classList.toggle("bad", done && Boolean(DATA.arrays[NODES[node].value].bad));
}

/** A folded box says which of its steps is shown. */
function fillFolded(button, item, step) {
  button.children[1].textContent = step ? `now: ${step}` : `${countOf(item)} steps`;
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
  fitEquations();
  $("step").scrollTop = 0;
  $("about").hidden = at > 0;
  $("found").textContent = "";
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
    const heading = `Back ${at - NODES.length + 1} of ${DATA.visits.length}: the gradient of ${short(node.name)}`;
    return ["g", heading, sentenceBack(node), [...detailBack(node, index), ...also]];
  }
  const heading = `Forward ${at + 1} of ${NODES.length}: ${short(node.name)}`;
  return ["v", heading, sentenceForward(node), [...detailForward(node), ...also]];
}

const CONSTANT = "held constant: the result is not differentiated with respect to it";
const isConstant = (node) => node.gradient === null;

function sentenceForward(node) {
  const kind = node.op ? short(node.formula)
    : `${short(node.name)} is ${isConstant(node) ? CONSTANT : "a parameter"}`;
  return `${kind}; its value is ${inWords(node.value)}.`;
}

function sentenceBack(node) {
  const gradient = short(gradientOf(node.name));
  if (!node.arrivals.length) return `The result itself: ${gradient} is ${inWords(node.gradient)}.`;
  const from = [...new Set(node.arrivals.map((arrival) => short(NODES[arrival.from].name)))];
  const hook = node.hooked ? ", which a hook made of it" : "";
  const arrives = `${gradient} arrives from ${listed(from)}: ${inWords(node.gradient)}${hook}.`;
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
  made.onclick = () => {
    onclick();
    $("step").focus({ preventScroll: true }); // the button itself may be gone
  };
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
      ([argument, from]) => card(labelled(argument, NODES[from].name, node.op), NODES[from].value)))));
  }
  made.push(...titled(node.op ? "What comes out" : "Its value", card(node.name, node.value)));
  return made;
}

/** An argument of the op, and what the program calls it. */
const labelled = (argument, name, op) => (
  argument === name ? name : `${name}, argument ${argument} of ${op}`);

function detailBack(node, index) {
  const made = node.sum ? titled("The sum where paths meet", ...sumOf(node)) : [];
  if (node.arrivals.length) {
    made.push(...titled("What arrives", cards(node.arrivals.map((arrival) => card(
      `from ${NODES[arrival.from].name}${asIts(arrival)}: ${arrival.formula}`, arrival.value)))));
  }
  if (!isComplete(node)) {
    const title = node.hooked ? "What the hook made of it" : "Complete";
    made.push(...titled(title, card(gradientOf(node.name), node.gradient)));
  }
  made.push(...passedOn(node, index), ...freed(node, index), ...program(node));
  made.push(...titled("Its value", card(node.name, node.value)));
  return made;
}

/** Whether what arrived, or the sum that is written out, is all of the gradient. */
function isComplete({ arrivals, gradient, sum, hooked }) {
  if (hooked) return false;
  if (sum) return sum.at.length === 0;
  return arrivals.length === 1 && arrivals[0].value === gradient;
}

function sumOf(node) {
  const { terms, total, at } = node.sum;
  const numbers = terms.map(exact);
  if (numbers.length > 12) numbers.splice(5, numbers.length - 10, "…");
  const text = `${numbers.join(" + ")} = ${exact(total)}`.replaceAll("+ -", "− ");
  const made = [element("p", text, "sum")];
  if (at.length) made.push(note([`the element [${at.join(", ")}], whose gradient is largest in size`]));
  return made;
}

/** Which argument of the op a gradient is for, where one node is several of them. */
const asIts = (arrival) => (arrival.as ? `, ${arrival.as}` : "");

/** What the op's partials return, and to whom. */
function passedOn(node, index) {
  const inputs = [...new Set(node.inputs.map(([, from]) => from))];
  const rows = inputs.flatMap((to) => NODES[to].arrivals
    .filter((arrival) => arrival.from === index)
    .map((arrival) => code(`to ${NODES[to].name}${asIts(arrival)}:  ${
      equation(arrival.formula, arrival.numbers, arrival.value)}`, "g")));
  const constants = inputs.filter((to) => isConstant(NODES[to]));
  rows.push(...constants.map((to) => code(`to ${NODES[to].name}:  nothing, it is held constant`)));
  if (!rows.length) return [];
  return titled(`What ${node.op} passes on to its inputs`, ...rows, note([node.source]));
}

/** What the engine holds no longer, once this step is done; a trace holds on to all of it. */
function freed(node, index) {
  const gradient = gradientOf(node.name);
  if (!node.op) return titled("What is kept", note([`${gradient}: it is what was asked for`]));
  const holder = index === NODES.length - 1 ? "is held by the caller: it is the result"
    : "is freed, unless a variable of the program holds it";
  return titled("What is freed", note([`${gradient}: all of it was passed on`,
    `the value of ${node.name} ${holder}`]));
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
      : back ? `back: ${gradientOf(NODES[node].name)}` : `forward: ${NODES[node].formula}`;
    const row = element("li");
    const button = link(text, () => go(first + i));
    if (first + i === at) button.setAttribute("aria-current", "step");
    row.append(button);
    return row;
  });
  $("steps").start = first + 1;
  $("steps").replaceChildren(...rows);
}
