import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { restore } from "../src/restore.js";
import { addDoubled, countScales, detail, halved, sizes } from "../src/scales.js";

const python = JSON.parse(readFileSync(new URL("tiling.json", import.meta.url)));

test("counts and sizes are those of tfderain.runtime.scales", () => {
  for (const [[height, width], count, expected] of python.scales) {
    assert.equal(countScales(height, width), count, `${height}x${width}`);
    assert.deepEqual(sizes(height, width, count), expected);
  }
});

test("halves and doubles are those of tfderain.runtime.scales", () => {
  for (const { height, width, image, half, doubled, detail: expected } of python.copies) {
    const data = Uint8ClampedArray.from(image);
    const ours = halved({ height, width, data, pixel: 3, white: 255 });
    assert.deepEqual([ours.height, ours.width], sizes(height, width, 2)[1]);
    near(ours.data, half);
    const zeros = new Float32Array(height * width * 3);
    addDoubled(zeros, ours, [...Array(height).keys()], [...Array(width).keys()]);
    near(zeros, doubled);
    near([detail({ height, width, data, pixel: 3, white: 255 }, ours)], [expected]);
  }
});

// 1e-6: the file's numbers are rounded to six digits.
function near(values, expected) {
  assert.equal(values.length, expected.length);
  values.forEach((value, k) => assert.ok(Math.abs(value - expected[k]) <= 1.1e-6));
}

test("a network that changes nothing leaves a large picture as it is", async () => {
  const [width, height] = [1001, 7];
  const data = Uint8ClampedArray.from({ length: width * height * 4 }, (_, k) => (k * 37) % 256);
  const seen = [];
  const networkFor = async (tall, wide) => {
    seen.push([tall, wide]);
    return async (tile) => tile;
  };
  const ticks = [];
  const onTile = async (done, total) => ticks.push([done, total]);
  const derained = await restore({ width, height, data }, networkFor, 4, onTile);
  assert.deepEqual([...derained], [...data]);
  assert.equal(seen.length, 2); // half the size first
  assert.ok(seen[0][1] < seen[1][1]);
  assert.deepEqual(ticks.at(-1), [ticks.length, ticks.length]);
});

test("a soft picture is done at the size that shows something", async () => {
  // Pixels of noise, each twice as wide and high: halving loses nothing.
  const [width, height] = [1000, 8];
  const level = (x, y) => (Math.imul((x >> 1) + 1, 2654435761) + (y >> 1) * 40503) >>> 24;
  const pixels = (at) =>
    Uint8ClampedArray.from({ length: width * height * 4 }, (_, k) => {
      const pixel = k >> 2;
      return k % 4 === 3 ? 255 : at(pixel % width, Math.floor(pixel / width));
    });
  const widths = [];
  const networkFor = async (tall, wide) => {
    widths.push(wide);
    return async (tile) => tile.map((value) => value / 2);
  };
  let last;
  const onTile = async (...done) => (last = done);
  const soft = { width, height, data: pixels(level) };
  const derained = await restore(soft, networkFor, 4, onTile);
  assert.equal(widths.length, 1); // the copy alone
  assert.equal(last[0], last[1]);
  let sums = [0, 0];
  for (let k = 0; k < derained.length; k += 4) {
    sums[0] += derained[k];
    sums[1] += soft.data[k];
  }
  assert.ok(Math.abs(sums[0] / sums[1] - 0.5) < 0.01); // halved, once
});
