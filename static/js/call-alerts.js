// Alerts: what was raised, who looks after it, what was done; for supervisors also the buttons.
import { composer } from "./call-compose.js";
import { post } from "./post.js";
import { atWords, put, rows, whenUnfocused } from "./call-rows.js";
import { make, whenChanged } from "./nodes.js";
import { riskLook, said as sentence } from "./words.js";

const MOST = 200;

// `call`: the address that posts go under; `helps`: the reader may answer alerts.
export function alertsPanel(section, { call, helps, places }) {
  const status = section.querySelector("[data-said]");
  const build = (alert) => alertRow(alert, { path: pathOf(call, alert), helps, places });
  const draw = rows(section.querySelector("[data-alerts]"), key, build);
  let alerts = [];

  // The newest alert that nobody looks after yet.
  async function acknowledgeNewest() {
    const open = alerts.findLast((alert) => !alert.acknowledged_at && !alert.resolved_at);
    if (!open) return put(status, gettext("No alert is open."));
    const trouble = await post(`${pathOf(call, open)}acknowledge`, { episode: open.episode });
    put(status, trouble || interpolate(gettext("Acknowledged: %s"), [sentence(open.title)]));
  }

  return {
    draw: whenChanged((now) => {
      alerts = now;
      draw(alerts.toReversed());
      const empty = () => (section.hidden = !alerts.length);
      alerts.length ? empty() : whenUnfocused(section, empty);
    }),
    actions: helps ? { a: () => (acknowledgeNewest(), true) } : {},
  };
}

const key = ({ cause, episode }) => `${cause}-${episode}`;
const pathOf = (call, { cause }) => `${call}alerts/${encodeURIComponent(cause)}/`;

function alertRow(row, { path, helps, places }) {
  const { episode, t_ms } = row;
  const sign = make("span", { class: "glyph risk-hue", "aria-hidden": "true" });
  const title = make("strong", { id: `alert-${key(row)}` });
  const word = make("span", {});
  const second = make("span", {}, places.link(t_ms));
  const quote = make("span", {});
  const fate = make("p", { class: "small fate" });
  const what = make("div", { class: "what" }, make("p", {}, sign, title), make("p", { class: "small quiet" }, word, second, quote), fate);
  const node = make("li", {}, what);
  const acts = helps ? alertActs(node, { path, episode }, title.id) : { update() {} };
  let at = t_ms;

  return {
    node,
    update(alert) {
      const [glyph, risk] = riskLook(alert.severity);
      node.dataset.risk = alert.severity;
      node.toggleAttribute("data-open", !alert.acknowledged_at && !alert.resolved_at);
      node.toggleAttribute("data-resolved", Boolean(alert.resolved_at));
      put(sign, glyph);
      put(title, sentence(alert.title));
      put(word, episode > 1 ? `${risk} · ${gettext("again")} · ` : `${risk} · `);
      if (at !== alert.t_ms) second.replaceChildren(places.link((at = alert.t_ms)));
      put(quote, alert.quote ? ` · “${alert.quote}”` : "");
      put(fate, fateWords(alert));
      acts.update(alert);
    },
    leave() {
      put(fate, gettext("Withdrawn: what raised it was taken back."));
    },
  };
}

function fateWords(alert) {
  const parts = [];
  if (alert.acknowledged_at) parts.push(actWords(gettext("Acknowledged, %s"), gettext("Acknowledged by %s, %s"), alert.acknowledged_by, alert.acknowledged_at));
  if (alert.resolved_at) parts.push(`✓ ${actWords(gettext("Resolved, %s"), gettext("Resolved by %s, %s"), alert.resolved_by, alert.resolved_at)}${alert.resolution ? `: “${alert.resolution}”` : ""}`);
  return parts.join(" · ") || gettext("Nobody looks after it yet.");
}

const actWords = (alone, by, name, iso) => (name ? interpolate(by, [name, atWords(iso)]) : interpolate(alone, [atWords(iso)]));

// A button whose work is done goes away, but not from under the focus. `acted`: told after each.
export function alertActs(node, { path, episode, acted = () => {} }, titleId) {
  const id = `${titleId}-done`;
  const acknowledge = make("button", { type: "button", "aria-describedby": titleId }, gettext("Acknowledge"));
  const open = make("button", { type: "button", "aria-describedby": titleId, "aria-expanded": "false", "aria-controls": id }, gettext("Resolve …"));
  const box = make("input", { type: "text", id: `${id}-words`, autocomplete: "off", "aria-describedby": `${id}-said` });
  const form = make(
    "form",
    { id, class: "compose", hidden: true },
    make("label", { for: box.id, class: "small" }, gettext("What was done (optional)")),
    make("div", { class: "line" }, box, make("button", { class: "primary", type: "submit" }, gettext("Resolve"))),
    make("p", { class: "small under" }, make("span", { id: `${id}-said`, role: "status", class: "said", "data-said": true }), make("span", { class: "quiet count", "data-count": true })),
  );
  const said = make("p", { class: "small said", role: "status" });
  node.append(make("div", { class: "acts" }, acknowledge, open), said, form);

  composer(form, { path: () => `${path}resolve`, body: (text) => ({ resolution: text, episode }), done: gettext("Resolved."), most: MOST, enter: true, sent: acted });
  const expand = (on) => {
    form.hidden = !on;
    open.setAttribute("aria-expanded", String(on));
  };
  open.addEventListener("click", () => {
    if (open.hasAttribute("aria-disabled")) return;
    expand(form.hidden);
    if (!form.hidden) box.focus();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || open.hidden) return;
    event.preventDefault();
    open.focus();
    expand(false);
  });
  acknowledge.addEventListener("click", async () => {
    if (acknowledge.hasAttribute("aria-disabled")) return;
    acknowledge.setAttribute("aria-disabled", "true");
    const trouble = await post(`${path}acknowledge`, { episode });
    put(said, trouble || gettext("Acknowledged."));
    said.toggleAttribute("data-bad", Boolean(trouble));
    trouble ? acknowledge.removeAttribute("aria-disabled") : acted();
  });

  const retire = (part) => {
    if (part.hidden) return;
    part.setAttribute("aria-disabled", "true");
    whenUnfocused(part, () => (part.hidden = true));
  };
  let [wasTaken, wasDone] = [false, false];
  return {
    update(alert) {
      if ((alert.acknowledged_at || alert.resolved_at) && !wasTaken) {
        wasTaken = true;
        put(said, "");
        retire(acknowledge);
      }
      if (alert.resolved_at && !wasDone) {
        wasDone = true;
        retire(open);
        whenUnfocused(form, () => expand(false));
      }
    },
  };
}
