// What the caller says of being analysed: yes where it is asked for, no at any time.
import { post } from "./post.js";

export function consentPanel(node) {
  const [title, trouble] = [node.querySelector("[data-objects-title]"), node.querySelector("[data-objects-trouble]")];
  const [agree, object] = [node.querySelector("[data-agree]"), node.querySelector("[data-object]")];
  let tile = null;

  async function say(said) {
    if (agree.hasAttribute("aria-disabled")) return;
    for (const button of [agree, object]) button.setAttribute("aria-disabled", "true"); // the focus stays
    const words = await post(`/calls/${tile.id}/consent`, { said });
    for (const button of [agree, object]) button.removeAttribute("aria-disabled");
    trouble.textContent = words;
    trouble.hidden = !words;
    if (!words) node.open = false;
  }

  agree.addEventListener("click", () => say("yes"));
  object.addEventListener("click", () => say("no"));

  return (now) => {
    if (now?.id !== tile?.id) (node.open = false), (trouble.hidden = true);
    tile = now;
    node.hidden = !now;
    if (!now) return;
    node.dataset.consent = now.consent ?? "";
    const titles = { asked: gettext("Does the caller agree?"), no: gettext("The caller objected"), "": gettext("The caller objects") };
    title.textContent = titles[now.consent ?? ""];
  };
}
