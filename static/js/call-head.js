// The strip over a call: risk, state, empathy, elapsed, age of the last score.
import { serverNow, timeOfDay } from "./clock.js";
import { LOOK, changeWords, clock, empathyWords, isLow, percent, riskLook, said, stateLook } from "./words.js";

export function callHead(root) {
  const parts = {};
  for (const part of root.querySelectorAll("[data-f]")) parts[part.dataset.f] = part;
  const put = (name, text) => {
    if (parts[name].textContent !== text) parts[name].textContent = text;
  };
  const flag = (name, on) => root.toggleAttribute(name, on);

  return (tile, frozenAt) => {
    const now = frozenAt ?? serverNow();
    const [riskGlyph, riskWord] = riskLook(tile.risk);
    const [stateGlyph, stateWord] = stateLook(tile.state);
    const live = tile.status === "live";
    const scoredAt = tile.scored_at ? Date.parse(tile.scored_at) : null;
    const age = scoredAt === null ? null : now - scoredAt;
    const stale = live && age !== null && age > LOOK.stale_ms;
    root.dataset.risk = tile.risk;
    root.dataset.state = tile.state;
    flag("data-low", isLow(tile.confidence));
    flag("data-stale", stale && !frozenAt);
    put("risk_glyph", riskGlyph);
    put("risk_word", riskWord);
    put("state_glyph", stateGlyph);
    put("state_word", stateWord);
    put("intensity", ["calm", "unsure"].includes(tile.state) ? "" : percent(tile.intensity));
    put("empathy", empathyWords(tile));
    const known = tile.empathy !== null && tile.empathy_low !== null && tile.empathy_low !== undefined;
    put("interval", known ? `${Math.round(tile.empathy_low)}–${Math.round(tile.empathy_high)}` : "");
    put("change", changeWords(tile));
    put("elapsed_name", live ? gettext("Running") : gettext("Lasted"));
    put("elapsed", clock((tile.ended_at ? Date.parse(tile.ended_at) : now) - Date.parse(tile.started_at)));
    put("reason", said(tile.reason));
    put("about", said(tile.about ?? ""));
    put("standing", said(tile.standing ?? ""));
    put("age", ageWords(tile, live, age, scoredAt, stale, frozenAt));
  };
}

function ageWords(tile, live, age, scoredAt, stale, frozen) {
  if (!live) return tile.status === "ended" ? gettext("call ended") : gettext("stream lost");
  if (age === null) return said(tile.not_scored) || gettext("no score yet");
  const waiting = tile.not_scored ? ` · ${said(tile.not_scored)}` : "";
  if (frozen) return interpolate(gettext("at %s"), [timeOfDay(scoredAt)]) + waiting;
  if (stale) return interpolate(gettext("stale since %s"), [timeOfDay(scoredAt)]) + waiting;
  return interpolate(gettext("%s s ago"), [Math.max(0, Math.floor(age / 1000))]) + waiting;
}
