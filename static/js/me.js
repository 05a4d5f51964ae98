// An agent's own page: how the caller seems, one cue at a time, messages, who looks on, own choices.
import { serverNow, sync } from "./clock.js";
import { helpDialog, listen } from "./keys.js";
import { lineState } from "./line-state.js";
import { openLine } from "./line.js";
import { choicesPanel } from "./me-choices.js";
import { cuePanel } from "./me-cue.js";
import { consentPanel } from "./me-consent.js";
import { nowPanel, pickPanel } from "./me-now.js";
import { looksPanel, messagesPanel, peoplePanel } from "./me-people.js";
import { painter } from "./painter.js";
import { pauseButton } from "./pause.js";
import { apply, applyAll } from "./reduce.js";
import { speaker } from "./me-speak.js";

const root = document.querySelector("[data-me]");
const find = (name) => root.querySelector(`[data-${name}]`);
const read = (id) => JSON.parse(document.getElementById(id).textContent);

let doc = read("me");
let line = "waiting";
let lostAt = null;
let picked = null; // a call the agent chose; else the newest
let held = null; // What a paused page goes on showing of caller and cues, and since when. People still come through.
let seen = null; // the call on the screen, then the one that was
sync(read("now"));

const showLine = lineState(document.querySelector(".line-state"));
const drawNow = nowPanel(find("now"));
const drawPick = pickPanel(find("pick"), (id) => ((picked = id), paint.now()));
const cues = cuePanel(root, { tell: (cue) => happened({ type: "cue", cue }), redraw: () => paint.now() });
const drawMessages = messagesPanel(find("messages-section"), (message) => happened({ type: "message", message }));
const drawPeople = peoplePanel(find("people"), (message) => happened({ type: "message", message }));
const drawLooks = looksPanel(find("looks-section"));
const choices = choicesPanel(root, (said) => happened({ type: "choices", choices: { ...doc.choices, ...said } }));
const drawConsent = consentPanel(find("objects"));
const speak = speaker(find("announce"));

// What a post has done is shown at once; the line says the same again.
function happened(event) {
  doc = apply(doc, event);
  if (held) held.doc = apply(held.doc, event);
  paint.now();
}

function draw() {
  const [shown, at] = [held?.doc ?? doc, held?.at ?? serverNow()];
  const calls = Object.values(shown.calls).sort((a, b) => Date.parse(b.started_at) - Date.parse(a.started_at));
  const tile = calls.find((call) => call.id === picked) ?? calls[0];
  const mine = (rows) => (tile ? rows.filter((row) => row.call === tile.id) : []);
  const messages = mine(doc.messages);
  find("none").hidden = Boolean(tile);
  find("now").hidden = !tile;
  find("ended").hidden = Boolean(tile) || !seen;
  const state = held ? "paused" : line;
  if (tile) drawNow(tile, state, at, doc.cues_on);
  drawConsent(doc.calls[tile?.id] ?? tile);
  if (tile) seen = tile.id;
  else if (seen) find("ended-link").href = `/calls/${seen}/`;
  showLine(state, held?.at ?? (line === "live" ? null : lostAt));
  drawPick(calls, tile?.id, doc);
  const up = cues.draw(mine(shown.cues), at);
  drawMessages(messages, drawPeople(messages, mine(doc.looks)));
  find("mute-block").hidden = !doc.cues_on;
  drawLooks({ looks: mine(doc.looks), followers: tile?.followers ?? [] });
  choices.draw(doc.choices);
  speak(up, messages);
}

const paint = painter(draw);
const { refetch } = openLine("/ws/me/", {
  onSnapshot(message) {
    doc = message.me;
    sync(message.now);
    paint.now();
  },
  onEvents(events, urgent) {
    doc = applyAll(doc, events);
    if (urgent) paint.hurry();
  },
  onTick: (message) => sync(message.now),
  onState(state) {
    line = state;
    lostAt = state === "live" ? null : serverNow();
    paint.hurry();
  },
});
document.addEventListener("visibilitychange", () => document.hidden || refetch());
const pause = pauseButton(find("pause"), () => {
  held = held || find("now").hidden ? null : { doc, at: serverNow() }; // without a call there is nothing to hold
  paint.now();
  return Boolean(held);
});
listen({
  ...cues.actions,
  p: pause,
  m: choices.mute,
  "?": helpDialog(document.querySelector("[data-help-dialog]"), find("help")),
});
draw();
