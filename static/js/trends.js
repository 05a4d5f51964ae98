// Trends: what a week says where it is pointed at, and hours by the reader's own clock.
// Everything is on the page without this; nothing here is needed to read it.

for (const figure of document.querySelectorAll("[data-panel]")) {
  const readout = figure.querySelector("[data-readout]");
  const resting = gettext("Point at a week to read it.");
  readout.textContent = resting;
  readout.hidden = false;
  figure.querySelector("svg").addEventListener("pointermove", ({ target }) => {
    if (target.dataset.words) readout.textContent = target.dataset.words;
  });
  figure.addEventListener("pointerleave", () => (readout.textContent = resting));
}

const hours = [...document.querySelectorAll("[data-hour]")];
if (hours.length && new Date().getTimezoneOffset() !== 0) {
  for (const cell of hours) cell.textContent = localHour(cell.dataset.hour);
  const rows = hours.map((cell) => cell.closest("tr"));
  const inOrder = rows.toSorted((a, b) => a.cells[0].textContent.localeCompare(b.cells[0].textContent));
  rows[0].parentNode.replaceChildren(...inOrder);
  document.querySelector("[data-hours-head]").textContent = gettext("Hour, here");
  document.querySelector("[data-hours-words]").textContent = gettext(
    "Mean share of a call’s time, by the hour in which the call ended, by today’s clock here.",
  );
}

function localHour(utc) {
  const at = new Date();
  at.setUTCHours(Number(utc.slice(0, 2)), 0, 0, 0);
  const two = (n) => String(n).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}`;
}
