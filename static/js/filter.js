// The filter form: works on the server without script; with it, at once and in the address bar.
import { said } from "./words.js";

export function filterBy(form, onChange) {
  const wanted = () => ({
    team: form.elements.team.value,
    queue: form.elements.queue.value,
    q: form.elements.q.value.trim().toLowerCase(),
  });
  const changed = () => {
    const query = new URLSearchParams(Object.entries(wanted()).filter(([, value]) => value));
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
    onChange(wanted());
  };
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    changed();
  });

  const select = form.elements.queue;
  const known = new Set([...select.options].map((option) => option.value));

  return {
    active: () => Object.values(wanted()).some(Boolean),
    matcher() {
      const { team, queue, q } = wanted();
      if (!team && !queue && !q) return () => true;
      return (tile) =>
        (!team || String(tile.team) === team) &&
        (!queue || tile.queue === queue) &&
        (!q || [said(tile.agent), tile.queue, tile.team_name, tile.source].join(" ").toLowerCase().includes(q));
    },
    // Queues come and go with calls; the chosen one stays.
    offer(tiles) {
      for (const { queue } of tiles) {
        if (!queue || known.has(queue)) continue;
        known.add(queue);
        select.add(new Option(queue));
      }
    },
    focus() {
      form.elements.q.focus();
      form.elements.q.select();
    },
  };
}
