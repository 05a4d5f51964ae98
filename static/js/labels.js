// Each mark is kept as soon as it is made. What could not be kept says so and stays as it was marked.
import { post } from "./post.js";

const page = document.querySelector("[data-mark]");

for (const turn of page.querySelectorAll("[data-start]")) watch(turn);

function watch(turn) {
  const form = turn.querySelector("form");
  if (!form) return;
  const none = form.querySelector("[name=none]");
  const clear = form.querySelector("[data-clear]");
  form.querySelector("[data-plain]").hidden = true;

  function said() {
    if (turn.dataset.channel === "customer") return form.querySelector("[name=state]:checked")?.value ?? null;
    const done = [...form.querySelectorAll("[name=behaviours]:checked")].map((box) => box.value);
    return done.length || none.checked ? done : null;
  }

  let asked = Promise.resolve();
  function keep(value) {
    asked = asked.then(() => send(value)); // in the order in which they were made
  }

  async function send(value) {
    say(turn, gettext("keeping …"));
    const body = { channel: turn.dataset.channel, start_ms: Number(turn.dataset.start), said: value };
    const trouble = await post(page.dataset.mark, body);
    if (trouble) return say(turn, `${gettext("Not kept.")} ${trouble}`, true);
    say(turn, value === null ? gettext("taken back") : gettext("marked"));
    clear.hidden = value === null;
  }

  form.addEventListener("change", (event) => {
    if (event.target === none && none.checked) for (const box of form.querySelectorAll("[name=behaviours]")) box.checked = false;
    if (event.target.name === "behaviours" && event.target.checked) none.checked = false;
    keep(said());
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter !== clear) return keep(said());
    for (const box of form.querySelectorAll("input:checked")) box.checked = false;
    turn.querySelector("input:not([type=hidden])").focus();
    keep(null);
  });
}

function say(turn, words, bad = false) {
  const line = turn.querySelector("[data-said]");
  line.textContent = words;
  line.toggleAttribute("data-bad", bad);
}
