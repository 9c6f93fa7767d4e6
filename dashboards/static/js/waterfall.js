// From one period's net sales to the other's: what each cause added or took away, to the cent.

import { baseLayout, draw } from "./plotly.js";

export function drawWaterfall(host, bridge) {
  return draw(host, (c, narrow) => {
    const layout = baseLayout(c, narrow);
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    return {
      traces: [
        {
          type: "waterfall",
          x: bridge.steps.map((step) => step.label),
          y: bridge.steps.map((step) => step.amount),
          measure: bridge.steps.map((step) => step.measure),
          text: bridge.steps.map((step) => step.text),
          textposition: "outside",
          textfont: { size: narrow ? 10 : 12, color: c.ink2 },
          cliponaxis: false,
          connector: { line: { color: c.rule, width: 1 } },
          increasing: { marker: { color: read("up") } },
          decreasing: { marker: { color: read("down") } },
          totals: { marker: { color: c.visitors } },
          hovertemplate: "%{x}: %{text}<extra></extra>",
        },
      ],
      layout: {
        ...layout,
        hovermode: "closest",
        margin: { ...layout.margin, t: 30, l: narrow ? 48 : 72, r: 16, b: narrow ? 56 : 40 },
        xaxis: { fixedrange: true, color: c.ink3, tickfont: { size: narrow ? 10 : 12 } },
        yaxis: { fixedrange: true, color: c.ink3, gridcolor: c.rule, zerolinecolor: c.rule, nticks: 6, range: bridge.range },
      },
    };
  });
}
