// An agent's own page: how the caller seems, one cue at a time, messages, and who looks on.
import { serverNow, sync, timeOfDay } from "./clock.js";
import { helpDialog, listen } from "./keys.js";
import { lineState } from "./line-state.js";
import { openLine } from "./line.js";
import { glyph, make, whenChanged } from "./nodes.js";
import { painter } from "./painter.js";
import { post } from "./post.js";
import { applyAll } from "./reduce.js";
import { LOOK, clock, empathyWords, isLow, stateLook } from "./words.js";

const CUE_STAYS_MS = 45_000;
const VERDICTS = [["helpful", "Helpful", "h"], ["not", "Not helpful", "n"], ["wrong", "Wrong", "w"], ["not_now", "Not now", "x"]];
const root = document.querySelector("[data-me]");
const find = (name) => root.querySelector(`[data-${name}]`);
const part = (name) => root.querySelector(`[data-f="${name}"]`);
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const showLine = lineState(document.querySelector(".line-state"));
const form = find("form");

let doc = read("me");
let line = "waiting";
let lostAt = null;
let picked = null;
let up = null; // the cue on the screen
sync(read("now"));

// --- what is shown ---------------------------------------------------------------------------

function draw() {
  const calls = Object.values(doc.calls).sort((a, b) => (a.started_at < b.started_at ? 1 : -1));
  const tile = calls.find((call) => call.id === picked) ?? calls[0];
  find("none").hidden = Boolean(tile);
  find("now").hidden = !tile;
  showLine(line, line === "live" ? null : lostAt);
  const mine = (rows) => (tile ? rows.filter((row) => row.call === tile.id) : []);
  if (tile) drawNow(tile);
  drawPick(calls.map((call) => [call.id, call.queue || call.source]), tile?.id);
  drawCues(mine(doc.cues), tile);
  drawMessages(mine(doc.messages));
  drawLooks(mine(doc.looks));
}

function drawNow(tile) {
  const box = find("now");
  const put = (name, text) => part(name).textContent !== text && (part(name).textContent = text);
  const age = tile.scored_at ? serverNow() - Date.parse(tile.scored_at) : null;
  const stale = line !== "live" || (age !== null && age > LOOK.stale_ms);
  const [sign, word] = stateLook(tile.state);
  box.dataset.state = tile.state;
  box.toggleAttribute("data-low", isLow(tile.confidence));
  box.toggleAttribute("data-stale", stale);
  put("elapsed", clock(serverNow() - Date.parse(tile.started_at)));
  put("where", tile.queue ? ` · ${tile.queue}` : "");
  put("glyph", sign);
  put("state", word);
  put("sure", isLow(tile.confidence) && tile.state !== "unsure" ? "not sure" : "");
  const judged = tile.empathy !== null;
  put("empathy", judged ? empathyWords(tile) : "not judged");
  part("empathy").toggleAttribute("data-words", !judged);
  const known = judged && tile.empathy_low !== null;
  put("interval", known ? `${Math.round(tile.empathy_low)}–${Math.round(tile.empathy_high)}` : judged ? "" : "no need arose yet");
  put("age", ageWords(tile, age, stale));
  part("open").href = `/calls/${tile.id}/`;
}

function ageWords(tile, age, stale) {
  if (age === null) return tile.not_scored || "no score yet";
  return stale ? `as of ${timeOfDay(Date.parse(tile.scored_at))}` : `scored ${Math.max(0, Math.floor(age / 1000))} s ago`;
}

const drawPick = whenChanged((calls, current) => {
  find("pick").hidden = calls.length < 2;
  find("pick").replaceChildren(
    ...calls.map(([id, name]) => {
      const button = make("button", { type: "button", "aria-pressed": String(id === current) }, name);
      button.addEventListener("click", () => ((picked = id), draw()));
      return button;
    }),
  );
});

function drawCues(cues, tile) {
  const newest = cues.at(-1);
  const fresh = newest && !newest.verdict && serverNow() - Date.parse(newest.shown_at) < CUE_STAYS_MS;
  up = tile && fresh ? newest : null;
  drawUp(up);
  const earlier = cues.filter((cue) => cue !== up).reverse();
  find("earlier-section").hidden = !earlier.length;
  drawEarlier(earlier);
}

const drawUp = whenChanged((cue) => {
  const place = find("cue-place");
  if (!cue) return place.replaceChildren();
  const [sign, word] = stateLook(cue.state);
  const buttons = VERDICTS.map(([verdict, words]) => {
    const button = make("button", { type: "button" }, words);
    button.addEventListener("click", () => judge(verdict));
    return button;
  });
  const phrases = cue.phrases.slice(0, 2).map((words) => make("blockquote", {}, `“${words}”`));
  const head = make("p", { class: "small quiet", "data-state": cue.state }, glyph(sign), `The caller seems ${word.toLowerCase()}`);
  place.replaceChildren(
    make("article", { class: "cue" }, head, make("h2", {}, cue.cue), ...phrases, make("div", { class: "verdicts", role: "group", "aria-label": "What do you say of this cue?" }, ...buttons)),
  );
});

const drawEarlier = whenChanged((cues) => {
  find("earlier").replaceChildren(
    ...cues.map((cue) => make("li", {}, make("span", {}, cue.cue), make("span", { class: "quiet" }, outcome(cue)))),
  );
});

function outcome(cue) {
  const said = VERDICTS.find(([verdict]) => verdict === cue.verdict)?.[1].toLowerCase();
  const came = [cue.taken && "✓ you did", cue.taken && cue.recovered_ms !== null && "the caller calmed down"];
  return [said && `you: ${said}`, ...came].filter(Boolean).join(" · ") || clock(cue.t_ms);
}

const drawMessages = whenChanged((messages) => {
  find("messages-section").hidden = !messages.length;
  find("messages").replaceChildren(
    ...[...messages].reverse().map((message) => {
      const words = make("span", { class: message.read_at ? null : "unread" }, message.text, make("br"));
      words.append(make("span", { class: "small quiet" }, `${message.sender || "somebody"} · ${timeOfDay(Date.parse(message.sent_at))}`));
      const button = make("button", { type: "button" }, "Got it");
      button.addEventListener("click", () => send(`/me/messages/${message.id}/read`));
      return make("li", {}, words, message.read_at ? null : button);
    }),
  );
});

const drawLooks = whenChanged((looks) => {
  const at = (look) => timeOfDay(Date.parse(look.began_at));
  find("looks-section").hidden = !looks.length;
  find("looks").replaceChildren(
    ...[...looks].reverse().map((look) =>
      make("li", {}, make("span", {}, look.open ? `${look.who} is watching` : `${look.who} looked`), make("span", { class: "quiet" }, look.open ? `since ${at(look)}` : at(look))),
    ),
  );
});

// --- what is done ----------------------------------------------------------------------------

async function send(path, said) {
  const trouble = await post(path, said);
  find("trouble").textContent = trouble;
  find("trouble").hidden = !trouble;
  return trouble;
}

function judge(verdict) {
  if (!up) return undefined;
  send(`/me/cues/${up.id}/verdict`, { verdict });
  return true;
}

function mute() {
  form.muted.checked = !form.muted.checked;
  keep();
  return true;
}

async function keep() {
  const boxes = [...form.querySelectorAll('[name="kind"]')];
  const trouble = await post("/me/choices", {
    muted: form.muted.checked,
    every_s: Number(form.every_s.value),
    per_call: Number(form.per_call.value),
    kinds_off: boxes.filter((box) => !box.checked).map((box) => box.value),
  });
  find("said").textContent = trouble || (form.muted.checked ? "Kept: no cues for now." : "Kept.");
}

form.addEventListener("submit", (event) => (event.preventDefault(), keep()));

// --- the line --------------------------------------------------------------------------------

const paint = painter(draw);
const { refetch } = openLine("/ws/me/", {
  onSnapshot(message) {
    doc = message.me;
    sync(message.now);
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
document.addEventListener("visibilitychange", () => document.hidden || refetch());
setInterval(paint.request, 1000);
listen({
  ...Object.fromEntries(VERDICTS.map(([verdict, , key]) => [key, () => judge(verdict)])),
  m: mute,
  "?": helpDialog(document.querySelector("[data-help-dialog]"), find("help")),
});
draw();
