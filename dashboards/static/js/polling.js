// Looking again and again while somebody watches. A page nobody sees must not look: it rests while it is hidden, goes on
// when it is shown, and looks seldom once nothing has changed for long. What is looked at is marked on the server as asked
// for by nobody (`unasked` in dashboards/viewer.py), so that looking does not keep its reader signed in.

const LATER_MS = 10_000;
const PATIENCE_MS = 120_000;

export const CHANGED = "changed";
export const SAME = "same";
export const OVER = "over";

/**
 * Calls `look` until it gives OVER.
 *
 * @param {() => Promise<string>} look gives CHANGED, SAME or OVER; what goes wrong in it (no network) counts as SAME.
 * @param {number} every milliseconds between two looks while things change.
 */
export function poll(look, every) {
  let changed = performance.now();
  let timer = 0;
  let looking = false;

  const plan = () => {
    clearTimeout(timer);
    const wait = performance.now() - changed > PATIENCE_MS ? Math.max(every, LATER_MS) : every;
    if (!document.hidden) timer = setTimeout(turn, wait);
  };

  const turn = async () => {
    looking = true;
    const found = await look().catch(() => SAME);
    looking = false;
    if (found === OVER) return document.removeEventListener("visibilitychange", seen);
    if (found === CHANGED) changed = performance.now();
    plan();
  };

  const seen = () => {
    clearTimeout(timer);
    if (document.hidden || looking) return;
    changed = performance.now();
    turn();
  };

  document.addEventListener("visibilitychange", seen);
  plan();
}
