// Pages whose parts change while somebody looks: the server writes the whole page again, and what is marked as a part
// (`data-part`, with an id) is put in its place. So a part reads the same whether it came with the page or later, and a
// page without scripts has the same forms and the same addresses.

import { CHANGED, OVER, poll, SAME } from "./polling.js";

const AGAIN_MS = 1000;
// What a look at a long file needs of it.
const LOOK_BYTES = 2 << 20;

const parsed = (html) => new DOMParser().parseFromString(html, "text/html");
const named = (part, name) => [...part.querySelectorAll(`[name="${name}"]`)];

/** What was typed since `sent` went out: the answer does not know of it, and must not take it away. */
function carry(part, other, sent) {
  for (const field of part.querySelectorAll("input:not([type=hidden], [type=file]), textarea")) {
    const [place, fresh] = [named(part, field.name).indexOf(field), named(other, field.name)];
    if (field.name && fresh[place] && field.value !== (sent.getAll(field.name)[place] ?? "")) {
      fresh[place].value = field.value;
    }
  }
}

function put(fresh, sent) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.getElementById(part.id);
    if (!other || other.outerHTML === part.outerHTML) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const place = focused?.name ? named(part, focused.name).indexOf(focused) : -1;
    carry(part, other, sent);
    const caret = focused?.type === "text" ? focused.selectionStart : null;
    part.replaceWith(document.adoptNode(other));
    const again = place >= 0 ? named(other, focused.name)[place] : null;
    again?.focus();
    if (again?.type === "text" && caret !== null) again.setSelectionRange(caret, caret);
  }
}

/** The beginning of a long CSV up to the end of a row; a workbook has no beginning that can be read. */
async function beginning(file) {
  if (file.size <= LOOK_BYTES) return file;
  const bytes = new Uint8Array(await file.slice(0, LOOK_BYTES).arrayBuffer());
  const isPacked = bytes[0] === 0x50 && bytes[1] === 0x4b;
  const isWide = bytes[0] >= 0xfe && bytes[1] >= 0xfe;
  const end = bytes.lastIndexOf(0x0a) + 1;
  return isPacked || isWide || !end ? file : new File([bytes.slice(0, end)], file.name, { type: file.type });
}

let asked = 0;

const failed = (is) => {
  const notice = document.getElementById("failed");
  notice.hidden = !is;
  if (is) notice.scrollIntoView({ block: "nearest" });
};

/** What a form's look was answered with; nothing where the line was cut, or the file can no longer be read. */
async function answerTo(button, data) {
  try {
    const file = data.get("file");
    if (file instanceof File && file.size) data.set("file", await beginning(file));
    const answer = await fetch(button.formAction, { method: "POST", body: data });
    return { address: new URL(answer.url), html: await answer.text() };
  } catch {
    // Told by whoever asked. The form itself is never sent in place of a look: its own address is the import.
    return null;
  }
}

async function post(form, button, forget = []) {
  const mine = ++asked;
  const data = new FormData(form, button);
  const sent = new FormData(form);
  for (const name of forget) data.delete(name);
  failed(false);
  form.setAttribute("aria-busy", "true");
  const answer = await answerTo(button, data);
  // The last word counts: an answer to what was asked before it says what no longer stands there.
  if (mine !== asked) return;
  form.removeAttribute("aria-busy");
  if (answer?.address.pathname.startsWith("/sign-in")) {
    location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
    return;
  }
  const fresh = answer && parsed(answer.html);
  // Refused as a whole (too large, no longer allowed): the answer is another page, without what is looked for.
  if (fresh?.getElementById("look")) put(fresh, sent);
  else failed(true);
}

for (const form of document.querySelectorAll("form[data-parts]")) {
  form.addEventListener("submit", (event) => {
    if (!event.submitter?.hasAttribute("data-part-post")) return;
    event.preventDefault();
    post(form, event.submitter);
  });
  form.addEventListener("change", (event) => {
    const look = form.querySelector("[data-part-post]");
    if (!form.elements.file?.files.length) return;
    // Another file or another system: what was said of columns was said of others.
    if (event.target.matches('[type="file"], [name="till"], [name="system"]')) post(form, look, ["header", "column"]);
    else if (event.target.closest("#look") && event.target.matches("select, [name='header_row'], [name='sheet']")) {
      post(form, look);
    }
  });
}

/** Puts a part and what goes with it (`data-with`) in place where they changed, each for itself: a button that is about
 * to be pressed is not taken away by a number that moved beside it. */
async function follow() {
  const part = document.querySelector("[data-again]");
  if (!part) return OVER;
  // Said aloud that no person asks: a look of this kind does not keep its reader signed in.
  const answer = await fetch(part.dataset.again, { headers: { "Doorline-Unasked": "1" } });
  if (answer.redirected) return OVER;
  if (!answer.ok) return SAME;
  const fresh = parsed(await answer.text());
  if (!fresh.getElementById(part.id)) return OVER;
  let found = SAME;
  for (const old of [part, ...document.querySelectorAll(`[data-with="${part.id}"]`)]) {
    const other = fresh.getElementById(old.id);
    if (!other || other.outerHTML === old.outerHTML) continue;
    old.replaceWith(document.adoptNode(other));
    found = CHANGED;
  }
  return document.querySelector("[data-again]") ? found : OVER;
}

if (document.querySelector("[data-again]")) poll(follow, AGAIN_MS);
