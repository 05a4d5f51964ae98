// What supervisors write to the agent, and who of them has the call open.
import { atWords, put, rows } from "./call-rows.js";
import { make, whenChanged } from "./nodes.js";
import { post } from "./post.js";
import { lookedWords } from "./words.js";

export function messagesPanel(section, tell) {
  const draw = rows(section.querySelector("[data-messages]"), ({ id }) => id, (message) => messageRow(message, tell));
  return (messages, above) => {
    const below = messages.filter(({ id }) => id !== above);
    section.hidden = !below.length;
    draw(below.toReversed());
  };
}

// In the card of the call, so that it is seen without scrolling: who watches, and the newest message not
// read yet, with how many more wait below.
export function peoplePanel(box, tell) {
  const [watching, place] = [box.querySelector("[data-watching]"), box.querySelector("[data-newest]")];
  const more = make("p", { class: "small quiet" });
  let all = [];
  const draw = rows(place, ({ id }) => id, (message) => {
    const row = messageRow(message, tell, "div");
    row.node.querySelector(".words").tabIndex = 0; // a long one scrolls, and leaves room for the cue
    // It left because it was read, or because a newer one came.
    return { ...row, leave: () => row.update(all.find(({ id }) => id === message.id) ?? message) };
  });
  return (messages, looks) => {
    all = messages;
    const names = [...new Set(looks.filter((look) => look.open).map((look) => look.who || gettext("Somebody")))];
    put(watching, names.length ? `● ${interpolate(names.length > 1 ? gettext("watching: %s") : gettext("%s is watching"), [names.join(", ")])}` : "");
    watching.hidden = !names.length;
    const waiting = messages.filter((message) => !message.read_at);
    draw(waiting.slice(-1));
    put(more, waiting.length > 1 ? interpolate(ngettext("and %s more message below", "and %s more messages below", waiting.length - 1), [waiting.length - 1]) : "");
    if (waiting.length > 1) place.after(more);
    else more.remove();
    place.hidden = !waiting.length && !place.contains(document.activeElement); // the focus is not lost with it
    box.hidden = !names.length && place.hidden;
    return waiting.at(-1)?.id;
  };
}

function messageRow(message, tell, tag = "li") {
  const words = make("p", { class: "words" }, message.text);
  const read = make("span", {});
  const by = make("p", { class: "small quiet", tabindex: "-1" }, `${message.sender || gettext("Somebody")} · `, make("time", { datetime: message.sent_at }, atWords(message.sent_at)), read);
  const button = make("button", { type: "button" }, gettext("Got it"));
  const trouble = make("p", { class: "small trouble", role: "alert", hidden: true });
  let latest = message;
  button.setAttribute("aria-label", interpolate(gettext("Got it: %s"), [message.text]));
  button.addEventListener("click", async () => {
    const why = await post(`/me/messages/${message.id}/read`);
    put(trouble, why);
    trouble.hidden = !why;
    if (!why && !latest.read_at) tell({ ...latest, read_at: new Date().toISOString() });
  });
  return {
    node: make(tag, {}, make("div", {}, words, by, trouble), button),
    update(now) {
      latest = now;
      words.classList.toggle("unread", !now.read_at);
      put(read, now.read_at ? ` · ✓ ${gettext("got it")}` : "");
      // The focus is not lost with the button.
      if (now.read_at && document.activeElement === button) by.focus({ preventScroll: true });
      button.hidden = Boolean(now.read_at);
    },
  };
}

// Those who look on now first, then who follows the call on the floor, then who looked, newest first.
export function looksPanel(section) {
  const list = section.querySelector("[data-looks]");
  const draw = whenChanged(({ looks, followers }) => {
    section.hidden = !looks.length && !followers.length;
    const newest = looks.toReversed();
    const now = newest.filter((look) => look.open);
    const earlier = newest.filter((look) => !look.open);
    const names = [...new Set(now.map((look) => look.who))];
    list.replaceChildren(
      ...names.map((who) => lookLine("●", interpolate(gettext("%s is watching"), [who || gettext("Somebody")]), interpolate(gettext("since %s"), [atWords(now.findLast((look) => look.who === who).began_at)]), true)),
      ...followers.map(({ name }) => lookLine("★", interpolate(gettext("%s follows this call"), [name]), "", true)),
      ...earlier.map((look) => lookLine("○", interpolate(gettext("%s looked"), [look.who || gettext("Somebody")]), atWords(look.began_at) + lookedWords(look.kind), false)),
    );
  });
  return draw;
}

const lookLine = (sign, words, when, now) =>
  make("li", { "data-now": now }, make("span", { class: "glyph", "aria-hidden": "true" }, sign), make("span", {}, make(now ? "strong" : "span", {}, words), make("span", { class: "quiet" }, ` ${when}`)));
