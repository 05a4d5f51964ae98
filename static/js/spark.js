// A sparkline as polylines, newest at the right; silence is a gap between two, never zero. (Not as one path: its data
// is a property of style, so writing it would have the style of the tile made anew each time.)
import { LOOK } from "./words.js";

export const W = 120;
export const H = 32;
const SPAN_MS = 60_000;

const tenth = (value) => Math.round(value * 10) / 10; // Several times faster than toFixed.
export const level = (share) => tenth(H - 1 - (H - 2) * share);

// The points of each unbroken run, as SVG writes them.
export function sparkRuns(points, mediaMs) {
  const runs = [];
  if (!points.length) return runs;
  const end = Math.max(mediaMs, points[points.length - 1][0]);
  const span = Math.max(SPAN_MS, end - points[0][0]);
  let before = -Infinity;
  for (const [t, distress] of points) {
    const [x, y] = [tenth(W * (1 - (end - t) / span)), level(distress)];
    if (t - before <= LOOK.gap_ms) runs[runs.length - 1] += ` ${x},${y}`;
    else runs.push(`${x},${y} ${tenth(x + 0.1)},${y}`); // so that one point alone is seen
    before = t;
  }
  return runs;
}
