// The list of alerts: buttons on those that can still be answered. The row itself is the server's.
import { alertActs } from "./call-alerts.js";
import { localTimes } from "./local-time.js";

for (const node of document.querySelectorAll("[data-alert]")) enliven(node);

function enliven(node) {
  const { alert, episode, path } = node.dataset;
  if ("resolved" in node.dataset) return;
  const facts = () => ({ acknowledged_at: "acknowledged" in node.dataset, resolved_at: "resolved" in node.dataset });
  const acts = alertActs(node, { path, episode: Number(episode), acted }, `alert-${alert}`);
  acts.update(facts());

  // What became of it, whoever did it first. Offline the words of the buttons must do.
  async function acted() {
    const answer = await fetch(`/alerts/${alert}/`).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-alert]");
    for (const name of ["open", "acknowledged", "resolved"]) node.toggleAttribute(`data-${name}`, name in fresh.dataset);
    const fate = document.importNode(fresh.querySelector(".fate"), true);
    localTimes(fate);
    node.querySelector(".fate").replaceWith(fate);
    acts.update(facts());
  }
}
