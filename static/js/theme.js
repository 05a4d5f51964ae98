// The theme button: system → light → dark → system.
import { recall, remember } from "./store.js";

const ORDER = ["system", "light", "dark"];
const NAMES = { system: gettext("Theme: system"), light: gettext("Theme: light"), dark: gettext("Theme: dark") };
const button = document.querySelector("[data-theme-toggle]");

function show(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  button.querySelector("[data-theme-name]").textContent = NAMES[theme];
  document.dispatchEvent(new CustomEvent("themechange"));
}

if (button) {
  let theme = recall("theme", "system");
  if (!ORDER.includes(theme)) theme = "system";
  show(theme);
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    remember("theme", theme);
    show(theme);
  });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  document.dispatchEvent(new CustomEvent("themechange")),
);
