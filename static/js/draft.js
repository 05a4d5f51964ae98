// The draft: a problem's line is found, sums follow what is typed, and nothing typed is lost by going away.
const form = document.querySelector("form.draft");
const box = document.querySelector("textarea#text");
const TRIAL = new Set(["size", "days"]);
const typed = () => JSON.stringify([...new FormData(form)].filter(([name]) => !TRIAL.has(name)));
const before = typed();

for (const button of document.querySelectorAll("[data-line]")) {
  button.addEventListener("click", () => {
    const lines = box.value.split("\n");
    const start = lines.slice(0, Number(button.dataset.line) - 1).reduce((sum, line) => sum + line.length + 1, 0);
    box.focus();
    box.setSelectionRange(start, start + (lines[Number(button.dataset.line) - 1]?.length ?? 0));
    box.scrollTop = (box.scrollHeight / lines.length) * Math.max(0, Number(button.dataset.line) - 5);
  });
}

for (const row of document.querySelectorAll("[data-sums] tbody tr")) {
  const sum = row.querySelector("[data-sum]");
  row.addEventListener("input", () => {
    const total = [...row.querySelectorAll("input")].reduce((all, cell) => all + Number(cell.value.trim().replace(",", ".")), 0);
    sum.textContent = Number.isNaN(total) ? "–" : total.toFixed(2);
    sum.toggleAttribute("data-off", !(Math.abs(total - 1) <= 0.01));
  });
}

// A problem that was asked for, or an entry that was moved: shown, and ready to type in.
const wanted = location.hash.startsWith("#f-") && document.getElementById(location.hash.slice(1));
if (wanted) {
  for (let at = wanted; at; at = at.parentElement) if (at.matches("details")) at.open = true;
  const inside = wanted.matches("input, select, textarea") ? wanted : wanted.querySelector("summary, input, button");
  inside?.focus({ preventScroll: true });
  wanted.scrollIntoView({ block: "center" });
}

// A trial that is running: only its card is drawn anew, so what is being typed stays.
async function look() {
  const card = document.querySelector("#trial[data-running]");
  if (!card) return;
  const answer = await fetch(location.pathname + location.search).catch(() => null);
  if (answer?.ok) {
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#trial");
    if (fresh && !card.contains(document.activeElement)) card.replaceWith(fresh);
  }
  setTimeout(look, 1500);
}
look();

let sending = false;
form.addEventListener("submit", () => (sending = true));
addEventListener("beforeunload", (event) => {
  if (!sending && typed() !== before) event.preventDefault();
});
