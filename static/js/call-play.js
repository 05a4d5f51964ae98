// The recording of a finished call: plays from a turn or from a place on the chart, and shows on both
// what is being heard. It moves neither focus nor scroll, unless the reader lets the transcript follow.
import { put } from "./call-rows.js";
import { recall, remember } from "./store.js";

const AFTER_MS = 1000; // so long after its end a turn is still the one being heard, if no other began

export function player(section, { transcript, places, chart }) {
  const audio = section.querySelector("audio");
  const follow = section.querySelector("[data-follow]");
  const said = section.querySelector("[data-said]");
  let turns = [];
  let begun = false;

  const within = (ms, after) => (turn) => turn.start_ms <= ms && ms < turn.end_ms + after;
  const turnAt = (ms) => turns.findLast(within(ms, 0)) ?? turns.findLast(within(ms, AFTER_MS)) ?? null;

  function show() {
    if (!begun) return;
    const ms = audio.currentTime * 1000;
    chart.cursor(ms);
    const turn = turnAt(ms);
    places.hear(turn && `${turn.channel}:${turn.start_ms}`, follow.checked && !audio.paused);
  }

  function seek(ms) {
    begun = true;
    audio.currentTime = ms / 1000;
    show();
  }

  function trouble(error) {
    if (error?.name === "AbortError") return; // another place was chosen meanwhile
    put(said, gettext("The recording cannot be played. Load the page again; you may be logged out."));
    said.toggleAttribute("data-bad", true);
  }

  transcript.addEventListener("click", (event) => {
    const time = event.target.closest("[data-play]");
    if (!time) return;
    seek(Number(time.dataset.play));
    audio.play().catch(trouble);
  });
  chart.onSeek(seek);
  places.onGo(seek);
  audio.addEventListener("play", () => {
    begun = true;
    put(said, "");
    said.toggleAttribute("data-bad", false);
  });
  audio.addEventListener("error", () => trouble(audio.error));
  for (const change of ["play", "pause", "timeupdate", "seeking", "seeked", "ended"]) audio.addEventListener(change, show);
  follow.checked = recall("play-follow", "off") === "on";
  follow.addEventListener("change", () => {
    remember("play-follow", follow.checked ? "on" : "off");
    show();
  });

  return {
    draw(now) {
      turns = now;
      show();
    },
  };
}
