// Whether a reader has a tile in hand: the focus is on it, or a pointer that moved in the last 10 s is over it.
const RESTS_MS = 10_000;

export function inUse(lists) {
  let movedAt = -Infinity;
  let [x, y] = [-1, -1];

  // A list that moves under a resting pointer also makes events: only another place is a move.
  function moved(event) {
    if (event.type === "pointermove" && event.clientX === x && event.clientY === y) return;
    [x, y] = [event.clientX, event.clientY];
    movedAt = performance.now();
  }
  for (const list of lists) for (const kind of ["pointermove", "pointerdown", "wheel"]) list.addEventListener(kind, moved, { passive: true });

  const pointed = () => performance.now() - movedAt < RESTS_MS && lists.some((list) => list.matches(":hover"));
  const focused = () => lists.some((list) => list.contains(document.activeElement));
  return () => focused() || pointed();
}
