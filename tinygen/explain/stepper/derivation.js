// The derivation: lines by hand, and beside each array autograd's step that has the same one.

const LINES = DATA.lines;
const LINES_BEGIN = STEPS.length - LINES.length;

function sentenceByHand({ made, where }) {
  const names = made.map(({ name }) => name);
  const same = made.filter((array) => array.same).length;
  const agree = made.length === 1 ? (same ? "autograd has the same array" : "autograd has no such array")
    : `autograd has ${same === made.length ? "the same arrays" : `${same} of these arrays`}`;
  return `${where} computes ${names.join(", ") || "nothing but numbers"}; ${agree}.`;
}

function detailByHand(line) {
  return [
    ...titled("The equation", ...line.equations.map(numbered)),
    ...titled("Its line of code", code(line.code), note([line.where, `in ${line.function}`])),
    ...line.made.flatMap((array) => titled(array.name, view(array.value), ...besideAutograd(array))),
  ];
}

/** An equation with its number, as in a paper. */
function numbered([number, mathml]) {
  const made = element("div", "", "equation");
  made.innerHTML = mathml; // out of tinygen's own pages, never from the program
  made.append(element("span", `(${number})`));
  return made;
}

function besideAutograd({ name, same }) {
  if (!same) return [note(["autograd has no step with this array"])];
  const other = NODES[same.node].name;
  const step = same.back ? LINES_BEGIN - DATA.visits.length + DATA.visits.indexOf(same.node) : same.node;
  const words = element("p", `Autograd: ${same.back ? "the gradient of " : ""}`, "note");
  const nearness = same.difference === "0" ? ", bit for bit" : `, relative difference ${same.difference}`;
  words.append(link(other, () => go(step)), nearness);
  return [words, inScroll(opinionsOf(name, same))];
}

/** One element by hand, by autograd and measured. */
function opinionsOf(name, { at: index, opinions }) {
  const table = element("table");
  ["by hand", "autograd", "finite difference"].forEach((who, i) => {
    if (opinions[i] === null) return; // a value is not measured
    const row = table.insertRow();
    row.append(element("th", i ? "" : index.length ? `${name}[${index.join(", ")}]` : name));
    row.append(element("th", who), element("td", opinions[i]));
  });
  return table;
}

/** Under a step of autograd: the lines by hand that made the same array. */
function byHand(node, back) {
  const same = LINES.flatMap(({ made }, i) => (
    made.some((array) => array.same?.node === node && array.same.back === back) ? [i] : []));
  if (!same.length) return [];
  const rows = element("div", "", "cards");
  rows.append(...same.map((i) => {
    const numbers = LINES[i].equations.map(([number]) => `(${number})`).join(" ");
    return link(`${numbers} ${LINES[i].where}`, () => go(LINES_BEGIN + i));
  }));
  return titled("The same by hand", rows);
}
