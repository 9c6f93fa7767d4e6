// A camera's picture with what is counted on it. Whatever can be dragged can also be moved by arrow keys and set by
// numbers; what is drawn lives in `shapes` alone and everything shown is made of that. Words come from the server.

import { ask, Unable } from "./asking.js";
import * as geometry from "./camera-geometry.js";
import { showPaths } from "./camera-paths.js";
import { CHANGED, OVER, poll, SAME } from "./polling.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const LINES = ["door", "street", "interior"];
const ZONES = ["count", "staff", "ignore"];
const UNNAMED = ["staff", "ignore"];
const KEY_STEP = 0.01;
const FINE_STEP = 0.002;
const FATE_MS = 1500;

const at = (id) => document.getElementById(id);
const data = JSON.parse(at("camera-data").textContent);
const svg = at("canvas");
const numbers = new Intl.NumberFormat(data.locale === "zh" ? "zh-CN" : "en-GB", { maximumFractionDigits: 1 });

// What was refused is nowhere yet: its names and kinds are what has to be mended.
let shapes = data.shapes.map((shape) => ({ ...shape, known: !data.dirty }));
let chosen = shapes.length ? 0 : -1;
let mode = "";
let aspect = 4 / 3;
let dirty = data.dirty;
let before = [];

const words = (key, values = {}) =>
  data.words[key].replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? numbers.format(values[name]) : (values[name] ?? ""),
  );

const make = (name, attributes, parent) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent?.append(node);
  return node;
};

const element = (name, properties = {}, parent = null) => {
  const node = Object.assign(document.createElement(name), properties);
  parent?.append(node);
  return node;
};

const height = () => WIDTH / aspect;
const place = ([x, y]) => [x * WIDTH, y * height()];
const joined = (points) => points.map((point) => place(point).join(",")).join(" ");
// Screen pixels in units of the drawing, so that a handle is as large as a finger at any width.
const pixels = (count) => (count * WIDTH) / (svg.clientWidth || WIDTH);
const perCent = (share) => Math.round(share * 1000) / 10;
const isZone = (shape) => shape.shape === "zone";
const least = (shape) => (isZone(shape) ? 3 : 2);

const keep = () => {
  before.push(JSON.stringify(shapes));
  if (before.length > 100) before.shift();
};

const change = (update, { remember = true } = {}) => {
  if (remember) keep();
  update();
  dirty = true;
  draw();
};

// --- what is shown --------------------------------------------------------------------------------------------------

const drawShape = (shape, index) => {
  const group = make("g", { class: `shape ${shape.kind}${index === chosen ? " chosen" : ""}` }, at("shapes"));
  const outline = isZone(shape) ? "polygon" : "polyline";
  const points = joined(shape.points);
  if (isZone(shape)) make("polygon", { class: "area", points }, group);
  make(outline, { class: "halo", points }, group);
  make(outline, { class: "stroke", points }, group);
  if (!isZone(shape)) {
    const side = geometry.sideOf(shape.points, shape.inside, aspect);
    const [from, to] = geometry.arrowOf(shape.points, side, aspect).map(place);
    const arrow = { x1: from[0], y1: from[1], x2: to[0], y2: to[1] };
    make("line", { class: "halo", ...arrow }, group);
    make("line", { class: "arrow", ...arrow, "marker-end": "url(#head)" }, group);
  }
  const [x, y] = place(shape.points[0]);
  const label = make("text", { class: "label", x: x + pixels(12), y: Math.max(pixels(16), y - pixels(12)) }, group);
  label.setAttribute("font-size", pixels(14));
  label.textContent = shape.name;
  const grip = make(outline, { class: "grip", points }, group);
  if (isZone(shape)) grip.style.pointerEvents = "all";
  grip.addEventListener("pointerdown", (event) => mode || dragShape(event, index));
};

const drawHandle = (point, number, focused) => {
  const shape = shapes[chosen];
  const [cx, cy] = place(point);
  const handle = make("g", { class: "handle", tabindex: 0, role: "button", "data-point": number }, at("handles"));
  const [x, y] = point.map((each) => each * 100);
  handle.setAttribute("aria-label", words("point", { number: number + 1, name: shape.name, x, y }));
  make("circle", { class: "reach", cx, cy, r: pixels(22) }, handle);
  make("circle", { class: "dot", cx, cy, r: pixels(8) }, handle);
  handle.addEventListener("pointerdown", (event) => mode || dragPoint(event, number));
  handle.addEventListener("keydown", (event) => pressed(event, number));
  if (number === focused) handle.focus({ preventScroll: true });
};

const drawList = () => {
  const list = at("list");
  list.replaceChildren();
  shapes.forEach((shape, index) => {
    const button = element("button", { type: "button" }, element("li", {}, list));
    button.setAttribute("aria-pressed", index === chosen);
    element("b", { textContent: shape.name }, button);
    element("span", { textContent: words(shape.kind) }, button);
    button.addEventListener("click", () => choose(index));
  });
  const free = data.registered.filter((line) => !shapes.some((shape) => shape.id === line.id));
  at("undrawn").hidden = free.length === 0;
  at("undrawn-list").replaceChildren(
    ...free.map((line) => {
      const button = element("button", { type: "button", className: "button plain small", textContent: line.name });
      button.addEventListener("click", () => begin("line", line));
      return button;
    }),
  );
};

const drawChosen = () => {
  const shape = shapes[chosen];
  at("chosen").hidden = !shape;
  if (!shape) return;
  at("chosen-title").textContent = shape.name;
  const name = at("shape-name");
  if (document.activeElement !== name) name.value = shape.name;
  const registered = shape.known || data.registered.some((line) => line.id === shape.id);
  // Only what counts is registered by its name; of another zone it would be accepted here and kept nowhere.
  name.disabled = registered || UNNAMED.includes(shape.kind);
  const kinds = isZone(shape) ? ZONES : LINES;
  at("shape-kind").replaceChildren(
    ...kinds.map((kind) => element("option", { value: kind, textContent: words(kind), selected: kind === shape.kind })),
  );
  at("shape-kind").disabled = registered && !isZone(shape);
  at("shape-settle").checked = shape.settle === "on_exit";
  document.querySelector('[data-do="flip"]').hidden = isZone(shape);
  document.querySelector('[data-do="try"]').hidden = isZone(shape);
  drawPoints(shape);
};

const drawPoints = (shape) => {
  const body = at("points");
  const whose = `${chosen} ${shape.id} ${shape.points.length}`;
  if (body.dataset.whose === whose) {
    // The same cells again: who is on the way from one to the next must find it there.
    for (const input of body.querySelectorAll("input")) {
      if (input !== document.activeElement) input.value = perCent(shape.points[input.dataset.place][input.dataset.axis]);
    }
    return;
  }
  body.dataset.whose = whose;
  body.replaceChildren();
  shape.points.forEach((point, number) => {
    const row = element("tr", {}, body);
    const head = element("th", { textContent: number + 1 }, row);
    head.scope = "row";
    ["x", "y"].forEach((axis, which) => {
      const input = element("input", { className: "input", type: "number", min: 0, max: 100, step: 0.1 }, element("td", {}, row));
      input.value = perCent(point[which]);
      Object.assign(input.dataset, { cell: `${axis}${number}`, place: number, axis: which });
      input.setAttribute("aria-label", words(axis, { number: number + 1 }));
      input.addEventListener("change", () => {
        typed(number, which, input.value);
        input.value = perCent(shapes[chosen].points[number][which]);
      });
    });
    const buttons = element("td", {}, row);
    const add = element("button", { type: "button", className: "quiet", textContent: "+" }, buttons);
    add.setAttribute("aria-label", words("add_point", { number: number + 1 }));
    add.addEventListener("click", () => addPoint(number));
    const drop = element("button", { type: "button", className: "quiet", textContent: "−" }, buttons);
    drop.setAttribute("aria-label", words("remove_point", { number: number + 1 }));
    drop.disabled = shape.points.length <= least(shape);
    drop.addEventListener("click", () => dropPoint(number));
  });
};

const draw = (focused = -1) => {
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height()}`);
  for (const node of [svg.querySelector(".ground"), at("picture")]) node.setAttribute("height", height());
  at("shapes").replaceChildren();
  at("handles").replaceChildren();
  shapes.forEach(drawShape);
  shapes[chosen]?.points.forEach((point, number) => drawHandle(point, number, focused));
  drawList();
  drawChosen();
  at("state").textContent = words(dirty ? "unsaved" : shapes.length ? "saved" : "own_file");
  document.querySelector('[data-do="undo"]').disabled = before.length === 0;
  at("drawing").dataset.shapes = shapes.length;
};

const choose = (index) => {
  chosen = index;
  at("tried").textContent = "";
  draw();
};

// --- changing it ----------------------------------------------------------------------------------------------------

const reshape = (points) => {
  const shape = shapes[chosen];
  if (isZone(shape)) return { ...shape, points };
  const side = geometry.sideOf(shape.points, shape.inside, aspect);
  return { ...shape, points, inside: geometry.insidePoint(points, side, aspect) };
};

const setPoints = (points, options, focused) => {
  change(() => (shapes[chosen] = reshape(points)), options);
  if (focused !== undefined) draw(focused);
};

const typed = (number, which, text) => {
  const value = Number(text) / 100;
  if (!Number.isFinite(value)) return draw();
  const to = shapes[chosen].points[number].map((each, axis) => (axis === which ? value : each));
  setPoints(geometry.moved(shapes[chosen].points, number, to));
};

const addPoint = (number) => {
  const shape = shapes[chosen];
  setPoints(geometry.inserted(shape.points, number, isZone(shape)), {}, number + 1);
};

const dropPoint = (number) => {
  const shape = shapes[chosen];
  if (shape.points.length <= least(shape)) return;
  setPoints(geometry.removed(shape.points, number, least(shape)), {}, Math.max(0, number - 1));
};

const fraction = (event) => {
  const box = svg.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};

// Follows a finger or a mouse until it lets go; one step of undo for the whole way.
const follow = (event, onMove, onEnd = () => {}) => {
  event.preventDefault();
  event.stopPropagation();
  keep();
  const move = (moved) => moved.pointerId === event.pointerId && onMove(fraction(moved));
  const end = (ended) => {
    if (ended.pointerId !== event.pointerId) return;
    for (const [name, handler] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) {
      window.removeEventListener(name, handler);
    }
    onEnd();
  };
  for (const [name, handler] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) {
    window.addEventListener(name, handler);
  }
};

const dragPoint = (event, number) => {
  follow(
    event,
    (to) => setPoints(geometry.moved(shapes[chosen].points, number, to), { remember: false }),
    () => draw(number),
  );
};

const dragShape = (event, index) => {
  if (index !== chosen) choose(index);
  let last = fraction(event);
  follow(event, (to) => {
    setPoints(geometry.shifted(shapes[chosen].points, [to[0] - last[0], to[1] - last[1]]), { remember: false });
    last = to;
  });
};

const pressed = (event, number) => {
  const step = event.shiftKey ? FINE_STEP : KEY_STEP;
  const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  const way = ways[event.key];
  const [x, y] = shapes[chosen].points[number];
  if (way) setPoints(geometry.moved(shapes[chosen].points, number, [x + way[0], y + way[1]]), {}, number);
  else if (event.key === "Delete" || event.key === "Backspace") dropPoint(number);
  else if (event.key === "Insert" || event.key === "+") addPoint(number);
  else return;
  event.preventDefault();
};

// --- drawing something new ------------------------------------------------------------------------------------------

let wanted = null;

const begin = (what, registered = null) => {
  mode = mode === what && !registered ? "" : what;
  wanted = registered;
  svg.classList.toggle("drawing-now", Boolean(mode));
  for (const name of ["line", "zone"]) {
    document.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", mode === name);
  }
  if (mode) {
    say(words(`draw_${mode}`));
    svg.focus({ preventScroll: true });
  } else say("");
};

const free = (stem) => {
  const taken = new Set([...data.taken, ...shapes.map((shape) => shape.id)]);
  let number = 1;
  while (taken.has(`${data.camera}-${stem}${number}`)) number += 1;
  return [`${data.camera}-${stem}${number}`, number];
};

const fresh = (what, points) => {
  const [id, number] = free(what === "line" ? "L" : "Z");
  const common = { shape: what, points, anchor: null, settle: "immediate", known: false };
  if (what === "zone") return { ...common, id, name: words("new_zone", { number }), kind: "staff", stay_s: 30 };
  const inside = geometry.insidePoint(points, 1, aspect);
  const own = wanted ?? { id, name: words("new_line", { number }), kind: "door" };
  return { ...common, id: own.id, name: own.name, kind: own.kind, inside };
};

const spanned = (what, [x0, y0], [x1, y1]) =>
  (what === "line" ? [[x0, y0], [x1, y1]] : [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]).map(geometry.rounded);

const placeNew = (what, from, to) => {
  shapes.push(fresh(what, spanned(what, from, to)));
  chosen = shapes.length - 1;
  dirty = true;
};

svg.addEventListener("pointerdown", (event) => {
  if (!mode) return;
  const [what, from] = [mode, fraction(event)];
  let made = false;
  follow(
    event,
    (to) => {
      if (made) shapes.pop();
      made = geometry.isDrawable(spanned(what, from, to), what === "zone", aspect);
      if (made) placeNew(what, from, to);
      else chosen = Math.min(chosen, shapes.length - 1);
      draw();
    },
    () => {
      if (made) begin(what);
      draw(made ? shapes[chosen].points.length - 1 : -1);
    },
  );
});

svg.addEventListener("keydown", (event) => {
  if (!mode) return;
  if (event.key === "Escape") begin(mode);
  if (event.key !== "Enter") return;
  event.preventDefault();
  keep();
  placeNew(mode, ...(mode === "line" ? [[0.2, 0.5], [0.8, 0.5]] : [[0.35, 0.35], [0.65, 0.65]]));
  begin(mode);
  draw(0);
});

// --- asking the box -------------------------------------------------------------------------------------------------

const say = (text) => (at("said").textContent = text);

const explained = (error) => {
  if (!(error instanceof Unable)) return data.trouble.failed;
  const known = data.trouble[error.code] ?? data.trouble.failed;
  return error.reason && error.code !== "absent" ? `${known} (${error.reason})` : known;
};

const asked = async (button, where, body, then) => {
  button.disabled = true;
  where.textContent = words("asking");
  try {
    await then(await ask(data.device, data.csrf, { camera: data.camera, ...body }));
  } catch (error) {
    where.textContent = explained(error);
  } finally {
    button.disabled = false;
  }
};

const takePicture = (button) =>
  asked(button, at("said"), { kind: "snapshot" }, async ({ snapshot }) => {
    const image = at("picture");
    aspect = snapshot.width / snapshot.height;
    image.setAttribute("href", snapshot.url);
    image.removeAttribute("hidden");
    at("no-picture").hidden = true;
    const time = snapshot.at ? new Date(snapshot.at).toLocaleTimeString(data.locale === "zh" ? "zh-CN" : "en-GB") : "—";
    say(words("picture", { time, people: snapshot.people }));
    draw();
  });

const showWays = (button) =>
  asked(button, at("said"), { kind: "paths" }, async ({ paths }) => {
    showPaths(at("paths"), paths.paths, place, pixels(4));
    const values = { people: paths.paths.length, seconds: Math.round(paths.seconds) };
    say(words(values.people ? "paths" : "no_paths", values));
  });

const tryLine = (button) => {
  const { id, points, inside, kind, anchor, settle } = shapes[chosen];
  const line = { id, inside, kind, anchor, settle, ...(points.length === 2 ? { start: points[0], end: points[1] } : { points }) };
  return asked(button, at("tried"), { kind: "line_test", line }, async ({ line_test: told }) => {
    const values = { seconds: Math.round(told.seconds), people: told.people, entries: told.entries, exits: told.exits };
    at("tried").textContent = words(told.entries + told.exits ? "tried" : "tried_none", values);
  });
};

// --- buttons, fields, sending ---------------------------------------------------------------------------------------

const deeds = {
  picture: takePicture,
  paths: showWays,
  try: tryLine,
  line: () => begin("line"),
  zone: () => begin("zone"),
  undo: () => {
    shapes = JSON.parse(before.pop());
    chosen = Math.min(chosen, shapes.length - 1);
    draw();
  },
  flip: () =>
    change(() => {
      const shape = shapes[chosen];
      const side = -geometry.sideOf(shape.points, shape.inside, aspect);
      shapes[chosen] = { ...shape, inside: geometry.insidePoint(shape.points, side, aspect) };
    }),
  delete: () =>
    change(() => {
      shapes.splice(chosen, 1);
      chosen = Math.min(chosen, shapes.length - 1);
    }),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button && !button.disabled) deeds[button.dataset.do](button);
});

at("shape-name").addEventListener("input", (event) =>
  change(() => (shapes[chosen] = { ...shapes[chosen], name: event.target.value }), { remember: false }),
);
at("shape-kind").addEventListener("change", (event) =>
  change(() => (shapes[chosen] = { ...shapes[chosen], kind: event.target.value })),
);
at("shape-settle").addEventListener("change", (event) =>
  change(() => (shapes[chosen] = { ...shapes[chosen], settle: event.target.checked ? "on_exit" : "immediate" })),
);
for (const name of ["mounting", "rotate"]) {
  at(name).value = data.settings[name];
  at(name).addEventListener("change", () => change(() => {}, { remember: false }));
}

const refuse = (text) => {
  at("refusal").textContent = text;
  at("refusal").hidden = false;
};

at("set").addEventListener("submit", (event) => {
  const small = shapes.find((shape) => !geometry.isDrawable(shape.points, isZone(shape), aspect));
  const counts = shapes.some((shape) => LINES.includes(shape.kind) || shape.kind === "count");
  if (small || !counts) {
    event.preventDefault();
    refuse(small ? words("too_small", { name: small.name }) : words("no_line"));
    return;
  }
  at("drawn-field").value = JSON.stringify({
    shapes: shapes.map(({ known, ...shape }) => shape),
    mounting: at("mounting").value,
    rotate: Number(at("rotate").value),
    target_fps: data.settings.target_fps,
  });
  dirty = false;
});

addEventListener("beforeunload", (event) => dirty && event.preventDefault());
addEventListener("resize", () => draw());

// --- what became of it ----------------------------------------------------------------------------------------------

const look = async () => {
  const answer = await fetch(`${data.address}/fate`);
  if (answer.redirected || answer.status === 403 || answer.status === 404) return OVER;
  if (!answer.ok) return SAME;
  const fate = await answer.json();
  const earlier = at("fate").textContent;
  at("fate").className = `badge ${fate.kind}`;
  at("fate").textContent = fate.revision ? `${fate.words} (${fate.revision})` : fate.words;
  at("fate").dataset.settled = fate.settled;
  at("fate-reason").textContent = fate.reason;
  if (fate.settled) return OVER;
  return at("fate").textContent === earlier ? SAME : CHANGED;
};

draw();
if (data.device) poll(look, FATE_MS);
