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
/** The gradient with respect to it; a name such as encoder.W1 in parentheses. */
const gradientOf = (name) => (/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name) ? `d${name}` : `d(${name})`);
/** What is read out, and stands in a heading, is no longer than this. */
const short = (text, most = 60) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
/** A few words, and how many more there are. */
const listed = (words) => {
  const [first, last] = words.length > 3 ? [words.slice(0, 2), `${words.length - 2} more`]
    : [words.slice(0, -1), words.at(-1)];
  return [first.join(", "), last].filter(Boolean).join(" and ");
};
const $ = (id) => document.getElementById(id);

/** An element with its text; names from a program are only ever text, never HTML. */
function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
