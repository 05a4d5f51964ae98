"""How soon a cue is on the agent's screen.

    python -m bench nudges [--calls 6] [--seconds 130]

Plays the demo calls at once, in real time, all with one agent, through media, workers and database to
that agent's own socket. Measured from the end of the caller's turn (known from the script's
rendering) to the message that carries the cue; and, over all cues, from the moment a cue names: a pause
inside a caller's turn can be taken for its end, and then no end of the script is near.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed

from bench.calls import _drain, _percentile
from bench.load import Played, play
from bench.product import Product, product
from calls import demo

TARGET_MS = 3000
AGENT = "maya.torres"
SLACK_MS = 1500
"""A cue's time is the heard end of a turn, this near to the scripted one."""


class Screen(threading.Thread):
    """The agent's page: when each cue arrived, and which call has which label."""

    def __init__(self, running: Product) -> None:
        super().__init__(daemon=True)
        self.product, self.session = running, running.log_in(AGENT)
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


def measure(running: Product, secret: str, public_url: str, count: int, seconds: float) -> dict[str, Any]:
    slugs = [path.stem for path in demo.script_paths()]
    calls = {f"cue {n}": Played(f"cue {n}", slugs[n % len(slugs)]) for n in range(count)}
    screen = Screen(running)
    screen.start()
    address = f"{running.media_url}/media/twilio/phone/"

    async def everyone() -> None:
        async def one(n: int, call: Played) -> None:
            await asyncio.sleep(n * 10.0 / count)
            await play(address, secret, public_url, call, seconds, AGENT)

        await asyncio.gather(*(one(n, call) for n, call in enumerate(calls.values())))

    asyncio.run(everyone())
    _drain(running)
    time.sleep(2)
    screen.done.set()
    waits: list[float] = []
    heard: list[float] = []
    rules: dict[str, int] = {}
    unplaced = 0
    for arrived, call_id, t_ms, rule in screen.cues.values():
        call = calls.get(screen.labels.get(call_id, ""))
        rules[rule] = rules.get(rule, 0) + 1
        if call is None:
            unplaced += 1
            continue
        at_ms = (arrived - call.started) * 1000
        heard.append(max(0.0, at_ms - t_ms))
        ends = [end for end in call.ends_ms if abs(end - t_ms) <= SLACK_MS]
        if ends:
            waits.append(max(0.0, at_ms - min(ends, key=lambda end: abs(end - t_ms))))
        else:
            unplaced += 1
    p95 = _percentile(waits, 95)
    return {
        "calls": count,
        "seconds": seconds,
        "cues": len(screen.cues),
        "cues_per_call": round(len(screen.cues) / count, 2),
        "after_no_turn_of_the_script": unplaced,
        "turn_to_agents_screen_ms": {f"p{p}": _percentile(waits, p) for p in (50, 95, 99)},
        "cue_moment_to_agents_screen_ms": {f"p{p}": _percentile(heard, p) for p in (50, 95)},
        "in_time": p95 is not None and p95 <= TARGET_MS,
        "sent_late_s": round(max(call.late_s for call in calls.values()), 2),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "rules": rules,
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench nudges", description=__doc__)
    parser.add_argument("--calls", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=130.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="empathy-bench-") as folder:
        with product(Path(folder), METRICS_TOKEN="bench") as running:
            secret = running.sql("select secret from calls_source where slug = 'phone'")[0][0]
            public_url = f"ws://127.0.0.1:{running.port + 1}/media/twilio/phone/"
            report = measure(running, secret, public_url, options.calls, options.seconds)
    print(json.dumps({"cores": os.cpu_count(), **report}, indent=2))
    return 0
