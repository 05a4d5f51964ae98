// What people do about a call besides answering alerts: messages to its agent, notes, the cues that
// were shown, and who looked on.
import { composer } from "./call-compose.js";
import { atWords, put, rows } from "./call-rows.js";
import { make, whenChanged } from "./nodes.js";
import { LOOK, clock, hostOf, lookedWords, said, stateLook } from "./words.js";

const key = (row) => row.id;
const newest = (list) => list.toReversed();
const around = (words, node) => words.split(/(%s)/).map((part) => (part === "%s" ? node : part));
const instant = (iso) => make("time", { datetime: iso }, atWords(iso));

// The form is there for supervisors, while the call runs and an agent is on it.
export function messagesPanel(section, { call }) {
  const form = section.querySelector("form");
  const none = section.querySelector("[data-none]");
  const draw = rows(section.querySelector("[data-messages]"), key, messageRow);
  const writer = form && composer(form, { path: () => `${call}messages`, body: (text) => ({ text }), done: gettext("Sent."), most: 280, enter: true });
  const drawAll = whenChanged((messages) => {
    none.hidden = messages.length > 0;
    draw(newest(messages));
  });
  let over = false;

  return (messages, tile) => {
    drawAll(messages);
    const live = tile.status === "live";
    if (writer && !live && !over) {
      over = true;
      // Words that were begun stay, to be copied into a note.
      if (writer.box.value.trim() || form.contains(document.activeElement)) writer.say(gettext("The call is over: write a note instead."), true);
      else form.hidden = true;
    } else if (live) {
      over = false;
      if (form) form.hidden = false;
    }
    section.hidden = !messages.length && (!form || form.hidden);
  };
}

function messageRow(message) {
  const read = make("span", {});
  const node = make(
    "li",
    {},
    make("p", { class: "small quiet by" }, make("strong", {}, message.sender || gettext("Somebody")), instant(message.sent_at), read),
    make("p", {}, message.text),
  );
  return { node, update: (now) => put(read, now.read_at ? `✓ ${interpolate(gettext("read %s"), [atWords(now.read_at)])}` : `○ ${gettext("not read yet")}`) };
}

export function notesPanel(section, { call, places }) {
  const form = section.querySelector("form");
  const about = form.querySelector("select");
  const none = section.querySelector("[data-none]");
  const options = Object.fromEntries([...about.options].map((option) => [option.value, option]));
  const draw = rows(section.querySelector("[data-remarks]"), key, (note) => noteRow(note, places));
  const drawAll = whenChanged((notes) => {
    none.hidden = notes.length > 0;
    draw(newest(notes));
  });
  let heard = 0; // how far into the call we are
  let begun = null; // when the words in the box were begun
  let turn = null;
  let live = null;

  const seconds = { now: () => begun ?? heard, turn: () => turn, call: () => null };
  const { box } = composer(form, {
    path: () => `${call}notes`,
    body: (text) => ({ text, t_ms: seconds[about.value]() }),
    done: gettext("Noted."),
    most: 1000,
    sent: () => box.value || restart(),
  });

  function restart() {
    begun = turn = null;
    offer("turn", false);
    offer("now", live);
    choose(live ? "now" : "call");
  }

  function offer(name, on, words) {
    const option = options[name];
    if (words) put(option, words);
    option.hidden = option.disabled = !on;
  }

  function choose(name) {
    about.value = name;
    places.mark(about.value === "turn" ? turn : null);
  }

  about.addEventListener("change", () => choose(about.value));
  box.addEventListener("input", () => {
    if (!box.value.trim()) begun = null;
    else if (begun === null) {
      begun = heard;
      label();
    }
  });
  places.onPick((t_ms) => {
    turn = t_ms;
    offer("turn", true, interpolate(gettext("the turn at %s"), [clock(t_ms)]));
    choose("turn");
  });

  function label() {
    if (document.activeElement === about) return; // not while its list may be open
    offer("now", live || begun !== null, begun === null ? interpolate(gettext("now, %s"), [clock(heard)]) : interpolate(gettext("%s, when you began to write"), [clock(begun)]));
  }

  return (notes, tile) => {
    drawAll(notes);
    places.mark();
    heard = tile.media_ms ?? 0;
    if (live !== (tile.status === "live")) {
      live = tile.status === "live";
      if (!box.value.trim() && about.value !== "turn") restart();
    }
    label();
  };
}

function noteRow(note, places) {
  const at = note.t_ms === null ? make("span", {}, gettext("the whole call")) : make("span", {}, ...around(gettext("at %s"), places.link(note.t_ms)));
  const node = make(
    "li",
    {},
    make("p", { class: "small quiet by" }, make("strong", {}, note.author || gettext("Somebody")), instant(note.written_at), at),
    make("p", {}, note.text),
  );
  return { node, update() {} };
}

export function cuesPanel(section, { places }) {
  const none = section.querySelector("[data-none]");
  const draw = rows(section.querySelector("[data-cues]"), key, (cue) => cueRow(cue, places));
  return whenChanged(({ cues, live }) => {
    none.hidden = cues.length > 0;
    draw(newest(cues).map((cue) => ({ ...cue, live })));
  });
}

function cueRow(cue, places) {
  const [sign, word] = stateLook(cue.state);
  const fate = make("dl", { class: "fates small" });
  const node = make(
    "li",
    { "data-state": cue.state },
    make("p", {}, places.link(cue.t_ms), make("span", { class: "glyph hue", role: "img", "aria-label": word, title: word }, sign), make("strong", {}, said(cue.cue))),
    ...(cue.solution ? [solution(cue)] : []),
    fate,
  );
  const tell = whenChanged((facts) => fate.replaceChildren(...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))));
  return { node, update: (now) => tell(cueFacts(now)) };
}

function solution({ solution: words, link }) {
  const host = hostOf(link);
  const leads = host && make("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, host, make("span", { "aria-hidden": "true" }, " ↗"), make("span", { class: "visually-hidden" }, gettext("(opens beside this page)")));
  return make("p", { class: "small solution" }, make("span", { class: "quiet" }, `${gettext("From the playbook")}: `), said(words), ...(leads ? [" ", leads] : []));
}

const TAKEN = new Map([[true, gettext("yes")], [false, gettext("no")], [null, gettext("not settled")]]);
const cueFacts = ({ verdict, taken, recovered_ms, live }) => [
  [gettext("The agent says"), verdict ? (LOOK.verdict?.[verdict] ?? verdict).toLowerCase() : live ? gettext("nothing yet") : gettext("nothing")],
  [gettext("Taken"), TAKEN.get(taken)],
  [gettext("Caller recovered"), recovered_ms === null ? (live ? gettext("not yet") : gettext("no")) : interpolate(gettext("after %s s"), [Math.round(recovered_ms / 1000)])],
];

// One line a person: those who look on now first.
export function looksPanel(section) {
  const list = section.querySelector("[data-looks]");
  const none = section.querySelector("[data-none]");
  return whenChanged((looks) => {
    none.hidden = looks.length > 0;
    const people = new Map();
    for (const look of looks) people.set(look.who, [...(people.get(look.who) ?? []), look]);
    const lines = [...people].map(([who, theirs]) => ({ who, theirs, now: theirs.some((look) => look.open) }));
    lines.sort((a, b) => b.now - a.now);
    list.replaceChildren(...lines.map(lookLine));
  });
}

function lookLine({ who, theirs, now }) {
  const times = theirs.map(lookWords);
  return make("li", { "data-now": now }, make("span", { class: "glyph", "aria-hidden": "true" }, now ? "●" : "○"), make("strong", {}, who || gettext("Somebody")), make("span", { class: "small quiet" }, times.toReversed().join(" · ")));
}

function lookWords({ kind, began_at, open, listened_at }) {
  const at = atWords(began_at) + lookedWords(kind);
  if (open) return listened_at ? interpolate(gettext("now, since %s, listened"), [at]) : interpolate(gettext("now, since %s"), [at]);
  return listened_at ? interpolate(gettext("%s, listened"), [at]) : at;
}
