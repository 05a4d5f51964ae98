"""The media door: a raw ASGI app, because a frame must cost microseconds. No channel layer here.

Nothing is accepted before its signature fits, and nothing is ever sent back (PROTOCOLS §1:
Twilio takes a message from us as an error). One coroutine a stream; `hub` writes for all of them.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings

from calls import metrics, record
from calls.access import MediaSource, media_source
from calls.ingest import auth, twilio
from calls.ingest.hub import DOWN, Hub, Stream, hub
from calls.ingest.session import Limits, Session
from calls.record import OpenCall
from scoring.types import HOP_MS

log = structlog.get_logger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = re.compile(r"^/media/twilio/(?P<slug>[-\w]{1,60})/?$")
START_S = 10.0
"""From accept to the start message."""
IDLE_S = 30.0
REFUSAL_DELAY_S = 0.5
SOURCE_CACHE_S = 5.0
MAX_MALFORMED = 20
MAX_OVER_RATE = 1000
OPEN_TRIES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before each try to open the call's row: a database that restarts costs no call."""
END_TRIES = 40
STREAM_SID_TTL_S = 6 * 3600
MULAW = {"audio/x-mulaw", "audio/mulaw", "audio/pcmu", "pcmu", "mulaw", "ulaw"}

NORMAL, UNSUPPORTED, BAD_DATA, POLICY, TOO_BIG, BROKEN, TRY_LATER = 1000, 1003, 1007, 1008, 1009, 1011, 1013


class Refused(Exception):
    """The stream is not taken, or not any longer; `code` is its close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


async def media_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await _Door(scope, receive, send, hub()).serve()
    elif scope["type"] == "http":
        await _http(scope, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)


async def _http(scope: Scope, send: Send) -> None:
    status, body = (200, b"ok\n") if scope["path"] == "/health/live" else (404, b"not found\n")
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Streams flush themselves as the server disconnects them; this catches what is left."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            with suppress(Exception):
                await hub().close()
            await send({"type": "lifespan.shutdown.complete"})
            return


@dataclass
class _Door:
    """One connection, from handshake to the last flush."""

    scope: Scope
    receive: Receive
    send: Send
    hub: Hub

    async def serve(self) -> None:
        await self.receive()
        source = await self._known()
        if source is None:
            await asyncio.sleep(REFUSAL_DELAY_S)
            await self.send({"type": "websocket.close", "code": POLICY})
            return
        await self.send({"type": "websocket.accept"})
        code, why = NORMAL, "ended"
        try:
            if self.hub.full_for(source.slug):
                raise Refused(TRY_LATER, "full")
            await self._stream(source)
        except Refused as refusal:
            code, why = refusal.code, refusal.reason
            metrics.MEDIA_REFUSED.labels(why).inc()
            log.warning("media stream refused", source=source.slug, reason=why)
        except Exception:
            code, why = BROKEN, "internal error"
            log.exception("media stream broke", source=source.slug)
        with suppress(Exception):  # the other side may have closed already
            await self.send({"type": "websocket.close", "code": code, "reason": why})

    # -- before accept

    async def _known(self) -> MediaSource | None:
        """The source of the address, if its phone system signed the handshake. One answer for
        all that is wrong, so that nobody learns which sources exist."""
        match = PATH.match(self.scope["path"])
        source = await _source(self.hub, match["slug"]) if match else None
        given = b"".join(v for k, v in self.scope["headers"] if k == b"x-twilio-signature")
        fits = auth.signed(source or _NOBODY, given.decode("latin-1"))
        if source and source.enabled and source.protocol == "twilio" and fits:
            return source
        why = "bad signature" if source and source.enabled else "unknown source"
        metrics.MEDIA_REFUSED.labels(why).inc()
        log.warning("media handshake refused", path=self.scope["path"][:120], reason=why)
        return None

    # -- the stream

    async def _stream(self, source: MediaSource) -> None:
        start = await self._wait_for_start()
        await self._admit(source, start)
        speed = getattr(settings, "MEDIA_SPEED", Limits.speed)
        session = Session(source.roles, now_ms=_now_ms(), limits=Limits(speed=speed))
        stream = Stream(source.slug, session)
        self.hub.join(stream)
        opening = asyncio.create_task(self._open(source, start, stream))
        why, reason = None, "The audio stream broke off."
        try:
            reason = await self._listen(stream, start, opening)
        except Refused as refusal:
            why, reason = refusal, f"The audio stream was ended: {refusal.reason}."
        finally:
            await asyncio.shield(self._end(stream, opening, reason))
        if why:
            raise why

    async def _wait_for_start(self) -> twilio.Start:
        try:
            async with asyncio.timeout(START_S):
                for _ in range(MAX_MALFORMED):
                    frame = await self._frame()
                    if frame is None:
                        raise Refused(NORMAL, "closed before start")
                    message = twilio.parse(frame)
                    if isinstance(message, twilio.Start):
                        return message
        except TimeoutError:
            raise Refused(POLICY, "no start") from None
        raise Refused(BAD_DATA, "no start")

    async def _admit(self, source: MediaSource, start: twilio.Start) -> None:
        """Only audio that we can hear, a token where one is due, and each stream once."""
        if start.encoding.lower() not in MULAW or start.rate_hz != 8000 or start.channels != 1:
            raise Refused(UNSUPPORTED, "audio is not 8 kHz mu-law mono")
        if source.one_time_tokens_required:
            token = auth.read_token(source, start.call_sid, start.parameters.get("token", ""))
            if token is None:
                raise Refused(POLICY, "bad token")
            if not await self._first(f"token:{source.id}:{token.nonce}", auth.TOKEN_TTL_S * 10):
                raise Refused(POLICY, "token used")
        sid = f"stream:{source.id}:{start.stream_sid}"
        if not await self._first(sid, STREAM_SID_TTL_S, if_down=True):
            raise Refused(POLICY, "stream replayed")

    async def _first(self, name: str, ttl_s: int, *, if_down: bool = False) -> bool:
        """`if_down`: without the buffer nobody can tell, and a signed call is worth more."""
        try:
            return await self.hub.writer.once(name, ttl_s)
        except DOWN:
            if if_down:
                return True
            raise Refused(TRY_LATER, "cannot check the token") from None

    async def _listen(self, stream: Stream, start: twilio.Start, opening: asyncio.Task[None]) -> str:
        """Frames until an end; returns why it ended, in words for the call's record."""
        session = stream.session
        # A frame that does not say whose voice it is belongs to nobody, unless the stream has one track.
        only_track = start.tracks[0] if len(start.tracks) == 1 else ""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(IDLE_S) as deadline:
                stream.end_early = lambda: deadline.reschedule(loop.time())
                touched = loop.time()
                while (frame := await self._frame()) is not None:
                    now = loop.time()
                    message = twilio.parse(frame)
                    if isinstance(message, twilio.Media):
                        hops = session.media(
                            message.track or only_track,
                            message.timestamp_ms,
                            message.payload,
                            int(time.monotonic() * 1000),
                        )
                        if hops:
                            stream.add(hops)
                    elif isinstance(message, twilio.Stop):
                        return "The call ended."
                    else:
                        _count_other(session, message)
                    if now - touched > 1 and not stream.superseded:
                        touched = now
                        _check(session, opening)
                        deadline.reschedule(now + IDLE_S)
                return "The audio stream was cut off."
        except TimeoutError:
            if stream.superseded:
                return "The audio went on in a new stream."
            return f"No audio for {IDLE_S:.0f} s."

    async def _frame(self) -> str | bytes | None:
        """The next frame; None once the socket is closed."""
        message = await self.receive()
        if message["type"] != "websocket.receive":
            return None
        text: str | None = message.get("text")
        frame: str | bytes = text if text is not None else message.get("bytes") or b""
        if len(frame) > twilio.MAX_FRAME_BYTES:
            raise Refused(TOO_BIG, "frame too big")
        return frame

    # -- the call's row

    async def _open(self, source: MediaSource, start: twilio.Start, stream: Stream) -> None:
        """Find or make the call; its audio waits meanwhile."""
        parameters = {k: v for k, v in start.parameters.items() if k != "token"}
        new = OpenCall(
            source_id=source.id,
            protocol=source.protocol,
            external_ref=start.call_sid,
            stream_ref=start.stream_sid,
            started_at=datetime.now(UTC),
            parameters=parameters,
        )
        for wait_s in OPEN_TRIES_S:
            await asyncio.sleep(wait_s)
            try:
                opened = await self.hub.database(lambda: record.open_call(new))
                break
            except Exception:
                log.exception("could not open the call", source=source.slug, call=start.call_sid)
        else:
            raise Refused(BROKEN, "no database")
        if opened.resumed:
            await self._continue(opened.call_id, opened.offset_ms, stream)
        stream.call_id = opened.call_id
        log.info("call opened", call=opened.call_id, source=source.slug, resumed=opened.resumed)

    async def _continue(self, call_id: str, offset_ms: int, stream: Stream) -> None:
        """A cut-off call goes on, at its wall-clock time and after all that it already has."""
        if earlier := self.hub.of_call(call_id):
            earlier.superseded = True
            with suppress(RuntimeError):  # it is ending already
                earlier.end_early()
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await earlier.gone.wait()
        base = -(-offset_ms // HOP_MS)
        with suppress(*DOWN):
            ends = await self.hub.writer.resume(call_id)
            base = max(base, *ends.values())
            for channel, end in ends.items():
                stream.session.lost_before(channel, base - end)
        stream.base_index = base

    async def _end(self, stream: Stream, opening: asyncio.Task[None], reason: str) -> None:
        """Everything heard reaches the buffer, then the row, then the list of calls to close."""
        session = stream.session
        stream.add(session.stop())
        try:
            with suppress(Refused):
                await opening
            if not stream.call_id:
                stream.drop_oldest(0)
                return
            await self._drain(stream)
            counters = session.counters.as_dict()
            await self._try(
                lambda: self.hub.database(lambda: record.media_ended(stream.call_id, reason, counters))
            )
            if not stream.superseded:
                at = int(time.time() * 1000)
                await self._try(lambda: self.hub.writer.mark_closing(stream.call_id, at))
                self.hub.wake(1)
        finally:
            self.hub.leave(stream)
            metrics.MEDIA_ENDED.labels(reason.rstrip(".")).inc()
            _count_frames(session)
            log.info("media ended", call=stream.call_id, reason=reason, **session.counters.as_dict())

    async def _drain(self, stream: Stream) -> None:
        for _ in range(END_TRIES):
            await self.hub.flush()
            if not stream.waiting:
                return
            await asyncio.sleep(0.5)
        stream.drop_oldest(0)

    async def _try(self, do: Callable[[], Awaitable[object]]) -> None:
        """A few times; if it still fails, housekeeping finds the call silent and closes it."""
        for wait_s in OPEN_TRIES_S:
            await asyncio.sleep(wait_s)
            try:
                await do()
                return
            except Exception as error:
                log.warning("could not record the end of a stream", error=str(error))


def _check(session: Session, opening: asyncio.Task[None]) -> None:
    """Once a second: Refused if the stream has gone on too long, too fast, or to nowhere."""
    if session.counters.over_rate > MAX_OVER_RATE:
        raise Refused(POLICY, "faster than real time")
    if session.too_long(_now_ms()):
        raise Refused(POLICY, "call too long")
    if opening.done():
        opening.result()


def _count_other(session: Session, message: twilio.Message) -> None:
    counters = session.counters
    if isinstance(message, twilio.Malformed):
        counters.malformed += 1
        if counters.malformed > MAX_MALFORMED:
            raise Refused(BAD_DATA, "malformed frames")
    elif isinstance(message, twilio.Dtmf):
        counters.dtmf += 1
    elif not isinstance(message, twilio.Connected | twilio.Mark):
        counters.ignored += 1


def _count_frames(session: Session) -> None:
    counters = session.counters
    for kind in ("frames", "duplicate", "late", "malformed", "over_rate", "other_track"):
        metrics.MEDIA_FRAMES.labels(kind).inc(getattr(counters, kind))


def _now_ms() -> int:
    return int(time.monotonic() * 1000)


# --- sources -----------------------------------------------------------------------------------

_NOBODY = MediaSource(0, "", 0, "twilio", False, ("nobody",), "wss://nowhere/", False, {}, False)
"""Stands in for an unknown source, so that the answer takes as long."""
_sources: dict[str, tuple[float, MediaSource | None]] = {}


async def _source(hub: Hub, slug: str) -> MediaSource | None:
    """From the database, at most once in SOURCE_CACHE_S for each address."""
    until, source = _sources.get(slug, (0.0, None))
    if time.monotonic() < until:
        return source
    if len(_sources) > 1000:
        _sources.clear()
    source = await hub.database(lambda: media_source(slug))
    _sources[slug] = (time.monotonic() + SOURCE_CACHE_S, source)
    return source
