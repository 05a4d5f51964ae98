"""The media door as a real process: a third-party client plays two wavs, and everybody who should
not be let in is not."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamdouble.session
import websockets
from asgiref.sync import sync_to_async
from streamdouble import audio as sd_audio
from streamdouble.api import call as place_call
from streamdouble.chaos import Impairments
from streamdouble.session import SessionConfig
from websockets.exceptions import ConnectionClosed, InvalidStatus

from calls.access import MediaSource
from calls.buffer import Ledger
from calls.ingest import auth
from calls.models import Call
from scoring.types import Channel
from tests.ingest.conftest import audio_of, media, message, start, wav
from tests.servers import Server, media_server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real]
CUSTOMER, AGENT = Channel.CUSTOMER, Channel.AGENT
MakeSource = Callable[..., MediaSource]


def url(door: Server, source: MediaSource) -> str:
    return f"{door.ws}/media/twilio/{source.slug}/"


def connect(door: Server, source: MediaSource, signature: str | None = None) -> websockets.connect:
    signed = auth.sign(source.secrets[0], source.public_url) if signature is None else signature
    return websockets.connect(
        url(door, source), additional_headers={"X-Twilio-Signature": signed}, compression=None
    )


async def call_named(
    ref: str, until: Callable[[Call], bool] = lambda call: True, seconds: float = 10
) -> Call:
    """The call's row, once it looks as it should."""
    limit, call = time.monotonic() + seconds, None
    while time.monotonic() < limit:
        call = await Call.objects.filter(external_ref=ref).afirst()
        if call and until(call):
            return call
        await asyncio.sleep(0.02)
    raise AssertionError(f"{ref}: {call and (call.status, call.end_reason, call.counters)}")


async def ended(ref: str) -> Call:
    return await call_named(ref, lambda call: bool(call.end_reason))


async def closed(socket: Any) -> int:
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(10):
            await socket.recv()
            raise AssertionError("the door may not speak")
    return socket.close_code


async def until(check: Callable[[], Any], seconds: float = 10) -> None:
    limit = time.monotonic() + seconds
    while not await asyncio.to_thread(check):
        assert time.monotonic() < limit, "it did not happen"
        await asyncio.sleep(0.02)


@pytest.fixture
def source(make_source: MakeSource) -> MediaSource:
    return make_source()


@pytest.fixture
def names() -> tuple[str, str]:
    """A call and a stream nobody else uses."""
    return f"CA{uuid.uuid4().hex}", f"MZ{uuid.uuid4().hex}"


@pytest.fixture
def sign_streamdouble(monkeypatch: pytest.MonkeyPatch) -> Callable[[MediaSource], None]:
    """It cannot sign, so its connection gets the header."""
    real = websockets.connect

    def sign(source: MediaSource) -> None:
        headers = {"X-Twilio-Signature": auth.sign(source.secrets[0], source.public_url)}
        monkeypatch.setattr(
            streamdouble.session.websockets,
            "connect",
            lambda url, **kw: real(url, additional_headers=headers, **kw),
        )

    return sign


async def test_a_strangers_client_plays_two_wavs(
    door: Server, source: MediaSource, ledger: Ledger, sign_streamdouble: Callable, tmp_path: Path
) -> None:
    customer, agent = wav(tmp_path / "customer.wav", 2.6, 1), wav(tmp_path / "agent.wav", 2.6, 2)
    sign_streamdouble(source)
    config = SessionConfig(
        fork=True,
        tracks=["inbound", "outbound"],
        agent_frames=sd_audio.wav_to_ulaw_frames(tmp_path / "agent.wav"),
        custom_parameters={"agent": "bob", "queue": "Fees"},
        response_timeout_s=0.1,
        quiet_period_s=0.1,
    )
    report = await place_call(url(door, source), audio_path=tmp_path / "customer.wav", config=config)
    assert not report.violations and not report.result.warnings  # we never spoke
    call = await ended(report.result.identity.call_sid)
    assert call.end_reason == "The call ended." and call.queue == "Fees"
    assert audio_of(str(call.pk), CUSTOMER)[: len(customer)] == customer
    assert audio_of(str(call.pk), AGENT)[: len(agent)] == agent
    for channel in ("customer", "agent"):
        assert call.counters[channel] == {"received_ms": 2600, "lost_ms": 0, "dropped_ms": 0}
    await until(lambda: ledger.client.zscore("closing", str(call.pk)))
    assert ledger.due_count() == 12 and ledger.closing_ready() == []
    await until(lambda: ledger.client.llen("score"))  # workers are told


async def test_a_line_that_loses_frames(
    door: Server, source: MediaSource, ledger: Ledger, sign_streamdouble: Callable, tmp_path: Path
) -> None:
    customer = wav(tmp_path / "customer.wav", 3, 3)
    sign_streamdouble(source)
    config = SessionConfig(
        fork=True, tracks=["inbound"], impairments=Impairments(loss=0.2, jitter_ms=60), response_timeout_s=0.1
    )
    report = await place_call(url(door, source), audio_path=tmp_path / "customer.wav", config=config)
    call = await ended(report.result.identity.call_sid)
    dropped = report.result.frames_dropped
    heard = call.counters["customer"]
    assert dropped and heard["received_ms"] == 3000 - 20 * dropped
    assert 20 * dropped - 100 <= heard["lost_ms"] <= 20 * dropped  # the first and last may be among them
    kept = audio_of(str(call.pk), CUSTOMER)
    frames = [(kept[at : at + 160], customer[at : at + 160]) for at in range(0, len(customer), 160)]
    assert sum(a == b for a, b in frames) == len(frames) - dropped
    assert all(a == b or a == b"\xff" * 160 for a, b in frames)


@pytest.mark.parametrize("wrong", ["unsigned", "bad", "other address", "unknown", "disabled"])
async def test_who_is_not_let_in(door: Server, make_source: MakeSource, wrong: str) -> None:
    source = await sync_to_async(make_source)(enabled=wrong != "disabled")
    signature: str | None = {"unsigned": "", "bad": "AAAA"}.get(wrong)
    if wrong == "other address":
        signature = auth.sign(source.secrets[0], source.public_url.replace("ws://", "wss://"))
    if wrong == "unknown":
        source = MediaSource(**{**vars(source), "slug": "nobody-here"})
    before = time.monotonic()
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(door, source, signature):
            pass
    assert refusal.value.response.status_code == 403
    assert time.monotonic() - before > 0.4  # guessing is slow
    assert not await Call.objects.aexists()


async def test_the_previous_secret_and_the_other_slash_still_fit(
    door: Server, make_source: MakeSource
) -> None:
    source = await sync_to_async(make_source)(previous_secret="old")
    for signature in (
        auth.sign("old", source.public_url),
        auth.sign(source.secrets[0], source.public_url[:-1]),
    ):
        async with connect(door, source, signature):
            pass


async def test_a_stream_is_taken_once(
    door: Server, source: MediaSource, names: tuple[str, str], clean_redis: Any
) -> None:
    async with connect(door, source) as first:
        await first.send(start(*names))
        await first.send(media(0, bytes(4000)))
        await call_named(names[0])
        async with connect(door, source) as second:
            await second.send(start(*names))
            assert await closed(second) == 1008
        await first.send(media(500, bytes(4000)))
        await first.send(message("stop", stop={"callSid": names[0]}))
        assert await closed(first) == 1000
    call = await ended(names[0])
    assert call.counters["customer"]["received_ms"] == 1000
    async with connect(door, source) as third:  # nor after its end
        await third.send(start(*names))
        assert await closed(third) == 1008
    assert await Call.objects.acount() == 1


@pytest.mark.parametrize("wrong,code", [("big", 1009), ("garbage", 1007)])
async def test_what_breaks_a_stream_keeps_what_came_before(
    door: Server, source: MediaSource, names: tuple[str, str], clean_redis: Any, wrong: str, code: int
) -> None:
    async with connect(door, source) as socket:
        await socket.send(start(*names))
        await socket.send(media(0, b"\x11" * 4800))
        for _ in range(1 if wrong == "big" else 21):
            await socket.send("x" * 70_000 if wrong == "big" else "{oops")
        assert await closed(socket) == code
    call = await ended(names[0])
    assert "ended" in call.end_reason and call.counters["customer"]["received_ms"] == 600
    assert audio_of(str(call.pk), CUSTOMER) == b"\x11" * 4800 + b"\xff" * 3200


async def test_a_few_malformed_frames_are_counted_and_forgiven(
    door: Server, source: MediaSource, names: tuple[str, str], clean_redis: Any
) -> None:
    async with connect(door, source) as socket:
        await socket.send(start(*names))
        for rubbish in ("{oops", "[]", '{"event":"media"}', b"\xff"):
            await socket.send(rubbish)
        await socket.send(media(0, bytes(4000)))
        await socket.send(message("stop"))
        assert await closed(socket) == 1000
    call = await ended(names[0])
    assert call.counters["malformed"] == 4 and call.counters["customer"]["received_ms"] == 500


@pytest.mark.parametrize("how", ["abort", "close"])
async def test_a_line_that_drops_keeps_its_audio(
    door: Server, source: MediaSource, names: tuple[str, str], ledger: Ledger, how: str
) -> None:
    socket = await connect(door, source)
    await socket.send(start(*names))
    for at in range(0, 1300, 20):
        await socket.send(media(at, b"\x22" * 160, "outbound"))
    call = await call_named(names[0])
    await until(lambda: len(audio_of(str(call.pk), AGENT)) == 8000)
    if how == "abort":
        socket.transport.abort()
    else:
        await socket.close()
    call = await ended(names[0])
    assert call.end_reason == "The audio stream was cut off."
    assert audio_of(str(call.pk), AGENT) == b"\x22" * 10400 + b"\xff" * 1600
    await until(lambda: ledger.client.zscore("closing", str(call.pk)))


async def test_one_time_tokens(door: Server, make_source: MakeSource, clean_redis: Any) -> None:
    source = await sync_to_async(make_source)(token_required=True)

    async def attempt(call_sid: str, **parameters: str) -> int | None:
        async with connect(door, source) as socket:
            await socket.send(start(call_sid, f"MZ{uuid.uuid4().hex}", **parameters))
            await socket.send(message("stop"))
            return await closed(socket)

    token = auth.mint_token(source, "CA1")
    assert await attempt("CA1") == 1008
    assert await attempt("CA2", token=token) == 1008
    assert await attempt("CA1", token=token[:-1] + "x") == 1008
    assert await attempt("CA1", token=auth.mint_token(source, "CA1", ttl_s=-1)) == 1008
    assert await attempt("CA1", token=token) == 1000
    assert await attempt("CA1", token=token) == 1008
    call = await ended("CA1")
    assert token not in str(vars(call))


async def test_a_cut_off_call_goes_on_in_a_new_stream(
    door: Server, source: MediaSource, names: tuple[str, str], ledger: Ledger
) -> None:
    async def stream(sid: str) -> None:
        async with connect(door, source) as socket:
            await socket.send(start(names[0], sid))
            await socket.send(media(0, bytes(8000)))

    await stream(names[1])
    call = await ended(names[0])
    await asyncio.sleep(1.2)  # what is said meanwhile is lost
    await stream(f"MZ{uuid.uuid4().hex}")
    again = await call_named(names[0], lambda c: c.counters["customer"]["received_ms"] == 2000)
    assert again.pk == call.pk and await Call.objects.acount() == 1
    (claim,) = ledger.claim()
    indexes = [hop.index for hop in claim.hops]
    assert indexes[:2] == [0, 1]
    assert again.counters["customer"]["lost_ms"] == 500 * (indexes[2] - 2) if len(indexes) > 2 else True
    await until(lambda: len(ledger.client.keys(f"audio:{call.pk}:customer:*")) == 4)


async def test_a_new_stream_takes_over_from_one_that_hangs(
    door: Server, source: MediaSource, names: tuple[str, str], ledger: Ledger
) -> None:
    async with connect(door, source) as old:
        await old.send(start(*names))
        await old.send(media(0, b"\x01" * 4000))
        call = await call_named(names[0])
        async with connect(door, source) as new:
            await new.send(start(names[0], f"MZ{uuid.uuid4().hex}"))
            await new.send(media(0, b"\x02" * 4000))
            assert await closed(old) == 1000
            await until(lambda: len(ledger.client.keys(f"audio:{call.pk}:customer:*")) == 2)
            assert ledger.client.zscore("closing", str(call.pk)) is None
    call = await call_named(names[0], lambda c: c.end_reason == "The audio stream was cut off.")
    assert audio_of(str(call.pk), CUSTOMER) == b"\x01" * 4000 + b"\x02" * 4000


async def test_a_server_that_is_told_to_stop_flushes(
    make_source: MakeSource, names: tuple[str, str], clean_redis: Any, settings: Any
) -> None:
    with media_server(MEDIA_PUBLIC_URL="ws://media.example") as own:
        settings.MEDIA_URL_BASE = "ws://media.example"
        source = await sync_to_async(make_source)()
        source = MediaSource(
            **{**vars(source), "public_url": f"ws://media.example/media/twilio/{source.slug}/"}
        )
        async with connect(own, source) as socket:
            await socket.send(start(*names))
            await socket.send(media(0, b"\x05" * 1000))
            await call_named(names[0])
            code = await asyncio.to_thread(own.terminate)
            assert code in (0, -15)
            assert await closed(socket) == 1012
        call = await ended(names[0])
        assert audio_of(str(call.pk), CUSTOMER)[:1000] == b"\x05" * 1000


async def test_health(door: Server) -> None:
    from urllib.request import urlopen

    assert await asyncio.to_thread(lambda: urlopen(f"{door.http}/health/live").read()) == b"ok\n"
