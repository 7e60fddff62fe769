/** What the page tells of its model, in a clinician's words. */

/**
 * Fill the section about the model.
 *
 * @param {HTMLElement} place for the text.
 * @param {object} model what the page knows of the model.
 */
export function tellOfModel(place, model) {
  const parts = [
    paragraph(`${model.title}, a network of ${number(model.n_parameters)} parameters: ${model.name}.`),
    paragraph(model.intended_use),
    ...titled("What it was trained on", [paragraph(model.training)]),
    ...titled("How good it is", [scoreTable(model.scores), paragraph(model.scores_explained, "soft")]),
    ...titled("Where it fails or is not known to work", [bullets(model.limits)]),
    ...titled("Licences", [paragraph(`Weights: ${model.licences.weights}.`), paragraph(`Data: ${model.licences.data}.`)]),
  ];
  place.append(...parts.filter((part) => part !== null));
}

function titled(title, content) {
  if (content.every((part) => part === null)) return [];
  return [element("h3", title), ...content.filter((part) => part !== null)];
}

function paragraph(text, className = "") {
  if (!text) return null;
  return element("p", text, className);
}

function bullets(texts) {
  if (texts.length === 0) return null;
  const list = element("ul");
  list.append(...texts.map((text) => element("li", text)));
  return list;
}

function scoreTable(scores) {
  if (scores.length === 0) return null;
  const table = element("table");
  const head = element("tr");
  head.append(heading("Images"), heading("Cases", "number"), heading("Dice", "number"), heading("Note"));
  table.createTHead().append(head);
  const body = table.createTBody();
  for (const score of scores) {
    const row = element("tr");
    row.append(
      element("td", score.data),
      element("td", score.n === null ? "" : String(score.n), "number"),
      element("td", score.value.toFixed(3), "number"),
      element("td", score.note),
    );
    body.append(row);
  }
  const frame = element("div", "", "scroll");
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "Scores of the model");
  frame.append(table);
  return frame;
}

function heading(text, className = "") {
  const made = element("th", text, className);
  made.scope = "col";
  return made;
}

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function number(value) {
  return value === null ? "unknown" : value.toLocaleString("en");
}
