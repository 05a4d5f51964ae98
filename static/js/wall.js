// The floor for a wall: four numbers, who needs help, everyone else. Nothing to press.
import { serverNow, sync } from "./clock.js";
import { headline } from "./headline.js";
import { lineState } from "./line-state.js";
import { openLine } from "./line.js";
import { glyph, make, whenChanged } from "./nodes.js";
import { Order } from "./order.js";
import { painter } from "./painter.js";
import { applyAll } from "./reduce.js";
import { LOOK, clock, riskLook, stateLook } from "./words.js";

const HELPED = 6;
const OTHERS = 240;
const MOVE_EVERY_MS = 5000;
const root = document.querySelector("[data-wall]");
const find = (name) => root.querySelector(`[data-${name}]`);
const order = new Order();
const figures = headline(root);
const showLine = lineState(root.querySelector(".line-state"));
let doc = JSON.parse(document.getElementById("snapshot").textContent);
let line = "waiting";
let lostAt = null;
let ids = [];
let movedAt = -Infinity;
sync(doc.now);

function draw() {
  const now = serverNow();
  const tiles = Object.values(doc.calls).filter((tile) => tile.status === "live");
  for (const tile of tiles) order.hold(tile, now);
  figures(tiles, doc.lag_ms, now);
  showLine(line, line === "live" ? null : lostAt);
  if (performance.now() - movedAt >= MOVE_EVERY_MS || ids.length !== tiles.length) {
    ids = order.sorted(tiles).map((tile) => tile.id);
    movedAt = performance.now();
  }
  const shown = ids.map((id) => doc.calls[id]).filter(Boolean);
  const stale = (tile) => line !== "live" || (tile.scored_at && now - Date.parse(tile.scored_at) > LOOK.stale_ms);
  const helped = shown.filter((tile) => order.needsHelp(tile.id));
  const others = shown.filter((tile) => !order.needsHelp(tile.id));
  drawHelp(helped.slice(0, HELPED).map((tile) => [tile.id, tile.initials, tile.reason, minutes(now - Date.parse(tile.started_at)), tile.state, Boolean(stale(tile))]));
  drawAll(others.slice(0, OTHERS).map((tile) => [tile.initials, tile.risk, tile.state, Boolean(stale(tile))]));
  find("more").textContent = helped.length > HELPED ? `and ${helped.length - HELPED} more` : "";
  const out = others.length - fitting(find("all"));
  find("rest").textContent = out > 0 ? `and ${out} more, calmer ones` : "";
  find("nobody").hidden = helped.length > 0;
}

// How many of a list's items are whole on the screen.
function fitting(list) {
  const end = list.getBoundingClientRect().bottom + 1;
  return [...list.children].filter((item) => item.getBoundingClientRect().bottom <= end).length;
}

const minutes = (ms) => (ms < 60_000 ? clock(ms) : `${Math.floor(ms / 60_000)} min`);

const drawHelp = whenChanged((rows) => {
  find("help").replaceChildren(
    ...rows.map(([, initials, reason, lasted, state, stale]) =>
      make("li", { "data-risk": "help", "data-state": state, "data-stale": stale }, make("strong", {}, initials), make("span", {}, reason), make("span", { class: "quiet" }, lasted)),
    ),
  );
});

const drawAll = whenChanged((rows) => {
  find("all").replaceChildren(
    ...rows.map(([initials, risk, state, stale]) => {
      const [sign, word] = riskLook(risk);
      const [mood, feels] = stateLook(state);
      const first = make("span", { class: "glyph risk-hue", "aria-hidden": "true" }, sign);
      return make("li", { "data-risk": risk, "data-state": state, "data-stale": stale }, first, make("strong", {}, initials), glyph(mood), make("span", { class: "visually-hidden" }, `${word}, ${feels}`));
    }),
  );
});

const paint = painter(draw);
openLine("/ws/floor/?wall=1", {
  onSnapshot(message) {
    doc = message.floor;
    sync(doc.now);
    paint.request();
  },
  onEvents(events, urgent) {
    doc = applyAll(doc, events);
    urgent ? paint.hurry() : paint.request();
  },
  onTick: (message) => sync(message.now),
  onState(state) {
    line = state;
    lostAt = state === "live" ? null : serverNow();
    paint.request();
  },
});
setInterval(paint.request, 1000);
draw();
