/** From a network's probabilities to a label map, and what the model does to its label maps. */

/**
 * Return the label map of probabilities: 1 above the threshold, after the model's own steps.
 *
 * @param {Float32Array} probabilities (height, width).
 * @param {{width: number, height: number}} size of the map.
 * @param {{threshold: number, steps: string[]}} options the steps are "keep_largest_part" and "fill_holes".
 * @returns {Uint8Array} (height, width), 0 or 1.
 */
export function labelMap(probabilities, size, { threshold, steps }) {
  let label = new Uint8Array(probabilities.length);
  for (let place = 0; place < label.length; place++) label[place] = probabilities[place] > threshold ? 1 : 0;
  for (const step of steps) label = POSTPROCESSING[step](label, size);
  return label;
}

function largestPart(label, size) {
  const { parts, sizes } = connectedParts(label, size);
  if (sizes.length < 2) return label;
  // The first of equal ones, in the order of their first pixels.
  const largest = sizes.indexOf(Math.max(...sizes)) + 1;
  return label.map((_, place) => (parts[place] === largest ? 1 : 0));
}

function withoutHoles(label, { width, height }) {
  // A margin of background joins all that touches the border of the image: the first part is the outside.
  const wide = { width: width + 2, height: height + 2 };
  const background = new Uint8Array(wide.width * wide.height).fill(1);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) background[(y + 1) * wide.width + x + 1] = 1 - label[y * width + x];
  }
  const { parts } = connectedParts(background, wide);
  return label.map((_, place) => {
    const y = Math.floor(place / width);
    return parts[(y + 1) * wide.width + (place - y * width) + 1] === 1 ? 0 : 1;
  });
}

const POSTPROCESSING = { keep_largest_part: largestPart, fill_holes: withoutHoles };

/**
 * Return which part each pixel belongs to; pixels of a part share edges.
 *
 * @param {Uint8Array} mask (height, width), 0 or 1.
 * @param {{width: number, height: number}} size of the mask.
 * @returns {{parts: Int32Array, sizes: number[]}} 0 outside, 1 for the first part in reading order, and so on.
 */
export function connectedParts(mask, { width, height }) {
  const parts = new Int32Array(mask.length);
  const sizes = [];
  const waiting = new Int32Array(mask.length);
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || parts[start]) continue;
    const part = sizes.length + 1;
    let n = 0;
    let filled = 0;
    const visit = (place) => {
      if (mask[place] && !parts[place]) {
        parts[place] = part;
        waiting[filled++] = place;
      }
    };
    visit(start);
    while (n < filled) {
      const place = waiting[n++];
      const x = place % width;
      if (x > 0) visit(place - 1);
      if (x < width - 1) visit(place + 1);
      if (place >= width) visit(place - width);
      if (place < width * (height - 1)) visit(place + width);
    }
    sizes.push(n);
  }
  return { parts, sizes };
}
