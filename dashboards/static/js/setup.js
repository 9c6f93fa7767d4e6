// Waits beside its reader: when a step was done elsewhere (a box spoke, somebody was counted) the page shows it.

const LOOK_MS = 3000;
const steps = document.getElementById("steps");

const look = async () => {
  try {
    const answer = await fetch("/setup/state");
    if (answer.ok) {
      const { done, begun, over } = await answer.json();
      if (done.join(" ") !== steps.dataset.done || begun.join(" ") !== steps.dataset.begun) {
        location.reload();
        return;
      }
      if (over) return;
    }
  } catch {
    // The server is away for a moment; it is asked again.
  }
  setTimeout(look, LOOK_MS);
};

setTimeout(look, LOOK_MS);
