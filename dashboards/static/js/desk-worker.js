// Keeps the member desk open while its network is away: an enrolment or a check-in that can't be delivered is sealed to
// the server, kept in this browser, and handed in once by whoever made it. Nothing that spends is ever kept.
//
// This file runs as a service worker and is the only one that touches what is kept. It can't open what it sealed.

const FRAME = "doorline-desk-frame";
const OFFLINE = "/desk/offline";
// Longer than a slow answer, shorter than a customer's patience. What arrives all the same is known by its number.
const PATIENCE_MS = 8000;
const AWAY = new Set([502, 503, 504]);
const KEPT = { "/desk/members": "enrolment", "/desk/check-ins": "check_in" };

let asked = "";

// --- what is kept -----------------------------------------------------------------------------------------------

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

let opened = null;

const database = () => {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("doorline-desk", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("items", { keyPath: "item_id" });
      request.result.createObjectStore("settings");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => {
      opened = null;
      reject(request.error);
    };
  });
  return opened;
};

const store = async (name, mode = "readonly") => (await database()).transaction(name, mode).objectStore(name);

const settings = async () => {
  const held = await done((await store("settings")).get("desk"));
  return held && held.until > Date.now() ? held : null;
};

const items = async () => done((await store("items")).getAll());

// --- sealing ----------------------------------------------------------------------------------------------------

const bytes = (base64) => Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
const base64 = (data) => btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));

const joined = (...parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

async function seal(content, boundTo, point) {
  const curve = { name: "ECDH", namedCurve: "P-256" };
  const text = new TextEncoder();
  const server = await crypto.subtle.importKey("raw", point, curve, false, []);
  const own = await crypto.subtle.generateKey(curve, false, ["deriveBits"]);
  const sender = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
  const secret = await crypto.subtle.deriveBits({ name: "ECDH", public: server }, own.privateKey, 256);
  const from = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  const info = joined(text.encode("doorline desk item"), sender, point);
  const key = await crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info },
    from,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt"],
  );
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const closed = await crypto.subtle.encrypt(
    { name: "AES-GCM", iv: nonce, additionalData: text.encode(boundTo.join("\n")) },
    key,
    text.encode(JSON.stringify(content)),
  );
  return joined(Uint8Array.of(1), sender, nonce, new Uint8Array(closed));
}

// The chain's own fields have names of the chain's own: all that begin alike, each with all its values.
const under = (form, prefix) => {
  const found = {};
  for (const [name, value] of form) if (name.startsWith(prefix)) (found[name.slice(prefix.length)] ??= []).push(value);
  return found;
};

const CONTENT = {
  enrolment: (form, desk) => ({
    name: form.get("name") ?? "",
    phone: form.get("phone") ?? "",
    home_store: form.get("home_store") ?? "",
    birthday: form.get("birthday") ?? "",
    consent: Boolean(form.get("consent")),
    marketing: Boolean(form.get("marketing")),
    locale: desk.locale,
    custom: under(form, "custom."),
    versions: Object.fromEntries(Object.entries(under(form, "version.")).map(([name, [value]]) => [name, value])),
  }),
  check_in: (form) => ({ who: form.get("who") ?? "", store_id: form.get("store") ?? "" }),
};

async function keep(kind, form) {
  const desk = await settings();
  if (!desk) return false;
  const item = {
    item_id: form.get("item") || crypto.randomUUID(),
    user_id: desk.user_id,
    kind,
    made_at: new Date().toISOString(),
    key_id: desk.key_id,
  };
  const boundTo = [item.item_id, item.user_id, item.kind, item.made_at];
  item.sealed = base64(await seal(CONTENT[kind](form, desk), boundTo, bytes(desk.point)));
  await done((await store("items", "readwrite")).put(item));
  return true;
}

// --- handing in -------------------------------------------------------------------------------------------------

async function handIn(user, csrf) {
  const told = { sent: 0, open: 0, stuck: 0, left: 0, others: 0, reason: "" };
  for (const item of await items()) {
    if (item.user_id !== user) {
      told.others += 1;
      continue;
    }
    let answer;
    try {
      answer = await fetch("/api/v1/desk/items", {
        method: "POST",
        headers: { "content-type": "application/json", "x-csrf-token": csrf },
        body: JSON.stringify(item),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
    } catch {
      // Away again; it stays for the next time.
      told.left += 1;
      continue;
    }
    if (answer.ok) {
      const came = await answer.json();
      await done((await store("items", "readwrite")).delete(item.item_id));
      told.sent += 1;
      if (came.outcome !== "done") told.open += 1;
    } else if (answer.status === 422) {
      // It can't be opened there. It is kept, and said, rather than lost.
      told.stuck += 1;
      told.reason = (await answer.json()).error.message;
    } else {
      told.left += 1;
    }
  }
  return told;
}

async function waiting(user) {
  const all = await items();
  const own = all.filter((item) => item.user_id === user).length;
  return { own, others: all.length - own };
}

// --- requests ---------------------------------------------------------------------------------------------------

const tried = async (request) => {
  const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (AWAY.has(answer.status)) throw new TypeError(`the server is away: ${answer.status}`);
  return answer;
};

const frame = async () =>
  (await settings()) ? await (await caches.open(FRAME)).match(OFFLINE, { ignoreSearch: true }) : undefined;

async function look(request) {
  try {
    return await tried(request);
  } catch (error) {
    const page = await frame();
    if (page) return page;
    throw error;
  }
}

async function deliver(request, kind) {
  const form = await request.clone().formData();
  try {
    return await tried(request);
  } catch (error) {
    if (!(await keep(kind, form))) throw error;
    return Response.redirect(`${OFFLINE}?kept=${kind}`, 303);
  }
}

// What spends, or is written beside a member, is never kept: whether it was done can be seen once the network is back.
async function once(request) {
  try {
    return await tried(request);
  } catch (error) {
    if (!(await frame())) throw error;
    return Response.redirect(`${OFFLINE}?unsure=yes`, 303);
  }
}

async function find(request) {
  const form = await request.clone().formData();
  try {
    return await tried(request);
  } catch (error) {
    if (!(await frame())) throw error;
    // Never in an address: it may be a phone number.
    asked = form.get("q") ?? "";
    return Response.redirect(OFFLINE, 303);
  }
}

const kept = async (request) => (await (await caches.open(FRAME)).match(request)) ?? fetch(request);

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== location.origin) return;
  if (request.mode === "navigate" && request.method === "GET") event.respondWith(look(request));
  else if (request.method === "POST" && pathname in KEPT) event.respondWith(deliver(request, KEPT[pathname]));
  else if (request.method === "POST" && pathname === "/desk") event.respondWith(find(request));
  else if (request.method === "POST" && request.mode === "navigate") event.respondWith(once(request));
  else if (request.method === "GET" && pathname.startsWith("/assets/")) event.respondWith(kept(request));
});

// --- what pages ask for -----------------------------------------------------------------------------------------

async function prepare(desk) {
  const cache = await caches.open(FRAME);
  const held = new Set((await cache.keys()).map((request) => new URL(request.url).pathname));
  const wanted = [OFFLINE, ...desk.files];
  // The page itself is fetched anew: its language or its person may have changed.
  await cache.addAll([OFFLINE, ...desk.files.filter((file) => !held.has(file))]);
  for (const path of held) if (!wanted.includes(path)) await cache.delete(path);
  await done((await store("settings", "readwrite")).put({ ...desk, until: Date.now() + desk.lasts_ms }, "desk"));
  return true;
}

async function forget() {
  await caches.delete(FRAME);
  await done((await store("settings", "readwrite")).delete("desk"));
  return true;
}

const ANSWERS = {
  prepare: (ask) => prepare(ask.desk),
  forget,
  waiting: (ask) => waiting(ask.user),
  "hand in": (ask) => handIn(ask.user, ask.csrf),
  asked: async () => {
    const text = asked;
    asked = "";
    return text;
  },
  "whose desk": async () => (await settings())?.user_id ?? null,
};

self.addEventListener("message", (event) => {
  const answer = ANSWERS[event.data.what](event.data);
  event.waitUntil(
    answer.then(
      (value) => event.ports[0].postMessage({ value }),
      (error) => event.ports[0].postMessage({ error: String(error) }),
    ),
  );
});

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
