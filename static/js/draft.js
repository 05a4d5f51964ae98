// The draft's text: a problem's line is found, and what was typed is not lost by going away.
const box = document.querySelector("#text");
const before = box.value;

for (const button of document.querySelectorAll("[data-line]")) {
  button.addEventListener("click", () => {
    const lines = box.value.split("\n");
    const start = lines.slice(0, Number(button.dataset.line) - 1).reduce((sum, line) => sum + line.length + 1, 0);
    box.focus();
    box.setSelectionRange(start, start + (lines[Number(button.dataset.line) - 1]?.length ?? 0));
    box.scrollTop = (box.scrollHeight / lines.length) * Math.max(0, Number(button.dataset.line) - 5);
  });
}

let sending = false;
box.form.addEventListener("submit", () => (sending = true));
addEventListener("beforeunload", (event) => {
  if (!sending && box.value !== before) event.preventDefault();
});
