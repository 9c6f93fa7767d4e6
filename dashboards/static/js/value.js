// Entry of the page of customer value: the share of members of high value, and of profit they bring, by the day.

import { baseLayout, draw } from "./plotly.js";

function drawTrend(host, trend) {
  return draw(host, (c, narrow) => {
    const x = trend.days.map((day) => day.day);
    const line = (name, colour) => ({
      type: "scatter",
      mode: x.length > 31 ? "lines" : "lines+markers",
      x,
      y: trend.days.map((day) => day[name]),
      name: trend.labels[name],
      connectgaps: false,
      line: { color: colour, width: 2.5 },
      marker: { color: colour, size: 6 },
      hovertemplate: "%{y:.1%}",
    });
    const axis = { showgrid: false, zeroline: false, fixedrange: true, ticklabelstandoff: 6, color: c.ink3 };
    return {
      traces: [line("share", c.visitors), line("profit", c.conversion)],
      layout: {
        ...baseLayout(c, narrow),
        xaxis: {
          ...axis,
          type: "date",
          tickformat: trend.tickformat,
          hoverformat: trend.hoverformat,
          nticks: narrow ? 4 : 10,
        },
        yaxis: { ...axis, showgrid: true, gridcolor: c.rule, tickformat: ".0%", rangemode: "tozero", nticks: 5 },
      },
    };
  });
}

const host = document.getElementById("value-chart");
if (host) {
  const trend = JSON.parse(document.getElementById("value-data").textContent);
  drawTrend(host, trend).catch(() => (host.textContent = host.dataset.failed));
}
