"""Numbers events per group and hands them to the channel layer. Called by `record` on commit.

A push may be lost (Redis restarts); it is never retried here. Each event carries `seq`, so a page
that sees a gap asks for a fresh snapshot.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import redis
import structlog
from channels.layers import get_channel_layer
from django.conf import settings

from calls.metrics import PUSH_FAILED

log = structlog.get_logger(__name__)
Event = dict[str, Any]
SEND_TIMEOUT_S = 5.0
SEQ_TTL_S = 7 * 24 * 3600


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One loop in one thread for the life of the process: `async_to_sync` would build one a call."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="push", daemon=True).start()
    return loop


def publish(messages: Sequence[tuple[str, Event]]) -> None:
    """Send `(group, event)` pairs in order. A failure is logged and counted, never raised."""
    if not messages:
        return
    try:
        with _redis().pipeline(transaction=False) as pipe:
            for group, _ in messages:
                pipe.incr(f"seq:{group}")
            for group in {group for group, _ in messages}:
                pipe.expire(f"seq:{group}", SEQ_TTL_S)
            numbers = pipe.execute()[: len(messages)]
        numbered = [(g, int(n), e) for (g, e), n in zip(messages, numbers, strict=True)]
        asyncio.run_coroutine_threadsafe(_send(numbered), _loop()).result(SEND_TIMEOUT_S)
    except (redis.RedisError, OSError, TimeoutError) as error:
        PUSH_FAILED.inc(len(messages))
        log.warning("push failed", error=str(error), events=len(messages))


async def _send(numbered: Sequence[tuple[str, int, Event]]) -> None:
    layer = get_channel_layer()
    for group, seq, event in numbered:
        await layer.group_send(group, {"type": "push", "group": group, "seq": seq, "event": event})


def current_seqs(groups: Sequence[str]) -> dict[str, int]:
    """The last number given out per group; read it *before* the snapshot it goes with."""
    if not groups:
        return {}
    values = _redis().mget([f"seq:{group}" for group in groups])
    return {group: int(value or 0) for group, value in zip(groups, values, strict=True)}
