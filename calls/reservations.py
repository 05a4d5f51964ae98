"""Places kept for phone legs that bring nothing but a number: AudioSocket's UUIDs. In Redis, each good once.

Who may reserve has been decided before; what comes back is believed by the media door.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import redis
import redis.asyncio

from scoring.types import Channel

TTL_S = 120
MOST_WAITING = 2000
"""Of one source at a time: about 1 MB."""


class TooMany(RuntimeError):
    """More than MOST_WAITING reservations wait for their calls."""


@dataclass(frozen=True)
class Reserved:
    source: str
    """Its slug."""
    call_ref: str
    role: str
    rate_hz: int | None = None
    """Of what comes as "8 kHz": older Asterisks name every rate so."""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    customer: uuid.UUID
    agent: uuid.UUID
    expires_at: float
    """Seconds since 1970."""


def reserve(
    client: redis.Redis,
    source: str,
    call_ref: str,
    *,
    rate_hz: int | None = None,
    parameters: Mapping[str, str] | None = None,
    ttl_s: int = TTL_S,
) -> Pair:
    """A UUID for each leg of a call. TooMany; redis.RedisError."""
    waiting, now = f"reserved:{source}", time.time()
    pair = Pair(uuid.uuid4(), uuid.uuid4(), now + ttl_s)
    client.zremrangebyscore(waiting, "-inf", now)
    if int(client.zcard(waiting)) >= MOST_WAITING:
        raise TooMany(f"{MOST_WAITING} reservations of this source wait for their calls already.")
    with client.pipeline(transaction=False) as pipe:
        for role, one in ((Channel.CUSTOMER, pair.customer), (Channel.AGENT, pair.agent)):
            told = Reserved(source, call_ref, role.value, rate_hz, dict(parameters or {}))
            pipe.set(_key(one), json.dumps(asdict(told)), ex=ttl_s)
            pipe.zadd(waiting, {str(one): now + ttl_s})
        pipe.expire(waiting, ttl_s)
        pipe.execute()
    return pair


async def take(client: redis.asyncio.Redis, one: uuid.UUID) -> Reserved | None:
    """What was reserved, if anything: nobody gets it a second time. redis.RedisError."""
    raw = await client.getdel(_key(one))
    if not isinstance(raw, bytes):
        return None
    told = Reserved(**json.loads(raw))
    await client.zrem(f"reserved:{told.source}", str(one))
    return told


def _key(one: uuid.UUID) -> str:
    return f"reserved:leg:{one}"
