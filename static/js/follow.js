// Calls that the viewer follows: kept in sight on the floor, a button on the call's page.
import { post } from "./post.js";

const viewer = Number(document.querySelector("[data-viewer]")?.dataset.viewer ?? 0);
export const isMine = (tile) => tile.followers?.some((person) => person.id === viewer) ?? false;
export const othersOn = (tile) => (tile.followers ?? []).filter((person) => person.id !== viewer).map((person) => person.name);

export function followButton(button, trouble) {
  const word = button.querySelector("[data-follow-word]");
  let tile = null;

  button.addEventListener("click", async () => {
    button.disabled = true;
    const why = await post(`/calls/${tile.id}/follow`, { on: !isMine(tile) });
    button.disabled = false;
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
