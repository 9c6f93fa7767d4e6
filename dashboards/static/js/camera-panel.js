// Beside the picture: the list of what is drawn, what the chosen shape is called and is, and its points as numbers. The
// trap is the table of points: made anew at each change it would take the cell away from who tabs through it, so the
// same cells stay for as long as they are cells of the same shape.

import { isZone, leastPoints, LINES, ZONES } from "./camera-drawing.js";
import { at, button, data, element, words } from "./camera-page.js";

const UNNAMED = ["staff", "ignore"];

const perCent = (share) => Math.round(share * 1000) / 10;

export class Panel {
  #drawing;
  #begin;
  #shown = "";

  /** @param {(line: object) => void} begin draws a line that is registered and has no place yet. */
  constructor(drawing, begin) {
    this.#drawing = drawing;
    this.#begin = begin;
    drawing.watch(() => this.#show());
    this.#listen();
  }

  #listen() {
    at("shape-name").addEventListener("input", ({ target }) => this.#drawing.put({ name: target.value }, { remember: false }));
    at("shape-kind").addEventListener("change", ({ target }) => this.#drawing.put({ kind: target.value }));
    at("shape-settle").addEventListener("change", ({ target }) =>
      this.#drawing.put({ settle: target.checked ? "on_exit" : "immediate" }),
    );
  }

  #show() {
    this.#showList();
    this.#showUndrawn();
    this.#showChosen();
    const { dirty, shapes, canUndo } = this.#drawing;
    at("state").textContent = words(dirty ? "unsaved" : shapes.length ? "saved" : "own_file");
    button("undo").disabled = !canUndo;
    at("drawing").dataset.shapes = shapes.length;
  }

  #showList() {
    const list = at("list");
    list.replaceChildren();
    this.#drawing.shapes.forEach((shape, index) => {
      const entry = element("button", { type: "button" }, element("li", {}, list));
      entry.setAttribute("aria-pressed", index === this.#drawing.chosen);
      element("b", { textContent: shape.name }, entry);
      element("span", { textContent: words(shape.kind) }, entry);
      entry.addEventListener("click", () => this.#drawing.choose(index));
    });
  }

  #showUndrawn() {
    const drawn = new Set(this.#drawing.shapes.map((shape) => shape.id));
    const free = data.registered.filter((line) => !drawn.has(line.id));
    at("undrawn").hidden = free.length === 0;
    at("undrawn-list").replaceChildren(
      ...free.map((line) => {
        const entry = element("button", { type: "button", className: "button plain small", textContent: line.name });
        entry.addEventListener("click", () => this.#begin(line));
        return entry;
      }),
    );
  }

  #showChosen() {
    const shape = this.#drawing.shape;
    at("chosen").hidden = !shape;
    // What was tried of one line says nothing of another.
    if (shape?.id !== this.#shown) at("tried").textContent = "";
    this.#shown = shape?.id;
    if (!shape) return;
    at("chosen-title").textContent = shape.name;
    const name = at("shape-name");
    if (document.activeElement !== name) name.value = shape.name;
    const registered = shape.known || data.registered.some((line) => line.id === shape.id);
    // Only what counts has a name in the register; of another zone it would be accepted here and kept nowhere.
    name.disabled = UNNAMED.includes(shape.kind);
    const kinds = isZone(shape) ? ZONES : LINES;
    at("shape-kind").replaceChildren(
      ...kinds.map((kind) => element("option", { value: kind, textContent: words(kind), selected: kind === shape.kind })),
    );
    at("shape-kind").disabled = registered && !isZone(shape);
    at("shape-settle").checked = shape.settle === "on_exit";
    for (const deed of ["flip", "try"]) button(deed).hidden = isZone(shape);
    this.#showPoints(shape);
  }

  #showPoints(shape) {
    const body = at("points");
    const whose = `${this.#drawing.chosen} ${shape.id} ${shape.points.length}`;
    if (body.dataset.whose === whose) {
      for (const input of body.querySelectorAll("input")) {
        if (input !== document.activeElement) input.value = perCent(shape.points[input.dataset.place][input.dataset.axis]);
      }
      return;
    }
    body.dataset.whose = whose;
    body.replaceChildren(...shape.points.map((point, number) => this.#row(point, number, shape)));
  }

  #row(point, number, shape) {
    const row = element("tr");
    element("th", { textContent: number + 1, scope: "row" }, row);
    ["x", "y"].forEach((axis, which) => {
      const input = element("input", { className: "input", type: "number", min: 0, max: 100, step: 0.1 }, element("td", {}, row));
      input.value = perCent(point[which]);
      Object.assign(input.dataset, { cell: `${axis}${number}`, place: number, axis: which });
      input.setAttribute("aria-label", words(axis, { number: number + 1 }));
      input.addEventListener("change", () => this.#typed(input, number, which));
    });
    const buttons = element("td", {}, row);
    const quiet = (sign, key, act) => {
      const made = element("button", { type: "button", className: "quiet", textContent: sign }, buttons);
      made.setAttribute("aria-label", words(key, { number: number + 1 }));
      made.addEventListener("click", act);
      return made;
    };
    quiet("+", "add_point", () => this.#drawing.addPoint(number));
    quiet("−", "remove_point", () => this.#drawing.dropPoint(number)).disabled = shape.points.length <= leastPoints(shape);
    return row;
  }

  // A cell that was emptied is no nought: what stood there stands there again.
  #typed(input, number, which) {
    const value = input.valueAsNumber / 100;
    if (Number.isFinite(value)) {
      this.#drawing.movePoint(number, this.#drawing.shape.points[number].map((each, axis) => (axis === which ? value : each)));
    }
    input.value = perCent(this.#drawing.shape.points[number][which]);
  }
}
