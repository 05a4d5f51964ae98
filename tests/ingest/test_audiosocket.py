"""AudioSocket: frames over TCP however they are cut, UUIDs good once, both legs in one call."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio
import soxr
from asgiref.sync import sync_to_async
from django.conf import settings as site
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from calls import health, reservations, tokens
from calls.access import MediaSource
from calls.choices import Scope
from calls.ingest.audiosocket import RATES_HZ, Frames, Talk
from calls.ingest.words import Audio, Begin, Dtmf, End, Ignored, Malformed, Unusable
from calls.models import Call, Source, Team, User
from calls.reservations import Reserved
from scoring.audio import decode_mulaw
from scoring.types import Channel
from tests import clients
from tests.ingest.conftest import audio_of
from tests.ingest.test_door import call_named, ended, until
from tests.servers import Server

door_tests = [pytest.mark.django_db(transaction=True), pytest.mark.real]
MakeSource = Callable[..., MediaSource]
HIGH, LOW = b"\x91" * 4000, b"\x15" * 4000
RESERVED = Reserved("main", "C1", "customer")


def frame(kind: int, payload: bytes = b"") -> bytes:
    return bytes((kind,)) + len(payload).to_bytes(2, "big") + payload


def linear(mulaw: bytes) -> bytes:
    return decode_mulaw(mulaw).astype("<i2").tobytes()


# --- without a socket --------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=400)), max_size=8),
    st.lists(st.integers(1, 50)),
)
def test_frames_are_the_same_however_the_bytes_are_cut(
    sent: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    whole, frames, found = b"".join(frame(*one) for one in sent), Frames(), []
    for cut in cuts:
        found += frames.feed(whole[:cut])
        whole = whole[cut:]
    found += frames.feed(whole)
    assert found == sent and frames.whole
    frames.feed(b"\x10\x00\x05ab")
    assert not frames.whole


@given(st.lists(st.binary(max_size=2000), max_size=10))
def test_rubbish_never_raises_and_nothing_piles_up(parts: list[bytes]) -> None:
    talk = Talk(RESERVED)
    for part in parts:
        for said in talk.hear(part):
            assert isinstance(said, Begin | Audio | Dtmf | End | Ignored | Malformed | Unusable)
            assert not isinstance(said, Audio) or len(said.payload) % 2 == 0
    assert len(talk.frames._rest) < 65539


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(1, 40), max_size=12))
def test_half_a_sample_waits_for_its_other_half(audio: bytes, cuts: list[int]) -> None:
    talk, rest, heard = Talk(RESERVED), audio, b""
    for cut in [*cuts, len(audio)]:
        for said in talk.hear(frame(0x10, rest[:cut])):
            heard += said.payload if isinstance(said, Audio) else b""
        rest = rest[cut:]
    assert heard == audio[: len(audio) & ~1]


@pytest.mark.parametrize(("kind", "rate"), [(0x10 + n, rate) for n, rate in enumerate(RATES_HZ)])
def test_the_first_audio_says_the_rate(kind: int, rate: int) -> None:
    begin, audio = Talk(RESERVED).hear(frame(kind, b"abcd"))
    assert isinstance(begin, Begin) and begin.format.rate_hz == rate and begin.legs == ("customer",)
    assert audio == Audio(("customer",), None, b"abcd")


def test_an_old_asterisk_names_every_rate_eight() -> None:
    begin, _ = Talk(Reserved("main", "C1", "agent", 16000)).hear(frame(0x10, b"ab"))
    assert isinstance(begin, Begin) and begin.format.rate_hz == 16000 and begin.call_ref == "C1"


def test_what_else_may_come() -> None:
    talk = Talk(RESERVED)
    assert list(talk.hear(frame(3, b"7") + frame(0xFF, b"\x01") + frame(0x42, b"?") + frame(1, b"x" * 16))) == [
        Dtmf(), Ignored(), Ignored(), Malformed("named twice"),
    ]  # fmt: skip
    list(talk.hear(frame(0x10, b"ab")))
    assert [type(one) for one in talk.hear(frame(0x12, b"ab") + frame(0))] == [Unusable, End]


# --- the door ----------------------------------------------------------------------------------------


def reserved(source: MediaSource, ref: str, **more: Any) -> reservations.Pair:
    return reservations.reserve(redis.Redis.from_url(site.REDIS_URL), source.slug, ref, **more)


async def dial(door: Server, name: uuid.UUID | bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = door.audiosocket.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(frame(1, name.bytes) if isinstance(name, uuid.UUID) else name)
    return reader, writer


async def hung_up(reader: asyncio.StreamReader, seconds: float = 10) -> bytes:
    """What the door said before it closed: nothing, ever."""
    async with asyncio.timeout(seconds):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@pytest.fixture
def source(make_source: MakeSource) -> MediaSource:
    return make_source(protocol="audiosocket", roles={"customer": "customer", "agent": "agent"})


CALLER = """
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
const [, , library, address, name, file] = process.argv;
const { AudioSocketConnection, FrameType, encodeFrame } = await import(library);
const [host, port] = address.split(':');
const socket = connect(Number(port), host, async () => {
  socket.write(encodeFrame(FrameType.UUID, Buffer.from(name, 'hex')));
  const call = new AudioSocketConnection(socket);
  call.on('audio', () => { throw new Error('we were sent audio'); });
  await call.play(readFileSync(file));
  call.hangup();
});
"""


class TestTheDoor:
    pytestmark = door_tests

    async def test_two_legs_byte_for_byte(self, door: Server, source: MediaSource, clean_redis: Any) -> None:
        ref = f"C{uuid.uuid4().hex}"
        pair = await sync_to_async(reserved)(source, ref, parameters={"queue": "Fees", "agent": "bob"})
        ends = []
        for name, sound in ((pair.customer, HIGH), (pair.agent, LOW)):
            reader, writer = await dial(door, name)
            raw = b"".join(frame(0x10, linear(sound)[at : at + 320]) for at in range(0, 8000, 320))
            for at in range(0, len(raw), 777):
                writer.write(raw[at : at + 777])
                await writer.drain()
            ends.append((reader, writer))
        await call_named(ref)
        for (reader, writer), goodbye in zip(ends, (frame(0), b""), strict=True):
            writer.write(goodbye)
            writer.close()
            assert await hung_up(reader) == b""
        legs = ("customer", "agent")
        both = lambda c: all(c.counters.get(leg, {}).get("received_ms") == 500 for leg in legs)  # noqa: E731
        call = await call_named(ref, both)
        assert call.end_reason == "The call ended." and await Call.objects.acount() == 1
        assert audio_of(str(call.pk), Channel.CUSTOMER).strip(b"\xff") == HIGH
        other = audio_of(str(call.pk), Channel.AGENT).strip(b"\xff")
        assert decode_mulaw(other).tolist() == decode_mulaw(LOW).tolist()
        assert call.queue == "Fees"

    async def test_a_client_of_somebody_else(
        self, door: Server, source: MediaSource, clean_redis: Any, tmp_path: Path
    ) -> None:
        """npm's asterisk-audiosocket frames both legs, in real time, and hangs up."""
        package = clients.folder(clients.AUDIOSOCKET)
        if not package.is_dir():
            pytest.skip("asterisk-audiosocket is not here: make clients")
        ref = f"C{uuid.uuid4().hex}"
        pair = await sync_to_async(reserved)(source, ref)
        for leg, sound in (("customer", HIGH), ("agent", LOW)):
            (tmp_path / leg).write_bytes(linear(sound))
        script = tmp_path / "call.mjs"
        script.write_text(CALLER)
        legs = [
            await asyncio.create_subprocess_exec(
                clients.node(), script, str(package / "dist" / "index.js"), door.audiosocket,
                getattr(pair, leg).hex, str(tmp_path / leg), stderr=asyncio.subprocess.PIPE,
            )
            for leg in ("customer", "agent")
        ]  # fmt: skip
        for leg in legs:
            _, trouble = await asyncio.wait_for(leg.communicate(), 30)
            assert leg.returncode == 0, trouble.decode()
        call = await ended(ref)
        assert call.end_reason == "The call ended."
        assert audio_of(str(call.pk), Channel.CUSTOMER).strip(b"\xff") == HIGH
        other = audio_of(str(call.pk), Channel.AGENT).strip(b"\xff")
        assert decode_mulaw(other).tolist() == decode_mulaw(LOW).tolist()

    @pytest.mark.parametrize(
        ("kind", "rate", "said"), [(0x12, 16000, None), (0x10, 16000, 16000), (0x18, 192000, None)]
    )
    async def test_any_rate(
        self, door: Server, source: MediaSource, clean_redis: Any, kind: int, rate: int, said: int | None
    ) -> None:
        ref, t = f"C{uuid.uuid4().hex}", np.arange(rate) / rate
        tone = (8000 * np.sin(2 * np.pi * 440 * t)).astype("<i2")
        pair = await sync_to_async(reserved)(source, ref, rate_hz=said)
        reader, writer = await dial(door, pair.agent)
        for at in range(0, tone.nbytes, 6000):
            writer.write(frame(kind, tone.tobytes()[at : at + 6000]))
        writer.write(frame(0))
        await writer.drain()
        await hung_up(reader)
        call = await ended(ref)
        heard = decode_mulaw(audio_of(str(call.pk), Channel.AGENT)).astype(float)[:8000]
        meant = soxr.resample(tone.astype(float), rate, 8000)[: len(heard)]
        assert abs(call.counters["agent"]["received_ms"] - 1000) <= 1
        error = heard[400:7600] - meant[400:7600]
        assert 10 * np.log10((meant[400:7600] ** 2).sum() / (error**2).sum()) > 30
        writer.close()

    async def test_a_number_is_good_once(self, door: Server, source: MediaSource, clean_redis: Any) -> None:
        ref = f"C{uuid.uuid4().hex}"
        pair = await sync_to_async(reserved)(source, ref)
        reader, writer = await dial(door, pair.customer)
        writer.write(frame(0x10, linear(HIGH)))
        await call_named(ref)
        again, other = await dial(door, pair.customer)
        assert await hung_up(again) == b""
        writer.write(frame(0x10, linear(HIGH)))
        writer.close()
        call = await call_named(ref, lambda c: c.counters.get("customer", {}).get("received_ms") == 1000)
        assert call.end_reason == "The call ended."
        other.close()

    @pytest.mark.parametrize(
        "first",
        [frame(1, b"y" * 16), frame(1, b"short"), frame(0x10, b"a" * 320), b"GET / HTTP/1.1\r\n\r\n" * 3, frame(0)],
    )  # fmt: skip
    async def test_who_is_not_let_in(
        self, door: Server, source: MediaSource, clean_redis: Any, first: bytes
    ) -> None:
        reader, writer = await dial(door, first)
        assert await hung_up(reader) == b"" and not await Call.objects.aexists()
        writer.close()

    async def test_a_number_runs_out(self, door: Server, source: MediaSource, clean_redis: Any) -> None:
        pair = await sync_to_async(reserved)(source, "C1", ttl_s=1)
        await asyncio.sleep(1.2)
        reader, writer = await dial(door, pair.agent)
        assert await hung_up(reader) == b"" and not await Call.objects.aexists()
        writer.close()

    async def test_from_elsewhere_and_switched_off(
        self, door: Server, make_source: MakeSource, clean_redis: Any
    ) -> None:
        elsewhere = await sync_to_async(make_source)(protocol="audiosocket", networks=["203.0.113.0/24"])
        off = await sync_to_async(make_source)(protocol="audiosocket", enabled=False)
        for one in (elsewhere, off):
            pair = await sync_to_async(reserved)(one, "C1")
            reader, writer = await dial(door, pair.agent)
            writer.write(frame(0x10, linear(LOW)))
            assert await hung_up(reader) == b"" and not await Call.objects.aexists()
            writer.close()
        client = redis.Redis.from_url(site.REDIS_URL)
        assert health.read(client, elsewhere.slug).last_reason == "address not allowed"

    async def test_cut_in_the_middle_of_a_frame_and_keys_pressed(
        self, door: Server, source: MediaSource, clean_redis: Any
    ) -> None:
        ref = f"C{uuid.uuid4().hex}"
        pair = await sync_to_async(reserved)(source, ref)
        _, writer = await dial(door, pair.customer)
        writer.write(frame(0x10, linear(HIGH)) + frame(3, b"7") + frame(3, b"4") + b"\x10\x01\x40half")
        await call_named(ref)
        writer.close()
        call = await ended(ref)
        assert "cut off" in call.end_reason and call.counters["dtmf"] == 2
        assert audio_of(str(call.pk), Channel.CUSTOMER) == HIGH
        pair = await sync_to_async(reserved)(source, ref)
        _, writer = await dial(door, pair.customer)
        writer.write(frame(0x10, linear(LOW)) + frame(0))
        call = await call_named(ref, lambda c: c.counters["customer"]["received_ms"] == 1000)
        assert await Call.objects.acount() == 1, "it went on in the same call"
        writer.close()

    async def test_a_changed_rate_and_endless_rubbish_end_it(
        self, door: Server, source: MediaSource, clean_redis: Any
    ) -> None:
        for what, words in (
            (frame(0x12, b"ab"), "the rate changed"),
            (frame(1, b"x" * 16) * 21, "malformed frames"),
        ):
            ref = f"C{uuid.uuid4().hex}"
            pair = await sync_to_async(reserved)(source, ref)
            reader, writer = await dial(door, pair.agent)
            writer.write(frame(0x10, linear(LOW)) + what)
            assert await hung_up(reader) == b""
            assert words in (await ended(ref)).end_reason
            writer.close()
        client = redis.Redis.from_url(site.REDIS_URL)
        await until(lambda: health.read(client, source.slug).refused.get("malformed frames") == 1)


# --- reserving ---------------------------------------------------------------------------------------

PATH = "/api/v1/reservations"


@pytest.fixture
def line(billing: Team, settings: Any, clean_redis: Any) -> Source:
    settings.AUDIOSOCKET_PUBLIC = "pbx.example:9092"
    return Source.objects.create(name="PBX", slug="pbx", team=billing, protocol="audiosocket")


def program_of(user: User, *scopes: str) -> Client:
    _, token = tokens.make(user, "pbx", list(scopes or [Scope.FEED]), 7)
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.mark.django_db
def test_reserving(line: Source, alice: User, carol: User) -> None:
    asked = {"source": "pbx", "call_ref": "1700.1", "rate": 16000, "parameters": {"agent": "bob"}}
    answer = program_of(alice).post(PATH, asked, "application/json")
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert told["address"] == "pbx.example:9092" and told["customer_uuid"] != told["agent_uuid"]

    async def taken(name: str) -> list[Any]:
        client = redis.asyncio.Redis.from_url(site.REDIS_URL)
        found = [await reservations.take(client, uuid.UUID(name)) for _ in range(2)]
        await client.aclose()
        return found

    assert asyncio.run(taken(told["agent_uuid"])) == [
        Reserved("pbx", "1700.1", "agent", 16000, {"agent": "bob"}), None,
    ]  # fmt: skip
    assert program_of(carol).post(PATH, asked, "application/json").status_code == 404
    assert Client().post(PATH, asked, "application/json").status_code == 401
    calls_only = program_of(alice, Scope.CALLS).post(PATH, asked, "application/json")
    assert calls_only.status_code == 403 and "feed" in calls_only.json()["detail"]


@pytest.mark.django_db
def test_who_may_have_the_scope(line: Source, bob: User) -> None:
    with pytest.raises(tokens.Refused):
        tokens.make(bob, "mine", [Scope.FEED], 7)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"call_ref": ""}, 400, "call_ref"), ({"rate": 8001}, 400, "rate"), ({"source": "nope"}, 404, "yours"),
        ({"parameters": [1]}, 400, "parameters"), ({"source": "billing-line"}, 409, "no AudioSocket source"),
        ({"call_ref": "x" * 121}, 400, "call_ref"), ({"source": None}, 400, "source"),
    ],
)  # fmt: skip
def test_what_cannot_be_reserved(
    line: Source, alice: User, billing: Team, said: dict[str, Any], status: int, words: str
) -> None:
    Source.objects.create(name="B", slug="billing-line", team=billing)
    answer = program_of(alice).post(
        PATH, json.dumps({"source": "pbx", "call_ref": "x"} | said), "application/json"
    )
    assert answer.status_code == status and words in json.dumps(answer.json()), answer.content


@pytest.mark.django_db
def test_too_many_and_nobody_home(line: Source, alice: User, settings: Any, monkeypatch: Any) -> None:
    client, asked = program_of(alice), {"source": "pbx", "call_ref": "x"}
    monkeypatch.setattr(reservations, "MOST_WAITING", 2)
    assert client.post(PATH, asked, "application/json").status_code == 201
    assert client.post(PATH, asked, "application/json").status_code == 409
    settings.AUDIOSOCKET_PUBLIC = ""
    assert "AUDIOSOCKET" in client.post(PATH, asked, "application/json").json()["detail"]
    settings.AUDIOSOCKET_PUBLIC, settings.REDIS_URL = "x:1", "redis://127.0.0.1:1/0"
    assert client.post(PATH, asked, "application/json").status_code == 503


def test_where_it_listens_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    from empathy_dash import env

    for wrong in ("9092", "host:", ":1", "host:0", "host:99999", "host:x"):
        monkeypatch.setenv("AUDIOSOCKET", wrong)
        with pytest.raises(env.EnvError, match="HOST:PORT"):
            env.address("AUDIOSOCKET")
