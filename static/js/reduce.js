// How an event changes a document: the same rules as calls/live.py `apply`. Pure: returns a new one.
export function apply(doc, event) {
  if ("choices" in doc) return applyMine(doc, event);
  return "calls" in doc ? applyFloor(doc, event) : applyCall(doc, event);
}

export function applyAll(doc, events) {
  if (!("calls" in doc) || "choices" in doc) return events.reduce(apply, doc);
  const calls = { ...doc.calls }; // One copy for all: a busy floor gets hundreds of tiles at once.
  const others = events.filter((event) => !withTile(calls, event));
  return others.reduce(apply, { ...doc, calls });
}

// The floor without calls that the page has let go.
export function without(doc, gone) {
  const calls = { ...doc.calls };
  for (const id of gone) delete calls[id];
  return { ...doc, calls };
}

function applyFloor(doc, event) {
  if (event.type === "lag") return { ...doc, lag_ms: event.lag_ms };
  const calls = { ...doc.calls };
  return { ...doc, calls: withTile(calls, event) ? calls : doc.calls };
}

// Writes a new or changed tile into `calls`; whether the event was about one.
function withTile(calls, event) {
  if (event.type === "tile") calls[event.tile.id] = event.tile;
  else if (event.type === "changed") event.id in calls && (calls[event.id] = changed(calls[event.id], event));
  else return false;
  return true;
}

function changed(tile, { set, spark }) {
  if (!spark) return { ...tile, ...set };
  const { drop, keep, add } = spark;
  return { ...tile, ...set, spark: tile.spark.slice(drop, drop + keep).concat(add) };
}

const VIEW_PARTS = ["opportunities", "nudges", "alerts", "why", "timing", "components", "alignment", "outlook"];

function applyCall(doc, event) {
  switch (event.type) {
    case "turn":
      return { ...doc, turns: withTurn(doc.turns, event.turn) };
    case "view": {
      const moments = doc.moments.filter((m) => m.t_ms < event.since_ms).concat(event.moments);
      const parts = Object.fromEntries(VIEW_PARTS.map((name) => [name, event[name]]));
      return { ...doc, moments, ...parts };
    }
    case "tile":
    case "coverage":
    case "final":
    case "alerts":
      return { ...doc, [event.type]: event[event.type] };
    default:
      return withRow(doc, event);
  }
}

function applyMine(doc, event) {
  switch (event.type) {
    case "tile": {
      const { [event.tile.id]: _, ...others } = doc.calls;
      const calls = event.tile.status === "live" ? { ...others, [event.tile.id]: event.tile } : others;
      return { ...doc, calls };
    }
    case "choices":
      return { ...doc, choices: event.choices };
    default:
      return withRow(doc, event);
  }
}

// Events of one row, and the list it belongs to.
const LISTS = { cue: "cues", message: "messages", remark: "remarks", look: "looks" };

function withRow(doc, event) {
  const list = LISTS[event.type];
  if (!list || !(list in doc)) return { ...doc };
  const row = event[event.type];
  const known = doc[list].some((r) => r.id === row.id);
  const rows = known ? doc[list].map((r) => (r.id === row.id ? row : r)) : [...doc[list], row];
  return { ...doc, [list]: rows };
}

function withTurn(turns, turn) {
  const others = turns.filter((t) => t.channel !== turn.channel || t.start_ms !== turn.start_ms);
  return [...others, turn].sort(
    (a, b) => a.start_ms - b.start_ms || (a.channel < b.channel ? -1 : a.channel > b.channel ? 1 : 0),
  );
}
