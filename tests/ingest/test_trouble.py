"""The door when things go wrong around it, with the row stubbed and the sockets made of lists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from calls.access import MediaSource
from calls.buffer import Ledger, Writer
from calls.ingest import asgi, auth, door, hub, sources, talking
from calls.record import OpenCall, Opened
from empathy_dash import embedded
from scoring.types import Channel
from tests.ingest.conftest import media, message, start

URL = "wss://calls.example/media/twilio/main/"
SOURCE = MediaSource(
    1, "main", 1, "twilio", True, ("secret",), URL, False, {"inbound": "customer", "outbound": "agent"}, False
)
HEADERS = [(b"x-twilio-signature", auth.sign("secret", URL).encode())]
DISCONNECT = object()


@dataclass
class Rows:
    """Stands in for record."""

    opened: list[OpenCall] = field(default_factory=list)
    ended: list[tuple[str, str, dict]] = field(default_factory=list)
    fail: int = 0

    def open_call(self, new: OpenCall) -> Opened:
        if self.fail:
            self.fail -= 1
            raise RuntimeError("no database")
        self.opened.append(new)
        return Opened(f"call-{len(self.opened)}", False, 0)

    def media_ended(self, call_id: str, reason: str, counters: dict, notes: Any = ()) -> None:
        self.ended.append((call_id, reason, counters))


class Line:
    """One connection: what the phone system sends, what the server answers."""

    def __init__(
        self, headers: list = HEADERS, path: str = "/media/twilio/main/", app: Any = asgi.media_app
    ) -> None:
        self.scope = {"type": "websocket", "path": path, "headers": headers}
        self.inbox: asyncio.Queue = asyncio.Queue()
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.sent: list[dict] = []
        self.task = asyncio.create_task(app(self.scope, self.inbox.get, self._send))

    async def _send(self, sent: Any) -> None:
        self.sent.append(sent)

    def say(self, *frames: object) -> Line:
        for frame in frames:
            end = {"type": "websocket.disconnect", "code": 1006}
            self.inbox.put_nowait(
                end if frame is DISCONNECT else {"type": "websocket.receive", "text": frame}
            )
        return self

    async def close_code(self) -> int:
        async with asyncio.timeout(20):
            await self.task
        return self.sent[-1]["code"]

    @property
    def accepted(self) -> bool:
        return any(s["type"] == "websocket.accept" for s in self.sent)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, clean_redis: Any) -> Rows:
    found = Rows()
    monkeypatch.setattr(door.record, "open_call", found.open_call)
    monkeypatch.setattr(door.record, "media_ended", found.media_ended)
    monkeypatch.setattr(sources, "media_sources", lambda: {"main": SOURCE})
    monkeypatch.setattr(door, "REFUSAL_DELAY_S", 0)
    monkeypatch.setattr(door, "OPEN_TRIES_S", (0, 0.05, 0.05, 0.05))
    monkeypatch.setattr(hub.connection, "close", lambda: None)
    monkeypatch.setattr(hub.Hub, "wake", lambda self, hops: None)
    return found


def hop(at: int) -> str:
    return media(at, b"\x31" * 4000)


async def test_a_call_of_nothing_but_silence_ends_as_idle(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talking, "IDLE_S", 0.2)
    line = Line().say(start("CA1", "MZ1"), hop(0))
    assert await line.close_code() == 1000
    assert rows.ended[0][1].startswith("No audio for") and rows.ended[0][2]["customer"]["received_ms"] == 500


async def test_who_never_starts_is_shown_out(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "START_S", 0.1)
    assert await Line().say(message("connected")).close_code() == 1008
    assert not rows.opened


@pytest.mark.parametrize(
    "encoding,rate,channels",
    [("audio/opus", 8000, 1), ("audio/x-mulaw", 7000, 1), ("audio/x-mulaw", 8000, 2)],
)
async def test_audio_we_cannot_hear(rows: Rows, encoding: str, rate: int, channels: int) -> None:
    wanted = {"encoding": encoding, "sampleRate": rate, "channels": channels}
    body = {"streamSid": "MZ1", "callSid": "CA1", "mediaFormat": wanted}
    assert await Line().say(message("start", start=body)).close_code() == 1003
    assert not rows.opened


async def test_a_full_house(rows: Rows, settings: Any) -> None:
    settings.MEDIA_MAX_STREAMS = 1
    first = Line().say(start("CA1", "MZ1"), hop(0))
    await asyncio.sleep(0.1)
    second = Line().say(start("CA2", "MZ2"))
    assert await second.close_code() == 1013 and second.accepted
    first.say(message("stop"))
    assert await first.close_code() == 1000
    assert [new.external_ref for new in rows.opened] == ["CA1"]


async def test_no_frame_is_accepted_before_the_signature(rows: Rows) -> None:
    for line in (Line(headers=[]), Line(path="/media/twilio/none/"), Line(path="/media/other/main/")):
        assert await line.close_code() == 1008 and not line.accepted


async def test_the_pages_server_mounts_the_door_too(rows: Rows) -> None:
    from empathy_dash.asgi import application

    line = Line(app=application).say(start("CA1", "MZ1"), hop(0), message("stop"))
    assert await line.close_code() == 1000
    assert rows.ended[0][2]["customer"]["received_ms"] == 500


async def test_a_database_that_is_away_for_a_moment_costs_nothing(rows: Rows, ledger: Ledger) -> None:
    rows.fail = 3
    line = Line().say(start("CA1", "MZ1"), hop(0), hop(500), message("stop"))
    assert await line.close_code() == 1000
    assert rows.ended[0][2]["customer"] == {"received_ms": 1000, "lost_ms": 0, "dropped_ms": 0}
    assert ledger.due_count() == 2


async def test_a_database_that_stays_away(rows: Rows, ledger: Ledger) -> None:
    rows.fail = 99
    line = Line().say(start("CA1", "MZ1"), hop(0), message("stop"))
    await line.close_code()
    assert not rows.ended and ledger.due_count() == 0 and not hub.hub().streams


async def test_parameters_reach_the_row_but_never_the_token(rows: Rows) -> None:
    await Line().say(start("CA1", "MZ1", agent="bob", queue="Q", token="x"), message("stop")).close_code()
    assert rows.opened[0].parameters == {"agent": "bob", "queue": "Q"}
    assert (rows.opened[0].source_id, rows.opened[0].stream_ref) == (1, "MZ1")


async def test_too_fast_for_too_long(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_OVER_RATE", 10)
    line = Line().say(start("CA1", "MZ1"), *(hop(n * 500) for n in range(40)))
    await asyncio.sleep(1.1)
    line.say(hop(0), hop(0))
    assert await line.close_code() == 1008
    assert rows.ended[0][2]["over_rate"] > 10
    assert rows.ended[0][2]["customer"]["received_ms"] <= 5500


async def test_a_full_buffer_keeps_what_it_can_and_refuses_new_calls(
    rows: Rows, ledger: Ledger, monkeypatch: Any
) -> None:
    hub.hub().writer.cap = 2
    monkeypatch.setattr(hub, "HOLD_HOPS", 3)
    monkeypatch.setattr(door, "END_TRIES", 1)
    line = Line().say(start("CA1", "MZ1"), *(hop(n * 500) for n in range(8)))
    await asyncio.sleep(0.5)
    assert ledger.due_count() == 2
    assert await Line().say(start("CA2", "MZ2")).close_code() == 1013
    line.say(message("stop"))
    assert await line.close_code() == 1000
    assert rows.ended[0][2]["customer"] == {"received_ms": 4000, "lost_ms": 0, "dropped_ms": 3000}


@contextmanager
def valkey(folder: Path, port: int) -> Iterator[Any]:
    """A Valkey that may be killed, and come back at the same place with what it had."""
    folder.mkdir(exist_ok=True)
    lock = (folder / "lock").open("a")
    server = embedded.Valkey(folder, lock.fileno())
    server.port, server.password = port, "test"
    server.start()
    try:
        yield server
    finally:
        server.signal()
        server.wait()
        lock.close()


async def until(check: Callable[[], Any], seconds: float = 15) -> None:
    limit = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < limit, "it did not happen"
        await asyncio.sleep(0.02)


@pytest.mark.real
async def test_a_buffer_that_dies_and_comes_back(rows: Rows, tmp_path: Path) -> None:
    port = embedded.free_ports()
    with valkey(tmp_path / "own", port) as first:
        hub.hub().writer = Writer.connect(first.url)
        line = Line().say(start("CA1", "MZ1"), hop(0), hop(500))
        own = Ledger.connect(first.url)
        await until(lambda: own.due_count() == 2)
        await asyncio.sleep(1.2)  # the append-only file is written each second
    line.say(hop(1000), hop(1500))
    await asyncio.sleep(0.5)
    with valkey(tmp_path / "own", port) as second:
        own = Ledger.connect(second.url)
        await until(lambda: own.due_count() == 4)
        line.say(hop(2000), message("stop"))
        assert await line.close_code() == 1000
        (claim,) = own.claim()
        assert [h.index for h in claim.hops] == [0, 1, 2, 3, 4]
        assert own.read_audio("call-1", Channel.CUSTOMER, 0, 4)[1] == []
    assert rows.ended[0][2]["customer"] == {"received_ms": 2500, "lost_ms": 0, "dropped_ms": 0}


@pytest.mark.real
async def test_a_buffer_that_stays_away_is_counted(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.hub().writer = Writer.connect(f"redis://127.0.0.1:{embedded.free_ports()}/0")
    monkeypatch.setattr(hub, "HOLD_HOPS", 2)
    monkeypatch.setattr(door, "END_TRIES", 2)
    line = Line().say(start("CA1", "MZ1"), *(hop(n * 500) for n in range(6)), DISCONNECT)
    await line.close_code()
    assert rows.ended == [("call-1", "The audio stream was cut off.", rows.ended[0][2])]
    assert rows.ended[0][2]["customer"] == {"received_ms": 3000, "lost_ms": 0, "dropped_ms": 3000}
