// A sparkline as SVG path data, newest at the right; silence is a gap, never zero.
import { LOOK } from "./words.js";

export const W = 120;
export const H = 32;
const SPAN_MS = 60_000;

export const level = (share) => H - 1 - (H - 2) * share;

export function sparkPath(points, mediaMs) {
  if (!points.length) return "";
  const end = Math.max(mediaMs, points[points.length - 1][0]);
  const span = Math.max(SPAN_MS, end - points[0][0]);
  let d = "";
  let before = -Infinity;
  for (const [t, distress] of points) {
    const joined = t - before <= LOOK.gap_ms;
    d += `${joined ? "L" : "M"}${(W * (1 - (end - t) / span)).toFixed(1)} ${level(distress).toFixed(1)}`;
    if (!joined) d += "h.1";
    before = t;
  }
  return d;
}
