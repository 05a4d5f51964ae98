// A call, live or ended: one document, drawn at most once a second.
import { callChart } from "./chart.js";
import { chartWords } from "./chart-words.js";
import { callHead } from "./call-head.js";
import { serverNow, sync } from "./clock.js";
import { helpDialog, listen } from "./keys.js";
import { lineState } from "./line-state.js";
import { openLine } from "./line.js";
import { painter } from "./painter.js";
import { pauseButton } from "./pause.js";
import { alertsPanel, alignmentPanel, coveragePanel, finalPanel, outlookPanel, timingPanel, whyPanel } from "./panels.js";
import { applyAll } from "./reduce.js";
import { transcript } from "./transcript.js";

const root = document.querySelector("[data-call]");
const find = (name) => root.querySelector(`[data-${name}]`);
const read = (id) => JSON.parse(document.getElementById(id).textContent);

const drawHead = callHead(find("head"));
const drawWhy = whyPanel(find("why"));
const drawAlerts = alertsPanel(find("alerts-section"), find("alerts"));
const drawAlignment = alignmentPanel(find("alignment-sum"), find("alignment"));
const drawOutlook = outlookPanel(find("outlook"), find("outlook-reasons"));
const drawTiming = timingPanel(find("timing"));
const drawCoverage = coveragePanel(find("coverage"));
const drawFinal = finalPanel(find("final"), find("final-body"));
const drawWords = chartWords(root.querySelector("figure"));
const chart = callChart(find("chart"));
const turns = transcript(root.querySelector(".transcript"));
const showLine = lineState(document.querySelector(".line-state"));
const versions = { engine: root.querySelector('[data-f="engine"]'), rubric: root.querySelector('[data-f="rubric"]') };

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
  turns.draw(shown.turns, { first: first && shown.tile.status === "live" });
  drawWhy(shown.why);
  drawAlerts(shown.alerts);
  drawAlignment(shown.alignment);
  drawOutlook(shown.outlook);
  drawTiming(shown.timing);
  drawCoverage(shown.coverage);
  drawFinal(shown.final);
  drawWords(shown);
  chart.draw(shown);
  if (shown.versions.engine) versions.engine.textContent = shown.versions.engine;
}

function lineNow(shown) {
  if (held) return ["paused", held.at];
  if (shown.tile.status !== "live" && shown.final) return ["ended"];
  return [line, line === "live" ? null : lostAt];
}

const paint = painter(draw);
const { refetch } = openLine(`/ws/calls/${root.dataset.call}/`, {
  onSnapshot(message) {
    doc = message.call;
    if (message.now) sync(message.now);
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
document.addEventListener("themechange", () => chart.again(drawnDoc));
setInterval(paint.request, 1000);

listen({
  ...turns.actions,
  p: pauseButton(find("pause"), () => {
    held = held ? null : { doc, at: serverNow() };
    paint.now();
    return Boolean(held);
  }),
  "?": helpDialog(document.querySelector("[data-help-dialog]"), find("help")),
});
for (const node of root.querySelectorAll("[data-js]")) node.hidden = false;
draw({ first: true });
