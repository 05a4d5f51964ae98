// Keyboard shortcuts. Single characters can be switched off (WCAG 2.1.4); arrows and Enter stay.
import { recall, remember } from "./store.js";

export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, [contenteditable], dialog")) {
      if (event.key === "Escape" && event.target.matches("input")) event.target.blur();
      return;
    }
    if (event.key.length === 1 && recall("single-keys", "on") === "off") return;
    if (actions[event.key] && actions[event.key](event) !== undefined) event.preventDefault();
  });
}

export function helpDialog(dialog, opener) {
  const box = dialog.querySelector("[data-single-keys]");
  box.checked = recall("single-keys", "on") === "on";
  box.addEventListener("change", () => remember("single-keys", box.checked ? "on" : "off"));
  const open = () => {
    dialog.showModal();
    return true;
  };
  opener?.addEventListener("click", open);
  return open;
}
