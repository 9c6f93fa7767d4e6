// Entry of the store page.

import { drawHours } from "./hours.js";
import { follow } from "./live.js";
import { quartersOf } from "./quarters.js";

const host = document.getElementById("hours-chart");
const leftOut = JSON.parse(document.getElementById("left-out").textContent);
let shown = document.getElementById("day-data").textContent;

const show = (day) => drawHours(host, day, leftOut).catch(() => (host.textContent = host.dataset.failed));

const table = (rows) => {
  for (const row of rows) {
    const cells = document.querySelectorAll(`[data-hour="${row.key}"] [data-cell]`);
    for (const cell of cells) {
      const text = row.cells[cell.dataset.cell];
      if (cell.textContent !== text) cell.textContent = text;
    }
  }
};

// On a narrow screen the strip of days begins at its newest.
for (const strip of document.querySelectorAll("[data-from-end]")) strip.scrollLeft = strip.scrollWidth;

const quarters = quartersOf(document.getElementById("quarters-chart"));
show(JSON.parse(shown));
quarters();
follow(document.getElementById("live"), (view) => {
  const fresh = JSON.stringify(view.day);
  if (fresh === shown) return;
  shown = fresh;
  table(view.day.hours);
  quarters();
  if (host.dataset.drawn) show(view.day);
});
