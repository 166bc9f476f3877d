// The network in a separate thread, so that the page never freezes.
//
// Takes {base, processor} once, then {id, file} and {id, cancel}; answers {ready}, or {id, ...}
// with `progress`, then `result` or `error`.

import { load } from "./network.js";
import { decode, encode } from "./picture.js";
import { restore } from "./restore.js";

let loading;
const cancelled = new Set();
let queue = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.base) {
    loading = load(data.base, data.processor);
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

async function derain(id, file) {
  const progress = async (stage, done = 0, total = 0) => {
    postMessage({ id, progress: { stage, done, total } });
    // Lets a message arrive that cancels the work.
    await new Promise((resolve) => setTimeout(resolve));
    if (cancelled.has(id)) throw new DOMException("Cancelled.", "AbortError");
  };
  try {
    const rainy = await decode(file);
    await progress("load");
    const { networkFor, processor } = await loading;
    await progress("derain");
    const pixels = await restore(rainy, networkFor, MODEL.stride, (done, total) =>
      progress("derain", done, total),
    );
    const { width, height } = rainy;
    const blob = await encode(new ImageData(pixels, width, height));
    postMessage({ id, result: { blob, width, height, processor } });
  } catch (error) {
    postMessage({ id, error: { name: error.name, message: error.message } });
  }
  cancelled.delete(id);
}
