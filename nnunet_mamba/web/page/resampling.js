/**
 * Resampling as Pillow does it, byte for byte: bicubic with antialiasing for photographs, the nearest pixel for masks.
 *
 * A model was trained on images that Pillow had made smaller. Browsers make images smaller in ways of their own, which
 * differ between browsers and shift outlines.
 */

// Pillow's 8-bit arithmetic: weights are whole numbers of 2^-22, and every sum starts at a half.
const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);
const BICUBIC_SUPPORT = 2;
const BICUBIC_A = -0.5;

function bicubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return ((BICUBIC_A + 2) * x - (BICUBIC_A + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * BICUBIC_A;
  return 0;
}

/**
 * Return which pixels of a row make each pixel of a shorter or longer one, and with which weights.
 *
 * @param {number} from size of the row.
 * @param {number} to size of the new row.
 * @returns {{first: Int32Array, count: Int32Array, weights: Int32Array, stride: number}} of each new pixel the first
 *   old one, how many there are, and their weights from `stride` times its place on.
 */
export function bicubicWeights(from, to) {
  const scale = from / to;
  const widening = Math.max(scale, 1);
  const support = BICUBIC_SUPPORT * widening;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Int32Array(to * stride);
  const exact = new Float64Array(stride);
  const narrowing = 1 / widening;
  for (let place = 0; place < to; place++) {
    const center = (place + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const n = Math.min(Math.trunc(center + support + 0.5), from) - start;
    let total = 0;
    for (let k = 0; k < n; k++) {
      exact[k] = bicubic((k + start - center + 0.5) * narrowing);
      total += exact[k];
    }
    for (let k = 0; k < n; k++) {
      const weight = (total === 0 ? exact[k] : exact[k] / total) * (1 << PRECISION_BITS);
      weights[place * stride + k] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    first[place] = start;
    count[place] = n;
  }
  return { first, count, weights, stride };
}

/**
 * Makes a photograph smaller or larger while its rows arrive, so that it is never in memory as a whole.
 *
 * One axis is resized after the other, and each result is rounded to bytes, so that the order counts. It is Pillow's,
 * since its version 13: rows first, unless that is far more work.
 */
export class BicubicResizer {
  /**
   * @param {{width: number, height: number}} size of the photograph.
   * @param {{width: number, height: number}} target the new size.
   */
  constructor(size, target) {
    const losesRows = size.height - target.height;
    const columnsFirst = losesRows > 0 && losesRows > 2 * (size.width - target.width);
    this.order = columnsFirst ? new ColumnsFirst(size, target) : new RowsFirst(size, target);
  }

  /**
   * Take the next rows.
   *
   * @param {Uint8ClampedArray} pixels (rows, width, 4), RGBA, from above to below; alpha does not count.
   */
  add(pixels) {
    this.order.add(pixels);
  }

  /** Return the new photograph, (height, width, 3) bytes; all rows must have been added. */
  result() {
    return this.order.result();
  }
}

class RowsFirst {
  constructor(size, target) {
    this.size = size;
    this.target = target;
    this.weights = weightsUnlessEqual(size.width, target.width);
    this.rows = new Uint8ClampedArray(size.height * target.width * 3);
    this.filled = 0;
  }

  add(pixels) {
    const length = 4 * this.size.width;
    for (let start = 0; start < pixels.length; start += length, this.filled++) {
      resizeRow(pixels, start, this.rows, this.filled * this.target.width * 3, this.size.width, this.weights);
    }
  }

  result() {
    if (this.size.height === this.target.height) return this.rows;
    return resizeColumns(this.rows, this.target, bicubicWeights(this.size.height, this.target.height));
  }
}

class ColumnsFirst {
  constructor(size, target) {
    this.size = size;
    this.target = target;
    this.weights = bicubicWeights(size.height, target.height);
    this.sums = new Int32Array(target.height * 4 * size.width).fill(HALF);
    this.filled = 0;
    // The first new row that needs the next old one.
    this.open = 0;
  }

  add(pixels) {
    const length = 4 * this.size.width;
    for (let start = 0; start < pixels.length; start += length, this.filled++) this.addRow(pixels, start, length);
  }

  addRow(pixels, start, length) {
    const { first, count, weights, stride } = this.weights;
    while (first[this.open] + count[this.open] <= this.filled) this.open++;
    for (let y = this.open; y < this.target.height && first[y] <= this.filled; y++) {
      const weight = weights[y * stride + this.filled - first[y]];
      const to = y * length;
      for (let x = 0; x < length; x++) this.sums[to + x] += Math.imul(pixels[start + x], weight);
    }
  }

  result() {
    const { width, height } = this.target;
    const rows = new Uint8ClampedArray(this.sums.length);
    for (let place = 0; place < rows.length; place++) rows[place] = this.sums[place] >> PRECISION_BITS;
    const result = new Uint8ClampedArray(height * width * 3);
    const weights = weightsUnlessEqual(this.size.width, width);
    for (let y = 0; y < height; y++) {
      resizeRow(rows, y * 4 * this.size.width, result, y * width * 3, this.size.width, weights);
    }
    return result;
  }
}

function weightsUnlessEqual(from, to) {
  return from === to ? null : bicubicWeights(from, to);
}

/** Write the RGB of a new row, from an old row of RGBA; without weights it is copied. */
function resizeRow(pixels, start, rows, out, width, weights) {
  if (weights === null) copyRow(pixels, start, rows, out, width);
  else weighRow(pixels, start, rows, out, weights);
}

function copyRow(pixels, start, rows, out, width) {
  for (let x = 0, from = start, to = out; x < width; x++, from += 4, to += 3) {
    rows[to] = pixels[from];
    rows[to + 1] = pixels[from + 1];
    rows[to + 2] = pixels[from + 2];
  }
}

function weighRow(pixels, start, rows, out, { first, count, weights, stride }) {
  for (let x = 0, to = out; x < first.length; x++, to += 3) {
    let red = HALF;
    let green = HALF;
    let blue = HALF;
    const end = x * stride + count[x];
    for (let k = x * stride, from = start + 4 * first[x]; k < end; k++, from += 4) {
      const weight = weights[k];
      red = (red + Math.imul(pixels[from], weight)) | 0;
      green = (green + Math.imul(pixels[from + 1], weight)) | 0;
      blue = (blue + Math.imul(pixels[from + 2], weight)) | 0;
    }
    // Values beyond 0 to 255 are clamped by the array.
    rows[to] = red >> PRECISION_BITS;
    rows[to + 1] = green >> PRECISION_BITS;
    rows[to + 2] = blue >> PRECISION_BITS;
  }
}

function resizeColumns(rows, { width, height }, { first, count, weights, stride }) {
  const length = width * 3;
  const result = new Uint8ClampedArray(height * length);
  const sums = new Int32Array(length);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]; k++) {
      const weight = weights[y * stride + k];
      const from = (first[y] + k) * length;
      for (let x = 0; x < length; x++) sums[x] += Math.imul(rows[from + x], weight);
    }
    for (let x = 0; x < length; x++) result[y * length + x] = sums[x] >> PRECISION_BITS;
  }
  return result;
}

/**
 * Return, for each pixel of a new row, the nearest pixel of the old one.
 *
 * @param {number} from size of the row.
 * @param {number} to size of the new row.
 */
export function nearestPlaces(from, to) {
  const scale = from / to;
  const places = new Int32Array(to);
  // Pillow adds up steps instead of multiplying, which decides where a pixel lies on the border of two.
  let position = scale * 0.5;
  for (let place = 0; place < to; place++) {
    places[place] = Math.min(Math.trunc(position), from - 1);
    position += scale;
  }
  return places;
}

/**
 * Return a mask at another size; every pixel takes the value of the nearest one.
 *
 * @param {Uint8Array} mask (height, width).
 * @param {{width: number, height: number}} size of the mask.
 * @param {{width: number, height: number}} target the new size.
 */
export function resizedMask(mask, size, target) {
  const columns = nearestPlaces(size.width, target.width);
  const rows = nearestPlaces(size.height, target.height);
  const result = new Uint8Array(target.width * target.height);
  for (let y = 0, to = 0; y < target.height; y++) {
    const start = rows[y] * size.width;
    for (let x = 0; x < target.width; x++, to++) result[to] = mask[start + columns[x]];
  }
  return result;
}

/**
 * Return how many pixels a mask would have at another size, without making it.
 *
 * @param {Uint8Array} mask (height, width), 0 or 1.
 * @param {{width: number, height: number}} size of the mask.
 * @param {{width: number, height: number}} target the size at which to count.
 */
export function areaAtSize(mask, size, target) {
  const columns = repeats(nearestPlaces(size.width, target.width), size.width);
  const rows = repeats(nearestPlaces(size.height, target.height), size.height);
  let area = 0;
  for (let y = 0, place = 0; y < size.height; y++) {
    let inRow = 0;
    for (let x = 0; x < size.width; x++, place++) if (mask[place]) inRow += columns[x];
    area += inRow * rows[y];
  }
  return area;
}

function repeats(places, size) {
  const counts = new Int32Array(size);
  for (const place of places) counts[place]++;
  return counts;
}
