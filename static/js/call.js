// A call, live or ended: one document, drawn at most once a second.
import { alertsPanel } from "./call-alerts.js";
import { cuesPanel, looksPanel, messagesPanel, notesPanel } from "./call-help.js";
import { callHead } from "./call-head.js";
import { player } from "./call-play.js";
import { whenUnfocused } from "./call-rows.js";
import { turnPlaces } from "./call-turns.js";
import { callChart } from "./chart.js";
import { chartWords } from "./chart-words.js";
import { serverNow, sync } from "./clock.js";
import { followButton } from "./follow.js";
import { helpDialog, listen } from "./keys.js";
import { lineState } from "./line-state.js";
import { openLine } from "./line.js";
import { painter } from "./painter.js";
import { pauseButton } from "./pause.js";
import { alignmentPanel, coveragePanel, finalPanel, outlookPanel, timingPanel, whyPanel } from "./panels.js";
import { applyAll } from "./reduce.js";
import { transcript } from "./transcript.js";

const root = document.querySelector("[data-call]");
const find = (name) => root.querySelector(`[data-${name}]`);
const read = (id) => JSON.parse(document.getElementById(id).textContent);

const drawHead = callHead(find("head"));
const drawTiming = timingPanel(find("timing"));
const drawCoverage = coveragePanel(find("coverage"));
const drawFinal = finalPanel(find("final"), find("final-body"));
const drawWords = chartWords(root.querySelector("figure"));
const chart = callChart(find("chart"));
const recording = find("recording");
const turns = transcript(root.querySelector(".transcript"), { plays: Boolean(recording) });
const act = {
  call: `/calls/${root.dataset.call}/`,
  helps: root.hasAttribute("data-helps"),
  places: turnPlaces(root.querySelector(".transcript")),
};
const drawWhy = whyPanel(find("why"), find("why-about"), act.places);
const drawAlignment = alignmentPanel(find("alignment-sum"), find("alignment"), act.places);
const drawOutlook = outlookPanel(find("outlook"), find("outlook-reasons"), act.places);
const sound = recording && player(recording, { transcript: find("turns"), places: act.places, chart });
const alerts = alertsPanel(find("alerts-section"), act);
const drawMessages = messagesPanel(find("messages-section"), act);
const drawNotes = notesPanel(find("notes-section"), act);
const drawCues = cuesPanel(find("cues-section"), act);
const drawLooks = looksPanel(find("looks-section"));
const drawFollow = act.helps ? followButton(find("follow"), find("follow-trouble")) : () => {};
const showLine = lineState(document.querySelector(".line-state"));
const versions = { engine: root.querySelector('[data-f="engine"]'), rubric: root.querySelector('[data-f="rubric"]') };

const whileLive = root.querySelectorAll("[data-while-live]");

// What can be done only while somebody is on the phone; it goes away, but not from under the focus.
const showWhile = (link, live) => (live ? (link.hidden = false) : whenUnfocused(link, () => (link.hidden = true)));

let doc = read("call");
let held = null;
let line = "waiting";
let lostAt = null;
let drawnDoc = null;
sync(read("now"));

function draw({ first = false } = {}) {
  const shown = held?.doc ?? doc;
  drawHead(shown.tile, held?.at);
  showLine(...lineNow(shown));
  if (shown === drawnDoc) return;
  drawnDoc = shown;
  const live = shown.tile.status === "live";
  turns.draw(shown.turns, { first, live });
  drawWhy({ why: shown.why, live });
  alerts.draw(shown.alerts);
  drawFollow(shown.tile);
  for (const link of whileLive) showWhile(link, live);
  drawMessages(shown.messages ?? [], shown.tile);
  drawNotes(shown.remarks ?? [], shown.tile);
  drawCues({ cues: shown.cues ?? [], live });
  drawLooks(shown.looks ?? []);
  drawAlignment(shown.alignment);
  drawOutlook(shown.outlook);
  drawTiming({ ...shown.timing, handle_ms: shown.tile.media_ms, live });
  drawCoverage(shown.coverage);
  drawFinal(shown.final);
  drawWords(shown);
  chart.draw(shown);
  sound?.draw(shown.turns);
  if (shown.versions.engine) versions.engine.textContent = shown.versions.engine;
}

function lineNow(shown) {
  if (held) return ["paused", held.at];
  const isOver = shown.tile.status !== "live" && shown.final;
  if (isOver && (line === "live" || line === "waiting")) return ["ended"];
  return [line, line === "live" ? null : lostAt];
}

const paint = painter(draw);
const { refetch } = openLine(`/ws/calls/${root.dataset.call}/`, {
  onSnapshot(message) {
    doc = message.call;
    if (message.now) sync(message.now);
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
document.addEventListener("themechange", () => chart.again(drawnDoc));

listen({
  ...turns.actions,
  ...alerts.actions,
  f: act.helps && (() => (find("follow").click(), true)),
  p: pauseButton(find("pause"), () => {
    held = held || doc.tile.status !== "live" ? null : { doc, at: serverNow() }; // what is over has nothing to hold
    paint.now();
    return Boolean(held);
  }),
  "?": helpDialog(document.querySelector("[data-help-dialog]"), find("help")),
});
for (const node of root.querySelectorAll("[data-js]")) node.hidden = false;
draw({ first: true });
act.places.toAddress();
