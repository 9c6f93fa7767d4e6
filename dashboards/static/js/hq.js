// Entry of headquarters' pages: each chart that the page has, from the data beside it.

import { drawChain } from "./chain.js";
import { drawQuadrant } from "./quadrant.js";
import { drawWaterfall } from "./waterfall.js";

const charts = { "chain-chart": ["chain-data", drawChain], quadrant: ["quadrant-data", drawQuadrant], waterfall: ["waterfall-data", drawWaterfall] };

for (const [id, [data, drawIt]] of Object.entries(charts)) {
  const host = document.getElementById(id);
  if (host) {
    const given = JSON.parse(document.getElementById(data).textContent);
    drawIt(host, given).catch(() => (host.textContent = host.dataset.failed));
  }
}
