// What the user does.

function toggle(item) {
  item.open = !item.open;
  refresh();
  (BUTTONS.get(item) ?? BUTTONS.get(item.children[0]))?.focus({ preventScroll: true });
}

function refresh() {
  $("fold").textContent = anyOpen() ? "Fold all" : "Open all";
  drawGraph();
  show();
}

const FEW = 300; // so many nodes may be opened at once
const DOZEN = 12; // so many are open from the beginning
const SMALL = 100; // in a graph of so many, each step opens the boxes that it is in

const FOLDABLE = ITEMS.filter((item) => item.parent && item.children.length);
const anyOpen = () => FOLDABLE.some((item) => item.open);

/** Fold all boxes, or else open them; of a large graph, those around the step. */
function foldAll() {
  const opens = !anyOpen();
  if (opens && NODES.length > FEW) open(OWNER[STEPS[at].node]);
  else FOLDABLE.forEach((item) => { item.open = opens; });
  refresh();
}

/** Open the boxes around an item; tells whether one was folded. */
function open(item) {
  let wasFolded = false;
  for (let box = item?.parent; box; box = box.parent) {
    wasFolded ||= !box.open;
    box.open = true;
  }
  return wasFolded;
}

function setFollows(on) {
  follows = on;
  $("follow").setAttribute("aria-pressed", on);
  if (on && open(OWNER[STEPS[at].node])) refresh();
}

/** Go to the next step with this name or equation, or these words in its name, formula, code or box. */
function search(text) {
  const wanted = text.trim().replace(/^\((.*)\)$/, "$1").toLowerCase(); // (P54) is P54
  if (!wanted) return;
  const named = stepsWith((step) => namesOf(step).some((name) => name.toLowerCase() === wanted));
  const hits = named.length ? named
    : stepsWith((step) => wordsOf(step).some((part) => part.toLowerCase().includes(wanted)));
  if (!hits.length) {
    $("found").textContent = `No step has “${short(text)}” in its name, op or code.`;
    return;
  }
  const next = Math.max(0, hits.findIndex((step) => step > at));
  go(hits[next]);
  if (current() && open(OWNER[STEPS[at].node])) refresh();
  $("say").append(` (“${short(text)}”: ${next + 1} of ${hits.length})`);
  $("step").focus({ preventScroll: true }); // and arrow keys step
}

/** The steps of which this is true. */
const stepsWith = (isWanted) => STEPS.flatMap((step, i) => (isWanted(step) ? [i] : []));

const namesOf = ({ node, back, line }) => (line ? line.equations.map(([number]) => number)
  : [NODES[node].name, ...(back ? [`d${NODES[node].name}`, gradientOf(NODES[node].name)] : [])]);

function wordsOf({ node: index, line }) {
  if (line) return [line.code, line.where.split(":")[0], line.function];
  const node = NODES[index];
  return [node.name, node.formula, node.op, node.code, node.scopes];
}

/** What follows the # in the address, which may be anything. */
function hash() {
  const text = location.hash.slice(1);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

let timer = 0;
const PACE = 900; // milliseconds for a step

function play() {
  if (timer) return pause();
  if (at === STEPS.length - 1) go(0);
  timer = setInterval(() => (at < STEPS.length - 1 ? go(at + 1) : pause()), PACE);
  $("play").textContent = "Pause";
}

function pause() {
  clearInterval(timer);
  timer = 0;
  $("play").textContent = "Play";
}

const isDark = () => document.documentElement.dataset.theme === "dark";

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", dark);
  $("theme").textContent = dark ? "Light" : "Dark";
}

const KEYS = {
  ArrowRight: () => go(at + 1), ArrowLeft: () => go(at - 1),
  Home: () => go(0), End: () => go(STEPS.length - 1),
  p: play, f: foldAll, "/": () => $("search").select(), Escape: pause,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target, key } = event;
  if (key === "Enter" && [$("search"), $("step")].includes(target)) return search($("search").value);
  if (target === $("search")) {
    if (key === "Escape") target.blur();
    return;
  }
  if (target.matches?.(".scroll")) return; // its keys scroll it
  const action = KEYS[key];
  if (!action) return;
  event.preventDefault(); // or the slider would move twice
  action();
});

PARTS.forEach(([id, first]) => { $(id).onclick = () => go(first); });
$("by-hand").onclick = () => go(STEPS[at].line ? LINES_BEGIN : lastByHand);
$("by-hand").hidden = !LINES.length;
$("previous").onclick = () => go(at - 1);
$("next").onclick = () => go(at + 1);
$("play").onclick = play;
$("fold").onclick = foldAll;
$("slider").oninput = () => go(Number($("slider").value));
$("outline").ontoggle = outline;
$("follow").onclick = () => setFollows(!follows);
$("theme").onclick = () => { setTheme(!isDark()); tell(); };

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
prefersDark.onchange = () => { setTheme(prefersDark.matches); tell(); };

setTheme(prefersDark.matches);
$("slider").max = STEPS.length - 1;
$("names").append(...NODES.slice(0, FEW).map(({ name }) => element("option", name)));
$("fold").hidden = !FOLDABLE.length;
$("follow").hidden = !FOLDABLE.length;
FOLDABLE.forEach((item) => { item.open = NODES.length <= DOZEN; });
$("turns").append(...PARTS.map(([, first]) => element("option", first)));
$("folds").hidden = !FOLDABLE.length;
$("struck").hidden = !NODES.some((node) => node.op);
if (NODES.length > FEW) {
  $("many").hidden = false;
  $("many").textContent = `${NODES.length} nodes, folded into boxes: open one to look inside.`;
}
refresh();
setFollows(NODES.length <= SMALL);
search(hash()); // such as vae.html#P54
