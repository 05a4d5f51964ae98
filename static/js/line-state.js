// The words in the header that say how fresh this page is.
import { timeOfDay } from "./clock.js";

const LOOKS = {
  waiting: ["○", "connecting"],
  live: ["●", "live"],
  paused: ["‖", "paused"],
  reconnecting: ["◐", "reconnecting"],
  stale: ["◐", "stale"],
  out: ["◐", "logged out: reload"],
  ended: ["■", "call ended"],
};

export function lineState(node) {
  const glyph = node.querySelector(".glyph");
  const word = node.querySelector("[data-line-word]");
  let shown = "";
  return (state, since = null) => {
    const [sign, text] = LOOKS[state];
    const words = since ? `${text} ${state === "paused" ? "at" : "since"} ${timeOfDay(since)}` : text;
    if (shown === state + words) return;
    shown = state + words;
    node.dataset.line = state;
    glyph.textContent = sign;
    word.textContent = words;
  };
}
