// Entry of the desk while its network is away: shows what is kept, carries what was typed into the form, and says when
// the network is back.

import { ask, counted, worker } from "./desk-line.js";

const EVERY_MS = 4000;
const host = document.getElementById("away");
const kept = new URLSearchParams(location.search).get("kept");
const form = document.getElementById("enrol");
const fresh = () => {
  for (const field of document.querySelectorAll("input[name=item]")) field.value = crypto.randomUUID();
};

const back = async () => {
  try {
    const answer = await fetch("/healthz", { cache: "no-store" });
    if (!answer.ok) return;
  } catch {
    return;
  }
  host.dataset.state = "back";
  host.querySelector("[data-away]").hidden = true;
  host.querySelector("[data-back]").hidden = false;
  // A form that somebody is in the middle of is left to them.
  const typed = [...document.querySelectorAll("input:not([type=hidden]):not([type=checkbox])")].some((each) => each.value);
  if (!typed) location.replace("/desk");
};

fresh();
if (kept) {
  const done = document.getElementById("kept");
  done.hidden = false;
  done.querySelector("[data-what]").textContent = kept === "check_in" ? done.dataset.checkIn : done.dataset.enrolment;
}
document.getElementById("unsure").hidden = !new URLSearchParams(location.search).has("unsure");
// A browser knows no required group of boxes; its first box speaks for it.
for (const group of document.querySelectorAll("fieldset[data-required]")) {
  const boxes = [...group.querySelectorAll("input")];
  const check = () => boxes[0].setCustomValidity(boxes.some((box) => box.checked) ? "" : group.dataset.required);
  group.addEventListener("change", check);
  check();
}
const active = await worker();
if (active) {
  const { own } = await ask(active, "waiting", { user: host.dataset.user });
  if (own) host.querySelector("[data-count]").textContent = counted(own, host, "waiting");
  const asked = await ask(active, "asked");
  if (/[0-9]{7,}/.test(asked.replace(/\D/g, "")) && !/\p{L}/u.test(asked)) form.elements.phone.value = asked;
  else if (asked && !/\d/.test(asked)) form.elements.name.value = asked;
  document.documentElement.dataset.ready = "yes";
}
(form.elements.phone.value ? form.elements.name : form.elements.phone).focus();
setInterval(back, EVERY_MS);
addEventListener("online", back);
