// The day by the hour: visitors as bars over last week's ghost, conversion as a line, closed hours shaded, and hours of
// which something is left out framed and named.

import { baseLayout, countAxis, draw, rateAxis } from "./plotly.js";

const bar = (x, y, more) => ({ type: "bar", x, y, ...more });

export function drawHours(host, day, leftOut) {
  return draw(host, (c, narrow) => {
    const x = day.hours.map((hour) => hour.label);
    const pick = (name) => day.hours.map((hour) => hour[name]);
    const layout = baseLayout(c, narrow);
    const step = narrow && x.length > 9 ? 3 : x.length > 16 ? 2 : 1;
    const ticks = x.filter((_, index) => index % step === 0);
    const top = Math.max(0.05, ...pick("conversion").filter((share) => share !== null));
    return {
      traces: [
        bar(x, pick("last_week"), {
          name: day.labels.last_week,
          marker: { color: c.ghost },
          width: 0.82,
          hovertemplate: "%{y:,}",
        }),
        bar(x, pick("visitors"), {
          name: day.labels.visitors,
          marker: { color: c.visitors },
          width: 0.5,
          hovertemplate: "%{y:,}",
        }),
        {
          type: "scatter",
          mode: "lines+markers",
          x,
          y: pick("conversion"),
          yaxis: "y2",
          name: day.labels.conversion,
          connectgaps: false,
          line: { color: c.conversion, width: 2.5 },
          marker: { color: c.conversion, size: 6, line: { color: c.surface, width: 1.5 } },
          hovertemplate: "%{y:.1%}",
        },
      ],
      layout: {
        ...layout,
        barmode: "overlay",
        xaxis: {
          type: "category",
          tickmode: "array",
          tickvals: ticks,
          range: [-0.6, x.length - 0.4],
          showgrid: false,
          zeroline: false,
          fixedrange: true,
          ticklabelstandoff: 6,
          color: c.ink3,
        },
        yaxis: countAxis(c),
        yaxis2: rateAxis(c, top * 1.35),
        shapes: day.hours.flatMap((hour, index) => {
          const stretch = { type: "rect", layer: "below", xref: "x", yref: "paper", x0: index - 0.5, x1: index + 0.5, y0: 0, y1: 1 };
          const shapes = hour.open ? [] : [{ ...stretch, fillcolor: c.closed, line: { width: 0 } }];
          if (hour.key in leftOut.hours) shapes.push({ ...stretch, line: { width: 1.5, dash: "dot", color: c.warn } });
          return shapes;
        }),
        annotations: day.hours.flatMap((hour, index) =>
          hour.key in leftOut.hours
            ? [{ x: index, y: 1, yref: "paper", yanchor: "top", showarrow: false, text: leftOut.label, font: { size: 11, color: c.ink3 } }]
            : [],
        ),
      },
    };
  });
}
