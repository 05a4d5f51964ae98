"""Send a call to Empathy Dash by its own stream (empathy.v1). One file, to be copied; needs websockets.

    async with CallStream(url, "C1", secret="…", rate=16000) as call:
        await call.send(samples)          # int16 little endian, customer and agent interleaved
        await call.tell("agent", 2000, 3500, "How can I help?")   # only if you transcribe yourself
        await call.pause(); ...; await call.resume(skipped_ms=8000)

Without a secret, give `fresh_ticket`, which asks your own server for one: it is good for one connection.
A broken connection is made again by itself, and what the server had not acknowledged is sent again, so
nothing is lost unless the line stays away for longer than `keep_s`. From a shell, two files of raw samples:

    python empathy_stream.py wss://calls.example.com/media/stream/main/ C1 caller.raw agent.raw --rate 16000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

SUBPROTOCOL = websockets.Subprotocol("empathy.v1")
FRAME_MS = 100
WAITS_S = (0.2, 0.5, 1, 2, 4, 8, 15)


class Refused(RuntimeError):
    """The server does not take the call, and another try would not help: its words say why."""


class CallStream:
    """One call. `send` waits only while the line is away or slow; Refused ends it."""

    def __init__(
        self,
        url: str,
        call_ref: str,
        *,
        secret: str = "",
        ticket: str = "",
        fresh_ticket: Callable[[], Awaitable[str]] | None = None,
        rate: int = 8000,
        channels: tuple[str, ...] = ("customer", "agent"),
        parameters: dict[str, str] | None = None,
        keep_s: float = 30.0,
    ) -> None:
        self.url, self.call_ref, self.rate, self.channels = url, call_ref, rate, channels
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        self.ticket, self.fresh_ticket, self.parameters = ticket, fresh_ticket, parameters or {}
        self.sample_bytes = 2 * len(channels)
        self.sent = 0
        """Samples of each channel."""
        self.acknowledged = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self._keep = int(keep_s * rate)
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._refused: Refused | None = None

    async def __aenter__(self) -> CallStream:
        await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None and self._refused is None:
            try:
                await self._socket.send('{"type": "stop"}')
                await asyncio.wait_for(self._socket.wait_closed(), 10)
            except (ConnectionClosed, TimeoutError):
                pass
        if self._reader is not None:
            self._reader.cancel()
        if self._socket is not None:
            await self._socket.close()

    async def send(self, samples: bytes) -> None:
        """Interleaved int16 samples, little endian, as they are spoken: not faster than twice real time."""
        if len(samples) % self.sample_bytes:
            raise ValueError(
                f"{len(samples)} bytes are no whole number of samples of {len(self.channels)} channels"
            )
        self._kept.append((self.sent, samples))
        self.sent += len(samples) // self.sample_bytes
        while self._kept and self._kept[0][0] < self.sent - self._keep:
            self._kept.popleft()
        await self._say(samples)

    async def tell(
        self, channel: str, start_ms: int, end_ms: int, text: str, confidence: float = 1.0
    ) -> None:
        """A turn that you transcribed, where the source says that you do."""
        turn = {"type": "turn", "channel": channel, "start_ms": start_ms, "end_ms": end_ms, "text": text}
        await self._say(json.dumps(turn | {"confidence": confidence}))

    async def consent(self, said: str) -> None:
        """What the caller was told ("notice") or answered ("yes", "no") about being analysed."""
        await self._say(json.dumps({"type": "consent", "said": said}))

    async def pause(self, since_sample: int | None = None) -> None:
        """Nothing from now on may be kept; nor what was sent since that sample."""
        said: dict[str, Any] = {"type": "pause"}
        await self._say(json.dumps(said if since_sample is None else said | {"from": since_sample}))

    async def resume(self, skipped_ms: int = 0) -> None:
        await self._say(json.dumps({"type": "resume", "skipped": skipped_ms * self.rate // 1000}))

    async def _say(self, message: str | bytes) -> None:
        while True:
            if self._refused:
                raise self._refused
            try:
                assert self._socket is not None
                await self._socket.send(message)
                return
            except ConnectionClosed:
                again = await self._again()
                if again and isinstance(message, bytes):
                    return  # it was sent again with the rest

    async def _again(self) -> bool:
        for wait in WAITS_S:
            if self._refused:
                raise self._refused
            try:
                await self._connect(resume=True)
                return True
            except (OSError, ConnectionClosed, websockets.InvalidHandshake, TimeoutError):
                await asyncio.sleep(wait)
        raise ConnectionError(f"{self.url} does not answer any more")

    async def _connect(self, *, resume: bool = False) -> None:
        if self._reader is not None:
            self._reader.cancel()
        self._socket = await websockets.connect(
            self.url, additional_headers=self.headers, subprotocols=[SUBPROTOCOL], compression=None
        )
        start: dict[str, Any] = {
            "type": "start", "call_ref": self.call_ref, "format": "pcm_s16le", "rate": self.rate,
            "channels": list(self.channels), "parameters": self.parameters,
        }  # fmt: skip
        if self.fresh_ticket is not None and not self.ticket:
            self.ticket = await self.fresh_ticket()
        if self.ticket:
            start["ticket"], self.ticket = self.ticket, ""  # good once
        if resume:
            start["resume_from"] = self.acknowledged
        await self._socket.send(json.dumps(start))
        told = json.loads(await asyncio.wait_for(self._socket.recv(), 10))
        if told.get("type") != "started":
            self._note(told)
            raise self._refused or ConnectionError(str(told))
        self._reader = asyncio.create_task(self._read(self._socket))
        for at, samples in list(self._kept):
            rest = samples[max(0, self.acknowledged - at) * self.sample_bytes :]
            if rest:
                await self._socket.send(rest)

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                self._note(json.loads(message))
        except ConnectionClosed:
            pass

    def _note(self, told: dict[str, Any]) -> None:
        if told.get("type") == "ack":
            self.acknowledged = max(self.acknowledged, int(told["samples"]))
            while (
                self._kept
                and self._kept[0][0] + len(self._kept[0][1]) // self.sample_bytes <= self.acknowledged
            ):
                self._kept.popleft()
        elif told.get("type") == "error" and not told.get("retryable"):
            self._refused = Refused(f"{told.get('code')}: {told.get('message')}")


async def play(url: str, call_ref: str, customer: bytes, agent: bytes, rate: int, secret: str) -> int:
    """Two voices of raw int16 samples in real time; how many samples of each were sent."""
    size = max(len(customer), len(agent)) // 2 * 2
    customer, agent = customer.ljust(size, b"\0"), agent.ljust(size, b"\0")
    step = rate * FRAME_MS // 1000 * 2
    async with CallStream(url, call_ref, secret=secret, rate=rate) as call:
        began = asyncio.get_running_loop().time()
        for n, at in enumerate(range(0, size, step)):
            woven = bytearray(2 * len(customer[at : at + step]))
            for byte in (0, 1):
                woven[byte::4] = customer[at + byte : at + step : 2]
                woven[2 + byte :: 4] = agent[at + byte : at + step : 2]
            await call.send(bytes(woven))
            await asyncio.sleep(max(0, began + (n + 1) * FRAME_MS / 1000 - asyncio.get_running_loop().time()))
        return call.sent


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Play two voices as a live call. The secret comes from EMPATHY_SECRET."
    )
    parser.add_argument("url")
    parser.add_argument("call_ref")
    parser.add_argument("customer", type=Path)
    parser.add_argument("agent", type=Path)
    parser.add_argument("--rate", type=int, default=8000)
    said = parser.parse_args()
    sound = said.customer.read_bytes(), said.agent.read_bytes()
    sent = asyncio.run(play(said.url, said.call_ref, *sound, said.rate, os.environ.get("EMPATHY_SECRET", "")))
    print(f"{sent / said.rate:.1f} s sent")


if __name__ == "__main__":
    main()
