// Asking a box something while its reader waits: what is asked is sent once, and looked after until it is answered.

const LOOK_MS = 400;

export class Unable extends Error {
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}

export const ask = async (device, csrf, body) => {
  const sent = await fetch(`/api/v1/devices/${encodeURIComponent(device)}/requests`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify(body),
  });
  if (!sent.ok) throw await refusal(sent);
  let told = await sent.json();
  while (told.state === "waiting") {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    const looked = await fetch(`/api/v1/requests/${told.request_id}`);
    if (!looked.ok) throw await refusal(looked);
    told = await looked.json();
  }
  if (told.state !== "answered") throw new Unable(told.code, told.reason);
  return told;
};

const refusal = async (answer) => {
  try {
    const { error } = await answer.json();
    return new Unable(error.code, error.message);
  } catch {
    return new Unable("failed", String(answer.status));
  }
};
