"""What the streams of one process share: the flusher that writes their hops every FLUSH_S.

One write for all streams, then a wake-up for the workers. While the buffer is down or full, each
stream keeps HOLD_HOPS in memory; older hops are dropped and counted. It recovers by itself.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import structlog
from celery import current_app
from django.conf import settings
from django.db import connection, connections

from calls import health, metrics, transcripts
from calls.buffer import CLAIM_HOPS, PAUSED, RedisError, StoredPiece, Writer
from calls.ingest.session import SILENCE, Hop, Session
from calls.ingest.sources import Sources
from scoring import given
from scoring.types import HOP_MS, HOP_SAMPLES, Channel

log = structlog.get_logger(__name__)
T = TypeVar("T")

FLUSH_S = 0.1
HOLD_HOPS = 2 * 20_000 // HOP_MS
"""20 s of two channels."""
WRITE_HOPS = 256
"""In one write, about 1 MB, so that no write holds Redis up for long."""
MAX_WAKES = 4
PURGE_TRIES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
MOST_UNPROVED, MOST_UNPROVED_THERE = 1000, 300
"""Connections that have not proved who they are: in all, and of one address (a phone system may open hundreds
of calls at once; each is through in a moment)."""
DOWN = (RedisError, OSError, TimeoutError)


TRY_LATER = 1013


class Refused(Exception):
    """The stream is not taken, or not any longer; `code` is its close code (RFC 6455's numbers)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Place:
    """Of one connection that has not proved who it is."""

    def __init__(self, taken: Counter[str], peer: str) -> None:
        self._taken, self._peer, self._here = taken, peer, True
        taken[peer] += 1

    def leave(self) -> None:
        """It has, or is gone; harmless twice."""
        if self._here:
            self._here = False
            self._taken[self._peer] -= 1
            if not self._taken[self._peer]:
                del self._taken[self._peer]


class Unproved:
    """How many connections there are whose sender is not known yet: in all, and of each address."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, peer: str) -> Place:
        """Refused when there are too many."""
        if self._taken.total() >= MOST_UNPROVED or self._taken[peer] >= MOST_UNPROVED_THERE:
            raise Refused(TRY_LATER, "full")
        return Place(self._taken, peer)


class Waiting(NamedTuple):
    hop: Hop
    received_ms: int


@dataclass(eq=False)
class Stream:
    """One live media stream, as the flusher sees it."""

    source: str
    session: Session
    channels: frozenset[Channel] = frozenset(Channel)
    ref: str = ""
    call_id: str = ""
    """"" until the call's row exists; its hops wait for it."""
    base_index: int = 0
    """Hop of the call at which this stream begins."""
    waiting: deque[Waiting] = field(default_factory=deque)
    told: list[given.Said] = field(default_factory=list)
    """Turns that the platform transcribed, to be handed on."""
    told_too_many: int = 0
    superseded: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    end_early: Callable[[], None] = lambda: None

    @property
    def begins_ms(self) -> int:
        """Where in the call its clock is 0."""
        return self.base_index * HOP_MS + self.session.shift_ms

    def add(self, hops: list[Hop]) -> None:
        now = int(time.time() * 1000)
        self.waiting.extend(Waiting(hop, now) for hop in hops)

    def silence(self, span: tuple[int, int]) -> None:
        """Nothing that waits keeps its sound between these samples of the stream."""
        for place, (hop, received_ms) in enumerate(self.waiting):
            size = len(hop.payload)
            start, stop = (min(size, max(0, edge - hop.index * HOP_SAMPLES)) for edge in span)
            if start < stop:
                quiet = hop.payload[:start] + SILENCE * (stop - start) + hop.payload[stop:]
                self.waiting[place] = Waiting(Hop(hop.channel, hop.index, quiet), received_ms)

    def stored_ms(self) -> int:
        """Up to where of the stream everything lies in the buffer."""
        first: dict[Channel, int] = {}
        for hop, _ in self.waiting:
            first[hop.channel] = min(hop.index, first.get(hop.channel, hop.index))
        return self.session.stored_ms(self.channels, first)

    def drop_oldest(self, keep: int) -> None:
        while len(self.waiting) > keep:
            self.session.dropped(self.waiting.popleft().hop)
            metrics.MEDIA_HOPS.labels("dropped").inc()


class Hub:
    """Lives in one event loop; made on its first stream."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.streams: set[Stream] = set()
        self.full_until = 0.0
        self.stopping = False
        self._down = False
        self._turn = 0
        self._flushing = asyncio.Lock()
        self._database = ThreadPoolExecutor(4, thread_name_prefix="media-db")
        self._lookup = ThreadPoolExecutor(1, thread_name_prefix="media-sources")
        self._waking = False
        self._flusher: asyncio.Task[None] | None = None
        self._meter = health.Meter()
        self._notes: set[asyncio.Task[None]] = set()
        self.sources = Sources(partial(self._run_query, self._lookup))  # not behind the rows of 200 calls
        self.unproved = Unproved()

    # -- streams

    def join(self, stream: Stream) -> None:
        self.streams.add(stream)
        metrics.MEDIA_STREAMS.inc()
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._run())

    def leave(self, stream: Stream) -> None:
        self.streams.discard(stream)
        metrics.MEDIA_STREAMS.dec()
        stream.gone.set()

    def of_call(self, call_id: str, channels: frozenset[Channel]) -> list[Stream]:
        """Streams that carry any of these channels of the call."""
        return [s for s in self.streams if s.call_id == call_id and s.channels & channels]

    def full_for(self, source: str) -> bool:
        """Whether a new stream would be one too many here, or the buffer takes no more."""
        if len(self.streams) >= settings.MEDIA_MAX_STREAMS or time.monotonic() < self.full_until:
            return True
        here = sum(1 for s in self.streams if s.source == source)
        return here >= settings.MEDIA_MAX_STREAMS_PER_SOURCE

    # -- threads

    async def database(self, do: Callable[[], T]) -> T:
        """Run a query off the loop."""
        return await self._run_query(self._database, do)

    async def _run_query(self, threads: ThreadPoolExecutor, do: Callable[[], T]) -> T:
        """And give its connection back to the pool."""

        def query() -> T:
            try:
                return do()
            finally:
                connection.close()

        return await asyncio.get_running_loop().run_in_executor(threads, query)

    def wake(self, hops: int) -> None:
        """Tell workers. Losing this is harmless, so never wait for it and never queue behind it."""
        if self._waking:
            return
        self._waking = True
        count = min(MAX_WAKES, math.ceil(hops / CLAIM_HOPS))
        # A daemon: kombu may wait long for a broker that is away, and must not hold up a stop.
        threading.Thread(target=self._send_wakes, args=(count,), name="media-wake", daemon=True).start()

    def _send_wakes(self, count: int) -> None:
        try:
            for _ in range(count):
                current_app.send_task(
                    "calls.tasks.score_due", queue="score", ignore_result=True, expires=10, retry=False
                )
        except Exception as error:
            log.warning("could not wake workers", error=str(error))
        finally:
            self._waking = False

    def stop(self) -> None:
        """The server is about to: while its sockets are still open, each stream may say so and end."""
        self.stopping = True
        for stream in self.streams:
            with suppress(RuntimeError):  # it is ending already
                stream.end_early()

    async def close(self) -> None:
        """The server is stopping: its streams have flushed as they were disconnected."""
        await self.flush()
        await self.database(_close_pool)
        await self.writer.close()
        for threads in (self._database, self._lookup):
            threads.shutdown(wait=False, cancel_futures=True)

    # -- flushing

    async def _run(self) -> None:
        """Until the last stream has left."""
        while self.streams:
            await asyncio.sleep(FLUSH_S)
            if self._meter.due():
                await self._tell()
            try:
                await self.flush()
            except Exception:
                log.exception("flush failed")

    async def _tell(self) -> None:
        """How each source does, for the sources page; and that calls run, though they may be on hold."""
        running = [(s.ref, s.source, s.session.counters.frames, s.session.lost_ms()) for s in self.streams]
        with suppress(*DOWN):
            await health.tell(self.writer.client, self._meter.take(running))
            await self.writer.running({s.call_id for s in self.streams if s.call_id}, int(time.time() * 1000))

    def refused(self, slug: str, reason: str) -> None:
        """Note it for the sources page, without waiting."""

        async def note() -> None:
            with suppress(*DOWN):
                await health.refused(self.writer.client, slug, reason)

        task = asyncio.get_running_loop().create_task(note())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def flush(self) -> None:
        async with self._flushing:
            written = 0
            while batch := self._batch():
                taken = await self._put([piece for _, piece in batch])
                for stream, _ in batch[:taken]:
                    if stream.waiting:  # given up meanwhile
                        stream.waiting.popleft()
                written += taken
                if taken < len(batch):
                    break
            for stream in self.streams:
                stream.drop_oldest(HOLD_HOPS)
                if stream.told and stream.call_id:
                    written += await self._hand_on(stream)
        if written:
            metrics.MEDIA_HOPS.labels("stored").inc(written)
            self.wake(written)

    async def _hand_on(self, stream: Stream) -> int:
        """What the platform transcribed, on the call's clock; how many turns. They wait if Redis is away."""
        told, begins_ms = list(stream.told), stream.begins_ms
        moved = [replace(s, start_ms=s.start_ms + begins_ms, end_ms=s.end_ms + begins_ms) for s in told]
        try:
            taken = await transcripts.put_soon(self.writer.client, stream.call_id, moved)
        except DOWN:
            return 0
        stream.told_too_many += len(told) - taken
        handed = set(map(id, told))  # a pause may have taken others away meanwhile
        stream.told = [one for one in stream.told if id(one) not in handed]
        return taken

    def _batch(self) -> list[tuple[Stream, StoredPiece]]:
        """The oldest hops of each stream; a different stream is first each time."""
        ready = [s for s in self.streams if s.waiting and s.call_id]
        self._turn += 1
        first = self._turn % len(ready) if ready else 0
        batch: list[tuple[Stream, StoredPiece]] = []
        for stream in ready[first:] + ready[:first]:
            for hop, received_ms in stream.waiting:
                if len(batch) == WRITE_HOPS:
                    return batch
                index = stream.base_index + hop.index
                codec = "u" if hop.payload else PAUSED
                piece = StoredPiece(stream.call_id, hop.channel, index, received_ms, hop.payload, codec)
                batch.append((stream, piece))
        return batch

    async def purge(self, stream: Stream, span: tuple[int, int]) -> None:
        """Silence what is on its way between these samples of the stream: here, and in the buffer."""
        for wait_s in PURGE_TRIES_S:
            await asyncio.sleep(wait_s)
            async with self._flushing:  # no write of before may come after
                stream.silence(span)
                if not stream.call_id:
                    return
                start, stop = (stream.base_index * HOP_SAMPLES + edge for edge in span)
                try:
                    for channel in stream.channels:
                        await self.writer.silence(stream.call_id, channel, start, stop, SILENCE)
                    return
                except DOWN as error:
                    log.error("could not silence a pause in the buffer", error=str(error))

    async def _put(self, pieces: list[StoredPiece]) -> int:
        try:
            taken = await self.writer.put_many(pieces)
        except DOWN as error:
            metrics.BUFFER_DOWN.labels("down").inc()
            if not self._down:
                log.error("the buffer is down; keeping audio in memory", error=str(error))
            self._down = True
            return 0
        if self._down:
            log.info("the buffer is back")
            self._down = False
        if taken < len(pieces):
            self.full_until = time.monotonic() + 5
            metrics.BUFFER_DOWN.labels("full").inc()
            log.error("the buffer is full; workers do not keep up", refused=len(pieces) - taken)
        return taken


def _close_pool() -> None:
    """Its threads would hold the process up for seconds."""
    connection.close()
    cast(Any, connections["default"]).close_pool()


_hubs: dict[int, tuple[asyncio.AbstractEventLoop, Hub]] = {}


def hub() -> Hub:
    """The running loop's hub."""
    loop = asyncio.get_running_loop()
    found = _hubs.get(id(loop))
    if found is None or found[0] is not loop:
        found = _hubs[id(loop)] = (loop, Hub(Writer.connect(settings.REDIS_URL)))
    return found[1]
