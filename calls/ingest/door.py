"""What every way in shares: who is let in, one call's row, its audio's way to the buffer, its end.

Knows no protocol and no socket: `Line` is told, in the words of `words`, what a phone system said.
WebSockets come through `asgi`; anything else may come the same way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import structlog
from django.conf import settings

from calls import consent, helping, metrics, record, transcripts
from calls.access import MediaSource
from calls.ingest import auth
from calls.ingest.formats import Converter
from calls.ingest.hub import DOWN, TRY_LATER, Hub, Refused, Stream
from calls.ingest.session import Counters, Limits, Session
from calls.ingest.sources import Unknowable
from calls.ingest.words import (
    Audio,
    Begin,
    Consent,
    Dtmf,
    Ignored,
    Malformed,
    Pause,
    Resume,
    Said,
    Skip,
    Told,
    Trouble,
    Unusable,
)
from calls.record import OpenCall, Opened
from scoring.types import HOP_MS, Channel

log = structlog.get_logger(__name__)

REFUSAL_DELAY_S = 0.5
MAX_MALFORMED = 20
MAX_OVER_RATE = 1000
WORDS_S, WORDS_BURST = 50, 1000
"""Messages without audio that a stream may send a second, and at once besides."""
FRAMES_S, FRAMES_BURST = 1000, 20_000
"""And of all it sends; two voices in frames of 20 ms are a hundred."""
SPARSE_MS = 5000
"""So long without audio, a stream that sends none while it is silent has been silent, and not merely late."""
MOST_TROUBLES = 5
OPEN_TRIES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before each try to open the call's row: a database that restarts costs no call."""
END_TRIES = 40
STREAM_REF_TTL_S = 6 * 3600
MOST_CONSENTS = 20
"""That one stream may say of its caller."""
MOST_TOLD = 500
"""Turns of a platform's transcript that may wait in memory."""
EARLY_MS = 20_000
"""How much of one leg waits for the call's row, which says where beside the other leg it belongs."""

NORMAL, UNSUPPORTED, BAD_DATA, POLICY, TOO_BIG, BROKEN = 1000, 1003, 1007, 1008, 1009, 1011


def refuse(refusal: Refused, source: str) -> None:
    """Count it and log it. Words after a colon are the sender's own: for the log, not for a label."""
    metrics.MEDIA_REFUSED.labels(refusal.reason.partition(":")[0]).inc()
    log.warning("media stream refused", source=source, reason=refusal.reason)


async def admit(
    hub: Hub, source: MediaSource, begin: Begin, roles: Mapping[str, str], *, vouched: bool = True
) -> Line:
    """The line of a stream that may begin: its ticket good where one is due, its name never used.

    `vouched`: who it is was proved before it spoke; otherwise its ticket must. Refused.
    """
    roles = {**roles, **source.roles, **{c.value: c.value for c in Channel}}
    token = None
    if source.one_time_tokens_required or not vouched:
        token = auth.read_token(source, begin.call_ref, begin.token)
        if token is None:
            raise Refused(POLICY, "bad token")
    if hub.full_for(source.slug):
        raise Refused(TRY_LATER, "full")
    channels = {Channel(roles[leg]) for leg in map(_bare, begin.legs) if leg in roles}
    if begin.legs and not channels:
        raise Refused(
            POLICY, f"no leg of the source: {', '.join(begin.legs)[:80]} is none of {', '.join(roles)}"
        )
    # Spent last: who is sent away for another reason may come again with it.
    if token and not await first(hub, f"token:{source.id}:{token.nonce}", auth.TOKEN_TTL_S * 10):
        raise Refused(POLICY, "token used")
    name = f"stream:{source.id}:{begin.stream_ref}"
    if not await first(hub, name, STREAM_REF_TTL_S, if_down=True):
        raise Refused(POLICY, "stream replayed")
    return Line(hub, source, begin, roles, frozenset(channels or Channel))


async def first(hub: Hub, name: str, ttl_s: int, *, if_down: bool = False) -> bool:
    """`if_down`: without the buffer nobody can tell, and a signed call is worth more."""
    try:
        return await hub.writer.once(name, ttl_s)
    except DOWN:
        if if_down:
            return True
        raise Refused(TRY_LATER, "cannot check the token") from None


class Line:
    """One stream of one call, from its first frame to the last flush."""

    def __init__(
        self,
        hub: Hub,
        source: MediaSource,
        begin: Begin,
        roles: Mapping[str, str],
        channels: frozenset[Channel],
    ) -> None:
        self.hub, self.source, self.begin = hub, source, begin
        self.session = Session(roles, now_ms=_now_ms(), limits=Limits(speed=settings.MEDIA_SPEED))
        self.stream = Stream(source.slug, self.session, channels, begin.stream_ref)
        self._converters: dict[tuple[str, ...], Converter] = {}
        self._only = begin.legs[0] if len(begin.legs) == 1 else ""
        self._paused = False
        self._paused_ms: int | None = None
        """Where in the stream the pause began, until it is over and its end known."""
        self._telling: asyncio.Task[None] | None = None
        self._words = self._frames = 0
        self._last_ms: int | None = None
        """When audio last came."""
        self._troubles: list[str] = []
        self.refused: Refused | None = None
        """Why it has no call, once it has ended without one."""
        # One leg alone may belong beside another that began earlier, and so may not be cut into hops yet.
        alone = len(channels) == 1 or begin.resume_ms is not None
        self._early: deque[tuple[Audio | Skip, int]] | None = deque() if alone else None
        self._early_ms = 0.0
        self._purging: set[asyncio.Task[None]] = set()
        self._consents: list[asyncio.Task[None]] = []
        self._noting = asyncio.Lock()  # one after the other, as they were said
        hub.join(self.stream)
        self._opening = asyncio.create_task(self._open(datetime.now(UTC)))

    # -- while it runs

    def take(self, said: Said) -> None:
        """What the phone system said, other than its beginning and end. Refused when it is too much."""
        if isinstance(said, Audio):
            if self._paused:
                self.counters.while_paused += 1
                return
            self._resumed()
            self._silent_until_now(self.begin.format.ms(len(said.payload)))
            if len(said.payload) % self.begin.format.frame_bytes:
                self._malformed()
            else:
                self._later_or_now(said)
        elif isinstance(said, Skip):
            self._later_or_now(said)
        elif isinstance(said, Pause):
            self._pause(said)
        elif isinstance(said, Resume):
            self._paused = False
        elif isinstance(said, Dtmf):
            self.counters.dtmf += 1
        elif isinstance(said, Malformed):
            self._malformed()
        elif isinstance(said, Unusable):
            raise Refused(said.code, said.reason)
        elif isinstance(said, Told):
            self._told(said)
        elif isinstance(said, Trouble):
            self._trouble(said)
        elif isinstance(said, Consent):
            self._consent(said)
        elif isinstance(said, Ignored):
            self.counters.ignored += 1

    def count(self, said: Sequence[Said]) -> None:
        """What one frame meant. Refused when there is more of it than any phone system has to say."""
        words = sum(1 for one in said if not isinstance(one, Audio)) if said else 1
        self._words, self._frames = self._words + words, self._frames + max(1, len(said))
        seconds = (_now_ms() - self.session.started_ms) / 1000 * max(1.0, self.session.limits.speed / 2)
        if self._words > WORDS_BURST + WORDS_S * seconds or self._frames > FRAMES_BURST + FRAMES_S * seconds:
            raise Refused(POLICY, "too many messages")

    def check(self) -> None:
        """Once a second: Refused if the stream has gone on too long, too fast, or to nowhere."""
        if self.counters.over_rate > MAX_OVER_RATE:
            raise Refused(POLICY, "faster than real time")
        if self.session.too_long(_now_ms()):
            raise Refused(POLICY, "call too long")
        for task in (self._opening, *self._consents):
            if task.done():
                task.result()

    @property
    def counters(self) -> Counters:
        return self.session.counters

    @property
    def superseded(self) -> bool:
        return self.stream.superseded

    def stored_ms(self) -> int:
        return self.stream.stored_ms() if self.stream.call_id else 0

    def _later_or_now(self, said: Audio | Skip) -> None:
        now_ms = _now_ms()
        if self._early is None:
            self._hear(said, now_ms)
            return
        if isinstance(said, Audio):
            self._early_ms += self.begin.format.ms(len(said.payload))
            if self._early_ms > EARLY_MS or len(self._early) > EARLY_MS:
                self.counters.over_rate += 1
                return
        self._early.append((said, now_ms))

    def _hear(self, said: Audio | Skip, now_ms: int) -> None:
        if isinstance(said, Skip):
            self._lay_rest(now_ms)
            self.stream.add(self.session.skip(said.ms, now_ms))
            return
        # A frame that does not say whose voice it is belongs to nobody, unless the stream has one leg.
        legs = said.legs if any(said.legs) else (self._only,)
        if (converter := self._converters.get(legs)) is None:
            if len(self._converters) >= 4:
                self.counters.other_track += 1
                return
            converter = self._converters[legs] = Converter(self.begin.format)
        for at_ms, mulaw in converter.convert(said.payload, said.timestamp_ms):
            self._lay(legs, at_ms, mulaw, now_ms)

    def _lay(self, legs: tuple[str, ...], at_ms: int | None, mulaw: list[bytes], now_ms: int) -> None:
        for leg, payload in zip(legs, mulaw, strict=False):
            if hops := self.session.media(leg, at_ms, payload, now_ms):
                self.stream.add(hops)

    def _lay_rest(self, now_ms: int) -> None:
        """What resamplers still hold, up to a tenth of a second, belongs before what comes next."""
        for legs, converter in self._converters.items():
            for at_ms, mulaw in converter.finish():
                self._lay(legs, at_ms, mulaw, now_ms)

    def _told(self, told: Told) -> None:
        of_pause = self._paused_ms is not None and told.said.end_ms > self._paused_ms
        if not self.source.given_words or of_pause or len(self.stream.told) >= MOST_TOLD:
            self.counters.ignored += 1
            return
        self.stream.told.append(told.said)

    def _trouble(self, said: Trouble) -> None:
        words = f"phone system error {said.code}: {said.reason}"
        log.warning("the phone system reports an error", source=self.source.slug, error=words)
        self.hub.refused(self.source.slug, words)
        if len(self._troubles) < MOST_TROUBLES:
            self._troubles.append(
                f"The phone system reported error {said.code}: {said.reason or 'no words'}."
            )

    def _consent(self, said: Consent) -> None:
        if len(self._consents) >= MOST_CONSENTS:
            self.counters.ignored += 1
            return
        self._consents.append(asyncio.create_task(self._note(said)))

    async def _note(self, said: Consent) -> None:
        """Into the call's row. Refused where that cannot be: no caller is analysed whose answer got lost."""
        async with self._noting:
            await self._opening
            call_id = self.stream.call_id
            for wait_s in OPEN_TRIES_S:
                await asyncio.sleep(wait_s)
                try:
                    await self.hub.database(lambda: consent.from_stream(call_id, said.said))
                    return
                except helping.BadRequest as wrong:
                    log.warning("consent not noted", call=call_id, said=said.said, why=str(wrong))
                    return
                except Exception:
                    log.exception("could not note consent", call=call_id)
        raise Refused(BROKEN, "no database")

    def _malformed(self) -> None:
        self.counters.malformed += 1
        if self.counters.malformed > MAX_MALFORMED:
            raise Refused(BAD_DATA, "malformed frames")

    def _pause(self, said: Pause) -> None:
        if not self._paused:
            self.counters.pauses += 1
            self._resumed()  # from an earlier one, with no audio between them
        self._paused = True
        self._lay_rest(_now_ms())  # or it would come out after the pause, at the wrong time and not silenced
        since_ms = self._clock_ms() if said.since_ms is None else said.since_ms
        if self._paused_ms is None or since_ms < self._paused_ms:
            self._paused_ms = since_ms
            self._tell_pause(since_ms, None)
        self.stream.told = [one for one in self.stream.told if one.end_ms <= since_ms]
        if said.since_ms is None:
            return
        if self._early is not None:
            self._cut_early(said.since_ms)
            return
        span = self.session.cut(said.since_ms)
        self.stream.silence(span)
        task = asyncio.create_task(self.hub.purge(self.stream, span))
        self._purging.add(task)
        task.add_done_callback(self._purging.discard)

    def _silent_until_now(self, ms: float) -> None:
        """`ms`: how much has come now."""
        now_ms, before = _now_ms(), self._last_ms
        self._last_ms = now_ms
        if self.begin.sparse and before is not None and now_ms - before > SPARSE_MS:
            self._later_or_now(Skip(max(0, round(now_ms - before - ms))))

    def _resumed(self) -> None:
        """Audio comes again, or the stream ends: now it is known how far the last pause went."""
        if self._paused_ms is not None and not self._paused:
            self._tell_pause(self._paused_ms, self._clock_ms())
            self._paused_ms = None

    def _clock_ms(self) -> int:
        if self._early is None:
            return self.session.clock_ms()
        ms = (
            one.ms if isinstance(one, Skip) else self.begin.format.ms(len(one.payload))
            for one, _ in self._early
        )
        return round(sum(ms))

    def _tell_pause(self, since_ms: int, until_ms: int | None) -> None:
        """On the call, in the order in which they came, since its words may come by other ways and later."""
        self._telling = asyncio.create_task(self._note_pause(self._telling, since_ms, until_ms))

    async def _note_pause(
        self, before: asyncio.Task[None] | None, since_ms: int, until_ms: int | None
    ) -> None:
        await asyncio.wait({self._opening, before} if before else {self._opening})
        call_id, begins_ms = self.stream.call_id, self.stream.begins_ms
        if not call_id:
            return
        channels = sorted(channel.value for channel in self.stream.channels)
        until = None if until_ms is None else begins_ms + until_ms
        noted = partial(record.paused, call_id, channels, begins_ms + since_ms, until)
        await self._try(lambda: self.hub.database(noted))
        with suppress(*DOWN):
            await transcripts.look_again(self.hub.writer.client, call_id)

    def _cut_early(self, since_ms: int) -> None:
        """Of what still waits for the row, nothing from then on stays but its time."""
        assert self._early is not None
        kept, at_ms, gone_ms = deque[tuple[Audio | Skip, int]](), 0.0, 0.0
        for said, now_ms in self._early:
            ms = said.ms if isinstance(said, Skip) else self.begin.format.ms(len(said.payload))
            at_ms += ms
            if isinstance(said, Skip) or at_ms <= since_ms:
                kept.append((said, now_ms))
            else:
                gone_ms += ms
        if gone_ms:
            kept.append((Skip(round(gone_ms)), _now_ms()))
        self._early = kept

    # -- the call's row

    async def _open(self, started_at: datetime) -> None:
        """Find or make the call; its audio waits meanwhile."""
        begin = self.begin
        new = OpenCall(
            source_id=self.source.id,
            protocol=self.source.protocol,
            external_ref=begin.call_ref,
            stream_ref=begin.stream_ref,
            started_at=started_at,
            parameters={k: v for k, v in begin.parameters.items() if k != "token"},
            continues=begin.continues,
            channels=tuple(sorted(channel.value for channel in self.stream.channels)),
        )
        for wait_s in OPEN_TRIES_S:
            await asyncio.sleep(wait_s)
            try:
                opened = await self.hub.database(lambda: record.open_call(new))
                break
            except record.NotTaken as not_taken:
                raise Refused(POLICY, str(not_taken)) from None
            except Exception:
                log.exception("could not open the call", source=self.source.slug, call=begin.call_ref)
        else:
            raise Refused(BROKEN, "no database")
        await self._place(opened)
        self.stream.call_id = opened.call_id
        log.info("call opened", call=opened.call_id, source=self.source.slug, resumed=opened.resumed)

    async def _place(self, opened: Opened) -> None:
        """Where in the call this stream begins: after all that its channels already have."""
        stream, offset_ms = self.stream, opened.offset_ms
        if opened.resumed:
            await self._supersede(opened.call_id)
        ends: dict[Channel, int] = {}
        since: dict[Channel, int] = {}
        with suppress(*DOWN):
            if opened.resumed:
                ends = await self.hub.writer.resume(opened.call_id)
            since = await self.hub.writer.join(
                opened.call_id, stream.ref, dict.fromkeys(stream.channels, offset_ms)
            )
        ends = {channel: end for channel, end in ends.items() if channel in stream.channels}
        if self.begin.resume_ms is not None and opened.resumed:
            offset_ms, ends = max(since.values(), default=0) + self.begin.resume_ms, {}
            # What it kept back while it was away comes at once, and may.
            self.session.started_ms -= max(0, opened.offset_ms - offset_ms)
        floor = max(ends.values(), default=0)
        if self._early is None:
            stream.base_index = max(-(-offset_ms // HOP_MS), floor)
        elif floor > offset_ms // HOP_MS:
            stream.base_index = floor
        else:
            stream.base_index = offset_ms // HOP_MS
            self.session.begin_at(offset_ms % HOP_MS)
        for channel, end in ends.items():
            if end:
                self.session.lost_before(channel, stream.base_index - end)
        self._hear_early()

    async def _supersede(self, call_id: str) -> None:
        """A cut-off stream of these channels may not have noticed yet; this one goes on in its place."""
        for earlier in self.hub.of_call(call_id, self.stream.channels):
            earlier.superseded = True
            with suppress(RuntimeError):  # it is ending already
                earlier.end_early()
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await earlier.gone.wait()

    def _hear_early(self) -> None:
        early, self._early = self._early, None
        for said, now_ms in early or ():
            self._hear(said, now_ms)

    # -- its end

    async def end(self, reason: str) -> None:
        """Everything heard reaches the buffer, then the row, then the list of calls to close."""
        session, stream = self.session, self.stream
        try:
            try:
                await self._opening
            except Refused as refusal:
                self.refused = refusal
            self._resumed()
            self._hear_early()
            self._lay_rest(_now_ms())
            stream.add(session.stop())
            if self._purging:
                await asyncio.gather(*self._purging)
            if self._telling:
                await self._telling
            await asyncio.gather(*self._consents, return_exceptions=True)
            if not stream.call_id:
                stream.drop_oldest(0)
                return
            await self._drain()
            counters, notes = session.counters.as_dict(), self._notes()
            await self._try(
                lambda: self.hub.database(lambda: record.media_ended(stream.call_id, reason, counters, notes))
            )
            at = None if stream.superseded else int(time.time() * 1000)
            await self._try(lambda: self.hub.writer.leave(stream.call_id, stream.ref, stream.channels, at))
            self.hub.wake(1)
        finally:
            self.hub.leave(stream)
            metrics.MEDIA_ENDED.labels(reason.partition(":")[0].rstrip(".")).inc()
            for kind in (
                "frames",
                "duplicate",
                "late",
                "malformed",
                "over_rate",
                "other_track",
                "while_paused",
            ):
                metrics.MEDIA_FRAMES.labels(kind).inc(getattr(session.counters, kind))
            log.info("media ended", call=stream.call_id, reason=reason, **session.counters.as_dict())

    def _notes(self) -> list[str]:
        """What the call's coverage must say of this stream."""
        notes = list(dict.fromkeys(self._troubles))
        if self.session.heard_nobody():
            names = ", ".join(name or "without a name" for name in self.session.strays) or "without a name"
            notes.append(f"Its audio came on legs that are not mapped here ({names}): none of it was heard.")
            self.hub.refused(self.source.slug, f"no leg of the source: {names}")
        if self.stream.told_too_many:
            notes.append(
                f"The platform told more than {transcripts.MOST_TURNS} turns: the rest was not taken."
            )
        return notes

    async def _drain(self) -> None:
        for _ in range(END_TRIES):
            await self.hub.flush()
            if not self.stream.waiting and not self.stream.told:
                return
            await asyncio.sleep(0.5)
        self.stream.drop_oldest(0)

    async def _try(self, do: Callable[[], Awaitable[object]]) -> None:
        """A few times; if it still fails, housekeeping finds the call silent and closes it."""
        for wait_s in OPEN_TRIES_S:
            await asyncio.sleep(wait_s)
            try:
                await do()
                return
            except Exception as error:
                log.warning("could not record an end or a pause of a stream", error=str(error))


def _bare(leg: str) -> str:
    return leg.removesuffix("_track")


def _now_ms() -> int:
    return int(time.monotonic() * 1000)


# --- sources -----------------------------------------------------------------------------------

NOBODY = MediaSource(0, "", 0, "", False, (secrets.token_hex(16),), "wss://nowhere/", False, {}, False)
"""Stands in for an unknown source, so that the answer takes as long; nobody knows its secret."""


def is_from(networks: Sequence[str], peer: str) -> bool:
    """Whether the peer is in one of the networks; without any, everybody is."""
    if not networks:
        return True
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


async def all_sources(hub: Hub) -> Mapping[str, MediaSource]:
    """By slug. Refused as below."""
    try:
        return await hub.sources.all()
    except Unknowable:
        raise Refused(TRY_LATER, "no database") from None


async def find_source(hub: Hub, slug: str) -> MediaSource | None:
    """As the database has it or, while that is away, as it was. Refused if it has not answered once."""
    try:
        return await hub.sources.find(slug)
    except Unknowable:
        raise Refused(TRY_LATER, "no database") from None
