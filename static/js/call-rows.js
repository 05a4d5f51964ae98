import { LOCALE } from "./locale.js";

// A list whose rows live on: a row is made once per key and then told what changed, so that focus
// and typed words stay. `build(item)` returns {node, update(item), leave?()}; a row whose item is gone
// stays, as `leave` shows it, for as long as it has the focus.
export function rows(list, key, build) {
  const known = new Map();
  list.replaceChildren(); // the first paint was the server's

  return (items) => {
    const nodes = items.map((item) => {
      const name = String(key(item));
      let row = known.get(name);
      if (!row) known.set(name, (row = build(item)));
      row.update(item);
      return row.node;
    });
    const names = new Set(items.map((item) => String(key(item))));
    for (const [name, row] of known) {
      if (names.has(name)) continue;
      known.delete(name);
      if (row.leave) row.leave();
      whenUnfocused(row.node, () => row.node.remove());
    }
    arrange(list, nodes);
  };
}

// Puts the nodes in order without ever moving the one that has the focus: moving would lose it.
function arrange(list, nodes) {
  if (!nodes.length) return;
  const held = Math.max(0, nodes.findIndex((node) => node.contains(document.activeElement)));
  if (nodes[held].parentNode !== list) list.prepend(nodes[held]);
  for (let i = held - 1; i >= 0; i -= 1) if (nodes[i + 1].previousElementSibling !== nodes[i]) nodes[i + 1].before(nodes[i]);
  for (let i = held + 1; i < nodes.length; i += 1) if (nodes[i - 1].nextElementSibling !== nodes[i]) nodes[i - 1].after(nodes[i]);
}

// Now, or as soon as the focus has left the node by itself.
export function whenUnfocused(node, act) {
  if (!node.contains(document.activeElement)) return act();
  const left = (event) => {
    if (node.contains(event.relatedTarget)) return;
    node.removeEventListener("focusout", left);
    setTimeout(act); // not while the focus is still on its way
  };
  node.addEventListener("focusout", left);
}

export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const HOUR = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
// 14:03, with the day unless it is today.
export function atWords(iso) {
  const at = new Date(iso);
  return (at.toDateString() === new Date().toDateString() ? HOUR : DAY).format(at);
}
