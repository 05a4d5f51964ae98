"""Whether many calls may begin at once on every WebSocket protocol, and what a second of each costs.

    python -m bench openings [--calls 200] [--within 2] [--seconds 20] [--running 20]

Openings: that many calls begin evenly within that time. Measured from the connect to the answer
(AudioHook `opened`, our own `started`; elsewhere the accepted handshake), load generator and server on
the same machine. CPU: of the media process alone, while `running` two-channel calls play in real time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from bench.load import tracks
from bench.product import Product, product
from calls import demo, phones
from calls.access import MediaSource
from calls.ingest import auth, signatures
from calls.simulate import Sides, SimulationError, sides

PROTOCOLS = ("twilio", "audiohook", "stream", "asterisk", "freeswitch", "telnyx", "vonage")
IN_TIME_S = 5.0
"""AudioHook's own limit for `opened`."""

COUNT = "select count(*) from calls_call where source_id = %s"
INSERT = """
insert into calls_source (name, slug, protocol, team_id, enabled, synthetic, secret, previous_secret,
                          token_required, roles, listen_url, keep_audio, created_at)
select %s, %s, %s, team_id, true, true, %s, '', false, %s, '', false, now()
from calls_source where slug = 'phone' returning id, team_id
"""


def add_source(running: Product, protocol: str) -> MediaSource:
    slug, secret = f"bench-{protocol}", secrets.token_hex(16)
    address = f"{running.media_url}/media/{protocol}/{slug}/"
    roles = {"inbound": "customer", "outbound": "agent"}
    found = running.sql(INSERT, slug, slug, protocol, secret, json.dumps(roles))
    pk, team = found[0]
    return MediaSource(pk, slug, team, protocol, True, (secret,), address, False, roles, True)


def connections(source: MediaSource, both: Sides) -> list[phones.Phone]:
    path = f"/media/{source.protocol}/{source.slug}/"
    headers = {"Authorization": f"Bearer {source.secrets[0]}"}
    if source.protocol == "audiohook":
        headers = signatures.sign(source, str(uuid.uuid4()))
    elif source.protocol == "twilio":
        headers = {"X-Twilio-Signature": auth.sign(source.secrets[0], source.public_url)}
    return phones.phones(source.protocol, path, headers, both, str(uuid.uuid4()), {})


async def openings(running: Product, source: MediaSource, count: int, within_s: float) -> dict[str, Any]:
    silence = sides(b"\xff" * 160, b"\xff" * 160)
    calls_before = running.sql(COUNT, source.id)[0][0]
    took: list[float] = []
    failed: list[str] = []
    held: list[Any] = []

    async def one(n: int) -> None:
        await asyncio.sleep(n * within_s / count)
        phone = connections(source, silence)[0]
        began = time.monotonic()
        try:
            held.append(connection := await phones.connect(phone, running.media_url))
        except (SimulationError, TimeoutError, OSError) as error:
            failed.append(str(error)[:120])
            return
        took.append(time.monotonic() - began)
        await connection.send(next(phone.frames()))  # where no message begins a call, its audio does

    await asyncio.gather(*(one(n) for n in range(count)))
    rows, until = 0, time.monotonic() + 20
    while rows < len(took) and time.monotonic() < until:
        await asyncio.sleep(0.2)
        rows = running.sql(COUNT, source.id)[0][0] - calls_before
    for connection in held:
        with contextlib.suppress(Exception):
            connection.transport.abort()
    took.sort()
    return {
        "calls": count,
        "within_s": within_s,
        "answered": len(took),
        "in_time": sum(t < IN_TIME_S for t in took),
        "rows_within_20_s": rows,
        "ms": {f"p{p}": round(took[min(len(took) - 1, len(took) * p // 100)] * 1000) for p in (50, 95, 99)}
        if took
        else {},
        "failed": failed[:3],
    }


async def cost(running: Product, source: MediaSource, count: int, seconds: float) -> dict[str, Any]:
    customer, agent = tracks(demo.script_paths()[0].stem)
    both = sides(customer[: int(seconds * 8000)], agent[: int(seconds * 8000)])
    media = psutil.Process(running.pids()["media"])
    before, mine = sum(media.cpu_times()[:2]), time.process_time()
    await asyncio.gather(*(phones.play(connections(source, both), running.media_url) for _ in range(count)))
    spent, mine = sum(media.cpu_times()[:2]) - before, time.process_time() - mine
    call_seconds = count * both.seconds
    return {
        "calls": count,
        "seconds": round(both.seconds, 1),
        "media_cpu_ms_per_call_second": round(spent * 1000 / call_seconds, 2),
        "load_generator_ms_per_call_second": round(mine * 1000 / call_seconds, 2),
    }


def drain(running: Product, limit_s: float = 60.0) -> None:
    until = time.monotonic() + limit_s
    while running.sql("select count(*) from calls_call where status = 'live'")[0][0]:
        if time.monotonic() > until:
            return
        time.sleep(0.2)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench openings", description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--within", type=float, default=2.0)
    parser.add_argument("--running", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory(prefix="empathy-bench-") as folder:
        with product(Path(folder)) as running:
            for protocol in PROTOCOLS:
                source = add_source(running, protocol)
                spent = asyncio.run(cost(running, source, options.running, options.seconds))
                opened = asyncio.run(openings(running, source, options.calls, options.within))
                found[protocol] = {"openings": opened, "cost": spent}
                drain(running)  # what they leave to do is not the next one's
                print(json.dumps({protocol: found[protocol]}), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2))
    return 0
