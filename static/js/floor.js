// The live floor: holds the document, decides when tiles may move, draws once per tick.
import { announcer } from "./announce.js";
import { serverNow, sync, timeOfDay } from "./clock.js";
import { floorActs } from "./floor-acts.js";
import { filterBy } from "./filter.js";
import { inUse } from "./in-use.js";
import { headline } from "./headline.js";
import { helpDialog, listen } from "./keys.js";
import { lineState, notKnown, oldSince } from "./line-state.js";
import { near } from "./near.js";
import { openLine } from "./line.js";
import { Order } from "./order.js";
import { painter } from "./painter.js";
import { pauseButton } from "./pause.js";
import { place } from "./place.js";
import { applyAll, without } from "./reduce.js";
import { rover } from "./rove.js";
import { recall, remember } from "./store.js";
import { TileView, isStale } from "./tile.js";
import { LOOK } from "./words.js";

const MOVE_EVERY_MS = 5000;
const BAND = 6;
const TITLE = document.title;
const LINES_EVERY = 2; // Lines of distress move on by a few pixels, half of them at a time: they cost most.
const FAR_MS = 60_000; // Tiles out of sight are written so seldom, dated, and at once when risk or staleness changes.
const COUNTED_MS = 2000; // At a slower rate than this ages would not be true until the next draw: they are dated.

const root = document.querySelector("[data-floor]");
const find = (name) => root.querySelector(`[data-${name}]`);
const [band, grid] = [find("band"), find("grid")];
const [bandSection, gridSection] = [find("band-section"), find("grid-section")];
const [bandMore, heldNote, waiting] = [find("band-more"), find("held"), find("waiting")];
const empty = Object.fromEntries(["first", "filtered", "none", "unknown"].map((name) => [name, root.querySelector(`[data-empty="${name}"]`)]));
const unknownTitle = empty.unknown.querySelector("h2");
const banner = document.querySelector("[data-synthetic-banner]");

const views = new Map();
const order = new Order();
const announce = announcer(find("announce"));
const figures = headline(root);
const showLine = lineState(document.querySelector(".line-state"));
const filter = filterBy(find("filter"), ({ team }) => {
  const wall = find("wall-link");
  wall.search = team && `?team=${team}`;
  paint.now();
});
const rove = rover(root);
const isBusy = inUse([band, grid, waiting.parentElement]);

let doc = JSON.parse(document.getElementById("snapshot").textContent);
let held = null; // What a paused page goes on showing, and since when.
let line = "waiting";
let lostAt = null;
let wasOld = false;
let everCalled = empty.first.hidden;
let arranged = false;
let movedAt = -Infinity;
let widened = false; // The filter changed: everything may be laid out anew.

let ticks = 0;

// What is out of sight costs little; whoever scrolls to it sees it drawn.
const lookAround = near(grid, (node) => views.get(node.dataset.id));
let placed = true; // Tiles came, went, moved or were hidden since the last look around.
let looking = 0;
function scrolled() {
  looking ||= requestAnimationFrame(() => {
    looking = 0;
    for (const view of lookAround()) {
      if (view.tile) write(view, (held?.doc ?? doc).calls[view.tile.id] ?? view.tile, held?.at ?? serverNow());
    }
  });
}
addEventListener("scroll", scrolled, { passive: true });
addEventListener("resize", scrolled, { passive: true });
for (const node of root.querySelectorAll(".tile")) views.set(node.dataset.id, new TileView(node));
sync(doc.now);

function draw() {
  const now = held?.at ?? serverNow();
  const drawnAt = performance.now();
  const shown = held?.doc ?? doc;
  const matches = filter.matcher();
  const present = Object.values(shown.calls).filter((tile) => !longGone(tile, now));
  const fitting = present.filter(matches);
  filter.offer(present);

  ticks += 1;
  const cameOrWent = new Set(lookAround(placed)); // before anything is written, or all is laid out twice
  placed = false;
  for (const [n, tile] of present.entries()) {
    order.hold(tile, now);
    let view = views.get(tile.id);
    if (!view) {
      views.set(tile.id, (view = new TileView()));
      view.node.querySelector("a").tabIndex = -1; // one tile is in the tab order
      grid.append(view.node);
      placed = true;
    }
    const turned = view.tile?.risk !== tile.risk;
    const moved = cameOrWent.has(view);
    const due = !view.far || turned || moved || drawnAt >= view.nextAt || aged(view, tile, now);
    const line = Boolean(held) || turned || moved || (!view.far && (ticks + n) % LINES_EVERY === 0);
    if (due) write(view, tile, now, line);
    if (due) view.nextAt = drawnAt + FAR_MS * (view.nextAt < 0 ? (n % 10) / 10 : 1); // not all in one tick
    const hide = !matches(tile);
    if (view.node.hidden !== hide) {
      view.node.hidden = hide;
      order.changed = placed = true;
    }
  }
  if (views.size !== present.length) endTheGone(new Set(present.map((tile) => tile.id)), now);
  const asOf = held?.at ?? oldSince(lostAt, now);
  wasOld = asOf !== null;
  figures(fitting, shown.lag_ms, now, asOf);
  announce.tell(present.filter((tile) => order.needsHelp(tile.id)), matches, now);
  retitle(held ? undefined : fitting);
  arrange(present, fitting);
  emptiness(present, fitting, asOf);
  show(banner, present.some((tile) => tile.synthetic));
  showLine(held ? "paused" : line, held?.at ?? (line === "live" ? null : lostAt));
}

// A call may be over and forgotten before it was ever drawn as ended. Its tile stays for as long as tiles may
// not leave, but not as if it were live.
function endTheGone(here, now) {
  for (const [id, view] of views) {
    if (here.has(id) || view.tile?.status !== "live") continue;
    write(view, doc.calls[id] ?? { ...view.tile, status: "ended", ended_at: new Date(now).toISOString() }, now);
  }
}

const write = (view, tile, now, line = true) =>
  view.draw(tile, now, { frozen: Boolean(held), dated: view.far || paint.every > COUNTED_MS, line });

const aged = (view, tile, now) => !view.stale && !held && isStale(tile, now);

// What is old says so within a second, however seldom the page is drawn.
function markOld() {
  if (document.hidden || held) return;
  const now = serverNow();
  if (!wasOld && oldSince(lostAt, now) !== null) return paint.now();
  for (const [id, view] of views) {
    const tile = doc.calls[id];
    if (tile && aged(view, tile, now)) write(view, tile, now);
  }
}

const longGone = (tile, now) =>
  tile.status !== "live" && (!tile.ended_at || now - Date.parse(tile.ended_at) > LOOK.ended_stays_ms);

// Tiles move and leave at most every 5 s, and never under the pointer, the focus or a pause; calls that
// wait for a place in the band meanwhile are counted on a button, which is the way to have them moved.
function arrange(present, fitting) {
  const busy = isBusy();
  const first = !arranged || widened;
  const may = first || (!held && !busy && performance.now() - movedAt >= MOVE_EVERY_MS);
  const note = busy && !held ? gettext("order held while you point or focus here") : "";
  put(heldNote, note);
  tellWaiting(busy && !held && !first ? unplaced(fitting) : []);
  if (!may) return;
  if (!first && !order.changed && views.size === present.length) return;
  const staying = new Set(present.map((tile) => tile.id));
  const gone = held ? [] : Object.keys(doc.calls).filter((id) => !staying.has(id));
  if (gone.length) doc = without(doc, gone);
  for (const [id, view] of views) {
    if (staying.has(id)) continue;
    view.node.remove();
    views.delete(id);
    order.forget(id);
  }
  [arranged, widened, order.changed] = [true, false, false];
  const sorted = order.sorted(fitting);
  const helped = sorted.filter((tile) => order.needsHelp(tile.id));
  const above = new Set(helped.slice(0, BAND).map((tile) => tile.id));
  const hiddenOnes = present.filter((tile) => views.get(tile.id).node.hidden);
  for (const id of above) views.get(id).far = false;
  const nodesOf = (tiles) => tiles.map((tile) => views.get(tile.id).node);
  const inBand = place(band, nodesOf(sorted.filter((tile) => above.has(tile.id))));
  const moved = place(grid, nodesOf([...sorted.filter((tile) => !above.has(tile.id)), ...hiddenOnes])) || inBand;
  const more = helped.length > BAND ? interpolate(gettext("and %s more, first below"), [helped.length - BAND]) : "";
  put(bandMore, more);
  placed = true;
  if (moved) movedAt = performance.now();
  rove.tidy();
}

// Calls that would be in the band if tiles might move now.
function unplaced(fitting) {
  const helped = order.sorted(fitting.filter((tile) => order.needsHelp(tile.id)));
  return helped.slice(0, BAND).filter((tile) => !band.contains(views.get(tile.id).node));
}

function tellWaiting(tiles) {
  const focused = document.activeElement === waiting; // It does not go from under the focus.
  show(waiting, tiles.length > 0 || focused);
  const form = ngettext("%s call needs help — show it", "%s calls need help — show them", tiles.length);
  if (tiles.length) put(waiting, interpolate(form, [tiles.length]));
  else if (focused) put(waiting, gettext("Nobody waits any more — go to the first call"));
}

// Moves them now, since somebody asked, and goes to the first.
function showWaiting() {
  if (waiting.hidden) return undefined;
  const ids = new Set(unplaced(Object.values(doc.calls).filter(filter.matcher())).map((tile) => tile.id));
  widened = true;
  draw();
  rove.go([...band.children].find((node) => ids.has(node.dataset.id))?.querySelector("a") ?? root.querySelector(".tile:not([hidden]) a"));
  return true;
}
waiting.addEventListener("click", showWaiting);

// In the tab: how many need help, of those that the filter shows.
function retitle(tiles = Object.values(doc.calls).filter(filter.matcher())) {
  const n = tiles.filter((tile) => tile.status === "live" && tile.risk === "help").length;
  const known = held || oldSince(lostAt, serverNow()) === null;
  const words = known ? (n ? `(${n}) ${TITLE}` : TITLE) : `(?) ${TITLE}`;
  if (document.title !== words) document.title = words;
}

// While nothing is drawn the title goes on telling, and what is over is let go.
function unseen() {
  const now = serverNow();
  const gone = held ? [] : Object.values(doc.calls).filter((tile) => longGone(tile, now));
  if (gone.length) doc = without(doc, gone.map((tile) => tile.id));
  retitle();
}

const show = (node, on) => node.hidden === on && (node.hidden = !on);

function emptiness(present, fitting, asOf) {
  const seen = (list) => list.querySelector(":scope > :not([hidden])") !== null;
  show(bandSection, seen(band));
  show(gridSection, seen(grid));
  if (present.length) everCalled = true;
  const why = fitting.length ? "" : asOf !== null ? "unknown" : filter.active() ? "filtered" : everCalled ? "none" : "first";
  for (const [name, node] of Object.entries(empty)) show(node, name === why);
  if (why === "unknown") put(unknownTitle, held ? pausedWords(asOf) : notKnown(asOf));
}

const pausedWords = (at) => interpolate(gettext("No live call when you paused, at %s"), [timeOfDay(at)]);
const put = (node, text) => node.textContent === text || (node.textContent = text);

const paint = painter(draw, Number(recall("rate", "1000")));

const { refetch } = openLine("/ws/floor/", {
  onSnapshot(message) {
    doc = message.floor;
    sync(doc.now);
    document.hidden ? unseen() : paint.now();
  },
  onEvents(events, urgent) {
    doc = applyAll(doc, events);
    if (document.hidden) unseen();
    else if (urgent) paint.hurry();
  },
  onTick: (message) => sync(message.now),
  onState(state, silentMs) {
    line = state;
    lostAt = state === "live" ? null : serverNow() - silentMs;
    if (!document.hidden) return paint.now();
    unseen();
    setTimeout(() => document.hidden && unseen(), LOOK.stale_ms); // what it says is old by then
  },
  onBack: () => location.reload(),
});
document.addEventListener("visibilitychange", () => document.hidden || refetch());

let marking = 0;
function markWhenSlow() {
  clearInterval(marking);
  if (paint.every > 1000) marking = setInterval(markOld, 1000);
}
markWhenSlow();

const pause = pauseButton(find("pause"), () => {
  held = held ? null : { doc, at: serverNow() };
  paint.now();
  return Boolean(held);
});

const rate = find("rate");
rate.value = recall("rate", "1000");
rate.addEventListener("change", () => {
  remember("rate", rate.value);
  paint.every = Number(rate.value);
  markWhenSlow();
});
find("filter").addEventListener("input", () => (widened = true), { capture: true });

const help = helpDialog(document.querySelector("[data-help-dialog]"), find("help"));
listen({
  ...rove.actions,
  ...floorActs({ newest: (id) => doc.calls[id], seen: (id) => views.get(id)?.tile, say: announce.say }),
  n: showWaiting,
  p: pause,
  "?": help,
  "/": () => {
    filter.focus();
    return true;
  },
});

for (const node of root.querySelectorAll("[data-js]")) node.hidden = false;
for (const node of root.querySelectorAll("[data-no-js]")) node.hidden = true;
draw();
rove.tidy();
