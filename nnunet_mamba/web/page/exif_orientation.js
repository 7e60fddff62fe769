/** The orientation of a photograph in its EXIF data, read as the conversions read it. */

const ORIENTATION = 0x0112;
const SHORT = 3;
const EXIF_START = "Exif\0\0";

/**
 * Return the orientation in EXIF data, and where it stands.
 *
 * @param {Uint8Array} bytes of a file.
 * @param {number} start of the EXIF data in it.
 * @param {number} end of the EXIF data in it.
 * @returns {{value: number, place: number, isLittle: boolean} | null} null where the data tell none, or are damaged.
 */
export function exifOrientation(bytes, start, end) {
  const tiff = textAt(bytes, start, EXIF_START.length) === EXIF_START ? start + EXIF_START.length : start;
  const view = new DataView(bytes.buffer, bytes.byteOffset, Math.min(end, bytes.length));
  const order = textAt(bytes, tiff, 2);
  if (tiff + 8 > view.byteLength || (order !== "II" && order !== "MM")) return null;
  const isLittle = order === "II";
  const directory = tiff + view.getUint32(tiff + 4, isLittle);
  if (directory + 2 > view.byteLength) return null;
  const n = view.getUint16(directory, isLittle);
  for (let entry = directory + 2, k = 0; k < n && entry + 12 <= view.byteLength; k++, entry += 12) {
    if (view.getUint16(entry, isLittle) !== ORIENTATION) continue;
    if (view.getUint16(entry + 2, isLittle) !== SHORT) return null;
    return { value: view.getUint16(entry + 8, isLittle), place: entry + 8, isLittle };
  }
  return null;
}

/**
 * Return the orientation in XMP data, 1 if they tell none; Pillow asks them where EXIF data tell none.
 *
 * @param {string} text the XMP data.
 */
export function xmpOrientation(text) {
  return upright(Number(/tiff:Orientation(?:="|>)([0-9])/.exec(text)?.[1] ?? 1));
}

/** Return an orientation that counts: 2 to 8, or 1 for all other numbers. */
export function upright(value) {
  return value >= 2 && value <= 8 ? value : 1;
}

/** Return bytes of a file as a text of one character a byte. */
export function textAt(bytes, start, length) {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}
