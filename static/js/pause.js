// A pause button: `toggle` flips what the page holds and says whether it is paused now.
export function pauseButton(button, toggle) {
  const sign = button.querySelector(".glyph");
  const word = button.querySelector("[data-pause-word]");
  const act = () => {
    const paused = toggle();
    button.setAttribute("aria-pressed", String(paused));
    sign.textContent = paused ? "▶" : "‖";
    word.textContent = paused ? gettext("Go on") : gettext("Pause");
    return true;
  };
  button.addEventListener("click", act);
  return act;
}
