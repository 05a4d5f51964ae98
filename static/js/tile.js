// One tile on the floor: its element, and writing to it only what changed.
import { timeOfDay } from "./clock.js";
import { isMine, othersOn } from "./follow.js";
import { level, sparkRuns } from "./spark.js";
import { LOOK, changeWords, clock, empathyWords, isLow, percent, riskLook, said, stateLook } from "./words.js";

const template = document.querySelector("template[data-tile]");

const SVG = "http://www.w3.org/2000/svg";
const JUST_NOW_MS = 2000; // As in calls/views/paint.py.
const NAMED_BY = ["agent", "place", "risk_word"]; // What the link over a tile is called.
// What changes with each second. Whatever else of a tile is another has all that is not of these written anew.
const OFTEN = new Set([
  ...["scored_at", "media_ms", "spark", "distress", "intensity", "confidence"],
  ...["empathy", "empathy_low", "empathy_high", "change_60s", "courtesy"],
]);

export const isStale = ({ status, scored_at }, now) => status === "live" && Boolean(scored_at) && now - Date.parse(scored_at) > LOOK.stale_ms;

// Who of the others is at it. (That the viewer follows is a star of its own.)
function peopleWords(tile) {
  const helpers = tile.helpers ?? [];
  const others = othersOn(tile);
  const parts = [];
  if (helpers.length) parts.push(`✓ ${interpolate(ngettext("%s looks after it", "%s look after it", helpers.length), [helpers.join(", ")])}`);
  if (others.length) parts.push(`☆ ${interpolate(ngettext("%s follows", "%s follow", others.length), [others.join(", ")])}`);
  return parts.join(" · ");
}

export class TileView {
  constructor(node = template.content.firstElementChild.cloneNode(true)) {
    this.node = node;
    this.parts = {};
    for (const part of node.querySelectorAll("[data-f]")) this.parts[part.dataset.f] = part;
    this.shown = new Map();
    this.tile = null;
    this.stale = false;
    this.far = false; // out of sight
    this.nextAt = -Infinity; // when it is written again though it is
  }

  text(name, value) {
    if (this.shown.get(name) === value) return;
    this.shown.set(name, value);
    const { firstChild } = this.parts[name];
    if (firstChild && value) firstChild.data = value; // Keeps the node, and with it what is laid out around it.
    else this.parts[name].textContent = value;
  }

  set(name, attribute, value, node = this.parts[name]) {
    const key = `${name}@${attribute}`;
    if (this.shown.get(key) === value) return;
    this.shown.set(key, value);
    if (value === null) node.removeAttribute(attribute);
    else node.setAttribute(attribute, value);
  }

  // `frozen`: the page is paused. `dated`: it will not be drawn again soon, so its age is said by the clock.
  draw(tile, now, { frozen = false, dated = false, line = true } = {}) {
    if (tile !== this.tile) this.drawTile(tile);
    if (line) this.drawLine(sparkRuns(tile.spark, tile.media_ms));
    this.drawAge(tile, now, frozen, dated);
  }

  drawLine(runs) {
    const { spark } = this.parts;
    while (spark.childElementCount > runs.length) spark.lastElementChild.remove();
    runs.forEach((points, n) => (spark.children[n] ?? spark.appendChild(document.createElementNS(SVG, "polyline"))).setAttribute("points", points));
  }

  drawTile(tile) {
    const was = this.tile;
    this.tile = tile;
    if (!was || Object.keys(tile).some((name) => was[name] !== tile[name] && !OFTEN.has(name))) this.drawSeldom(tile);
    this.set("", "data-low", isLow(tile.confidence) ? "" : null, this.node);
    this.text("intensity", ["calm", "unsure"].includes(tile.state) ? "" : percent(tile.intensity));
    this.text("empathy", empathyWords(tile));
    this.set("empathy", "class", tile.empathy === null ? "words" : null);
    this.text("change", changeWords(tile));
    this.scoredAt = tile.scored_at ? Date.parse(tile.scored_at) : null;
  }

  // Reads nothing that is of OFTEN.
  drawSeldom(tile) {
    const [riskGlyph, riskWord] = riskLook(tile.risk);
    const [stateGlyph, stateWord] = stateLook(tile.state);
    this.set("", "data-id", tile.id, this.node);
    this.set("", "data-risk", tile.risk, this.node);
    this.set("", "data-state", tile.state, this.node);
    this.set("", "data-status", tile.status, this.node);
    this.set("link", "href", `/calls/${tile.id}/`);
    for (const name of NAMED_BY) this.set(name, "id", `${tile.id}-${name}`);
    this.set("link", "aria-labelledby", NAMED_BY.map((name) => `${tile.id}-${name}`).join(" "));
    this.text("risk_glyph", riskGlyph);
    this.text("risk_word", riskWord);
    this.text("agent", said(tile.agent));
    this.text("place", tile.queue ? `${tile.team_name} · ${tile.queue}` : tile.team_name);
    this.set("synthetic", "hidden", tile.synthetic ? null : "");
    this.text("reason", said(tile.reason));
    this.text("about", tile.quote && tile.about?.includes(tile.quote) ? "" : tile.about ?? ""); // not twice
    this.text("quote", tile.quote);
    this.set("quote", "hidden", tile.quote ? null : "");
    this.text("state_glyph", stateGlyph);
    this.text("state_word", stateWord);
    this.set("limit", "y1", level(tile.threshold));
    this.set("limit", "y2", level(tile.threshold));
    this.text("not_scored", said(tile.not_scored));
    const open = tile.alerts_open ?? 0;
    this.set("alarms", "hidden", open ? null : "");
    this.text("alarms_n", open ? String(open) : "");
    this.text("alarms_words", open ? interpolate(ngettext("%s open alert", "%s open alerts", open), [open]) : "");
    this.set("mine", "hidden", isMine(tile) ? null : "");
    this.text("people", peopleWords(tile));
    this.startedAt = Date.parse(tile.started_at);
    this.endedAt = tile.ended_at ? Date.parse(tile.ended_at) : null;
  }

  // Paused numbers are dated, not aged: the page says when it was paused.
  drawAge(tile, now, frozen, dated) {
    const live = tile.status === "live";
    const age = this.scoredAt === null ? null : now - this.scoredAt;
    const stale = isStale(tile, now);
    this.stale = stale && !frozen;
    this.set("", "data-stale", this.stale ? "" : null, this.node);
    this.text("elapsed", clock((this.endedAt ?? now) - this.startedAt));
    let words;
    if (!live) words = tile.status === "ended" ? gettext("ended") : gettext("stream lost");
    else if (age === null) words = gettext("no score yet");
    else if (frozen || (dated && !stale)) words = interpolate(gettext("scored at %s"), [timeOfDay(this.scoredAt)]);
    else if (stale) words = interpolate(gettext("stale since %s"), [timeOfDay(this.scoredAt)]);
    else words = age < JUST_NOW_MS ? gettext("scored just now") : interpolate(gettext("scored %s s ago"), [Math.floor(age / 1000)]);
    this.text("age", words);
  }
}
