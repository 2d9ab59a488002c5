// What the page was given, and the words that all parts use.
const DATA = JSON.parse(document.getElementById("data").textContent);
const NODES = DATA.nodes;
// A step is a node on the way forward, or its visit on the way back.
const STEPS = [
  ...NODES.map((_, node) => ({ node, back: false })),
  ...DATA.visits.map((node) => ({ node, back: true })),
];
const $ = (id) => document.getElementById(id);

/** An element with its text; names from a program are only ever text, never HTML. */
function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
