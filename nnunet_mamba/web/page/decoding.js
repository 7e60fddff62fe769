/** Decode an image file with the browser, and read its pixels in strips, upright, without any colour management. */

import { ImageError } from "./image_error.js";
import { readHeader } from "./image_header.js";
import { BicubicResizer } from "./resampling.js";
import { storedRectangle, turned, turnedSize, uprightMatrix } from "./turning.js";

// So many pixels are read at once: 4 MiB.
const PIXELS_AT_ONCE = 2 ** 20;
// Of a pixel as a number, all but alpha.
const COLOURS = 0xffffff;
const BLANK = "blank: every pixel has the same colour, so there is nothing to outline";

/**
 * Decode an image file.
 *
 * @param {Blob} file that the user has chosen.
 * @returns {Promise<DecodedImage>}
 * @throws {ImageError} with one sentence for the user, without the file's name.
 */
export async function decode(file) {
  const header = readHeader(new Uint8Array(await file.arrayBuffer()));
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };
  try {
    const bitmap = await createImageBitmap(new Blob(header.parts, { type: header.type }), options);
    return new DecodedImage(bitmap, header);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    throw new ImageError("the browser cannot decode it: damaged, or too large; copy it again, or save it smaller");
  }
}

/** A decoded image; `close` gives its memory back. */
class DecodedImage {
  constructor(bitmap, header) {
    this.bitmap = bitmap;
    this.orientation = header.orientation;
    this.mayBeTransparent = header.mayBeTransparent;
    this.stored = { width: bitmap.width, height: bitmap.height };
    this.size = turnedSize(this.stored, this.orientation);
  }

  /**
   * Return the pixels at another size, (height, width, 3) bytes, as a conversion would have written them.
   *
   * @param {{width: number, height: number}} target the size.
   * @throws {ImageError} blank or transparent.
   */
  resized(target) {
    const resizer = new BicubicResizer(this.size, target);
    const check = new PixelCheck(this.mayBeTransparent);
    for (const strip of this.strips()) {
      check.add(strip);
      resizer.add(new Uint8ClampedArray(strip.buffer));
    }
    check.refuse();
    return resizer.result();
  }

  /** Yield the pixels of the upright picture, one number a pixel, strip by strip from above to below. */
  *strips() {
    const rows = Math.max(1, Math.floor(PIXELS_AT_ONCE / this.size.width));
    for (let first = 0; first < this.size.height; first += rows) {
      const last = Math.min(first + rows, this.size.height);
      const { x, y, width, height } = storedRectangle(this.stored, this.orientation, { first, last });
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
      context.drawImage(this.bitmap, x, y, width, height, 0, 0, width, height);
      const { data } = context.getImageData(0, 0, width, height);
      yield turned(new Uint32Array(data.buffer), { width, height }, this.orientation);
    }
  }

  /**
   * Return a canvas with the upright picture.
   *
   * @param {number} longest side at most, in pixels.
   */
  picture(longest) {
    const scale = Math.min(1, longest / Math.max(this.size.width, this.size.height));
    const width = Math.max(1, Math.round(this.size.width * scale));
    const height = Math.max(1, Math.round(this.size.height * scale));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.scale(width / this.size.width, height / this.size.height);
    context.transform(...uprightMatrix(this.stored, this.orientation));
    context.drawImage(this.bitmap, 0, 0);
    context.resetTransform();
    return canvas;
  }

  close() {
    this.bitmap.close();
  }
}

/** Looks at all pixels for what no model can segment. */
class PixelCheck {
  constructor(mayBeTransparent) {
    this.mayBeTransparent = mayBeTransparent;
    this.lowestAlpha = 255;
    this.first = null;
    this.varies = false;
  }

  add(strip) {
    this.first ??= strip[0];
    for (let place = 0; place < strip.length && !this.varies; place++) {
      this.varies = ((strip[place] ^ this.first) & COLOURS) !== 0;
    }
    if (!this.mayBeTransparent) return;
    const bytes = new Uint8ClampedArray(strip.buffer);
    for (let place = 3; place < bytes.length; place += 4) {
      if (bytes[place] < this.lowestAlpha) this.lowestAlpha = bytes[place];
    }
  }

  refuse() {
    if (this.lowestAlpha < 255) {
      throw new ImageError(`transparent pixels (alpha down to ${this.lowestAlpha}); save it without transparency`);
    }
    if (!this.varies) throw new ImageError(BLANK);
  }
}
