"""Whether many calls may begin at once on every protocol, and what a second of each costs.

    python -m bench openings [--calls 200] [--within 2] [--seconds 20] [--running 20] [--only audiohook …]

Openings: that many calls begin within that time (0: all in the same moment), with every connection that a
call has (two for Asterisk and Vonage). Measured from the connect to the answer (AudioHook `opened`, our own
`started`; elsewhere the accepted handshake; AudioSocket answers nothing, so only its rows are counted), load
generator and server on the same machine. CPU: of the media process alone, while `running` two-channel calls
play in real time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import redis
from websockets.exceptions import ConnectionClosed

from bench.load import tracks
from bench.product import Product, product
from calls import demo, phones, reservations
from calls.access import MediaSource
from calls.ingest import auth, signatures
from calls.ingest.wires import WIRES
from calls.simulate import Sides, SimulationError, sides

PROTOCOLS = (*WIRES, "audiosocket")
OPENED_S = 0.1
"""What `opened` should take; AudioHook itself waits 5 s."""

COUNT = "select count(*) from calls_call where source_id = %s"
ADD = """
import json
from dataclasses import asdict
from calls.access import media_source
from calls.ingest.wires import WIRES
from calls.models import Source
team = Source.objects.get(slug="phone").team
found = {}
for protocol in %r:
    named = dict(WIRES[protocol].roles) if protocol in WIRES else {}
    legs = named or {"customer": "customer", "agent": "agent"}
    source = Source(name=f"Bench {protocol}", slug=f"bench-{protocol}", protocol=protocol)
    source.team, source.synthetic, source.roles = team, True, legs
    source.full_clean()
    source.save()
    found[protocol] = asdict(media_source(source.slug))
print("SOURCES" + json.dumps(found))
"""


def add_sources(running: Product, protocols: tuple[str, ...]) -> dict[str, MediaSource]:
    """A source of each protocol, at the running media process's address."""
    told = running.python(ADD % (protocols,)).partition("SOURCES")[2]
    made = {}
    for protocol, found in json.loads(told).items():
        lists = {name: tuple(found[name]) for name in ("secrets", "networks")}
        address = f"{running.media_url}/media/{protocol}/{found['slug']}/"
        made[protocol] = MediaSource(**{**found, **lists, "public_url": address})
    return made


def connections(source: MediaSource, both: Sides) -> list[phones.Phone]:
    path = f"/media/{source.protocol}/{source.slug}/"
    headers = {"Authorization": f"Bearer {source.secrets[0]}"}
    if source.protocol == "audiohook":
        headers = signatures.sign(source, str(uuid.uuid4()))
    elif source.protocol in ("twilio", "signalwire"):
        headers = {"X-Twilio-Signature": auth.sign(source.secrets[0], source.public_url)}
    return phones.phones(source.protocol, path, headers, both, str(uuid.uuid4()), {})


async def play(running: Product, source: MediaSource, both: Sides) -> None:
    """One call, from its first frame to its last."""
    if source.protocol != "audiosocket":
        await phones.play(connections(source, both), running.media_url)
        return
    pair = reservations.reserve(redis.Redis.from_url(running.urls().redis), source.slug, str(uuid.uuid4()))
    legs = [(pair.customer, both.customer), (pair.agent, both.agent)]
    await phones.play_audiosocket(running.audiosocket, legs)


async def open_one(running: Product, phone: phones.Phone, held: list[Callable[[], None]]) -> float:
    """Seconds to the answer; the connection is held open."""
    began = time.monotonic()
    connection = await phones.connect(phone, running.media_url)
    took = time.monotonic() - began
    held.append(connection.transport.abort)
    await connection.send(next(phone.frames()))  # where no message begins a call, its audio does
    return took


async def open_socket(running: Product, name: uuid.UUID, held: list[Callable[[], None]]) -> float:
    host, _, port = running.audiosocket.rpartition(":")
    began = time.monotonic()
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x01\x00\x10" + name.bytes + b"\x10\x01\x40" + bytes(320))
    await writer.drain()
    held.append(writer.transport.abort)
    return time.monotonic() - began


async def openings(running: Product, source: MediaSource, count: int, within_s: float) -> dict[str, Any]:
    silence = sides(b"\xff" * 160, b"\xff" * 160)
    calls_before = running.sql(COUNT, source.id)[0][0]
    took: list[float] = []
    failed: list[str] = []
    held: list[Callable[[], None]] = []
    client = redis.Redis.from_url(running.urls().redis)
    pairs = (
        [reservations.reserve(client, source.slug, str(uuid.uuid4())) for _ in range(count)]
        if source.protocol == "audiosocket" else []
    )  # fmt: skip

    async def one(n: int) -> None:
        await asyncio.sleep(n * within_s / count)
        try:
            if pairs:
                both = [open_socket(running, leg, held) for leg in (pairs[n].customer, pairs[n].agent)]
            else:
                both = [open_one(running, phone, held) for phone in connections(source, silence)]
            took.append(max(await asyncio.gather(*both)))
        except (SimulationError, ConnectionClosed, TimeoutError, OSError) as error:
            failed.append(str(error)[:120])

    await asyncio.gather(*(one(n) for n in range(count)))
    rows, until = 0, time.monotonic() + 20
    while rows < len(took) and time.monotonic() < until:
        await asyncio.sleep(0.2)
        rows = running.sql(COUNT, source.id)[0][0] - calls_before
    for abort in held:
        with contextlib.suppress(Exception):
            abort()
    took.sort()
    ms = (
        {f"p{p}": round(took[min(len(took) - 1, len(took) * p // 100)] * 1000) for p in (50, 95, 99)}
        if took
        else {}
    )
    return {
        "calls": count,
        "within_s": within_s,
        "answered": len(took),
        "within_100_ms": sum(t <= OPENED_S for t in took),
        "rows_within_20_s": rows,
        "ms": ms if source.protocol != "audiosocket" else {},
        "failed": failed[:3],
    }


async def cost(running: Product, source: MediaSource, count: int, seconds: float) -> dict[str, Any]:
    customer, agent = tracks(demo.script_paths()[0].stem)
    both = sides(customer[: int(seconds * 8000)], agent[: int(seconds * 8000)])
    media = psutil.Process(running.pids()["media"])
    before, mine = sum(media.cpu_times()[:2]), time.process_time()
    await asyncio.gather(*(play(running, source, both) for _ in range(count)))
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
    parser.add_argument("--only", nargs="*", choices=PROTOCOLS, default=list(PROTOCOLS), metavar="PROTOCOL")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory(prefix="empathy-bench-") as folder:
        with product(Path(folder)) as running:
            for protocol, source in add_sources(running, tuple(options.only)).items():
                spent = asyncio.run(cost(running, source, options.running, options.seconds))
                opened = asyncio.run(openings(running, source, options.calls, options.within))
                found[protocol] = {"openings": opened, "cost": spent}
                drain(running)  # what they leave to do is not the next one's
                print(json.dumps({protocol: found[protocol]}), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2))
    return 0
