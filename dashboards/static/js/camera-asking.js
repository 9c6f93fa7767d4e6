// What the page asks the camera's box while its reader waits: a picture, where people walked, what a line would have
// counted. A question may end in words of the box's own; those stand beside ours, never instead of them.

import { ask, Unable } from "./asking.js";
import { at, data, LOCALE, say, words } from "./camera-page.js";
import { showPaths } from "./camera-paths.js";

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

export const takePicture = (button, drawing) =>
  asked(button, at("said"), { kind: "snapshot" }, async ({ snapshot }) => {
    const image = at("picture");
    drawing.aspect = snapshot.width / snapshot.height;
    image.setAttribute("href", snapshot.url);
    image.removeAttribute("hidden");
    at("no-picture").hidden = true;
    const time = snapshot.at ? new Date(snapshot.at).toLocaleTimeString(LOCALE) : "—";
    say(words(snapshot.veiled ? "picture_veiled" : "picture", { time, people: snapshot.people }));
    drawing.tell();
  });

export const showWays = (button, canvas) =>
  asked(button, at("said"), { kind: "paths" }, async ({ paths }) => {
    showPaths(at("paths"), paths.paths, canvas.place, canvas.pixels(4));
    const values = { people: paths.paths.length, seconds: Math.round(paths.seconds) };
    say(words(values.people ? "paths" : "no_paths", values));
  });

export const tryLine = (button, { id, points, inside, kind, anchor, settle }) => {
  const ends = points.length === 2 ? { start: points[0], end: points[1] } : { points };
  const line = { id, inside, kind, anchor, settle, ...ends };
  return asked(button, at("tried"), { kind: "line_test", line }, async ({ line_test: told }) => {
    const values = { seconds: Math.round(told.seconds), people: told.people, entries: told.entries, exits: told.exits };
    at("tried").textContent = words(told.entries + told.exits ? "tried" : "tried_none", values);
  });
};
