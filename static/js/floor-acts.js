// What a supervisor does from the floor, on the tile with the focus: acknowledge an alert, follow the call.
import { isMine } from "./follow.js";
import { post } from "./post.js";
import { said } from "./words.js";

// `newest(id)`: the newest of a call; `seen(id)`: what its tile shows; `say(words)`: the status line.
export function floorActs({ newest, seen, say }) {
  let busy = false;

  // One at a time; a key that is held down is one.
  function onFocused(tileOf, act) {
    return (event) => {
      if (event.repeat || busy) return true;
      const tile = tileOf(document.activeElement.closest(".tile")?.dataset.id);
      if (!tile) {
        say(gettext("Choose a call first: j and k move between them."));
        return true;
      }
      busy = true;
      act(tile).then((words) => {
        busy = false;
        say(words);
      });
      return true;
    };
  }

  async function acknowledge({ id, agent: who, alert }) {
    const agent = said(who);
    if (!alert) return interpolate(gettext("No alert is open on the call of %s."), [agent]);
    const trouble = await post(`/calls/${id}/alerts/${encodeURIComponent(alert.cause)}/acknowledge`);
    return trouble || interpolate(gettext("Acknowledged: %s"), [`${agent}, ${said(alert.title)}`]);
  }

  async function follow(tile) {
    const on = !isMine(tile);
    const trouble = await post(`/calls/${tile.id}/follow`, { on });
    return trouble || interpolate(on ? gettext("You follow the call of %s.") : gettext("You no longer follow the call of %s."), [said(tile.agent)]);
  }

  // Nobody answers an alert that came after they paused the page.
  return { a: onFocused(seen, acknowledge), f: onFocused(newest, follow) };
}
