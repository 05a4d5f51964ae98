// The words in the header that say how fresh this page is.
import { timeOfDay } from "./clock.js";
import { LOOK } from "./words.js";

// Since when all that a page shows may have changed unseen; null while the line is well, or only just lost.
export const oldSince = (lostAt, now) => (lostAt !== null && now - lostAt >= LOOK.stale_ms ? lostAt : null);
export const notKnown = (since) => interpolate(gettext("Not known since %s"), [timeOfDay(since)]);

const LOOKS = {
  waiting: ["○", gettext("connecting")],
  live: ["●", gettext("live")],
  paused: ["‖", gettext("paused")],
  reconnecting: ["◐", gettext("reconnecting")],
  stale: ["◐", gettext("stale")],
  out: ["◐", gettext("logged out: reload")],
  ended: ["■", gettext("call ended")],
};

export function lineState(node) {
  const glyph = node.querySelector(".glyph");
  const word = node.querySelector("[data-line-word]");
  let shown = "";
  return (state, since = null) => {
    const [sign, text] = LOOKS[state];
    const form = state === "paused" ? gettext("%s at %s") : gettext("%s since %s");
    const words = since ? interpolate(form, [text, timeOfDay(since)]) : text;
    if (shown === state + words) return;
    shown = state + words;
    node.dataset.line = state;
    glyph.textContent = sign;
    word.textContent = words;
  };
}
