// Who comes first: risk, with hysteresis, so that tiles do not jump under the reader.
import { isMine } from "./follow.js";

const RANK = { help: 2, watch: 1, calm: 0 };
const FOLLOWED = 1.5; // Under those who need help, over all others.
const LEAVE_MS = 20_000;

export class Order {
  #held = new Map();

  // The rank a call holds: up at once, down only after 20 s below.
  hold(tile, now) {
    const rank = tile.status === "live" ? RANK[tile.risk] : 0;
    let held = this.#held.get(tile.id);
    if (!held) {
      this.#held.set(tile.id, (held = { rank, since: now, lowerSince: null, began: Date.parse(tile.started_at) }));
    } else if (rank >= held.rank) {
      if (rank > held.rank) Object.assign(held, { rank, since: now });
      held.lowerSince = null;
    } else {
      held.lowerSince ??= now;
      if (now - held.lowerSince >= LEAVE_MS || tile.status !== "live") {
        Object.assign(held, { rank, since: now, lowerSince: null });
      }
    }
    return held.rank;
  }

  forget(id) {
    this.#held.delete(id);
  }

  needsHelp(id) {
    return this.#held.get(id)?.rank === RANK.help;
  }

  // Longest in its rank first, so that a newcomer never pushes others down within it.
  sorted(tiles) {
    const of = (tile) => this.#held.get(tile.id);
    const weight = new Map(tiles.map((tile) => [tile.id, isMine(tile) ? Math.max(of(tile).rank, FOLLOWED) : of(tile).rank]));
    return tiles.toSorted(
      (a, b) =>
        weight.get(b.id) - weight.get(a.id) ||
        of(a).since - of(b).since ||
        of(a).began - of(b).began ||
        (a.id < b.id ? -1 : 1),
    );
  }
}
