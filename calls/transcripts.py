"""Turns that a platform transcribed, on their way from its message to the call. In Redis, raw for a while.

    words:<call>          hash: channel:start_ms → what was said, when it came, what was made of it
    words:<call>:count    turns taken so far
    words:<call>:before   what the turns that are gone from there left behind (no digit of theirs)
    wordy                 zset: calls with something new

A turn's raw text stays for RAW_S, as audio does, so that one that comes late or again is masked together with
those around it; then only what was made of it stays, in the call. Told twice it is one turn; the last telling
holds. Of a pause of the phone system nothing stays: a turn that overlaps one is as if it had been taken back.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
import redis.asyncio

from calls.buffer import AUDIO_TTL_S, STATE_TTL_S, Claim, Ledger
from scoring.given import Before, Clean, Said, in_order, redacted
from scoring.types import Channel

RAW_S = AUDIO_TTL_S
MOST_TURNS = 5000
"""Of one call."""
MOST_AT_ONCE = 500
MOST_TEXT = 2000
LONGEST_MS = 10 * 60 * 1000
LAST_MS = 4 * 3600 * 1000
Pauses = Sequence[Mapping[str, Any]]
"""As the call has them: since and until in ms, None while it goes on."""


class NotATurn(ValueError):
    """What was told is no turn; the text says what is wrong."""


@dataclass(frozen=True)
class Row:
    """A turn whose raw text is still here."""

    name: str
    """channel:start_ms"""
    said: Said
    at: float
    """When it came, seconds since 1970."""
    done: str
    """Digest of what the call has of it; "": nothing yet."""
    clean: Clean


@dataclass(frozen=True)
class Owed:
    """A call with new words, ours until the lease ends. Rows are in the order of the call."""

    claim: Claim
    before: Before
    rows: tuple[Row, ...]

    @property
    def unread(self) -> list[Clean]:
        """What the call does not have as it is now: new turns, and those that a late one before changed."""
        return [row.clean for row in self.rows if digest(row.clean) != row.done]


def read(given: Any) -> list[Said]:
    """A list of turns as JSON has it (or {"turns": […]}). NotATurn names the first that is none."""
    turns = given.get("turns") if isinstance(given, dict) else given
    if not isinstance(turns, list):
        raise NotATurn('give a list of turns, or {"turns": [...]}')
    if len(turns) > MOST_TURNS:
        raise NotATurn(f"{len(turns)} turns; a call has at most {MOST_TURNS}")
    return [turn_of(turn, f"turn {n}") for n, turn in enumerate(turns, 1)]


def turn_of(turn: Any, name: str = "turn") -> Said:
    """channel, start_ms, end_ms, text and, if known, confidence. NotATurn."""
    if not isinstance(turn, dict):
        raise NotATurn(f"{name} is no object")
    channel, text, sure = turn.get("channel"), turn.get("text"), turn.get("confidence", 1.0)
    if channel not in tuple(Channel):
        raise NotATurn(f"{name}: channel is customer or agent, not {str(channel)[:40]!r}")
    start, end = turn.get("start_ms"), turn.get("end_ms")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= LAST_MS:
        raise NotATurn(f"{name}: start_ms and end_ms are whole milliseconds of the call, up to {LAST_MS}")
    if end - start > LONGEST_MS:
        raise NotATurn(f"{name}: longer than ten minutes is no turn")
    if not isinstance(text, str) or len(text) > MOST_TEXT:
        raise NotATurn(f"{name}: text has at most {MOST_TEXT} characters")
    if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 1:
        raise NotATurn(f"{name}: confidence is a number from 0 to 1")
    clean = " ".join("".join(c if c.isprintable() or c.isspace() else " " for c in text).split())
    return Said(Channel(channel), start, end, clean.encode("utf-8", "ignore").decode(), float(sure))


# --- in ----------------------------------------------------------------------------------------------


# ARGV: call, most turns, ttl, now, then name and JSON of each turn. One step, so that a call has at most so
# many, whoever tells them. Returns how many were taken.
PUT = """
local key, taken = 'words:' .. ARGV[1], 0
local count = tonumber(redis.call('GET', key .. ':count') or 0)
for i = 5, #ARGV, 2 do
  local known = redis.call('HEXISTS', key, ARGV[i]) == 1
  if known or count < tonumber(ARGV[2]) then
    redis.call('HSET', key, ARGV[i], ARGV[i + 1])
    taken = taken + 1
    if not known then count = count + 1 end
  end
end
redis.call('SET', key .. ':count', count, 'EX', ARGV[3])
if taken > 0 then
  redis.call('EXPIRE', key, ARGV[3])
  redis.call('ZADD', 'wordy', 'NX', ARGV[4], ARGV[1])
end
return taken
"""


def forget(client: redis.Redis, call_id: str) -> None:
    """Nothing is owed for it any more. Its own keys go with all that name the call."""
    client.zrem("wordy", call_id)


def put(client: redis.Redis, call_id: str, said: Sequence[Said]) -> int:
    """Owed from now on; how many of them: past MOST_TURNS of a call none. redis.RedisError."""
    return cast(int, client.eval(PUT, 0, *_arguments(call_id, said)))


async def put_soon(client: redis.asyncio.Redis, call_id: str, said: Sequence[Said]) -> int:
    """The same, from an event loop."""
    return int(await cast("Awaitable[int]", client.eval(PUT, 0, *_arguments(call_id, said))))


def _arguments(call_id: str, said: Sequence[Said]) -> list[str]:
    now = time.time()
    told: list[str] = [call_id, str(MOST_TURNS), str(STATE_TTL_S), repr(now)]
    for one in said:
        row = {"end": one.end_ms, "text": one.text, "sure": one.confidence, "at": now, "done": ""}
        told += [f"{one.channel}:{one.start_ms}", json.dumps(row)]
    return told


async def look_again(client: redis.asyncio.Redis, call_id: str) -> None:
    """A pause has begun before some of its turns: they are read once more."""
    await client.zadd("wordy", {call_id: time.time()}, nx=True)


def outside(said: Iterable[Said], pauses: Pauses) -> list[Said]:
    """Those that overlap no pause."""
    return [one for one in said if not _paused(one, pauses)]


def _paused(one: Said, pauses: Pauses) -> bool:
    return any(
        one.end_ms > pause["since"] and (pause["until"] is None or one.start_ms < pause["until"])
        for pause in pauses
    )


def owed(ledger: Ledger) -> int:
    """How many calls have new words."""
    return int(ledger.client.zcard("wordy"))


def count(client: redis.Redis, call_id: str) -> int:
    """Turns taken of a call."""
    return int(cast("bytes | None", client.get(f"words:{call_id}:count")) or 0)


# --- out ---------------------------------------------------------------------------------------------


def claim(ledger: Ledger, limit: int = 8) -> Iterator[Owed]:
    """Calls with new words that nobody else holds, the oldest first."""
    names = cast("list[bytes]", ledger.client.zrange("wordy", 0, limit * 4))
    taken = 0
    for name in names:
        if taken < limit and (held := ledger.lease(name.decode())):
            taken += 1
            yield _owed(ledger, held)


def _owed(ledger: Ledger, held: Claim) -> Owed:
    key = f"words:{held.call_id}"
    raw = ledger.client.get(f"{key}:before")
    before = Before.load(json.loads(raw)) if isinstance(raw, bytes) else Before()
    return Owed(held, before, _rows(before, _now(ledger, key)))


def _rows(before: Before, found: Mapping[str, Mapping[str, Any]]) -> tuple[Row, ...]:
    said = in_order(_said(name, told) for name, told in found.items())
    rows = []
    for one, clean in zip(said, redacted(before, said), strict=True):
        name = f"{one.channel}:{one.start_ms}"
        rows.append(Row(name, one, float(found[name]["at"]), str(found[name]["done"]), clean))
    return tuple(rows)


def silenced(ledger: Ledger, owed: Owed, pauses: Pauses) -> Owed:
    """Without the words of turns that overlap a pause: gone from here, taken back where they were read."""
    if not any(row.said.text and _paused(row.said, pauses) for row in owed.rows):
        return owed
    key = f"words:{owed.claim.call_id}"
    found = _now(ledger, key)
    for name, told in found.items():
        if told["text"] and _paused(_said(name, told), pauses):
            told["text"] = ""
            ledger.client.hset(key, name, json.dumps(told))
    return Owed(owed.claim, owed.before, _rows(owed.before, found))


def _now(ledger: Ledger, key: str) -> dict[str, dict[str, Any]]:
    found = cast("dict[bytes, bytes]", ledger.client.hgetall(key))
    return {name.decode(): json.loads(value) for name, value in found.items()}


def _said(name: str, told: Mapping[str, Any]) -> Said:
    channel, _, start = name.partition(":")
    return Said(Channel(channel), int(start), told["end"], told["text"], told["sure"])


def digest(clean: Clean) -> str:
    told = (clean.said.end_ms, clean.said.confidence, clean.text, clean.masks, clean.previous)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def settle(ledger: Ledger, owed: Owed) -> None:
    """Once it is all committed. What came in meanwhile stays owed; what is old leaves its raw text."""
    key, old = f"words:{owed.claim.call_id}", time.time() - RAW_S
    gone = 0
    while gone < len(owed.rows) and owed.rows[gone].at < old:
        gone += 1
    now = _now(ledger, key)
    again = set(now) - {row.name for row in owed.rows}
    with ledger.client.pipeline() as pipe:
        for place, row in enumerate(owed.rows):
            told = now.get(row.name)
            if told is None or (_said(row.name, told), float(told["at"])) != (row.said, row.at):
                again |= {row.name} & set(now)  # told again since
            elif place < gone:
                pipe.hdel(key, row.name)
            else:
                pipe.hset(key, row.name, json.dumps(told | {"done": digest(row.clean)}))
        if gone:
            left = json.dumps(owed.rows[gone - 1].clean.after.dump())
            pipe.set(f"{key}:before", left, ex=STATE_TTL_S)
        if not again:
            pipe.zrem("wordy", owed.claim.call_id)
            pipe.expire(key, RAW_S)
        pipe.execute()


def as_json(said: Sequence[Said]) -> list[dict[str, Any]]:
    """As `read` reads it."""
    return [
        {
            "channel": str(one.channel),
            "start_ms": one.start_ms,
            "end_ms": one.end_ms,
            "text": one.text,
            "confidence": one.confidence,
        }
        for one in said
    ]


def drop(ledger: Ledger, call_id: str) -> None:
    """Nothing of its words is owed or kept."""
    ledger.client.delete(f"words:{call_id}", f"words:{call_id}:before", f"words:{call_id}:count")
    ledger.client.zrem("wordy", call_id)
