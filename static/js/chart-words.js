// The chart in words: one sentence, and a table that is filled while it is open.
import { drawnOf, isMet, notShown } from "./chart.js";
import { make, whenChanged } from "./nodes.js";
import { clock, percent, said, stateLook } from "./words.js";

const ROWS = 200; // of a call that runs; of one that is over, all

export function chartWords(figure) {
  const summary = figure.querySelector("[data-summary]");
  const drawn = figure.querySelector("[data-drawn]");
  const listed = figure.querySelector("[data-listed]");
  const details = figure.querySelector("[data-table]");
  const body = details.querySelector("tbody");
  let doc = null;
  const fill = whenChanged((rows) => body.replaceChildren(...rows.map(rowNode)));
  details.addEventListener("toggle", () => doc && details.open && fill(rows(doc)));

  return (next) => {
    doc = next;
    const text = sentence(doc);
    if (summary.textContent !== text) summary.textContent = text;
    tell(drawn, drawnWords(doc));
    tell(listed, doc.moments.length > scoresOf(doc).length ? interpolate(gettext("The newest %s of %s scores; all of them after the call."), [ROWS, doc.moments.length]) : "");
    if (details.open) fill(rows(doc));
  };
}

function tell(node, words) {
  node.hidden = !words;
  if (node.textContent !== words) node.textContent = words;
}

// What the picture leaves out.
function drawnWords(doc) {
  const { ended, moments } = drawnOf(doc);
  if (moments.length === doc.moments.length) return "";
  if (ended) return interpolate(gettext("%s of %s scores are drawn: in each stretch the lowest and the highest, and every change. The table has all."), [moments.length, doc.moments.length]);
  return interpolate(gettext("Drawn from %s on; all of it after the call."), [clock(moments[0].t_ms)]);
}

const scoresOf = (doc) => (drawnOf(doc).ended ? doc.moments : doc.moments.slice(-ROWS));

function sentence(doc) {
  const { moments, opportunities, alerts, cues = [], remarks = [] } = doc;
  if (!moments.length) return gettext("Nothing is scored yet.");
  const last = moments[moments.length - 1];
  const scored = moments.filter((m) => m.empathy !== null);
  const parts = [];
  if (scored.length) {
    const values = scored.map((m) => m.empathy);
    const over = doc.final && doc.final.empathy !== null;
    const now = over ? doc.final : scored[scored.length - 1];
    const words = over
      ? gettext("The final score is %s of 100 (%s–%s); on the way empathy was between %s and %s.")
      : gettext("Empathy is %s of 100 (%s–%s), between %s and %s so far.");
    const numbers = [now.empathy, now.empathy_low, now.empathy_high, Math.min(...values), Math.max(...values)];
    parts.push(interpolate(words, numbers.map(Math.round)));
  } else {
    parts.push(gettext("Empathy is not judged yet: there was no occasion for it."));
  }
  parts.push(interpolate(gettext("At %s the caller seems %s."), [clock(last.t_ms), stateLook(last.state)[1].toLowerCase()]));
  const counted = [
    counting(opportunities.length, (n) => ngettext("%s opportunity", "%s opportunities", n)),
    counting(notShown(doc).length, (n) => ngettext("%s possible cue", "%s possible cues", n)),
    counting(cues.length, (n) => ngettext("%s cue shown", "%s cues shown", n)),
    counting(alerts.length, (n) => ngettext("%s alert", "%s alerts", n)),
    counting(remarks.length, (n) => ngettext("%s note", "%s notes", n)),
  ];
  parts.push(`${counted.join(", ")}.`);
  return parts.join(" ");
}

const counting = (n, words) => interpolate(words(n), [n]);

function rows(doc) {
  const { opportunities, alerts, cues = [], remarks = [] } = doc;
  const happened = [
    ...opportunities.map((o) => [o.t_ms, opportunityWords(o)]),
    ...notShown(doc).map((n) => [n.t_ms, interpolate(gettext("possible cue, not shown: %s"), [said(n.cue)])]),
    ...cues.map((c) => [c.t_ms, interpolate(gettext("cue shown: %s"), [said(c.cue)])]),
    ...remarks.filter((r) => r.t_ms !== null).map((r) => [r.t_ms, interpolate(gettext("note by %s: %s"), [r.author, r.text])]),
    ...alerts.map((a) => [a.t_ms, interpolate(gettext("alert: %s"), [said(a.title)])]),
  ].map(([t_ms, event]) => ({ t_ms, event }));
  return [...scoresOf(doc), ...happened].sort((a, b) => b.t_ms - a.t_ms);
}

function opportunityWords({ state, response, missing }) {
  const felt = stateLook(state)[1].toLowerCase();
  const answered = isMet({ response }) ? gettext("opportunity (%s), met: answered %s") : gettext("opportunity (%s), not met: answered %s");
  const answer = response === null ? interpolate(gettext("opportunity (%s), answer open"), [felt]) : interpolate(answered, [felt, percent(response)]);
  return missing.length ? interpolate(gettext("%s; missing: %s"), [answer, missing.map(said).join(", ")]) : answer;
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
