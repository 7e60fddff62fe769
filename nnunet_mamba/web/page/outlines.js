/** The outlines of a mask as closed lines. */

// East, south, west, north: where an edge of a pixel leads, with the mask on its right.
const WAYS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
];
const RIGHT = 1;
const STRAIGHT = 0;
const LEFT = 3;

/**
 * Return the outlines of a mask, around parts and holes.
 *
 * The lines join the middles of the pixels' edges, so they stay within half a pixel of the border and have no stairs.
 *
 * @param {Uint8Array} mask (height, width), 0 or 1.
 * @param {{width: number, height: number}} size of the mask.
 * @returns {Array<Array<[number, number]>>} closed lines of points (x, y) in pixels of the mask, from its corner.
 */
export function outlines(mask, { width, height }) {
  const corners = width + 1;
  const edges = borderEdges(mask, { width, height });
  const lines = [];
  for (let start = 0; start < edges.length; start++) {
    while (edges[start]) {
      const line = [];
      let corner = start;
      let direction = WAYS.findIndex((_, way) => edges[corner] & (1 << way));
      while (direction !== -1) {
        edges[corner] &= ~(1 << direction);
        const [dx, dy] = WAYS[direction];
        line.push([(corner % corners) + dx / 2, Math.floor(corner / corners) + dy / 2]);
        corner += dx + dy * corners;
        direction = nextDirection(edges[corner], direction);
      }
      lines.push(line);
    }
  }
  return lines;
}

/** Return, for each corner of a pixel, the directions of the edges that begin there: bits 1, 2, 4, 8. */
function borderEdges(mask, { width, height }) {
  const corners = width + 1;
  const edges = new Uint8Array(corners * (height + 1));
  const isInside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!isInside(x, y)) continue;
      const corner = y * corners + x;
      if (!isInside(x, y - 1)) edges[corner] |= 1;
      if (!isInside(x + 1, y)) edges[corner + 1] |= 2;
      if (!isInside(x, y + 1)) edges[corner + corners + 1] |= 4;
      if (!isInside(x - 1, y)) edges[corner + corners] |= 8;
    }
  }
  return edges;
}

/** Return where a line goes on, -1 at its end: to the right first, so that pixels which share a corner stay apart. */
function nextDirection(open, direction) {
  for (const turn of [RIGHT, STRAIGHT, LEFT]) {
    const next = (direction + turn) % WAYS.length;
    if (open & (1 << next)) return next;
  }
  return -1;
}
