// What the page was given, and the words that all parts use.
const DATA = JSON.parse(document.getElementById("data").textContent);
const NODES = DATA.nodes;
// A step is a node on the way forward, its visit on the way back, or a line by hand, which goes with
// the node that has the same array (-1 if there is none).
const STEPS = [
  ...NODES.map((_, node) => ({ node, back: false })),
  ...DATA.visits.map((node) => ({ node, back: true })),
  ...DATA.lines.map((line) => ({ node: -1, back: false, ...line.made.find(({ same }) => same)?.same, line })),
];
/** The parts of the way, by their buttons, and the first step of each. */
const PARTS = [["forward", 0], ["back", NODES.length], ["by-hand", NODES.length + DATA.visits.length]];
const $ = (id) => document.getElementById(id);

/** An element with its text; names from a program are only ever text, never HTML. */
function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
