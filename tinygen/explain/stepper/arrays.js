// Numbers and pictures of arrays.

/** Four digits in a table, all six where a number stands alone; what is no number came as text. */
function number(x, digits = 4) {
  if (typeof x === "string") return x;
  const rounded = x.toPrecision(digits);
  return Number.isFinite(Number(rounded)) ? String(Number(rounded)) : rounded; // the largest float
}
const exact = (x) => number(x, 6);
const shapeOf = ({ shape }) => (shape.length !== 1 ? shape.join(" × ")
  : shape[0] === 1 ? "1 number" : `${shape[0]} numbers`);

/** One number, or the shape of many. */
function brief(index) {
  const array = DATA.arrays[index];
  return array.shape.length === 0 ? exact(array.numbers[0]) : shapeOf(array);
}

const sizeOf = ({ shape }) => shape.reduce((a, b) => a * b, 1);
const isAllBad = (array) => array.bad === sizeOf(array);

/** As many digits as tell the numbers of an array from one another. */
function digitsOf({ min, max }) {
  const times = Math.max(Math.abs(min), Math.abs(max)) / (max - min);
  return Number.isFinite(times) ? 4 + Math.max(0, Math.min(12, Math.floor(Math.log10(times)))) : 4;
}

/** A sentence's words for an array. */
function inWords(index) {
  const array = DATA.arrays[index];
  if (array.shape.length === 0) return exact(array.numbers[0]);
  if (sizeOf(array) === 0) return `${shapeOf(array)}, which is empty`;
  if (sizeOf(array) === 1) return `${exact(array.numbers[0])}, in an array of ${shapeOf(array)}`;
  if (isAllBad(array)) return `${shapeOf(array)}, all of them NaN or infinite`;
  const digits = digitsOf(array);
  const range = array.min === array.max ? `all ${number(array.min)}`
    : `from ${number(array.min, digits)} to ${number(array.max, digits)}`;
  if (!array.bad) return `${shapeOf(array)}, ${range}`;
  return `${shapeOf(array)}, ${array.bad} of them NaN or infinite, the others ${range}`;
}

/** What is seen of an array: its numbers, or a picture with a scale. */
function view(index) {
  const array = DATA.arrays[index];
  if (array.shape.length === 0) return element("p", exact(array.numbers[0]), "sum");
  const made = element("div");
  made.append(array.numbers ? tableOf(array) : pictureOf(array));
  made.append(element("p", array.pixels ? [shapeOf(array), array.said].filter(Boolean).join(", ")
    : shapeOf(array), "note"));
  if (array.bad) made.append(element("p", `${array.bad} NaN or infinite`, "note bad"));
  return made;
}

function tableOf(array) {
  const columns = array.shape[array.shape.length - 1];
  const table = element("table");
  const digits = digitsOf(array);
  array.numbers.forEach((x, i) => {
    const row = i % columns ? table.rows[table.rows.length - 1] : table.insertRow();
    const cell = row.insertCell();
    cell.textContent = number(x, digits);
    if (typeof x === "string") cell.className = "bad";
  });
  return inScroll(table);
}

function inScroll(content) {
  const made = element("div", "", "scroll");
  made.append(content);
  return made;
}

function pictureOf(array) {
  const made = element("div");
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  const range = isAllBad(array) ? "" : ` from ${number(array.min)} to ${number(array.max)}`;
  canvas.setAttribute("aria-label", `picture: ${shapeOf(array)}${range}`);
  draw(canvas, array);
  const scale = scaleOf(array);
  const read = element("output");
  canvas.onpointermove = (event) => { read.textContent = readout(canvas, array, event); };
  scale.append(read);
  made.append(canvas, scale);
  return made;
}

/** Bytes of the pixels, decoded once. */
function bytesOf(array) {
  array.bytes ??= Uint8Array.from(atob(array.pixels), (c) => c.charCodeAt(0));
  return array.bytes;
}

const GAP = 1; // between images, in pixels
const PICTURE = 400; // how wide a picture is on the screen, at most
const IMAGE = 56; // and each of several images in it

/** How many images stand side by side, and below one another. */
function gridOf({ images }) {
  const across = Math.max(1, Math.min(images, Math.ceil(Math.sqrt(images * 1.6))));
  return [across, Math.ceil(Math.max(1, images) / across)];
}

/** Draw a matrix, or images side by side. */
function draw(canvas, array) {
  const [across, down] = gridOf(array);
  canvas.width = across * (array.columns + GAP) - GAP;
  canvas.height = down * (array.rows + GAP) - GAP;
  const context = canvas.getContext("2d");
  const colours = palette(array);
  for (let k = 0; k < Math.max(1, array.images); k++) {
    const [row, column] = [Math.floor(k / across), k % across];
    const tile = tileOf(array, k, colours);
    context.putImageData(tile, column * (array.columns + GAP), row * (array.rows + GAP));
  }
  resize(canvas, array);
}

function tileOf(array, k, colours) {
  const tile = new ImageData(array.columns, array.rows);
  const pixels = new Uint32Array(tile.data.buffer);
  const bytes = bytesOf(array);
  const first = k * pixels.length;
  for (let i = 0; i < pixels.length; i++) pixels[i] = colours[bytes[first + i]];
  return tile;
}

/** As large as there is room; of a few long rows, each is high enough to be seen. */
function resize(canvas, { images, rows, columns }) {
  const largest = images > 1 ? IMAGE / Math.max(rows, columns) : 14;
  const times = Math.min(PICTURE / canvas.width, PICTURE / canvas.height, largest);
  const height = Math.max(canvas.height * times, images ? 0 : Math.min(canvas.height * 14, 112));
  canvas.style.width = `${canvas.width * times}px`;
  canvas.style.aspectRatio = `${canvas.width * times} / ${height}`;
}

/** The number under the pointer, as exact as its byte. */
function readout(canvas, array, event) {
  const frame = canvas.getBoundingClientRect();
  const x = Math.floor((event.clientX - frame.left) / frame.width * canvas.width);
  const y = Math.floor((event.clientY - frame.top) / frame.height * canvas.height);
  const [width, height] = [array.columns + GAP, array.rows + GAP];
  const image = Math.floor(y / height) * gridOf(array)[0] + Math.floor(x / width);
  const [row, column] = [y % height, x % width];
  const code = bytesOf(array)[(image * array.rows + row) * array.columns + column];
  if (row >= array.rows || column >= array.columns || code === undefined) return "";
  const [down, across] = array.every;
  const place = `${array.images ? `image ${image} ` : ""}[${row * down}, ${column * across}]`;
  return `${place}: ${code === 255 ? "NaN or infinite" : `≈ ${number(decoded(array, code), digitsOf(array) - 1)}`}`;
}

const decoded = ({ min, max }, code) => min * (1 - code / 254) + max * (code / 254);

/** Images of brightness are grey; all else diverges from 0. */
const isGrey = (array) => array.images > 0 && array.min >= 0;

/** A colour of the style sheet, as three numbers. */
function rgb(name) {
  const colour = getComputedStyle(document.documentElement).getPropertyValue(name);
  return colour.match(/\d+/g).map(Number);
}

/** The colour of each of the 256 codes, as the bytes of a pixel; 255 is NaN. */
function palette(array) {
  const [low, zero, high] = isGrey(array) ? [[0, 0, 0], [0, 0, 0], [255, 255, 255]]
    : ["--low", "--zero", "--high"].map(rgb);
  const most = Math.max(Math.abs(array.min), Math.abs(array.max)) || 1;
  const colours = new Uint32Array(256);
  for (let code = 0; code < 255; code++) {
    const x = decoded(array, code) / most;
    const end = x < 0 ? low : high;
    const [r, g, b] = zero.map((z, i) => Math.round(z + (end[i] - z) * Math.abs(x)));
    colours[code] = pixel(r, g, b);
  }
  colours[255] = pixel(255, 0, 255);
  return colours;
}

const pixel = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0; // little-endian RGBA

function scaleOf(array) {
  const most = Math.max(Math.abs(array.min), Math.abs(array.max));
  const made = element("div", "", "scale");
  if (isAllBad(array)) return made;
  const strip = element("i");
  const stops = isGrey(array) ? "black, white" : "var(--low), var(--zero), var(--high)";
  strip.style.background = `linear-gradient(to right, ${stops})`;
  made.append(element("span", isGrey(array) ? "0" : number(-most)), strip, element("span", number(most)));
  return made;
}
