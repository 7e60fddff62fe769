/** The worker: everything that takes time happens here, so that the page stays responsive. */

import { decode } from "./decoding.js";
import { drawMask } from "./drawing.js";
import { ImageError } from "./image_error.js";
import { Network } from "./network.js";
import { greyPng } from "./png.js";
import { resizedMask } from "./resampling.js";
import { turnedBack, turnedSize } from "./turning.js";
import { unpacked } from "./unpacking.js";

const LONGEST_OVERLAY = 4096;
// Of the longer side.
const LINE_IN_OVERLAY = 1 / 450;
const THUMBNAIL = 112;

let network = null;

/** What the page can ask for; each returns its answer, and what of it is handed over instead of copied. */
const TASKS = { start, segment, show, mask, overlay };

async function start({ runtime, model, facts }) {
  const [module, loader, wasm, file] = await Promise.all(
    [runtime.module, runtime.loader, runtime.wasm, model].map(unpacked),
  );
  const text = new TextDecoder();
  network = await Network.load({ module: text.decode(module), loader: text.decode(loader), wasm }, file, facts);
  await network.warmUp();
  return { answer: { keepsPixels: keepsPixels() } };
}

/** Return whether pixels that are drawn can be read back as they were, which some browsers prevent. */
function keepsPixels() {
  const context = new OffscreenCanvas(16, 16).getContext("2d", { willReadFrequently: true });
  const drawn = new ImageData(16, 16);
  drawn.data.forEach((_, place) => {
    drawn.data[place] = place % 4 === 3 ? 255 : (place * 37) % 256;
  });
  context.putImageData(drawn, 0, 0);
  return context.getImageData(0, 0, 16, 16).data.every((value, place) => value === drawn.data[place]);
}

async function segment({ file, longest }) {
  const image = await decode(file);
  try {
    const probabilities = await network.probabilities(image.resized(network.size));
    const picture = image.picture(longest).transferToImageBitmap();
    const thumbnail = image.picture(THUMBNAIL).transferToImageBitmap();
    const { size, orientation } = image;
    return {
      answer: { probabilities, picture, thumbnail, size, orientation },
      handedOver: [probabilities.buffer, picture, thumbnail],
    };
  } finally {
    image.close();
  }
}

async function show({ file, longest }) {
  const image = await decode(file);
  try {
    const picture = image.picture(longest).transferToImageBitmap();
    return { answer: { picture }, handedOver: [picture] };
  } finally {
    image.close();
  }
}

async function mask({ label, size, orientation }) {
  const whole = resizedMask(label, network.size, size);
  for (let place = 0; place < whole.length; place++) whole[place] *= 255;
  // As `nnunet-mamba predict` writes it: on the pixels as the file stores them.
  const stored = turnedSize(size, orientation);
  return { answer: { png: await greyPng(turnedBack(whole, stored, orientation), stored) } };
}

async function overlay({ file, label, style }) {
  const image = await decode(file);
  try {
    const canvas = image.picture(LONGEST_OVERLAY);
    const thickness = Math.max(1.5, Math.max(canvas.width, canvas.height) * LINE_IN_OVERLAY);
    drawMask(canvas.getContext("2d"), label, network.size, { ...style, thickness });
    return { answer: { png: await canvas.convertToBlob({ type: "image/png" }) } };
  } finally {
    image.close();
  }
}

async function answer({ number, task, request }) {
  try {
    const { answer: found, handedOver = [] } = await TASKS[task](request);
    self.postMessage({ number, answer: found }, handedOver);
  } catch (error) {
    self.postMessage({ number, error: String(error?.message ?? error), isOfImage: error instanceof ImageError });
  }
}

// One task after the other: images may come before the model has started, and two at once would need twice the memory.
let last = Promise.resolve();
self.onmessage = ({ data }) => {
  last = last.then(() => answer(data));
};
