// The turns of the transcript as places: go to a second, pick the one a note is about, and show which
// one is being heard.
import { make } from "./nodes.js";
import { clock } from "./words.js";

export function turnPlaces(section) {
  const list = section.querySelector("[data-turns]");
  const scroller = section.querySelector("[data-scroller]");
  const startOf = (turn) => Number(turn.dataset.key.split(":")[1]);
  let picked = null;
  let heard = null;
  let going = false;
  let told = () => {};
  let gone = () => {};

  list.addEventListener("focusin", (event) => {
    const turn = event.target.closest(".turn");
    if (turn && !going) told(startOf(turn));
  });

  function toThird(turn) {
    const [box, room] = [turn.getBoundingClientRect(), scroller.getBoundingClientRect()];
    scroller.scrollTop += box.top - room.top - (room.height - box.height) / 3;
  }

  // The last turn that had begun by then gets the focus, as with any link into a page.
  function goTo(t_ms) {
    const turns = [...list.querySelectorAll(".turn")];
    const turn = turns.findLast((one) => startOf(one) <= t_ms) ?? turns[0];
    if (!turn) return;
    toThird(turn);
    going = true;
    turn.focus({ preventScroll: true });
    going = false;
    turn.scrollIntoView({ block: "nearest" });
  }

  // The marks are put on again after each draw: a turn that is told anew is a new node.
  function mark(t_ms = picked) {
    picked = t_ms;
    for (const turn of list.querySelectorAll(".turn")) {
      const how = turn.dataset.key === heard ? "time" : picked !== null && startOf(turn) === picked ? "true" : null;
      if (how) turn.setAttribute("aria-current", how);
      else turn.removeAttribute("aria-current");
    }
  }

  // `key`: the turn being heard, or null. Its list scrolls to it, and nothing else does.
  function hear(key, follow) {
    if (key === heard) return;
    heard = key;
    mark();
    const turn = follow && list.querySelector('[aria-current="time"]');
    if (turn) toThird(turn);
  }

  function link(t_ms) {
    const node = make("a", { class: "second", href: "#transcript-title", title: gettext("Show it in the transcript") }, clock(t_ms));
    node.addEventListener("click", (event) => {
      event.preventDefault();
      goTo(t_ms);
      gone(t_ms);
    });
    return node;
  }

  // An address may name a second: …#at-83000.
  function toAddress() {
    const at = /^#at-(\d{1,12})$/.exec(location.hash);
    if (at) goTo(Number(at[1]));
  }

  return {
    link,
    toAddress,
    mark,
    hear,
    onPick: (tell) => (told = tell),
    onGo: (tell) => (gone = tell),
  };
}
