/** The images of a visit: they wait, are segmented one after the other, and keep what is known of them. */

import { ImageError } from "./image_error.js";
import { labelMap } from "./label_map.js";
import { measure, mmPerPixel } from "./measures.js";

const LONGEST_PICTURE = 1600;

export class Visit {
  /**
   * @param {Segmenter} segmenter that answers.
   * @param {object} model what the page knows of the model.
   * @param {{changed: Function, refused: Function, failed: Function}} listener is called with an image that changed,
   *   with a sentence about a file that was refused, and with an error of the page itself.
   */
  constructor(segmenter, model, listener) {
    this.segmenter = segmenter;
    this.model = model;
    this.listener = listener;
    this.images = [];
    this.selected = null;
    this.threshold = 0.5;
    this.isWorking = false;
  }

  /** The images that have an outline. */
  get finished() {
    return this.images.filter((image) => image.probabilities !== null);
  }

  /** How many images wait, or are being segmented. */
  get nWaiting() {
    return this.images.length - this.finished.length;
  }

  /** Take files; the first one is shown at once if none is. */
  async add(files) {
    for (const file of files) {
      this.images.push({
        ...{ file, name: file.name || "pasted image", probabilities: null, picture: null, thumbnail: null },
        ...{ size: null, orientation: 1, scale: { points: [], pixels: null, mm: null } },
      });
      this.listener.changed(this.images.at(-1));
    }
    if (this.isWorking) return;
    this.isWorking = true;
    for (let image = this.next(); image !== undefined; image = this.next()) await this.segment(image);
    this.isWorking = false;
  }

  next() {
    return this.images.find((image) => image.probabilities === null);
  }

  async segment(image) {
    const isFirst = this.selected === null;
    try {
      const answer = await this.segmenter.ask("segment", { file: image.file, longest: isFirst ? LONGEST_PICTURE : 0 });
      Object.assign(image, answer);
      if (isFirst) this.selected = image;
    } catch (error) {
      this.images.splice(this.images.indexOf(image), 1);
      this.tell(error, image);
    }
    this.listener.changed(image);
  }

  /** Tell what went wrong with an image. */
  tell(error, image) {
    if (error instanceof ImageError) this.listener.refused(`${image.name}: ${error.message}.`);
    else this.listener.failed(error);
  }

  /** Show another image; the picture of the one before is given back. */
  async select(image) {
    if (image === this.selected) return;
    this.selected?.picture?.close();
    if (this.selected !== null) this.selected.picture = null;
    this.selected = image;
    try {
      const { picture } = await this.segmenter.ask("show", { file: image.file, longest: LONGEST_PICTURE });
      // Another one may have been chosen meanwhile.
      if (image === this.selected) image.picture = picture;
      else picture.close();
    } catch (error) {
      this.tell(error, image);
    }
    this.listener.changed(image);
  }

  /** Return the label map of an image at the visit's threshold. */
  labelOf(image) {
    if (image.label === undefined || image.labelThreshold !== this.threshold) {
      const options = { threshold: this.threshold, steps: this.model.postprocessing };
      image.label = labelMap(image.probabilities, this.model.size, options);
      image.labelThreshold = this.threshold;
    }
    return image.label;
  }

  /** Return the measures of an image at the visit's threshold. */
  measuresOf(image) {
    return measure(this.labelOf(image), this.model.size, image.size, mmPerPixel(image.scale));
  }
}
