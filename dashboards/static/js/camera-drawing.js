// What is drawn on a camera's picture, which of it is chosen, and the way back. It knows nothing of the page: whoever
// shows it is told by `watch`, and everything shown is made of this anew. A shape is never changed in place, only put in
// the place of the one before, so that a step of undo is what stood there and not what became of it.

import * as geometry from "./camera-geometry.js";

export const LINES = ["door", "street", "interior"];
export const ZONES = ["count", "staff", "ignore"];

const MOST_STEPS = 100;

export const isZone = (shape) => shape.shape === "zone";
export const leastPoints = (shape) => (isZone(shape) ? 3 : 2);

export class Drawing {
  #before = [];
  #watchers = [];

  /**
   * @param {object[]} shapes as the server told them; points in fractions of the picture.
   * @param {boolean} dirty whether they are kept nowhere yet: what was refused is to be mended.
   */
  constructor(shapes, dirty) {
    this.shapes = shapes.map((shape) => ({ ...shape, known: !dirty }));
    this.chosen = shapes.length ? 0 : -1;
    this.dirty = dirty;
    this.aspect = 4 / 3;
  }

  /** The chosen shape, or undefined where there is none. */
  get shape() {
    return this.shapes[this.chosen];
  }

  get canUndo() {
    return this.#before.length > 0;
  }

  /** @param {(focused: number) => void} show is told after each change, and which point is to have the focus (-1: none). */
  watch(show) {
    this.#watchers.push(show);
  }

  tell(focused = -1) {
    for (const show of this.#watchers) show(focused);
  }

  choose(index) {
    this.chosen = index;
    this.tell();
  }

  // --- the way back -------------------------------------------------------------------------------------------------

  /** Remember what stands, before a hand moves it: the whole way is one step. */
  hold() {
    this.#before.push(JSON.stringify(this.shapes));
    if (this.#before.length > MOST_STEPS) this.#before.shift();
  }

  /** The hand has let go; a touch that moved nothing is no step. */
  release() {
    if (this.#before.at(-1) === JSON.stringify(this.shapes)) this.#before.pop();
  }

  undo() {
    if (!this.canUndo) return;
    this.shapes = JSON.parse(this.#before.pop());
    this.#chooseWithin(Math.max(this.chosen, 0));
    this.tell();
  }

  change(update, { remember = true, focus = -1 } = {}) {
    if (remember) this.hold();
    update();
    this.dirty = true;
    this.tell(focus);
  }

  // --- changing a shape ---------------------------------------------------------------------------------------------

  /** Lay `changes` over the chosen shape. */
  put(changes, options) {
    this.change(() => (this.shapes[this.chosen] = { ...this.shape, ...changes }), options);
  }

  /** The chosen shape's points; a line's inside stays on the side it was on. */
  putPoints(points, options) {
    if (isZone(this.shape)) return this.put({ points }, options);
    this.put({ points, inside: geometry.insidePoint(points, this.side(), this.aspect) }, options);
  }

  /** On which side of a line its inside is. */
  side(shape = this.shape) {
    return geometry.sideOf(shape.points, shape.inside, this.aspect);
  }

  movePoint(number, to, options) {
    this.putPoints(geometry.moved(this.shape.points, number, to), options);
  }

  /** A whole shape by a vector, as far as it stays within the picture. */
  shift(by, options) {
    this.putPoints(geometry.shifted(this.shape.points, by), options);
  }

  addPoint(number) {
    this.putPoints(geometry.inserted(this.shape.points, number, isZone(this.shape)), { focus: number + 1 });
  }

  dropPoint(number) {
    const least = leastPoints(this.shape);
    if (this.shape.points.length <= least) return;
    this.putPoints(geometry.removed(this.shape.points, number, least), { focus: Math.max(0, number - 1) });
  }

  flip() {
    this.put({ inside: geometry.insidePoint(this.shape.points, -this.side(), this.aspect) });
  }

  // --- what is there ------------------------------------------------------------------------------------------------

  isDrawable(points, closed) {
    return geometry.isDrawable(points, closed, this.aspect);
  }

  add(shape) {
    this.shapes.push(shape);
    this.chosen = this.shapes.length - 1;
    this.dirty = true;
  }

  /** Take back what was added last, while the hand that draws it is still on its way. */
  takeBack() {
    this.shapes.pop();
    this.#chooseWithin(this.chosen);
  }

  remove() {
    this.change(() => {
      this.shapes.splice(this.chosen, 1);
      this.#chooseWithin(this.chosen);
    });
  }

  #chooseWithin(index) {
    this.chosen = Math.min(index, this.shapes.length - 1);
  }
}
