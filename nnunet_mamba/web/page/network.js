/** The network: onnxruntime-web on one thread, mirrored copies averaged as `nnunet-mamba predict` does it. */

const CHANNELS = 3;

export class Network {
  /**
   * @param {object} ort the module of onnxruntime-web.
   * @param {object} session of the model's ONNX file.
   * @param {{size: {width: number, height: number}, mirror_axes: number[]}} model what is known of it.
   */
  constructor(ort, session, model) {
    this.ort = ort;
    this.session = session;
    this.size = model.size;
    this.copies = mirroredCopies(model.mirror_axes);
  }

  /**
   * Start the runtime and load a model.
   *
   * @param {{module: string, loader: string, wasm: Uint8Array}} runtime the texts of its scripts, and its code.
   * @param {Uint8Array} file the model's ONNX file.
   * @param {object} model see the constructor.
   */
  static async load(runtime, file, model) {
    const ort = await import(scriptUrl(runtime.module));
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = runtime.wasm.buffer;
    ort.env.wasm.wasmPaths = { mjs: scriptUrl(placeless(scriptUrl(runtime.loader))) };
    // Of the runtime's warnings, none says anything to a person.
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
    return new Network(ort, session, model);
  }

  /** Run once with nothing, so that the first image does not wait for the browser's compiler. */
  async warmUp() {
    const { width, height } = this.size;
    await this.probabilities(Uint8ClampedArray.from({ length: width * height * CHANNELS }, (_, place) => place % 251));
  }

  /**
   * Return the probability of a lesion in every pixel.
   *
   * @param {Uint8ClampedArray} pixels (height, width, 3) of the size that the network takes.
   * @returns {Promise<Float32Array>} (height, width).
   */
  async probabilities(pixels) {
    const box = contentBox(pixels, this.size);
    const planes = channelsFirst(pixels, this.size, box);
    const total = new Float32Array(this.size.width * this.size.height);
    for (const copy of this.copies) {
      const logits = mirrored(await this.logits(mirrored(planes, this.size, copy)), this.size, copy);
      for (let place = 0; place < total.length; place++) total[place] += logits[place];
    }
    const probabilities = total.map((sum) => 1 / (1 + Math.exp(-sum / this.copies.length)));
    return backInPlace(probabilities, this.size, box);
  }

  /** Return the logits of the lesion against the background. */
  async logits(planes) {
    const { width, height } = this.size;
    const image = new this.ort.Tensor("float32", planes, [1, CHANNELS, height, width]);
    const { logits } = await this.session.run({ image }, ["logits"]);
    const n = width * height;
    if (logits.data.length === n) return Float32Array.from(logits.data);
    // Softmax of two is the sigmoid of their difference.
    return Float32Array.from({ length: n }, (_, place) => logits.data[n + place] - logits.data[place]);
  }
}

function scriptUrl(text) {
  return URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
}

/** Return a loader that asks for no file beside itself: without a place of its own, asking is an error. */
function placeless(loader) {
  return `import load from "${loader}"; export default (options) => load({ locateFile: (name) => name, ...options });`;
}

/**
 * Return the smallest box around all that is not black, and where nnU-Net shows it to the network: in the middle.
 *
 * @param {Uint8ClampedArray} pixels (height, width, 3), not black all over.
 * @param {{width: number, height: number}} size of the picture.
 */
export function contentBox(pixels, { width, height }) {
  let [left, right, above, below] = [width, -1, height, -1];
  for (let place = 0, from = 0; place < width * height; place++, from += CHANNELS) {
    if (!(pixels[from] | pixels[from + 1] | pixels[from + 2])) continue;
    const x = place % width;
    left = Math.min(left, x);
    right = Math.max(right, x);
    above = Math.min(above, (place - x) / width);
    below = (place - x) / width;
  }
  const box = { x: left, y: above, width: right - left + 1, height: below - above + 1 };
  const shift = { x: Math.floor((width - box.width) / 2) - left, y: Math.floor((height - box.height) / 2) - above };
  return { ...box, shift };
}

/**
 * Return the planes (3, height, width) of a picture whose content has been moved to the middle, black around it.
 *
 * The ONNX file would move it, too, but not all mirrored copies as nnU-Net does; what is in the middle it leaves there.
 */
function channelsFirst(pixels, { width, height }, box) {
  const n = width * height;
  const planes = new Float32Array(pixels.length);
  for (let y = box.y; y < box.y + box.height; y++) {
    let from = (y * width + box.x) * CHANNELS;
    let to = (y + box.shift.y) * width + box.x + box.shift.x;
    for (let x = 0; x < box.width; x++, to++) {
      for (let channel = 0; channel < CHANNELS; channel++) planes[channel * n + to] = pixels[from++];
    }
  }
  return planes;
}

/** Return probabilities where their pixels are in the picture; the black margin is background. */
function backInPlace(probabilities, { width }, box) {
  const result = new Float32Array(probabilities.length);
  for (let y = box.y; y < box.y + box.height; y++) {
    const from = (y + box.shift.y) * width + box.x + box.shift.x;
    result.set(probabilities.subarray(from, from + box.width), y * width + box.x);
  }
  return result;
}

/**
 * Return all ways to mirror along some axes, the one without any first.
 *
 * @param {number[]} axes 0 for above and below, 1 for left and right.
 */
export function mirroredCopies(axes) {
  const ways = [{ rows: false, columns: false }];
  if (axes.includes(0)) ways.push({ rows: true, columns: false });
  if (axes.includes(1)) ways.push({ rows: false, columns: true });
  if (axes.length === 2) ways.push({ rows: true, columns: true });
  return ways;
}

/**
 * Return mirrored planes; mirroring twice changes nothing.
 *
 * @param {Float32Array} planes (n, height, width).
 * @param {{width: number, height: number}} size of a plane.
 * @param {{rows: boolean, columns: boolean}} copy which axes are mirrored.
 */
export function mirrored(planes, { width, height }, { rows, columns }) {
  if (!rows && !columns) return planes;
  const result = new Float32Array(planes.length);
  for (let start = 0; start < planes.length; start += width) {
    const plane = Math.floor(start / (width * height));
    const y = (start / width) % height;
    const to = (plane * height + (rows ? height - 1 - y : y)) * width;
    for (let x = 0; x < width; x++) result[to + (columns ? width - 1 - x : x)] = planes[start + x];
  }
  return result;
}
