// Which tiles of a grid are in view or nearly so. Told by their rows, which are all of one height: an
// IntersectionObserver would look at each of 200 tiles in every frame.
const MARGIN_PX = 60; // Whoever scrolls sees what comes into view written in the same frame.

// A look around that grid. `of(node)`: its view, or undefined. Each look sets `far` on every view and gives those
// that came or went since the last; while nothing moved (`anew` unset) it costs two rectangles.
export function near(grid, of) {
  let seen = "";

  return (anew) => {
    const one = grid.querySelector(":scope > :not([hidden])")?.getBoundingClientRect();
    if (!one?.height) {
      seen = "";
      return []; // nothing there, or not shown at all
    }
    const whole = grid.getBoundingClientRect();
    const at = [whole.top, whole.width, one.width, one.height, innerHeight].join();
    if (at === seen && !anew) return [];
    seen = at;
    const gap = parseFloat(getComputedStyle(grid).rowGap) || 0;
    const columns = Math.max(1, Math.round((whole.width + gap) / (one.width + gap)));
    const row = (y) => Math.floor((y - whole.top) / (one.height + gap));
    const [first, last] = [row(-MARGIN_PX), row(innerHeight + MARGIN_PX)];
    const turned = [];
    const shown = [...grid.children].filter((node) => !node.hidden);
    shown.map(of).forEach((view, n) => {
      const inRow = Math.floor(n / columns);
      const far = inRow < first || inRow > last;
      if (!view || view.far === far) return;
      view.far = far;
      turned.push(view);
    });
    return turned;
  };
}
