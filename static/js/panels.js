// The small panels beside the chart: why, timing, what was heard, and the final score.
import { glyph, make, svg, whenChanged } from "./nodes.js";
import { clock, isLow, labelLook, loyaltyLook, percent, stateLook } from "./words.js";

const SOURCES = { words: "from the words", voice: "from the caller’s voice", timing: "from timing" };

export function whyPanel(list) {
  return whenChanged((why) => {
    if (!why.length) return list.replaceChildren(make("li", { class: "quiet" }, "Nothing moved a number yet."));
    list.replaceChildren(...why.toReversed().map(whyLine));
  });
}

function whyLine(line) {
  const low = isLow(line.confidence);
  const empathy = line.target === "empathy";
  const [sign, word] = empathy ? ["", "empathy"] : labelLook(line.target);
  const size = empathy ? `${signed(line.amount.toFixed(1))} points` : signed(Math.round(line.amount * 100), "%");
  return make(
    "li",
    { class: low ? "low" : null, "data-state": line.target },
    make("span", { class: "quiet" }, clock(line.t_ms)),
    make("span", { class: "text" }, line.text),
    make("span", { class: "amount" }, size),
    make(
      "span",
      { class: "source" },
      make("span", {}, sign ? glyph(sign) : null, word),
      make("span", {}, SOURCES[line.source] ?? line.source),
      make("span", {}, glyph(low ? "○" : "●", false), `confidence ${percent(line.confidence)}`),
    ),
  );
}

const signed = (value, unit = "") => `${value > 0 ? "+" : value < 0 ? "−" : "±"}${String(value).replace("-", "")}${unit}`;

export function timingPanel(list) {
  return whenChanged((timing, mediaMs) => {
    const customer = timing.customer_talk_ms ?? 0;
    const agent = timing.agent_talk_ms ?? 0;
    const talk = customer + agent;
    if (!talk) return list.replaceChildren(make("dt", {}, "Nobody has spoken yet."));
    const share = Math.round((100 * customer) / talk);
    const bar = svg(
      "svg",
      { class: "talk", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "customer", x: 0, y: 0, width: share, height: 6 }),
      svg("rect", { class: "agent", x: share, y: 0, width: 100 - share, height: 6 }),
    );
    const facts = [
      ["Caller talks", `${share}% · ${clock(customer)}`],
      ["Agent talks", `${100 - share}% · ${clock(agent)}`],
      ["Agent answers after (median)", orElse(timing.response_ms, long, "no answer yet")],
      ["Both at once", orElse(timing.overlap_ms, long)],
      ["Times the agent took the floor", orElse(timing.floor_taking_overlaps, String)],
      ["Times the caller took the floor", orElse(timing.caller_floor_takings, String)],
      ["Longest silence", orElse(timing.longest_silence_ms, long)],
      ["Dead air, not announced", orElse(timing.dead_air_ms, long)],
      ["Hold, announced", orElse(timing.hold_ms, long)],
      ["Caller’s pace", paceWords(timing.customer_wpm, timing.customer_syllables_s)],
      ["Agent’s pace", paceWords(timing.agent_wpm, timing.agent_syllables_s)],
    ];
    list.replaceChildren(...pairs(facts));
    list.prepend(bar);
  });
}

const known = (value) => value !== null && value !== undefined;

// null: not known yet, which `none` says. undefined: the call was scored before there was such a number; no row.
const orElse = (value, words, none = null) => (known(value) ? words(value) : value === null ? none : null);
const paceWords = (wpm, syllables) =>
  orElse(wpm, (rate) => [`${Math.round(rate)} words/min`, orElse(syllables, (speed) => `${speed.toFixed(1)} syllables/s`)].filter(known).join(" · "), "too few words yet");

export function alignmentPanel(sums, list) {
  return whenSaid((alignment) => {
    const events = alignment?.events ?? [];
    list.closest("section").hidden = !known(alignment?.events);
    const settled = events.filter((event) => known(event.fit)).length;
    sums.hidden = !events.length;
    sums.replaceChildren(
      ...pairs([
        ["Met", settled ? orElse(alignment.met_share, (share) => `${Math.round(share * settled)} of ${settled}`) : "not settled yet"],
        ["Recovered", settled ? orElse(alignment.recovered_share, (share) => `${Math.round(share * settled)} of ${settled}`) : "not settled yet"],
        ["First fitting answer (median)", orElse(alignment?.median_latency_ms, long, "none yet")],
        ["Pace match (diagnostic)", orElse(alignment?.pace_match, percent, "not known yet")],
      ]),
    );
    if (!events.length) return list.replaceChildren(make("li", { class: "quiet" }, "The caller gave no occasion for empathy so far."));
    list.replaceChildren(...events.toReversed().map(eventLine));
  });
}

function eventLine(event) {
  const [sign, word] = stateLook(event.state);
  const fit = known(event.fit) ? percent(event.fit) : "not settled";
  const bar = svg(
    "svg",
    { class: "fit", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { x: 0, y: 0, width: 100 * (event.fit ?? 0), height: 6 }),
  );
  return make(
    "li",
    { "data-state": event.state },
    make("p", {}, make("span", { class: "quiet" }, `${clock(event.t_ms)} `), glyph(sign), make("strong", {}, word), make("span", { class: "amount" }, `fit ${fit}`)),
    bar,
    make(
      "p",
      { class: "small quiet" },
      known(event.latency_ms) ? `first fitting answer after ${long(event.latency_ms)}` : "no fitting answer yet",
      " · ",
      known(event.recovery_ms) ? `recovered after ${long(event.recovery_ms)}` : "not recovered yet",
    ),
  );
}

export function outlookPanel(chip, reasons) {
  return whenSaid((outlook) => {
    chip.closest("section").hidden = !known(outlook?.status);
    if (!known(outlook?.status)) return;
    const [sign, word] = loyaltyLook(outlook.status);
    chip.replaceChildren(
      make("span", { class: "chip" }, glyph(sign, false), make("strong", {}, word)),
      known(outlook.confidence) ? make("span", { class: "small quiet" }, `confidence ${percent(outlook.confidence)}`) : "",
      outlook.calibrated ? "" : make("span", { class: "chip small uncalibrated" }, "uncalibrated"),
    );
    const lines = outlook.reasons ?? [];
    reasons.replaceChildren(
      ...(lines.length
        ? lines.map((line) => make("li", {}, make("span", {}, `${line.amount > 0 ? "+" : "−"} `), line.text, make("span", { class: "quiet" }, ` · ${clock(line.t_ms)}`)))
        : [make("li", { class: "quiet" }, "Nothing speaks for or against yet.")]),
    );
  });
}

const pairs = (facts) => facts.filter(([, value]) => known(value)).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);

// As whenChanged, and draws once for what was never there.
const whenSaid = (draw) => {
  const drawn = whenChanged(draw);
  return (value) => drawn(value ?? null);
};

const FATES = [
  ["scored_ms", "scored", "scored"],
  ["silent_ms", "silent", "silent (nobody spoke)"],
  ["lost_ms", "bad", "lost on the way to us"],
  ["failed_ms", "bad", "could not be scored"],
  ["skipped_ms", "bad", "skipped under load"],
];

export function coveragePanel(root) {
  return whenChanged((coverage) => {
    const parts = Object.entries(coverage.channels ?? {}).map(([name, of]) => channelNode(name, of));
    const notes = coverage.notes ?? [];
    root.replaceChildren(...parts, notes.length ? make("ul", { class: "notes small" }, ...notes.map((note) => make("li", {}, note))) : "");
  });
}

function channelNode(name, of) {
  const total = Math.max(1, FATES.reduce((sum, [key]) => sum + (of[key] ?? 0), 0));
  let x = 0;
  const bars = FATES.map(([key, kind]) => {
    const width = (100 * (of[key] ?? 0)) / total;
    const bar = svg("rect", { class: kind, x, y: 0, width, height: 6 });
    x += width;
    return bar;
  });
  const said = FATES.filter(([key]) => of[key] > 0).map(([key, , words]) => `${long(of[key])} ${words}`);
  return make(
    "div",
    { class: "channel" },
    make("p", {}, make("strong", {}, name === "customer" ? "Caller" : "Agent"), known(of.received_ms) ? ` — ${long(of.received_ms)} received` : ""),
    svg("svg", { class: "heard", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, ...bars),
    make("p", { class: "small quiet" }, said.join(" · ") || "nothing yet"),
  );
}

const long = (ms) => (ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : clock(ms));

const COMPONENTS = {
  E: "Response to feelings",
  C: "Courtesy",
  L: "Listening",
  V: "Recovery",
  P: "Penalty",
};

export function finalPanel(section, body) {
  return whenChanged((final) => {
    section.hidden = !final;
    if (!final) return;
    const judged = known(final.empathy);
    const score = judged ? String(Math.round(final.empathy)) : final.courtesy_only ? "courtesy only" : "none";
    const interval = judged && known(final.empathy_low) ? ` (${Math.round(final.empathy_low)}–${Math.round(final.empathy_high)})` : "";
    const parts = Object.entries(final.components ?? {}).filter(([, value]) => known(value));
    body.replaceChildren(
      make(
        "dl",
        { class: "scores" },
        make("div", {}, make("dt", {}, "Empathy"), make("dd", {}, make("span", { class: judged ? "big" : null }, score), make("span", { class: "quiet" }, interval))),
        known(final.met) && known(final.opportunities) ? make("div", {}, ...pairs([["Opportunities met", `${final.met} of ${final.opportunities}`]])) : null,
        ...parts.map(([key, value]) => make("div", {}, make("dt", {}, COMPONENTS[key] ?? key), make("dd", {}, percent(value)))),
      ),
      final.courtesy_only ? make("p", { class: "small quiet" }, "The caller gave no occasion for empathy, so empathy is not judged.") : "",
    );
  });
}
