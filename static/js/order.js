// Who comes first: risk, with hysteresis, so that tiles do not jump under the reader.
import { isMine } from "./follow.js";

const RANK = { help: 2, watch: 1, calm: 0 };
const FOLLOWED = 1.5; // Under those who need help, over all others.
const LEAVE_MS = 20_000;

export class Order {
  #held = new Map();
  changed = true; // Somebody's place may be another than when this was last set to false.

  // The rank a call holds: up at once, down only after 20 s below.
  hold(tile, now) {
    const rank = tile.status === "live" ? RANK[tile.risk] : 0;
    let held = this.#held.get(tile.id);
    if (!held) {
      held = { rank, since: now, lowerSince: null, began: Date.parse(tile.started_at) };
      this.#held.set(tile.id, held);
      this.changed = true;
    } else if (rank >= held.rank) {
      if (rank > held.rank) this.#settle(held, rank, now);
      held.lowerSince = null;
    } else {
      held.lowerSince ??= now;
      if (now - held.lowerSince >= LEAVE_MS || tile.status !== "live") this.#settle(held, rank, now);
    }
    const weight = isMine(tile) ? Math.max(held.rank, FOLLOWED) : held.rank;
    if (held.weight !== weight) this.changed = true;
    held.weight = weight;
    return held.rank;
  }

  #settle(held, rank, now) {
    Object.assign(held, { rank, since: now, lowerSince: null });
    this.changed = true;
  }

  forget(id) {
    this.#held.delete(id);
    this.changed = true;
  }

  needsHelp(id) {
    return this.#held.get(id)?.rank === RANK.help;
  }

  // Longest in its rank first, so that a newcomer never pushes others down within it.
  sorted(tiles) {
    const of = (tile) => this.#held.get(tile.id);
    return tiles.toSorted(
      (a, b) =>
        of(b).weight - of(a).weight ||
        of(a).since - of(b).since ||
        of(a).began - of(b).began ||
        (a.id < b.id ? -1 : 1),
    );
  }
}
