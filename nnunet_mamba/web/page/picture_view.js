/** The picture with its outline, and the line whose length is known. */

import { drawMask, drawScale } from "./drawing.js";

// In CSS pixels.
const LINE_ON_SCREEN = 1.6;

export class PictureView {
  /**
   * @param {HTMLCanvasElement} canvas that shows it.
   * @param {(points: Array<{x: number, y: number}>) => void} drawn is called with the points of a line while it is
   *   drawn, as parts of width and height.
   */
  constructor(canvas, drawn) {
    this.canvas = canvas;
    this.drawn = drawn;
    this.points = null;
    canvas.addEventListener("click", (event) => this.addPoint(event));
  }

  /** Begin or stop to take clicks as the ends of a line. */
  setDrawing(isDrawing) {
    this.points = isDrawing ? [] : null;
    this.canvas.classList.toggle("drawing", isDrawing);
  }

  addPoint({ clientX, clientY }) {
    if (this.points === null) return;
    const box = this.canvas.getBoundingClientRect();
    this.points.push({ x: (clientX - box.left) / box.width, y: (clientY - box.top) / box.height });
    this.drawn([...this.points]);
  }

  /**
   * Draw.
   *
   * @param {object} image of the visit, with its picture.
   * @param {{label: Uint8Array, labelSize: object, style: object, description: string}} shown what is drawn over it,
   *   see `drawMask`, and the picture in words.
   */
  draw(image, { label, labelSize, style, description }) {
    this.canvas.width = image.picture.width;
    this.canvas.height = image.picture.height;
    const context = this.canvas.getContext("2d");
    context.drawImage(image.picture, 0, 0);
    // Lines are equally thick on a telephone and on a large screen.
    const thickness = (LINE_ON_SCREEN * this.canvas.width) / (this.canvas.clientWidth || this.canvas.width);
    drawMask(context, label, labelSize, { ...style, thickness });
    if (image.scale.points.length > 0) drawScale(context, image.scale.points, thickness);
    this.canvas.setAttribute("aria-label", description);
  }
}
