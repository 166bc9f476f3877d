// Back end 2: a server on the same origin with TensorFlow Serving's REST interface.

import { PictureError, decode, encode } from "./picture.js";

/** tfderain's server says what it serves; other servers may leave that out. */
const DEFAULTS = {
  max_pixels: 180_000_000, // as `tfderain.images.MAX_PIXELS`
  max_bytes: Infinity,
};

export class Server {
  note = "Photos are sent to the server that this page comes from, and nowhere else.";

  /**
   * @param {string} ours name of the page's own network.
   * @param {{name?: string, max_pixels?: number, max_bytes?: number}} served
   */
  constructor(ours, served = {}) {
    const { name = ours, max_pixels, max_bytes } = { ...DEFAULTS, ...served };
    this.path = `/v1/models/${encodeURIComponent(name)}:predict`;
    this.maxPixels = max_pixels;
    this.maxBytes = max_bytes;
    this.network = name === ours ? "" : ` (network ${name})`;
    this.label = `On the server${this.network}`;
  }

  /** Returns the back end, or null if no server answers `/v1/models`. */
  static async find(ours) {
    try {
      const response = await fetch("/v1/models");
      if (!response.ok) return null;
      const { models } = await response.json(); // a file server may answer with a page
      return new Server(ours, models?.[0]);
    } catch {
      return null;
    }
  }

  async prepare() {}

  /** Derains one picture; see `Browser.derain`. */
  async derain(image, onProgress, signal) {
    onProgress({ stage: "load", done: 0, total: 0 });
    // Upright sRGB pixels, since servers differ in how they treat EXIF and profiles.
    const rainy = await decode(image, this.maxPixels);
    const b64 = await toBase64(await encode(rainy));
    const body = JSON.stringify({ instances: [{ b64 }] });
    // The server would hang up halfway, which browsers report as a network failure.
    if (body.length > this.maxBytes) {
      const [size, most] = [body.length, this.maxBytes].map((n) => Math.round(n / 1e6));
      throw new PictureError(
        `The picture is too large for the server: ${size} MB, and its limit is ${most} MB.`,
      );
    }
    signal.throwIfAborted();
    onProgress({ stage: "wait", done: 0, total: 0 });
    const response = await fetch(this.path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
      signal,
    });
    const answer = await response.json().catch(() => ({}));
    const derained = answer.predictions?.[0]?.b64;
    if (!response.ok || !derained) {
      throw new Error(`the server says “${answer.error ?? response.status}”.`);
    }
    const pixels = await decode(fromBase64(derained), this.maxPixels);
    const { width, height } = pixels;
    // Servers answer with RGB.
    for (let at = 3; at < rainy.data.length; at += 4) pixels.data[at] = rainy.data[at];
    return { blob: await encode(pixels), width, height, processor: "server" };
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
