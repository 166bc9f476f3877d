// Scales, coarse to fine, as in tfderain/runtime/scales.py: the tests compare the two.

/** Least length of the smallest reduced copy's longer side, as in Python. */
export const COARSEST = 480;
const MOST = 6;

/** Least detail of a picture that is not soft, relative to the largest of its copies. */
export const LEAST_DETAIL = 0.25;

/** Number of scales of a picture, including itself. */
export function countScales(height, width) {
  const wanted = 1 + Math.max(0, Math.floor(Math.log2(Math.max(height, width) / COARSEST)));
  return Math.min(wanted, 1 + Math.floor(Math.log2(Math.min(height, width))), MOST);
}

/** Heights and widths of the picture and of its reduced copies, largest first. */
export function sizes(height, width, count) {
  return Array.from({ length: count }, (_, scale) =>
    [height, width].map((side) => Math.ceil(side / 2 ** scale)),
  );
}

/**
 * A copy of half the size: means of 2x2 pixels; odd sides repeat their edge.
 *
 * @param {{height: number, width: number, data: ArrayLike<number>, pixel: number,
 *   white: number}} image `pixel` is the count of numbers per pixel, the first three of
 *   which are red, green and blue; `white` is the value that becomes 1.
 * @returns {{height: number, width: number, data: Float32Array, pixel: 3, white: 1}}
 */
export function halved({ height, width, data, pixel, white }) {
  const half = { height: Math.ceil(height / 2), width: Math.ceil(width / 2) };
  const to = new Float32Array(half.height * half.width * 3);
  for (let y = 0, k = 0; y < half.height; y++) {
    const rows = [2 * y, Math.min(2 * y + 1, height - 1)].map((row) => row * width);
    for (let x = 0; x < half.width; x++) {
      const columns = [2 * x, Math.min(2 * x + 1, width - 1)];
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (const row of rows) {
          for (const column of columns) sum += data[(row + column) * pixel + channel];
        }
        to[k++] = sum / (4 * white);
      }
    }
  }
  return { ...half, data: to, pixel: 3, white: 1 };
}

/**
 * Adds to a tile the change of the copy of half the size, enlarged so that `halved`
 * would invert it: each pixel becomes two that follow the slope of the pixels beside it.
 *
 * @param {Float32Array} tile RGB; clipped to [0, 1].
 * @param {{height: number, width: number, data: Float32Array}} change RGB.
 * @param {ArrayLike<number>} rows of the picture that the tile shows.
 * @param {ArrayLike<number>} columns likewise.
 */
export function addDoubled(tile, change, rows, columns) {
  const { height, width, data } = change;
  const across = Array.from(columns, (column) => neighbours(column, width));
  let k = 0;
  for (const row of rows) {
    const [y, above, below, down] = neighbours(row, height);
    for (const [x, left, right, along] of across) {
      for (let channel = 0; channel < 3; channel++) {
        const at = (line) => {
          const from = line * width;
          const rise = data[(from + right) * 3 + channel] - data[(from + left) * 3 + channel];
          return data[(from + x) * 3 + channel] + along * rise;
        };
        const value = at(y) + down * (at(below) - at(above));
        tile[k] = Math.min(Math.max(tile[k] + value, 0), 1);
        k++;
      }
    }
  }
}

/**
 * How much an image shows that its copy of half the size does not: the mean absolute
 * difference between the image and its enlarged copy, white being 1.
 *
 * @param {{height: number, width: number, data: ArrayLike<number>, pixel: number,
 *   white: number}} image as for `halved`.
 * @param {{width: number, height: number, data: Float32Array}} half its copy.
 */
export function detail({ height, width, data, pixel, white }, half) {
  const columns = Array.from({ length: width }, (_, x) => x);
  const row = new Float32Array(width * 3);
  let sum = 0;
  for (let y = 0; y < height; y++) {
    row.fill(0);
    addDoubled(row, half, [y], columns);
    for (let x = 0, k = 0; x < width; x++) {
      const from = (y * width + x) * pixel;
      for (let channel = 0; channel < 3; channel++) {
        sum += Math.abs(data[from + channel] / white - row[k++]);
      }
    }
  }
  return sum / (height * width * 3);
}

// For an enlarged pixel: the one that contains it, those before and after that, and its
// share of the slope between these.
function neighbours(index, length) {
  const near = Math.floor(index / 2);
  return [near, Math.max(near - 1, 0), Math.min(near + 1, length - 1), index % 2 ? 0.125 : -0.125];
}
