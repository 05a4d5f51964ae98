import { LOCALE } from "./locale.js";

// The server's clock, as well as this machine can know it. Ages are judged by it alone.
let offset = 0;
let known = false;

export function sync(iso) {
  const seen = Date.parse(iso) - Date.now();
  // The least delayed message is the truest; drift is followed slowly.
  offset = known ? Math.max(seen, offset - 50) : seen;
  known = true;
}

export const serverNow = () => Date.now() + offset;

const TIME = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const timeOfDay = (ms) => TIME.format(ms);
