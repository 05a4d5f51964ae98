"""The client that docs/connect hands out: what it sends arrives, also over a line that breaks."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from calls.access import MediaSource
from calls.ingest import auth
from calls.models import Call
from scoring.audio import decode_mulaw
from scoring.types import Channel
from tests.ingest.conftest import audio_of
from tests.ingest.test_door import call_named, ended
from tests.servers import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real]
CLIENT = Path(__file__).resolve().parents[2] / "docs" / "connect" / "empathy_stream.py"
MakeSource = Callable[..., MediaSource]


@pytest.fixture(scope="module")
def client() -> ModuleType:
    spec = importlib.util.spec_from_file_location("empathy_stream", CLIENT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def noise(seconds: float, seed: int) -> bytes:
    """Mu-law whose linear form comes back byte for byte."""
    import random

    return bytes(b for b in random.Random(seed).randbytes(int(seconds * 9000)) if b != 0xFF)[
        : int(seconds * 8000)
    ]


def linear(mulaw: bytes) -> bytes:
    return decode_mulaw(mulaw).astype("<i2").tobytes()


def heard(call: Call, channel: Channel) -> bytes:
    return audio_of(str(call.pk), channel)


def woven(one: bytes, two: bytes) -> bytes:
    out = bytearray(2 * len(one))
    for byte in (0, 1):
        out[byte::4], out[2 + byte :: 4] = one[byte::2], two[byte::2]
    return bytes(out)


async def sent(call: Any, both: bytes) -> AsyncIterator[int]:
    """At about the pace of speech; after each tenth of a second."""
    for n, at in enumerate(range(0, len(both), 3200)):
        await call.send(both[at : at + 3200])
        await asyncio.sleep(0.09)
        yield n


async def test_a_line_that_breaks_loses_nothing(
    door: Server, make_source: MakeSource, clean_redis: Any, client: ModuleType
) -> None:
    source, ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    customer, agent = noise(6, 1), noise(6, 2)
    both = woven(linear(customer), linear(agent))
    url = f"{door.ws}/media/stream/{source.slug}/"
    async with client.CallStream(url, ref, secret=source.secrets[0]) as call:
        async for n in sent(call, both):
            if n in (15, 33):
                call._socket.transport.abort()
    row = await call_named(
        ref, lambda c: c.end_reason == "The call ended." and c.counters["customer"]["received_ms"] >= 6000
    )
    assert await Call.objects.acount() == 1 and call.acknowledged > 0
    assert heard(row, Channel.CUSTOMER) == customer and heard(row, Channel.AGENT) == agent


async def test_what_was_kept_back_while_it_was_away_comes_after_all(
    door: Server,
    make_source: MakeSource,
    clean_redis: Any,
    client: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Longer than a stream may run ahead of the clock by itself."""
    source, ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    customer, agent = noise(14, 1), noise(14, 2)
    connect, back_at = client.CallStream._connect, [0.0]

    async def away(self: Any, *, resume: bool = False) -> None:
        if time.monotonic() < back_at[0]:
            raise OSError("away")
        await connect(self, resume=resume)

    monkeypatch.setattr(client.CallStream, "_connect", away)
    both = woven(linear(customer), linear(agent))
    url = f"{door.ws}/media/stream/{source.slug}/"
    async with client.CallStream(url, ref, secret=source.secrets[0]) as call:
        async for n in sent(call, both):
            if n == 15:
                back_at[0] = time.monotonic() + 9
                call._socket.transport.abort()
    row = await call_named(
        ref, lambda c: c.end_reason == "The call ended." and c.counters["customer"]["received_ms"] >= 14_000
    )
    assert row.counters["over_rate"] == 0
    assert heard(row, Channel.CUSTOMER) == customer and heard(row, Channel.AGENT) == agent


async def test_with_tickets_each_connection_brings_its_own(
    door: Server, make_source: MakeSource, clean_redis: Any, client: ModuleType
) -> None:
    source, ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    customer, agent, given = noise(3, 5), noise(3, 6), []

    async def ticket() -> str:
        given.append(auth.mint_token(source, ref))
        return given[-1]

    both = woven(linear(customer), linear(agent))
    url = f"{door.ws}/media/stream/{source.slug}/"
    async with client.CallStream(url, ref, fresh_ticket=ticket) as call:
        async for n in sent(call, both):
            if n == 15:
                call._socket.transport.abort()
    row = await call_named(
        ref, lambda c: c.end_reason == "The call ended." and c.counters["customer"]["received_ms"] >= 3000
    )
    assert len(given) == 2 and await Call.objects.acount() == 1
    assert heard(row, Channel.CUSTOMER) == customer and heard(row, Channel.AGENT) == agent


async def test_what_a_caller_says_lands_in_the_call(
    door: Server, make_source: MakeSource, clean_redis: Any, client: ModuleType
) -> None:
    source, ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    async with client.CallStream(
        f"{door.ws}/media/stream/{source.slug}/", ref, secret=source.secrets[0]
    ) as call:
        await call.consent("notice")
        await call.consent("yes")
        await call.send(woven(linear(noise(0.2, 5)), linear(noise(0.2, 6))))
        await call.consent("perhaps")
        await call.consent("no")
        await call.consent("yes")
    row = await call_named(ref, lambda c: c.end_reason == "The call ended.")
    noted = [event async for event in row.consents.all()]
    assert [(e.said, e.how, e.user_id) for e in noted] == [
        ("notice", "source", None), ("yes", "source", None), ("no", "source", None),
    ], "in order; a yes after a no does not count"  # fmt: skip
    assert row.opted_out_at and row.opted_in_at and row.is_withheld and row.tile["consent"] == "no"


async def test_what_the_server_refuses_is_said(
    door: Server, make_source: MakeSource, clean_redis: Any, client: ModuleType
) -> None:
    source = await sync_to_async(make_source)(protocol="stream")
    url = f"{door.ws}/media/stream/{source.slug}/"
    with pytest.raises(client.Refused, match="Hz is not taken"):
        async with client.CallStream(url, "C1", secret=source.secrets[0], rate=8001):
            pass
    with pytest.raises(ValueError, match="whole number of samples"):
        async with client.CallStream(url, "C2", secret=source.secrets[0]) as call:
            await call.send(b"abc")


async def test_from_a_shell(door: Server, make_source: MakeSource, clean_redis: Any, tmp_path: Path) -> None:
    source, ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    customer, agent = noise(1, 3), noise(0.5, 4)
    (tmp_path / "c.raw").write_bytes(linear(customer))
    (tmp_path / "a.raw").write_bytes(linear(agent))
    command = [sys.executable, str(CLIENT), f"{door.ws}/media/stream/{source.slug}/", ref, "c.raw", "a.raw"]
    env = os.environ | {"EMPATHY_SECRET": source.secrets[0]}
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "1.0 s sent" in done.stdout, done.stderr
    row = await ended(ref)
    assert heard(row, Channel.CUSTOMER) == customer and heard(row, Channel.AGENT)[:4000] == agent
