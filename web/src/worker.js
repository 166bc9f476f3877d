// The network in a thread of its own, so that the page never freezes.
//
// Takes {base} once, then {id, file} and {id, cancel}; answers {ready} or {id, ...}
// with `progress`, then `result` or `error`.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

import { withSize } from "./litert_file.js";
import { decode, encode } from "./picture.js";
import { restore } from "./restore.js";

let loading; // promise of a function (height, width) => network
const cancelled = new Set();
let queue = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.base) {
    loading = load(data.base);
    loading.then(
      () => postMessage({ ready: true }),
      (error) => postMessage({ ready: false, message: error.message }),
    );
  } else if (data.cancel) {
    cancelled.add(data.id);
  } else {
    queue = queue.then(() => derain(data.id, data.file)); // one picture at a time
  }
};

async function load(base) {
  const wasm = new URL(PATHS.litert, base).href;
  // Threads start from LiteRT's own script, which cannot tell its address in here.
  self.Module = {
    locateFile: (name) => wasm + name,
    mainScriptUrlOrBlob: `${wasm}litert_wasm_threaded_internal.js`,
    printErr: (line) => /^(INFO|WARNING)/.test(line) || console.error(line),
  };
  // Or LiteRT would wake the fast graphics card, which is not used here.
  Object.defineProperty(navigator, "gpu", { value: undefined });
  const [bytes] = await Promise.all([
    get(new URL(PATHS.model, base)),
    // Browsers without relaxed SIMD cannot use threads either.
    loadLiteRt(wasm, { threads: self.crossOriginIsolated }).catch(() =>
      loadLiteRt(wasm),
    ),
  ]);
  return networks(bytes);
}

async function get(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`The network could not be loaded (${url}).`);
  return new Uint8Array(await response.arrayBuffer());
}

// Keeps the network of one size; each takes memory in proportion to its tiles.
function networks(bytes) {
  let current;
  return async (height, width) => {
    if (current?.height !== height || current.width !== width) {
      current?.model.delete();
      current = undefined;
      const model = await loadAndCompile(withSize(bytes, height, width), {
        accelerator: "wasm",
      });
      current = { model, height, width };
    }
    const { model } = current;
    return (tile) => run(model, tile, [1, height, width, 3]);
  };
}

async function run(model, tile, shape) {
  const input = new Tensor(tile, shape);
  try {
    const [output] = await model.run(input);
    const derained = output.toTypedArray();
    output.delete();
    return derained;
  } finally {
    input.delete();
  }
}

async function derain(id, file) {
  const progress = async (stage, done = 0, total = 0) => {
    postMessage({ id, progress: { stage, done, total } });
    // Lets a message that cancels come in.
    await new Promise((resolve) => setTimeout(resolve));
    if (cancelled.has(id)) throw new DOMException("Cancelled.", "AbortError");
  };
  try {
    const rainy = await decode(file);
    await progress("load");
    const networkFor = await loading;
    await progress("derain");
    const pixels = await restore(rainy, networkFor, MODEL.stride, (done, total) =>
      progress("derain", done, total),
    );
    const { width, height } = rainy;
    const blob = await encode(new ImageData(pixels, width, height));
    postMessage({ id, result: { blob, width, height } });
  } catch (error) {
    postMessage({ id, error: { name: error.name, message: error.message } });
  }
  cancelled.delete(id);
}
