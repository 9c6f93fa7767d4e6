// From one period's net sales to the other's: what each cause added or took away, to the cent.

import { baseLayout, draw, WHOLE } from "./plotly.js";

export function drawWaterfall(host, bridge) {
  return draw(host, (c, narrow) => {
    const layout = baseLayout(c, narrow);
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    // On a phone it lies on its side: six names beside each other have no room there.
    const [names, amounts] = [bridge.steps.map((step) => step.label), bridge.steps.map((step) => step.amount)];
    const money = { tickformat: WHOLE, fixedrange: true, color: c.ink3, gridcolor: c.rule, zerolinecolor: c.rule, range: bridge.range };
    const causes = { fixedrange: true, color: c.ink3, tickfont: { size: narrow ? 11 : 12 } };
    return {
      traces: [
        {
          type: "waterfall",
          orientation: narrow ? "h" : "v",
          x: narrow ? amounts : names,
          y: narrow ? names : amounts,
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
        margin: { ...layout.margin, t: narrow ? 12 : 30, l: narrow ? 104 : 72, r: narrow ? 28 : 16, b: narrow ? 34 : 40 },
        xaxis: narrow ? { ...money, nticks: 3 } : causes,
        yaxis: narrow ? { ...causes, autorange: "reversed" } : { ...money, nticks: 6 },
      },
    };
  });
}
