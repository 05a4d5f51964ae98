// When to draw: once per interval, for ages move on even when nothing arrives; in one animation frame, and never
// while the page is hidden. The first draw, before the interval begins, is the page's own.
const HURRY_MS = 400;

export function painter(draw, every = 1000) {
  let last = -Infinity;
  let timer = 0;
  let frame = 0;

  // Not before so many milliseconds after the last draw.
  function after(ms) {
    clearTimeout(timer);
    timer = setTimeout(now, Math.max(0, last + ms - performance.now()));
  }

  function now() {
    clearTimeout(timer);
    if (document.hidden || frame) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      last = performance.now();
      after(every);
      draw();
    });
  }

  // For what should not wait, unless the reader chose a slower rate.
  function hurry() {
    if (!document.hidden && !frame && every <= 1000) after(HURRY_MS);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : now()));
  timer = setTimeout(now, every);

  return {
    hurry,
    now,
    get every() {
      return every;
    },
    set every(ms) {
      every = ms;
      after(every);
    },
  };
}
