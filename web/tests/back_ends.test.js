import assert from "node:assert/strict";
import { test } from "node:test";

import { BySize } from "../src/by_size.js";
import { Server } from "../src/server.js";

const answer = (body, options) => {
  globalThis.fetch = async () => new Response(body, options);
  return Server.find("resunet");
};

test("a server is one that answers with JSON, whatever it holds", async () => {
  assert.equal(await answer("<!doctype html>"), null);
  assert.equal(await answer("{}", { status: 404 }), null);
  const { path, label, maxPixels, maxBytes } = await answer("{}");
  assert.equal(path, "/v1/models/resunet:predict");
  assert.equal(label, "On the server");
  assert.deepEqual([maxPixels, maxBytes], [180_000_000, Infinity]);
});

test("the network that is asked for is the one that the server has", async () => {
  const model = { name: "my net", version: "1", max_bytes: 7, max_pixels: 9 };
  const server = await answer(JSON.stringify({ models: [model] }));
  assert.equal(server.path, "/v1/models/my%20net:predict");
  assert.equal(server.label, "On the server (network my net)");
  assert.deepEqual([server.maxPixels, server.maxBytes], [9, 7]);
});

test("a request that the server would refuse is not sent", async () => {
  const pixels = { width: 2, height: 1, data: new Uint8ClampedArray(8) };
  stubPictures(pixels);
  const server = await answer('{"models": [{"max_bytes": 20}]}');
  const signal = new AbortController().signal;
  globalThis.fetch = () => assert.fail("It was sent.");
  await assert.rejects(server.derain(png(2, 1), () => {}, signal), {
    name: "PictureError",
    message: /too large for the server/,
  });
});

test("large photos go to the server, unless it refuses their size", async () => {
  const backend = (name) => ({ derain: async () => name });
  const server = { ...backend("server"), network: "", maxPixels: 4_000_000 };
  const bySize = new BySize(backend("browser"), server);
  const chosen = (width, height) => bySize.derain(png(width, height));
  assert.equal(await chosen(1000, 1000), "browser");
  assert.equal(await chosen(1001, 1000), "server");
  assert.equal(await chosen(2000, 2000), "server");
  assert.equal(await chosen(2001, 2000), "browser");
});

// A file that begins as a PNG of this size does.
function png(width, height) {
  const head = new DataView(new ArrayBuffer(24));
  head.setUint32(0, 0x89504e47);
  head.setUint32(16, width);
  head.setUint32(20, height);
  return new Blob([head]);
}

// What browsers have and Node.js does not.
function stubPictures(pixels) {
  globalThis.createImageBitmap = async () => ({ ...pixels, close() {} });
  globalThis.OffscreenCanvas = class {
    getContext = () => ({ drawImage() {}, putImageData() {}, getImageData: () => pixels });
    convertToBlob = async () => new Blob(["a PNG file"]);
  };
  globalThis.FileReader = class {
    async readAsDataURL(blob) {
      this.result = `data:;base64,${Buffer.from(await blob.arrayBuffer()).toString("base64")}`;
      this.onload();
    }
  };
}
