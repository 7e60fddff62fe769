/** From the pixels of a file to the photograph as people look at it, and back, for each EXIF orientation. */

// Whether rows become columns, and which axes of the stored picture run backwards.
const TURNS = {
  1: { isTransposed: false, flipsRows: false, flipsColumns: false },
  2: { isTransposed: false, flipsRows: false, flipsColumns: true },
  3: { isTransposed: false, flipsRows: true, flipsColumns: true },
  4: { isTransposed: false, flipsRows: true, flipsColumns: false },
  5: { isTransposed: true, flipsRows: false, flipsColumns: false },
  6: { isTransposed: true, flipsRows: true, flipsColumns: false },
  7: { isTransposed: true, flipsRows: true, flipsColumns: true },
  8: { isTransposed: true, flipsRows: false, flipsColumns: true },
};

/**
 * Return the size of a picture after turning; turning back is the same.
 *
 * @param {{width: number, height: number}} size before.
 * @param {number} orientation EXIF orientation, 1 to 8.
 */
export function turnedSize({ width, height }, orientation) {
  return TURNS[orientation].isTransposed ? { width: height, height: width } : { width, height };
}

/**
 * Return which rectangle of the stored picture holds some rows of the upright one.
 *
 * @param {{width: number, height: number}} stored size of the stored picture.
 * @param {number} orientation EXIF orientation.
 * @param {{first: number, last: number}} rows of the upright picture, the last excluded.
 */
export function storedRectangle(stored, orientation, { first, last }) {
  const { isTransposed, flipsRows, flipsColumns } = TURNS[orientation];
  const n = last - first;
  if (isTransposed) {
    return { x: flipsColumns ? stored.width - last : first, y: 0, width: n, height: stored.height };
  }
  return { x: 0, y: flipsRows ? stored.height - last : first, width: stored.width, height: n };
}

/**
 * Return pixels as people look at them.
 *
 * @param {Uint32Array | Uint8Array} pixels (height, width) as they are stored, one number a pixel.
 * @param {{width: number, height: number}} size of the stored pixels.
 * @param {number} orientation EXIF orientation.
 */
export function turned(pixels, size, orientation) {
  if (orientation === 1) return pixels;
  return moved(pixels, size, orientation, (stored, seen, from, to) => {
    seen[to] = stored[from];
  });
}

/**
 * Return pixels as they are stored.
 *
 * @param {Uint8Array} pixels (height, width) of the upright picture.
 * @param {{width: number, height: number}} size of the stored picture.
 * @param {number} orientation EXIF orientation.
 */
export function turnedBack(pixels, size, orientation) {
  if (orientation === 1) return pixels;
  return moved(pixels, size, orientation, (seen, stored, from, to) => {
    stored[from] = seen[to];
  });
}

/** Call `move` for each place of the stored picture and the one where it is seen. */
function moved(pixels, { width, height }, orientation, move) {
  const { isTransposed, flipsRows, flipsColumns } = TURNS[orientation];
  const result = new pixels.constructor(pixels.length);
  for (let row = 0, from = 0; row < height; row++) {
    const y = flipsRows ? height - 1 - row : row;
    for (let column = 0; column < width; column++, from++) {
      const x = flipsColumns ? width - 1 - column : column;
      move(pixels, result, from, isTransposed ? x * height + y : y * width + x);
    }
  }
  return result;
}

/**
 * Return the matrix (a, b, c, d, e, f) of a canvas that draws a stored picture upright.
 *
 * @param {{width: number, height: number}} stored size of the stored picture.
 * @param {number} orientation EXIF orientation.
 */
export function uprightMatrix({ width, height }, orientation) {
  const { isTransposed, flipsRows, flipsColumns } = TURNS[orientation];
  const alongColumns = flipsColumns ? -1 : 1;
  const alongRows = flipsRows ? -1 : 1;
  const columnsFrom = flipsColumns ? width : 0;
  const rowsFrom = flipsRows ? height : 0;
  return isTransposed
    ? [0, alongColumns, alongRows, 0, rowsFrom, columnsFrom]
    : [alongColumns, 0, 0, alongRows, columnsFrom, rowsFrom];
}
