// The small panels beside the chart: why, alerts, timing, what was heard, and the final score.
import { glyph, make, svg, whenChanged } from "./nodes.js";
import { clock, isLow, labelLook, percent, riskLook } from "./words.js";

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

export function alertsPanel(section, list) {
  return whenChanged((alerts) => {
    section.hidden = !alerts.length;
    list.replaceChildren(
      ...alerts.toReversed().map((alert) => {
        const [sign, word] = riskLook(alert.severity);
        return make(
          "li",
          { "data-risk": alert.severity },
          make("p", {}, make("span", { class: "glyph risk-hue", "aria-hidden": "true" }, sign), make("strong", {}, alert.title)),
          make("p", { class: "small quiet" }, `${word} · ${clock(alert.t_ms)}${alert.quote ? ` · “${alert.quote}”` : ""}`),
        );
      }),
    );
  });
}

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
      ["Both at once", long(timing.overlap_ms ?? 0)],
      ["Times the agent took the floor", String(timing.floor_taking_overlaps ?? 0)],
      ["Longest silence", long(timing.longest_silence_ms ?? 0)],
    ];
    list.replaceChildren(...pairs(facts));
    list.prepend(bar);
  });
}

const pairs = (facts) => facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);

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
    make("p", {}, make("strong", {}, name === "customer" ? "Caller" : "Agent"), ` — ${long(of.received_ms ?? 0)} received`),
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
    const known = final.empathy !== null && final.empathy !== undefined;
    const score = known ? String(Math.round(final.empathy)) : final.courtesy_only ? "courtesy only" : "none";
    const interval = known && final.empathy_low !== null ? ` (${Math.round(final.empathy_low)}–${Math.round(final.empathy_high)})` : "";
    const parts = Object.entries(final.components ?? {}).filter(([, value]) => value !== null);
    body.replaceChildren(
      make(
        "dl",
        { class: "scores" },
        make("div", {}, make("dt", {}, "Empathy"), make("dd", {}, make("span", { class: known ? "big" : null }, score), make("span", { class: "quiet" }, interval))),
        make("div", {}, make("dt", {}, "Opportunities met"), make("dd", {}, `${final.met ?? 0} of ${final.opportunities ?? 0}`)),
        ...parts.map(([key, value]) => make("div", {}, make("dt", {}, COMPONENTS[key] ?? key), make("dd", {}, percent(value)))),
      ),
      final.courtesy_only ? make("p", { class: "small quiet" }, "The caller gave no occasion for empathy, so empathy is not judged.") : "",
    );
  });
}
