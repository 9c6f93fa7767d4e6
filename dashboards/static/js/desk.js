// Entry of the desk's pages while the network is there: prepares for the time it is not, and hands in what was kept.

import { ask, counted, worker } from "./desk-line.js";

const AGAIN_MS = 20000;
const host = document.getElementById("desk-line");
const desk = JSON.parse(document.getElementById("desk-data").textContent);
const words = host.querySelector("[data-words]");
const open = host.querySelector("[data-open]");

const say = (state, text) => {
  host.hidden = !text;
  host.dataset.state = state;
  words.textContent = text;
};

async function handIn(active) {
  const { own, others } = await ask(active, "waiting", { user: desk.user_id });
  if (own === 0) {
    if (others) say("others", counted(others, host, "others"));
    return;
  }
  say("sending", counted(own, host, "sending"));
  const told = await ask(active, "hand in", { user: desk.user_id, csrf: host.dataset.csrf });
  const parts = [];
  if (told.sent) parts.push(counted(told.sent, host, "sent"));
  if (told.open) parts.push(counted(told.open, host, "open"));
  if (told.stuck) parts.push(`${counted(told.stuck, host, "stuck")} ${told.reason}`);
  if (told.left) parts.push(counted(told.left, host, "left"));
  open.hidden = !told.open;
  say(told.open || told.stuck ? "attention" : told.left ? "waiting" : "sent", parts.join(" "));
}

const active = await worker();
if (active) {
  document.querySelector('form[action="/sign-out"]')?.addEventListener("submit", () => ask(active, "forget"));
  await ask(active, "prepare", { desk });
  document.documentElement.dataset.offline = "ready";
  const turn = () => handIn(active).catch((error) => say("attention", `${host.dataset.failed} ${error.message}`));
  addEventListener("online", turn);
  setInterval(turn, AGAIN_MS);
  await turn();
}
