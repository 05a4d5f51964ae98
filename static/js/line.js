// The line to the server: snapshot, then events. Reconnects with backoff and asks for a fresh
// snapshot whenever the numbers do not meet.
const STALE_MS = 5000; // The server says something every 2 s: what the page shows may be old by now.
const SILENT_MS = 12_000; // And after this the line is given up.
const LONGEST_WAIT_MS = 15_000;
const TRIES_BEFORE_ASKING = 3;
const ASK_AGAIN_MS = 15_000;

// `onState(state, silentMs)`: how long ago the server last said anything. `onBack`: the page was logged out,
// and somebody has logged in since; without it the page stays as it is.
export function openLine(path, { onSnapshot, onEvents, onTick, onState, onBack }) {
  let socket = null;
  let tries = 0;
  let seq = null;
  let heard = performance.now(); // the page itself, at first
  let began = 0;
  let state = "";
  let closed = false;

  const say = (next) => {
    if (next !== state) onState((state = next), performance.now() - heard);
  };

  function open() {
    if (closed) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}${path}`);
    began = performance.now();
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
    if (tries % TRIES_BEFORE_ASKING === 0) stillOurs();
  }

  // A refused socket looks like a broken one: ask the page itself whether it is still ours.
  async function stillOurs() {
    try {
      const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 404) {
        closed = true;
        say("out");
      } else if (closed && answer.ok) {
        return onBack();
      }
    } catch {
      // The server is away; keep trying.
    }
    if (closed && onBack) setTimeout(stillOurs, ASK_AGAIN_MS);
  }

  function refetch() {
    if (socket?.readyState === WebSocket.OPEN) socket.send('{"type":"refetch"}');
  }

  setInterval(() => {
    const now = performance.now();
    if ((state === "live" || !state) && now - heard >= STALE_MS) say("stale");
    if (socket.readyState > WebSocket.OPEN || now - Math.max(heard, began) < SILENT_MS) return;
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
