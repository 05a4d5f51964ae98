// Calls that the viewer follows: kept in sight on the floor, a button on the call's page.
import { post } from "./post.js";

const viewer = Number(document.querySelector("[data-viewer]")?.dataset.viewer ?? 0);
export const isMine = (tile) => tile.followers?.some((person) => person.id === viewer) ?? false;
export const othersOn = (tile) => (tile.followers ?? []).filter((person) => person.id !== viewer).map((person) => person.name);

export function followButton(button, trouble) {
  const word = button.querySelector("[data-follow-word]");
  let tile = null;

  // Not `disabled`, which would drop the focus.
  button.addEventListener("click", async () => {
    if (button.hasAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    const why = await post(`/calls/${tile.id}/follow`, { on: !isMine(tile) });
    button.removeAttribute("aria-disabled");
    trouble.textContent = why;
  });

  return (now) => {
    tile = now;
    const mine = isMine(tile);
    button.hidden = tile.status !== "live" && !mine;
    button.setAttribute("aria-pressed", String(mine));
    word.textContent = mine ? gettext("Following") : gettext("Follow");
  };
}
