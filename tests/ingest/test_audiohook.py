"""Genesys AudioHook as a real process hears it: who is let in, what a probe, a pause, a reconnect and a refusal leave."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from typing import Any

import pytest
import websockets
from websockets.exceptions import InvalidStatus

from calls.access import MediaSource
from calls.buffer import Ledger
from calls.models import Call
from tests.ingest.conftest import audio_of
from tests.ingest.peers import (
    AGENT,
    CUSTOMER,
    HIGH,
    LOW,
    MEDIA,
    Hook,
    address,
    hook,
    hook_headers,
    woven,
)
from tests.ingest.test_door import call_named, ended, until
from tests.servers import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real]


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
