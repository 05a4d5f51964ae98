// The live transcript: keyed turns, marks on the words that caused a state, and a scroll that
// follows only a reader who is at the end.
import { glyph, make } from "./nodes.js";
import { LOOK, clock, isLow, labelLook, percent, phraseWords } from "./words.js";

const AT_END_PX = 48;
const LIKELY = 0.35;

// `plays`: there is a recording, and the time of a turn plays it from there.
export function transcript(root, { plays = false } = {}) {
  const list = root.querySelector("[data-turns]");
  const scroller = root.querySelector("[data-scroller]");
  const jump = root.querySelector("[data-jump]");
  const none = root.querySelector("[data-no-turns]");
  const shown = new Map();

  const atEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < AT_END_PX;
  const toEnd = () => {
    scroller.scrollTop = scroller.scrollHeight;
    jump.hidden = true;
  };
  jump.addEventListener("click", toEnd);
  scroller.addEventListener("scroll", () => atEnd() && (jump.hidden = true), { passive: true });

  // What is over is read from its beginning, and has no new words.
  function draw(turns, { first = false, live = true } = {}) {
    const follow = first ? live : atEnd();
    let added = false;
    let changed = false; // a turn may come again with more words
    if (!shown.size) list.replaceChildren();
    const keys = new Set();
    turns.forEach((turn, index) => {
      const key = `${turn.channel}:${turn.start_ms}`;
      keys.add(key);
      let entry = shown.get(key);
      if (!entry || entry.turn !== turn) {
        const text = JSON.stringify(turn);
        if (!entry || entry.text !== text) {
          const node = turnNode(turn, key, plays);
          const focused = entry?.node.contains(document.activeElement) && document.activeElement;
          const inner = focused && focused !== entry.node;
          entry?.node.replaceWith(node);
          if (focused) ((inner && node.querySelector("[data-play]")) || node).focus({ preventScroll: true });
          added ||= !entry;
          changed = true;
          entry = { node, text };
        }
        entry.turn = turn;
        shown.set(key, entry);
      }
      if (list.children[index] !== entry.node) list.insertBefore(entry.node, list.children[index] ?? null);
    });
    for (const [key, { node }] of shown) {
      if (keys.has(key)) continue;
      node.remove();
      shown.delete(key);
    }
    none.hidden = turns.length > 0;
    if (follow && changed) toEnd();
    else if (added && !first) jump.hidden = false;
  }

  function step(by) {
    const turns = [...list.children];
    const at = turns.indexOf(document.activeElement.closest(".turn"));
    const next = at < 0 ? turns[turns.length - 1] : turns[at + by];
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "nearest" });
    return true;
  }
  return { draw, actions: { j: () => step(1), k: () => step(-1) } };
}

function turnNode(turn, key, plays) {
  const customer = turn.channel === "customer";
  const felt = Object.entries(customer ? turn.states : turn.behaviours)
    .filter(([label, share]) => share >= (LOOK.harm_from[label] ?? LIKELY))
    .sort((a, b) => b[1] - a[1])
    .slice(0, 2);
  const low = isLow(turn.confidence);
  const foot = [
    ...felt.map(([label, share]) => {
      const [sign, word] = labelLook(label);
      return make("span", { class: "felt", "data-state": label }, glyph(sign), `${word} ${percent(share)}`);
    }),
    low && make("span", {}, gettext("words uncertain")),
    turn.redacted > 0 && make("span", {}, interpolate(gettext("%s masked"), [turn.redacted])),
  ].filter(Boolean);
  return make(
    "li",
    { class: "turn", "data-channel": turn.channel, "data-key": key, tabindex: "-1" },
    make("p", { class: "turn-head small quiet" }, make("strong", {}, customer ? gettext("Caller") : gettext("Agent")), " ", timeNode(turn.start_ms, plays)),
    make("p", { class: low ? "words low" : "words" }, ...words(turn)),
    foot.length ? make("p", { class: "turn-foot small quiet" }, ...foot) : null,
  );
}

function timeNode(ms, plays) {
  const time = make("time", {}, clock(ms));
  if (!plays) return time;
  const name = interpolate(gettext("Play from %s"), [clock(ms)]);
  return make("button", { class: "play-from", type: "button", "data-play": ms, "aria-label": name, title: name }, glyph("▸", false), time);
}

function words(turn) {
  const pieces = marked(turn.text, turn.cues);
  if (!pieces.length) return [make("em", { class: "quiet" }, gettext("not understood"))];
  return pieces.map(({ text, cue }) => (cue ? markNode(text, cue) : text));
}

function markNode(text, cue) {
  const [sign, word] = labelLook(cue.label);
  const detail = ` · ${interpolate(gettext("strength %s, confidence %s, %s"), [percent(cue.strength), percent(cue.confidence), sourceWords(cue.source)])}`;
  return make(
    "mark",
    { "data-state": cue.label },
    text,
    make("span", { class: "cue" }, glyph(sign), word, make("span", { class: "detail" }, detail)),
  );
}

const sourceWords = (source) =>
  source.startsWith("rule:") ? interpolate(gettext("phrase rule “%s”"), [phraseWords(source.slice(5))]) : source === "heads" ? gettext("language model") : source;

// The text in pieces, each quote that caused a cue a piece of its own; overlaps keep the first.
export function marked(text, cues) {
  const lower = text.toLowerCase();
  const spans = [];
  for (const cue of cues) {
    const quote = cue.quote.trim().toLowerCase();
    const start = quote ? lower.indexOf(quote) : -1;
    if (start < 0) continue;
    const end = start + quote.length;
    if (spans.every((span) => end <= span.start || start >= span.end)) spans.push({ start, end, cue });
  }
  spans.sort((a, b) => a.start - b.start);
  const pieces = [];
  let at = 0;
  for (const { start, end, cue } of spans) {
    pieces.push({ text: text.slice(at, start) }, { text: text.slice(start, end), cue });
    at = end;
  }
  pieces.push({ text: text.slice(at) });
  return pieces.filter((piece) => piece.text);
}
