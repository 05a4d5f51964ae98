// A call with one's own microphone: the chosen side gets the sound, the other one silence.
import { cookie } from "./post.js";

const RATES = [16000, 48000, 44100];
const WAITS_S = [0.5, 1, 2, 4, 8, 15];
const MOST_WAITING = 1_000_000; // bytes: some seconds that the line has not taken
const bar = document.querySelector("[data-practice]");
const find = (name) => bar.querySelector(`[data-${name}]`);
let on = null;

find("js").hidden = false;
find("start").addEventListener("click", start);
find("stop").addEventListener("click", stop);
addEventListener("pagehide", () => on && stop());

async function start() {
  find("start").disabled = true;
  try {
    if (!navigator.mediaDevices) throw new Error(gettext("Browsers give the microphone to pages on https only."));
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, autoGainControl: true } });
    on = { stream, ...(await listening(stream)), socket: null };
    on.node.port.onmessage = ({ data }) => hear(data);
    await connect();
    find("stop").hidden = false;
    find("level").hidden = false;
    find("start").hidden = true;
  } catch (error) {
    hush();
    find("start").disabled = false;
    say(error.name === "NotAllowedError" ? gettext("The browser does not let this page use the microphone.") : error.message);
  }
}

// At 16 kHz where the browser can; else at its own rate, which the server turns into its own.
async function listening(stream) {
  for (const options of [{ sampleRate: RATES[0] }, {}]) {
    const context = new AudioContext(options);
    try {
      await context.audioWorklet.addModule(bar.dataset.worklet);
      const node = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0 });
      context.createMediaStreamSource(stream).connect(node);
      if (RATES.includes(context.sampleRate)) return { context, node };
    } catch (error) {
      if (!options.sampleRate) throw error;
    }
    await context.close();
  }
  throw new Error(gettext("This microphone’s rate is not one we take."));
}

async function connect() {
  const answer = await fetch(bar.dataset.ticket, { method: "POST", headers: { "X-CSRFToken": cookie("csrftoken") }, redirect: "manual" });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(told.error ?? gettext("You are logged out. Log in in another tab, then try again.")), { final: true });
  const socket = new WebSocket(bar.dataset.practice, "empathy.v1");
  await new Promise((resolve, reject) => {
    socket.onopen = () => socket.send(JSON.stringify({
      type: "start", call_ref: bar.dataset.ref, format: "pcm_s16le", rate: on.context.sampleRate, channels: ["customer", "agent"], ticket: told.ticket,
    }));
    socket.onmessage = ({ data }) => {
      const said = JSON.parse(data);
      if (said.type === "started") resolve();
      if (said.type === "error") reject(new Error(said.message));
    };
    socket.onclose = socket.onerror = () => reject(new Error(gettext("The line to the server did not open.")));
  });
  socket.onclose = () => on && again();
  socket.onerror = null;
  on.socket = socket;
  say(gettext("You are heard."));
}

async function again() {
  on.socket = null;
  for (const wait of WAITS_S) {
    say(gettext("The line broke; what you say now is lost. Trying again …"));
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    if (!on) return;
    try {
      return await connect();
    } catch (error) {
      if (error.final) break;
    }
  }
  hush();
  say(gettext("The line is gone. Load the page again to go on."));
}

function hear(samples) {
  if (!on) return;
  const sound = new Int16Array(samples.length * 2);
  const side = Number(bar.querySelector("[name=side]:checked").value);
  let loudest = 0;
  for (let n = 0; n < samples.length; n += 1) {
    const sample = Math.max(-1, Math.min(1, samples[n]));
    loudest = Math.max(loudest, Math.abs(sample));
    sound[2 * n + side] = Math.round(sample * 32767);
  }
  find("level").value = Math.sqrt(loudest);
  if (on.socket?.readyState === WebSocket.OPEN && on.socket.bufferedAmount < MOST_WAITING) on.socket.send(sound.buffer);
}

function stop() {
  const socket = on?.socket;
  hush();
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "stop" }));
  say(gettext("The call is over. Its score comes in a moment."));
}

function hush() {
  for (const track of on?.stream.getTracks() ?? []) track.stop();
  on?.context?.close();
  on = null;
  find("level").hidden = true;
  find("stop").hidden = true;
}

function say(words) {
  find("said").textContent = words;
}
