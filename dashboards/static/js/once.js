// Forms whose answer is shown once (`data-once`): a second press would put another answer in place of the first, which
// then nobody has. Whoever comes back to the page may send its form again.

for (const form of document.querySelectorAll("form[data-once]")) {
  let isSent = false;
  const set = (is) => {
    isSent = is;
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", is);
  };
  form.addEventListener("submit", (event) => {
    if (isSent) event.preventDefault();
    else set(true);
  });
  addEventListener("pageshow", () => set(false));
}
