import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { findScene, putScene } from "../src/hidden.js";
import { restore } from "../src/restore.js";

const python = JSON.parse(readFileSync(new URL("tiling.json", import.meta.url)));

// As an ImageData: its properties are getters, which do not spread.
class Pixels {
  #properties;
  constructor(height, width, data) {
    this.#properties = { height, width, data: Uint8ClampedArray.from(data) };
  }
  get height() {
    return this.#properties.height;
  }
  get width() {
    return this.#properties.width;
  }
  get data() {
    return this.#properties.data;
  }
}

test("scenes are those of tfderain.images.hidden", () => {
  const cut = python.scenes.filter(({ box, height, width }) => box[2] < height || box[3] < width);
  assert.ok(cut.length >= 4);
  for (const { height, width, data, box, pixels } of python.scenes) {
    const scene = findScene(new Pixels(height, width, data));
    assert.deepEqual([scene.top, scene.left, scene.height, scene.width], box);
    assert.deepEqual([...scene.data].filter((_, k) => k % 4 < 3), pixels);
  }
});

test("hidden pixels and alpha are put back", () => {
  const [, , { height, width, data, box }] = python.scenes;
  const image = new Pixels(height, width, data);
  const made = putScene(findScene(image), new Uint8ClampedArray(4 * box[2] * box[3]).fill(7), image);
  for (let k = 0; k < height * width; k++) {
    const before = data.slice(4 * k, 4 * k + 4);
    const after = [...made.subarray(4 * k, 4 * k + 4)];
    assert.deepEqual(after, before[3] ? [7, 7, 7, before[3]] : before);
  }
});

test("what shows one colour is seen without what is hidden around it", () => {
  const data = Array.from({ length: 40 * 40 }, (_, k) => (k % 40 < 20 ? [200, 200, 200, 255] : [0, 9, 0, 0]));
  const scene = findScene(new Pixels(40, 40, data.flat()));
  assert.deepEqual([scene.top, scene.left, scene.height, scene.width], [0, 0, 40, 20]);
  assert.ok(scene.data.every((value, k) => value === (k % 4 < 3 ? 200 : 255)));
});

test("a network sees the scene alone, and bars come back as they were", async () => {
  const { height, width, data, box } = python.scenes[1];
  const seen = [];
  const networkFor = async (tall, wide) => async (tile) => {
    seen.push([tall, wide, Math.min(...tile)]);
    return tile.map((value) => 1 - value);
  };
  const made = await restore(new Pixels(height, width, data), networkFor, 1, async () => {});
  assert.deepEqual(seen.map(([tall, wide]) => [tall, wide]), [box.slice(2)]);
  assert.ok(seen[0][2] > 0.2); // no black
  const inside = (y, x) =>
    y >= box[0] && y < box[0] + box[2] && x >= box[1] && x < box[1] + box[3];
  for (let k = 0; k < data.length; k++) {
    const pixel = k >> 2;
    const changed = k % 4 < 3 && inside(Math.floor(pixel / width), pixel % width);
    assert.equal(made[k], changed ? 255 - data[k] : data[k]);
  }
});
