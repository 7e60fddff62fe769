/** The page: what is on it, and what happens when something of it is used. */

import { save, stem } from "./downloads.js";
import { takeFiles } from "./file_intake.js";
import { ImageList } from "./image_list.js";
import { csvTable, mmPerPixel } from "./measures.js";
import { tellOfModel } from "./model_card.js";
import { PictureView } from "./picture_view.js";
import { Visit } from "./visit.js";
import { Segmenter } from "./worker_client.js";

const at = (name) => document.getElementById(name);
const textOf = (name) => at(name).textContent;

const model = JSON.parse(textOf("facts"));
const segmenter = new Segmenter(textOf("worker-source"));
const visit = new Visit(segmenter, model, { changed, refused, failed });
const list = new ImageList(at("images"), visit);
const view = new PictureView(at("picture"), lineDrawn);
// Becomes false where the model cannot be started.
let isUsable = true;

/** Start the model while the user looks for a file; images that come earlier wait. */
async function begin() {
  at("version").textContent = model.version;
  tellOfModel(at("about-text"), model);
  takeFiles({ inputs: [at("choose"), at("photograph")], take });
  listen();
  const packed = ["module", "loader", "wasm"].map((name) => [name, textOf(`packed-${name}`)]);
  const request = { runtime: Object.fromEntries(packed), model: textOf("packed-model"), facts: model };
  try {
    const { keepsPixels } = await segmenter.ask("start", request);
    if (!keepsPixels) {
      refused(
        "This browser changes the pixels that pages read, as a protection against recognition, so outlines may be " +
          "wrong: allow this page to read canvas data, or use another browser.",
      );
    }
    document.documentElement.dataset.ready = "true";
    if (visit.images.length === 0) say("Ready for images.");
  } catch (error) {
    failed(error);
  }
}

function take(files) {
  if (!isUsable) return;
  at("problems").replaceChildren();
  // One after the other, and after the model has been started: the worker answers in order.
  void visit.add(files);
}

function listen() {
  at("opacity").addEventListener("input", drawSelected);
  at("outlined").addEventListener("change", drawSelected);
  at("threshold").addEventListener("input", thresholdMoved);
  at("threshold").addEventListener("change", () => changed(visit.selected));
  at("scale-draw").addEventListener("click", () => setDrawing(at("scale-draw").getAttribute("aria-pressed") !== "true"));
  at("scale-clear").addEventListener("click", () => setScale({ points: [], pixels: null, mm: null }));
  for (const name of ["scale-pixels", "scale-mm"]) at(name).addEventListener("input", scaleTyped);
  at("save-mask").addEventListener("click", () => saving(saveMask));
  at("save-overlay").addEventListener("click", () => saving(saveOverlay));
  at("save-table").addEventListener("click", saveTable);
  at("print").addEventListener("click", () => window.print());
  window.addEventListener("resize", drawSelected);
}

/** Show an image that has changed, and the list. */
function changed(image) {
  list.update();
  const { nWaiting, finished, images } = visit;
  if (images.length === 0) say("No image yet.");
  else if (nWaiting > 0) say(`${finished.length} of ${images.length} images are outlined …`);
  else if (visit.selected !== null) say(inWords(visit.selected));
  if (image !== visit.selected || !image?.picture) return;
  at("result").hidden = false;
  at("result-title").textContent = `Outline of ${image.name}`;
  setDrawing(false);
  showScale(image.scale);
  drawSelected();
}

function drawSelected() {
  at("opacity-value").textContent = `${at("opacity").value} %`;
  const image = visit.selected;
  if (!image?.picture) return;
  showMeasures(image);
  const shown = { label: visit.labelOf(image), labelSize: model.size, style: style(), description: inWords(image) };
  view.draw(image, shown);
}

function style() {
  return { opacity: Number(at("opacity").value) / 100, isOutlined: at("outlined").checked };
}

function thresholdMoved() {
  const percent = Number(at("threshold").value);
  at("threshold-value").textContent = `${percent} %`;
  visit.threshold = percent / 100;
  drawSelected();
}

function showMeasures(image) {
  const { pixels, percent, mm2 } = visit.measuresOf(image);
  at("area").textContent = `${pixels.toLocaleString("en")} pixels`;
  at("part").textContent = `${percent.toFixed(1)} %`;
  at("area-mm").textContent = mm2 === null ? "no scale yet" : `${mm2.toPrecision(4)} mm²`;
}

function inWords(image) {
  const { pixels, percent, mm2 } = visit.measuresOf(image);
  if (pixels === 0) return `No lesion was found in ${image.name}.`;
  const inMm = mm2 === null ? "" : `, ${mm2.toPrecision(4)} mm²`;
  return `A lesion is outlined in ${image.name}: ${pixels.toLocaleString("en")} pixels, ${percent.toFixed(1)} % of the image${inMm}.`;
}

function setDrawing(isDrawing) {
  view.setDrawing(isDrawing);
  at("scale-draw").setAttribute("aria-pressed", String(isDrawing));
}

function lineDrawn(points) {
  const image = visit.selected;
  if (points.length < 2) {
    image.scale.points = points;
    drawSelected();
    return;
  }
  setDrawing(false);
  const [from, to] = points;
  const pixels = Math.hypot((to.x - from.x) * image.size.width, (to.y - from.y) * image.size.height);
  setScale({ ...image.scale, points, pixels: Math.round(pixels * 10) / 10 });
  at("scale-mm").focus();
}

function scaleTyped() {
  const typed = (name) => (at(name).value === "" ? null : Number(at(name).value));
  const { points, pixels } = visit.selected.scale;
  const scale = { pixels: typed("scale-pixels"), mm: typed("scale-mm") };
  // A line that has another length than the number is none.
  visit.selected.scale = { ...scale, points: scale.pixels === pixels ? points : [] };
  drawSelected();
}

function setScale(scale) {
  visit.selected.scale = scale;
  showScale(scale);
  drawSelected();
}

function showScale({ pixels, mm }) {
  at("scale-pixels").value = pixels ?? "";
  at("scale-mm").value = mm ?? "";
}

/** Run a task of the user, and tell what goes wrong. */
async function saving(task) {
  const image = visit.selected;
  try {
    await task(image);
  } catch (error) {
    visit.tell(error, image);
  }
}

async function saveMask(image) {
  const request = { label: visit.labelOf(image), size: image.size, orientation: image.orientation };
  const { png } = await segmenter.ask("mask", request);
  save(png, `${stem(image.name)}_mask.png`);
}

async function saveOverlay(image) {
  const request = { file: image.file, label: visit.labelOf(image), style: style() };
  const { png } = await segmenter.ask("overlay", request);
  save(png, `${stem(image.name)}_overlay.png`);
}

function saveTable() {
  const rows = visit.finished.map((image) => ({
    ...{ name: image.name, size: image.size, threshold: visit.threshold },
    ...{ mmPerPixel: mmPerPixel(image.scale), measures: visit.measuresOf(image) },
  }));
  save(new Blob([csvTable(rows, model.name)], { type: "text/csv" }), "outlines.csv");
}

function say(text) {
  at("status").textContent = text;
}

function refused(text) {
  const item = document.createElement("p");
  item.textContent = text;
  at("problems").append(item);
}

function failed(error) {
  isUsable = false;
  say("The page cannot go on.");
  refused(`${error.message}. Reload the page; if that does not help, use a current Chrome, Edge, Firefox or Safari.`);
}

void begin();
