// Keeps a store page up to date. The server sends every figure already written out in the reader's language; this file
// puts the words where they belong and says honestly when they are no longer fresh. A page nobody sees follows nothing:
// its stream is closed while it is hidden and opened when it is shown.

const STALE_MS = 20000;

export function follow(badge, onDay) {
  const status = badge.querySelector("[data-live-status]");
  const asOf = badge.querySelector("[data-live-as-of]");
  let last = Date.now();
  let source = null;

  const say = (state, text) => {
    badge.dataset.state = state;
    if (status.textContent !== text) status.textContent = text;
  };

  const put = (name, value) => {
    for (const place of document.querySelectorAll(`[data-live="${name}"]`)) {
      if (place.textContent === value) continue;
      place.textContent = value;
      place.classList.remove("bumped");
      // Reading a size restarts the animation.
      void place.offsetWidth;
      place.classList.add("bumped");
    }
  };

  const putDelta = (name, delta) => {
    for (const place of document.querySelectorAll(`[data-delta="${name}"]`)) {
      place.hidden = !delta;
      if (!delta) continue;
      place.className = `delta ${delta.direction}`;
      place.querySelector("use").setAttribute("href", `${badge.dataset.icons}#${delta.direction}`);
      place.querySelector("[data-delta-text]").textContent = delta.text;
    }
  };

  const take = (event) => {
    const view = JSON.parse(event.data);
    last = Date.now();
    if (view.day.date !== badge.dataset.day) {
      // A new business day has begun: everything on the page is another day's.
      location.reload();
      return;
    }
    for (const figure of view.figures) {
      put(figure.name, figure.text);
      put(`${figure.name}_before`, figure.before);
      for (const place of document.querySelectorAll(`.value[data-live="${figure.name}"]`)) {
        place.classList.toggle("none", figure.missing);
      }
      putDelta(figure.name, figure.delta);
      for (const place of document.querySelectorAll(`[data-note="${figure.name}"]`)) {
        if (place.textContent !== figure.note) place.textContent = figure.note;
      }
    }
    put("coverage", view.coverage.text);
    for (const gauge of document.querySelectorAll("[data-gauge]")) {
      gauge.classList.toggle("low", view.coverage.low);
      gauge.querySelector("rect").setAttribute("width", view.coverage.width ?? 0);
    }
    asOf.textContent = view.as_of;
    say("live", badge.dataset.live);
    onDay(view);
  };

  const open = () => {
    const isOpen = source !== null && source.readyState !== EventSource.CLOSED;
    if (document.hidden || isOpen) return;
    source = new EventSource(badge.dataset.stream);
    source.addEventListener("view", take);
    source.addEventListener("trouble", () => say("stale", badge.dataset.stale));
    source.addEventListener("error", () => {
      // CLOSED means the server refused, most likely because the session has ended; else the browser tries again.
      const refused = source.readyState === EventSource.CLOSED;
      say("stale", refused ? badge.dataset.refused : badge.dataset.lost);
      if (refused) setTimeout(open, STALE_MS);
    });
  };

  setInterval(() => {
    if (badge.dataset.state === "live" && Date.now() - last > STALE_MS) say("stale", badge.dataset.stale);
  }, 1000);
  document.addEventListener("visibilitychange", () => (document.hidden ? source?.close() : open()));
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => event.persisted && open());
  open();
}
