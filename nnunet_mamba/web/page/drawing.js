/** Draw a mask over a photograph: a light line with dark borders, seen on every skin, and a tint inside. */

import { outlines } from "./outlines.js";

const LINE = "#ffe14d";
const BORDER = "rgb(0 0 0 / 0.75)";
const TINT = "#2fc4ff";

/**
 * Draw a mask.
 *
 * @param {CanvasRenderingContext2D} context of a canvas that shows the whole photograph.
 * @param {Uint8Array} mask (height, width), 0 or 1.
 * @param {{width: number, height: number}} size of the mask.
 * @param {{opacity: number, isOutlined: boolean, thickness: number}} style how strong the tint is, 0 to 1, whether
 *   there are lines, and how thick they are, in pixels of the canvas.
 */
export function drawMask(context, mask, size, { opacity, isOutlined, thickness }) {
  const { width, height } = context.canvas;
  const path = new Path2D();
  for (const line of outlines(mask, size)) {
    line.forEach(([x, y], place) => {
      const point = [(x * width) / size.width, (y * height) / size.height];
      if (place === 0) path.moveTo(...point);
      else path.lineTo(...point);
    });
    path.closePath();
  }
  context.save();
  context.globalAlpha = opacity;
  context.fillStyle = TINT;
  context.fill(path, "evenodd");
  context.globalAlpha = 1;
  context.lineJoin = "round";
  if (isOutlined) {
    strokePath(context, path, BORDER, 2.2 * thickness);
    strokePath(context, path, LINE, thickness);
  }
  context.restore();
}

/**
 * Draw the line whose length is known.
 *
 * @param {CanvasRenderingContext2D} context see `drawMask`.
 * @param {Array<{x: number, y: number}>} points one or two, as parts of width and height.
 * @param {number} thickness of the line, in pixels of the canvas.
 */
export function drawScale(context, points, thickness) {
  const { width, height } = context.canvas;
  const path = new Path2D();
  points.forEach(({ x, y }, place) => {
    if (place > 0) path.moveTo(points[0].x * width, points[0].y * height);
    if (place > 0) path.lineTo(x * width, y * height);
    path.moveTo(x * width + 3 * thickness, y * height);
    path.arc(x * width, y * height, 3 * thickness, 0, 2 * Math.PI);
  });
  context.save();
  strokePath(context, path, BORDER, 2.2 * thickness);
  strokePath(context, path, "#ffffff", thickness);
  context.restore();
}

function strokePath(context, path, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke(path);
}
