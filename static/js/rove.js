// Moving among tiles with j, k and the arrows; one tile at a time is in the tab order.
export function rover(root) {
  const links = () => [...root.querySelectorAll(".tile:not([hidden]) a")];

  function go(link) {
    if (!link) return;
    for (const other of links()) other.tabIndex = other === link ? 0 : -1;
    link.focus({ preventScroll: true });
    link.closest(".tile").scrollIntoView({ block: "nearest" });
  }

  // Keeps exactly one tile reachable by Tab as tiles come and go.
  function tidy() {
    const all = links();
    const current = all.find((link) => link === document.activeElement) ?? all.find((link) => link.tabIndex === 0) ?? all[0];
    for (const link of all) {
      const want = link === current ? 0 : -1;
      if (link.tabIndex !== want) link.tabIndex = want;
    }
  }

  function step(by) {
    const all = links();
    const at = all.indexOf(document.activeElement);
    if (at >= 0) go(all[at + by]);
    else go(all.find((link) => link.tabIndex === 0) ?? all[0]);
    return true;
  }

  // The nearest tile in the row above or below.
  function row(direction) {
    const here = document.activeElement;
    if (!links().includes(here)) return undefined;
    const from = here.getBoundingClientRect();
    let best = null;
    let least = Infinity;
    for (const link of links()) {
      const box = link.getBoundingClientRect();
      const down = (box.top - from.top) * direction;
      if (down < 8) continue;
      const far = down * 4 + Math.abs(box.left - from.left);
      if (far < least) [least, best] = [far, link];
    }
    go(best);
    return true;
  }

  const aside = (by) => (links().includes(document.activeElement) ? step(by) : undefined);
  return {
    tidy,
    go,
    actions: {
      j: () => step(1),
      k: () => step(-1),
      ArrowRight: () => aside(1),
      ArrowLeft: () => aside(-1),
      ArrowDown: () => row(1),
      ArrowUp: () => row(-1),
    },
  };
}
