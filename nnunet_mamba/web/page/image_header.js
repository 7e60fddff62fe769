/**
 * What the header of an image file tells, and what the model cannot take, told as `nnunet-mamba predict` tells it.
 *
 * The orientation is taken out of the file before the browser decodes it: browsers differ in whether they turn an
 * image that a page asks for, and the mask must lie on the pixels as they are stored.
 */

import { exifOrientation, textAt, upright, xmpOrientation } from "./exif_orientation.js";
import { ImageError } from "./image_error.js";

const EXPECTED = "choose a JPEG, PNG, WebP or BMP file";
const GREY = "a grey picture, and this model was made for colour photographs";
const SEVERAL = "the file holds several pictures; save the one that is meant";
const DEEP = "16 bits per channel; save it with 8 bits per channel";
const DAMAGED = "its header is damaged; copy or download it again";

/**
 * Read the header of an image file.
 *
 * @param {Uint8Array} bytes of the file.
 * @returns {{type: string, orientation: number, mayBeTransparent: boolean, parts: Uint8Array[]}} the kind of file, the
 *   EXIF orientation (1 is upright), whether alpha must be looked at, and the file without its orientation.
 * @throws {ImageError} no image, or one that the model cannot take.
 */
export function readHeader(bytes) {
  if (bytes.length === 0) throw new ImageError("the file is empty (0 bytes); copy or download it again");
  const start = textAt(bytes, 0, 12);
  if (start.startsWith("\xff\xd8")) return jpegHeader(bytes);
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return pngHeader(bytes);
  if (start.startsWith("RIFF") && start.endsWith("WEBP")) return webpHeader(bytes);
  if (start.startsWith("BM")) return header("image/bmp", 1, true, [bytes]);
  if (/^(II\*\0|MM\0\*|GIF8)/.test(start) || start.slice(4, 8) === "ftyp") {
    throw new ImageError(`an image of a kind that not every browser can read as it is; ${EXPECTED}`);
  }
  throw new ImageError(`not an image, or its start is damaged; ${EXPECTED}`);
}

function header(type, orientation, mayBeTransparent, parts) {
  return { type, orientation, mayBeTransparent, parts };
}

function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Return a copy of a file whose EXIF data say that it is upright. */
function withoutTurn(bytes, found) {
  const copy = bytes.slice();
  viewOf(copy).setUint16(found.place, 1, found.isLittle);
  return copy;
}

function jpegHeader(bytes) {
  const view = viewOf(bytes);
  let found = null;
  let xmp = 1;
  let frame = false;
  for (let place = 2; place + 4 <= bytes.length && bytes[place] === 0xff; ) {
    const marker = bytes[place + 1];
    // Any number of filling bytes may stand before a marker.
    if (marker === 0xff) {
      place++;
      continue;
    }
    const length = view.getUint16(place + 2);
    const content = place + 4;
    if (marker === 0xda) break;
    if (marker === 0xe1 && textAt(bytes, content, 6) === "Exif\0\0") {
      found ??= exifOrientation(bytes, content, content + length - 2);
    } else if (marker === 0xe1 && textAt(bytes, content, 28) === "http://ns.adobe.com/xap/1.0/") {
      xmp = xmpOrientation(new TextDecoder("latin1").decode(bytes.subarray(content, content + length - 2)));
    } else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      frame = true;
      refuseJpeg(bytes[content], bytes[content + 5]);
    }
    place = content + length - 2;
  }
  if (!frame) throw new ImageError(DAMAGED);
  const parts = [found === null ? bytes : withoutTurn(bytes, found)];
  return header("image/jpeg", found === null ? xmp : upright(found.value), false, parts);
}

function refuseJpeg(bits, channels) {
  if (bits !== 8) throw new ImageError(`${bits} bits per channel; save it with 8 bits per channel`);
  if (channels === 1) throw new ImageError(GREY);
  if (channels !== 3) throw new ImageError("colour mode CMYK; save it as 8-bit RGB");
}

function pngHeader(bytes) {
  const view = viewOf(bytes);
  let found = null;
  let cut = null;
  let mayBeTransparent = false;
  for (let place = 8; place + 12 <= bytes.length; ) {
    const length = view.getUint32(place);
    const name = textAt(bytes, place + 4, 4);
    const content = place + 8;
    if (name === "IHDR") {
      refusePng(bytes[content + 8], bytes[content + 9]);
      mayBeTransparent = bytes[content + 9] === 6;
    } else if (name === "tRNS") mayBeTransparent = true;
    else if (name === "acTL" && view.getUint32(content) > 1) throw new ImageError(SEVERAL);
    else if (name === "eXIf" && cut === null) {
      found = exifOrientation(bytes, content, content + length);
      // Changed content would need another checksum; no chunk needs none.
      cut = [place, content + length + 4];
    }
    place = content + length + 4;
  }
  const parts = cut === null ? [bytes] : [bytes.subarray(0, cut[0]), bytes.subarray(cut[1])];
  return header("image/png", found === null ? 1 : upright(found.value), mayBeTransparent, parts);
}

function refusePng(bits, colours) {
  if (bits === 1 && colours === 0) throw new ImageError("1 bit per pixel, as a mask has; expected a photograph");
  if (bits === 16) throw new ImageError(DEEP);
  if (colours === 0 || colours === 4) throw new ImageError(GREY);
}

function webpHeader(bytes) {
  const view = viewOf(bytes);
  let found = null;
  for (let place = 12; place + 8 <= bytes.length; ) {
    const name = textAt(bytes, place, 4);
    const length = view.getUint32(place + 4, true);
    const content = place + 8;
    if (name === "ANMF") throw new ImageError(SEVERAL);
    if (name === "EXIF") found ??= exifOrientation(bytes, content, content + length);
    place = content + length + (length % 2);
  }
  const parts = [found === null ? bytes : withoutTurn(bytes, found)];
  return header("image/webp", found === null ? 1 : upright(found.value), true, parts);
}
