"""How soon a cue is on the agent's screen: at the socket, and painted in a real Chromium.

    python -m bench nudges [--calls 10] [--rounds 3] [--seconds 200]

Plays the demo calls in full and at once, in real time, each with an agent of its own, through media, workers
and database to that agent's socket and to that agent's open page. Measured from the end of the caller's turn
(known from the script's rendering) to the message that carries the cue and to the frame after the one that
shows it; and, over all cues, from the moment a cue names: a pause inside a caller's turn can be taken for its
end, and then no end of the script is near. A cue that waits until the agent has ended an answer
(`nudging.BEGUN_MS`) counts with all of its waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed

from bench.calls import _drain, _percentile
from bench.load import Played, play
from bench.product import Product, product
from calls import demo

TARGET_MS = 3000
SLACK_MS = 1500
"""A cue's time is the heard end of a turn, this near to the scripted one."""
# The frame after the one in which the card shows a cue: then it is painted.
TIMED = """
window.painted = {};
addEventListener("DOMContentLoaded", () => {
  const card = document.querySelector("[data-cue]");
  new MutationObserver(() => {
    const id = card.dataset.cue;
    if (!id || card.hidden || id in window.painted) return;
    window.painted[id] = null;
    requestAnimationFrame(() => requestAnimationFrame(() => (window.painted[id] = Date.now())));
  }).observe(card, { attributes: true });
});
"""


class Screen(threading.Thread):
    """An agent's socket: when each cue arrived, and which call has which label."""

    def __init__(self, running: Product, agent: str) -> None:
        super().__init__(daemon=True)
        self.product, self.session = running, running.log_in(agent)
        self.cues: dict[int, tuple[float, str, int, str]] = {}
        self.labels: dict[str, str] = {}
        self.done = threading.Event()

    def run(self) -> None:
        with self.product.socket("/ws/me/", self.session) as ws:
            while not self.done.is_set():
                try:
                    message = json.loads(ws.recv(timeout=1))
                except TimeoutError:
                    continue
                except ConnectionClosed:
                    return
                self.note(message, time.time())

    def note(self, message: dict[str, Any], now: float) -> None:
        """Events, or a fresh snapshot where the socket had fallen behind."""
        mine, events = message.get("me", {}), message.get("events", ())
        tiles = [*mine.get("calls", {}).values(), *(e["tile"] for e in events if e["type"] == "tile")]
        self.labels |= {tile["id"]: tile["label"] for tile in tiles}
        for cue in [*mine.get("cues", ()), *(e["cue"] for e in events if e["type"] == "cue")]:
            self.cues.setdefault(cue["id"], (now, cue["call"], cue["t_ms"], cue["rule"]))


@contextmanager
def pages(running: Product, screens: list[Screen]) -> Iterator[list[Any]]:
    """The page of each agent in one Chromium, as wide as beside a phone client; none without a Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        yield []
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield [opened(browser, running, screen) for screen in screens]
        browser.close()


def opened(browser: Any, running: Product, screen: Screen) -> Any:
    context = browser.new_context(base_url=running.url, viewport={"width": 380, "height": 760})
    cookies = screen.session.cookies
    context.add_cookies([{"name": c.name, "value": c.value, "url": running.url} for c in cookies])
    page = context.new_page()
    page.add_init_script(TIMED)
    page.goto("/me/")
    page.wait_for_selector('.line-state[data-line="live"]', timeout=60_000)
    return page


def played(running: Product, rounds: list[list[tuple[Played, str]]], seconds: float) -> None:
    """One round after the other; the calls of one at once, begun over ten seconds."""
    secret = running.sql("select secret from calls_source where slug = 'phone'")[0][0]
    public_url = f"ws://127.0.0.1:{running.port + 1}/media/twilio/phone/"
    address = f"{running.media_url}/media/twilio/phone/"

    async def everyone(calls: list[tuple[Played, str]]) -> None:
        async def one(n: int, call: Played, agent: str) -> None:
            await asyncio.sleep(n * 10.0 / len(calls))
            await play(address, secret, public_url, call, seconds, agent)

        await asyncio.gather(*(one(n, *call) for n, call in enumerate(calls)))

    for calls in rounds:
        asyncio.run(everyone(calls))
        _drain(running)
        time.sleep(2)


def measure(running: Product, count: int, rounds: int, seconds: float) -> dict[str, Any]:
    scripts = {demo.agent_username(s.agent_name): s for s in map(demo.load_script, demo.script_paths())}
    agents = dict(list(scripts.items())[:count])
    plan = [
        [(Played(f"cue {n} {script.slug}", script.slug), agent) for agent, script in agents.items()]
        for n in range(rounds)
    ]
    screens = [Screen(running, agent) for agent in agents]
    with ExitStack() as stack:
        shown = stack.enter_context(pages(running, screens))
        for screen in screens:
            screen.start()
        # Playwright keeps a loop in this thread, so the calls are played in another.
        player = threading.Thread(target=played, args=(running, plan, seconds))
        player.start()
        player.join()
        painted = {
            int(k): at / 1000 for page in shown for k, at in page.evaluate("window.painted").items() if at
        }
        for screen in screens:
            screen.done.set()
    calls = {call.label: call for part in plan for call, _ in part}
    return {"rounds": rounds, "agents": len(agents)} | report(calls, screens, painted, bool(shown), seconds)


def report(
    calls: dict[str, Played],
    screens: list[Screen],
    painted: dict[int, float],
    drawn: bool,
    seconds: float,
) -> dict[str, Any]:
    """All times in ms. `painted` is by the page's own clock, which is this machine's."""
    labels = {pk: label for screen in screens for pk, label in screen.labels.items()}
    cues = {pk: cue for screen in screens for pk, cue in screen.cues.items()}
    waits: dict[str, list[float]] = {"turn": [], "moment": [], "turn_dom": [], "moment_dom": []}
    unplaced = 0
    for pk, (arrived, call_id, t_ms, _) in cues.items():
        call = calls.get(labels.get(call_id, ""))
        end = min(call.ends_ms, key=lambda end: abs(end - t_ms), default=None) if call else None
        near = end is not None and abs(end - t_ms) <= SLACK_MS
        unplaced += not near
        for at, kind in ((arrived, ""), (painted.get(pk), "_dom")):
            if call is None or at is None:
                continue
            at_ms = (at - call.started) * 1000
            waits["moment" + kind].append(max(0.0, at_ms - t_ms))
            if near:
                waits["turn" + kind].append(max(0.0, at_ms - end))
    p95 = _percentile(waits["turn_dom" if drawn else "turn"], 95)
    return {
        "calls": len(calls),
        "seconds": seconds,
        "cues": len(cues),
        "cues_per_call": round(len(cues) / max(1, len(calls)), 2),
        "after_no_turn_of_the_script": unplaced,
        "turn_to_agents_screen_ms": {f"p{p}": _percentile(waits["turn"], p) for p in (50, 95, 99)},
        "cue_moment_to_agents_screen_ms": {f"p{p}": _percentile(waits["moment"], p) for p in (50, 95)},
        "turn_to_painted_ms": {f"p{p}": _percentile(waits["turn_dom"], p) for p in (50, 95, 99)},
        "cue_moment_to_painted_ms": {f"p{p}": _percentile(waits["moment_dom"], p) for p in (50, 95)},
        "painted": len(set(painted) & set(cues)),
        "over_target": sum(wait > TARGET_MS for wait in waits["turn_dom" if drawn else "turn"]),
        "in_time": p95 is not None and p95 <= TARGET_MS,
        "sent_late_s": round(max(call.late_s for call in calls.values()), 2),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "rules": dict(Counter(rule for _, _, _, rule in cues.values())),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench nudges", description=__doc__)
    parser.add_argument("--calls", type=int, default=10, help="at once, each of another demo call")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=200.0, help="of each call at most")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="empathy-bench-") as folder:
        with product(Path(folder), METRICS_TOKEN="bench") as running:
            found = measure(running, options.calls, options.rounds, options.seconds)
    print(json.dumps({"cores": os.cpu_count(), **found}, indent=2))
    return 0
