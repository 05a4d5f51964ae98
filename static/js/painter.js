// When to draw: at most once per interval, in one animation frame, never while the page is hidden.
const HURRY_MS = 400;

export function painter(draw, every = 1000) {
  let last = -Infinity;
  let timer = 0;
  let frame = 0;

  function run() {
    timer = 0;
    if (document.hidden || frame) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      last = performance.now();
      draw();
    });
  }

  function request() {
    if (document.hidden || timer || frame) return;
    timer = setTimeout(run, Math.max(0, last + every - performance.now()));
  }

  // For what should not wait, unless the reader chose a slower rate.
  function hurry() {
    if (document.hidden || frame || every > 1000) return request();
    clearTimeout(timer);
    timer = setTimeout(run, Math.max(0, last + HURRY_MS - performance.now()));
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      timer = 0;
    } else {
      now();
    }
  });

  function now() {
    clearTimeout(timer);
    run();
  }

  return {
    request,
    hurry,
    now,
    get every() {
      return every;
    },
    set every(ms) {
      every = ms;
      clearTimeout(timer);
      timer = 0;
      request();
    },
  };
}
