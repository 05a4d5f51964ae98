// How cues come: the mute switch, and a form whose words stay until they have arrived.
import { put } from "./call-rows.js";
import { post } from "./post.js";

const tooFar = ({ min, max }) => max && interpolate(gettext("Must be %s to %s under your team’s rubric."), [min, max]);
const allowed = { every_s: ({ min }) => interpolate(gettext("Your team’s rubric allows no less than %s."), [min]), per_call: ({ max }) => interpolate(gettext("Your team’s rubric allows no more than %s."), [max]) };

export function choicesPanel(root, tell) {
  const mute = root.querySelector("[data-mute]");
  const muteTrouble = root.querySelector("[data-mute-trouble]");
  const mutedWords = root.querySelector("[data-muted-words]");
  const form = root.querySelector("[data-form]");
  const said = form.querySelector("[data-said]");
  const formTrouble = form.querySelector("[data-form-trouble]");
  const boxes = [...form.querySelectorAll('[name="kind"]')];
  const numbers = [form.every_s, form.per_call];
  const fields = { every_s: form.every_s, per_call: form.per_call, kinds_off: form.querySelector("fieldset") };
  let typed = false;
  let muting = false;

  const show = (node, words) => {
    put(node, words);
    node.hidden = !words;
  };

  async function keepMute() {
    muting = true;
    const muted = mute.checked;
    const trouble = await post("/me/choices", { muted });
    muting = false;
    if (trouble) mute.checked = !muted; // a switch must not say what is not so
    show(muteTrouble, trouble);
    if (!trouble) tell({ muted });
  }

  const wanted = () => ({
    ...Object.fromEntries(numbers.map((input) => [input.name, input.value === "" ? null : Number(input.value)])),
    kinds_off: boxes.filter((box) => !box.checked).map((box) => box.value),
  });

  async function keep() {
    const sent = wanted();
    complain("");
    put(said, gettext("Saving …"));
    const trouble = await post("/me/choices", sent);
    put(said, trouble ? "" : gettext("Saved."));
    if (trouble) return complain(trouble);
    typed = JSON.stringify(wanted()) !== JSON.stringify(sent);
    tell({ ...sent, kinds_off: sent.kinds_off.toSorted() });
  }

  // Beside the control that the server names, else under the form.
  function complain(words) {
    const [, name, what] = words.match(/^(every_s|per_call|kinds_off) (.*)$/s) ?? [];
    for (const [field, node] of Object.entries(fields)) {
      const mine = field === name;
      mine ? node.setAttribute("aria-invalid", "true") : node.removeAttribute("aria-invalid");
      show(document.getElementById(`${field}-said`), mine ? tooFar(node) || what : "");
    }
    show(formTrouble, name ? "" : words);
  }

  mute.addEventListener("change", keepMute);
  form.addEventListener("input", () => {
    typed = true;
    put(said, "");
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keep();
  });

  return {
    draw(choices) {
      if (!muting) mute.checked = choices.muted;
      mutedWords.hidden = !choices.muted;
      for (const input of numbers) {
        [input.min, input.max] = choices.limits[input.name];
        put(document.getElementById(`${input.name}-allowed`), allowed[input.name](input));
      }
      if (typed) return;
      for (const input of numbers) input.value = choices[input.name];
      for (const box of boxes) box.checked = !choices.kinds_off.includes(box.value);
    },
    mute() {
      if (muting) return true;
      mute.checked = !mute.checked;
      keepMute();
      return true;
    },
  };
}
