"""Every WebSocket door but Twilio's, as a real process: who is let in, which voice lands on which
channel, what a pause, a cut, a reconnect and rubbish leave behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import json
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import websockets
from asgiref.sync import sync_to_async
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPSignatureComponentResolver,
    HTTPSignatureKeyResolver,
    algorithms,
)
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
from tests.ingest.test_door import call_named, ended, until
from tests.servers import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real]
MakeSource = Callable[..., MediaSource]
CUSTOMER, AGENT = Channel.CUSTOMER, Channel.AGENT
HIGH, LOW = b"\x91" * 4000, b"\x15" * 4000  # half a second of each; as 16 bit they come back the same
COVERED = ("@request-target", "@authority", "audiohook-organization-id", "audiohook-session-id", "audiohook-correlation-id", "x-api-key")  # fmt: skip
MEDIA = {"type": "audio", "format": "PCMU", "channels": ["external", "internal"], "rate": 8000}


def woven(one: bytes, two: bytes, width: int = 1) -> bytes:
    out = bytearray(len(one) * 2)
    for n in range(width):
        out[n :: 2 * width], out[width + n :: 2 * width] = one[n::width], two[n::width]
    return bytes(out)


def linear(mulaw: bytes) -> bytes:
    return decode_mulaw(mulaw).astype("<i2").tobytes()


def address(door: Server, source: MediaSource, query: str = "") -> str:
    return f"{door.ws}/media/{source.protocol}/{source.slug}/{query}"


def with_key(door: Server, source: MediaSource, query: str = "", **more: Any) -> websockets.connect:
    headers = {"Authorization": f"Bearer {source.secrets[0]}"}
    return websockets.connect(
        address(door, source, query), additional_headers=headers, compression=None, **more
    )


async def close_of(socket: Any, seconds: float = 15) -> int:
    async with asyncio.timeout(seconds):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


# --- AudioHook -----------------------------------------------------------------------------------


class Target(HTTPSignatureComponentResolver):
    derived_component_resolvers = {
        **HTTPSignatureComponentResolver.derived_component_resolvers,
        "@request-target": lambda resolver: "/" + resolver.message.url.split("/", 3)[3],
    }


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def resolve_private_key(self, key_id: str) -> bytes:
        return self.secret

    resolve_public_key = resolve_private_key


def hook_headers(
    source: MediaSource, session: str, secret: str = "", age_s: int = 0, nonce: str = "", **changes: str
) -> dict[str, str]:
    """Signed by a library that is not ours."""
    headers = {
        "Audiohook-Organization-Id": str(uuid.uuid4()),
        "Audiohook-Session-Id": session,
        "Audiohook-Correlation-Id": str(uuid.uuid4()),
        "X-API-KEY": source.slug,
    }
    request = SimpleNamespace(
        method="GET", url=source.public_url.replace("ws://", "http://"), headers=headers
    )
    created = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age_s)
    key = base64.b64decode(secret or source.secrets[0])
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Keys(key), component_resolver_class=Target
    )
    signer.sign(
        request, key_id=source.slug, created=created, expires=created + datetime.timedelta(seconds=10),
        nonce=nonce or uuid.uuid4().hex, covered_component_ids=COVERED, label="sig1",
    )  # fmt: skip
    return headers | changes


class Hook:
    """Genesys's side: counts both ways, and is the one that closes."""

    def __init__(self, socket: Any, session: str) -> None:
        self.socket, self.session, self.seq, self.heard = socket, session, 0, 0

    async def send(self, kind: str, position: str = "PT0S", **parameters: Any) -> None:
        self.seq += 1
        message = {
            "version": "2",
            "id": self.session,
            "type": kind,
            "seq": self.seq,
            "serverseq": self.heard,
            "position": position,
        }
        await self.socket.send(json.dumps(message | {"parameters": parameters}))

    async def answer(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            message = json.loads(await self.socket.recv())
        self.heard += 1
        assert (
            message["seq"] == self.heard
            and message["clientseq"] == self.seq
            and message["id"] == self.session
        )
        return message

    async def open(self, conversation: str, media: list | None = None) -> dict[str, Any]:
        await self.send(
            "open",
            conversationId=conversation,
            participant={"id": "p", "ani": "+4912345"},
            media=media or [MEDIA],
        )
        return await self.answer()

    async def close(self, reason: str = "end") -> None:
        await self.send("close", reason=reason)
        assert (await self.answer())["type"] == "closed"
        await self.socket.close()


def hook(door: Server, source: MediaSource, session: str = "", **how: Any) -> tuple[websockets.connect, str]:
    session = session or str(uuid.uuid4())
    return websockets.connect(
        address(door, source), additional_headers=hook_headers(source, session, **how), compression=None
    ), session


@pytest.fixture
def genesys(make_source: MakeSource) -> MediaSource:
    return make_source(protocol="audiohook", previous_secret=base64.b64encode(b"the old one").decode())


@pytest.mark.parametrize(
    "channels,old", [(["external", "internal"], False), (["internal", "external"], True)]
)
async def test_audiohook_a_call(
    door: Server, genesys: MediaSource, ledger: Ledger, channels: list, old: bool
) -> None:
    connection, session = hook(door, genesys, secret=genesys.secrets[1] if old else "")
    async with connection as socket:
        client, conversation = Hook(socket, session), str(uuid.uuid4())
        offer = MEDIA | {"channels": channels}
        assert (await client.open(conversation, [MEDIA | {"channels": ["external"]}, offer]))["parameters"][
            "media"
        ] == [offer]
        first, second = (HIGH, LOW) if channels[0] == "external" else (LOW, HIGH)
        both = woven(first, second)
        await socket.send(both[:3200])
        await client.send("ping", rtt="PT0.1S")
        assert (await client.answer())["type"] == "pong"
        await socket.send(both[3200:])
        await client.close()
    call = await ended(conversation)
    assert call.end_reason == "The call ended." and "12345" not in str(vars(call))
    assert audio_of(str(call.pk), CUSTOMER) == HIGH and audio_of(str(call.pk), AGENT) == LOW
    await until(lambda: ledger.client.zscore("closing", str(call.pk)))


@pytest.mark.parametrize(
    "wrong",
    ["secret", "unsigned", "session", "key", "old", "future", "short nonce", "unknown", "replayed", "base64"],
)
async def test_audiohook_who_is_not_let_in(
    door: Server, genesys: MediaSource, clean_redis: Any, wrong: str
) -> None:
    session, how = str(uuid.uuid4()), {}
    if wrong == "unknown":
        genesys = MediaSource(**{**vars(genesys), "slug": "nobody-here"})
    how = {"secret": {"secret": base64.b64encode(b"x").decode()}, "old": {"age_s": 30}, "future": {"age_s": -30}, "short nonce": {"nonce": "a" * 21}, "replayed": {"nonce": "n" * 30}}.get(wrong, {})  # fmt: skip
    headers = hook_headers(genesys, session, **how)
    headers |= {"session": {"Audiohook-Session-Id": "another"}, "key": {"X-API-KEY": "other"}, "unsigned": {"Signature": ""}, "base64": {"Signature": "sig1=:é:"}}.get(wrong, {})  # fmt: skip
    if wrong == "replayed":
        async with websockets.connect(address(door, genesys), additional_headers=headers):
            pass
    began = asyncio.get_running_loop().time()
    with pytest.raises(InvalidStatus) as refused:
        async with websockets.connect(address(door, genesys), additional_headers=headers):
            pass
    assert refused.value.response.status_code == 403 and asyncio.get_running_loop().time() - began > 0.45


async def test_audiohook_a_probe_makes_no_call(door: Server, genesys: MediaSource) -> None:
    connection, session = hook(door, genesys)
    async with connection as socket:
        client = Hook(socket, session)
        assert (await client.open("00000000-0000-0000-0000-000000000000"))["type"] == "opened"
        await socket.send(b"")
        await client.close()
    await asyncio.sleep(0.3)
    assert not await Call.objects.aexists()


async def test_audiohook_a_pause_keeps_nothing_of_its_span(
    door: Server, genesys: MediaSource, ledger: Ledger
) -> None:
    """The card number's first half second had been sent, and stored, before `paused` came."""
    connection, session = hook(door, genesys)
    async with connection as socket:
        client, conversation = Hook(socket, session), str(uuid.uuid4())
        await client.open(conversation)
        await socket.send(woven(HIGH * 3, LOW * 3))  # 1.5 s, of which all after 0.75 s is secret
        call = await call_named(conversation)
        await until(lambda: len(ledger.client.keys(f"audio:{call.pk}:*")) == 6)
        await client.send("paused", position="PT0.75S")
        for _ in range(5):
            await socket.send(woven(b"\x01" * 800, b"\x02" * 800))
        await client.send("resumed", position="PT1.5S", start="PT1.5S", discarded="PT1S")
        await socket.send(woven(HIGH, LOW))
        await client.close()
    call = await ended(conversation)
    for channel, sound in ((CUSTOMER, HIGH), (AGENT, LOW)):
        kept = audio_of(str(call.pk), channel)
        assert kept == sound + sound[:2000] + b"\xff" * 6000 + sound
    counters = call.counters
    assert (counters["while_paused"], counters["pauses"], counters["paused_ms"]) == (5, 1, 1000)
    assert counters["customer"]["lost_ms"] == 0
    for channel in (CUSTOMER, AGENT):
        assert ledger.read_audio(str(call.pk), channel, 0, 5)[1:] == ([], [3, 4]), "a pause is no loss"


async def test_audiohook_a_reconnect_goes_on_in_the_same_call(
    door: Server, genesys: MediaSource, clean_redis: Any
) -> None:
    conversation = str(uuid.uuid4())
    for _ in range(2):
        connection, session = hook(door, genesys)
        async with connection as socket:
            client = Hook(socket, session)
            await client.open(conversation)
            await socket.send(woven(HIGH, LOW))
            await client.close("reconnect")
    await call_named(conversation, lambda c: c.counters.get("customer", {}).get("received_ms") == 1000)
    assert await Call.objects.acount() == 1


@pytest.mark.parametrize("wrong", ["media", "sequence", "big", "twice"])
async def test_audiohook_says_why_and_waits_to_be_closed(
    door: Server, genesys: MediaSource, clean_redis: Any, wrong: str
) -> None:
    connection, session = hook(door, genesys)
    async with connection as socket:
        client, conversation = Hook(socket, session), str(uuid.uuid4())
        if wrong != "media":
            await client.open(conversation)
            await socket.send(woven(HIGH, LOW))
        if wrong == "media":
            message = await client.open(conversation, [MEDIA | {"format": "OPUS"}])
        elif wrong == "sequence":
            client.seq += 5
            await client.send("ping")
            message = json.loads(await socket.recv())
            client.heard, client.seq = message["seq"], message["clientseq"]
        elif wrong == "big":
            await socket.send(b"x" * 70_000)
            message = await client.answer()
        else:
            message = await client.open(conversation)
        assert (
            message["type"] == "disconnect"
            and message["parameters"]["reason"] == "error"
            and message["parameters"]["info"]
        )
        await client.close("disconnect")
    if wrong != "media":
        call = await ended(conversation)
        assert audio_of(str(call.pk), CUSTOMER) == HIGH


# --- our own -------------------------------------------------------------------------------------


def begin(call: str, **more: Any) -> str:
    return json.dumps(
        {
            "type": "start",
            "call_ref": call,
            "format": "pcm_s16le",
            "rate": 8000,
            "channels": ["customer", "agent"],
        }
        | more
    )


async def started(socket: Any, call: str, **more: Any) -> dict[str, Any]:
    await socket.send(begin(call, **more))
    return json.loads(await socket.recv())


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
