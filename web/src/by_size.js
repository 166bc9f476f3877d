// Both back ends: a server for large photos, which take a browser a long time, and the
// browser for the others.

import { pixelsOf } from "./picture.js";

/** Up to this size, a browser takes a few seconds. */
export const MEGAPIXELS = 1;

export class BySize {
  constructor(browser, server) {
    this.browser = browser;
    this.server = server;
    this.label = `Large photos on the server${server.network}`;
    this.note =
      `Photos of more than ${MEGAPIXELS} megapixel are sent to the server that this ` +
      "page comes from, and nowhere else; smaller ones stay on this device.";
  }

  prepare() {
    return this.browser.prepare();
  }

  /** Derains one picture; see `Browser.derain`. */
  async derain(image, onProgress, signal) {
    const pixels = await pixelsOf(image);
    const large = pixels > MEGAPIXELS * 1e6 && pixels <= this.server.maxPixels;
    const backend = large ? this.server : this.browser;
    return backend.derain(image, onProgress, signal);
  }
}
