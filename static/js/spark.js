// A sparkline as SVG path data, newest at the right; silence is a gap, never zero.
import { LOOK } from "./words.js";

export const W = 120;
export const H = 32;
const SPAN_MS = 60_000;

const tenth = (value) => Math.round(value * 10) / 10; // Several times faster than toFixed.
export const level = (share) => tenth(H - 1 - (H - 2) * share);

export function sparkPath(points, mediaMs) {
  if (!points.length) return "";
  const end = Math.max(mediaMs, points[points.length - 1][0]);
  const span = Math.max(SPAN_MS, end - points[0][0]);
  let d = "";
  let before = -Infinity;
  for (const [t, distress] of points) {
    const joined = t - before <= LOOK.gap_ms;
    d += `${joined ? "L" : "M"}${tenth(W * (1 - (end - t) / span))} ${level(distress)}`;
    if (!joined) d += "h.1";
    before = t;
  }
  return d;
}
