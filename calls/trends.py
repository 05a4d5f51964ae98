"""What finished calls add up to, week by week: a fact per call, and roll-ups that follow the facts.

A roll-up is always computed from its facts again, never added to, so a call that is late, scored again,
reopened, moved or deleted leaves the same rows as one that never was.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, timedelta
from itertools import pairwise
from statistics import fmean
from typing import Any
from uuid import UUID

import structlog
from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from calls.choices import CallStatus
from calls.models import Appeal, Call, CallFact, CallOutcome, EngineVersion, Moment, ShownNudge, Team
from calls.models.reviews import Standing, standing_of
from calls.models.rubrics import spec_of
from calls.rollups import Week, roll_up, roll_up_all, week_of
from scoring.types import DISTRESS, State

HOLD_MS = 8000
"""A state is taken to last until the next is known, but no longer than this (paint.LOOK["gap_ms"])."""
RECENT = timedelta(days=2)
"""How far back `learn_missing` looks: within this a call that was not learned is found."""
CHUNK = 500
log = structlog.get_logger(__name__)
SMALL, LARGE = 2**15 - 1, 2**31 - 1
JUDGED = (
    "empathy", "courtesy", "listening", "relief", "recovered", "met_share", "opportunities", "met", "missed",
    *(f"{name}_{state}" for name in ("needs", "missed", "fit") for state in DISTRESS),
)  # fmt: skip
"""What is said of the agent: left out of everything while an appeal is open."""


# --- one call ------------------------------------------------------------------------------------


def fact_of(
    call: Call,
    moments: Sequence[tuple[int, str]],
    taken: Sequence[bool | None],
    engine_id: int | None,
    standing: Standing,
    outcome: CallOutcome | None = None,
) -> CallFact:
    """The numbers of a finished call; `moments` as (t_ms, state) in order, `taken` of each cue shown."""
    final: Mapping[str, Any] = call.final or {}
    ended_at = call.ended_at or call.started_at
    coverage = coverage_of(final.get("coverage", {}))
    told = judged(final, moments, call.media_ms, met_from(call)) if coverage else {}
    return CallFact(
        call_id=call.pk,
        agent_id=call.agent_id,
        team_id=call.team_id,
        rubric_version_id=call.rubric_version_id,
        engine_id=engine_id,
        ended_at=ended_at,
        scored_at=call.scored_at,
        week=week_of(ended_at),
        hour=ended_at.astimezone(UTC).hour,
        synthetic=call.synthetic,
        topic=call.queue,
        handle_ms=min(call.media_ms, LARGE),
        coverage=coverage,
        cues_shown=min(len(taken), SMALL),
        cues_settled=min(sum(one is not None for one in taken), SMALL),
        cues_taken=min(sum(bool(one) for one in taken), SMALL),
        **became(outcome),
        under_appeal=standing.under_appeal,
        appeal_decision=standing.decision,
        machine_empathy=told.get("empathy"),
        **as_appealed(told, standing),
    )


def as_appealed(told: Mapping[str, Any], standing: Standing) -> dict[str, Any]:
    """Nothing judged while an appeal is open; then the decided score, where one was decided."""
    if standing.under_appeal:
        return {name: value for name, value in told.items() if name not in JUDGED}
    return dict(told) | ({} if standing.decided is None else {"empathy": standing.decided})


def met_from(call: Call) -> float:
    """From this response fit on a need was met, by the rubric the call was scored with."""
    return spec_of(call.rubric_version_id).alignment.met


def judged(
    final: Mapping[str, Any], moments: Sequence[tuple[int, str]], media_ms: int, met: float
) -> dict[str, Any]:
    """What is said of a call of which anything was scored."""
    parts = final.get("components", {})
    alignment = final.get("alignment", {})
    outlook = final.get("outlook", {})
    return {
        "empathy": final.get("empathy"),
        "courtesy": final.get("courtesy"),
        "listening": parts.get("L"),
        "relief": parts.get("V"),
        "recovered": alignment.get("recovered_share"),
        "met_share": alignment.get("met_share"),
        "outlook": outlook.get("score"),
        "outlook_status": outlook.get("status", ""),
        **needs_of(alignment.get("events", ()), met),
        **(final.get("held") or times_of(moments, media_ms)),  # held: the timeline was purged
    }


def became(outcome: CallOutcome | None) -> dict[str, Any]:
    """What other systems told of the call, as numbers."""
    if outcome is None:
        return {}
    told = {name: getattr(outcome, name) for name in ("resolved", "csat", "nps", "churned", "handle_time_ms")}
    numbers = {name: None if value is None else int(value) for name, value in told.items()}
    return numbers | {"outcome_at": outcome.changed_at}


def needs_of(events: Sequence[Mapping[str, Any]], met: float) -> dict[str, Any]:
    """Counts of needs, met and missed ones, and the mean fit, for each state that asks for empathy."""
    fits: dict[str, list[float]] = {state: [] for state in DISTRESS}
    for event in events:
        if event.get("fit") is not None and event.get("state") in fits:
            fits[event["state"]].append(event["fit"])
    missed = {state: sum(fit < met for fit in found) for state, found in fits.items()}
    settled = sum(map(len, fits.values()))
    return {
        "opportunities": min(len(events), SMALL),
        "met": min(settled - sum(missed.values()), SMALL),
        "missed": min(sum(missed.values()), SMALL),
        **{f"needs_{state}": min(len(found), SMALL) for state, found in fits.items()},
        **{f"missed_{state}": min(n, SMALL) for state, n in missed.items()},
        **{f"fit_{state}": fmean(found) if found else None for state, found in fits.items()},
    }


def times_of(moments: Sequence[tuple[int, str]], media_ms: int) -> dict[str, float]:
    """Share of the known time for each state; {} when nothing was known."""
    held = dict.fromkeys(map(str, State), 0)
    for (t_ms, state), (until_ms, _) in pairwise([*moments, (media_ms, "")]):
        held[state] += max(0, min(until_ms - t_ms, HOLD_MS))
    known = sum(held.values())
    return {f"time_{state}": ms / known for state, ms in held.items()} if known else {}


def coverage_of(coverage: Mapping[str, Any]) -> float | None:
    """Scored part of all audio that arrived or should have; None when there was none."""
    channels = coverage.get("channels", {}).values()
    scored = sum(channel.get("scored_ms", 0) for channel in channels)
    whole = sum(channel.get("received_ms", 0) + channel.get("lost_ms", 0) for channel in channels)
    return scored / whole if whole else None


# --- learning and forgetting ---------------------------------------------------------------------

LOCK_ALL, LOCK_CALL, LOCK_WEEK = 7001, 7002, 7003
"""First halves of advisory lock keys: ours alone in this database."""


def _lock_key(name: str) -> int:
    """32 signed bits. Two names of one key wait for each other, which is harmless."""
    return zlib.crc32(name.encode()) - 2**31


def _hold_calls(cursor: CursorWrapper, call_ids: Iterable[UUID]) -> None:
    """One after the other by key, so that no two who want several wait for each other."""
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, 0)", (LOCK_ALL,))
    keys = sorted({_lock_key(str(call_id)) for call_id in call_ids})
    cursor.execute("SELECT pg_advisory_xact_lock(%s, key) FROM unnest(%s::int[]) key", (LOCK_CALL, keys))


def weeks_of(fact: CallFact) -> set[Week]:
    found = {Week("team", fact.team_id, fact.week, fact.synthetic)}
    if fact.agent_id is not None:
        found.add(Week("agent", fact.agent_id, fact.week, fact.synthetic))
    return found


def learn(call_id: UUID | str) -> None:
    """Make the call's fact what the call now says (none: it runs on, or is gone), and its weeks follow.

    Does nothing when the fact is right already. Any number of workers may learn at once.
    """
    learn_all([call_id])


def learn_all(call_ids: Iterable[UUID | str]) -> None:
    """The same of several calls: a week is added up once for all of them."""
    for some in _chunks(sorted({UUID(str(call_id)) for call_id in call_ids})):
        with transaction.atomic(), connection.cursor() as cursor:
            _hold_calls(cursor, some)
            fresh = _fresh(some)
            _write(cursor, {pk: fresh.get(pk) for pk in some})


def forget(call_id: UUID | str) -> None:
    """Take a call out of all weeks, whether or not it is still there."""
    pk = UUID(str(call_id))
    with transaction.atomic(), connection.cursor() as cursor:
        _hold_calls(cursor, [pk])
        _write(cursor, {pk: None})


def _write(cursor: CursorWrapper, fresh: Mapping[UUID, CallFact | None]) -> None:
    known = CallFact.objects.in_bulk(list(fresh))
    pairs = [(known.get(pk), fact) for pk, fact in fresh.items()]
    pairs = [(before, fact) for before, fact in pairs if not _alike(before, fact)]
    if not pairs:
        return
    _upsert([fact for _, fact in pairs if fact])
    CallFact.objects.filter(pk__in=[before.pk for before, fact in pairs if before and not fact]).delete()
    touched = {week for pair in pairs for row in pair if row for week in weeks_of(row)}
    # Locks come after facts are written and before they are read again: the last to leave sees all facts.
    for key in sorted(_lock_key(str(week)) for week in touched):
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK_WEEK, key))
    for week in sorted(touched):
        roll_up(cursor, week)


def _alike(before: CallFact | None, fact: CallFact | None) -> bool:
    if before is None or fact is None:
        return before is fact
    return _values(before) == _values(fact)


def learn_missing(limit: int = 200, since: timedelta | None = RECENT) -> int:
    """Learn calls that ended but were not learned, or changed since, and forget those that are gone.

    Of the calls that began within `since` (None: of all, for once a day). Returns how many were done.
    """
    pks = _found(_UNLEARNED, since, limit)
    pks += _found(_STRAYS, since, limit - len(pks))
    done = 0
    for pk in pks:
        try:
            learn(pk)
            done += 1
        except OperationalError:  # the database is away: nothing else would succeed
            raise
        except Exception:
            log.exception("could not learn a call", call=str(pk))
    return done


def _found(sql: tuple[str, Mapping[str, str]], since: timedelta | None, limit: int) -> list[UUID]:
    """Ids, newest first. The teams are named so that the index on (team, status, start) serves."""
    query, recent = sql
    first = timezone.now() - since if since is not None else timezone.now()
    teams = list(Team.objects.values_list("pk", flat=True))
    given: dict[str, Any] = {"teams": teams, "since": first, "week": week_of(first), "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(query.format(**(recent if since is not None else dict.fromkeys(recent, ""))), given)
        return [pk for (pk,) in cursor.fetchall()]


_UNLEARNED = (
    """SELECT c.id FROM calls_call c LEFT JOIN calls_callfact f ON f.call_id = c.id {recent_fact}
    LEFT JOIN calls_calloutcome o ON o.call_id = c.id
    WHERE c.status IN ('ended', 'lost') AND c.final IS NOT NULL {recent} AND (f.call_id IS NULL OR
        (c.agent_id, c.team_id, c.rubric_version_id, coalesce(c.ended_at, c.started_at), c.scored_at,
         c.synthetic, c.queue, o.changed_at) IS DISTINCT FROM
         (f.agent_id, f.team_id, f.rubric_version_id, f.ended_at, f.scored_at, f.synthetic, f.topic,
         f.outcome_at)
         OR f.under_appeal <> EXISTS (
             SELECT 1 FROM calls_appeal a WHERE a.call_id = c.id AND a.decided_at IS NULL)
         OR f.appeal_decision <> coalesce((
             SELECT a.decision FROM calls_appeal a
             WHERE a.call_id = c.id AND a.review_id IS NULL AND a.decided_at IS NOT NULL LIMIT 1), ''))
    ORDER BY c.started_at DESC LIMIT %(limit)s""",
    {
        "recent": "AND c.team_id = ANY(%(teams)s) AND c.started_at >= %(since)s",
        "recent_fact": "AND f.team_id = ANY(%(teams)s) AND f.week >= %(week)s",
    },
)
_STRAYS = (
    """SELECT f.call_id FROM calls_callfact f LEFT JOIN calls_call c ON c.id = f.call_id
    WHERE (c.id IS NULL OR c.final IS NULL OR c.status = 'live') {recent}
    ORDER BY f.ended_at DESC LIMIT %(limit)s""",
    {"recent": "AND f.team_id = ANY(%(teams)s) AND f.week >= %(week)s"},
)


def recompute() -> int:
    """All facts and roll-ups from the calls, as if for the first time. Learners wait; returns the facts."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", (LOCK_ALL,))
        CallFact.objects.all().delete()
        pks = list(Call.objects.order_by("pk").values_list("pk", flat=True))
        made = 0
        for some in _chunks(pks):
            facts = list(_fresh(some).values())
            CallFact.objects.bulk_create(facts)
            made += len(facts)
        roll_up_all(cursor)
        return made


def _fresh(call_ids: Sequence[UUID | str]) -> dict[UUID, CallFact]:
    """The fact of each of these calls that is over and scored: a few queries for all of them."""
    fields = (
        "agent_id", "team_id", "rubric_version_id", "engine", "started_at", "ended_at", "scored_at",
        "synthetic", "queue", "media_ms", "final",
    )  # fmt: skip
    calls = Call.objects.filter(pk__in=call_ids, final__isnull=False, practice=False)
    calls = calls.exclude(status=CallStatus.LIVE)
    found = {call.pk: call for call in calls.only(*fields)}
    moments: dict[UUID, list[tuple[int, str]]] = {pk: [] for pk in found}
    for pk, t_ms, state in (
        Moment.objects.filter(call__in=found).order_by("t_ms").values_list("call_id", "t_ms", "state")
    ):
        moments[pk].append((t_ms, state))
    taken: dict[UUID, list[bool | None]] = {pk: [] for pk in found}
    for pk, one in ShownNudge.objects.filter(call__in=found).values_list("call_id", "taken"):
        taken[pk].append(one)
    appeals: dict[UUID, list[Appeal]] = {pk: [] for pk in found}
    for appeal in Appeal.objects.filter(call__in=found):
        appeals[appeal.call_id].append(appeal)
    engines = _engines({call.engine for call in found.values()} - {""})
    outcomes = CallOutcome.objects.in_bulk(list(found))
    return {
        pk: fact_of(
            call, moments[pk], taken[pk], engines.get(call.engine), standing_of(appeals[pk]), outcomes.get(pk)
        )
        for pk, call in found.items()
    }


def _engines(names: Iterable[str]) -> dict[str, int]:
    wanted = set(names)
    known = dict(EngineVersion.objects.filter(name__in=wanted).values_list("name", "pk"))
    if new := wanted - known.keys():
        EngineVersion.objects.bulk_create([EngineVersion(name=n) for n in new], ignore_conflicts=True)
        known = dict(EngineVersion.objects.filter(name__in=wanted).values_list("name", "pk"))
    return known


def _upsert(facts: Sequence[CallFact]) -> None:
    names = [f.name for f in CallFact._meta.concrete_fields if not f.primary_key]
    CallFact.objects.bulk_create(facts, update_conflicts=True, unique_fields=["call"], update_fields=names)


def _values(fact: CallFact) -> list[Any]:
    """To compare a stored fact with a fresh one: as many digits as are stored."""
    values = [getattr(fact, field.attname) for field in CallFact._meta.concrete_fields]
    return [float(f"{v:.5g}") if isinstance(v, float) else v for v in values]


def _chunks(pks: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(pks), CHUNK):
        yield pks[start : start + CHUNK]
