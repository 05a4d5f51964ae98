// The one polite status line of an agent's page: a new cue or message is said once, and nothing else.
import { said } from "./words.js";

export function speaker(node) {
  let known = null;

  return (cue, messages) => {
    const words = new Map(messages.filter((message) => !message.read_at).map((message) => [`message ${message.id}`, interpolate(gettext("%s writes: %s"), [message.sender || gettext("Somebody"), message.text])]));
    if (cue) words.set(`cue ${cue.id}`, interpolate(gettext("Cue: %s"), [said(cue.cue)]));
    const fresh = known ? [...words.keys()].filter((key) => !known.has(key)) : [];
    known = new Set([...(known ?? []), ...words.keys()]);
    if (!fresh.length) return;
    // A node of its own: the same words twice are said twice.
    node.replaceChildren(Object.assign(document.createElement("span"), { textContent: fresh.map((key) => words.get(key)).join(". ") }));
  };
}
