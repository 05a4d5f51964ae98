from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest
import redis
from django.conf import settings

from calls.buffer import Ledger, StoredPiece, Writer
from scoring.types import HOP_SAMPLES, Channel

Put = Callable[[Sequence[StoredPiece]], int]


def piece(call: str, channel: Channel, index: int, at: int = 0) -> StoredPiece:
    """A hop whose audio says which one it is."""
    audio = bytes([index % 251]) * HOP_SAMPLES
    return StoredPiece(call, channel, index, received_ms=at or 1000 + index * 500, payload=audio)


@pytest.fixture
def ledger(clean_redis: redis.Redis) -> Ledger:
    return Ledger(clean_redis)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as found:
        yield found


@pytest.fixture
def writer(runner: asyncio.Runner, clean_redis: redis.Redis) -> Iterator[Writer]:
    found = Writer.connect(settings.REDIS_URL, cap=1000)
    yield found
    runner.run(found.close())


@pytest.fixture
def put(runner: asyncio.Runner, writer: Writer) -> Put:
    return lambda pieces: runner.run(writer.put_many(pieces))
