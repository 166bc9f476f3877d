// The network in LiteRT.js: on the graphics card if that is correct and faster.

import { getWebGpuDevice, loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

import { withSize } from "./litert_file.js";

const OPTIONS = {
  cpu: { accelerator: "wasm" },
  // Half precision would be even faster, but give different pixels from Python.
  gpu: { accelerator: "webgpu", gpuOptions: { precision: "fp32" } },
};

/**
 * Loads LiteRT.js and the weights.
 *
 * @param {string} base address of the page.
 * @param {"cpu" | "gpu" | null} wanted `null` to find out.
 * @returns {Promise<{processor: string, networkFor: Function}>} see `restore`.
 */
export async function load(base, wanted) {
  const wasm = new URL(PATHS.litert, base).href;
  // Threads start from LiteRT's own script, which cannot find out its URL in a worker.
  self.Module = {
    locateFile: (name) => wasm + name,
    mainScriptUrlOrBlob: `${wasm}litert_wasm_threaded_internal.js`,
    print: () => {},
    printErr: (line) => /^(INFO|WARNING)/.test(line) || console.error(line),
  };
  // Otherwise LiteRT would wake up a graphics card that is not wanted.
  if (wanted === "cpu") Object.defineProperty(navigator, "gpu", { value: undefined });
  const [bytes] = await Promise.all([
    get(new URL(PATHS.model, base)),
    // Browsers without relaxed SIMD cannot use threads either.
    loadLiteRt(wasm, { threads: self.crossOriginIsolated }).catch(() =>
      loadLiteRt(wasm),
    ),
  ]);
  const processor = wanted ?? (await choose(bytes));
  return { processor, networkFor: networks(bytes, processor) };
}

async function get(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`The network could not be loaded (${url}).`);
  return new Uint8Array(await response.arrayBuffer());
}

// Drivers differ: a graphics card must first derain noise like the processor, and in less
// time.
async function choose(bytes) {
  if (!getWebGpuDevice()) return "cpu";
  try {
    const cpu = await attempt(bytes, "cpu");
    const gpu = await attempt(bytes, "gpu");
    const same = gpu.derained.every(
      (value, i) => Math.abs(value - cpu.derained[i]) < 0.25 / 255,
    );
    return same && gpu.seconds < cpu.seconds ? "gpu" : "cpu";
  } catch (error) {
    console.warn(`The graphics card is not used: ${error.message}`);
    return "cpu";
  }
}

async function attempt(bytes, processor) {
  const [height, width] = [128, 256];
  const model = await compile(bytes, processor, height, width);
  // Digits of sines are noise enough, and the same for both.
  const noise = Float32Array.from({ length: height * width * 3 }, (_, i) =>
    Math.abs((Math.sin(i) * 1e4) % 1),
  );
  const started = performance.now();
  const derained = await run(model, noise, [1, height, width, 3]);
  const seconds = (performance.now() - started) / 1000;
  model.delete();
  return { derained, seconds };
}

// Keeps the network for one size; each takes memory in proportion to its tiles.
function networks(bytes, processor) {
  let current;
  return async (height, width) => {
    if (current?.height !== height || current.width !== width) {
      current?.model.delete();
      current = undefined;
      current = { model: await compile(bytes, processor, height, width), height, width };
    }
    const { model } = current;
    return (tile) => run(model, tile, [1, height, width, 3]);
  };
}

function compile(bytes, processor, height, width) {
  return loadAndCompile(withSize(bytes, height, width), OPTIONS[processor]);
}

async function run(model, tile, shape) {
  const input = new Tensor(tile, shape);
  try {
    // Of several outputs, such as the mask of drops, the picture is the first.
    const outputs = await model.run(input);
    const derained = await outputs[0].data();
    for (const output of outputs) output.delete();
    return derained;
  } finally {
    input.delete();
  }
}
