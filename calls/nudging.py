"""Which cue reaches an agent's screen, and what came of it.

A candidate (`scoring.nudges`) is shown once, while its moment lasts and the agent's own choices allow.
What agents say of cues feeds each rule's precision; a rule under its floor gives no more cues.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any

from django.db.models import Count
from django.utils import timezone

from calls import policy, wire
from calls.models import Call, NudgeChoices, RubricVersion, ShownNudge
from scoring import types as t
from scoring.behaviour import exchanges
from scoring.nudges import RulePrecision, rule_precision, taken
from scoring.rubric import RubricSpec

FRESH_MS = 8_000
"""A cue older than this helps nobody any more."""
PRECISION_FOR_S = 30.0
VERDICTS_COUNT_FOR = timedelta(days=90)
"""Older verdicts are of other phrases, other people and other callers."""
_precision: dict[int, tuple[float, Mapping[str, RulePrecision]]] = {}


def precision(version: RubricVersion, *, fresh: bool = False) -> Mapping[str, RulePrecision]:
    """Per rule of a rubric (all its versions), from what agents said lately. Kept for half a minute."""
    rubric_id = version.rubric_id
    known = _precision.get(rubric_id)
    if known is not None and not fresh and monotonic() - known[0] < PRECISION_FOR_S:
        return known[1]
    since = timezone.now() - VERDICTS_COUNT_FOR
    said = ShownNudge.objects.filter(
        call__rubric_version__rubric_id=rubric_id, call__practice=False, verdict_at__gte=since
    )
    counts = said.order_by().values_list("rule", "verdict").annotate(n=Count("pk"))
    pairs = [(rule, verdict) for rule, verdict, n in counts for _ in range(n)]
    found = rule_precision(pairs, version.as_spec().nudging)
    _precision[rubric_id] = (monotonic(), found)
    return found


def switched_off(version: RubricVersion) -> frozenset[str]:
    return frozenset(rule for rule, p in precision(version).items() if p.switched_off)


def show(
    call: Call, candidates: Sequence[t.NudgeCandidate], spec: RubricSpec, *, caller_speaks: bool = False
) -> ShownNudge | None:
    """Show the newest candidate if its moment is now and the agent wants it; the row, or None.

    A caller who only drew breath has not finished: what is said next may change what is felt.
    """
    if not candidates or caller_speaks or not call.is_live or call.is_recording or call.agent_id is None:
        return None
    newest = max(candidates, key=lambda c: c.t_ms)
    if call.media_ms - newest.t_ms > FRESH_MS or not policy.current().cues:
        return None
    choices = NudgeChoices.objects.filter(agent=call.agent_id).first() or NudgeChoices()
    if choices.muted or str(newest.missing) in choices.kinds_off:
        return None
    before = list(call.shown_nudges.all())
    every_ms = max(spec.nudging.every_ms, choices.every_s * 1000)
    if len(before) >= min(spec.nudging.per_call, choices.per_call):
        return None
    if before and newest.t_ms - before[-1].t_ms < every_ms:
        return None
    row, made = ShownNudge.objects.get_or_create(
        call=call,
        rule=newest.rule,
        t_ms=newest.t_ms,
        defaults={
            "agent_id": call.agent_id,
            "state": str(newest.state),
            "missing": str(newest.missing),
            "cue": newest.cue,
            "phrases": list(newest.phrases),
        },
    )
    return row if made else None


def settle(
    shown: Collection[ShownNudge],
    turns: Sequence[t.Turn],
    events: Sequence[t.AlignmentEvent],
    spec: RubricSpec,
    closed: bool,
) -> list[ShownNudge]:
    """Fill in what came of each cue; the rows that changed, saved."""
    if not shown:
        return []
    talk = exchanges(sorted(turns, key=lambda turn: (turn.start_ms, turn.channel)), spec.timing)
    changed = []
    for row in shown:
        now = (
            taken(row.t_ms, t.Behaviour(row.missing), talk, spec, closed),
            recovered_ms(row.t_ms, events),
        )
        if now != (row.taken, row.recovered_ms):
            row.taken, row.recovered_ms = now
            changed.append(row)
    ShownNudge.objects.bulk_update(changed, ["taken", "recovered_ms"])
    return changed


def recovered_ms(t_ms: int, events: Sequence[t.AlignmentEvent]) -> int | None:
    """From a cue to the recovery of the need it was about: the last that arose before it."""
    about = [e for e in events if e.t_ms <= t_ms + FRESH_MS]
    if not about or about[-1].recovery_ms is None:
        return None
    return max(0, about[-1].t_ms + about[-1].recovery_ms - t_ms)


def tell(call: Call, row: ShownNudge) -> list[tuple[str, dict[str, Any]]]:
    """To the agent's page and to everybody who has the call open."""
    event = {"type": "cue", "cue": wire.shown_doc(row), "urgent": True}
    return [(f"agent.{row.agent_id}", event), (f"call.{call.pk}", event)]
