// Pixels that do not show the scene, as in tfderain/images/hidden.py: the tests compare the two.

// They are explained there.
const PLAIN = 3;
const PLAIN_MOST = 12;
const STRAY = 0.02;
const RINGING_LINES = 16;
const RINGING = 16;
const STEP = 24;
const STEP_SHARE = 1 / 3;
const BEFORE = 0.6;
const LEAST = 16;
const NESTED = 3;
const FAR = 2 ** 20;

/**
 * The part of a picture that a network should see, without bars, frames and transparency.
 *
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image RGBA.
 * @returns {{top: number, left: number, width: number, height: number,
 *   data: Uint8ClampedArray}} RGBA; transparent pixels inside are filled from around them.
 */
export function findScene(image) {
  const { width, height, data } = image; // an ImageData cannot be spread
  const whole = { top: 0, left: 0, width, height, data };
  const opaque = opaqueBox(image);
  if (!opaque) return whole;
  const part = cropped(image, opaque);
  fill(part);
  const scene = withoutBars(part) ?? { top: 0, left: 0, width: part.width, height: part.height };
  const place = { top: opaque.top + scene.top, left: opaque.left + scene.left };
  return { ...place, ...cropped(part, scene) };
}

/**
 * Puts the derained pixels of a scene in their place in the picture.
 *
 * @param {{top: number, left: number, width: number, height: number}} scene
 * @param {Uint8ClampedArray} derained RGBA of the scene's size.
 * @param {{width: number, data: Uint8ClampedArray}} image RGBA; provides alpha and hidden
 *   pixels, and is not changed.
 * @returns {Uint8ClampedArray} RGBA of the picture.
 */
export function putScene({ top, left, width, height }, derained, image) {
  const result = new Uint8ClampedArray(image.data);
  for (let y = 0, from = 0; y < height; y++) {
    let to = 4 * ((top + y) * image.width + left);
    for (let x = 0; x < width; x++, from += 4, to += 4) {
      if (!result[to + 3]) continue;
      for (let channel = 0; channel < 3; channel++) result[to + channel] = derained[from + channel];
    }
  }
  return result;
}

// The smallest box with all pixels that are not transparent, or null if there are none.
function opaqueBox({ width, height, data }) {
  let [top, bottom, left, right] = [height, 0, width, 0];
  for (let y = 0, at = 3; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      if (!data[at]) continue;
      top = Math.min(top, y);
      bottom = y + 1;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
    }
  }
  return bottom ? { top, left, width: right - left, height: bottom - top } : null;
}

// The part of an image in a box; not a copy if that is all of it, since it is large.
function cropped(image, { top, left, width, height }) {
  if (image.width === width && image.height === height) return { width, height, data: image.data };
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    const from = 4 * ((top + y) * image.width + left);
    data.set(image.data.subarray(from, from + 4 * width), 4 * y * width);
  }
  return { width, height, data };
}

// Gives an image new pixels, where transparent ones mirror the scene at its nearest pixel.
function fill(image) {
  const { width, height, data } = image;
  const shown = new Uint8Array(width * height);
  for (let k = 0; k < shown.length; k++) shown[k] = data[4 * k + 3] ? 1 : 0;
  if (!shown.includes(0)) return;
  const { down, across } = nearest(shown, width, height);
  const filled = new Uint8ClampedArray(data);
  const inside = (place, length) => Math.min(Math.max(place, 0), length - 1);
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k++) {
      if (shown[k]) continue;
      let from = inside(2 * down[k] - y, height) * width + inside(2 * across[k] - x, width);
      if (!shown[from]) from = down[k] * width + across[k];
      for (let channel = 0; channel < 3; channel++) {
        filled[4 * k + channel] = data[4 * from + channel];
      }
    }
  }
  image.data = filled;
}

// Row and column of the nearest pixel shown, for each pixel, found by four sweeps.
function nearest(shown, width, height) {
  const down = new Int32Array(shown.length);
  const across = new Int32Array(shown.length);
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k++) {
      down[k] = shown[k] ? y : -FAR;
      across[k] = shown[k] ? x : -FAR;
    }
  }
  const squares = (k, y, x) => (down[k] - y) ** 2 + (across[k] - x) ** 2;
  const ask = (y, x, step, aside, length, place) => {
    const k = y * width + x;
    let own = squares(k, y, x);
    for (const shift of [0, -1, 1]) {
      if (place - shift < 0 || place - shift >= length) continue;
      const asked = k - step - shift * aside;
      const theirs = squares(asked, y, x);
      if (theirs >= own) continue;
      [own, down[k], across[k]] = [theirs, down[asked], across[asked]];
    }
  };
  for (let y = 1; y < height; y++) {
    for (let x = 0; x < width; x++) ask(y, x, width, 1, width, x);
  }
  for (let y = height - 2; y >= 0; y--) {
    for (let x = 0; x < width; x++) ask(y, x, -width, 1, width, x);
  }
  for (let x = 1; x < width; x++) {
    for (let y = 0; y < height; y++) ask(y, x, 1, width, height, y);
  }
  for (let x = width - 2; x >= 0; x--) {
    for (let y = 0; y < height; y++) ask(y, x, -1, width, height, y);
  }
  return { down, across };
}

// The box without bars on any side, or null if everything has one colour.
function withoutBars({ width, height, data }) {
  let [top, bottom, left, right] = [0, height, 0, width];
  // A line of pixels, `number` of them counted from a side inwards.
  const row = (y) => ({ from: 4 * (y * width + left), step: 4, length: right - left });
  const column = (x) => ({ from: 4 * (top * width + x), step: 4 * width, length: bottom - top });
  for (let round = 0; round < NESTED; round++) {
    const before = [top, bottom, left, right].join();
    top += countBar(data, bottom - top, (k) => row(top + k));
    bottom -= countBar(data, bottom - top, (k) => row(bottom - 1 - k));
    if (top >= bottom) return null;
    left += countBar(data, right - left, (k) => column(left + k));
    right -= countBar(data, right - left, (k) => column(right - 1 - k));
    if (left >= right) return null;
    if (before === [top, bottom, left, right].join()) break;
  }
  return { top, left, width: right - left, height: bottom - top };
}

// How many of the first lines form a bar; all of them if they have one colour.
function countBar(data, count, lineAt) {
  if (count <= 0 || lineAt(0).length < LEAST) return 0;
  const colour = medians(data, lineAt(0));
  let plain = 0;
  while (plain < count && isPlain(data, lineAt(plain), colour)) plain++;
  if (plain === count) return count;
  const start = Math.max(plain, 1);
  const last = Math.min(plain + RINGING_LINES, count - LEAST);
  let edge = null;
  for (let k = start; k <= last; k++) {
    const step = compare(data, lineAt(k), lineAt(k - 1), STEP);
    if (!edge || step.mean > edge.mean) edge = { k, ...step };
  }
  if (!edge) return 0;
  const off = (k) => compare(data, lineAt(k), colour, 0).mean;
  let before = 0;
  for (let k = start - 1; k < edge.k; k++) before = Math.max(before, off(k));
  const bar = before <= BEFORE * off(edge.k);
  const thin = plain > 0 || off(0) <= RINGING;
  return bar && thin && edge.share >= STEP_SHARE ? edge.k : 0;
}

function isPlain(data, line, colour) {
  const { mean, share } = compare(data, line, colour, PLAIN_MOST);
  return mean <= PLAIN && share <= STRAY;
}

// Grey levels between a line and another one, or a colour, in the channel that differs
// most: their mean over the pixels, and the share of the pixels with more than `most`.
function compare(data, { from, step, length }, other, most) {
  let [sum, over] = [0, 0];
  for (let k = 0; k < length; k++) {
    let level = 0;
    for (let channel = 0; channel < 3; channel++) {
      const value = Array.isArray(other)
        ? other[channel]
        : data[other.from + k * other.step + channel];
      level = Math.max(level, Math.abs(data[from + k * step + channel] - value));
    }
    sum += level;
    if (level > most) over++;
  }
  return { mean: sum / length, share: over / length };
}

function medians(data, { from, step, length }) {
  return [0, 1, 2].map((channel) => {
    const values = Uint8Array.from({ length }, (_, k) => data[from + k * step + channel]).sort();
    return (values[(length - 1) >> 1] + values[length >> 1]) / 2;
  });
}
