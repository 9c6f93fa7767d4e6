// A camera's picture with what is counted on it: who does what on the page, and sending it. The drawing knows nothing of
// the page; canvas and panel show it; hands change it; each is a file of its own.

import { showWays, takePicture, tryLine } from "./camera-asking.js";
import { Canvas } from "./camera-canvas.js";
import { Drawing, isZone, LINES } from "./camera-drawing.js";
import { followFate } from "./camera-fate.js";
import { Hands } from "./camera-hands.js";
import { at, data, words } from "./camera-page.js";
import { Panel } from "./camera-panel.js";

const drawing = new Drawing(data.shapes, data.dirty);
const canvas = new Canvas(drawing);
const hands = new Hands(drawing);
new Panel(drawing, (line) => hands.begin("line", line));

const deeds = {
  picture: (button) => takePicture(button, drawing),
  paths: (button) => showWays(button, canvas),
  try: (button) => tryLine(button, drawing.shape),
  line: () => hands.begin("line"),
  zone: () => hands.begin("zone"),
  undo: () => drawing.undo(),
  flip: () => drawing.flip(),
  delete: () => drawing.remove(),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button && !button.disabled) deeds[button.dataset.do](button);
});

for (const name of ["mounting", "rotate"]) {
  at(name).value = data.settings[name];
  at(name).addEventListener("change", () => drawing.change(() => {}, { remember: false }));
}

const refusal = () => {
  const small = drawing.shapes.find((shape) => !drawing.isDrawable(shape.points, isZone(shape)));
  if (small) return words("too_small", { name: small.name });
  const counts = drawing.shapes.some((shape) => LINES.includes(shape.kind) || shape.kind === "count");
  return counts ? "" : words("no_line");
};

at("set").addEventListener("submit", (event) => {
  const refused = refusal();
  at("refusal").textContent = refused;
  at("refusal").hidden = !refused;
  if (refused) return event.preventDefault();
  at("drawn-field").value = JSON.stringify({
    shapes: drawing.shapes.map(({ known, ...shape }) => shape),
    mounting: at("mounting").value,
    rotate: Number(at("rotate").value),
    target_fps: data.settings.target_fps,
  });
  drawing.dirty = false;
});

addEventListener("beforeunload", (event) => drawing.dirty && event.preventDefault());
addEventListener("resize", () => drawing.tell());

drawing.tell();
followFate();
