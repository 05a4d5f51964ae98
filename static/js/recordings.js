// Uploads in pieces that go on after a broken line, and a list that looks again while anything moves.
import { cookie } from "./post.js";
import { folders } from "./folders.js";

const PIECE = 2 * 1024 * 1024;
const WAITS_S = [1, 2, 4, 8, 15, 30, 30, 30];
const form = document.querySelector("[data-upload]");
const uploads = document.querySelector("[data-uploads]");
const list = document.querySelector("[data-rows]");
const team = form.elements.team;
let running = 0;

form.querySelector("[data-folder]").hidden = false;
form.querySelector("[data-hint]").hidden = false;
team.addEventListener("change", offerAgents);
offerAgents();

function offerAgents() {
  for (const option of form.elements.agent.options) option.hidden = option.dataset.team !== undefined && option.dataset.team !== team.value;
  if (form.elements.agent.selectedOptions[0]?.hidden) form.elements.agent.value = "";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { files, folder, caller_file: caller, agent_file: agent, transcript } = form.elements;
  const calls = [...files.files, ...folder.files].map((file) => [file]);
  if (caller.files[0] || agent.files[0]) {
    if (!caller.files[0] || !agent.files[0]) return line("").fail(gettext("Two files of one call: choose one for the caller and one for the agent."));
    calls.push([caller.files[0], agent.files[0]]);
  }
  if (!calls.length) return line("").fail(gettext("Choose at least one file."));
  let turns;
  if (transcript.files[0]) {
    if (calls.length > 1) return line("").fail(gettext("A transcript belongs to one call: choose one."));
    try {
      const told = JSON.parse(await transcript.files[0].text());
      turns = Array.isArray(told) ? told : told.turns;
      if (!Array.isArray(turns)) throw new Error("no list");
    } catch {
      return line(transcript.files[0].name).fail(gettext("The transcript is no JSON list of turns."));
    }
  }
  for (const field of [files, folder, caller, agent, transcript]) field.value = "";
  take(calls, turns);
});

const drop = form.querySelector("[data-drop]");
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.setAttribute("data-over", ""); });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.removeAttribute("data-over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  take((await folders(event.dataTransfer)).map((file) => [file]));
});

// --- one after the other -----------------------------------------------------------------------------

let last = Promise.resolve();

function take(calls, turns) {
  const said = new FormData(form); // as it is now: what is chosen next is for the next files
  for (const files of calls) {
    const shown = line(files.map((file) => file.name).join(" + "));
    running += 1;
    last = last.then(() => send(files, said, shown, turns)).catch((error) => shown.fail(error.message)).finally(() => { running -= 1; look(); });
  }
}

async function send(files, said, shown, turns) {
  shown.say(gettext("sending …"));
  const began = said.get("started_at") ? `${said.get("started_at")}:00Z` : new Date(files[0].lastModified).toISOString();
  const wanted = {
    team: Number(said.get("team")), layout: files.length === 2 ? "two-files" : said.get("layout"), told: said.has("told"), started_at: began,
    files: files.map((file) => ({ name: file.name.slice(-90), size: file.size })), mark: String(files.map((file) => file.lastModified)),
  };
  if (said.get("agent")) wanted.agent = said.get("agent");
  if (turns) wanted.turns = turns;
  let recording = await patiently(() => ask("POST", form.dataset.upload, JSON.stringify(wanted), "application/json"), shown);
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const path = `${form.dataset.upload}${recording.id}/`;
  for (const [part, file] of files.entries()) {
    while (recording.state === "uploading" && recording.parts[part].received < file.size) {
      const at = recording.parts[part].received;
      recording = await patiently(async () => {
        try {
          return await ask("PATCH", `${path}parts/${part}`, file.slice(at, at + PIECE), "application/offset+octet-stream", { "Upload-Offset": String(at) });
        } catch (error) {
          if (error.status === 409) return ask("GET", path); // another window sent it too
          throw error;
        }
      }, shown);
      shown.progress(recording.parts.reduce((sum, one) => sum + one.received, 0) / total);
    }
  }
  shown.done(recording.state === "duplicate" ? gettext("The same recording is here already.") : gettext("is here"));
  look();
}

async function patiently(does, shown) {
  for (const wait of WAITS_S) {
    try {
      return await does();
    } catch (error) {
      if (error.status && error.status < 500 && error.status !== 429) throw error;
      shown.say(interpolate(gettext("waiting for the line, again in %s s"), [wait]));
      await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    }
  }
  return does();
}

async function ask(method, path, body, type, headers = {}) {
  const said = { ...headers, Accept: "application/json", "X-CSRFToken": cookie("csrftoken") };
  if (type) said["Content-Type"] = type;
  const answer = await fetch(path, { method, body, headers: said, redirect: "manual", signal: AbortSignal.timeout(120_000) });
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const words = answer.status === 401 || answer.status === 403 ? gettext("You are logged out. Log in in another tab, then try again.") : told.detail;
  throw Object.assign(new Error(words ?? interpolate(gettext("The server could not do it (%s). Try again."), [answer.status])), { status: answer.status });
}

// --- what is shown -----------------------------------------------------------------------------------

function line(name) {
  const item = document.createElement("li");
  const [who, what, bar] = ["span", "span", "progress"].map((tag) => item.appendChild(document.createElement(tag)));
  who.textContent = name;
  what.className = "small";
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute("aria-label", name || gettext("Upload"));
  bar.hidden = !name;
  uploads.append(item);
  return {
    say: (words) => { what.textContent = words; },
    progress: (share) => { bar.value = share; what.textContent = `${Math.floor(share * 100)} %`; },
    done: (words) => { bar.remove(); what.textContent = words; },
    fail: (words) => { bar.remove(); what.textContent = words; what.setAttribute("data-bad", ""); },
  };
}

let timer = 0;
async function look() {
  clearTimeout(timer);
  try {
    const answer = await fetch(list.dataset.rows, { redirect: "manual" });
    if (answer.ok && !list.contains(document.activeElement)) {
      const found = new DOMParser().parseFromString(`<table><tbody>${await answer.text()}</tbody></table>`, "text/html");
      list.replaceChildren(...found.querySelector("tbody").children);
    }
  } catch {
    // offline: the next look tells
  }
  const moves = running > 0 || list.querySelector("[data-busy]");
  timer = setTimeout(look, moves ? 2000 : 20_000);
}
timer = setTimeout(look, 2000);
