/** The list of the visit's images, as buttons that show them. */

export class ImageList {
  /**
   * @param {HTMLElement} list that holds them.
   * @param {Visit} visit whose images they are.
   */
  constructor(list, visit) {
    this.list = list;
    this.visit = visit;
    this.items = new Map();
  }

  /** Show the images as they are. */
  update() {
    for (const [image, item] of this.items) {
      if (this.visit.images.includes(image)) continue;
      item.remove();
      this.items.delete(image);
    }
    for (const image of this.visit.images) {
      if (!this.items.has(image)) this.add(image);
      this.refresh(this.items.get(image), image);
    }
  }

  add(image) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.append(document.createElement("canvas"), span("name", image.name), span("told", "waiting"));
    button.querySelector("canvas").setAttribute("aria-hidden", "true");
    button.addEventListener("click", () => this.visit.select(image));
    item.append(button);
    this.list.append(item);
    this.items.set(image, item);
  }

  refresh(item, image) {
    const button = item.firstChild;
    const isFinished = image.probabilities !== null;
    button.disabled = !isFinished;
    button.setAttribute("aria-current", String(image === this.visit.selected));
    if (!isFinished) return;
    if (image.thumbnail !== null) {
      const canvas = button.querySelector("canvas");
      canvas.width = image.thumbnail.width;
      canvas.height = image.thumbnail.height;
      canvas.getContext("2d").drawImage(image.thumbnail, 0, 0);
      image.thumbnail.close();
      image.thumbnail = null;
    }
    const { percent } = this.visit.measuresOf(image);
    button.querySelector(".told").textContent = percent > 0 ? `${percent.toFixed(1)} % lesion` : "no lesion found";
  }
}

function span(name, text) {
  const made = document.createElement("span");
  made.className = name;
  made.textContent = text;
  return made;
}
