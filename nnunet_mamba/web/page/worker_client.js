/** The page's side of the worker: ask, and wait for the answer. */

import { ImageError } from "./image_error.js";

export class Segmenter {
  /** @param {string} source of the worker. */
  constructor(source) {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.waiting = new Map();
    this.asked = 0;
    this.worker.onmessage = ({ data }) => this.settle(data);
    this.worker.onerror = (event) => this.fail(new Error(event.message || "the worker could not be started"));
  }

  /**
   * Ask the worker for something.
   *
   * @param {string} task its name, see segmenter.js.
   * @param {object} request what the task needs.
   * @returns {Promise<object>} the answer.
   * @throws {ImageError} an image that cannot be segmented.
   */
  ask(task, request) {
    const number = ++this.asked;
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      this.worker.postMessage({ number, task, request });
    });
  }

  settle({ number, answer, error, isOfImage }) {
    const { resolve, reject } = this.waiting.get(number);
    this.waiting.delete(number);
    if (error === undefined) resolve(answer);
    else reject(isOfImage ? new ImageError(error) : new Error(error));
  }

  fail(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
