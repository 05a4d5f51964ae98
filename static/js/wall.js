// The floor for a wall: four numbers, who needs help, everyone else. Nothing to press.
import { serverNow, sync } from "./clock.js";
import { headline } from "./headline.js";
import { lineState, notKnown, oldSince } from "./line-state.js";
import { openLine } from "./line.js";
import { glyph, make, rowsOf } from "./nodes.js";
import { Order } from "./order.js";
import { painter } from "./painter.js";
import { applyAll, without } from "./reduce.js";
import { LOOK, clock, riskLook, said as saidOf, stateLook } from "./words.js";

const HELPED = 6;
const MOVE_EVERY_MS = 5000;
const root = document.querySelector("[data-wall]");
const find = (name) => root.querySelector(`[data-${name}]`);
const [all, more, rest, nobody, quiet, synthetic] = ["all", "more", "rest", "nobody", "quiet", "synthetic"].map(find);
const order = new Order();
const figures = headline(root);
const showLine = lineState(root.querySelector(".line-state"));
const words = new Map([nobody, quiet].map((node) => [node, node.textContent]));
let doc = JSON.parse(document.getElementById("snapshot").textContent);
let line = "waiting";
let lostAt = null;
let ids = [];
let movedAt = -Infinity;
sync(doc.now);

function draw() {
  const now = serverNow();
  letGo();
  const tiles = Object.values(doc.calls);
  for (const tile of tiles) order.hold(tile, now);
  const asOf = oldSince(lostAt, now);
  figures(tiles, doc.lag_ms, now, asOf);
  showLine(line, lostAt);
  if (performance.now() - movedAt >= MOVE_EVERY_MS || ids.length !== tiles.length) {
    ids = order.sorted(tiles).map((tile) => tile.id);
    movedAt = performance.now();
  }
  const shown = ids.map((id) => doc.calls[id]).filter(Boolean);
  const helped = shown.filter((tile) => order.needsHelp(tile.id));
  const others = shown.filter((tile) => !order.needsHelp(tile.id));
  for (const section of root.querySelectorAll("[data-if-any]")) section.hidden = !tiles.length;
  quiet.hidden = tiles.length > 0;
  nobody.hidden = helped.length > 0;
  for (const [node, fresh] of words) put(node, asOf === null ? fresh : notKnown(asOf));
  synthetic.hidden = !tiles.some((tile) => tile.synthetic);
  put(more, helped.length > HELPED ? interpolate(gettext("and %s more"), [helped.length - HELPED]) : "");
  const stale = (tile) => asOf !== null || Boolean(tile.scored_at && now - Date.parse(tile.scored_at) > LOOK.stale_ms);
  drawHelp(helped.slice(0, HELPED).map((tile) => [tile.initials, saidOf(tile.reason), tile.state, lasted(now - Date.parse(tile.started_at)), stale(tile)]));
  const room = roomIn(all);
  put(rest, others.length > room ? interpolate(gettext("and %s more, calmer ones"), [others.length - room]) : "");
  drawAll(others.slice(0, room).map((tile) => [tile.initials, tile.risk, tile.state, stale(tile)]));
}

// A wall runs for weeks: what has ended is forgotten.
function letGo() {
  const gone = Object.values(doc.calls).filter((tile) => tile.status !== "live").map((tile) => tile.id);
  for (const id of gone) order.forget(id);
  if (gone.length) doc = without(doc, gone);
}

// How many items of one size a list has room for; on a small screen, which scrolls, any number.
function roomIn(list) {
  const { overflowY, gridTemplateColumns, gridAutoRows, rowGap } = getComputedStyle(list);
  if (overflowY !== "hidden") return Infinity;
  const gap = parseFloat(rowGap);
  const rows = Math.floor((list.clientHeight + gap) / (parseFloat(gridAutoRows) + gap));
  return Math.max(0, rows) * gridTemplateColumns.split(" ").length;
}

const lasted = (ms) => (ms < 60_000 ? clock(ms) : interpolate(gettext("%s min"), [Math.floor(ms / 60_000)]));
const put = (node, text) => node.textContent === text || (node.textContent = text);

const drawHelp = rowsOf(find("help"), ([initials, reason, state, minutes, stale]) => {
  const [mood, feels] = stateLook(state);
  const how = make("span", { class: "how" }, make("span", {}, glyph(mood), feels), make("span", {}, minutes), make("span", {}, stale ? gettext("stale") : ""));
  return make("li", { "data-risk": "help", "data-state": state, "data-stale": stale }, make("strong", {}, initials), make("span", { class: "why" }, reason), how);
});

const drawAll = rowsOf(all, ([initials, risk, state, stale]) => {
  const [sign, word] = riskLook(risk);
  const [mood, feels] = stateLook(state);
  const first = make("span", { class: "glyph risk-hue", "aria-hidden": "true" }, sign);
  const said = make("span", { class: "visually-hidden" }, `${word}, ${feels}${stale ? `, ${gettext("stale")}` : ""}`);
  return make("li", { "data-risk": risk, "data-state": state, "data-stale": stale }, first, make("strong", {}, initials), glyph(mood), said);
});

const paint = painter(draw);
const { team } = root.dataset;
openLine(`/ws/floor/?wall=1${team && `&team=${team}`}`, {
  onSnapshot(message) {
    doc = message.floor;
    sync(doc.now);
    paint.now();
  },
  onEvents(events, urgent) {
    doc = applyAll(doc, events);
    if (urgent) paint.hurry();
  },
  onTick: (message) => sync(message.now),
  onState(state, silentMs) {
    line = state;
    lostAt = state === "live" ? null : serverNow() - silentMs;
    paint.now();
  },
  onBack: () => location.reload(),
});
addEventListener("resize", paint.hurry);
draw();
