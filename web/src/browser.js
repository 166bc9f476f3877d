// Back end 1: this browser, with LiteRT.js in a worker.

import { PictureError } from "./picture.js";
import workerUrl from "./worker.js?worker&url";

export class Browser {
  label = "In this browser";
  note = "Your photos stay on this device: nothing is uploaded.";
  #worker;
  #jobs = new Map();
  #next = 1;
  #processor;

  /** @param {"cpu" | "gpu" | null} processor `null` to find out which. */
  constructor(processor = null) {
    this.#processor = processor;
  }

  /** Loads the network; resolves when it is ready, rejects if it cannot run here. */
  prepare() {
    this.ready ??= new Promise((resolve, reject) => {
      this.#worker = start();
      this.#worker.onmessage = ({ data }) => {
        if (data.id) this.#jobs.get(data.id)?.(data);
        else if (data.ready) resolve();
        else reject(new Error(data.message));
      };
      this.#worker.onerror = (event) => reject(new Error(event.message));
      this.#worker.postMessage({
        base: document.baseURI,
        processor: this.#processor,
      });
    });
    return this.ready;
  }

  /**
   * Derains one picture.
   *
   * @param {Blob} image a file of any format that the browser reads.
   * @param {(progress: {stage: string, done: number, total: number}) => void}
   *   onProgress stages are "load", "derain" and "wait"; `total` is 0 while unknown.
   * @param {AbortSignal} signal
   * @returns {Promise<{blob: Blob, width: number, height: number}>} a PNG file, and the
   *   `processor` that made it.
   */
  async derain(image, onProgress, signal) {
    signal.throwIfAborted();
    const id = this.#next++;
    try {
      return await new Promise((resolve, reject) => {
        this.prepare().catch(reject);
        const worker = this.#worker;
        signal.addEventListener("abort", () => {
          worker.postMessage({ id, cancel: true });
          reject(signal.reason);
        });
        this.#jobs.set(id, ({ progress, result, error }) => {
          if (progress) onProgress(progress);
          else if (result) resolve(result);
          else reject(revive(error));
        });
        worker.postMessage({ id, file: image });
      });
    } catch (error) {
      if (!["PictureError", "AbortError"].includes(error.name)) this.#stop();
      throw error;
    } finally {
      this.#jobs.delete(id);
    }
  }

  // WebAssembly that has failed, for lack of memory, say, does not run again. Graphics
  // cards fail more often, so the next try does without one.
  #stop() {
    this.#processor = "cpu";
    this.#worker?.terminate();
    this.ready = undefined;
  }
}

// A worker that starts from a blob obeys the page's content security policy; one that
// starts from a URL would obey none on a plain file server.
function start() {
  const address = JSON.stringify(new URL(workerUrl, document.baseURI).href);
  const script = new Blob([`importScripts(${address});`], { type: "text/javascript" });
  const url = URL.createObjectURL(script);
  const worker = new Worker(url);
  worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
  return worker;
}

function revive({ name, message }) {
  if (name === "PictureError") return new PictureError(message);
  return Object.assign(new Error(message), { name });
}
