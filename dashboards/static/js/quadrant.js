// Visitors against conversion, a point for each line of the table; the medians part it into four.

import { baseLayout, draw, WHOLE } from "./plotly.js";

const SIDES = { "top center": [-0.5, -1.5], "bottom center": [-0.5, 0.5], "middle right": [0.15, -0.5], "middle left": [-1.15, -0.5] };
const LINE = 14;

// Where each name stands beside its point so that no two lie on each other; "" where there is room on no side. The
// table and the pointer tell such a name.
function placed(points, [x0, x1], [y0, y1], width, height) {
  const taken = [];
  return points.map((point) => {
    const long = [...point.name].reduce((sum, letter) => sum + (letter > "\u2e80" ? 11.5 : 6.5), 8);
    const [x, y] = [((point.x - x0) / (x1 - x0)) * width, (1 - (point.y - y0) / (y1 - y0)) * height];
    for (const [side, [across, down]] of Object.entries(SIDES)) {
      const [left, top] = [x + across * long, y + down * LINE];
      const isFree = taken.every(([l, t, w]) => left > l + w || left + long < l || top > t + LINE || top + LINE < t);
      if (!isFree || left < -16 || left + long > width + 16) continue;
      taken.push([left, top, long]);
      return side;
    }
    return "";
  });
}

// What parts the stores is how they differ: an axis that began at nothing would press them into one line. Room is left
// for the names, and where all are alike a tenth of what they are is shown.
function around(values, middle) {
  const least = Math.min(middle, ...values);
  const most = Math.max(middle, ...values);
  const room = Math.max((most - least) * 0.18, most * 0.05) || 1;
  return [Math.max(0, least - room), most + room];
}

export function drawQuadrant(host, quadrant) {
  return draw(host, (c, narrow) => {
    const layout = baseLayout(c, narrow);
    const axis = { showgrid: true, gridcolor: c.rule, zeroline: false, fixedrange: true, ticklabelstandoff: 6, color: c.ink3, nticks: narrow ? 4 : 7 };
    const rule = { type: "line", line: { color: c.ink3, width: 1, dash: "dot" } };
    // Names of a thousand points would hide the points.
    const few = quadrant.points.length <= 24;
    const margin = { ...layout.margin, t: 24, l: 56, b: 48 };
    const across = around(quadrant.points.map((point) => point.x), quadrant.x);
    const down = around(quadrant.points.map((point) => point.y), quadrant.y);
    const room = [host.clientWidth - margin.l - margin.r, host.clientHeight - margin.t - margin.b];
    const sides = few ? placed(quadrant.points, across, down, ...room) : [];
    return {
      traces: [
        {
          type: "scatter",
          mode: few ? "markers+text" : "markers",
          x: quadrant.points.map((point) => point.x),
          y: quadrant.points.map((point) => point.y),
          text: quadrant.points.map((point, index) => (sides[index] === "" ? "" : point.name)),
          hovertext: quadrant.points.map((point) => point.name),
          textposition: sides.map((side) => side || "top center"),
          textfont: { size: 11, color: c.ink2 },
          cliponaxis: false,
          marker: { color: c.visitors, size: few ? 11 : 6, opacity: 0.85, line: { color: c.surface, width: 1 } },
          hovertemplate: "%{hovertext}<br>%{x:,} · %{y:.1%}<extra></extra>",
        },
      ],
      layout: {
        ...layout,
        hovermode: "closest",
        margin,
        xaxis: { ...axis, title: { text: quadrant.labels.x, font: { size: 12 } }, tickformat: WHOLE, range: across },
        yaxis: { ...axis, title: { text: quadrant.labels.y, font: { size: 12 } }, tickformat: ".1~%", range: down },
        shapes: [
          { ...rule, xref: "x", yref: "paper", x0: quadrant.x, x1: quadrant.x, y0: 0, y1: 1 },
          { ...rule, xref: "paper", yref: "y", x0: 0, x1: 1, y0: quadrant.y, y1: quadrant.y },
        ],
      },
    };
  });
}
