// Pages whose parts change while somebody looks: the server writes the whole page again, and what is marked as a part
// (`data-part`, with an id) is put in its place. So a part reads the same whether it came with the page or later, and a
// page without scripts has the same forms and the same addresses.

const AGAIN_MS = 1000;
const LATER_MS = 5000;
// What a look at a long file needs of it.
const LOOK_BYTES = 2 << 20;

function put(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.getElementById(part.id);
    if (!other || other.outerHTML === part.outerHTML) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const place = focused?.name ? [...part.querySelectorAll(`[name="${focused.name}"]`)].indexOf(focused) : -1;
    part.replaceWith(document.adoptNode(other));
    if (place >= 0) document.getElementById(part.id).querySelectorAll(`[name="${focused.name}"]`)[place]?.focus();
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

async function post(form, button, forget = null) {
  const mine = ++asked;
  const data = new FormData(form, button);
  const file = data.get("file");
  if (file instanceof File && file.size) data.set("file", await beginning(file));
  for (const name of forget ?? []) data.delete(name);
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(button.formAction, { method: "POST", body: data });
    // The last word counts: an answer to what was asked before it says what no longer stands there.
    if (mine === asked) put(await answer.text());
  } catch {
    // Without the network the browser says so itself, by trying the same form.
    button.form.requestSubmit();
  } finally {
    if (mine === asked) form.removeAttribute("aria-busy");
  }
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

async function follow() {
  const part = document.querySelector("[data-again]");
  if (!part) return;
  let wait = AGAIN_MS;
  try {
    const answer = await fetch(part.dataset.again);
    if (answer.ok) {
      const html = await answer.text();
      const fresh = new DOMParser().parseFromString(html, "text/html").getElementById(part.id);
      if (fresh && fresh.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(fresh));
    } else wait = LATER_MS;
  } catch {
    wait = LATER_MS;
  }
  setTimeout(follow, wait);
}

setTimeout(follow, AGAIN_MS);
