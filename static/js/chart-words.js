// The chart in words: one sentence, and a table that is filled while it is open.
import { notShown } from "./chart.js";
import { make, whenChanged } from "./nodes.js";
import { clock, percent, stateLook } from "./words.js";

const ROWS = 200;

export function chartWords(figure) {
  const summary = figure.querySelector("[data-summary]");
  const details = figure.querySelector("[data-table]");
  const body = details.querySelector("tbody");
  let doc = null;
  const fill = whenChanged((rows) => body.replaceChildren(...rows.map(rowNode)));
  details.addEventListener("toggle", () => doc && details.open && fill(rows(doc)));

  return (next) => {
    doc = next;
    const text = sentence(doc);
    if (summary.textContent !== text) summary.textContent = text;
    if (details.open) fill(rows(doc));
  };
}

function sentence(doc) {
  const { moments, opportunities, alerts, cues = [], remarks = [] } = doc;
  if (!moments.length) return "Nothing is scored yet.";
  const last = moments[moments.length - 1];
  const scored = moments.filter((m) => m.empathy !== null);
  const parts = [];
  if (scored.length) {
    const values = scored.map((m) => m.empathy);
    const now = scored[scored.length - 1];
    parts.push(
      `Empathy is ${Math.round(now.empathy)} of 100 (${Math.round(now.empathy_low)}–${Math.round(now.empathy_high)}), between ${Math.round(Math.min(...values))} and ${Math.round(Math.max(...values))} so far.`,
    );
  } else {
    parts.push("Empathy is not judged yet: there was no occasion for it.");
  }
  parts.push(`At ${clock(last.t_ms)} the caller seems ${stateLook(last.state)[1].toLowerCase()}.`);
  const counted = [
    [opportunities.length, "opportunity", "opportunities"],
    [notShown(doc).length, "possible cue", "possible cues"],
    [cues.length, "cue shown", "cues shown"],
    [alerts.length, "alert", "alerts"],
    [remarks.length, "note", "notes"],
  ];
  parts.push(`${counted.map(([n, one, many]) => `${n} ${n === 1 ? one : many}`).join(", ")}.`);
  return parts.join(" ");
}

function rows(doc) {
  const { moments, opportunities, alerts, cues = [], remarks = [] } = doc;
  const happened = [
    ...opportunities.map((o) => [o.t_ms, `opportunity (${stateLook(o.state)[1].toLowerCase()}), ${o.response === null ? "answer open" : `answered ${percent(o.response)}`}${o.missing.length ? `; missing: ${o.missing.join(", ")}` : ""}`]),
    ...notShown(doc).map((n) => [n.t_ms, `possible cue, not shown: ${n.cue}`]),
    ...cues.map((c) => [c.t_ms, `cue shown: ${c.cue}`]),
    ...remarks.filter((r) => r.t_ms !== null).map((r) => [r.t_ms, `note by ${r.author}: ${r.text}`]),
    ...alerts.map((a) => [a.t_ms, `alert: ${a.title}`]),
  ].map(([t_ms, event]) => ({ t_ms, event }));
  return [...moments.slice(-ROWS), ...happened].sort((a, b) => b.t_ms - a.t_ms);
}

function rowNode(row) {
  const cells = row.event
    ? [clock(row.t_ms), "", "", "", "", "", row.event]
    : [
        clock(row.t_ms),
        `${stateLook(row.state)[0]} ${stateLook(row.state)[1]}`,
        percent(row.intensity),
        percent(row.confidence),
        row.empathy === null ? "–" : String(Math.round(row.empathy)),
        row.empathy === null ? "" : `${Math.round(row.empathy_low)}–${Math.round(row.empathy_high)}`,
        "",
      ];
  return make("tr", {}, ...cells.map((text, i) => make("td", { class: i >= 2 && i <= 4 ? "number" : null }, text)));
}
