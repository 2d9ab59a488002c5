// The derivation: lines by hand, and beside each array autograd's step that has the same one.

const LINES = DATA.lines;
const LINES_BEGIN = STEPS.length - LINES.length;

function sentenceByHand({ made, where }) {
  if (!made.length) return `${where} makes no new array.`;
  const names = (arrays) => listed(arrays.map(({ name }) => name));
  const [same, others] = [made.filter(isSame), made.filter((array) => !isSame(array))];
  const arrays = made.length > 1 ? "arrays" : "array";
  const differing = made.filter((array) => array.same?.differs);
  const agree = differing.length ? `differs in ${names(differing)}`
    : !same.length ? `has no such ${arrays}`
      : !others.length ? `has the same ${arrays}` : `has ${names(same)}, but not ${names(others)}`;
  return `${where} computes ${names(made)}; autograd ${agree}.`;
}

const isSame = ({ same }) => same && !same.differs;

function detailByHand(line) {
  return [
    ...titled("The equation", ...line.equations.map(numbered)),
    ...titled("Its line of code", ...leadingTo(line), code(line.code),
      note([line.where, `in ${line.function}`, line.origin?.length && `letters: see ${line.origin.join(", ")}`])),
    ...line.made.flatMap((array) => titled(array.name, view(array.value), ...besideAutograd(array))),
  ];
}

/** The lines before it that compute the same equation. */
const leadingTo = ({ before }) => (before?.length ? [code(before.join("\n"), "before")] : []);

/** An equation with its number, as in a paper. */
function numbered([number, mathml]) {
  const made = element("div", "", "equation");
  const formula = element("div");
  formula.innerHTML = mathml; // out of tinygen's own pages, never from the program
  made.append(inScroll(formula), element("span", `(${number})`));
  return made;
}

const SMALLEST = .7; // a wide equation is drawn no smaller; where it has no room, it scrolls

/** Shrink the equations to their room; the number of one that still has none stands below it. */
function fitEquations() {
  for (const equation of document.querySelectorAll(".equation")) {
    const scroll = equation.firstChild;
    scroll.style.fontSize = "";
    equation.classList.remove("long");
    const wide = scroll.scrollWidth;
    const isLong = scroll.clientWidth < SMALLEST * wide;
    equation.classList.toggle("long", isLong);
    scroll.style.fontSize = `${Math.max(SMALLEST, Math.min(1, scroll.clientWidth / wide))}em`;
  }
  document.querySelectorAll(".scroll").forEach((scroll) => { // only what scrolls can have the focus
    scroll.toggleAttribute("tabindex", false);
    if (scroll.scrollWidth > scroll.clientWidth) scroll.tabIndex = 0;
  });
}
addEventListener("resize", fitEquations);

function besideAutograd({ name, same }) {
  if (!same) return [note(["autograd has no step with this array"])];
  const step = same.back ? LINES_BEGIN - DATA.visits.length + DATA.visits.indexOf(same.node) : same.node;
  const words = element("p", "Autograd: ", same.differs ? "note bad" : "note");
  const nearness = same.differs ? `, which differs: ${same.difference} of the largest element`
    : same.difference === "0" ? ", bit for bit" : `, relative difference ${same.difference}`;
  words.append(link(same.called, () => go(step)), nearness);
  return [words, inScroll(opinionsOf(name, same))];
}

/** One element by hand, by autograd and measured. */
function opinionsOf(name, { at: index, opinions }) {
  const table = element("table");
  const head = element("th", index.length ? `${name}[${index.join(", ")}]` : name);
  head.rowSpan = opinions.filter((opinion) => opinion !== null).length;
  ["by hand", "autograd", "finite difference"].forEach((who, i) => {
    if (opinions[i] === null) return; // a value is not measured
    const row = table.insertRow();
    if (!i) row.append(head);
    row.append(element("th", who), element("td", opinions[i]));
  });
  return table;
}

/** Under a step of autograd: the lines by hand that made the same array. */
function byHand(node, back) {
  const same = LINES.flatMap(({ made }, i) => (
    made.some((array) => isSame(array) && array.same.node === node && array.same.back === back) ? [i] : []));
  if (!same.length) return [];
  const rows = element("div", "", "cards");
  rows.append(...same.map((i) => {
    const numbers = LINES[i].equations.map(([number]) => `(${number})`).join(" ");
    return link(`${numbers} ${LINES[i].where}`, () => go(LINES_BEGIN + i));
  }));
  return titled("The same by hand", rows);
}
