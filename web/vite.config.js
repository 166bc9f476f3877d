import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

const read = (path) => readFileSync(new URL(path, import.meta.url));
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 8);

const preset = process.env.PRESET ?? "menet";
const card = JSON.parse(read(`../savedmodels/${preset}/card.json`));
if (card.global_operations) {
  throw new Error(`Tiles must not change the result. Received: preset=${preset}.`);
}
const weights = read(`../savedmodels/${preset}/model.tflite`);
const litert = JSON.parse(read("node_modules/@litertjs/core/package.json")).version;

// What the page must know at run time. Names contain a version, so that a browser that
// keeps files forever still gets the new ones.
const paths = {
  model: `model-${hash(weights)}.tflite`,
  litert: `litert-${litert}/`,
};
const define = {
  PATHS: JSON.stringify(paths),
  MODEL: JSON.stringify({
    name: card.name,
    stride: card.stride,
    terms: card.terms,
  }),
};

// Relaxed SIMD with threads, without, and neither: LiteRT.js picks what the browser has.
const VARIANTS = ["threaded_internal", "internal", "compat_internal"];

// Adds the files that no source file imports: weights, LiteRT's WebAssembly, licences, and
// the service worker, which must know the names of all the others.
function files() {
  return {
    name: "tfderain-files",
    apply: "build",
    generateBundle(_, bundle) {
      const emit = (fileName, source) =>
        this.emitFile({ type: "asset", fileName, source });
      const shell = ["./", ...Object.keys(bundle).filter((name) => name !== "index.html")];
      const version = hash(shell.join() + paths.model + paths.litert);
      const worker = read("src/sw.js")
        .toString()
        .replace('"VERSION"', JSON.stringify(version))
        .replace('["SHELL"]', JSON.stringify([...shell, "icon.svg", "example.jpg", paths.model]))
        .replace('"LITERT"', JSON.stringify(paths.litert));
      emit("sw.js", worker);
      emit(paths.model, weights);
      for (const variant of VARIANTS) {
        for (const suffix of ["js", "wasm"]) {
          const name = `litert_wasm_${variant}.${suffix}`;
          emit(paths.litert + name, read(`node_modules/@litertjs/core/wasm/${name}`));
        }
      }
      emit("example.jpg", read("../examples/rainy/astronaut.jpg"));
      emit("LICENSE.txt", read("../LICENSE"));
      emit(
        "NOTICE.txt",
        `tfderain, Apache-2.0 (LICENSE.txt). Weights of ${card.name}: ${card.terms}\n` +
          `LiteRT.js ${litert}, Google LLC, Apache-2.0 (LICENSE.txt).\n` +
          "example.jpg: NASA, public domain, with synthetic rain.\n",
      );
    },
  };
}

export default defineConfig({
  base: "./", // any folder of any server
  appType: "mpa", // a missing file is 404, not the page
  define,
  plugins: [files()],
  // A classic script, because LiteRT.js loads its WebAssembly with importScripts.
  worker: { format: "iife" },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: false },
  preview: {
    host: "127.0.0.1",
    port: Number(process.env.PORT ?? 8480),
    strictPort: true,
    // With these two, a browser lets WebAssembly use threads.
    headers: {
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    },
  },
});
