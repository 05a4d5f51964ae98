// The one polite status line: speaks only when a call comes to need help.
import { timeOfDay } from "./clock.js";
import { said } from "./words.js";

export function announcer(node) {
  let known = null;
  return (helped, now) => {
    const ids = new Set(helped.map((tile) => tile.id));
    const fresh = known ? helped.filter((tile) => !known.has(tile.id)) : [];
    known = ids;
    if (!fresh.length) return;
    const who = fresh.map((tile) => interpolate(gettext("%s needs help"), [tile.agent]) + (tile.reason ? `: ${said(tile.reason)}` : ""));
    node.textContent = `${timeOfDay(now)} — ${who.join("; ")}`;
  };
}
