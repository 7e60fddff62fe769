/** What is measured of an outline, and the table of all images. */

import { areaAtSize } from "./resampling.js";

const HEADINGS = [
  ...["image", "width", "height", "threshold", "area_pixels", "area_percent", "mm_per_pixel", "area_mm2", "model"],
];

/**
 * Measure a label map.
 *
 * @param {Uint8Array} label (height, width) of the size that the network sees.
 * @param {{width: number, height: number}} labelSize that size.
 * @param {{width: number, height: number}} size of the photograph.
 * @param {number | null} mmPerPixel of the photograph; null without a scale.
 * @returns {{pixels: number, percent: number, mm2: number | null}} pixels of the photograph.
 */
export function measure(label, labelSize, size, mmPerPixel) {
  const pixels = areaAtSize(label, labelSize, size);
  const percent = (100 * pixels) / (size.width * size.height);
  return { pixels, percent, mm2: mmPerPixel === null ? null : pixels * mmPerPixel ** 2 };
}

/**
 * Return how many mm a pixel has, null where the scale is not whole or makes no sense.
 *
 * @param {{pixels: number | null, mm: number | null}} scale a length in pixels of the photograph, and in mm.
 */
export function mmPerPixel({ pixels, mm }) {
  return pixels > 0 && mm > 0 && Number.isFinite(mm / pixels) ? mm / pixels : null;
}

/**
 * Return a table of measures as CSV.
 *
 * @param {Array<object>} rows of `name`, `size`, `threshold`, `mmPerPixel` and `measures`.
 * @param {string} model its name.
 */
export function csvTable(rows, model) {
  const lines = rows.map(({ name, size, threshold, mmPerPixel: mm, measures }) => [
    ...[name, size.width, size.height, threshold, measures.pixels, measures.percent.toFixed(3)],
    ...[mm === null ? "" : significant(mm), measures.mm2 === null ? "" : significant(measures.mm2), model],
  ]);
  return [HEADINGS, ...lines].map((line) => `${line.map(csvField).join(",")}\r\n`).join("");
}

/** Return a number with six digits that count. */
function significant(value) {
  return String(Number(value.toPrecision(6)));
}

function csvField(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
