"""One stream's clocks: frames of two legs in, whole hops of two channels out.

Pure: no sockets, no Redis, and the time comes in as a number. Audio is 8 kHz mu-law, so one byte
is one sample. Hop index = media time // HOP_MS, so replays and reconnects land on the same keys.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from scoring.types import HOP_MS, HOP_SAMPLES, RATE_HZ, Channel

PER_MS = RATE_HZ // 1000
SILENCE = b"\xff"
"""Mu-law zero."""


@dataclass(frozen=True)
class Limits:
    speed: float = 2.0
    """Audio may arrive at this multiple of real time."""
    burst_ms: int = 5000
    """... and so far ahead of it (jitter, a stalled network that catches up)."""
    reorder_ms: int = 100
    """A hop with a gap waits so much media time for frames that come late."""
    snap_ms: int = 10
    """A frame so close to where its leg was expected continues it: clocks round."""
    max_call_ms: int = 4 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Hop:
    channel: Channel
    index: int
    payload: bytes
    """Empty where none was to come: the stream was paused."""


@dataclass
class Heard:
    """What became of one channel's audio, in ms of media time."""

    received_ms: float = 0.0
    lost_ms: float = 0.0
    """Gaps between the first and the last frame; filled with silence within a hop."""
    dropped_ms: float = 0.0
    """Received, but not kept: the buffer was down or full for too long."""


@dataclass
class Counters:
    """What the call's record says about how its audio arrived. Counts are of frames."""

    channels: dict[Channel, Heard] = field(default_factory=lambda: {c: Heard() for c in Channel})
    frames: int = 0
    duplicate: int = 0
    late: int = 0
    malformed: int = 0
    over_rate: int = 0
    while_paused: int = 0
    pauses: int = 0
    paused_ms: int = 0
    """Of the stream's own clock, for which no audio came by its sender's wish."""
    other_track: int = 0
    ignored: int = 0
    dtmf: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON for the call's row; every number may be added to that of an earlier stream."""
        plain = asdict(self)
        channels = plain.pop("channels")
        whole = {
            channel.value: {name: round(value) for name, value in heard.items()}
            for channel, heard in channels.items()
        }
        return {**plain, **whole}


class _Open:
    """A hop being filled: its bytes, and which stretches of it have arrived."""

    __slots__ = ("audio", "spans")

    def __init__(self) -> None:
        self.audio = bytearray(SILENCE * HOP_SAMPLES)
        self.spans: list[tuple[int, int]] = []

    def write(self, at: int, part: bytes) -> int:
        """Lay `part` over what is still empty; how many samples were new."""
        stop = at + len(part)
        spans = self.spans
        if not spans or at >= spans[-1][1]:
            self.audio[at:stop] = part
            if spans and spans[-1][1] == at:
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((at, stop))
            return len(part)
        fresh = [(a, b) for a, b in self.gaps() if a < stop and b > at]
        new = 0
        for a, b in fresh:
            a, b = max(a, at), min(b, stop)
            self.audio[a:b] = part[a - at : b - at]
            new += b - a
            spans.insert(bisect_right(spans, (a, b)), (a, b))
        self._join()
        return new

    def gaps(self) -> list[tuple[int, int]]:
        edges = [0, *(edge for span in self.spans for edge in span), HOP_SAMPLES]
        return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]

    def _join(self) -> None:
        joined: list[tuple[int, int]] = []
        for start, stop in self.spans:
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], stop)
            else:
                joined.append((start, stop))
        self.spans = joined


class _Leg:
    """One channel's clock, in samples since the stream began."""

    def __init__(self, channel: Channel, limits: Limits, counters: Counters) -> None:
        self.channel = channel
        self.heard = counters.channels[channel]
        self.counters = counters
        self.snap = limits.snap_ms * PER_MS
        self.reorder = limits.reorder_ms * PER_MS
        self.open: dict[int, _Open] = {}
        self.begin: int | None = None
        """Start of the first audio; a leg that joins later has lost nothing."""
        self.expected = 0
        """End of the furthest audio so far."""
        self.closed = 0
        """Hops below this index are gone."""
        self.holes: deque[tuple[int, int]] = deque(maxlen=64)
        """Stretches given up as lost, so that what arrives there is late and not a duplicate."""
        self.excused: deque[tuple[int, int]] = deque(maxlen=64)
        """Stretches for which no audio was to come."""
        self.out: list[Hop] = []

    def take(self, at: int, payload: bytes) -> None:
        off = abs(at - self.expected)
        if off <= self.snap and off * 2 < len(payload):
            at = self.expected
        stop, new = at + len(payload), 0
        start = max(at, self.closed * HOP_SAMPLES)
        if self.begin is None or start < min(self.begin, stop):
            self.begin = start
        while start < stop:
            index, offset = divmod(start, HOP_SAMPLES)
            part = payload[start - at : start - at + HOP_SAMPLES - offset]
            if (hop := self.open.get(index)) is None:
                hop = self.open[index] = _Open()
            new += hop.write(offset, part)
            start += len(part)
        if new:
            self.heard.received_ms += new / PER_MS
        elif at < self.begin or any(a < stop and at < b for a, b in self.holes):
            self.counters.late += 1
        else:
            self.counters.duplicate += 1
        self.expected = max(self.expected, stop)
        self._close_ready()

    def skip(self, samples: int) -> None:
        self.excused.append((self.expected, self.expected + samples))
        self.expected += samples
        if self.begin is not None:
            self._close_ready()

    def cut(self, since: int) -> None:
        for index, hop in self.open.items():
            keep = max(0, since - index * HOP_SAMPLES)
            if keep < HOP_SAMPLES:
                hop.audio[keep:] = SILENCE * (HOP_SAMPLES - keep)

    def finish(self) -> None:
        for index in sorted(self.open):
            self._close(index)

    def _close_ready(self) -> None:
        """Hand out hops in order: full ones at once, others when late frames cannot matter."""
        for index in sorted(self.open):
            end = (index + 1) * HOP_SAMPLES
            if self.open[index].spans != _FULL and self.expected < end + self.reorder:
                return
            self._close(index)

    def _close(self, index: int) -> None:
        """What is missing up to its end, between the leg's first and last audio, is lost."""
        assert self.begin is not None
        hop, start = self.open.pop(index), index * HOP_SAMPLES
        since = max(self.closed * HOP_SAMPLES, self.begin)
        gaps = [(start + a, start + b) for a, b in hop.gaps()]
        for a, b in [(since, start), *gaps]:
            a, b = max(a, since), min(b, self.expected)
            if a < b:
                known = sum(max(0, min(b, y) - max(a, x)) for x, y in self.excused)
                self.heard.lost_ms += max(0, b - a - known) / PER_MS
                self.holes.append((a, b))
        first = max(self.closed, self.begin // HOP_SAMPLES)
        self.out += [Hop(self.channel, n, b"") for n in range(first, index) if self._is_excused(n)]
        self.closed = index + 1
        self.out.append(Hop(self.channel, index, bytes(hop.audio)))

    def _is_excused(self, index: int) -> bool:
        """Whether of the whole hop no audio was to come."""
        start, stop = index * HOP_SAMPLES, (index + 1) * HOP_SAMPLES
        return sum(max(0, min(stop, y) - max(start, x)) for x, y in self.excused) >= HOP_SAMPLES


_FULL = [(0, HOP_SAMPLES)]


class Session:
    """The clocks of one stream. Its hops count from its own beginning."""

    def __init__(self, roles: Mapping[str, str], *, now_ms: int, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.counters = Counters()
        self.started_ms = now_ms
        self._legs = {channel: _Leg(channel, self.limits, self.counters) for channel in Channel}
        self._tracks = {track: self._legs[Channel(channel)] for track, channel in roles.items()}
        self.strays: list[str] = []
        """Some names of legs that are nobody's here."""
        self._taken = 0
        self._shift = 0
        """Samples into hop 0 at which the stream begins."""
        self._origin_ms: int | None = None
        """What the source's clock said at our beginning: 0, or the time of day in some dialects."""

    def media(self, track: str, timestamp_ms: int | None, payload: bytes, now_ms: int) -> list[Hop]:
        """One frame. Returns the hops it completed, in order within each channel."""
        counters = self.counters
        counters.frames += 1
        leg = self._tracks.get(track) or self._tracks.get(track.removesuffix("_track"))
        if leg is None:
            counters.other_track += 1
            if len(self.strays) < 4 and track[:40] not in self.strays:
                self.strays.append(track[:40])
            return []
        if not payload:
            return []
        if self._origin_ms is None and timestamp_ms is not None:
            self._origin_ms = 0 if timestamp_ms <= self._allowed_ms(now_ms) else timestamp_ms
        at = (
            leg.expected
            if timestamp_ms is None
            else (timestamp_ms - (self._origin_ms or 0)) * PER_MS + self._shift
        )
        if at < 0 or not self._in_time(at + len(payload), len(payload), now_ms):
            counters.over_rate += 1
            return []
        leg.take(at, payload)
        if not leg.out:
            return []
        hops, leg.out = leg.out, []
        return hops

    @property
    def shift_ms(self) -> int:
        """Into hop 0, at which the stream begins."""
        return self._shift // PER_MS

    def clock_ms(self) -> int:
        """Up to where of the stream audio has come, or was not to come."""
        return (max(leg.expected for leg in self._legs.values()) - self._shift) // PER_MS

    def begin_at(self, offset_ms: int) -> None:
        """Before any audio: it begins so far into hop 0, beside a stream that began earlier."""
        self._shift = offset_ms * PER_MS
        for leg in self._legs.values():
            leg.expected = self._shift

    def skip(self, ms: int, now_ms: int) -> list[Hop]:
        """No audio will come for so much of the stream's clock; no further than audio itself might have come.
        Returns the hops this completed."""
        ms = max(0, min(ms, int(self._allowed_ms(now_ms)) - self.clock_ms()))
        self.counters.paused_ms += ms
        hops: list[Hop] = []
        for leg in self._legs.values():
            leg.skip(ms * PER_MS)
            hops, leg.out = hops + leg.out, []
        return hops

    def cut(self, since_ms: int) -> tuple[int, int]:
        """Forget what open hops hold from `since_ms` of the stream on. The span that must be forgotten
        everywhere, in hops' samples: from then to the end of what has come."""
        since = max(0, since_ms) * PER_MS + self._shift
        for leg in self._legs.values():
            leg.cut(since)
        return since, max(since, *(leg.expected for leg in self._legs.values()))

    def stored_ms(self, channels: Iterable[Channel], waiting: Mapping[Channel, int]) -> int:
        """Up to where of the stream nothing is open any more, nor `waiting` (first hop of a channel)."""
        ends = [min(self._legs[c].closed, waiting.get(c, self._legs[c].closed)) for c in channels]
        return max(0, (min(ends, default=0) * HOP_SAMPLES - self._shift) // PER_MS)

    def heard_nobody(self) -> bool:
        """Audio came, and all of it on legs that are nobody's."""
        heard = sum(heard.received_ms for heard in self.counters.channels.values())
        return bool(self.counters.other_track) and not heard

    def lost_ms(self) -> float:
        return sum(heard.lost_ms for heard in self.counters.channels.values())

    def stop(self) -> list[Hop]:
        """The end: what is left, its last hop padded with silence."""
        hops = []
        for leg in self._legs.values():
            leg.finish()
            hops += leg.out
            leg.out = []
        return hops

    def lost_before(self, channel: Channel, hops: int) -> None:
        """Hops between an earlier stream of the call, which was cut off, and this one."""
        self.counters.channels[channel].lost_ms += max(0, hops) * HOP_MS

    def dropped(self, hop: Hop) -> None:
        self.counters.channels[hop.channel].dropped_ms += HOP_MS

    def too_long(self, now_ms: int) -> bool:
        return now_ms - self.started_ms > self.limits.max_call_ms

    def _in_time(self, stop: int, size: int, now_ms: int) -> bool:
        """Within the token bucket, both in how much has come and in how far ahead it points."""
        allowed = self._allowed_ms(now_ms) * PER_MS
        if self._taken + size > allowed * len(self._legs) or stop > allowed:
            return False
        self._taken += size
        return True

    def _allowed_ms(self, now_ms: int) -> float:
        return (now_ms - self.started_ms) * self.limits.speed + self.limits.burst_ms
