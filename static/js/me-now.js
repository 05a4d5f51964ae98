// The call that runs now: elapsed, how the caller seems, one number, and how old it all is.
import { atWords, put, rows } from "./call-rows.js";
import { serverNow, timeOfDay } from "./clock.js";
import { make } from "./nodes.js";
import { LOOK, clock, empathyWords, isLow, said, stateLook } from "./words.js";

export function nowPanel(box) {
  const parts = Object.fromEntries([...box.querySelectorAll("[data-f]")].map((part) => [part.dataset.f, part]));
  const none = box.querySelector("[data-no-cues]");
  const say = (name, words) => put(parts[name], words);

  return (tile, line, at, cuesOn) => {
    const age = tile.scored_at ? at - Date.parse(tile.scored_at) : null;
    const cut = line === "live" || line === "waiting" ? "" : line;
    const stale = Boolean(cut) || (age !== null && age > LOOK.stale_ms);
    const low = isLow(tile.confidence);
    const judged = tile.empathy !== null;
    const [sign, word] = stateLook(tile.state);
    box.dataset.state = tile.state;
    box.toggleAttribute("data-low", low);
    box.toggleAttribute("data-stale", stale);
    say("elapsed", clock(at - Date.parse(tile.started_at)));
    say("where", tile.queue ? ` · ${tile.queue}` : "");
    parts.synthetic.hidden = !tile.synthetic;
    parts.open.href = `/calls/${tile.id}/`;
    say("glyph", sign);
    say("state", word);
    say("sure", low && tile.state !== "unsure" ? gettext("not sure") : "");
    say("empathy", judged ? empathyWords(tile) : gettext("not judged"));
    parts.empathy.toggleAttribute("data-words", !judged);
    say("interval", judged ? interval(tile) : notJudged(tile));
    say("age", ageWords(tile, age, stale, cut));
    const why = noCues(cuesOn, tile);
    put(none, why);
    none.hidden = !why;
  };
}

function noCues(cuesOn, tile) {
  if (!cuesOn) return gettext("No cues come: your organisation has switched them off.");
  return tile.one_sided ? gettext("No cues come in this call: only the caller’s side reaches us.") : "";
}

const CUT = { out: gettext("logged out"), paused: gettext("paused"), reconnecting: gettext("reconnecting") };
const interval = ({ empathy_low: low, empathy_high: high }) => (low === null || low === undefined ? "" : `${Math.round(low)}–${Math.round(high)}`);
const notJudged = (tile) => (tile.opportunities ? gettext("the first need is not settled yet") : gettext("no need arose yet"));

function ageWords(tile, age, stale, cut) {
  const at = age === null ? "" : timeOfDay(Date.parse(tile.scored_at));
  if (cut) return `${CUT[cut] ?? CUT.reconnecting} · ${at ? interpolate(gettext("this is as of %s"), [at]) : gettext("no score yet")}`;
  if (age === null) return said(tile.not_scored) || gettext("no score yet");
  const waiting = tile.not_scored ? ` · ${said(tile.not_scored)}` : "";
  return (stale ? interpolate(gettext("stale: as of %s"), [at]) : interpolate(gettext("scored %s s ago"), [Math.max(0, Math.floor(age / 1000))])) + waiting;
}

// A small switch, only while several calls run. A call that is not on the screen says what waits there.
export function pickPanel(box, pick) {
  const draw = rows(box, ({ id }) => id, ({ id }) => {
    const node = make("button", { type: "button" });
    node.addEventListener("click", () => pick(id));
    return { node, update: ({ words, on }) => (put(node, words), node.setAttribute("aria-pressed", String(on))) };
  });

  return (calls, current, doc) => {
    box.hidden = calls.length < 2;
    draw(calls.length < 2 ? [] : calls.map((call) => ({ id: call.id, on: call.id === current, words: name(call, call.id !== current && doc) })));
  };
}

function name(call, elsewhere) {
  const of = (row) => row.call === call.id;
  const message = elsewhere && elsewhere.messages.some((row) => of(row) && !row.read_at);
  const cue = elsewhere && elsewhere.cues.some((row) => of(row) && !row.verdict && serverNow() - Date.parse(row.shown_at) < LOOK.cue_stays_ms);
  return [call.queue || call.source, interpolate(gettext("since %s"), [atWords(call.started_at)]), cue && gettext("a cue"), message && gettext("a message")].filter(Boolean).join(" · ");
}
