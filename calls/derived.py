"""What follows from the pieces of a call: recomputed from all of them, stored where it changed.

Only `record` calls this, inside its transaction; it returns the events to publish on commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import count
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet

from calls import nudging, outlooks, webhooks, wire
from calls.choices import CallStatus, Outcome, Protocol
from calls.models import (
    HOPS_PER_BLOCK,
    Alert,
    Call,
    CoverageBlock,
    Moment,
    Nudge,
    ShownNudge,
    Speech,
    Turn,
    VoiceWindow,
)
from calls.models.rubrics import spec_of
from calls.push import Event
from scoring import types as t
from scoring.alerts import about
from scoring.rubric import RubricSpec, default_rubric
from scoring.view import view as view_of

Message = tuple[str, Event]
COVERAGE_EVERY_MS = 10_000
NOT_SCORED = re.compile(f"[^{Outcome.SCORED}]+")
GIVEN_UP = re.compile(f"[^{Outcome.SCORED}{Outcome.UNKNOWN}]+")


def upsert(model: Any, rows: Sequence[Any], key: Sequence[str]) -> None:
    if not rows:
        return
    names = [f.name for f in model._meta.concrete_fields if f.name not in ("id", *key)]
    unique = {tuple(getattr(row, model._meta.get_field(n).attname) for n in key): row for row in rows}
    model.objects.bulk_create(
        unique.values(), update_conflicts=True, unique_fields=list(key), update_fields=names
    )


@dataclass
class Pieces:
    turns: list[t.Turn] = field(default_factory=list)
    voice: list[t.VoiceState] = field(default_factory=list)
    speech: list[t.Speech] = field(default_factory=list)
    unheard: list[t.Speech] = field(default_factory=list)
    """Stretches of a side of which nothing is known: nobody can tell that they were silent."""
    caller_speaks: bool = False
    """At the end of what was heard; no row says it."""
    agent_ms: int = 0
    """How long the agent has been speaking there, in words nobody knows yet."""


def load_pieces(call_ids: Sequence[str]) -> dict[str, Pieces]:
    """All pieces of these calls: four queries."""
    pieces: dict[str, Pieces] = {call_id: Pieces() for call_id in call_ids}
    for turn in Turn.objects.filter(call_id__in=call_ids).only(*_TURN_FIELDS):
        pieces[str(turn.call_id)].turns.append(
            t.Turn(
                channel=t.Channel(turn.channel),
                start_ms=turn.start_ms,
                end_ms=turn.end_ms,
                text=turn.text,
                confidence=turn.confidence,
                states=turn.states,
                behaviours=turn.behaviours,
                cues=tuple(t.Cue(**cue) for cue in turn.cues),
                continued=turn.continued,
            )
        )
    for window in VoiceWindow.objects.filter(call_id__in=call_ids):
        pieces[str(window.call_id)].voice.append(
            t.VoiceState(
                start_ms=window.start_ms,
                end_ms=window.end_ms,
                probs=window.probs,
                confidence=window.confidence,
                speech_ms=window.speech_ms,
                model=window.model,
            )
        )
    for call_pk, name, start_ms, end_ms in Speech.objects.filter(call_id__in=call_ids).values_list(
        "call_id", "channel", "start_ms", "end_ms"
    ):
        pieces[str(call_pk)].speech.append(t.Speech(t.Channel(name), start_ms, end_ms))
    for call_id, found in unheard_of(call_ids).items():
        pieces[call_id].unheard = found
    return pieces


def unheard_of(call_ids: Sequence[str]) -> dict[str, list[t.Speech]]:
    """What of each side was lost, not analysed or never came, until the last that is known of either.

    Of a practice or a recording only one side may come, and nobody waits for the other.
    """
    letters = {call_id: dict.fromkeys(t.Channel, "") for call_id in call_ids}
    blocks = CoverageBlock.objects.filter(call_id__in=call_ids).order_by("block")
    for call_pk, name, block, hops in blocks.values_list("call_id", "channel", "block", "hops"):
        sides, channel = letters[str(call_pk)], t.Channel(name)
        sides[channel] = sides[channel].ljust(block * HOPS_PER_BLOCK, Outcome.UNKNOWN) + hops
    for sides in letters.values():
        known = max(len(hops.rstrip(Outcome.UNKNOWN)) for hops in sides.values())
        sides |= {channel: hops.ljust(known, Outcome.UNKNOWN)[:known] for channel, hops in sides.items()}
    gappy = [pk for pk, sides in letters.items() if any(Outcome.UNKNOWN in hops for hops in sides.values())]
    alone = Call.objects.filter(Q(practice=True) | Q(source__protocol=Protocol.RECORDING), pk__in=gappy)
    one_side = {str(pk) for pk in alone.values_list("pk", flat=True)} if gappy else set()
    return {
        call_id: [
            t.Speech(channel, gap.start() * t.HOP_MS, gap.end() * t.HOP_MS)
            for channel, hops in sides.items()
            for gap in (GIVEN_UP if call_id in one_side else NOT_SCORED).finditer(hops)
        ]
        for call_id, sides in letters.items()
    }


_TURN_FIELDS = (
    "call_id", "channel", "start_ms", "end_ms", "text", "confidence", "states", "behaviours",
    "cues", "continued",
)  # fmt: skip


def write_view(call: Call, pieces: Pieces, *, close: bool = False) -> list[Message]:
    """Recompute everything derived, store what changed, return the events that say so."""
    spec = spec_of(call.rubric_version_id)
    closed = call.status != CallStatus.LIVE
    cues = list(call.shown_nudges.all()) if call.view.get("shown") else []
    view = view_of(
        pieces.turns,
        pieces.voice,
        pieces.speech,
        spec,
        now_ms=call.media_ms,
        closed=closed,
        wanted=nudging.wanted(call, cues),
        unheard=pieces.unheard,
        fitted=outlooks.fitted(),
    )
    since = _write_moments(call, view.moments)
    before = call.view
    call.view = wire.view_doc(view, closed=closed)
    were_alerts = before.get("alerts", bool(before))  # stored views of old do not say: look
    alerts = _write_alerts(call, view.alerts, spec) if view.alerts or were_alerts else []
    nudges = wire.nudge_docs(view.nudges)
    if nudges != before.get("nudges", []):
        _replace_nudges(call, view.nudges)
    call.tile = wire.tile_doc(call, view, spec.risk.help) | wire.alert_marks(alerts)
    group = f"call.{call.pk}"
    changed = [wire.moment_doc(m) for m in view.moments if m.t_ms >= since]
    doc = {
        "type": "view",
        "since_ms": since,
        "moments": changed,
        "nudges": nudges,
        "alerts": alerts,
    } | call.view
    told = _cues(call, cues, view, pieces, spec, closed)
    messages: list[Message] = [(group, doc), *told]
    if close or call.media_ms // COVERAGE_EVERY_MS != before.get("coverage_at"):
        coverage = _coverage(call)
        messages.append((group, {"type": "coverage", "coverage": coverage}))
        if close:
            call.final = wire.final_doc(call, view, len(alerts), coverage, spec.alignment.met)
            messages.append((group, {"type": "final", "final": call.final}))
            webhooks.call_finished(call)
    call.view |= {
        "nudges": nudges,
        "alerts": len(alerts),
        "shown": len(cues),
        "coverage_at": call.media_ms // COVERAGE_EVERY_MS,
    }
    return messages


def _cues(
    call: Call, cues: list[ShownNudge], view: t.CallView, pieces: Pieces, spec: RubricSpec, closed: bool
) -> list[Message]:
    """Show a cue whose moment is now (it joins `cues`), and say what came of those shown before."""
    shown = nudging.show(
        call, view.nudges, cues, pieces.turns, spec,
        caller_speaks=pieces.caller_speaks, agent_ms=pieces.agent_ms,
    )  # fmt: skip
    cues += [shown] if shown else []
    changed = nudging.settle(cues, pieces.turns, view.alignment.events, spec, closed)
    news = {row.pk: row for row in ([shown] if shown else []) + changed}
    return [message for row in news.values() for message in nudging.tell(call, row)]


def _coverage(call: Call) -> wire.Doc:
    blocks = CoverageBlock.objects.filter(call=call).order_by("block").values_list("channel", "hops")
    return wire.coverage_doc(blocks, call.counters, call.notes)


def _write_moments(call: Call, moments: Sequence[t.Moment]) -> int:
    """Store the timeline; returns the media time from which it differs from what was stored."""
    stored = {m["t_ms"]: m for m in call.moments.values(*_MOMENT_FIELDS)}
    fresh = {m.t_ms: {name: getattr(m, name) for name in _MOMENT_FIELDS} for m in moments}
    differing = [key for key in stored.keys() | fresh.keys() if stored.get(key) != fresh.get(key)]
    if not differing:
        return call.media_ms + 1
    gone = [key for key in differing if key not in fresh]
    if gone:
        call.moments.filter(t_ms__in=gone).delete()
    rows = [Moment(call=call, **fresh[key]) for key in sorted(differing) if key in fresh]
    upsert(Moment, rows, ("call", "t_ms"))
    return min(differing)


_MOMENT_FIELDS = (
    "t_ms", "state", "intensity", "confidence", "distress",
    "empathy", "empathy_low", "empathy_high", "opportunities",
)  # fmt: skip


Key = tuple[str, int]
"""A cause and its episode."""


def _write_alerts(call: Call, causes: Sequence[t.AlertCause], spec: RubricSpec) -> list[wire.Doc]:
    """Alerts follow the view until somebody acts on one: that one stays as it was. Returns them all."""
    stored = list(alerts_of(call))
    waiting = {(row.cause, row.episode): row for row in stored if _is_open(row)}
    kept = [row for row in stored if not _is_open(row)]
    fresh = _beside(kept, causes, spec)
    rows = {
        key: Alert(call=call, cause=key[0], episode=key[1], **_alert_fields(c)) for key, c in fresh.items()
    }
    gone = [row.pk for key, row in waiting.items() if key not in rows]
    changed = {
        row.pk: _told(rows[key])
        for key, row in waiting.items()
        if key in rows and _told(rows[key]) != _told(row)
    }
    new = [row for key, row in rows.items() if key not in waiting]
    if not (gone or changed or new):
        return wire.alert_docs(stored)
    # Somebody may be acting on one just now: the database decides whether it is still open.
    still_open = Alert.objects.filter(call=call, acknowledged_at=None, acknowledged_by=None)
    still_open.filter(pk__in=gone).delete()
    for pk, fields in changed.items():
        still_open.filter(pk=pk).update(**fields)
    Alert.objects.bulk_create(new, ignore_conflicts=True)
    # Numbers move up where an alert is withdrawn, so what is new to others is told by its time.
    untold = [key for key, c in fresh.items() if not any(_is_of(row, c, spec) for row in waiting.values())]
    webhooks.alerts_raised(call, [rows[key] for key in untold])
    return wire.alert_docs(alerts_of(call))


def _beside(
    kept: Sequence[Alert], causes: Sequence[t.AlertCause], spec: RubricSpec
) -> dict[Key, t.AlertCause]:
    """The causes that are none of those somebody acted on, numbered in the order of time beside them."""
    out: dict[Key, t.AlertCause] = {}
    taken = {(row.cause, row.episode) for row in kept}
    for cause in sorted(causes, key=lambda c: (c.t_ms, c.cause)):
        if any(_is_of(row, cause, spec) for row in kept):
            continue
        n = next(n for n in count(1) if (cause.cause, n) not in taken and (cause.cause, n) not in out)
        out[cause.cause, n] = cause
    return out


def _is_of(row: Alert, cause: t.AlertCause, spec: RubricSpec) -> bool:
    """Whether an alert is of this episode. Pieces that come late may move one: what lies between two
    episodes belongs to the nearest."""
    near = spec.alerting.again_ms
    until_ms = row.t_ms if cause.until_ms is None else cause.until_ms
    same = about(row.cause, spec) == about(cause.cause, spec)
    return same and cause.begin_ms - near < row.t_ms < until_ms + near


def alerts_of(call: Call) -> QuerySet[Alert]:
    return Alert.objects.filter(call=call).select_related("acknowledged_by", "resolved_by")


def _alert_fields(cause: t.AlertCause) -> dict[str, Any]:
    return {
        "t_ms": cause.t_ms,
        "title": cause.title[:160],
        "quote": cause.quote[:300],
        "severity": cause.severity,
    }


def _told(alert: Alert) -> dict[str, Any]:
    return {"t_ms": alert.t_ms, "title": alert.title, "quote": alert.quote, "severity": alert.severity}


def _is_open(alert: Alert) -> bool:
    return alert.acknowledged_at is None and alert.acknowledged_by_id is None


def _replace_nudges(call: Call, nudges: Iterable[t.NudgeCandidate]) -> None:
    rows = [Nudge(call=call, **wire.nudge_doc(nudge)) for nudge in nudges]
    kept = reduce(or_, (Q(rule=row.rule, t_ms=row.t_ms) for row in rows), Q())
    call.nudges.exclude(kept).delete()
    upsert(Nudge, rows, ("call", "rule", "t_ms"))


def first_tile(call: Call) -> wire.Doc:
    """The tile of a call nothing has been heard of yet."""
    empty = view_of((), (), (), default_rubric(), now_ms=0, closed=False)
    return wire.tile_doc(call, empty, default_rubric().risk.help)


def fresh_tile(call: Call) -> wire.Doc:
    """The stored tile with the row's own facts brought up to date."""
    tile: wire.Doc = call.tile | call.tile_base()
    return tile


def tile_messages(call: Call, urgent: bool = False) -> list[Message]:
    """`urgent`: a caller has just finished a turn, or state or risk changed; it should not wait."""
    event: Event = {"type": "tile", "tile": call.tile} | ({"urgent": True} if urgent else {})
    return [(group, event) for group in call.groups()]
