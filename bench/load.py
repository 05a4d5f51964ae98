"""Plays many demo calls at real time over the real Twilio protocol, spending little CPU on it.

Frames are built once per call as finished WebSocket frames (masked with a zero key), so that on a
machine of two cores the load generator does not become the load.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urlsplit

from calls import demo
from calls.ingest.auth import sign
from scoring.audio import encode_mulaw, read_recording

FRAME_SAMPLES = 160
FRAME_S = 0.02


@dataclass
class Played:
    """One call as it was sent."""

    label: str
    slug: str
    started: float = 0.0
    """time.time() at the first frame."""
    ends_ms: list[int] = field(default_factory=list)
    """When each customer turn ends, in media time."""
    late_s: float = 0.0
    """The furthest that sending fell behind real time."""


@cache
def tracks(slug: str) -> tuple[bytes, bytes]:
    """mu-law of (customer, agent)."""
    recording = read_recording(demo.load(slug).audio_path)
    customer, agent = recording.samples[:2]
    return encode_mulaw(customer), encode_mulaw(agent)


async def play(address: str, secret: str, public_url: str, call: Played, seconds: float, agent: str) -> None:
    """Stream a demo call, from its beginning and again, for `seconds`; then stop and close."""
    script = demo.load(call.slug)
    turns = [turn.end_ms for turn in script.turns if turn.who == "customer"]
    reader, writer = await _open(address, sign(secret, public_url))
    pings = asyncio.create_task(_answer_pings(reader, writer))
    stream = f"MZ{os.urandom(16).hex()}"
    parameters = {"agent": agent, "queue": script.queue, "label": call.label}
    start = {
        "streamSid": stream,
        "accountSid": "ACbench",
        "callSid": f"CA{os.urandom(16).hex()}",
        "tracks": ["inbound", "outbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters,
    }
    _send(writer, {"event": "connected", "protocol": "Call", "version": "1.0.0"})
    _send(writer, {"event": "start", "sequenceNumber": "1", "streamSid": stream, "start": start})
    audio = tracks(call.slug)
    frames = min(int(seconds / FRAME_S), len(audio[0]) // FRAME_SAMPLES)
    call.ends_ms = [end for end in turns if end < frames * 20 - 1500]
    call.started = time.time()
    began = asyncio.get_running_loop().time()
    for n in range(frames):
        wait = began + (n + 1) * FRAME_S - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)
        call.late_s = max(call.late_s, -wait)
        for track, wave in zip(("inbound", "outbound"), audio, strict=True):
            payload = base64.b64encode(wave[n * FRAME_SAMPLES : (n + 1) * FRAME_SAMPLES]).decode()
            media = f'"track":"{track}","chunk":"{n + 1}","timestamp":"{n * 20}","payload":"{payload}"'
            numbered = f'"event":"media","sequenceNumber":"{2 * n + 2}","streamSid":"{stream}"'
            writer.write(_frame(f'{{{numbered},"media":{{{media}}}}}'.encode()))
        if n % 50 == 0:
            await writer.drain()
    _send(writer, {"event": "stop", "streamSid": stream, "stop": {"accountSid": "ACbench"}})
    await writer.drain()
    writer.write(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(pings, 5)
    writer.close()


async def _answer_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The server closes a peer that does not answer; it sends nothing else but its own close."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            kind, size = await reader.readexactly(2)
            payload = await reader.readexactly(size)
            if kind == 0x89:
                writer.write(bytes([0x8A, 0x80 | size]) + b"\0\0\0\0" + payload)


async def _open(address: str, signature: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        f"X-Twilio-Signature: {signature}",
    )
    writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in answer.splitlines()[0]:
        raise ConnectionError(answer.splitlines()[0].decode())
    return reader, writer


def _send(writer: asyncio.StreamWriter, message: dict[str, object]) -> None:
    writer.write(_frame(json.dumps(message).encode()))


def _frame(text: bytes) -> bytes:
    """A client's text frame, masked with zeros (RFC 6455 §5.2)."""
    size = len(text)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + text
