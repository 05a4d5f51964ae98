"""A phone system to try things with: plays recordings as a real Twilio Media Stream.

Only the wire is real; who calls is made up. Sees nothing of the inside but the secret it signs with.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from scoring.audio import encode_mulaw, read_recording

FRAME_MS = 20
FRAME_BYTES = 160
MAX_SPEED = 2.0
SILENCE = b"\xff"


class SimulationError(Exception):
    """What went wrong and what to do, for the person who started it."""


@dataclass(frozen=True)
class Sides:
    """Both legs of a call, 8 kHz mu-law, equally long."""

    customer: bytes
    agent: bytes

    @property
    def seconds(self) -> float:
        return len(self.customer) / 8000


def sides(customer: bytes, agent: bytes) -> Sides:
    """Pads the shorter one with silence, and both to a whole frame."""
    longest = max(len(customer), len(agent))
    whole = -(-longest // FRAME_BYTES) * FRAME_BYTES
    return Sides(customer.ljust(whole, SILENCE), agent.ljust(whole, SILENCE))


def read_two(customer: str | Path, agent: str | Path) -> Sides:
    """One file a side; if one has several channels, its first. Raises scoring.audio.AudioError."""
    first, second = (encode_mulaw(read_recording(path).samples[0]) for path in (customer, agent))
    return sides(first, second)


def read_stereo(path: str | Path) -> Sides:
    """Left is the customer, right the agent. Raises scoring.audio.AudioError, SimulationError."""
    recording = read_recording(path)
    if recording.channels != 2:
        raise SimulationError(
            f"{path} has {recording.channels} channel(s), not two. Give each side its own file with "
            "--customer and --agent."
        )
    left, right = (encode_mulaw(channel) for channel in recording.samples)
    return sides(left, right)


def _sid(prefix: str) -> str:
    return prefix + secrets.token_hex(16)


@dataclass(frozen=True)
class Plan:
    """One call to play."""

    url: str
    """Where to connect."""
    signature: str
    """X-Twilio-Signature over the address that the source is configured with."""
    legs: Mapping[str, bytes]
    """Track (inbound, outbound) → mu-law."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    speed: float = 1.0
    call_sid: str = field(default_factory=lambda: _sid("CA"))
    stream_sid: str = field(default_factory=lambda: _sid("MZ"))


def legs(both: Sides, roles: Mapping[str, str]) -> dict[str, bytes]:
    """The tracks of a source whose roles map tracks to channels."""
    return {track: both.customer if role == "customer" else both.agent for track, role in roles.items()}


async def play(
    plan: Plan, *, started: Callable[[], None] = lambda: None, stop: asyncio.Event | None = None
) -> float:
    """Play to the end, or until `stop`; returns seconds of audio sent. SimulationError says why not."""
    try:
        connection = await websockets.connect(
            plan.url,
            additional_headers={"X-Twilio-Signature": plan.signature, "User-Agent": "TwilioMediaStreams/sim"},
            compression=None,
            open_timeout=10,
            user_agent_header=None,
        )
    except InvalidStatus as error:
        raise SimulationError(_refused(plan, error.response.status_code)) from error
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise SimulationError(
            f"Nothing answers at {plan.url} ({error}). Is the media process running? `make demo` starts "
            "everything; --url says where it listens."
        ) from error
    async with connection:
        try:
            return await _talk(connection, plan, started, stop or asyncio.Event())
        except ConnectionClosed as error:
            code, reason = connection.close_code, connection.close_reason or "no reason given"
            raise SimulationError(f"The server ended the stream: {code}, {reason}.") from error


def _refused(plan: Plan, status: int) -> str:
    if status == 403:
        return (
            f"{plan.url} refused the call (403): the source is unknown or disabled, or its secret or public "
            "address differ from those that signed this call (MEDIA_PUBLIC_URL must be the same for both)."
        )
    return f"{plan.url} answered {status} instead of taking the call."


async def _talk(
    connection: ClientConnection, plan: Plan, started: Callable[[], None], stop: asyncio.Event
) -> float:
    sequence = 0

    async def send(event: str, body: Mapping[str, object]) -> None:
        nonlocal sequence
        sequence += 1
        message = {"event": event, "sequenceNumber": str(sequence), "streamSid": plan.stream_sid, **body}
        await connection.send(json.dumps(message, separators=(",", ":")))

    await connection.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
    await send("start", {"start": _start(plan)})
    started()
    loop = asyncio.get_running_loop()
    begin, tick, chunk = loop.time(), 0, 0
    frames = max(len(audio) for audio in plan.legs.values()) // FRAME_BYTES
    while tick < frames and not stop.is_set():
        for track, audio in plan.legs.items():
            chunk += 1
            payload = audio[tick * FRAME_BYTES : (tick + 1) * FRAME_BYTES]
            media = {
                "track": track,
                "chunk": str(chunk),
                "timestamp": str(tick * FRAME_MS),
                "payload": base64.b64encode(payload).decode(),
            }
            await send("media", {"media": media})
        tick += 1
        await _until(begin + tick * FRAME_MS / 1000 / plan.speed, stop)
    await send("stop", {"stop": {"accountSid": "ACsimulated", "callSid": plan.call_sid}})
    await connection.close()
    return tick * FRAME_MS / 1000


async def _until(at: float, stop: asyncio.Event) -> None:
    """Sleep until loop time `at`; late ticks catch up at once."""
    wait_s = at - asyncio.get_running_loop().time()
    if wait_s > 1:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait_s)
    elif wait_s > 0:
        await asyncio.sleep(wait_s)


def _start(plan: Plan) -> dict[str, object]:
    return {
        "accountSid": "ACsimulated",
        "streamSid": plan.stream_sid,
        "callSid": plan.call_sid,
        "tracks": list(plan.legs),
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": dict(plan.parameters),
    }
