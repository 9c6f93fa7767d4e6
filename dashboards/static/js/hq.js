// Entry of the chain page.

import { drawChain } from "./chain.js";

const host = document.getElementById("chain-chart");
if (host) {
  const chain = JSON.parse(document.getElementById("chain-data").textContent);
  drawChain(host, chain).catch(() => (host.textContent = host.dataset.failed));
}
