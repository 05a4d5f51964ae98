"""Every WebSocket door but Twilio's, as a real process: who is let in, which voice lands on which
channel, what a pause, a cut, a reconnect and rubbish leave behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import uuid
from typing import Any

import numpy as np
import pytest
import websockets
from asgiref.sync import sync_to_async
from websockets.exceptions import ConnectionClosed, InvalidStatus

from calls import health, phones
from calls.access import MediaSource
from calls.buffer import Ledger
from calls.ingest import auth
from calls.models import Call
from calls.simulate import sides
from scoring.audio import decode_mulaw
from scoring.types import Channel
from tests.ingest.conftest import audio_of
from tests.ingest.peers import (
    AGENT,
    CUSTOMER,
    HIGH,
    LOW,
    MEDIA,
    Hook,
    MakeSource,
    address,
    begin,
    close_of,
    hook,
    linear,
    started,
    with_key,
    woven,
)
from tests.ingest.test_door import call_named, ended, until
from tests.servers import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real]


# --- our own -------------------------------------------------------------------------------------


async def test_our_stream_acknowledges_what_is_stored_and_resumes_there(
    door: Server, make_source: MakeSource, clean_redis: Any
) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    both = woven(linear(HIGH + LOW), linear(LOW + HIGH), 2)
    async with with_key(door, source, subprotocols=["empathy.v1"]) as socket:
        assert socket.subprotocol == "empathy.v1"
        assert (await started(socket, call_ref))["type"] == "started"
        await socket.send('{"type":"ping"}')
        assert json.loads(await socket.recv()) == {"type": "pong"}
        await socket.send(both[:20_000])  # 5000 samples: a hop, and 1000 of the next
        await asyncio.sleep(1.2)
        await socket.send(b"")
        assert json.loads(await socket.recv()) == {"type": "ack", "samples": 4000}
        socket.transport.abort()
    await ended(call_ref)
    async with with_key(door, source) as socket:
        await started(socket, call_ref, resume_from=4000)
        await socket.send(both[16_000:])
        await socket.send('{"type":"stop"}')
        assert await close_of(socket) == 1000
    call = await call_named(call_ref, lambda c: c.end_reason == "The call ended.")
    assert audio_of(str(call.pk), CUSTOMER) == HIGH + LOW and audio_of(str(call.pk), AGENT) == LOW + HIGH
    assert await Call.objects.acount() == 1


async def test_our_stream_takes_a_ticket_once(
    door: Server, make_source: MakeSource, clean_redis: Any
) -> None:
    source = await sync_to_async(make_source)(protocol="stream")
    ticket = auth.mint_token(source, "C1")

    async def attempt(call: str, slug: str = "", **more: Any) -> tuple[int, str]:
        async with websockets.connect(f"{door.ws}/media/stream/{slug or source.slug}/") as socket:
            answer = await started(socket, call, **more)
            with contextlib.suppress(ConnectionClosed):
                await socket.send('{"type":"stop"}')
            return await close_of(socket), answer["type"]

    assert await attempt("C1") == (1008, "error")
    assert await attempt("C1", slug="nobody-here", ticket=ticket) == (1008, "error")
    assert await attempt("C2", ticket=ticket) == (1008, "error")
    assert await attempt("C1", ticket=ticket) == (1000, "started")
    assert await attempt("C1", ticket=ticket) == (1008, "error")
    assert ticket not in str([vars(call) async for call in Call.objects.all()])


@pytest.mark.parametrize(
    "wrong,code",
    [
        ("format", "bad_format"),
        ("audio first", "out_of_order"),
        ("big", "frame_too_big"),
        ("garbage", "bad_data"),
    ],
)
async def test_our_stream_says_what_is_wrong(
    door: Server, make_source: MakeSource, clean_redis: Any, wrong: str, code: str
) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    async with with_key(door, source) as socket:
        if wrong in ("big", "garbage"):
            await started(socket, call_ref)
            await socket.send(woven(linear(HIGH), linear(LOW), 2))
        rubbish: Any = {
            "format": begin(call_ref, format="opus"),
            "audio first": b"12",
            "big": b"x" * 70_000,
        }.get(wrong, b"123")
        for _ in range(21 if wrong == "garbage" else 1):
            await socket.send(rubbish)
        error = json.loads(await socket.recv())
        assert (error["type"], error["code"], error["retryable"]) == ("error", code, False) and error[
            "message"
        ]
        assert await close_of(socket) in (1002, 1003, 1007, 1009)
    if wrong in ("big", "garbage"):
        assert audio_of(str((await ended(call_ref)).pk), CUSTOMER) == HIGH


async def test_a_stream_with_a_pause(door: Server, make_source: MakeSource, clean_redis: Any) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    async with with_key(door, source) as socket:
        await started(socket, call_ref, format="pcmu")
        await socket.send(woven(HIGH, LOW))
        await socket.send('{"type":"pause","from":3000}')
        await socket.send(woven(LOW, LOW))
        await socket.send('{"type":"dtmf","digit":"4"}')
        await socket.send('{"type":"resume"}')
        await socket.send('{"type":"stop"}')
        await close_of(socket)
    call = await ended(call_ref)
    await until(lambda: audio_of(str(call.pk), CUSTOMER) == HIGH[:3000] + b"\xff" * 1000)
    assert call.counters["while_paused"] == 1 and call.counters["dtmf"] == 1


RATE, SECRET_AT = 16_000, 0.7


def wide() -> bytes:
    """A second at 16 kHz: nothing until SECRET_AT, then a card number, as it were; both voices alike."""
    t = np.arange(RATE) / RATE
    tone = (9000 * np.sin(2 * np.pi * 440 * t) * (t >= SECRET_AT)).astype("<i2")
    return np.repeat(tone, 2).tobytes()


async def check_silent(call: Call, seconds: float) -> None:
    """Nothing of it can be heard on either side, and no time is missing. (A resampler's filter rings for some
    ms before a sound that begins at once.)"""
    since = int(SECRET_AT * 8000)

    def loudest() -> int:
        parts = [audio_of(str(call.pk), channel) for channel in Channel]
        assert all(len(part) >= seconds * 8000 for part in parts)
        heard = [np.abs(decode_mulaw(part).astype(int)) for part in parts]
        return max(int(max(one[: since - 160].max(), one[since:].max())) for one in heard)

    await until(lambda: loudest() < 50)


async def test_a_pause_keeps_nothing_back_in_a_resampler(
    door: Server, make_source: MakeSource, clean_redis: Any
) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    async with with_key(door, source) as socket:
        await started(socket, call_ref, rate=RATE)
        await socket.send(wide())
        await socket.send(json.dumps({"type": "pause", "from": int(RATE * SECRET_AT)}))
        await socket.send(wide())
        await socket.send('{"type":"resume"}')
        await socket.send(bytes(len(wide())))
        await socket.send('{"type":"stop"}')
        await close_of(socket)
    await check_silent(await ended(call_ref), 2)


async def test_what_was_said_before_a_pause_stays_before_it(
    door: Server, make_source: MakeSource, clean_redis: Any
) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    loud = wide()[int(RATE * SECRET_AT) * 4 :]
    async with with_key(door, source) as socket:
        await started(socket, call_ref, rate=RATE)
        await socket.send(loud)
        await socket.send('{"type":"pause"}')
        await socket.send(json.dumps({"type": "resume", "skipped": RATE // 5}))
        await socket.send(bytes(len(wide())))
        await socket.send('{"type":"stop"}')
        await close_of(socket)
    call = await ended(call_ref)
    await until(lambda: len(audio_of(str(call.pk), AGENT)) >= 12_000)
    heard = np.abs(decode_mulaw(audio_of(str(call.pk), AGENT)).astype(int))
    assert heard[2000:2390].max() > 5000 and heard[2420:].max() < 50  # 0.3 s of it


async def test_a_pause_of_one_leg_before_the_call_has_its_row(
    door: Server, make_source: MakeSource, clean_redis: Any
) -> None:
    """Its frames still wait: they go, their time stays."""
    source, call_ref = await sync_to_async(make_source)(protocol="stream"), f"C{uuid.uuid4().hex}"
    async with with_key(door, source) as socket:
        await started(socket, call_ref, rate=8000, format="pcmu", channels=["customer"])
        for part in (HIGH, LOW, LOW):
            await socket.send(part)
        await socket.send('{"type":"pause","from":4000}')
        await socket.send('{"type":"resume"}')
        await socket.send(HIGH)
        await socket.send('{"type":"stop"}')
        await close_of(socket)
    call = await ended(call_ref)
    await until(lambda: b"\x15" not in audio_of(str(call.pk), CUSTOMER))
    indexes = sorted(int(key.rsplit(b":", 1)[1]) for key in clean_redis.keys(f"audio:{call.pk}:customer:*"))
    assert indexes == [0, 1, 2, 3] and audio_of(str(call.pk), CUSTOMER).count(b"\x91") == 8000


async def test_audiohook_a_pause_keeps_nothing_back_in_a_resampler(
    door: Server, genesys: MediaSource, clean_redis: Any
) -> None:
    connection, session = hook(door, genesys)
    async with connection as socket:
        client, conversation = Hook(socket, session), str(uuid.uuid4())
        await client.open(conversation, [MEDIA | {"format": "L16", "rate": RATE}])
        sound = wide()
        await socket.send(sound)
        await client.send("paused", position=f"PT{SECRET_AT}S")
        await socket.send(sound)
        await client.send("resumed", position="PT1S", start="PT1S", discarded="PT1S")
        await socket.send(bytes(len(sound)))
        await client.close()
    call = await ended(conversation)
    await check_silent(call, 2)


# --- legs that come apart ------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["customer", "agent"])
async def test_asterisk_two_legs_are_one_call(
    door: Server, make_source: MakeSource, ledger: Ledger, first: str
) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="asterisk"), f"C{uuid.uuid4().hex}"
    second = "agent" if first == "customer" else "customer"
    sound = {"customer": HIGH, "agent": LOW}

    def leg(role: str) -> websockets.connect:
        login = base64.b64encode(f"{source.slug}:{source.secrets[0]}".encode()).decode()
        query = f"?call={call_ref}&role={role}"
        return websockets.connect(address(door, source, query), additional_headers={"Authorization": f"Basic {login}"}, subprotocols=["media"], compression=None)  # fmt: skip

    async with leg(first) as one:
        assert one.subprotocol == "media"
        await one.send(
            f"MEDIA_START connection_id:empathy channel:WebSocket/empathy/0x1 channel_id:{uuid.uuid4()} "
            "format:ulaw optimal_frame_size:160 ptime:20"
        )
        await one.send(sound[first] * 2)
        call = await call_named(call_ref)
        await asyncio.sleep(0.7)
        async with leg(second) as two:
            await two.send(json.dumps({"event": "MEDIA_START", "connection_id": "empathy", "format": "slin"}))
            await two.send(linear(sound[second]))
            await until(lambda: ledger.client.hlen(f"legs:{call.pk}") == 2)
        await call_named(call_ref, lambda c: c.counters.get(second, {}).get("received_ms") == 500)
        assert ledger.client.zscore("closing", str(call.pk)) is None  # the other leg goes on
        await one.send(sound[first])
    call = await call_named(call_ref, lambda c: c.counters.get(first, {}).get("received_ms") == 1500)
    assert await Call.objects.acount() == 1 and not call.notes
    assert audio_of(str(call.pk), Channel(first)) == sound[first] * 3
    other = audio_of(str(call.pk), Channel(second)).strip(b"\xff")
    assert decode_mulaw(other).tolist() == decode_mulaw(sound[second]).tolist()
    await until(lambda: ledger.client.zscore("closing", str(call.pk)))
    indexes = [int(k.rsplit(b":", 1)[1]) for k in ledger.client.keys(f"audio:{call.pk}:{second}:*")]
    assert min(indexes) >= 1  # beside what was being said when it joined


@pytest.mark.parametrize("name", ["audio.drachtio.org", "audiostream.drachtio.org"])
async def test_freeswitch_gets_its_own_name_back(door: Server, make_source: MakeSource, name: str) -> None:
    source = await sync_to_async(make_source)(protocol="freeswitch")
    async with with_key(door, source, "?call=C1&rate=8000&mix=mixed&role=customer", subprotocols=[name]) as socket:  # fmt: skip
        assert socket.subprotocol == name
        await socket.send(linear(HIGH))
        assert await close_of(socket) == 1008 and "both voices in one" in socket.close_reason
    assert not await Call.objects.aexists()


async def test_freeswitch_stereo_and_vonage_legs(
    door: Server, make_source: MakeSource, clean_redis: Any
) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="freeswitch"), f"C{uuid.uuid4().hex}"
    async with with_key(
        door, source, f"?call={call_ref}&rate=8000&mix=stereo", subprotocols=["audiostream.drachtio.org"]
    ) as socket:
        assert socket.subprotocol == "audiostream.drachtio.org"
        await socket.send('{"agent":"bob"}')
        await socket.send(woven(linear(HIGH), linear(LOW), 2))
    call = await ended(call_ref)
    assert audio_of(str(call.pk), CUSTOMER) == HIGH and audio_of(str(call.pk), AGENT) == LOW
    source, call_ref = await sync_to_async(make_source)(protocol="vonage"), f"C{uuid.uuid4().hex}"
    for role, sound in (("agent", LOW), ("customer", HIGH)):
        async with websockets.connect(address(door, source)) as socket:
            connected = {
                "event": "websocket:connected",
                "content-type": "audio/l16;rate=8000",
                "call": call_ref,
                "role": role,
            }
            await socket.send(json.dumps(connected | {"token": auth.mint_token(source, call_ref)}))
            await socket.send(linear(sound))
        await call_named(call_ref, lambda c, role=role: c.counters.get(role, {}).get("received_ms") == 500)
    call = await ended(call_ref)
    assert (
        audio_of(str(call.pk), CUSTOMER).strip(b"\xff") == HIGH
        and audio_of(str(call.pk), AGENT).strip(b"\xff") == LOW
    )


async def test_telnyx_big_endian(door: Server, make_source: MakeSource, clean_redis: Any) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="telnyx"), f"C{uuid.uuid4().hex}"
    async with with_key(door, source) as socket:
        form = {"encoding": "L16", "sample_rate": 8000, "channels": 1}
        await socket.send(
            json.dumps(
                {
                    "event": "start",
                    "stream_id": uuid.uuid4().hex,
                    "start": {"call_session_id": call_ref, "media_format": form},
                }
            )
        )
        sound = base64.b64encode(decode_mulaw(HIGH).astype(">i2").tobytes()).decode()
        await socket.send(
            json.dumps({"event": "media", "media": {"track": "inbound", "timestamp": "0", "payload": sound}})
        )
        await socket.send('{"event":"stop"}')
        assert await close_of(socket) == 1000
    assert audio_of(str((await ended(call_ref)).pk), CUSTOMER) == HIGH


async def test_exotel_has_one_voice_a_stream(door: Server, make_source: MakeSource, clean_redis: Any) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="exotel"), f"C{uuid.uuid4().hex}"
    key = {"Authorization": f"Bearer {source.secrets[0]}"}
    legs = phones.phones("exotel", f"/media/exotel/{source.slug}/", key, sides(HIGH, LOW), call_ref, {})
    assert len(legs) == 2 and all("track" not in frame for leg in legs for frame in (*leg.opening, *leg.frames()))  # fmt: skip
    await phones.play(legs, door.ws)
    both = lambda c: all(c.counters.get(x, {}).get("received_ms") == 500 for x in ("customer", "agent"))  # noqa: E731
    call = await call_named(call_ref, both)
    assert audio_of(str(call.pk), CUSTOMER).strip(b"\xff") == HIGH and not call.notes
    assert await Call.objects.acount() == 1


async def test_exotel_without_a_role_is_told_so(
    door: Server, make_source: MakeSource, ledger: Ledger
) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="exotel"), f"C{uuid.uuid4().hex}"
    async with with_key(door, source) as socket:
        start = {"call_sid": call_ref, "media_format": {"encoding": "base64", "sample_rate": "8000"}}
        await socket.send(json.dumps({"event": "start", "stream_sid": "S1", "start": start}))
        sound = base64.b64encode(linear(HIGH)).decode()
        await socket.send(json.dumps({"event": "media", "media": {"timestamp": "0", "payload": sound}}))
        assert await close_of(socket) == 1008 and "role=customer" in socket.close_reason
    call = await ended(call_ref)
    assert "no role" in call.end_reason
    await until(lambda: health.read(ledger.client, source.slug).refused == {"no role": 1})


async def test_audio_on_legs_of_nobody_is_said(door: Server, make_source: MakeSource, ledger: Ledger) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol="telnyx"), f"C{uuid.uuid4().hex}"
    async with with_key(door, source) as socket:
        start = {"call_session_id": call_ref, "media_format": {"encoding": "PCMU", "sample_rate": 8000}}
        await socket.send(json.dumps({"event": "start", "stream_id": uuid.uuid4().hex, "start": start}))
        payload = base64.b64encode(HIGH).decode()
        for track in ("left", "right", "left"):
            media = {"track": track, "timestamp": "0", "payload": payload}
            await socket.send(json.dumps({"event": "media", "media": media}))
        await socket.send('{"event":"stop"}')
        assert await close_of(socket) == 1000
    call = await ended(call_ref)
    assert call.counters["other_track"] == 3 and call.notes == [
        "Its audio came on legs that are not mapped here (left, right): none of it was heard."
    ]
    await until(lambda: health.read(ledger.client, source.slug).refused == {"no leg of the source": 1})


@pytest.mark.parametrize(
    "protocol", ["asterisk", "freeswitch", "vonage", "stream", "telnyx", "plivo", "exotel", "signalwire"]
)
async def test_a_wrong_password_is_an_unknown_source(
    door: Server, make_source: MakeSource, protocol: str
) -> None:
    source = await sync_to_async(make_source)(protocol=protocol)
    unknown = MediaSource(**{**vars(source), "slug": "nobody-here"})
    elsewhere = MediaSource(**{**vars(source), "protocol": "audiohook"})
    for who, key in ((source, "wrong"), (unknown, source.secrets[0]), (elsewhere, source.secrets[0])):
        with pytest.raises(InvalidStatus) as refused:
            async with websockets.connect(
                address(door, who), additional_headers={"Authorization": f"Bearer {key}"}
            ):
                pass
        assert refused.value.response.status_code == 403


async def test_one_voice_without_a_role_is_refused(door: Server, make_source: MakeSource) -> None:
    source = await sync_to_async(make_source)(protocol="asterisk")
    for query in ("?call=C1", "?call=C1&role=nobody", "?role=agent"):
        async with with_key(door, source, query) as socket:
            await socket.send("MEDIA_START connection_id:x format:ulaw")
            assert await close_of(socket) == 1008 and (
                "role" in socket.close_reason or "leg" in socket.close_reason or "call" in socket.close_reason
            )
    assert not await Call.objects.aexists()


@pytest.mark.parametrize("protocol", ["asterisk", "freeswitch", "vonage", "telnyx", "plivo", "exotel"])
@pytest.mark.parametrize("how", ["big", "rubbish", "cut"])
async def test_what_breaks_a_stream_keeps_what_came_before(
    door: Server, make_source: MakeSource, clean_redis: Any, protocol: str, how: str
) -> None:
    source, call_ref = await sync_to_async(make_source)(protocol=protocol), f"C{uuid.uuid4().hex}"
    key = {"Authorization": f"Bearer {source.secrets[0]}"}
    both = sides(HIGH, LOW)
    phone = phones.phones(protocol, f"/media/{protocol}/{source.slug}/", key, both, call_ref, {})[0]
    socket = await phones.connect(phone, door.ws)
    for frame in phone.frames():
        await socket.send(frame)
    if how == "cut":
        await call_named(call_ref)
        socket.transport.abort()
    else:
        rubbish: Any = "{oops" if protocol in ("telnyx", "plivo", "exotel") else b"123"
        if protocol == "asterisk":
            rubbish = "oops"
        with contextlib.suppress(ConnectionClosed):
            for _ in range(1 if how == "big" else 21):
                await socket.send(b"x" * 70_000 if how == "big" else rubbish)
        assert await close_of(socket) == (1009 if how == "big" else 1007)
    call = await ended(call_ref)
    assert ("cut off" if how == "cut" else "ended") in call.end_reason
    assert audio_of(str(call.pk), CUSTOMER) == HIGH and call.counters["customer"]["received_ms"] == 500


async def test_a_channel_is_taken_once(door: Server, make_source: MakeSource, clean_redis: Any) -> None:
    source, start = (
        await sync_to_async(make_source)(protocol="asterisk"),
        "MEDIA_START channel_id:1.5 format:ulaw",
    )
    async with with_key(door, source, "?call=C1&role=agent") as one:
        await one.send(start)
        await one.send(LOW)
        await call_named("C1")
        async with with_key(door, source, "?call=C1&role=agent") as two:
            await two.send(start)
            assert await close_of(two) == 1008
        await one.send(LOW)
    assert (await ended("C1")).counters["agent"]["received_ms"] == 1000


@pytest.mark.parametrize(
    "names", ["channel:WebSocket/empathy/0x1 channel_id:{}", "channel:WebSocket/empathy/0x1"]
)
async def test_a_connection_id_is_that_of_all_calls(
    door: Server, make_source: MakeSource, clean_redis: Any, names: str
) -> None:
    """Asterisk puts the section of websocket_client.conf there; older ones send no channel_id."""
    source = await sync_to_async(make_source)(protocol="asterisk")
    for call_ref in ("C1", "C2"):
        async with contextlib.AsyncExitStack() as legs:
            for role, sound in (("customer", HIGH), ("agent", LOW)):
                socket = await legs.enter_async_context(
                    with_key(door, source, f"?call={call_ref}&role={role}", subprotocols=["media"])
                )
                told = names.format(f"{call_ref}.{role}")
                await socket.send(f"MEDIA_START connection_id:empathy {told} format:ulaw ptime:20")
                await socket.send(sound)
                await call_named(call_ref)
        both = lambda c: all(c.counters.get(x, {}).get("received_ms") == 500 for x in ("customer", "agent"))  # noqa: E731
        call = await call_named(call_ref, both)
        assert audio_of(str(call.pk), CUSTOMER).strip(b"\xff") == HIGH
    assert await Call.objects.acount() == 2
