// Hands on the picture: dragging a point or a shape, arrow keys, and drawing something new. Everything a pointer can do a
// keyboard can do, too. All of it is heard at the picture itself, since what is drawn there is made anew while it moves.

import { button, data, at, say, words } from "./camera-page.js";
import * as geometry from "./camera-geometry.js";

const KEY_STEP = 0.01;
const FINE_STEP = 0.002;

const svg = at("canvas");

const fraction = (event) => {
  const box = svg.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};

const spanned = (what, [x0, y0], [x1, y1]) =>
  (what === "line" ? [[x0, y0], [x1, y1]] : [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]).map(geometry.rounded);

// Where something new is laid by who draws with the keyboard.
const BY_KEY = { line: [[0.2, 0.5], [0.8, 0.5]], zone: [[0.35, 0.35], [0.65, 0.65]] };

export class Hands {
  #drawing;
  #mode = "";
  #wanted = null;

  constructor(drawing) {
    this.#drawing = drawing;
    svg.addEventListener("pointerdown", (event) => this.#touched(event));
    svg.addEventListener("keydown", (event) => this.#pressed(event));
  }

  /**
   * Draw a line or a zone next; the same again leaves it.
   *
   * @param {"line" | "zone"} what
   * @param {object | null} registered a line that has its name and id already and only has no place yet.
   */
  begin(what, registered = null) {
    this.#mode = this.#mode === what && !registered ? "" : what;
    this.#wanted = registered;
    svg.classList.toggle("drawing-now", Boolean(this.#mode));
    for (const name of ["line", "zone"]) button(name).setAttribute("aria-pressed", this.#mode === name);
    say(this.#mode && words(`draw_${this.#mode}`));
    if (this.#mode) svg.focus({ preventScroll: true });
  }

  #touched(event) {
    if (this.#mode) return this.#dragNew(event);
    const handle = event.target.closest("[data-point]");
    if (handle) return this.#dragPoint(event, Number(handle.dataset.point));
    const grip = event.target.closest("[data-shape]");
    if (grip) this.#dragShape(event, Number(grip.dataset.shape));
  }

  #pressed(event) {
    const handle = event.target.closest("[data-point]");
    if (handle && this.#pressedOn(event, Number(handle.dataset.point))) return event.preventDefault();
    if (!this.#mode) return;
    if (event.key === "Escape") this.begin(this.#mode);
    if (event.key !== "Enter") return;
    event.preventDefault();
    this.#drawing.hold();
    this.#drawing.add(this.#fresh(this.#mode, spanned(this.#mode, ...BY_KEY[this.#mode])));
    this.begin(this.#mode);
    this.#drawing.tell(0);
  }

  // Whether the key meant the point that has the focus.
  #pressedOn({ key, shiftKey }, number) {
    const step = shiftKey ? FINE_STEP : KEY_STEP;
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const [x, y] = this.#drawing.shape.points[number];
    if (ways[key]) this.#drawing.movePoint(number, [x + ways[key][0], y + ways[key][1]], { focus: number });
    else if (key === "Delete" || key === "Backspace") this.#drawing.dropPoint(number);
    else if (key === "Insert" || key === "+") this.#drawing.addPoint(number);
    else return false;
    return true;
  }

  // Follows a finger or a mouse until it lets go; `onEnd` says which point then has the focus.
  #follow(event, onMove, onEnd = () => -1) {
    event.preventDefault();
    this.#drawing.hold();
    const move = (moved) => moved.pointerId === event.pointerId && onMove(fraction(moved));
    const ways = { pointermove: move };
    const end = (ended) => {
      if (ended.pointerId !== event.pointerId) return;
      for (const [name, heard] of Object.entries(ways)) window.removeEventListener(name, heard);
      this.#drawing.release();
      this.#drawing.tell(onEnd());
    };
    Object.assign(ways, { pointerup: end, pointercancel: end });
    for (const [name, heard] of Object.entries(ways)) window.addEventListener(name, heard);
  }

  #dragPoint(event, number) {
    const move = (to) => this.#drawing.movePoint(number, to, { remember: false });
    this.#follow(event, move, () => number);
  }

  #dragShape(event, index) {
    if (index !== this.#drawing.chosen) this.#drawing.choose(index);
    let last = fraction(event);
    this.#follow(event, (to) => {
      this.#drawing.shift([to[0] - last[0], to[1] - last[1]], { remember: false });
      last = to;
    });
  }

  #dragNew(event) {
    const [what, from] = [this.#mode, fraction(event)];
    let made = false;
    const move = (to) => {
      if (made) this.#drawing.takeBack();
      const points = spanned(what, from, to);
      made = this.#drawing.isDrawable(points, what === "zone");
      if (made) this.#drawing.add(this.#fresh(what, points));
      this.#drawing.tell();
    };
    this.#follow(event, move, () => {
      if (!made) return -1;
      this.begin(what);
      return this.#drawing.shape.points.length - 1;
    });
  }

  #fresh(what, points) {
    const [id, number] = this.#freeId(what === "line" ? "L" : "Z");
    const common = { shape: what, points, anchor: null, settle: "immediate", known: false };
    if (what === "zone") return { ...common, id, name: words("new_zone", { number }), kind: "staff", stay_s: 30 };
    const inside = geometry.insidePoint(points, 1, this.#drawing.aspect);
    const own = this.#wanted ?? { id, name: words("new_line", { number }), kind: "door" };
    return { ...common, id: own.id, name: own.name, kind: own.kind, inside };
  }

  #freeId(stem) {
    const taken = new Set([...data.taken, ...this.#drawing.shapes.map((shape) => shape.id)]);
    let number = 1;
    while (taken.has(`${data.camera}-${stem}${number}`)) number += 1;
    return [`${data.camera}-${stem}${number}`, number];
  }
}
