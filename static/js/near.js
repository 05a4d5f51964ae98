// Which tiles of a grid are in view or nearly so. Told by their rows, which are all of one height: an
// IntersectionObserver would look at each of 200 tiles in every frame.
const MARGIN_PX = 300;

// `of(node)`: its view, or undefined. Sets `far` on each; those that came or went since the last look.
export function lookAround(grid, of) {
  const nodes = [...grid.children].filter((node) => !node.hidden);
  if (!nodes.length) return [];
  const [whole, one] = [grid.getBoundingClientRect(), nodes[0].getBoundingClientRect()];
  if (!one.height) return []; // not shown at all
  const gap = parseFloat(getComputedStyle(grid).rowGap) || 0;
  const columns = Math.max(1, Math.round((whole.width + gap) / (one.width + gap)));
  const row = (y) => Math.floor((y - whole.top) / (one.height + gap));
  const [first, last] = [row(-MARGIN_PX), row(innerHeight + MARGIN_PX)];
  const turned = [];
  nodes.forEach((node, n) => {
    const view = of(node);
    const at = Math.floor(n / columns);
    const far = at < first || at > last;
    if (!view || view.far === far) return;
    view.far = far;
    turned.push(view);
  });
  return turned;
}
