// One cue at a time, what the agent says of it, and a short list of earlier ones. The card and its
// buttons are there once: what comes of a cue changes words, never the focus.
import { put, rows } from "./call-rows.js";
import { serverNow } from "./clock.js";
import { make, whenChanged } from "./nodes.js";
import { post } from "./post.js";
import { LOOK, clock, hostOf, said as saidOf, stateLook } from "./words.js";

const EARLIER = 6;
const JUST_CHANGED_MS = 700; // A key or click this soon was meant for the cue before.

export function cuePanel(root, { tell, redraw }) {
  const find = (name) => root.querySelector(`[data-${name}]`);
  const card = find("cue");
  const noted = find("noted");
  const trouble = find("cue-trouble");
  const buttons = [...card.querySelectorAll("[data-verdict]")];
  let known = [];
  let up = null; // the cue on the screen
  let newest = null; // the last one that came up by itself
  let reopened = null; // an earlier one, to be judged after all
  let changedAt = -Infinity;
  let said = null; // the last one judged, until it is opened again
  let busy = false;
  let at = serverNow(); // or when the page was paused
  const isFresh = (cue) => at - Date.parse(cue.shown_at) < LOOK.cue_stays_ms;

  const drawEarlier = rows(find("earlier"), (cue) => cue.id, earlierRow);

  function choose() {
    const last = known.at(-1);
    const fresh = last && !last.verdict && isFresh(last) ? last : null;
    if (fresh && fresh.id !== newest) [newest, reopened] = [fresh.id, null];
    const wanted = known.find((cue) => cue.id === reopened) ?? fresh;
    const held = up && known.find((cue) => cue.id === up.id && cue.id !== said);
    // Out of time, but somebody has a finger on it.
    return wanted ?? (held && card.contains(document.activeElement) ? held : null);
  }

  function show(cue) {
    if (cue?.id !== up?.id) {
      if (up && cue) changedAt = performance.now();
      complain("");
    }
    up = cue;
    card.dataset.cue = cue?.id ?? ""; // a cue by its number, for whoever times this page
    if (cue) {
      noted.hidden = true;
      drawCard({ ...cue, past: !isFresh(cue) });
    }
    if (!cue && !card.hidden && card.contains(document.activeElement)) noted.focus({ preventScroll: true });
    card.hidden = !cue;
    if (!known.length) noted.hidden = true;
  }

  const drawCard = whenChanged((cue) => {
    const [sign, word] = stateLook(cue.state);
    find("why").dataset.state = cue.state;
    put(find("why-glyph"), sign);
    put(find("why-words"), interpolate(cue.past ? gettext("The caller seemed %s") : gettext("The caller seems %s"), [word.toLowerCase()]));
    put(find("cue-words"), saidOf(cue.cue));
    find("phrases").replaceChildren(...cue.phrases.slice(0, 2).map((words) => make("blockquote", {}, `“${words}”`)));
    find("solution").hidden = !cue.solution;
    put(find("solution-words"), saidOf(cue.solution));
    const host = hostOf(cue.link);
    find("solution-link").hidden = !host;
    if (host) find("solution-link").href = cue.link;
    put(find("solution-host"), host);
    put(find("came"), came(cue));
    find("came").hidden = !came(cue);
    for (const button of buttons) {
      if (cue.verdict) button.setAttribute("aria-pressed", String(button.dataset.verdict === cue.verdict));
      else button.removeAttribute("aria-pressed");
    }
  });

  function complain(words) {
    put(trouble, words);
    trouble.hidden = !words;
  }

  async function judge(verdict) {
    const { id } = up;
    if (busy || id === said || performance.now() - changedAt < JUST_CHANGED_MS) return;
    busy = true;
    const words = await post(`/me/cues/${id}/verdict`, { verdict });
    busy = false;
    if (words) return up?.id === id ? complain(words) : undefined;
    if (reopened === id) reopened = null;
    said = id;
    put(noted, interpolate(gettext("You said: %s."), [LOOK.verdict[verdict].toLowerCase()]));
    noted.hidden = Boolean(up) && up.id !== id;
    const row = known.find((cue) => cue.id === id);
    if (row) tell({ ...row, verdict });
  }

  for (const button of buttons) button.addEventListener("click", () => judge(button.dataset.verdict));

  function earlierRow({ id }) {
    const words = make("span", { class: "quiet" });
    const name = make("span", {});
    const button = make("button", { type: "button", class: "small" });
    button.addEventListener("click", () => {
      reopened = reopened === id ? null : id;
      said = null;
      redraw();
    });
    const node = make("li", {}, make("p", {}, name, make("br"), words), button);
    return {
      node,
      update(cue) {
        put(name, saidOf(cue.cue));
        put(words, [clock(cue.t_ms), cue.verdict && interpolate(gettext("you said: %s"), [LOOK.verdict[cue.verdict].toLowerCase()]), came(cue)].filter(Boolean).join(" · "));
        put(button, cue.id === reopened ? gettext("Close") : cue.verdict ? gettext("Change") : gettext("Helpful?"));
        button.setAttribute("aria-label", `${button.textContent} ${saidOf(cue.cue)}`);
      },
    };
  }

  return {
    // The cue on the screen, or null.
    draw(cues, now) {
      [known, at] = [cues, now];
      show(choose());
      const earlier = known.filter((cue) => cue.id !== up?.id || cue.id === reopened).slice(-EARLIER).reverse();
      find("earlier-section").hidden = !earlier.length;
      drawEarlier(earlier);
      return up;
    },
    actions: Object.fromEntries(buttons.map(({ dataset }) => [dataset.key, () => (up ? (judge(dataset.verdict), true) : undefined)])),
  };
}

const came = (cue) => [cue.taken && `✓ ${gettext("you did it")}`, cue.recovered_ms !== null && gettext("the caller calmed down")].filter(Boolean).join(" · ");
