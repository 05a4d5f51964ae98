"""How many live two-channel calls this machine scores in time, and where the CPU goes.

    python -m bench calls [--levels 8,10,15,20] [--seconds 60]

Each level plays that many demo calls at once, at real time, through media, workers and database to
a supervisor's floor socket. speech→screen: from the end of a customer's turn (known from the
script's rendering) to the first message on that socket with a state that has heard it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import requests
from websockets.exceptions import ConnectionClosed

from bench.load import Played, play, tracks
from bench.product import Product, product
from calls import demo
from calls.buffer import Ledger
from calls.changes import told

TARGET_MS = 2000
METRICS = {"Authorization": "Bearer bench"}
HEARD_SLACK_MS = 300
"""A state counts as having heard a turn when it reaches to within this of the turn's end."""


class Floor(threading.Thread):
    """A supervisor's screen: notes when each call's newest state arrived."""

    def __init__(self, running: Product) -> None:
        super().__init__(daemon=True)
        self.product, self.session = running, running.log_in("alice")
        self.seen: dict[str, list[tuple[float, int]]] = {}
        self.tiles: dict[str, dict[str, Any]] = {}
        self.lag_ms: list[int] = []
        self.done = threading.Event()

    def run(self) -> None:
        ledger, asked = Ledger.connect(self.product.urls().redis), 0.0
        with self.product.socket("/ws/floor/", self.session) as ws:
            while not self.done.is_set():
                if time.monotonic() - asked >= 1:
                    asked = time.monotonic()
                    self.lag_ms.append(ledger.lag_ms())
                try:
                    message = json.loads(ws.recv(timeout=1))
                except TimeoutError:
                    continue
                except ConnectionClosed:
                    return
                now = time.time()
                self.tiles |= message.get("floor", {}).get("calls", {})
                for event in message.get("events", ()):
                    tile = told(self.tiles, event)
                    if tile is None:
                        continue
                    self.tiles[tile["id"]] = tile
                    if tile["spark"]:
                        self.seen.setdefault(tile["label"], []).append((now, tile["spark"][-1][0]))

    def latencies_ms(self, call: Played) -> tuple[list[float], int]:
        """Per customer turn, and how many were never seen."""
        found, missed = [], 0
        for end_ms in call.ends_ms:
            said = call.started + end_ms / 1000
            arrivals = (at for at, t_ms in self.seen.get(call.label, ()) if t_ms >= end_ms - HEARD_SLACK_MS)
            at = next(arrivals, None)
            if at is None:
                missed += 1
            else:
                found.append(max(0.0, (at - said) * 1000))
        return found, missed


def level(running: Product, secret: str, public_url: str, count: int, seconds: float) -> dict[str, Any]:
    slugs = [path.stem for path in demo.script_paths()]
    calls = [Played(f"bench {count}-{n}", slugs[n % len(slugs)]) for n in range(count)]
    floor = Floor(running)
    floor.start()
    before, stages = _cpu(running), _stage_cpu(running)
    sender = time.process_time()
    address = f"{running.media_url}/media/twilio/phone/"

    async def everyone() -> None:
        async def one(n: int, call: Played) -> None:
            await asyncio.sleep(n * min(10.0, seconds / 4) / count)
            await play(address, secret, public_url, call, seconds, "")

        await asyncio.gather(*(one(n, call) for n, call in enumerate(calls)))

    asyncio.run(everyone())
    sender = time.process_time() - sender
    drained = _drain(running)
    floor.done.set()
    after, stages_after = _cpu(running), _stage_cpu(running)
    latencies, missed = [], 0
    for call in calls:
        found, lost = floor.latencies_ms(call)
        latencies += found
        missed += lost
    call_seconds = count * min(seconds, min(len(tracks(slug)[0]) for slug in slugs) / 8000)
    groups = {name: round((after[name] - before.get(name, 0.0)) * 1000 / call_seconds, 2) for name in after}
    return {
        "calls": count,
        "seconds": seconds,
        "turns": len(latencies),
        "turns_never_seen": missed,
        "speech_to_screen_ms": {f"p{p}": _percentile(latencies, p) for p in (50, 95, 99)},
        "lag_ms": {"p50": _percentile(floor.lag_ms, 50), "max": max(floor.lag_ms, default=0)},
        "in_time": bool(latencies) and (_percentile(latencies, 95) or 0) <= TARGET_MS and not missed,
        "drained_s": drained,
        "sent_late_s": round(max(call.late_s for call in calls), 2),
        "cpu_ms_per_call_second": groups | {"load generator": round(sender * 1000 / call_seconds, 2)},
        "scoring_cpu_ms_per_call_second": {
            stage: round((stages_after[stage] - stages.get(stage, 0.0)) / call_seconds, 2)
            for stage in stages_after
        },
    }


def _cpu(running: Product) -> dict[str, float]:
    """CPU seconds so far by kind of process, children included."""
    groups: dict[str, float] = {}
    for name, pid in running.pids().items():
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)] if name != "demo" else [process]
            spent = sum(sum(p.cpu_times()[:2]) for p in family)
        except psutil.NoSuchProcess:
            continue
        kind = name.rstrip("0123456789")
        groups[kind] = groups.get(kind, 0.0) + spent
    return groups


def _stage_cpu(running: Product) -> dict[str, float]:
    stages: dict[str, float] = {}
    for line in requests.get(f"{running.url}/metrics", headers=METRICS, timeout=10).text.splitlines():
        if line.startswith("empathy_stage_cpu_ms_total{"):
            stage = line.split('stage="')[1].split('"')[0]
            stages[stage] = stages.get(stage, 0.0) + float(line.rsplit(" ", 1)[1])
    return stages


def _drain(running: Product, limit_s: float = 120.0) -> float:
    """Seconds until every call of the level was closed."""
    began = time.monotonic()
    while running.sql("select count(*) from calls_call where status = 'live'")[0][0]:
        if time.monotonic() - began > limit_s:
            return -1.0
        time.sleep(0.2)
    return round(time.monotonic() - began, 1)


def _percentile(values: list[Any], p: int) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))], 0)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench calls", description=__doc__)
    parser.add_argument("--levels", default="8,10,15,20", help="numbers of calls at once")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each call lasts")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="empathy-bench-") as folder:
        with product(Path(folder), METRICS_TOKEN="bench") as running:
            source = running.sql("select secret from calls_source where slug = 'phone'")[0][0]
            public_url = f"ws://127.0.0.1:{running.port + 1}/media/twilio/phone/"
            levels = []
            for count in map(int, options.levels.split(",")):
                levels.append(level(running, source, public_url, count, options.seconds))
                print(json.dumps(levels[-1]), file=sys.stderr, flush=True)
    sustained = max((item["calls"] for item in levels if item["in_time"]), default=0)
    print(json.dumps({"cores": os.cpu_count(), "sustained_calls": sustained, "levels": levels}, indent=2))
    return 0
