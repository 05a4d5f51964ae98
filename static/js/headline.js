// The four numbers over the floor: dated, and grey, once they may be old.
import { timeOfDay } from "./clock.js";
import { LOOK } from "./words.js";

export function headline(root) {
  const parts = {};
  for (const part of root.querySelectorAll("[data-h]")) parts[part.dataset.h] = part;
  const put = (name, text) => {
    if (parts[name].textContent !== text) parts[name].textContent = text;
  };
  const figures = {};
  for (const figure of root.querySelectorAll(".figure[data-key]")) figures[figure.dataset.key] = figure;
  const mark = (key, off) => {
    const value = off ? "1" : "";
    if (figures[key].dataset.off !== value) figures[key].dataset.off = value;
  };

  const list = root.querySelector(".headline");
  const dates = root.querySelectorAll("[data-as-of]");
  let dated = null;
  const date = (asOf) => {
    if (asOf === dated) return;
    dated = asOf;
    list.toggleAttribute("data-old", asOf !== null);
    for (const node of dates) node.textContent = asOf === null ? "" : interpolate(gettext("as of %s"), [timeOfDay(asOf)]);
  };

  // `asOf`: when these were last known to be so; null: they are fresh.
  return (tiles, lagMs, now, asOf = null) => {
    date(asOf);
    const live = tiles.filter((tile) => tile.status === "live");
    const help = live.filter((tile) => tile.risk === "help").length;
    const behind = live.filter((tile) => !tile.scored_at || now - Date.parse(tile.scored_at) > LOOK.stale_ms).length;
    const middle = median(live.map((tile) => tile.empathy).filter((value) => value !== null));
    put("live", String(live.length));
    put("live_note", asOf !== null ? "" : behind ? interpolate(gettext("%s without a fresh score"), [behind]) : live.length ? gettext("every score is fresh") : "");
    put("help", String(help));
    put("empathy", middle === null ? "–" : String(Math.round(middle)));
    put("lag", `${(lagMs / 1000).toFixed(1)} s`);
    mark("help", help > LOOK.target.help);
    mark("empathy", middle !== null && middle < LOOK.target.empathy);
    mark("lag", lagMs > LOOK.target.lag_ms);
  };
}

export function median(values) {
  if (!values.length) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
