// A box for words: counter, send, and what became of it. The words stay until they have arrived.
import { post } from "./post.js";

// As the server counts: runs of white space are one blank.
const lengthOf = (text) => [...text.trim().replace(/\s+/gu, " ")].length;

// `path` and `body(text)` are asked when it is sent. `enter`: Enter alone sends, else with Ctrl or ⌘.
export function composer(form, { path, body, done, most, enter = false, sent = () => {} }) {
  const box = form.querySelector("textarea, input");
  const counter = form.querySelector("[data-count]");
  const said = form.querySelector("[data-said]");
  let busy = false;

  function count() {
    const length = lengthOf(box.value);
    counter.textContent = length > most ? `${length} / ${most} · ${interpolate(gettext("%s too many"), [length - most])}` : `${length} / ${most}`;
    counter.toggleAttribute("data-over", length > most);
  }

  function say(words, bad = false) {
    said.textContent = words;
    said.toggleAttribute("data-bad", bad);
    bad ? box.setAttribute("aria-invalid", "true") : box.removeAttribute("aria-invalid");
  }

  async function send() {
    if (busy) return;
    busy = true;
    const text = box.value;
    say(gettext("Sending …"));
    const trouble = await post(path(), body(text));
    busy = false;
    if (trouble) return say(trouble, true);
    say(done);
    if (box.value === text) box.value = ""; // else more was typed meanwhile
    count();
    sent();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || event.shiftKey) return;
    if (!enter && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    send();
  });
  box.addEventListener("input", () => {
    count();
    if (said.textContent) say("");
  });
  count();
  return { box, say };
}
