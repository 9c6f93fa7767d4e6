// What became of what was sent to the box: looked after until the box has kept it or gone back.

import { at, data } from "./camera-page.js";
import { CHANGED, OVER, poll, SAME } from "./polling.js";

const EVERY_MS = 1500;

const look = async () => {
  const answer = await fetch(`${data.address}/fate`);
  if (answer.redirected || answer.status === 403 || answer.status === 404) return OVER;
  if (!answer.ok) return SAME;
  const fate = await answer.json();
  const badge = at("fate");
  const earlier = badge.textContent;
  badge.className = `badge ${fate.kind}`;
  badge.textContent = fate.revision ? `${fate.words} (${fate.revision})` : fate.words;
  badge.dataset.settled = fate.settled;
  at("fate-reason").textContent = fate.reason;
  if (fate.settled) return OVER;
  return badge.textContent === earlier ? SAME : CHANGED;
};

export const followFate = () => {
  if (data.device) poll(look, EVERY_MS);
};
