import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { blendWeights, planTiles, reflectIndex, roundUp } from "../src/tiling.js";

const python = JSON.parse(readFileSync(new URL("tiling.json", import.meta.url)));

test("plans are those of tfderain.runtime.tiling", () => {
  for (const expected of python.plans) {
    const plan = planTiles(...expected.arguments);
    for (const [key, value] of Object.entries(plan)) {
      assert.deepEqual(value, expected[key], `${key} of ${expected.arguments}`);
    }
  }
});

test("weights are those of tfderain.runtime.tiling", () => {
  for (const { rows, columns, tile, overlap, ...expected } of python.plans) {
    compare(blendWeights(rows, tile[0], overlap), expected.down);
    compare(blendWeights(columns, tile[1], overlap), expected.across);
  }
});

// 1e-6: the file's numbers are rounded to six digits.
function compare(weights, expected) {
  for (const [i, row] of expected.entries()) {
    const ours = [...weights[i]].filter((_, k) => k % 7 === 0);
    assert.equal(ours.length, row.length);
    ours.forEach((value, k) => assert.ok(Math.abs(value - row[k]) <= 1e-6));
  }
}

test("weights add up to 1 at every pixel", () => {
  for (const { columns, tile, overlap, size } of python.plans) {
    const sum = new Float64Array(size[1]);
    const weights = blendWeights(columns, tile[1], overlap);
    columns.forEach((start, i) => weights[i].forEach((w, k) => (sum[start + k] += w)));
    // Rounding of two float32 numbers below 1.
    sum.forEach((total) => assert.ok(Math.abs(total - 1) < 2e-7));
  }
});

test("mirrored indices are those of tfderain.runtime.tiling", () => {
  for (const [length, padded, expected] of python.reflections) {
    assert.deepEqual([...reflectIndex(length, padded)], expected);
  }
});

test("tiles must hold twice the overlap", () => {
  assert.throws(() => planTiles([64, 64], 16, 12, 4), /Received: tile=16, overlap=12/);
  assert.equal(roundUp(97, 4), 100);
});
