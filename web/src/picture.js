// Files to pixels and back, in a worker or in the page.

/** Limit for the browser itself: rainy, derained and PNG must fit in memory. */
export const MAX_PIXELS = 50_000_000;

/** An error whose message is meant for the person at the page. */
export class PictureError extends Error {
  name = "PictureError";
}

/**
 * Refuses, before anything is decoded, files that are empty or too large.
 *
 * @param {Blob} file
 * @param {number} maxPixels largest width times height.
 */
export async function check(file, maxPixels = MAX_PIXELS) {
  if (!file.size) throw new PictureError("The file is empty.");
  const size = await sizeIn(file);
  if (size) checkSize(size, maxPixels);
}

/** Width times height; 0 if the file is not a picture. */
export async function pixelsOf(file) {
  const size = (await sizeIn(file)) ?? (await createImageBitmap(file).catch(() => null));
  size?.close?.();
  return size ? size.width * size.height : 0;
}

async function sizeIn(file) {
  // The size is near the front, but cameras put previews and profiles before it.
  return sizeOf(new Uint8Array(await file.slice(0, 2 ** 20).arrayBuffer()));
}

function checkSize({ width, height }, maxPixels) {
  if (width * height <= maxPixels) return;
  const millions = Math.floor(maxPixels / 1e6);
  throw new PictureError(
    `The picture is too large: ${width} × ${height} pixels, and the limit here is ` +
      `${millions} million. The command “tfderain derain” takes larger ones.`,
  );
}

/** Width and height from the head of a PNG or JPEG file, or null. */
export function sizeOf(head) {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length >= 24 && view.getUint32(0) === 0x89504e47) {
    return { width: view.getUint32(16), height: view.getUint32(20) };
  }
  if (head.length < 4 || view.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; at + 9 <= head.length; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at);
    if (marker < 0xff01) return null;
    // Start of frame, except three numbers in that range with other meanings.
    if (marker >= 0xffc0 && marker <= 0xffcf && ![4, 8, 12].includes(marker & 15)) {
      return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    }
  }
  return null;
}

/**
 * Decodes a picture in sRGB, turned upright by its EXIF orientation.
 *
 * @param {Blob} file
 * @param {number} maxPixels largest width times height.
 * @returns {Promise<ImageData>}
 */
export async function decode(file, maxPixels = MAX_PIXELS) {
  await check(file, maxPixels);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new PictureError(
      "This is not a picture that your browser can read, or it is damaged. " +
        "JPEG, PNG and WebP work everywhere.",
    );
  }
  try {
    checkSize(bitmap, maxPixels);
    // Read back from memory rather than from the graphics card.
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/** Encodes pixels losslessly, as a PNG file. */
export async function encode(pixels) {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** What `tfderain derain` would call the result: photo.jpg to photo_derained.png. */
export function resultName(name) {
  return `${name.replace(/\.[^.]*$/, "") || "picture"}_derained.png`;
}
