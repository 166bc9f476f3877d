// Derains the pixels of a picture tile by tile, like tfderain/runtime/restorer.py.

import { findScene, putScene } from "./hidden.js";
import { addDoubled, countScales, detail, halved, LEAST_DETAIL, sizes } from "./scales.js";
import { blendWeights, OVERLAP, planTiles, reflectIndex, roundUp, TILE } from "./tiling.js";

/**
 * @param {{width: number, height: number, data: Uint8ClampedArray}} rainy RGBA.
 * @param {(height: number, width: number) => Promise<Function>} networkFor gives the
 *   network for a tile's size: a function from and to Float32Array RGB in [0, 1].
 * @param {number} stride of the network.
 * @param {(done: number, total: number) => Promise<void>} onTile called after each
 *   tile; throws to stop.
 * @returns {Promise<Uint8ClampedArray>} RGBA; alpha is that of `rainy`.
 */
export async function restore(rainy, networkFor, stride, onTile) {
  const scene = findScene(rainy); // what the network sees
  const { width, height, data } = scene;
  const copies = sizes(height, width, countScales(height, width));
  const plans = copies.map((sides) =>
    planTiles(sides.map((side) => roundUp(side, stride)), TILE, OVERLAP, stride),
  );
  const count = ({ rows, columns }) => rows.length * columns.length;
  const total = plans.reduce((sum, tiles) => sum + count(tiles), 0);
  let done = 0;
  const tick = () => onTile(++done, total);
  const derained = new Uint8ClampedArray(data);
  const image = { width, height, data, pixel: 4, white: 255 };
  await derain(image, plans, networkFor, tick, (strip, stripWidth, top, rows) =>
    storeBytes(strip, stripWidth, derained, width, top, rows),
  );
  return putScene(scene, derained, rainy);
}

// Derains an image, its reduced copies first; `store` takes the rows as they are done.
// Returns the largest detail of it and of its copies.
async function derain(image, [tiles, ...coarser], networkFor, tick, store) {
  let change = null;
  let largest = 0;
  if (coarser.length) {
    const half = halved(image);
    change = { ...half, data: new Float32Array(half.data.length) };
    largest = await derain(half, coarser, networkFor, tick, (strip, stripWidth, top, rows) => {
      for (let y = 0; y < rows; y++) {
        const to = 3 * (top + y) * half.width;
        for (let k = 0; k < 3 * half.width; k++) {
          const value = Math.min(Math.max(strip[3 * y * stripWidth + k], 0), 1);
          change.data[to + k] = value - half.data[to + k];
        }
      }
    });
    const own = detail(image, half);
    if (own < LEAST_DETAIL * largest) {
      await addChange(image, change, tiles, tick, store);
      return largest;
    }
    largest = Math.max(own, largest);
  } else if (image.pixel === 3) {
    largest = detail(image, halved(image)); // of the smallest copy
  }
  const [tall, wide] = tiles.tile;
  const down = blendWeights(tiles.rows, tall, tiles.overlap);
  const across = blendWeights(tiles.columns, wide, tiles.overlap);
  const rows = reflectIndex(image.height, tiles.size[0]);
  const columns = reflectIndex(image.width, tiles.size[1]);
  const network = await networkFor(tall, wide);
  // One row of tiles: finished rows leave it, so that memory depends only on the width.
  const stripWidth = tiles.size[1];
  const strip = new Float32Array(tall * stripWidth * 3);
  for (const [i, top] of tiles.rows.entries()) {
    for (const [j, left] of tiles.columns.entries()) {
      const shown = [rows.subarray(top, top + tall), columns.subarray(left, left + wide)];
      const rainy = cut(image, ...shown);
      if (change) addDoubled(rainy, change, ...shown);
      blend(await network(rainy), strip, down[i], across[j], left, stripWidth);
      await tick();
    }
    const finished = (tiles.rows[i + 1] ?? tiles.size[0]) - top;
    store(strip, stripWidth, top, Math.min(finished, image.height - top));
    strip.copyWithin(0, finished * stripWidth * 3);
    strip.fill(0, (tall - finished) * stripWidth * 3);
  }
  return largest;
}

// Adds the change of the copy of half the size, and nothing else.
async function addChange(image, change, tiles, tick, store) {
  const columns = Array.from({ length: image.width }, (_, x) => x);
  for (let y = 0; y < image.height; y++) {
    const row = cut(image, [y], columns);
    addDoubled(row, change, [y], columns);
    store(row, image.width, y, 1);
  }
  for (let i = 0; i < tiles.rows.length * tiles.columns.length; i++) await tick();
}

function cut({ width, data, pixel, white }, rows, columns) {
  const tile = new Float32Array(rows.length * columns.length * 3);
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = pixel * (row * width + column);
      tile[to++] = data[from] / white;
      tile[to++] = data[from + 1] / white;
      tile[to++] = data[from + 2] / white;
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

// Rounds half up, like images.from_float; a clamped array alone would round half to even.
function storeBytes(strip, stripWidth, derained, width, top, rows) {
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
