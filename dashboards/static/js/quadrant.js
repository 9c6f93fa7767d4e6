// Visitors against conversion, a point for each line of the table; the medians part it into four.

import { baseLayout, draw, WHOLE } from "./plotly.js";

// What parts the stores is how they differ: an axis that began at nothing would press them into one line. Room is left
// for the names, and where all are alike a tenth of what they are is shown.
function around(values, middle) {
  const least = Math.min(middle, ...values);
  const most = Math.max(middle, ...values);
  const room = Math.max((most - least) * 0.18, most * 0.05);
  return [Math.max(0, least - room), most + room];
}

export function drawQuadrant(host, quadrant) {
  return draw(host, (c, narrow) => {
    const layout = baseLayout(c, narrow);
    const axis = { showgrid: true, gridcolor: c.rule, zeroline: false, fixedrange: true, color: c.ink3, nticks: narrow ? 4 : 7 };
    const rule = { type: "line", line: { color: c.ink3, width: 1, dash: "dot" } };
    // Names of a thousand points would hide the points.
    const few = quadrant.points.length <= 24;
    return {
      traces: [
        {
          type: "scatter",
          mode: few ? "markers+text" : "markers",
          x: quadrant.points.map((point) => point.x),
          y: quadrant.points.map((point) => point.y),
          text: quadrant.points.map((point) => point.name),
          textposition: "top center",
          textfont: { size: 11, color: c.ink2 },
          cliponaxis: false,
          marker: { color: c.visitors, size: few ? 11 : 6, opacity: 0.85, line: { color: c.surface, width: 1 } },
          hovertemplate: "%{text}<br>%{x:,} · %{y:.1%}<extra></extra>",
        },
      ],
      layout: {
        ...layout,
        hovermode: "closest",
        margin: { ...layout.margin, t: 24, l: 56, b: 48 },
        xaxis: { ...axis, title: { text: quadrant.labels.x, font: { size: 12 } }, tickformat: WHOLE, range: around(quadrant.points.map((point) => point.x), quadrant.x) },
        yaxis: { ...axis, title: { text: quadrant.labels.y, font: { size: 12 } }, tickformat: ".0%", range: around(quadrant.points.map((point) => point.y), quadrant.y) },
        shapes: [
          { ...rule, xref: "x", yref: "paper", x0: quadrant.x, x1: quadrant.x, y0: 0, y1: 1 },
          { ...rule, xref: "paper", yref: "y", x0: 0, x1: 1, y0: quadrant.y, y1: quadrant.y },
        ],
      },
    };
  });
}
