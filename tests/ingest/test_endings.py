"""How we end a stream: with the protocol's own goodbye, whoever's fault it is."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.utils import timezone

from calls import health, record
from calls.access import MediaSource
from calls.choices import CallStatus, Protocol
from calls.ingest import asgi, audiosocket, door, hub, signatures, sources, talking
from calls.ingest.formats import AudioFormat
from calls.ingest.words import Audio, Begin
from calls.models import Call
from calls.reservations import Reserved
from scoring.types import Channel
from tests.ingest.conftest import audio_of
from tests.ingest.peers import HIGH, LOW, MEDIA, Hook, close_of, hook, linear, started, with_key, woven
from tests.ingest.test_door import call_named, ended, until
from tests.ingest.test_trouble import SOURCE, Line, Rows, rows  # noqa: F401
from tests.servers import media_server

GENESYS = replace(
    SOURCE,
    protocol="audiohook",
    secrets=(base64.b64encode(b"k" * 32).decode(),),
    public_url="wss://calls.example/media/audiohook/main/",
    roles={"external": "customer", "internal": "agent"},
)
STREAM = replace(SOURCE, protocol="stream", roles={})


class Genesys:
    """One connection, in memory, that numbers what it says."""

    def __init__(self) -> None:
        self.session = str(uuid.uuid4())
        headers = signatures.sign(GENESYS, self.session).items()
        signed = [(name.lower().encode(), value.encode()) for name, value in headers]
        self.line, self.seq = Line(headers=signed, path="/media/audiohook/main/"), 0

    def say(self, kind: str, **parameters: Any) -> Genesys:
        self.seq += 1
        message = {"version": "2", "id": self.session, "type": kind, "seq": self.seq, "serverseq": 0}
        self.line.say(json.dumps(message | {"parameters": parameters}))
        return self

    def audio(self, sound: bytes) -> Genesys:
        self.line.inbox.put_nowait({"type": "websocket.receive", "bytes": sound})
        return self

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        texts = [json.loads(one["text"]) for one in self.line.sent if one.get("text")]
        return [(one["type"], one["parameters"]) for one in texts]

    async def goodbye(self) -> tuple[str, dict[str, Any]]:
        """What we said last, once; it then closes."""
        await until(lambda: self.told()[-1:] and self.told()[-1][0] == "disconnect")
        found = self.told()[-1]
        self.say("close", reason="disconnect")
        await until(lambda: "closed" in dict(self.told()))
        self.line.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self.line.close_code()
        assert [kind for kind, _ in self.told()].count("disconnect") == 1
        return found


@pytest.fixture
def genesys(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> Rows:  # noqa: F811
    monkeypatch.setattr(sources, "media_sources", lambda: {"main": GENESYS})
    return rows


def opened() -> Genesys:
    client = Genesys().say("open", conversationId="C1", media=[MEDIA])
    return client.audio(woven(HIGH, LOW))


async def test_a_silent_genesys_is_told(genesys: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "IDLE_S", 0.2)
    kind, said = await opened().goodbye()
    assert (kind, said["reason"]) == ("disconnect", "completed") and said["info"].startswith("No audio for")
    assert genesys.ended[0][2]["customer"]["received_ms"] == 500


async def test_a_genesys_whose_call_goes_on_elsewhere_is_told(
    genesys: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened()
    here = hub.hub()
    await until(lambda: any(stream.call_id for stream in here.streams))
    (stream,) = here.streams
    stream.superseded = True
    stream.end_early()
    _, said = await first.goodbye()
    assert said == {"reason": "completed", "info": "The audio went on in a new stream."}


async def test_our_fault_is_told(genesys: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(line: object, said: object) -> None:
        raise RuntimeError("a bug")

    client = opened()
    await until(lambda: genesys.opened)
    monkeypatch.setattr(door.Line, "take", broken)
    kind, said = await client.audio(woven(HIGH, LOW)).goodbye()
    assert (kind, said) == ("disconnect", {"reason": "error", "info": "internal error"})
    assert genesys.ended[0][1] == "The audio stream broke off."
    assert client.line.sent[-1]["code"] == 1011


async def test_our_fault_is_told_to_our_own_stream(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(sources, "media_sources", lambda: {"main": STREAM})
    monkeypatch.setattr(asgi.talking, "listen", _breaks)
    line = Line(headers=[(b"authorization", b"Bearer secret")], path="/media/stream/main/")
    line.say(json.dumps({"type": "start", "call_ref": "C1", "format": "pcmu"}))
    assert await line.close_code() == 1011
    said = [json.loads(one["text"]) for one in line.sent if one.get("text")]
    assert [(one["type"], one["code"], one["retryable"]) for one in said] == [
        ("error", "internal_error", True)
    ]


async def _breaks(*_: object) -> str:
    raise RuntimeError("a bug")


async def test_what_genesys_reports_is_kept(
    genesys: Rows, clean_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    monkeypatch.setattr(door.record, "media_ended", lambda *given: notes.extend(given[3]))
    client = opened().say("error", code=429, message="Too many").say("error", code=429, message="Too many")
    client.say("close", reason="end")
    await until(lambda: "closed" in dict(client.told()))
    client.line.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await client.line.close_code()
    assert notes == ["The phone system reported error 429: Too many."]
    await until(lambda: health.read(clean_redis, "main").refused == {"phone system error 429": 2})


@pytest.mark.parametrize("sparse", [True, False])
async def test_time_passes_on_a_leg_that_sends_nothing_while_it_is_silent(
    rows: Rows,  # noqa: F811
    clean_redis: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    sparse: bool,
) -> None:
    clock = [1000]
    monkeypatch.setattr(door, "_now_ms", lambda: clock[0])
    begin = Begin("C1", "S1", ("customer",), AudioFormat(), sparse=sparse)
    line = await door.admit(hub.hub(), SOURCE, begin, {})
    await until(lambda: line.stream.call_id)
    for _ in range(2):
        clock[0] += 8000
        line.take(Audio(("customer",), None, b"\x31" * 4000))
    await line.end("The call ended.")
    found = {int(key.rsplit(b":", 1)[1]): clean_redis.get(key) for key in clean_redis.keys("audio:call-1:*")}
    loud = sorted(index for index, raw in found.items() if raw != b"p")
    assert loud == ([0, 16] if sparse else [0, 1]) and len(found) == loud[-1] + 1
    assert rows.ended[0][2]["customer"] == {"received_ms": 1000, "lost_ms": 0, "dropped_ms": 0}


async def test_a_silent_leg_of_audiosocket_stays(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(talking, "IDLE_S", 0.1)
    reader = asyncio.StreamReader()
    source = replace(SOURCE, protocol="audiosocket", roles={})
    reserved = Reserved("main", "C1", "customer")
    serving = asyncio.create_task(
        audiosocket.Door(hub.hub())._stream(audiosocket.Socket(reader), source, reserved)
    )
    for _ in range(2):
        reader.feed_data(b"\x10\x1f\x40" + linear(HIGH))
        await asyncio.sleep(0.4)
    reader.feed_data(b"\x00\x00\x00")
    await serving
    assert rows.ended[0][1] == "The call ended." and rows.ended[0][2]["customer"]["received_ms"] == 1000


# --- as a process ------------------------------------------------------------------------------------

real = [pytest.mark.real, pytest.mark.django_db(transaction=True)]
MakeSource = Callable[..., MediaSource]


class TestAsAProcess:
    pytestmark = real

    async def test_a_server_that_stops_says_so(
        self, make_source: MakeSource, clean_redis: redis.Redis, settings: Any
    ) -> None:
        with media_server(MEDIA_PUBLIC_URL="ws://media.example") as own:
            settings.MEDIA_URL_BASE = "ws://media.example"
            genesys = await sync_to_async(make_source)(protocol="audiohook")
            stream = await sync_to_async(make_source)(protocol="stream")
            genesys, stream = (_at(source) for source in (genesys, stream))
            connection, session = hook(own, genesys)
            async with connection as one, with_key(own, stream) as two:
                client = Hook(one, session)
                await client.open("C1")
                await one.send(woven(HIGH, LOW))
                await started(two, "C2", format="pcmu")
                await two.send(woven(HIGH, LOW))
                await call_named("C1")
                await call_named("C2")
                stopping = asyncio.create_task(asyncio.to_thread(own.terminate))
                told = await client.answer()
                assert told["parameters"] == {"reason": "error", "info": "The server was stopped."}
                await client.send("close", reason="disconnect")
                assert await close_of(two) == 1012
                assert await stopping in (0, -15)
        for ref in ("C1", "C2"):
            call = await ended(ref)
            assert call.end_reason == "The server was stopped."
            assert audio_of(str(call.pk), Channel.CUSTOMER) == HIGH


def _at(source: MediaSource) -> MediaSource:
    return replace(source, public_url=f"ws://media.example/media/{source.protocol}/{source.slug}/")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("after_s", "continues", "same"),
    [
        (59, (), True),
        (61, (), False),
        (170, ("S0", "S1"), True),
        (170, ("S0",), False),
        (200, ("S1",), False),
    ],
)
def test_a_session_that_names_the_one_before_has_longer_to_come_back(
    make_call: Callable[..., Call], after_s: int, continues: tuple[str, ...], same: bool
) -> None:
    call, now = make_call("C1"), timezone.now()
    over = now - timedelta(seconds=after_s)
    Call.objects.update(status=CallStatus.ENDED, ended_at=over, stream_ref="S1")
    new = record.OpenCall(call.source_id, Protocol.AUDIOHOOK, "C1", "S2", now, continues=continues)
    assert (record.open_call(new).call_id == str(call.pk)) is same
