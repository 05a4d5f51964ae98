// Glyphs, words and limits, written down once in calls/views/paint.py and read from the page.
const node = document.getElementById("look");
export const LOOK = node
  ? JSON.parse(node.textContent)
  : { risk: {}, state: {}, behaviour: {}, loyalty: {}, target: {}, low_confidence: 0.5, stale_ms: 5000, ended_stays_ms: 8000, gap_ms: 8000 };

const OTHER = ["›"];
export const riskLook = (risk) => LOOK.risk[risk] ?? ["○", risk];
export const stateLook = (state) => LOOK.state[state] ?? ["◌", state];
export const labelLook = (label) =>
  LOOK.state[label] ?? LOOK.behaviour[label] ?? LOOK.cue?.[label] ?? [...OTHER, label.replaceAll("-", " ")];
// A phrase of the shipped rubric by what it hears; a house's own by its id.
export const phraseWords = (id) => LOOK.phrase?.[id] ?? id;
export const loyaltyLook = (status) => LOOK.loyalty[status] ?? ["▸", status];
// " (to mark turns)"; nothing for the call's own page, which is what a look is without another word.
export const lookedWords = (kind) => (kind && kind !== "page" ? ` (${LOOK.looked?.[kind] ?? kind})` : "");
export const isLow = (confidence) => confidence < LOOK.low_confidence;
export const percent = (share) => `${Math.round(share * 100)}%`;

// A sentence that scoring made, in the reader's language: as calls/views/said.py, whose patterns these are.
const SAID = { whole: {}, shapes: [], spoken: [], ...LOOK.said };
const SHAPES = SAID.shapes.map(([shape, words]) => [new RegExp(shape), words]);
const isKnown = (word) => Object.hasOwn(SAID.whole, word);
const listed = (text) => text.split(", ").map(said).join(", ");

export function said(text) {
  if (!text || !SHAPES.length) return text;
  if (isKnown(text)) return SAID.whole[text];
  for (const [shape, words] of SHAPES) {
    const slots = text.match(shape)?.groups;
    if (slots && isKnown(slots.feeling ?? "calm"))
      return words.replace(/\{(\w+)\}/g, (_, name) => (SAID.spoken.includes(name) ? slots[name] : listed(slots[name])));
  }
  return text;
}

export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

export function empathyWords(tile) {
  if (tile.empathy !== null && tile.empathy !== undefined) return String(Math.round(tile.empathy));
  return tile.courtesy === null || tile.courtesy === undefined ? gettext("not yet") : gettext("courtesy only");
}

export function changeWords(tile) {
  if (tile.empathy === null || tile.change_60s === null || tile.change_60s === undefined) return "";
  const change = Math.round(tile.change_60s);
  const arrow = change > 0 ? "▴" : change < 0 ? "▾" : "▸";
  return change ? interpolate(gettext("%s in 60 s"), [`${arrow} ${Math.abs(change)}`]) : `${arrow} ${gettext("steady")}`;
}

// Where a link leads, in a word; "" for what is no whole https address.
export function hostOf(link) {
  if (!link?.startsWith("https://") || !URL.canParse(link)) return "";
  return new URL(link).host;
}
