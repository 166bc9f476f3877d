import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { withSize } from "../src/litert_file.js";
import { check, resultName, sizeOf } from "../src/picture.js";

const example = readFileSync(new URL("../../examples/rainy/rocket.jpg", import.meta.url));

test("the size of a JPEG is read behind profiles and previews", () => {
  assert.deepEqual(sizeOf(example), { width: 480, height: 320 });
  const segment = Buffer.from([0xff, 0xe1, 0x40, 0x00, ...Array(0x3ffe).fill(0xc0)]);
  const behind = Buffer.concat([example.subarray(0, 2), segment, example.subarray(2)]);
  assert.deepEqual(sizeOf(behind), { width: 480, height: 320 });
});

test("no size is read from other or cut files", () => {
  for (const bytes of [[], [0xff, 0xd8], [0x89, 0x50, 0x4e, 0x47], Array(50).fill(7)]) {
    assert.equal(sizeOf(Uint8Array.from(bytes)), null);
  }
  assert.equal(sizeOf(example.subarray(0, 60)), null);
});

test("files that are empty or too large are refused by name of the rule", async () => {
  await assert.rejects(check(new Blob([])), /empty/);
  await assert.rejects(check(new Blob([example]), 480 * 320 - 1), /480 × 320 pixels/);
  await check(new Blob([example]), 480 * 320);
});

test("results are named after their photos", () => {
  assert.equal(resultName("a.b.JPG"), "a.b_derained.png");
  assert.equal(resultName(".jpg"), "picture_derained.png");
});

// Weights in float32, and in float16 with operations that make float32 of them.
for (const [preset, wrong] of [["menet", 322], ["resunet", 324]]) {
  test(`a LiteRT file of another size differs in nothing but numbers: ${preset}`, () => {
    const path = new URL(`../../savedmodels/${preset}/model.tflite`, import.meta.url);
    const bytes = new Uint8Array(readFileSync(path));
    assert.deepEqual(withSize(bytes, 256, 256), bytes);
    const other = withSize(bytes, 320, 480);
    assert.equal(other.length, bytes.length);
    // The size of every map is written, and every map is written only once.
    assert.deepEqual(withSize(other, 256, 256), bytes);
    assert.throws(() => withSize(bytes, wrong, 480), new RegExp(`Received: ${wrong}`));
  });
}
