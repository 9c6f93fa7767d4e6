// From one period's net sales to the other's: what each cause added or took away, to the cent.

import { baseLayout, draw, WHOLE } from "./plotly.js";

export function drawWaterfall(host, bridge) {
  return draw(host, (c, narrow) => {
    const layout = baseLayout(c, narrow);
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    // On a phone a name of several words takes a line for each: turned, the last one would leave the picture.
    const label = (step) => (narrow ? step.label.replaceAll(" ", "<br>") : step.label);
    return {
      traces: [
        {
          type: "waterfall",
          x: bridge.steps.map(label),
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
          hovertext: bridge.steps.map((step) => `${step.label}: ${step.text}`),
          hovertemplate: "%{hovertext}<extra></extra>",
        },
      ],
      layout: {
        ...layout,
        hovermode: "closest",
        margin: { ...layout.margin, t: 30, l: narrow ? 58 : 72, r: 16, b: narrow ? 56 : 40 },
        xaxis: { fixedrange: true, color: c.ink3, tickangle: 0, tickfont: { size: narrow ? 10 : 12 } },
        yaxis: { tickformat: WHOLE, fixedrange: true, color: c.ink3, gridcolor: c.rule, zerolinecolor: c.rule, nticks: 6, range: bridge.range },
      },
    };
  });
}
