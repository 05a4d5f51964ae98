import { LOCALE } from "./locale.js";

// Times are UTC on the wire and local only here.
const LOCAL = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export function localTimes(root = document) {
  for (const node of root.querySelectorAll("time[datetime]")) node.textContent = LOCAL.format(new Date(node.dateTime));
}
localTimes();
