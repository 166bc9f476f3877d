// Back end 2: a server of the same origin with TensorFlow Serving's REST interface.

import { decode, encode } from "./picture.js";

// As `tfderain.images.MAX_PIXELS`: what the server would refuse need not be sent.
const MAX_PIXELS = 180_000_000;

export class Server {
  label = "On the server";
  note = "Photos are sent to the server that this page comes from, and nowhere else.";

  constructor(model = "menet") {
    this.model = model;
  }

  /** Returns the back end, or null where no server answers `/v1/models`. */
  static async find(model) {
    try {
      const response = await fetch("/v1/models");
      if (!response.ok) return null;
      await response.json(); // a file server may answer with a page
      return new Server(model);
    } catch {
      return null;
    }
  }

  async prepare() {}

  /** Derains one picture; see `Browser.derain`. */
  async derain(image, onProgress, signal) {
    onProgress({ stage: "load", done: 0, total: 0 });
    // Upright sRGB pixels: what a server does with EXIF and profiles differs.
    const rainy = await encode(await decode(image, MAX_PIXELS));
    signal.throwIfAborted();
    onProgress({ stage: "wait", done: 0, total: 0 });
    const response = await fetch(`/v1/models/${this.model}:predict`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ instances: [{ b64: await toBase64(rainy) }] }),
      signal,
    });
    const answer = await response.json().catch(() => ({}));
    const derained = answer.predictions?.[0]?.b64;
    if (!response.ok || !derained) {
      throw new Error(`the server says “${answer.error ?? response.status}”.`);
    }
    const pixels = await decode(fromBase64(derained), MAX_PIXELS);
    const { width, height } = pixels;
    return { blob: await encode(pixels), width, height };
  }
}

function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function fromBase64(text) {
  return new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]);
}
