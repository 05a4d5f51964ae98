"""How each source does, as the media processes tell it in Redis: what runs now, and what was last refused.

Losing a line of it is harmless; nothing here waits for anything.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis
import redis.asyncio

TOLD_EVERY_S = 2.0
FRESH_S = 8
DAY_S = 86400
KEPT_DAYS = 30
PROCESS = f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True)
class Health:
    streams: int = 0
    frames_per_s: float = 0.0
    lost_ms: int = 0
    """Of the streams that run now."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Reason → how often, in the last KEPT_DAYS days."""
    last_reason: str = ""
    last_at: float | None = None
    """Seconds since 1970."""


async def tell(client: redis.asyncio.Redis, now: Mapping[str, Mapping[str, float]]) -> None:
    """What runs in this process, by source: streams, frames_per_s, lost_ms."""
    async with client.pipeline(transaction=False) as pipe:
        for slug, numbers in now.items():
            key = f"source:{slug}:now"
            pipe.hset(key, PROCESS, json.dumps({**numbers, "at": time.time()}))
            pipe.expire(key, 60)
        await pipe.execute()


async def refused(client: redis.asyncio.Redis, slug: str, reason: str) -> None:
    """Of a source that exists. The reason's words after a colon are the sender's own, and left out."""
    key, plain = _day(slug, 0), reason.partition(":")[0][:80]
    async with client.pipeline(transaction=False) as pipe:
        pipe.hincrby(key, plain, 1)
        pipe.hset(f"source:{slug}:last", mapping={"reason": plain, "at": str(time.time())})
        pipe.expire(key, (KEPT_DAYS + 1) * DAY_S)
        pipe.expire(f"source:{slug}:last", KEPT_DAYS * DAY_S)
        await pipe.execute()


def _day(slug: str, ago: int) -> str:
    return f"source:{slug}:refused:{int(time.time() // DAY_S) - ago}"


def read(client: redis.Redis, slug: str) -> Health:
    """Of all media processes together. redis.RedisError when nobody can tell."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(f"source:{slug}:now")
        pipe.hgetall(f"source:{slug}:last")
        for ago in range(KEPT_DAYS):
            pipe.hgetall(_day(slug, ago))
        now, last, *days = pipe.execute()
    counts: Counter[str] = Counter()
    for day in days:
        counts.update({name.decode(): int(n) for name, n in day.items()})
    told = [row for row in map(_row, now.values()) if row and time.time() - row.get("at", 0) < FRESH_S]
    return Health(
        streams=round(sum(row.get("streams", 0) for row in told)),
        frames_per_s=sum(row.get("frames_per_s", 0.0) for row in told),
        lost_ms=round(sum(row.get("lost_ms", 0) for row in told)),
        refused=counts,
        last_reason=last.get(b"reason", b"").decode(),
        last_at=float(last[b"at"]) if b"at" in last else None,
    )


def _row(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


NOTHING = {"streams": 0, "frames_per_s": 0.0, "lost_ms": 0}


class Meter:
    """Frames of each source since the last telling, in one media process."""

    def __init__(self) -> None:
        self._frames: dict[Hashable, tuple[str, int]] = {}
        self._at = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._at >= TOLD_EVERY_S

    def take(self, streams: Iterable[tuple[Hashable, str, int, float]]) -> dict[str, dict[str, float]]:
        """`streams`: (which, source, frames so far, milliseconds lost) of each that runs. What one brought
        between the last telling and its end is not told."""
        span, self._at = max(0.1, time.monotonic() - self._at), time.monotonic()
        totals: dict[str, dict[str, float]] = {slug: dict(NOTHING) for slug, _ in self._frames.values()}
        frames: dict[Hashable, tuple[str, int]] = {}
        for which, slug, count, lost_ms in streams:
            row = totals.setdefault(slug, dict(NOTHING))
            row["streams"] += 1
            row["lost_ms"] += lost_ms
            row["frames_per_s"] += (count - self._frames.get(which, ("", 0))[1]) / span
            frames[which] = slug, count
        for row in totals.values():
            row["frames_per_s"] = round(row["frames_per_s"], 1)
        self._frames = frames
        return totals
