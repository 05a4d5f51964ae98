"""The buffer: call audio on its way to scoring, and the ledger of what is owed.

The only module that knows the Redis keys of docs/contracts.md. Media processes write through
`Writer` (async), workers and housekeeping read through `Ledger` (sync). It knows nothing of
protocols, models or the database.

What is guaranteed: a hop that `put_many` accepted stays due until a `done` that still holds the
call's lease takes it off, and it leaves in one step with the stream state that has heard it. So
a crash anywhere makes hops heard again from the same state, never skipped, never out of order.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
import orjson
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff

from scoring.types import HOP_SAMPLES, Channel, Samples, StreamState

AUDIO_TTL_S = 15 * 60
STATE_TTL_S = 6 * 3600
REJOIN_TTL_S = 180
"""How long a closed call's clocks stay, for a stream that was cut off to come back to."""
MAX_ATTEMPTS = 3
"""Claims of one hop before it is handed out as poison, to be recorded as failed."""
LEASE_MS = 30_000
MAX_DUE = 40_000
"""Hops owed in all before new ones are refused: 100 s of 100 two-channel calls, about 160 MB."""
CLAIM_HOPS = 32
CONNECTIONS = 16
"""Of one media process; when more streams ask at once, they wait for each other (a pool that does not wait
refuses the 101st of them, and a new connection costs more than the wait)."""
PAUSED = "p"
"""Codec of a hop that a pause left without audio."""

RedisError = redis.RedisError
"""What every function here may raise, so that callers need not import redis."""


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """Hop `index` of one channel: HOP_MS of 8 kHz audio."""

    call_id: str
    channel: Channel
    index: int
    received_ms: int
    """Epoch ms at which its last sample arrived; a hop already due keeps its first value."""
    payload: bytes
    codec: str = "u"
    """u mu-law, a A-law, s 16-bit little endian; p for a hop of a pause, without audio."""

    @property
    def member(self) -> str:
        return f"{self.call_id}:{self.channel}:{self.index}"


@dataclass(frozen=True, slots=True)
class DueHop:
    channel: Channel
    index: int
    attempts: int
    """This claim included."""
    received_ms: int

    @property
    def poison(self) -> bool:
        """Every earlier claim failed: record it as failed, do not score it again."""
        return self.attempts > MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Claim:
    """Due hops of one call, ours until the lease ends; sorted by channel, then index.

    A hop below its stream's `next_index` has been heard before (a write was repeated): it only
    needs to be in `done`. A gap below the first index was lost on the way and is heard as zeros.
    """

    call_id: str
    token: str
    hops: tuple[DueHop, ...]

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(f"{self.call_id}:{hop.channel}:{hop.index}" for hop in self.hops)


# --- scripts: each one step for Redis, so nothing is ever half written -------------------------

# ARGV: cap, audio ttl, state ttl, then call, channel, index, received_ms, audio per piece.
# Takes a prefix of the pieces, so a refusal never makes a hole in a stream. Returns how many.
# Scores of a stream grow with its index even if clocks do not (another machine, a correction).
PUT = """
local room = tonumber(ARGV[1]) - redis.call('ZCARD', 'due')
local taken = 0
for i = 4, #ARGV, 5 do
  local call, channel, n = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local stem = call .. ':' .. channel .. ':' .. n
  if room <= 0 and not redis.call('ZSCORE', 'due', stem) then break end
  local span, at = 'span:' .. call, tonumber(ARGV[i + 3])
  local last = redis.call('HMGET', span, channel .. ':end', channel .. ':at')
  if not last[1] or tonumber(last[1]) <= tonumber(n) then
    at = math.max(at, tonumber(last[2] or 0) + 1)
    redis.call('HSET', span, channel .. ':end', tonumber(n) + 1, channel .. ':at', at)
    redis.call('EXPIRE', span, ARGV[3])
  end
  redis.call('SET', 'audio:' .. stem, ARGV[i + 4], 'EX', ARGV[2])
  room = room - redis.call('ZADD', 'due', 'NX', at, stem)
  taken = taken + 1
end
return taken
"""

NOW = """
local function now_ms(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function leased(call, now)
  local lease = redis.call('HGET', 'leases', call)
  return lease and tonumber(string.match(lease, ':(%d+)$')) > now
end
"""

# ARGV: limit, lease ms, now ("" = Redis's clock), token.
# Oldest first; within a stream that is index order, since PUT makes scores grow. From the first hop
# it meets, a stream's run is taken up to its next gap. One channel takes at most half, so that
# both sides of a backlog move together. A hop that failed before is claimed without company,
# and the last time alone: what kills a worker cannot make its neighbours poison.
CLAIM = (
    NOW
    + """
local limit, lease_ms, now, token = tonumber(ARGV[1]), tonumber(ARGV[2]), now_ms(ARGV[3]), ARGV[4]
local half = math.max(1, math.floor(limit / 2))
local out, taken, start = {}, 0, 0
local free, walked = {}, {}
while taken < limit do
  local page = redis.call('ZRANGE', 'due', start, start + 255)
  if #page == 0 then break end
  start = start + #page
  for _, member in ipairs(page) do
    local stream, call, n = string.match(member, '^((.+):%a+):(%d+)$')
    if free[call] == nil then free[call] = not leased(call, now) end
    if free[call] and not walked[stream] then
      local first = tonumber(n)
      local before = tonumber(redis.call('HGET', 'attempts', member) or 0)
      walked[stream] = true
      if before == 0 or taken == 0 then
        redis.call('HSET', 'leases', call, token .. ':' .. (now + lease_ms))
        local most = before > 1 and 1 or math.min(half, limit - taken)
        for index = first, first + most - 1 do
          local name = stream .. ':' .. index
          local received = redis.call('ZSCORE', 'due', name)
          if not received then break end
          if before == 0 and redis.call('HEXISTS', 'attempts', name) == 1 then break end
          local attempts = redis.call('HINCRBY', 'attempts', name, 1)
          out[#out + 1] = {call, string.sub(stream, #call + 2), index, attempts, received}
          taken = taken + 1
        end
        if before > 0 then return out end
        if taken >= limit then break end
      end
    end
  end
end
return out
"""
)

# ARGV: limit, lease ms, now, token. Calls that have ended with nothing due and no live lease.
CLAIM_CLOSING = (
    NOW
    + """
local now, out, owing = now_ms(ARGV[3]), {}, {}
local closing = redis.call('ZRANGE', 'closing', 0, -1)
if #closing == 0 then return out end
for _, member in ipairs(redis.call('ZRANGE', 'due', 0, -1)) do
  owing[string.match(member, '^(.+):%a+:%d+$')] = true
end
for _, call in ipairs(closing) do
  if #out >= tonumber(ARGV[1]) then break end
  if not owing[call] and not leased(call, now) then
    if ARGV[4] ~= '' then
      redis.call('HSET', 'leases', call, ARGV[4] .. ':' .. (now + ARGV[2]))
    end
    out[#out + 1] = call
  end
end
return out
"""
)

OURS = """
local lease = redis.call('HGET', 'leases', ARGV[1])
if not lease or string.match(lease, '^(.+):%d+$') ~= ARGV[2] then return 0 end
"""

# ARGV: call, token, state ttl, number of states, (channel, json) per state, members.
DONE = (
    OURS
    + """
local count = tonumber(ARGV[4])
for i = 5, 4 + 2 * count, 2 do
  redis.call('SET', 'stream:' .. ARGV[1] .. ':' .. ARGV[i], ARGV[i + 1], 'EX', ARGV[3])
end
for i = 5 + 2 * count, #ARGV do
  redis.call('ZREM', 'due', ARGV[i])
  redis.call('HDEL', 'attempts', ARGV[i])
end
redis.call('HDEL', 'leases', ARGV[1])
return 1
"""
)

# ARGV: call, token, members whose claim shall not count as an attempt.
RELEASE = (
    OURS
    + """
for i = 3, #ARGV do
  if redis.call('HINCRBY', 'attempts', ARGV[i], -1) <= 0 then
    redis.call('HDEL', 'attempts', ARGV[i])
  end
end
redis.call('HDEL', 'leases', ARGV[1])
return 1
"""
)

# ARGV: call, lease ms, now, token.
LEASE = (
    NOW
    + """
local now = now_ms(ARGV[3])
if leased(ARGV[1], now) then return 0 end
redis.call('HSET', 'leases', ARGV[1], ARGV[4] .. ':' .. (now + ARGV[2]))
return 1
"""
)

# ARGV: call, token, now, lease ms.
EXTEND = (
    NOW
    + OURS
    + """
redis.call('HSET', 'leases', ARGV[1], ARGV[2] .. ':' .. (now_ms(ARGV[3]) + ARGV[4]))
return 1
"""
)

# ARGV: call, channel, index, state ttl. Forgets audio below index.
DROP_BEFORE = """
local span = 'span:' .. ARGV[1]
local high = tonumber(redis.call('HGET', span, ARGV[2] .. ':end') or 0)
local low = tonumber(redis.call('HGET', span, ARGV[2] .. ':start') or 0)
local stop = math.min(tonumber(ARGV[3]), high)
local dropped = 0
for n = low, stop - 1 do
  dropped = dropped + redis.call('UNLINK', 'audio:' .. ARGV[1] .. ':' .. ARGV[2] .. ':' .. n)
end
if stop > low then
  redis.call('HSET', span, ARGV[2] .. ':start', stop)
  redis.call('EXPIRE', span, ARGV[4])
end
return dropped
"""

# ARGV: call, token ("" = whoever holds it), rejoin ttl, channels. Forgets a call. With a token,
# only one that is still ours and has not come back to life meanwhile (else -1), and its clocks,
# which are no audio, stay for as long as its stream may still come back.
DROP_CALL = """
local call, span, dropped = ARGV[1], 'span:' .. ARGV[1], 0
local closing = ARGV[2] ~= ''
if closing then
  local lease = redis.call('HGET', 'leases', call)
  if not lease or string.match(lease, '^(.+):%d+$') ~= ARGV[2] then return -2 end
  if not redis.call('ZSCORE', 'closing', call) then
    redis.call('HDEL', 'leases', call)
    return -1
  end
end
for i = 4, #ARGV do
  local stream = call .. ':' .. ARGV[i]
  local low = tonumber(redis.call('HGET', span, ARGV[i] .. ':start') or 0)
  local high = tonumber(redis.call('HGET', span, ARGV[i] .. ':end') or 0)
  for n = low, high - 1 do
    local member = stream .. ':' .. n
    dropped = dropped + redis.call('UNLINK', 'audio:' .. member)
    if redis.call('ZREM', 'due', member) == 1 then redis.call('HDEL', 'attempts', member) end
  end
  if closing then
    redis.call('EXPIRE', 'stream:' .. stream, ARGV[3])
    redis.call('HSET', span, ARGV[i] .. ':start', high, ARGV[i] .. ':end', high)
  else
    redis.call('UNLINK', 'stream:' .. stream)
  end
end
if closing then redis.call('EXPIRE', span, ARGV[3]) else redis.call('UNLINK', span) end
redis.call('HDEL', 'leases', call)
redis.call('ZREM', 'closing', call)
return dropped
"""

# ARGV: call, channel, first and last sample of a span (last exclusive), samples in a hop, silence.
SILENCE = """
local from, to, size, silenced = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), 0
for n = math.floor(from / size), math.ceil(to / size) - 1 do
  local key = 'audio:' .. ARGV[1] .. ':' .. ARGV[2] .. ':' .. n
  local audio = redis.call('GET', key)
  if audio then
    local a, b = math.max(0, from - n * size), math.min(#audio - 1, to - n * size)
    if a < b then
      local quiet = string.sub(audio, 1, 1 + a) .. string.rep(ARGV[6], b - a) .. string.sub(audio, 2 + b)
      redis.call('SET', key, quiet, 'KEEPTTL')
      silenced = silenced + 1
    end
  end
end
return silenced
"""

# ARGV: call, now (epoch ms; "" = do not close), stream, channels. The last stream of a call to leave
# makes it closing; a channel that another stream has taken over is not its to give up.
LEAVE = """
local legs = 'legs:' .. ARGV[1]
for i = 4, #ARGV do
  if redis.call('HGET', legs, ARGV[i]) == ARGV[3] then redis.call('HDEL', legs, ARGV[i]) end
end
if ARGV[2] == '' or redis.call('HLEN', legs) > 0 then return 0 end
redis.call('ZADD', 'closing', ARGV[2], ARGV[1])
return 1
"""


class Writer:
    """What media processes do: put hops, say that a call has ended."""

    def __init__(self, client: redis.asyncio.Redis, *, cap: int = MAX_DUE) -> None:
        self.client = client
        self.cap = cap
        self._put = client.register_script(PUT)
        self._silence, self._leave = client.register_script(SILENCE), client.register_script(LEAVE)

    @classmethod
    def connect(cls, url: str, *, cap: int = MAX_DUE) -> Writer:
        """Fails within seconds rather than waiting: the flusher keeps audio and tries again."""
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=3,
            socket_timeout=3,
            socket_connect_timeout=1,
            retry=AsyncRetry(NoBackoff(), 1),
        )
        return cls(redis.asyncio.Redis.from_pool(pool), cap=cap)

    async def put_many(self, pieces: Sequence[StoredPiece]) -> int:
        """Make hops due, in one step; how many of them (a prefix) were taken before the cap.

        Repeating it is harmless.
        """
        if not pieces:
            return 0
        argv: list[Any] = [self.cap, AUDIO_TTL_S, STATE_TTL_S]
        for piece in pieces:
            audio = piece.codec.encode("ascii") + piece.payload
            argv += (piece.call_id, piece.channel.value, piece.index, piece.received_ms, audio)
        return int(await self._put(args=argv))

    async def mark_closing(self, call_id: str, at_ms: int) -> None:
        await self.client.zadd("closing", {call_id: at_ms})

    async def join(self, call_id: str, stream: str, begins_ms: dict[Channel, int]) -> dict[Channel, int]:
        """A stream carries these channels of the call, from so far into it. Since when each is carried."""
        legs, span = f"legs:{call_id}", f"span:{call_id}"
        async with self.client.pipeline() as pipe:
            for channel, at_ms in begins_ms.items():
                pipe.hset(legs, channel.value, stream)
                pipe.hsetnx(span, f"{channel}:from", str(at_ms))
            pipe.expire(legs, STATE_TTL_S)
            pipe.expire(span, STATE_TTL_S)
            pipe.zrem("closing", call_id)
            pipe.hmget(span, [f"{channel}:from" for channel in begins_ms])
            found = (await pipe.execute())[-1]
        return {channel: int(at or 0) for channel, at in zip(begins_ms, found, strict=True)}

    async def leave(self, call_id: str, stream: str, channels: Iterable[Channel], at_ms: int | None) -> bool:
        """A stream has ended, at `at_ms` (None: another goes on with it). True if the call has ended too."""
        args = [call_id, "" if at_ms is None else at_ms, stream, *(c.value for c in channels)]
        return bool(await self._leave(args=args))

    async def silence(self, call_id: str, channel: Channel, start: int, stop: int, silence: bytes) -> int:
        """Overwrite stored mu-law between these samples of the call; in how many hops."""
        args = [call_id, channel.value, start, stop, HOP_SAMPLES, silence]
        return int(await self._silence(args=args))

    async def resume(self, call_id: str) -> dict[Channel, int]:
        """The call goes on: not closing any more. The first free index of each channel."""
        await self.client.zrem("closing", call_id)
        span = await cast(Any, self.client.hgetall(f"span:{call_id}"))
        ends = {k.removesuffix(b":end"): int(v) for k, v in span.items() if k.endswith(b":end")}
        return {channel: ends.get(channel.encode(), 0) for channel in Channel}

    async def running(self, call_ids: Collection[str], at_ms: int) -> None:
        """Streams of these calls run in this process, whether or not they bring anything."""
        async with self.client.pipeline(transaction=False) as pipe:
            if call_ids:
                pipe.zadd("running", dict.fromkeys(call_ids, at_ms))
            pipe.zremrangebyscore("running", 0, at_ms - 1000 * STATE_TTL_S)
            await pipe.execute()

    async def once(self, name: str, ttl_s: int) -> bool:
        """True for the first to ask within `ttl_s`, whichever process it is."""
        return bool(await self.client.set(f"once:{name}", 1, nx=True, ex=ttl_s))

    async def due_count(self) -> int:
        return int(await self.client.zcard("due"))

    async def close(self) -> None:
        await self.client.aclose()


class StoredAudio(NamedTuple):
    """What the buffer has of a stretch of one channel."""

    samples: Samples
    """int16 [hops × HOP_SAMPLES]; zeros where there was no audio."""
    missing: list[int]
    """Hops that are not there: those in a claim have expired, others never arrived."""
    paused: list[int]
    """Hops of a pause: none was to arrive."""


class Ledger:
    """What workers and housekeeping do: claim hops, read them, take them off the ledger."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        script = client.register_script
        self._claim, self._claim_closing = script(CLAIM), script(CLAIM_CLOSING)
        self._done, self._release, self._extend = script(DONE), script(RELEASE), script(EXTEND)
        self._lease = script(LEASE)
        self._drop_before, self._drop_call = script(DROP_BEFORE), script(DROP_CALL)

    @classmethod
    def connect(cls, url: str) -> Ledger:
        return cls(redis.Redis.from_url(url, socket_connect_timeout=3))

    # -- claiming

    def claim(self, limit: int = CLAIM_HOPS, lease_ms: int = LEASE_MS, now: int | None = None) -> list[Claim]:
        """Up to `limit` due hops, oldest first, of calls that nobody else holds."""
        token = secrets.token_hex(8)
        rows = self._claim(args=[limit, lease_ms, "" if now is None else now, token])
        hops: dict[str, list[DueHop]] = {}
        for call, channel, index, attempts, received in rows:
            hop = DueHop(Channel(channel.decode()), index, attempts, int(float(received)))
            hops.setdefault(call.decode(), []).append(hop)
        return [
            Claim(call, token, tuple(sorted(found, key=lambda hop: (hop.channel, hop.index))))
            for call, found in hops.items()
        ]

    def lease(self, call_id: str, lease_ms: int = LEASE_MS, now: int | None = None) -> Claim | None:
        """The call, without hops, if nobody holds it: for what is to be written of it besides audio."""
        token = secrets.token_hex(8)
        held = self._lease(args=[call_id, lease_ms, "" if now is None else now, token])
        return Claim(call_id, token, ()) if held else None

    def done(self, claim: Claim, states: Iterable[StreamState] = ()) -> bool:
        """Take the claim's hops off, save the states that heard them, end the lease: one step.

        False, and nothing changed, if the lease has gone to somebody else.
        """
        saved = [part for state in states for part in (state.channel.value, _dump(state))]
        args = [claim.call_id, claim.token, STATE_TTL_S, len(saved) // 2, *saved, *claim.members]
        return bool(self._done(args=args))

    def release(self, claim: Claim, *, failed: bool = True) -> bool:
        """Give the call back unscored; with failed=False the attempt does not count."""
        args = [claim.call_id, claim.token, *(() if failed else claim.members)]
        return bool(self._release(args=args))

    def extend(self, claim: Claim, lease_ms: int = LEASE_MS, now: int | None = None) -> bool:
        """Hold the lease for longer; False if it is no longer ours."""
        args = [claim.call_id, claim.token, "" if now is None else now, lease_ms]
        return bool(self._extend(args=args))

    # -- what streams need

    def keep_audio(self, call_id: str, channel: Channel, first: int, last: int) -> list[int]:
        """What of hops first..last inclusive lies here lives on for AUDIO_TTL_S; which do not lie here."""
        indexes = range(first, last + 1)
        with self.client.pipeline(transaction=False) as pipe:
            for n in indexes:
                pipe.expire(f"audio:{call_id}:{channel}:{n}", AUDIO_TTL_S)
            there = pipe.execute()
        return [n for n, kept in zip(indexes, there, strict=True) if not kept]

    def read_audio(self, call_id: str, channel: Channel, first: int, last: int) -> StoredAudio:
        """Hops first..last inclusive."""
        indexes = range(first, last + 1)
        audio = np.zeros(len(indexes) * HOP_SAMPLES, dtype=np.int16)
        if not indexes:
            return StoredAudio(audio, [], [])
        stored = cast(
            "list[bytes | None]",
            self.client.mget([f"audio:{call_id}:{channel}:{n}" for n in indexes]),
        )
        missing: list[int] = []
        paused: list[int] = []
        for position, (index, raw) in enumerate(zip(indexes, stored, strict=True)):
            if raw is None:
                missing.append(index)
                continue
            if raw[:1] == PAUSED.encode():
                paused.append(index)
                continue
            samples = _decode(raw)[:HOP_SAMPLES]
            audio[position * HOP_SAMPLES :][: len(samples)] = samples
        return StoredAudio(audio, missing, paused)

    def load_state(self, call_id: str, channel: Channel) -> StreamState:
        """A fresh state if there is none."""
        raw = cast("bytes | None", self.client.get(f"stream:{call_id}:{channel}"))
        return StreamState(channel) if raw is None else _load(raw)

    def save_state(self, call_id: str, state: StreamState) -> None:
        """For the end of a call; while it lives, `done` saves states."""
        self.client.set(f"stream:{call_id}:{state.channel}", _dump(state), ex=STATE_TTL_S)

    def drop_audio_before(self, call_id: str, channel: Channel, index: int) -> int:
        """Forget audio below `index`, once a `done` has made it unneeded; how many hops."""
        return int(self._drop_before(args=[call_id, channel.value, index, STATE_TTL_S]))

    # -- the end of a call

    def mark_closing(self, call_id: str, at_ms: int) -> None:
        self.client.zadd("closing", {call_id: at_ms})

    def closing_ready(self, limit: int = 1000, now: int | None = None) -> list[str]:
        """Calls that have ended, with nothing due and in nobody's hands; oldest first."""
        args = [limit, 0, "" if now is None else now, ""]
        return [call.decode() for call in self._claim_closing(args=args)]

    def claim_closing(self, limit: int = 8, lease_ms: int = LEASE_MS, now: int | None = None) -> list[Claim]:
        """The same, leased: a claim without hops. After the final record, `drop_closed`."""
        token = secrets.token_hex(8)
        args = [limit, lease_ms, "" if now is None else now, token]
        return [Claim(call.decode(), token, ()) for call in self._claim_closing(args=args)]

    def drop_call(self, call_id: str) -> int:
        """Forget audio, states, lease and whatever is still due; how many hops of audio."""
        return int(self._drop_call(args=[call_id, "", REJOIN_TTL_S, *Channel]))

    def drop_closed(self, claim: Claim, states: Iterable[StreamState] = ()) -> bool:
        """The end of a call claimed by `claim_closing`: its audio goes, its states stay for a while.

        False if its stream came back meanwhile, or the lease went to somebody else: nothing was
        dropped, the call goes on.
        """
        if not self.extend(claim):
            return True  # somebody else's by now, and theirs to decide
        for state in states:
            self.save_state(claim.call_id, state)
        return int(self._drop_call(args=[claim.call_id, claim.token, REJOIN_TTL_S, *Channel])) != -1

    def silent_since(self, call_id: str, at_ms: int) -> bool:
        """Nothing of the call is owed, and since `at_ms` its media has put nothing nor said that it runs."""
        runs_at = self.client.zscore("running", call_id)
        if runs_at is not None and float(runs_at) >= at_ms:
            return False
        span = self.client.hgetall(f"span:{call_id}")
        for channel in Channel:
            end, at = (span.get(f"{channel}:{name}".encode()) for name in ("end", "at"))
            if at is not None and float(at) >= at_ms:
                return False
            # Hops leave in order, so while anything is owed the last one is.
            if end and self.client.zscore("due", f"{call_id}:{channel}:{int(end) - 1}") is not None:
                return False
        return True

    def keys_of(self, call_id: str) -> list[bytes]:
        """Every key that names the call."""
        return list(self.client.scan_iter(match=f"*{call_id}*", count=1000))

    def forget(self, call_id: str) -> int:
        """Nothing of the call stays, whatever state it is in; how many keys went."""
        self.drop_call(call_id)
        self.client.zrem("running", call_id)
        keys = self.keys_of(call_id)
        return int(self.client.delete(*keys)) if keys else 0

    # -- how far behind

    def due_count(self) -> int:
        return self.client.zcard("due")

    def overdue(self, older_ms: int = 2000, now: int | None = None) -> int:
        """How many hops have been owed for longer than that."""
        return self.client.zcount("due", "-inf", self._now(now) - older_ms)

    def is_owed_from(self, since_ms: int) -> bool:
        """Whether a hop received then or later is due."""
        return self.client.zcount("due", since_ms, "+inf") > 0

    def lag_ms(self, now: int | None = None) -> int:
        """Age of the oldest due hop; 0 when nothing is due."""
        oldest = cast("list[tuple[bytes, float]]", self.client.zrange("due", 0, 0, withscores=True))
        return max(0, self._now(now) - int(oldest[0][1])) if oldest else 0

    def _now(self, now: int | None) -> int:
        if now is not None:
            return now
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000


@cache
def ledger() -> Ledger:
    """This process's ledger, on settings.REDIS_URL."""
    from django.conf import settings

    return Ledger.connect(settings.REDIS_URL)


def _dump(state: StreamState) -> bytes:
    return orjson.dumps(
        {
            "channel": state.channel.value,
            "next_index": state.next_index,
            "keep_from_index": state.keep_from_index,
            "detail": state.detail,
        }
    )


def _load(raw: bytes) -> StreamState:
    fields = orjson.loads(raw)
    return StreamState(**{**fields, "channel": Channel(fields["channel"])})


def _decode(raw: bytes) -> Samples:
    from scoring import audio

    codec, payload = raw[:1], raw[1:]
    if codec == b"u":
        return audio.decode_mulaw(payload)
    if codec == b"a":
        return audio.decode_alaw(payload)
    return np.frombuffer(payload, dtype="<i2").astype(np.int16, copy=False)
