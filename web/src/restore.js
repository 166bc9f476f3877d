// Derains the pixels of a picture tile by tile, as tfderain/runtime/restorer.py does.

import { blendWeights, OVERLAP, planTiles, reflectIndex, roundUp, TILE } from "./tiling.js";

/**
 * @param {{width: number, height: number, data: Uint8ClampedArray}} rainy RGBA.
 * @param {(height: number, width: number) => Promise<Function>} networkFor gives the
 *   network of a tile's size: a function from and to Float32Array RGB in [0, 1].
 * @param {number} stride of the network.
 * @param {(done: number, total: number) => Promise<void>} onTile called after each
 *   tile; throws to stop.
 * @returns {Promise<Uint8ClampedArray>} RGBA; alpha is that of `rainy`.
 */
export async function restore(rainy, networkFor, stride, onTile) {
  const padded = [roundUp(rainy.height, stride), roundUp(rainy.width, stride)];
  const tiles = planTiles(padded, TILE, OVERLAP, stride);
  const [tall, wide] = tiles.tile;
  const down = blendWeights(tiles.rows, tall, tiles.overlap);
  const across = blendWeights(tiles.columns, wide, tiles.overlap);
  const mirror = {
    rows: reflectIndex(rainy.height, padded[0]),
    columns: reflectIndex(rainy.width, padded[1]),
  };
  const network = await networkFor(tall, wide);
  const derained = new Uint8ClampedArray(rainy.data);
  // One row of tiles: finished rows leave it, so memory depends on the width only.
  const strip = new Float32Array(tall * padded[1] * 3);
  let done = 0;
  for (const [i, top] of tiles.rows.entries()) {
    for (const [j, left] of tiles.columns.entries()) {
      const tile = await network(cut(rainy, mirror, top, left, tall, wide));
      blend(tile, strip, down[i], across[j], left, padded[1]);
      done += 1;
      await onTile(done, tiles.rows.length * tiles.columns.length);
    }
    const finished = (tiles.rows[i + 1] ?? padded[0]) - top;
    store(strip, padded[1], derained, rainy, top, finished);
    strip.copyWithin(0, finished * padded[1] * 3);
    strip.fill(0, (tall - finished) * padded[1] * 3);
  }
  return derained;
}

function cut(rainy, mirror, top, left, tall, wide) {
  const tile = new Float32Array(tall * wide * 3);
  let to = 0;
  for (let y = top; y < top + tall; y++) {
    const row = mirror.rows[y] * rainy.width;
    for (let x = left; x < left + wide; x++) {
      const from = 4 * (row + mirror.columns[x]);
      tile[to++] = rainy.data[from] / 255;
      tile[to++] = rainy.data[from + 1] / 255;
      tile[to++] = rainy.data[from + 2] / 255;
    }
  }
  return tile;
}

function blend(tile, strip, down, across, left, stripWidth) {
  let from = 0;
  for (let y = 0; y < down.length; y++) {
    let to = 3 * (y * stripWidth + left);
    for (let x = 0; x < across.length; x++) {
      const weight = Math.fround(down[y] * across[x]);
      for (let channel = 0; channel < 3; channel++) {
        strip[to++] += Math.fround(tile[from++] * weight);
      }
    }
  }
}

// Rounds halves up, as images.from_float; a clamped array alone would round to even.
function store(strip, stripWidth, derained, { width, height }, top, finished) {
  const rows = Math.min(finished, height - top);
  for (let y = 0; y < rows; y++) {
    let from = 3 * y * stripWidth;
    let to = 4 * (top + y) * width;
    for (let x = 0; x < width; x++, to += 4) {
      for (let channel = 0; channel < 3; channel++) {
        derained[to + channel] = Math.floor(Math.fround(strip[from++] * 255) + 0.5);
      }
    }
  }
}
