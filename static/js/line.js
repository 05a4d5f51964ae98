// The line to the server: snapshot, then events. Reconnects with backoff and asks for a fresh
// snapshot whenever the numbers do not meet.
const SILENT_MS = 12_000; // The server ticks every 5 s.
const LONGEST_WAIT_MS = 15_000;
const TRIES_BEFORE_ASKING = 3;

export function openLine(path, { onSnapshot, onEvents, onTick, onState }) {
  let socket = null;
  let tries = 0;
  let seq = null;
  let heard = 0;
  let state = "";
  let closed = false;

  const say = (next) => {
    if (next !== state) onState((state = next));
  };

  function open() {
    if (closed) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}${path}`);
    heard = performance.now();
    socket.addEventListener("message", receive);
    socket.addEventListener("close", lost);
  }

  function receive({ data }) {
    const message = JSON.parse(data);
    heard = performance.now();
    if (message.type === "snapshot") {
      seq = message.seq;
      tries = 0;
      onSnapshot(message);
    } else if (message.type === "events") {
      if (message.from !== undefined && !same(message.from, seq)) return refetch();
      seq = message.seq;
      onEvents(message.events, message.urgent);
    } else if (message.type === "tick") {
      onTick(message);
    }
    if (seq !== null) say("live");
  }

  function lost() {
    if (closed) return;
    say("reconnecting");
    seq = null;
    tries += 1;
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** Math.min(tries - 1, 6));
    setTimeout(open, wait * (0.7 + 0.6 * Math.random()));
    if (tries === TRIES_BEFORE_ASKING) stillOurs();
  }

  // A refused socket looks like a broken one: ask the page itself whether it is still ours.
  async function stillOurs() {
    try {
      const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 404) {
        closed = true;
        say("out");
      }
    } catch {
      // The server is away; keep trying.
    }
  }

  function refetch() {
    if (socket?.readyState === WebSocket.OPEN) socket.send('{"type":"refetch"}');
  }

  setInterval(() => {
    if (socket?.readyState !== WebSocket.OPEN || performance.now() - heard < SILENT_MS) return;
    say("stale");
    socket.removeEventListener("close", lost);
    socket.close();
    lost();
  }, 1000);
  addEventListener("pagehide", () => socket?.close());
  open();
  return { refetch };
}

function same(a, b) {
  if (a === null || b === null || typeof a !== "object") return a === b;
  return Object.keys(a).every((group) => a[group] === b[group]);
}
