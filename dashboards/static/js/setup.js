// Waits beside its reader: when a step was done elsewhere (a box spoke, somebody was counted) the page shows it.

import { OVER, poll, SAME } from "./polling.js";

const LOOK_MS = 3000;
const steps = document.getElementById("steps");

const look = async () => {
  const answer = await fetch("/setup/state");
  if (answer.redirected) return OVER;
  if (!answer.ok) return SAME;
  const { done, begun, over } = await answer.json();
  if (done.join(" ") !== steps.dataset.done || begun.join(" ") !== steps.dataset.begun) {
    location.reload();
    return OVER;
  }
  return over ? OVER : SAME;
};

poll(look, LOOK_MS);
