// The day by quarter hour: visitors over last week's ghost, with the closed quarter hours shaded. The table under it is
// filled from the same answer.

import { baseLayout, countAxis, draw } from "./plotly.js";

// An open page asks again when something moved, and no more often than this.
const AGAIN_MS = 15000;

const paint = (host, quarters) =>
  draw(host, (c, narrow) => {
    const x = quarters.map((each) => each.label);
    const pick = (name) => quarters.map((each) => each[name]);
    const every = narrow ? 16 : 8;
    return {
      traces: [
        { type: "bar", x, y: pick("last_week"), name: host.dataset.lastWeek, marker: { color: c.ghost }, width: 0.9, hovertemplate: "%{y:,}" },
        { type: "bar", x, y: pick("visitors"), name: host.dataset.visitors, marker: { color: c.visitors }, width: 0.6, hovertemplate: "%{y:,}" },
      ],
      layout: {
        ...baseLayout(c, narrow),
        barmode: "overlay",
        xaxis: {
          type: "category",
          tickmode: "array",
          tickvals: x.filter((_, index) => index % every === 0),
          range: [-0.6, x.length - 0.4],
          showgrid: false,
          zeroline: false,
          fixedrange: true,
          ticklabelstandoff: 6,
          color: c.ink3,
        },
        yaxis: { ...countAxis(c), nticks: 4 },
        shapes: quarters.flatMap((each, index) =>
          each.open
            ? []
            : [{ type: "rect", layer: "below", xref: "x", yref: "paper", x0: index - 0.5, x1: index + 0.5, y0: 0, y1: 1, fillcolor: c.closed, line: { width: 0 } }],
        ),
      },
    };
  });

const fill = (body, quarters, closed) => {
  body.replaceChildren(
    ...quarters.map((each) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      const words = each.open ? each.label : `${each.label} ${closed}`;
      if (each.href) {
        const link = document.createElement("a");
        link.className = "why-link";
        link.href = each.href;
        link.textContent = words;
        head.append(link);
      } else {
        head.textContent = words;
      }
      row.append(head);
      for (const text of each.cells) row.insertCell().textContent = text;
      return row;
    }),
  );
};

export function quartersOf(host) {
  const body = document.querySelector("[data-quarters]");
  let last = 0;
  let waiting = null;
  const load = async () => {
    waiting = null;
    last = Date.now();
    const answer = await fetch(host.dataset.source, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const { quarters } = await answer.json();
    fill(body, quarters, host.dataset.closed);
    await paint(host, quarters);
  };
  const now = () => load().catch(() => host.dataset.drawn || (host.textContent = host.dataset.failed));
  return () => {
    waiting ??= setTimeout(now, Math.max(0, last + AGAIN_MS - Date.now()));
  };
}
