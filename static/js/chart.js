// The one Plotly chart of a page: newPlot once, extendTraces while points are only added, react
// after a gap, a revision or a theme change. Fixed y range and margins, constant uirevision.
import { make } from "./nodes.js";
import { LOOK, clock, isLow, percent, said, stateLook } from "./words.js";

const MAX_POINTS = 600; // while a call runs: the newest
const WHOLE_POINTS = 3000; // of a call that is over: all of it, thinned past this
const WIDE = 30; // An interval wider than this many points is drawn dashed.
const RIBBON_STEP_MS = 3000;
const GLYPHS_AT_MOST = 60;
const CLICK_PX = 6; // a pointer that moved further was no click
const [BAND_LOW, BAND_HIGH, SURE, UNSURE, RIBBON, GLYPHS] = [0, 1, 2, 3, 4, 5]; // then the markers
// The x axis is a date axis that begins at a midnight, so that its ticks read as media time. (Plotly
// takes small numbers on a date axis for years, hence a midnight well after 1970.)
const MIDNIGHT = Date.UTC(2000, 0, 1);
const when = (ms) => MIDNIGHT + ms;
const CONFIG = {
  displayModeBar: false,
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  responsive: true,
  scrollZoom: false,
  doubleClick: false,
};

export function callChart(node) {
  const line = make("div", { class: "cursor", hidden: true });
  let drawn = null;
  let whole = false;
  let marks = "";
  let heard = null; // where a recording is

  // `doc` moments are in order; only what was added since the last draw is sent to Plotly.
  function draw(doc) {
    const { moments, ended } = drawnOf(doc);
    const newMarks = JSON.stringify([doc.opportunities, doc.nudges, doc.alerts, doc.cues, doc.remarks, pastAnHour(moments)]);
    const added = drawn && newMarks === marks && ended === whole ? addedSince(drawn, moments) : null;
    if (added === null || (ended && added.length)) redraw(doc, moments);
    else if (added.length) extend(added, drawn[drawn.length - 1]);
    [drawn, marks, whole] = [moments, newMarks, ended];
  }

  function redraw(doc, moments) {
    const hues = colours(node);
    const plot = drawn ? Plotly.react : Plotly.newPlot;
    const first = !drawn;
    plot(node, traces(doc, moments, hues), layout(hues, pastAnHour(moments)), CONFIG);
    if (!first) return;
    node.append(line);
    node.on("plotly_afterplot", place);
  }

  // The line at what is heard is no part of the plot, so that moving it costs next to nothing.
  function place() {
    const axis = node._fullLayout?.xaxis;
    const x = heard === null || !axis ? -1 : axis.l2p(when(heard));
    line.hidden = !(x >= 0 && x <= axis?._length);
    if (!line.hidden) line.style.transform = `translateX(${axis._offset + x}px)`;
  }

  // A click or tap; not the start of a scroll. Plotly covers the page while a button is down, so the end is
  // listened for on the window.
  function onSeek(tell) {
    let down = null;
    node.classList.add("seekable");
    node.addEventListener("pointerdown", (event) => (down = event.isPrimary && event.button === 0 ? event : null), true);
    window.addEventListener("pointercancel", () => (down = null), true);
    window.addEventListener("pointerup", (event) => {
      const from = down;
      down = null;
      if (!from || Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) > CLICK_PX) return;
      const axis = node._fullLayout?.xaxis;
      const x = event.clientX - node.getBoundingClientRect().left - (axis?._offset ?? 0);
      if (axis && x >= 0 && x <= axis._length) tell(Math.max(0, axis.p2l(x) - MIDNIGHT));
    }, true);
  }

  function extend(added, before) {
    const hues = colours(node);
    const lines = lineData(added, before);
    const bars = ribbonData(added, before, hues);
    const values = [lines.low, lines.high, lines.sure, lines.unsure];
    Plotly.extendTraces(node, { x: values.map(() => lines.x), y: values, text: values.map(() => lines.text) }, [BAND_LOW, BAND_HIGH, SURE, UNSURE], MAX_POINTS);
    const ribbon = { x: [bars.x], y: [bars.y], width: [bars.width], hovertext: [bars.hover], "marker.color": [bars.fill], "marker.line.color": [bars.line] };
    Plotly.extendTraces(node, ribbon, [RIBBON], MAX_POINTS);
    const signs = glyphData(added, before, hues);
    if (signs.x.length) Plotly.extendTraces(node, { x: [signs.x], y: [signs.y], text: [signs.text], "textfont.color": [signs.colour] }, [GLYPHS], MAX_POINTS);
  }

  return {
    draw,
    onSeek,
    cursor(t_ms) {
      heard = t_ms;
      place();
    },
    again(doc) {
      if (drawn) redraw(doc, drawnOf(doc).moments);
    },
  };
}

// What is drawn of a call: while it runs its newest moments, afterwards all of it.
export function drawnOf({ tile, moments }) {
  const ended = tile?.status !== undefined && tile.status !== "live";
  return { ended, moments: ended ? thinned(moments) : moments.slice(-MAX_POINTS) };
}

// At most about WHOLE_POINTS moments that look as all of them do: in each stretch the lowest and the highest
// empathy, each change of state, and both ends of each silence. `since_ms` is when the moment before each was,
// kept or not, so that a gap stays one and nothing else becomes one.
export function thinned(moments) {
  if (moments.length <= WHOLE_POINTS) return moments;
  const kept = new Set([0, moments.length - 1]);
  const stretch = (2 * moments.length) / WHOLE_POINTS;
  for (let from = 0; from < moments.length; from += stretch) {
    const [first, end] = [Math.floor(from), Math.min(moments.length, Math.floor(from + stretch))];
    let [low, high] = [first, first];
    for (let i = first; i < end; i += 1) {
      const { empathy } = moments[i];
      if (empathy === null) continue;
      if (moments[low].empathy === null || empathy < moments[low].empathy) low = i;
      if (moments[high].empathy === null || empathy > moments[high].empathy) high = i;
    }
    kept.add(low).add(high);
  }
  for (let i = 1; i < moments.length; i += 1) {
    const [before, now] = [moments[i - 1], moments[i]];
    const silence = now.t_ms - before.t_ms > RIBBON_STEP_MS;
    if (silence || now.state !== before.state || (now.empathy === null) !== (before.empathy === null)) kept.add(i - 1).add(i);
  }
  return [...kept].sort((a, b) => a - b).map((i) => ({ ...moments[i], since_ms: moments[i - 1]?.t_ms ?? null }));
}

// How long after the moment before it `m` came, kept or not.
const sinceLast = (m, last) => m.t_ms - (m.since_ms ?? last.t_ms);

// The moments that `now` has after those of `before`, or null when earlier ones were revised.
function addedSince(before, now) {
  if (!before.length) return null;
  const last = before[before.length - 1];
  const at = now.findLastIndex((moment) => moment.t_ms === last.t_ms);
  if (at < 0) return null;
  const common = Math.min(at + 1, before.length);
  for (let back = 0; back < common; back += 1) {
    const [a, b] = [now[at - back], before[before.length - 1 - back]];
    if (a !== b && JSON.stringify(a) !== JSON.stringify(b)) return null;
  }
  return now.slice(at + 1);
}

function traces(doc, moments, hues) {
  const lines = lineData(moments, null);
  const bars = ribbonData(moments, null, hues);
  const signs = glyphData(moments, null, hues);
  const line = (y, extra) => ({ type: "scatter", mode: "lines", x: lines.x, y, text: lines.text, connectgaps: false, hoverinfo: "skip", ...extra });
  const at = empathyAt(moments);
  return [
    line(lines.low, { line: { width: 0 }, connectgaps: true }),
    line(lines.high, { line: { width: 0 }, connectgaps: true, fill: "tonexty", fillcolor: hues.band }),
    line(lines.sure, { line: { color: hues.accent, width: 2.5 }, hoverinfo: "text" }),
    line(lines.unsure, { line: { color: hues.accent, width: 1.5, dash: "dot" }, hoverinfo: "text" }),
    {
      type: "bar",
      x: bars.x,
      y: bars.y,
      width: bars.width,
      hovertext: bars.hover,
      hoverinfo: "text",
      yaxis: "y2",
      marker: { color: bars.fill, line: { color: bars.line, width: 1 } },
    },
    { type: "scatter", mode: "text", x: signs.x, y: signs.y, text: signs.text, textfont: { size: 13, color: signs.colour }, textposition: "middle right", hoverinfo: "skip", yaxis: "y2" },
    markers(doc.opportunities.filter(isMet), at, "triangle-up", hues.ink, (o) => `${clock(o.t_ms)} ${opportunityWords(o)}`),
    markers(doc.opportunities.filter((o) => !isMet(o)), at, "triangle-up-open", hues.ink, (o) => `${clock(o.t_ms)} ${opportunityWords(o)}`),
    markers(notShown(doc), at, "square-open", hues.ink, (n) => `${clock(n.t_ms)} ${interpolate(gettext("possible cue, not shown: %s"), [said(n.cue)])}`),
    markers(doc.cues ?? [], at, "square", hues.ink, (c) => `${clock(c.t_ms)} ${interpolate(gettext("cue shown to the agent: %s"), [said(c.cue)])}`),
    markers((doc.remarks ?? []).filter((r) => r.t_ms !== null), at, "asterisk-open", hues.accent, (r) => `${clock(r.t_ms)} ${interpolate(gettext("note by %s"), [r.author])}`),
    markers(doc.alerts, at, "hexagon", hues.help, (a) => `${clock(a.t_ms)} ${interpolate(gettext("alert: %s"), [said(a.title)])}`, (a) => (a.severity === "help" ? hues.help : hues.watch)),
  ];
}

function opportunityWords(opportunity) {
  const felt = stateLook(opportunity.state)[1].toLowerCase();
  if (opportunity.response === null) return interpolate(gettext("opportunity: %s, waiting for the answer"), [felt]);
  const words = isMet(opportunity) ? gettext("opportunity: %s, met (answered %s)") : gettext("opportunity: %s, not met (answered %s)");
  return interpolate(words, [felt, percent(opportunity.response)]);
}

export const isMet = ({ response }) => response !== null && response >= LOOK.met;

// Lines break (null) wherever empathy is unknown or nothing happened for a while. The band cannot
// break and still be extended, so there it narrows to nothing instead.
function lineData(moments, before) {
  const data = { x: [], low: [], high: [], sure: [], unsure: [], text: [] };
  const put = (t, low, high, sure = null, unsure = null, text = "") => {
    data.x.push(when(t));
    data.low.push(low);
    data.high.push(high);
    data.sure.push(sure);
    data.unsure.push(unsure);
    data.text.push(text);
  };
  let last = before;
  let level = before?.empathy ?? null;
  for (const m of moments) {
    const gap = last && sinceLast(m, last) > LOOK.gap_ms;
    const known = m.empathy !== null;
    if (gap) put(last.t_ms + 1, level, level);
    if (!known) {
      put(m.t_ms, level, level);
    } else {
      const fresh = !last || gap || last.empathy === null;
      if (fresh) put(m.t_ms - 1, m.empathy, m.empathy);
      const wide = isWide(m);
      const joins = !fresh && isWide(last) !== wide;
      const text = `${clock(m.t_ms)} ${interpolate(gettext("empathy %s (%s–%s)"), [m.empathy, m.empathy_low, m.empathy_high].map(Math.round))}`;
      // Where dashed meets solid, both hold the point, so that the line stays whole.
      put(m.t_ms, m.empathy_low, m.empathy_high, !wide || joins ? m.empathy : null, wide || joins ? m.empathy : null, text);
      level = m.empathy;
    }
    last = m;
  }
  return data;
}

const isWide = (m) => m.empathy !== null && m.empathy_high - m.empathy_low > WIDE;

// One bar per moment back to the one before; hollow when the state is uncertain.
function ribbonData(moments, before, hues) {
  const data = { x: [], y: [], width: [], hover: [], fill: [], line: [] };
  let last = before;
  for (const m of moments) {
    const joined = last && sinceLast(m, last) <= RIBBON_STEP_MS;
    const span = joined ? m.t_ms - last.t_ms : RIBBON_STEP_MS;
    const hue = hues.state[m.state] ?? hues.ink;
    data.x.push(when(m.t_ms - span / 2));
    data.y.push(1);
    data.width.push(span);
    data.hover.push(`${clock(m.t_ms)} ${interpolate(gettext("%s, strength %s, confidence %s"), [stateLook(m.state)[1], percent(m.intensity), percent(m.confidence)])}`);
    data.fill.push(isHollow(m) ? "rgba(0,0,0,0)" : hue);
    data.line.push(hue);
    last = m;
  }
  return data;
}

const isHollow = (m) => isLow(m.confidence) || m.state === "unsure";

// The state's glyph where it begins, unless one stands close by.
function glyphData(moments, before, hues) {
  const data = { x: [], y: [], text: [], colour: [] };
  let last = before;
  let at = -Infinity;
  for (const m of moments) {
    if (last?.state !== m.state && m.t_ms - at >= m.t_ms / GLYPHS_AT_MOST) {
      at = m.t_ms;
      data.x.push(when(m.t_ms));
      data.y.push(0.5);
      data.text.push(stateLook(m.state)[0]);
      data.colour.push(isHollow(m) ? hues.ink : hues.card);
    }
    last = m;
  }
  return data;
}

// Possible cues less those that reached the agent's screen.
export function notShown({ nudges, cues = [] }) {
  const shown = new Set(cues.map((cue) => `${cue.t_ms} ${cue.rule}`));
  return nudges.filter((nudge) => !shown.has(`${nudge.t_ms} ${nudge.rule}`));
}

function empathyAt(moments) {
  return (t) => moments.findLast((m) => m.t_ms <= t && m.empathy !== null)?.empathy ?? 50;
}

function markers(items, at, symbol, colour, text, each) {
  return {
    type: "scatter",
    mode: "markers",
    x: items.map((item) => when(item.t_ms)),
    y: items.map((item) => Math.min(96, Math.max(4, at(item.t_ms)))),
    hovertext: items.map(text),
    hoverinfo: "text",
    marker: { symbol, size: 12, color: each ? items.map(each) : colour, line: { width: 2, color: each ? items.map(each) : colour } },
    cliponaxis: false,
  };
}

const pastAnHour = (moments) => moments.length > 0 && moments[moments.length - 1].t_ms >= 3_600_000;

function layout(hues, long) {
  const axis = { color: hues.ink2, gridcolor: hues.line, zeroline: false, fixedrange: true, tickfont: { size: 12 } };
  return {
    uirevision: "call",
    showlegend: false,
    autosize: true,
    margin: { l: 44, r: 10, t: 10, b: 28 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: hues.font, color: hues.ink2, size: 12 },
    hovermode: "closest",
    hoverlabel: { bgcolor: hues.card, bordercolor: hues.line, font: { color: hues.ink, size: 13 } },
    dragmode: false,
    bargap: 0,
    xaxis: { ...axis, type: "date", tickformat: long ? "%-H:%M:%S" : "%-M:%S", nticks: 8, showgrid: false, autorangeoptions: { include: ["2000-01-01 00:00", "2000-01-01 00:02"] }, anchor: "y2" },
    yaxis: { ...axis, domain: [0.2, 1], range: [0, 100], tickvals: [0, 25, 50, 75, 100] },
    yaxis2: { ...axis, domain: [0, 0.13], range: [0, 1], showgrid: false, tickvals: [0.5], ticktext: [gettext("caller")] },
  };
}

// Plotly wants plain colours; light-dark() is resolved by asking what a probe element shows.
function colours(node) {
  const probe = document.createElement("span");
  node.parentNode.append(probe);
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const accent = read("accent");
  const hues = {
    accent,
    band: accent.replace("rgb(", "rgba(").replace(")", ", 0.16)"),
    ink: read("ink"),
    ink2: read("ink-2"),
    line: read("line"),
    card: read("card"),
    help: read("risk-help"),
    watch: read("risk-watch"),
    font: getComputedStyle(probe).fontFamily,
    state: Object.fromEntries(Object.keys(LOOK.state).map((state) => [state, read(`state-${state}`)])),
  };
  probe.remove();
  return hues;
}
