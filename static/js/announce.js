// The one polite status line: speaks when a call comes to need help, and says what became of a key's action.
import { timeOfDay } from "./clock.js";
import { said } from "./words.js";

export function announcer(node) {
  let known = null;

  // Of calls that the filter hides nothing is said, nor that they show once it is another.
  function tell(helped, matches, now) {
    const before = known;
    known = new Set(helped.map((tile) => tile.id));
    const fresh = before ? helped.filter((tile) => !before.has(tile.id) && matches(tile)) : [];
    if (!fresh.length) return;
    const who = fresh.map((tile) => interpolate(gettext("%s needs help"), [said(tile.agent)]) + (tile.reason ? `: ${said(tile.reason)}` : ""));
    node.textContent = `${timeOfDay(now)} — ${who.join("; ")}`;
  }

  return { tell, say: (words) => (node.textContent = words) };
}
