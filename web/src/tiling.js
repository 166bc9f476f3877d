// Padding and tiles, as in tfderain/runtime/tiling.py: the tests compare the two.

/** Pixels that neighbouring tiles share, as in Python. */
export const OVERLAP = 128;

/**
 * Longest side of a tile. MENET takes about 300 bytes per pixel of it, which phones must
 * have; smaller tiles overlap more (1920x1080: 1.34 times the work; 1.58 for 512).
 */
export const TILE = 640;

/**
 * Indices that extend an axis at its end by mirroring it, repeatedly if need be:
 * 0 1 2 becomes 0 1 2 1 0 1.
 */
export function reflectIndex(length, padded) {
  const period = Math.max(2 * (length - 1), 1);
  return Int32Array.from({ length: padded }, (_, i) =>
    Math.min(i % period, period - (i % period)),
  );
}

/** The smallest multiple that is at least `length`. */
export function roundUp(length, multiple) {
  return Math.ceil(length / multiple) * multiple;
}

/**
 * Covers an image with as few overlapping tiles of equal size as possible.
 *
 * @param {[number, number]} size height and width, multiples of `stride`.
 * @param {number} tile longest side of a tile, at least twice `overlap`.
 * @param {number} overlap least number of pixels that neighbours share.
 * @param {number} stride tiles start at its multiples.
 * @returns {{size: number[], tile: number[], rows: number[], columns: number[],
 *   overlap: number}} `rows` and `columns` are where tiles start.
 */
export function planTiles(size, tile, overlap, stride) {
  const shared = roundUp(overlap, stride);
  const longest = Math.floor(tile / stride) * stride;
  if (overlap < 0 || longest < stride || 2 * shared > longest) {
    throw new Error(
      `Tiles must be at least the stride ${stride} and twice the overlap. ` +
        `Received: tile=${tile}, overlap=${overlap}.`,
    );
  }
  const axes = size.map((length) => {
    const many = Math.ceil((length - shared) / (longest - shared));
    const count = length > longest ? many : 1;
    const side = roundUp(Math.ceil((length + (count - 1) * shared) / count), stride);
    const room = (length - side) / stride;
    const starts = Array.from(
      { length: count },
      (_, i) => Math.floor((room * i) / Math.max(count - 1, 1)) * stride,
    );
    return { side, starts };
  });
  return {
    size: [...size],
    tile: axes.map((axis) => axis.side),
    rows: axes[0].starts,
    columns: axes[1].starts,
    overlap: shared,
  };
}

/**
 * Weights of each tile along one axis, which add up to 1 wherever tiles meet: a
 * raised-cosine ramp, with a quarter of the length of `overlap`, amid what they share.
 */
export function blendWeights(starts, tile, overlap) {
  const ramp = Math.max(Math.floor(overlap / 4), 1);
  const cuts = [-Infinity, ...middles(starts, tile), Infinity];
  const risen = (position, cut) => {
    const phase = Math.min(Math.max((position - cut) / ramp + 0.5, 0), 1);
    return 0.5 - 0.5 * Math.cos(Math.PI * phase);
  };
  return starts.map((start, i) =>
    Float32Array.from({ length: tile }, (_, k) => {
      const position = start + k + 0.5;
      return risen(position, cuts[i]) - risen(position, cuts[i + 1]);
    }),
  );
}

function middles(starts, tile) {
  return starts.slice(1).map((start, i) => (starts[i] + start + tile) / 2);
}
