// The small panels beside the chart: why, timing, what was heard, and the final score.
import { put, rows } from "./call-rows.js";
import { glyph, make, svg, whenChanged } from "./nodes.js";
import { clock, isLow, labelLook, loyaltyLook, percent, said, stateLook } from "./words.js";

const SOURCES = { words: gettext("from the words"), voice: gettext("from the caller’s voice"), timing: gettext("from timing") };

// A second of the call; with `places` a link that goes there.
const second = (places, t_ms) => (places ? places.link(t_ms) : make("span", {}, clock(t_ms)));

// Rows of which none changes: each is known by all it says. `empty`: what stands there without any.
function steady(list, build, empty) {
  const draw = rows(list, JSON.stringify, (item) => ({ node: item ? build(item) : make("li", { class: "quiet" }, empty), update() {} }));
  return (items) => draw(items.length ? items : [null]);
}

// While a call runs the newest first; of one that is over what moved the score most, the largest first.
export function whyPanel(list, about, places) {
  const draw = steady(list, (line) => whyLine(line, places), gettext("Nothing moved a number yet."));
  return whenChanged(({ why, live }) => {
    const ranked = !live && isRanked(why); // not in calls that were scored before there was such a list
    put(about, ranked ? gettext("What moved the score most, the largest first. ○ hollow: low confidence.") : gettext("The last five things that moved a number. ○ hollow: low confidence."));
    draw(ranked ? why : why.toReversed());
  });
}

// As calls/wire.py ranks them: points of empathy before shares of a state, the larger first.
const rank = ({ target, amount }) => (target === "empathy" ? 1000 : 0) + Math.abs(amount);
const isRanked = (why) => why.every((line, place) => !place || rank(why[place - 1]) >= rank(line));

function whyLine(line, places) {
  const low = isLow(line.confidence);
  const empathy = line.target === "empathy";
  const [sign, word] = empathy ? ["", gettext("empathy")] : labelLook(line.target);
  const size = empathy ? interpolate(gettext("%s points"), [signed(line.amount.toFixed(1))]) : signed(Math.round(line.amount * 100), "%");
  return make(
    "li",
    { class: low ? "low" : null, "data-state": line.target },
    make("span", { class: "quiet" }, second(places, line.t_ms)),
    make("span", { class: "text" }, said(line.text)),
    make("span", { class: "amount" }, size),
    make(
      "span",
      { class: "source" },
      make("span", {}, sign ? glyph(sign) : null, word),
      make("span", {}, SOURCES[line.source] ?? line.source),
      make("span", {}, glyph(low ? "○" : "●", false), confidenceWords(line.confidence)),
    ),
  );
}

const confidenceWords = (confidence) => interpolate(gettext("confidence %s"), [percent(confidence)]);
const signed = (value, unit = "") => `${value > 0 ? "+" : value < 0 ? "−" : "±"}${String(value).replace("-", "")}${unit}`;

export function timingPanel(list) {
  return whenChanged((timing) => {
    const customer = timing.customer_talk_ms ?? 0;
    const agent = timing.agent_talk_ms ?? 0;
    const talk = customer + agent;
    if (!talk) return list.replaceChildren(make("dt", {}, gettext("Nobody has spoken yet.")), make("dd", {}, "–"));
    const share = Math.round((100 * customer) / talk);
    const bar = svg(
      "svg",
      { class: "talk", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "customer", x: 0, y: 0, width: share, height: 6 }),
      svg("rect", { class: "agent", x: share, y: 0, width: 100 - share, height: 6 }),
    );
    const facts = [
      [gettext("Handle time"), orElse(timing.handle_ms, (ms) => interpolate(timing.live ? gettext("%s so far, talk and hold") : gettext("%s, talk and hold from start to end"), [clock(ms)]))],
      [gettext("Caller talks"), `${share}% · ${clock(customer)}`],
      [gettext("Agent talks"), `${100 - share}% · ${clock(agent)}`],
      [gettext("Agent answers after (median)"), orElse(timing.response_ms, long, gettext("no answer yet"))],
      [gettext("Both at once"), orElse(timing.overlap_ms, long)],
      [gettext("Times the agent took the floor"), orElse(timing.floor_taking_overlaps, String)],
      [gettext("Times the caller took the floor"), orElse(timing.caller_floor_takings, String)],
      [gettext("Longest silence"), orElse(timing.longest_silence_ms, long)],
      [gettext("Dead air, not announced"), orElse(timing.dead_air_ms, long)],
      [gettext("Hold, announced"), orElse(timing.hold_ms, long)],
      [gettext("Caller’s pace"), paceWords(timing.customer_wpm, timing.customer_syllables_s)],
      [gettext("Agent’s pace"), paceWords(timing.agent_wpm, timing.agent_syllables_s)],
    ];
    list.replaceChildren(...pairs(facts));
    list.prepend(bar);
  });
}

const ofWords = (some, all) => interpolate(gettext("%s of %s"), [some, all]);
const known = (value) => value !== null && value !== undefined;

// null: not known yet, which `none` says. undefined: the call was scored before there was such a number; no row.
const orElse = (value, words, none = null) => (known(value) ? words(value) : value === null ? none : null);
const paceWords = (wpm, syllables) =>
  orElse(wpm, (rate) => [interpolate(gettext("%s words/min"), [Math.round(rate)]), orElse(syllables, (speed) => interpolate(gettext("%s syllables/s"), [speed.toFixed(1)]))].filter(known).join(" · "), gettext("too few words yet"));

export function alignmentPanel(sums, list, places) {
  const key = ({ t_ms, state }) => `${t_ms} ${state}`;
  const draw = rows(list, (event) => (event ? key(event) : ""), (event) => (event ? eventLine(event, places) : noEvent()));
  return whenSaid((alignment) => {
    const events = alignment?.events ?? [];
    list.closest("section").hidden = !known(alignment?.events);
    const settled = events.filter((event) => known(event.fit)).length;
    sums.hidden = !events.length;
    sums.replaceChildren(
      ...pairs([
        [gettext("Met"), settled ? orElse(alignment.met_share, (share) => ofWords(Math.round(share * settled), settled)) : gettext("not settled yet")],
        [gettext("Recovered"), settled ? orElse(alignment.recovered_share, (share) => ofWords(Math.round(share * settled), settled)) : gettext("not settled yet")],
        [gettext("First fitting answer (median)"), orElse(alignment?.median_latency_ms, long, gettext("none yet"))],
        [gettext("Pace match (diagnostic)"), orElse(alignment?.pace_match, percent, gettext("not known yet"))],
      ]),
    );
    draw(events.length ? events.toReversed() : [null]);
  });
}

const noEvent = () => ({ node: make("li", { class: "quiet" }, gettext("The caller gave no occasion for empathy so far.")), update() {} });

function eventLine({ t_ms, state }, places) {
  const [sign, word] = stateLook(state);
  const [fit, share, fate] = [make("span", { class: "amount" }), svg("rect", { x: 0, y: 0, height: 6 }), make("p", { class: "small quiet" })];
  const bar = svg("svg", { class: "fit", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, share);
  const head = make("p", {}, make("span", { class: "quiet" }, second(places, t_ms), " "), glyph(sign), make("strong", {}, word), fit);
  return {
    node: make("li", { "data-state": state }, head, bar, fate),
    update(event) {
      put(fit, interpolate(gettext("fit %s"), [known(event.fit) ? percent(event.fit) : gettext("not settled")]));
      share.setAttribute("width", 100 * (event.fit ?? 0));
      const answered = known(event.latency_ms) ? interpolate(gettext("first fitting answer after %s"), [long(event.latency_ms)]) : gettext("no fitting answer yet");
      put(fate, `${answered} · ${known(event.recovery_ms) ? interpolate(gettext("recovered after %s"), [long(event.recovery_ms)]) : gettext("not recovered yet")}`);
    },
  };
}

export function outlookPanel(chip, reasons, places) {
  const sign = (line) => make("span", {}, `${line.amount > 0 ? "+" : "−"} `);
  const draw = steady(reasons, (line) => make("li", {}, sign(line), said(line.text), make("span", { class: "quiet" }, " · ", second(places, line.t_ms))), gettext("Nothing speaks for or against yet."));
  return whenSaid((outlook) => {
    chip.closest("section").hidden = !known(outlook?.status);
    if (!known(outlook?.status)) return;
    const [sign, word] = loyaltyLook(outlook.status);
    chip.replaceChildren(
      make("span", { class: "chip" }, glyph(sign, false), make("strong", {}, word)),
      known(outlook.confidence) ? make("span", { class: "small quiet" }, confidenceWords(outlook.confidence)) : "",
      outlook.calibrated ? "" : make("span", { class: "chip small uncalibrated" }, gettext("uncalibrated")),
      known(outlook.chance) ? make("span", { class: "small quiet" }, interpolate(gettext("%s of such calls ended well"), [percent(outlook.chance)])) : "",
    );
    draw(outlook.reasons ?? []);
  });
}

const pairs = (facts) => facts.filter(([, value]) => known(value)).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);

// As whenChanged, and draws once for what was never there.
const whenSaid = (draw) => {
  const drawn = whenChanged(draw);
  return (value) => drawn(value ?? null);
};

const FATES = [
  ["scored_ms", "scored", gettext("%s scored")],
  ["silent_ms", "silent", gettext("%s silent (nobody spoke)")],
  ["lost_ms", "bad", gettext("%s lost on the way to us")],
  ["paused_ms", "", gettext("%s paused by the phone system")],
  ["failed_ms", "bad", gettext("%s could not be scored")],
  ["skipped_ms", "bad", gettext("%s skipped under load")],
  ["withheld_ms", "", gettext("%s not analysed: no consent")],
];

export function coveragePanel(root) {
  return whenChanged((coverage) => {
    const parts = Object.entries(coverage.channels ?? {}).map(([name, of]) => channelNode(name, of));
    const notes = coverage.notes ?? [];
    root.replaceChildren(...parts, notes.length ? make("ul", { class: "notes small" }, ...notes.map((note) => make("li", {}, said(note)))) : "");
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
  const said = FATES.filter(([key]) => of[key] > 0).map(([key, , words]) => interpolate(words, [long(of[key])]));
  return make(
    "div",
    { class: "channel" },
    make("p", {}, make("strong", {}, name === "customer" ? gettext("Caller") : gettext("Agent")), known(of.received_ms) ? ` — ${interpolate(gettext("%s received"), [long(of.received_ms)])}` : ""),
    svg("svg", { class: "heard", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, ...bars),
    make("p", { class: "small quiet" }, said.join(" · ") || gettext("nothing yet")),
  );
}

const long = (ms) => (ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : clock(ms));

const COMPONENTS = {
  E: gettext("Response to feelings"),
  C: gettext("Courtesy"),
  L: gettext("Listening"),
  V: gettext("Recovery"),
  P: gettext("Penalty"),
};

export function finalPanel(section, body) {
  return whenChanged((final) => {
    section.hidden = !final;
    if (!final) return;
    const judged = known(final.empathy);
    const score = judged ? String(Math.round(final.empathy)) : final.courtesy_only ? gettext("courtesy only") : gettext("none");
    const interval = judged && known(final.empathy_low) ? ` (${Math.round(final.empathy_low)}–${Math.round(final.empathy_high)})` : "";
    const parts = Object.entries(final.components ?? {}).filter(([, value]) => known(value));
    body.replaceChildren(
      make(
        "dl",
        { class: "scores" },
        make("div", {}, make("dt", {}, gettext("Empathy")), make("dd", {}, make("span", { class: judged ? "big" : null }, score), make("span", { class: "quiet" }, interval))),
        known(final.met) && known(final.opportunities) ? make("div", {}, ...pairs([[gettext("Opportunities met"), ofWords(final.met, final.opportunities)]])) : null,
        ...parts.map(([key, value]) => make("div", {}, make("dt", {}, COMPONENTS[key] ?? key), make("dd", {}, percent(value)))),
      ),
      final.courtesy_only ? make("p", { class: "small quiet" }, gettext("The caller gave no occasion for empathy, so empathy is not judged.")) : "",
    );
  });
}
