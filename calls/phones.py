"""Phone systems to try things with, other than Twilio: what each would send for a call, and playing it.

Only the wire is real; who calls is made up. Knows no secrets: the headers that sign come from outside.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from calls.simulate import FRAME_BYTES, FRAME_MS, Sides, SimulationError
from scoring.audio import decode_mulaw

Frame = str | bytes


@dataclass(frozen=True)
class Phone:
    """One connection of a call."""

    path: str
    """After the media server's address, with its query."""
    headers: Mapping[str, str]
    opening: Sequence[Frame]
    frames: Callable[[], Iterator[Frame]]
    """One each FRAME_MS."""
    closing: Sequence[Frame] = ()
    subprotocols: Sequence[str] = ()
    answers: bool = False
    """The door answers the opening, and audio waits for that."""
    per_tick: int = 1
    """Frames each FRAME_MS."""


def linear(mulaw: bytes) -> bytes:
    return decode_mulaw(mulaw).astype("<i2").tobytes()


def _cut(audio: bytes, size: int) -> Callable[[], Iterator[bytes]]:
    return lambda: (audio[at : at + size] for at in range(0, len(audio), size))


def _woven(one: bytes, two: bytes, kind: str) -> bytes:
    return np.stack([np.frombuffer(one, kind), np.frombuffer(two, kind)], axis=1).tobytes()


def phones(
    protocol: str,
    path: str,
    headers: Mapping[str, str],
    both: Sides,
    call: str,
    said: Mapping[str, str],
    token: Callable[[], str] | None = None,
) -> list[Phone]:
    """The connections of one call through `protocol`; `headers` are those of AudioHook's signature, or
    an Authorization. `token`: makes a one-time token for each connection, where the source asks for them."""
    sounds = (("customer", both.customer), ("agent", both.agent))

    def more() -> dict[str, str]:
        return {**said, "token": token()} if token else dict(said)

    if protocol == "audiohook":
        return [_audiohook(path, headers, both, call, said)]
    if protocol == "stream":
        start = {"type": "start", "call_ref": call, "format": "pcm_s16le", "rate": 8000}
        start |= {"ticket": token()} if token else {}
        opening = json.dumps(start | {"channels": ["customer", "agent"], "parameters": dict(said)})
        audio = _woven(linear(both.customer), linear(both.agent), "<i2")
        closing = ('{"type":"stop"}',)
        return [
            Phone(path, headers, (opening,), _cut(audio, 4 * FRAME_BYTES), closing, ("empathy.v1",), True)
        ]
    if protocol == "freeswitch":
        query = urlencode({"call": call, "rate": "8000", "mix": "stereo", **said})
        audio = _woven(linear(both.customer), linear(both.agent), "<i2")
        metadata = (json.dumps({"token": token()}),) if token else ()
        return [Phone(f"{path}?{query}", headers, metadata, _cut(audio, 4 * FRAME_BYTES))]
    if protocol in ("asterisk", "vonage"):
        return [_leg(protocol, path, headers, role, sound, call, more()) for role, sound in sounds]
    if protocol == "exotel":  # a stream has one voice and names no track
        return [
            _family(protocol, path, headers, {"": sound}, call, {**more(), "role": role})
            for role, sound in sounds
        ]
    tracks = {"inbound": both.customer, "outbound": both.agent}
    return [_family(protocol, path, headers, tracks, call, more())]


def _leg(
    protocol: str, path: str, headers: Mapping[str, str], role: str, sound: bytes, call: str,
    said: Mapping[str, str],
) -> Phone:  # fmt: skip
    if protocol == "asterisk":
        query = urlencode({"call": call, "role": role, **said})
        name = f"channel:WebSocket/empathy/0x7f3a98012c40 channel_id:{uuid.uuid4()}"
        opening = f"MEDIA_START connection_id:empathy {name} format:ulaw optimal_frame_size:160 ptime:20"
        return Phone(f"{path}?{query}", headers, (opening,), _cut(sound, FRAME_BYTES), (), ("media",))
    connected = {"event": "websocket:connected", "content-type": "audio/l16;rate=8000"}
    opening = json.dumps({**connected, "call": call, "role": role, **said})
    return Phone(path, headers, (opening,), _cut(linear(sound), 2 * FRAME_BYTES))


def _audiohook(
    path: str, headers: Mapping[str, str], both: Sides, call: str, said: Mapping[str, str]
) -> Phone:
    def message(seq: int, kind: str, serverseq: int, **parameters: object) -> str:
        found = {"version": "2", "id": headers["Audiohook-Session-Id"], "type": kind, "seq": seq}
        return json.dumps(found | {"serverseq": serverseq, "position": "PT0S", "parameters": parameters})

    media = {"type": "audio", "format": "PCMU", "channels": ["external", "internal"], "rate": 8000}
    opening = message(1, "open", 0, conversationId=call, media=[media], customConfig=dict(said))
    audio = _woven(both.customer, both.agent, "u1")
    frames = _cut(audio, 2 * FRAME_BYTES)
    return Phone(path, headers, (opening,), frames, (message(2, "close", 1, reason="end"),), (), True)


_NAMES = {  # encoding, call, stream
    "telnyx": ("PCMU", "call_session_id", "stream_id"),
    "plivo": ("audio/x-l16", "callId", "streamId"),
    "exotel": ("base64", "call_sid", "stream_sid"),
}


def _family(
    protocol: str, path: str, headers: Mapping[str, str], tracks: Mapping[str, bytes], call: str,
    said: Mapping[str, str],
) -> Phone:  # fmt: skip
    """`tracks`: sound by the name of its track, "" where the phone system names none."""
    stream = uuid.uuid4().hex
    snake = protocol in ("telnyx", "exotel")
    encoding, call_name, stream_name = _NAMES.get(protocol, ("audio/x-mulaw", "callSid", "streamSid"))
    form: dict[str, object] = {"encoding": encoding, "sample_rate" if snake else "sampleRate": 8000}
    if protocol == "exotel":
        form = {"encoding": encoding, "sample_rate": "8000", "bit_rate": "128kbps"}
    more: dict[str, object] = {"media_format" if snake else "mediaFormat": form}
    more["custom_parameters" if snake else "customParameters"] = dict(said)
    if not snake:
        more["tracks"] = list(tracks)
    start = {stream_name: stream, call_name: call, **more}
    opening = json.dumps({"event": "start", stream_name: stream, "start": start})
    linear_too = encoding in ("audio/x-l16", "base64")

    def frames() -> Iterator[Frame]:
        for n, at in enumerate(range(0, max(map(len, tracks.values())), FRAME_BYTES)):
            for track, sound in tracks.items():
                part = sound[at : at + FRAME_BYTES]
                payload = base64.b64encode(linear(part) if linear_too else part).decode()
                media = {"chunk": str(n + 1), "timestamp": str(n * FRAME_MS), "payload": payload}
                if track:
                    media["track"] = track
                yield json.dumps({"event": "media", stream_name: stream, "media": media})

    closing = ('{"event":"stop"}',)
    return Phone(path, headers, (opening,), frames, closing, per_tick=len(tracks))


async def play_audiosocket(
    address: str,
    legs: Sequence[tuple[uuid.UUID, bytes]],
    *,
    speed: float = 1.0,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Legs (their reserved UUID, mu-law) as Asterisk sends them to `address`, HOST:PORT. SimulationError."""
    host, _, port = address.rpartition(":")
    try:
        sockets = [await asyncio.open_connection(host.strip("[]"), int(port)) for _ in legs]
    except (OSError, ValueError) as error:
        raise SimulationError(
            f"Nothing answers at {address or 'AUDIOSOCKET'} ({error}): the media process listens where its "
            "AUDIOSOCKET says."
        ) from error
    started()
    loop, begin = asyncio.get_running_loop(), asyncio.get_running_loop().time()

    async def one(writer: asyncio.StreamWriter, name: uuid.UUID, sound: bytes) -> None:
        try:
            writer.write(b"\x01\x00\x10" + name.bytes)
            for n, at in enumerate(range(0, len(sound), FRAME_BYTES)):
                part = linear(sound[at : at + FRAME_BYTES])
                writer.write(b"\x10" + len(part).to_bytes(2, "big") + part)
                await writer.drain()
                await asyncio.sleep(max(0, begin + (n + 1) * FRAME_MS / 1000 / speed - loop.time()))
            writer.write(b"\x00\x00\x00")
            await writer.drain()
        except ConnectionError as error:
            raise SimulationError(f"The server ended the stream ({error}).") from error
        finally:
            writer.close()

    await asyncio.gather(*(one(w, name, sound) for (_, w), (name, sound) in zip(sockets, legs, strict=True)))


async def connect(phone: Phone, base_url: str) -> ClientConnection:
    """Connected, and answered where the protocol answers. SimulationError says why not."""
    url = base_url.rstrip("/") + phone.path
    try:
        connection = await websockets.connect(
            url,
            additional_headers=dict(phone.headers),
            subprotocols=[websockets.Subprotocol(name) for name in phone.subprotocols] or None,
            compression=None,
            open_timeout=30,
        )
    except InvalidStatus as error:
        raise SimulationError(
            f"{url.partition('?')[0]} answered {error.response.status_code}: the source is unknown or "
            "disabled, or its secret, protocol or public address differ from those that signed this call."
        ) from error
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise SimulationError(
            f"Nothing answers at {base_url} ({error}). Is the media process running? `make demo` starts "
            "everything; --url says where it listens."
        ) from error
    for frame in phone.opening:
        await connection.send(frame)
    if phone.answers:
        answer = json.loads(await asyncio.wait_for(connection.recv(), 10))
        if answer.get("type") not in ("opened", "started"):
            raise SimulationError(f"The server said {answer.get('type')}: {answer}.")
    return connection


async def play(
    calls: Sequence[Phone], base_url: str, *, speed: float = 1.0, started: Callable[[], None] = lambda: None
) -> None:
    """Every connection of a call to its end. SimulationError says what went wrong."""

    async def one(phone: Phone, connection: ClientConnection) -> None:
        reading = asyncio.create_task(_read(connection))
        try:
            begin, loop = asyncio.get_running_loop().time(), asyncio.get_running_loop()
            for n, frame in enumerate(phone.frames()):
                await connection.send(frame)
                wait_s = begin + (n // phone.per_tick + 1) * FRAME_MS / 1000 / speed - loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
            for frame in phone.closing:
                await connection.send(frame)
            if phone.answers:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(reading), 5)
        except ConnectionClosed as error:
            code, why = connection.close_code, connection.close_reason or "no reason given"
            raise SimulationError(f"The server ended the stream: {code}, {why}.") from error
        finally:
            reading.cancel()
            await connection.close()

    connections = [await connect(phone, base_url) for phone in calls]
    started()
    await asyncio.gather(*(one(p, c) for p, c in zip(calls, connections, strict=True)))


async def _read(connection: ClientConnection) -> None:
    """Until `closed`, or until the other side is gone."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            said = await connection.recv()
            if isinstance(said, str) and '"closed"' in said:
                return
