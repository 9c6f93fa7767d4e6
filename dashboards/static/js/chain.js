// The chain by the day: visitors as an area, conversion as a line, numbered bands for what explains a day.

import { baseLayout, countAxis, draw, faint, rateAxis } from "./plotly.js";

export function drawChain(host, chain) {
  return draw(host, (c, narrow) => {
    const x = chain.days.map((day) => day.day);
    const pick = (name) => chain.days.map((day) => day[name]);
    const text = chain.days.map((day) => day.label);
    const fills = { promotion: c.sales, weather: c.visitors, event: c.other, outage: c.warn };
    const shares = pick("conversion").filter((share) => share !== null);
    const top = Math.max(0.05, ...shares);
    const few = x.length <= 2;
    const layout = baseLayout(c, narrow);
    return {
      traces: [
        {
          type: few ? "bar" : "scatter",
          mode: "lines",
          x,
          y: pick("visitors"),
          customdata: text,
          name: chain.labels.visitors,
          fill: few ? undefined : "tozeroy",
          fillcolor: faint(c.visitors, 0.16),
          line: { color: c.visitors, width: 2 },
          marker: { color: c.visitors },
          width: few ? 0.4 * 86400000 : undefined,
          hovertemplate: "%{y:,}",
        },
        {
          type: "scatter",
          mode: x.length > 31 ? "lines" : "lines+markers",
          x,
          y: pick("conversion"),
          yaxis: "y2",
          name: chain.labels.conversion,
          connectgaps: false,
          line: { color: c.conversion, width: 2.5 },
          marker: { color: c.conversion, size: few ? 9 : 6, line: { color: c.surface, width: 1.5 } },
          hovertemplate: "%{y:.1%}",
        },
      ],
      layout: {
        ...layout,
        margin: { ...layout.margin, t: chain.facts.length ? 30 : 12 },
        xaxis: {
          type: "date",
          tickformat: chain.tickformat,
          hoverformat: chain.hoverformat,
          nticks: narrow ? 4 : 10,
          showgrid: false,
          zeroline: false,
          fixedrange: true,
          ticklabelstandoff: 6,
          color: c.ink3,
        },
        yaxis: countAxis(c),
        yaxis2: rateAxis(c, top * 1.25),
        shapes: chain.facts.map((fact) => ({
          type: "rect",
          layer: "below",
          xref: "x",
          yref: "paper",
          x0: fact.x0,
          x1: fact.x1,
          y0: 0,
          y1: 1,
          fillcolor: fills[fact.kind],
          opacity: 0.13,
          line: { width: 0 },
        })),
        annotations: numbered(chain.facts).map(([middle, numbers]) => ({
          xref: "x",
          yref: "paper",
          x: middle,
          y: 1,
          yanchor: "bottom",
          showarrow: false,
          text: numbers.join(", "),
          font: { size: 12, color: c.ink2 },
        })),
      },
    };
  });
}

// Facts of the same days share a label: two numbers in one place could not be read.
function numbered(facts) {
  const places = new Map();
  for (const fact of facts) places.set(fact.middle, [...(places.get(fact.middle) ?? []), fact.number]);
  return [...places];
}
