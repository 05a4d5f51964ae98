"""The only writer of scores. One transaction a batch, natural keys, events on commit.

Writing the same batch twice leaves the same rows: pieces upsert on their keys, and everything
derived (moments, nudges, tile, view) is recomputed from all pieces of the call in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from calls import metrics, policy, push, wire
from calls.buffer import REJOIN_TTL_S
from calls.choices import Asked, CallStatus, Gender, Outcome, Protocol, Said
from calls.derived import Message, first_tile, fresh_tile, load_pieces, tile_messages, upsert, write_view
from calls.models import (
    HOPS_PER_BLOCK,
    Call,
    ConsentEvent,
    CoverageBlock,
    Source,
    Speech,
    Turn,
    User,
    VoiceWindow,
)
from calls.models.rubrics import rubric_version_for
from scoring import types as t

log = structlog.get_logger(__name__)
REJOIN_WITHIN = timedelta(seconds=60)
VIEW_EVERY_MS = 2000
PRACTICE_WAITS = timedelta(minutes=30)
"""For its first sound."""
MOST_PAUSES = 200


# --- calls begin and end -----------------------------------------------------------------------


class NotTaken(ValueError):
    """No call of this stream can be, now or later; the text says why."""


GIVEN_WORDS = "The words are the phone system's own transcript; we transcribed nothing."


PRACTICE = "Practice: no voice is read for feelings, since it is an employee's; states come from words alone."


@dataclass(frozen=True)
class OpenCall:
    """What a media session knows when a stream starts."""

    source_id: int
    protocol: str
    external_ref: str
    stream_ref: str
    started_at: datetime
    parameters: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = tuple(channel.value for channel in t.Channel)
    """Whose voices it carries: both, or one leg of two that come apart."""
    given_words: bool = False
    """Somebody else tells what is said, whatever the source does."""
    continues: tuple[str, ...] = ()
    """Streams that it says it goes on from."""
    practice_of: int | None = None
    """Whose practice it is: theirs alone."""


@dataclass(frozen=True)
class Opened:
    call_id: str
    resumed: bool
    """The call was there: cut off just before, or its other leg has come already."""
    offset_ms: int
    """Media time at which this stream begins: 0, or how far into a call that goes on."""


def open_call(new: OpenCall) -> Opened:
    """The call this stream belongs to: a new one, or one of the same name cut off just before. NotTaken."""
    with transaction.atomic():
        source = Source.objects.select_for_update().select_related("team").get(pk=new.source_id)
        call = _cut_off_just_before(source, new)
        resumed = call is not None
        if source.practice and call is None and new.practice_of is None:
            # Or a ticket kept from a practice that is over would make a call in whoever's name it likes.
            raise NotTaken("practice over")
        streams = {"streams": dict.fromkeys(new.channels, 1)}
        if call is None:
            call = _new_call(source, new, streams)
        else:
            if not call.counters.get("streams"):  # it waited for its first sound, as practice does
                call.started_at, resumed = new.started_at, False
            call.status, call.ended_at, call.end_reason = CallStatus.LIVE, None, ""
            call.stream_ref = new.stream_ref[:120]
            call.final = None
            if any(call.counters.get("streams", {}).get(channel) for channel in new.channels):
                call.notes = [*call.notes, "The stream was cut and came back; what was said between is lost."]
            _complete(call, source, new)
            _end_pauses(
                call, new.channels, int((new.started_at - call.started_at) / timedelta(milliseconds=1))
            )
            call.counters = _added(call.counters, streams)
            call.tile = fresh_tile(call) if call.tile else first_tile(call)
            call.save()
        messages = tile_messages(call) + ([_no_final(str(call.pk))] if resumed else [])
        transaction.on_commit(lambda: push.publish(messages))
    offset = int((new.started_at - call.started_at) / timedelta(milliseconds=1)) if resumed else 0
    metrics.CALLS_OPENED.labels(source.slug).inc()
    return Opened(str(call.pk), resumed, max(0, offset))


def _cut_off_just_before(source: Source, new: OpenCall) -> Call | None:
    recent = Q(status=CallStatus.LIVE) | Q(ended_at__gte=new.started_at - REJOIN_WITHIN)
    if new.continues:
        named = Q(stream_ref__in=new.continues)
        recent |= named & Q(ended_at__gte=new.started_at - timedelta(seconds=REJOIN_TTL_S))
    calls = Call.objects.select_for_update(of=("self",)).filter(
        recent, source=source, external_ref=new.external_ref[:120]
    )
    return calls.select_related("agent", "team", "source").order_by("-started_at").first()


def _agent_of(source: Source, parameters: Mapping[str, str]) -> User | None:
    username = parameters.get("agent", "")
    return User.objects.filter(username=username, team=source.team_id).first() if username else None


def _complete(call: Call, source: Source, new: OpenCall) -> None:
    """What only this stream was told about the call, an objection above all."""
    parameters, said = new.parameters, policy.said_by_source(new.parameters)
    if Said.YES in said and call.opted_in_at is None:
        call.opted_in_at = new.started_at
        ConsentEvent.objects.create(call=call, said=Said.YES, how="source")
    if Said.NO in said and call.opted_out_at is None:
        call.opted_out_at = new.started_at
        ConsentEvent.objects.create(call=call, said=Said.NO, how="source")
    call.agent = call.agent or _agent_of(source, parameters)
    call.queue = call.queue or parameters.get("queue", "")[:80]
    call.label = call.label or parameters.get("label", "")[:120]


def _new_call(source: Source, new: OpenCall, counters: dict[str, Any]) -> Call:
    parameters = new.parameters
    username, agent = parameters.get("agent", ""), _agent_of(source, parameters)
    if new.practice_of is not None:
        agent = User.objects.get(pk=new.practice_of)
    notes = (
        [] if agent or not username else [f"The source named agent {username!r}, who is not on this team."]
    )
    call = Call(
        source=source,
        team=source.team,
        agent=agent,
        rubric_version=rubric_version_for(source.team_id),
        external_ref=new.external_ref[:120],
        stream_ref=new.stream_ref[:120],
        queue=parameters.get("queue", "")[:80],
        label=parameters.get("label", "")[:120],
        synthetic=source.synthetic,
        started_at=new.started_at,
        counters=counters,
        notes=notes,
        caller_gender=told if (told := parameters.get("caller_gender", "").lower()) in Gender.values else "",
        asks_consent=policy.current().asked == Asked.CONSENT,
        given_words=source.given_words or new.given_words,
        practice=new.practice_of is not None,
    )
    if call.given_words:
        call.notes = [*call.notes, GIVEN_WORDS]
    if call.practice:
        call.notes = [*call.notes, PRACTICE]
    said = policy.said_by_source(parameters)
    call.opted_in_at = new.started_at if Said.YES in said or call.practice else None
    call.opted_out_at = new.started_at if Said.NO in said else None
    call.tile = first_tile(call)
    call.save()
    ConsentEvent.objects.bulk_create(ConsentEvent(call=call, said=what, how="source") for what in said)
    return call


def media_ended(call_id: str, reason: str, counters: Mapping[str, Any], notes: Sequence[str] = ()) -> None:
    """The stream is over: keep what the session counted. Scores follow when the last hop is heard.
    `notes`: what its coverage must say."""
    with transaction.atomic():
        call = Call.objects.select_for_update().filter(pk=call_id).first()
        if call is None:
            log.warning("media ended for a call that is gone", call=call_id)
            return
        call.counters = _added(call.counters, counters)
        call.end_reason = reason[:200]
        call.notes = [*call.notes, *(note for note in notes if note not in call.notes)]
        call.save(update_fields=["counters", "end_reason", "notes"])


def paused(call_id: str, channels: Sequence[str], since_ms: int, until_ms: int | None) -> None:
    """Of this span of the call nothing may be kept, whoever tells it. `until_ms` None: it goes on."""
    with transaction.atomic():
        call = Call.objects.select_for_update().filter(pk=call_id).first()
        if call is None:
            return
        begun = [p for p in call.pauses if p["until"] is None and p["channels"] == list(channels)]
        if until_ms is None or not begun:
            if len(call.pauses) >= MOST_PAUSES:  # rather too much silence than too little
                call.pauses[-1]["until"] = until_ms
            else:
                pause = {"since": since_ms, "until": until_ms, "channels": list(channels)}
                call.pauses = [*call.pauses, pause]
        for pause in begun if until_ms is not None else ():
            pause["until"] = until_ms
        call.save(update_fields=["pauses"])


def _end_pauses(call: Call, channels: Sequence[str], at_ms: int) -> None:
    """A stream that was cut off in a pause cannot end it; the one that comes in its place does."""
    for pause in call.pauses:
        if pause["until"] is None and set(pause["channels"]) & set(channels):
            pause["until"] = max(at_ms, pause["since"])


def _added(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Counters of a call that came back add up; other values are replaced."""

    def number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    total = dict(old)
    for name, value in new.items():
        if isinstance(value, Mapping):
            total[name] = _added(total.get(name) or {}, value)
        else:
            total[name] = total.get(name, 0) + value if number(value) else value
    return total


def reopen(call_id: str) -> None:
    """A stream came back while its call was being closed: the call is live after all."""
    ended = Call.objects.filter(pk=call_id, status=CallStatus.ENDED)
    with transaction.atomic():
        if ended.update(status=CallStatus.LIVE, ended_at=None, final=None):
            log.info("call goes on", call=call_id)
            transaction.on_commit(lambda: push.publish([_no_final(call_id)]))


def _no_final(call_id: str) -> Message:
    """To open pages, of a call that goes on after its end: what they show as final is not."""
    return f"call.{call_id}", {"type": "final", "final": None}


# --- scores ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scored:
    """One call's share of a batch."""

    call_id: str
    heard: t.CallHeard | None
    """None when nothing could be made of its audio; `hops` then says so."""
    outcomes: Mapping[tuple[t.Channel, int], Outcome]
    next_index: Mapping[t.Channel, int]
    close: bool = False
    note: str = ""


def record_scores(batch: Sequence[Scored], engine: str = "") -> None:
    """Write a batch and publish what changed. A call that no longer exists is left out, and logged."""
    now = timezone.now()
    with transaction.atomic():
        ids = sorted(item.call_id for item in batch)
        locked = Call.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk")
        calls = {
            str(c.pk): c
            for c in locked.select_related("agent__nudge_choices", "team", "source", "rubric_version__rubric")
        }
        for gone in set(ids) - set(calls):
            log.warning("scores for a call that is gone", call=gone)
        batch = [item for item in batch if item.call_id in calls]
        _write_pieces(batch)
        _write_coverage(batch)
        messages: list[Message] = []
        due = [item for item in batch if _wants_view(calls[item.call_id], item)]
        for item in batch:
            call = calls[item.call_id]
            had_final = call.final is not None
            _advance(call, item, now, engine)
            if had_final and call.final is None:
                messages.append(_no_final(item.call_id))
        pieces = load_pieces([item.call_id for item in due])
        for item in batch:
            call = calls[item.call_id]
            heard, before = item.heard, call.tile
            if heard:
                messages += [
                    (f"call.{call.pk}", {"type": "turn", "turn": wire.turn_doc(turn)}) for turn in heard.turns
                ]
            if item in due:
                pieces[item.call_id].caller_speaks = heard is None or heard.speaks(t.Channel.CUSTOMER)
                pieces[item.call_id].agent_ms = heard.turn_ms(t.Channel.AGENT) if heard else 0
                messages += write_view(call, pieces[item.call_id], close=item.close)
            else:
                call.tile = fresh_tile(call)
            messages += tile_messages(call, _is_urgent(before, call.tile, item))
        for item in batch:
            calls[item.call_id].save(update_fields=_SCORED_FIELDS)
        transaction.on_commit(lambda: push.publish(messages))
    for item in batch:
        for outcome in item.outcomes.values():
            metrics.HOPS.labels(outcome.name.lower()).inc()


_SCORED_FIELDS = (
    "media_ms", "scored_at", "engine", "notes", "tile", "view", "final", "status", "ended_at", "end_reason",
)  # fmt: skip


def _is_urgent(before: wire.Doc, after: wire.Doc, item: Scored) -> bool:
    turns = item.heard.turns if item.heard else ()
    changed = any(before.get(name) != after.get(name) for name in ("state", "risk", "status"))
    return changed or any(turn.channel is t.Channel.CUSTOMER for turn in turns)


def _write_pieces(batch: Sequence[Scored]) -> None:
    heard = [item.heard for item in batch if item.heard]
    turns = [_turn_row(h.call_id, turn) for h in heard for turn in h.turns]
    voice = [VoiceWindow(call_id=UUID(h.call_id), **_plain(v)) for h in heard for v in h.voice]
    speech = [Speech(call_id=UUID(h.call_id), **_plain(s)) for h in heard for s in h.speech]
    upsert(Turn, turns, ("call", "channel", "start_ms"))
    upsert(VoiceWindow, voice, ("call", "start_ms"))
    upsert(Speech, speech, ("call", "channel", "start_ms"))


def _plain(piece: t.VoiceState | t.Speech) -> dict[str, Any]:
    return asdict(piece)


def _turn_row(call_id: str, turn: t.Turn) -> Turn:
    fields = asdict(turn)
    words = [[w["text"], w["start_ms"], w["end_ms"], round(w["confidence"], 2)] for w in fields["words"]]
    return Turn(call_id=UUID(call_id), **(fields | {"words": words, "cues": list(fields["cues"])}))


def _write_coverage(batch: Sequence[Scored]) -> None:
    """Lay each hop's letter over its block; a scored hop never goes back to anything less."""
    wanted: dict[tuple[str, str, int], dict[int, Outcome]] = defaultdict(dict)
    for item in batch:
        for (channel, index), outcome in item.outcomes.items():
            key = (item.call_id, channel.value, index // HOPS_PER_BLOCK)
            wanted[key][index % HOPS_PER_BLOCK] = outcome
    if not wanted:
        return
    any_of = Q()
    for call_id, name, block in wanted:
        any_of |= Q(call_id=call_id, channel=name, block=block)
    found = {
        (str(row.call_id), str(row.channel), row.block): row.hops
        for row in CoverageBlock.objects.filter(any_of)
    }
    rows = []
    for key, letters in wanted.items():
        hops = list(found.get(key, Outcome.UNKNOWN.value * HOPS_PER_BLOCK))
        for place, outcome in letters.items():
            if hops[place] != Outcome.SCORED:
                hops[place] = outcome.value
        rows.append(CoverageBlock(call_id=UUID(key[0]), channel=key[1], block=key[2], hops="".join(hops)))
    upsert(CoverageBlock, rows, ("call", "channel", "block"))


def _wants_view(call: Call, item: Scored) -> bool:
    """New words or voice, an end, or two more seconds in which silence may have begun to matter."""
    heard = item.heard
    if item.close or not call.view or (heard and (heard.turns or heard.voice or heard.speech)):
        return True
    return _media_ms(call, item) // VIEW_EVERY_MS != call.media_ms // VIEW_EVERY_MS


def _media_ms(call: Call, item: Scored) -> int:
    return max(call.media_ms, *(index * t.HOP_MS for index in item.next_index.values()), 0)


def _advance(call: Call, item: Scored, now: datetime, engine: str) -> None:
    call.media_ms = _media_ms(call, item)
    call.engine = engine or call.engine
    if item.note and item.note not in call.notes:
        call.notes = [*call.notes, item.note]
    if item.heard:
        call.scored_at = now
        if item.outcomes and not item.close and call.status != CallStatus.LIVE:
            # Its audio goes on, whatever closed it: a stream that came back just then, a process away.
            call.status, call.ended_at, call.end_reason, call.final = CallStatus.LIVE, None, "", None
    if item.close and call.status == CallStatus.LIVE:
        recorded_end = call.started_at + timedelta(milliseconds=call.media_ms)
        call.status, call.ended_at = CallStatus.ENDED, recorded_end if call.is_recording else now
        metrics.CALLS_CLOSED.labels(call.status).inc()


# --- calls that nobody ended ---------------------------------------------------------------------


def close_lost(silent_since: datetime, is_silent: Callable[[str], bool] = lambda _: True) -> list[str]:
    """Live calls with nothing heard since then, whose media process must have died: mark them lost.

    `is_silent` has the last word: a call that only waits for a worker is not lost. One transaction
    a call, so that one that cannot be written holds up no other. Returns their ids.
    """
    quiet = Q(scored_at__lt=silent_since) | Q(scored_at=None, started_at__lt=silent_since)
    phoned = Call.objects.exclude(source__protocol=Protocol.RECORDING)  # recordings wait as long as they must
    # Whoever practises reads the page first and is asked for the microphone.
    begun = Q(practice=True, scored_at=None, started_at__gte=timezone.now() - PRACTICE_WAITS)
    found = phoned.filter(quiet, status=CallStatus.LIVE).exclude(begun).values_list("pk", flat=True)
    lost: list[str] = []
    for pk in found:
        try:
            lost += _close_lost(quiet & Q(pk=pk)) if is_silent(str(pk)) else []
        except OperationalError:  # the database is away: nothing else would succeed
            raise
        except Exception:
            log.exception("could not close a lost call", call=str(pk))
    return lost


def _close_lost(quiet: Q) -> list[str]:
    with transaction.atomic():
        calls = list(
            Call.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(quiet, status=CallStatus.LIVE)
            .select_related("agent__nudge_choices", "team", "source", "rubric_version__rubric")
        )
        messages: list[Message] = []
        pieces = load_pieces([str(call.pk) for call in calls])
        for call in calls:
            at = f"{call.media_ms // 60_000}:{call.media_ms // 1000 % 60:02d}"
            call.status, call.ended_at = CallStatus.LOST, timezone.now()
            call.end_reason = "The audio stream stopped without saying goodbye."
            call.notes = [*call.notes, f"Nothing was received after {at}; whatever was said later is lost."]
            messages += write_view(call, pieces[str(call.pk)], close=True) + tile_messages(call)
            metrics.CALLS_CLOSED.labels(call.status).inc()
            call.save()
        transaction.on_commit(lambda: push.publish(messages))
    return [str(call.pk) for call in calls]
