"""Asterisk's AudioSocket: frames over plain TCP, one connection a leg, known by a UUID that was reserved.

`Frames` and `Talk` are pure. The UUID is all that proves who calls, so it is good once and soon; the
listener is meant for loopback, a VPN or a TLS tunnel. Nothing is ever sent back.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress

import structlog
from django.conf import settings

from calls import reservations
from calls.access import MediaSource
from calls.ingest import auth, door, talking
from calls.ingest.door import POLICY
from calls.ingest.formats import AudioFormat, Encoding
from calls.ingest.hub import DOWN, TRY_LATER, Hub, Refused
from calls.ingest.sources import networks_of
from calls.ingest.words import Audio, Begin, Dtmf, End, Ignored, Malformed, Mute, Said, Unusable
from calls.reservations import Reserved

log = structlog.get_logger(__name__)

HANGUP, NAME, KEY, AUDIO, ERROR = 0x00, 0x01, 0x03, 0x10, 0xFF
RATES_HZ = (8000, 12000, 16000, 24000, 32000, 44100, 48000, 96000, 192000)
"""Of kinds 0x10, 0x11 …"""
NAME_BYTES = 3 + 16
NAME_S = 5.0
"""From the connection to its UUID; Asterisk sends it at once."""
QUIET_S = 600.0
"""A leg on hold may send nothing for minutes, and Asterisk does not connect again; a peer that is gone is
found out by keep-alives."""
KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
CHUNK = 16 * 1024


class Frames:
    """Kind and payload of each frame, however the bytes were cut: kind(1), length(2, big endian), payload.
    Holds at most one frame, 64 KiB."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, part: bytes) -> list[tuple[int, bytes]]:
        rest, found, at = self._rest, [], 0
        rest += part
        while len(rest) - at >= 3:
            end = at + 3 + int.from_bytes(rest[at + 1 : at + 3], "big")
            if len(rest) < end:
                break
            found.append((rest[at], bytes(rest[at + 3 : end])))
            at = end
        del rest[:at]
        return found

    @property
    def whole(self) -> bool:
        """Whether nothing of a frame waits for its end."""
        return not self._rest


class Talk(Mute):
    """A leg whose reservation is known. Its first audio says the rate, and so begins the call."""

    def __init__(self, reserved: Reserved) -> None:
        self.reserved = reserved
        self.frames = Frames()
        self._kind = -1
        self._odd = b""

    def hear(self, frame: str | bytes) -> Iterable[Said]:
        for kind, payload in self.frames.feed(frame if isinstance(frame, bytes) else frame.encode()):
            yield from self._one(kind, payload)

    def _one(self, kind: int, payload: bytes) -> Iterable[Said]:
        if AUDIO <= kind < AUDIO + len(RATES_HZ):
            yield from self._audio(kind, payload)
        elif kind == HANGUP:
            yield End()
        elif kind == KEY:
            yield Dtmf()
        elif kind == NAME:
            yield Malformed("named twice")
        else:
            yield Ignored()

    def _audio(self, kind: int, payload: bytes) -> Iterable[Said]:
        legs = (self.reserved.role,)
        if self._kind < 0:
            self._kind = kind
            yield self._begin()
        if kind != self._kind:
            yield Unusable("audio format: the rate changed in mid-call")
            return
        whole = self._odd + payload  # half a sample may be cut off at a frame's end
        self._odd = whole[len(whole) & ~1 :]
        if whole := whole[: len(whole) & ~1]:
            yield Audio(legs, None, whole)

    def _begin(self) -> Begin:
        told, rate = self.reserved, RATES_HZ[self._kind - AUDIO]
        if self._kind == AUDIO and told.rate_hz:
            rate = told.rate_hz
        wire = AudioFormat(Encoding.S16LE, rate)
        ref = f"{told.call_ref}.{told.role}.{uuid.uuid4().hex[:12]}"
        return Begin(told.call_ref, ref, (told.role,), wire, told.parameters, sparse=True)


async def open_door(hub: Hub) -> Door:
    """Listening at AUDIOSOCKET. OSError where that cannot be; ValueError unless HOST:PORT."""
    host, _, port = settings.AUDIOSOCKET.rpartition(":")
    found = Door(hub)
    found.server = await asyncio.start_server(
        found.connected, host.strip("[]") or "127.0.0.1", int(port), limit=CHUNK, reuse_port=True
    )
    return found


class Door:
    """All AudioSocket connections of one process."""

    server: asyncio.Server

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        _keep_alive(writer.get_extra_info("socket"))
        try:
            await self._serve(Socket(reader), str((writer.get_extra_info("peername") or ("",))[0]))
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Exception:
            log.exception("an AudioSocket broke")
        finally:
            self._tasks.discard(task)
            with suppress(Exception):
                writer.close()

    async def close(self) -> None:
        """No new ones; those that run end, and flush what they have."""
        self.server.close()
        for task in set(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=20)

    async def _serve(self, carrier: Socket, peer: str) -> None:
        slug = ""
        try:
            source, reserved = await self._known(carrier, peer)
            slug = source.slug
            await self._stream(carrier, source, reserved)
        except Refused as refusal:
            door.refuse(refusal, slug)
            if slug:
                self.hub.refused(slug, refusal.reason)
            if not slug:
                await asyncio.sleep(door.REFUSAL_DELAY_S)

    async def _known(self, carrier: Socket, peer: str) -> tuple[MediaSource, Reserved]:
        """Whose leg this is. One answer for all that is wrong: the connection is closed."""
        known = await door.all_sources(self.hub)
        if not _may_come(known, peer) and not _may_come(await self.hub.sources.newer(), peer):
            raise Refused(POLICY, "address not allowed")
        place = self.hub.unproved.take(peer)
        try:
            async with asyncio.timeout(NAME_S):
                first = await carrier.reader.readexactly(NAME_BYTES)
        except (TimeoutError, asyncio.IncompleteReadError):
            raise Refused(POLICY, "no start") from None
        finally:
            place.leave()
        if first[:3] != bytes((NAME, 0, 16)):
            raise Refused(POLICY, "no start")
        try:
            reserved = await reservations.take(self.hub.writer.client, uuid.UUID(bytes=first[3:]))
        except DOWN:
            raise Refused(TRY_LATER, "cannot check the token") from None
        if reserved is None:
            raise Refused(POLICY, "unknown reservation")
        source = await door.find_source(self.hub, reserved.source)
        if source is None or not source.enabled or source.protocol != "audiosocket":
            raise Refused(POLICY, "unknown source")
        if not door.is_from(source.networks, peer):
            self.hub.refused(source.slug, "address not allowed")
            raise Refused(POLICY, "address not allowed")
        return source, reserved

    async def _stream(self, carrier: Socket, source: MediaSource, reserved: Reserved) -> None:
        talk = Talk(reserved)
        # A leg may say nothing for a while: its channel sends audio only when it has some.
        begun = await talking.wait_for_begin(carrier, talk, QUIET_S)
        if begun is None:
            return
        begin, rest = begun
        if source.one_time_tokens_required:  # the reservation was one
            begin = begin._replace(token=auth.mint_token(source, begin.call_ref))
        line = await door.admit(self.hub, source, begin, {})
        # Newer Asterisks say no goodbye.
        await talking.attend(
            carrier, line, talk, rest,
            cut_off=lambda: "The call ended." if talk.frames.whole else talking.CUT_OFF, idle_s=QUIET_S,
        )  # fmt: skip


def _may_come(sources: Mapping[str, MediaSource], peer: str) -> bool:
    networks = networks_of(sources.values(), "audiosocket")
    return networks is not None and door.is_from(networks, peer)


def _keep_alive(line: socket.socket) -> None:
    with suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if option := getattr(socket, name, None):  # macOS lacks the first
                line.setsockopt(socket.IPPROTO_TCP, option, value)


class Socket:
    """A TCP connection, as `talking` reads it."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader

    async def frame(self) -> bytes | None:
        return await self.reader.read(CHUNK) or None

    async def say(self, texts: Iterable[str]) -> None:
        """AudioSocket has no words."""
