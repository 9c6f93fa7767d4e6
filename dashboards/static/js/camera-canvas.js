// The picture with what is drawn on it, made anew of the drawing each time it changes. What can be taken hold of says so
// by an attribute (`data-shape`, `data-point`) and nothing here listens: a node that is replaced under a finger would take
// its listeners with it.

import { isZone } from "./camera-drawing.js";
import { arrowOf } from "./camera-geometry.js";
import { at, svgElement, words } from "./camera-page.js";

const WIDTH = 1000;

const svg = at("canvas");

export class Canvas {
  #drawing;

  constructor(drawing) {
    this.#drawing = drawing;
    drawing.watch((focused) => this.#show(focused));
  }

  /** A point, given in fractions of the picture, in units of the drawing. */
  place = ([x, y]) => [x * WIDTH, y * this.#height];

  /** Screen pixels in units of the drawing, so that a handle is as large as a finger at any width. */
  pixels = (count) => (count * WIDTH) / (svg.clientWidth || WIDTH);

  get #height() {
    return WIDTH / this.#drawing.aspect;
  }

  #show(focused) {
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${this.#height}`);
    for (const node of [svg.querySelector(".ground"), at("picture")]) node.setAttribute("height", this.#height);
    at("shapes").replaceChildren();
    at("handles").replaceChildren();
    this.#drawing.shapes.forEach((shape, index) => this.#showShape(shape, index));
    this.#drawing.shape?.points.forEach((point, number) => this.#showHandle(point, number, number === focused));
  }

  #showShape(shape, index) {
    const chosen = index === this.#drawing.chosen ? " chosen" : "";
    const group = svgElement("g", { class: `shape ${shape.kind}${chosen}`, "data-shape": index }, at("shapes"));
    const outline = isZone(shape) ? "polygon" : "polyline";
    const points = shape.points.map((point) => this.place(point).join(",")).join(" ");
    if (isZone(shape)) svgElement("polygon", { class: "area", points }, group);
    svgElement(outline, { class: "halo", points }, group);
    svgElement(outline, { class: "stroke", points }, group);
    if (!isZone(shape)) this.#showInside(shape, group);
    this.#showName(shape, group);
    const grip = svgElement(outline, { class: "grip", points }, group);
    if (isZone(shape)) grip.style.pointerEvents = "all";
  }

  #showInside(shape, group) {
    const aspect = this.#drawing.aspect;
    const [from, to] = arrowOf(shape.points, this.#drawing.side(shape), aspect).map(this.place);
    const arrow = { x1: from[0], y1: from[1], x2: to[0], y2: to[1] };
    svgElement("line", { class: "halo", ...arrow }, group);
    svgElement("line", { class: "arrow", ...arrow, "marker-end": "url(#head)" }, group);
  }

  #showName(shape, group) {
    const [x, y] = this.place(shape.points[0]);
    const corner = { x: x + this.pixels(12), y: Math.max(this.pixels(16), y - this.pixels(12)) };
    const label = svgElement("text", { class: "label", ...corner, "font-size": this.pixels(14) }, group);
    label.textContent = shape.name;
  }

  #showHandle(point, number, focused) {
    const [cx, cy] = this.place(point);
    const handle = svgElement("g", { class: "handle", tabindex: 0, role: "button", "data-point": number }, at("handles"));
    const [x, y] = point.map((each) => each * 100);
    handle.setAttribute("aria-label", words("point", { number: number + 1, name: this.#drawing.shape.name, x, y }));
    svgElement("circle", { class: "reach", cx, cy, r: this.pixels(22) }, handle);
    svgElement("circle", { class: "dot", cx, cy, r: this.pixels(8) }, handle);
    if (focused) handle.focus({ preventScroll: true });
  }
}
