"""A stream from its first word to its last, whatever carries it: a WebSocket, or plain TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

import structlog

from calls.ingest import door
from calls.ingest.door import BAD_DATA, NORMAL, POLICY, Line
from calls.ingest.hub import Refused
from calls.ingest.words import Begin, End, Said, Say, Talk, Trouble, Unusable

log = structlog.get_logger(__name__)

START_S = 10.0
"""From accept to the start message."""
MOST_BEFORE = 200
"""Frames, pings above all, before it."""
IDLE_S = 30.0
CUT_OFF = "The audio stream was cut off."
STOPPED = "The server was stopped."


class Carrier(Protocol):
    async def frame(self) -> str | bytes | None:
        """What came next; None once the other side is gone. Refused when it is too big."""
        ...

    async def say(self, texts: Iterable[str]) -> None: ...


async def wait_for_begin(
    carrier: Carrier, talk: Talk, seconds: float | None = None
) -> tuple[Begin, list[Said]] | None:
    """The beginning, and what was said with it. None for a stream that only asked whether we are here."""
    malformed = frames = 0
    try:
        async with asyncio.timeout(START_S if seconds is None else seconds):
            while malformed < door.MAX_MALFORMED and frames < MOST_BEFORE:
                frames += 1
                if (frame := await carrier.frame()) is None:
                    raise Refused(NORMAL, "closed before start")
                said = list(talk.hear(frame))
                for place, one in enumerate(said):
                    if isinstance(one, Begin):
                        return one, said[place + 1 :]
                    if isinstance(one, Say):
                        await carrier.say([one.text])
                    elif isinstance(one, Unusable):
                        raise Refused(one.code, one.reason)
                    elif isinstance(one, End):
                        return None
                    elif isinstance(one, Trouble):
                        log.warning("the phone system reports an error", code=one.code, error=one.reason)
                malformed += 0 if any(isinstance(one, Say | Trouble) for one in said) else 1
    except TimeoutError:
        raise Refused(POLICY, "no start") from None
    raise Refused(BAD_DATA, "no start")


async def attend(
    carrier: Carrier,
    line: Line,
    talk: Talk,
    rest: Iterable[Said],
    cut_off: Callable[[], str] = lambda: CUT_OFF,
    idle_s: float | None = None,
) -> None:
    """Frames until an end, and then the line's own. Refused, once the other side has been told why."""
    why, reason = None, "The audio stream broke off."
    try:
        reason = await listen(carrier, line, talk, rest, idle_s or IDLE_S)
        reason = cut_off() if reason == CUT_OFF else reason
    except Refused as refusal:
        why, reason = refusal, f"The audio stream was ended: {refusal.reason}."
        await _tell(carrier, talk, refusal.code, refusal.reason)
    except Exception:
        await _tell(carrier, talk, door.BROKEN, "internal error")
        raise
    finally:
        await asyncio.shield(line.end(reason))
    if why := why or line.refused:
        raise why


async def _tell(carrier: Carrier, talk: Talk, code: int, reason: str) -> None:
    """Before the line's end, which may take its time."""
    with suppress(Exception):
        await carrier.say(talk.refusal(code, reason))


async def listen(carrier: Carrier, line: Line, talk: Talk, rest: Iterable[Said], idle_s: float) -> str:
    """Frames until an end; returns why it ended, in words for the call's record."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(idle_s) as deadline:
            line.stream.end_early = lambda: deadline.reschedule(loop.time())
            touched = loop.time()
            if end := await _take(carrier, line, rest):
                return end
            while (frame := await carrier.frame()) is not None:
                if end := await _take(carrier, line, talk.hear(frame)):
                    return end
                now = loop.time()
                if now - touched > 1 and not line.superseded:
                    touched = now
                    line.check()
                    await carrier.say(talk.tick(line.stored_ms()))
                    deadline.reschedule(now + idle_s)
            return CUT_OFF
    except TimeoutError:
        reason = f"No audio for {idle_s:.0f} s."
        if line.superseded:
            reason = "The audio went on in a new stream."
        elif line.hub.stopping:
            reason = STOPPED
        with suppress(Exception):  # the other side may be gone
            await carrier.say(talk.farewell(reason, fault=reason == STOPPED))
        return reason


async def _take(carrier: Carrier, line: Line, heard: Iterable[Said]) -> str:
    said = list(heard)
    line.count(said)
    for one in said:
        if isinstance(one, Say):
            await carrier.say([one.text])
        elif isinstance(one, End):
            return one.reason
        else:
            line.take(one)
    return ""
