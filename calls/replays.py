"""What a draft would have made of finished calls: the same stored pieces, seen under two rubrics.

Pure but for `recent`, which reads. Phrases act while a turn is heard, so only calls to come show theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from calls.choices import CallStatus
from calls.derived import load_pieces
from calls.drafting import teams_of
from calls.models import Call, Rubric
from scoring import types as t
from scoring.rubric import RubricSpec
from scoring.view import view

MOST_CALLS = 200
"""A call takes some 10 to 60 ms."""


@dataclass(frozen=True)
class Heard:
    """A finished call's pieces."""

    call_id: str
    media_ms: int
    turns: Sequence[t.Turn]
    voice: Sequence[t.VoiceState]
    speech: Sequence[t.Speech]
    unheard: Sequence[t.Speech] = ()
    """Stretches in ms that the phone system kept from us."""


@dataclass(frozen=True)
class Seen:
    """A call under one rubric. `alerts`: causes, once an episode; `cues`: (ms, rule) of the ready ones."""

    empathy: float | None
    risk: str
    alerts: tuple[str, ...]
    cues: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Row:
    call_id: str
    before: Seen
    after: Seen

    @property
    def changed(self) -> bool:
        return self.before != self.after

    @property
    def change(self) -> float | None:
        """Points of empathy; None where one of the two does not judge the call."""
        if self.before.empathy is None or self.after.empathy is None:
            return None
        return round(self.after.empathy - self.before.empathy, 1)

    @property
    def added(self) -> tuple[str, ...]:
        return beyond(self.after.alerts, self.before.alerts)

    @property
    def removed(self) -> tuple[str, ...]:
        return beyond(self.before.alerts, self.after.alerts)


@dataclass(frozen=True)
class Summary:
    calls: int
    changed: int
    empathy_changed: int
    median_change: float
    """Of the calls judged by both, in points, without sign."""
    largest_change: float
    """With its sign."""
    newly_judged: int
    no_longer_judged: int
    risk_changed: int
    added: Mapping[str, int]
    removed: Mapping[str, int]
    cues_before: float
    """A call."""
    cues_after: float


@dataclass(frozen=True)
class Replay:
    rows: tuple[Row, ...]
    summary: Summary


def replay(calls: Iterable[Heard], before: RubricSpec, after: RubricSpec) -> Replay:
    rows = tuple(Row(call.call_id, seen(call, before), seen(call, after)) for call in calls)
    return Replay(rows, summary(rows))


def seen(call: Heard, spec: RubricSpec) -> Seen:
    found = view(
        call.turns, call.voice, call.speech, spec,
        now_ms=call.media_ms, closed=True, unheard=call.unheard,
    )  # fmt: skip
    return Seen(
        empathy=found.empathy,
        risk=str(found.risk),
        alerts=tuple(sorted(alert.cause for alert in found.alerts)),
        cues=tuple(sorted((cue.t_ms, cue.rule) for cue in found.nudges)),
    )


def beyond(these: Sequence[str], those: Sequence[str]) -> tuple[str, ...]:
    """What there is more of in the first, each as often as it is more."""
    return tuple(sorted((Counter(these) - Counter(those)).elements()))


def summary(rows: Sequence[Row]) -> Summary:
    changes = [row.change for row in rows if row.change is not None]
    count = max(1, len(rows))
    judged = [(row.before.empathy is not None, row.after.empathy is not None) for row in rows]
    return Summary(
        calls=len(rows),
        changed=sum(row.changed for row in rows),
        empathy_changed=sum(row.before.empathy != row.after.empathy for row in rows),
        median_change=round(median(map(abs, changes)), 1) if changes else 0.0,
        largest_change=max(changes, key=lambda change: (abs(change), change), default=0.0),
        newly_judged=judged.count((False, True)),
        no_longer_judged=judged.count((True, False)),
        risk_changed=sum(row.before.risk != row.after.risk for row in rows),
        added=dict(sorted(Counter(cause for row in rows for cause in row.added).items())),
        removed=dict(sorted(Counter(cause for row in rows for cause in row.removed).items())),
        cues_before=round(sum(len(row.before.cues) for row in rows) / count, 2),
        cues_after=round(sum(len(row.after.cues) for row in rows) / count, 2),
    )


def recent(rubric: Rubric, limit: int, since: datetime | None = None) -> list[Call]:
    """Finished and heard calls of the rubric's teams, newest first."""
    calls = Call.objects.filter(team__in=teams_of(rubric), scored_at__isnull=False, practice=False)
    calls = calls.filter(started_at__gte=since) if since else calls
    finished = calls.exclude(status=CallStatus.LIVE).exclude(purged__has_key="transcript")
    newest = finished.select_related("agent", "team").order_by("-started_at", "pk")
    return list(newest[: max(0, min(limit, MOST_CALLS))])


def heard(calls: Sequence[Call]) -> list[Heard]:
    pieces = load_pieces([str(call.pk) for call in calls])
    found = ((call, pieces[str(call.pk)]) for call in calls)
    return [Heard(str(call.pk), call.media_ms, p.turns, p.voice, p.speech, p.unheard) for call, p in found]
