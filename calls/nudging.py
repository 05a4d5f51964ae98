"""Which cue reaches an agent's screen, and what came of it.

A candidate (`scoring.nudges`) is shown once, while its moment lasts and the agent's own choices allow.
What agents say of cues feeds each rule's precision; a rule under its floor gives no more cues.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from math import ceil
from time import monotonic
from typing import Any

from django.db.models import Count
from django.utils import timezone

from calls import policy, wire
from calls.models import Call, NudgeChoices, RubricVersion, ShownNudge, User
from calls.models.rubrics import rubric_version_for
from scoring import types as t
from scoring.behaviour import Exchange, exchanges
from scoring.nudges import RulePrecision, Wanted, has_passed, rule_precision, taken
from scoring.rubric import RubricSpec, default_rubric

BEGUN_MS = 1_500
"""An answer that has only just begun holds no cue back: it takes us so long to know that the caller has
stopped, and agents answer within half a second. From then on none comes while they speak."""
FRESH_MS = 8_000
"""When it has been quiet for so long, a cue helps nobody any more …"""
LONGEST_MS = 20_000
"""… and none waits longer than this for the agent to end an answer."""
PRECISION_FOR_S = 30.0
VERDICTS_COUNT_FOR = timedelta(days=90)
"""Older verdicts are of other phrases, other people and other callers."""
Limits = dict[str, tuple[int, int]]
"""Name of a choice: the least and the most."""
EVERY_S = (15, 600)
"""Seconds between two cues that an agent may choose from …"""
PER_CALL = (0, 20)
"""… and cues in a call; a rubric may leave less choice."""
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


def choices_of(agent: User | None) -> NudgeChoices:
    """An agent's own, or as they come."""
    return getattr(agent, "nudge_choices", None) or NudgeChoices(agent=agent)


def limits(spec: RubricSpec) -> Limits:
    """What an agent can choose from under a rubric: it may only be less often and less than that gives."""
    every_s = min(EVERY_S[1], max(EVERY_S[0], ceil(spec.nudging.every_ms / 1000)))
    return {
        "every_s": (every_s, EVERY_S[1]),
        "per_call": (PER_CALL[0], min(PER_CALL[1], spec.nudging.per_call)),
    }


def limits_for(agent: User) -> Limits:
    """Under the rubric in force for the agent's team."""
    try:
        version = rubric_version_for(agent.team_id)
    except LookupError:  # none was ever published
        return limits(default_rubric())
    return limits(version.as_spec())


def kept_within(choices: NudgeChoices, allowed: Limits) -> dict[str, int]:
    """What was chosen, moved to what a rubric that changed since still allows."""
    return {name: min(most, max(least, getattr(choices, name))) for name, (least, most) in allowed.items()}


def choices_doc(choices: NudgeChoices) -> wire.Doc:
    """As the agent's page shows them."""
    allowed = limits_for(choices.agent)
    return wire.choices_doc(choices, kept_within(choices, allowed), allowed)


def wanted(call: Call, shown: Sequence[ShownNudge]) -> Wanted:
    """What the call's agent can be shown, and was."""
    off = frozenset(rule for rule, p in precision(call.rubric_version).items() if p.switched_off)
    return Wanted(
        off, frozenset(choices_of(call.agent).kinds_off), tuple(row.t_ms for row in shown), call.queue
    )


def show(
    call: Call,
    candidates: Sequence[t.NudgeCandidate],
    before: Sequence[ShownNudge],
    turns: Sequence[t.Turn],
    spec: RubricSpec,
    *,
    caller_speaks: bool = False,
    agent_ms: int = 0,
) -> ShownNudge | None:
    """Show the newest candidate if its moment is now and the agent wants it; the row, or None.

    `before`: what was shown of this call, in order. `turns`: all of them. `agent_ms`: how long the agent has
    been speaking. A cue waits for a pause; its moment lasts until it has been quiet for long, the caller has
    spoken again, or the agent has done what it asks for.
    """
    if not candidates or caller_speaks or not call.is_live or call.is_recording or call.agent_id is None:
        return None
    if call.is_one_sided or call.is_withheld:  # what it asks for may have been said, unheard
        return None
    newest = max(candidates, key=lambda c: c.t_ms)
    if not is_fresh(newest, turns, call.media_ms) or not policy.current().cues:
        return None
    if has_passed(newest, in_order(turns, spec), spec) or in_an_answer(newest, turns, agent_ms):
        return None
    choices = choices_of(call.agent)
    chosen = kept_within(choices, limits(spec))
    if choices.muted or len(before) >= chosen["per_call"]:
        return None
    if before and call.media_ms - before[-1].shown_ms < chosen["every_s"] * 1000:
        return None
    row, made = ShownNudge.objects.get_or_create(
        call=call,
        rule=newest.rule,
        t_ms=newest.t_ms,
        defaults={
            "agent_id": call.agent_id,
            "shown_ms": call.media_ms,
            "state": str(newest.state),
            "missing": str(newest.missing),
            "cue": newest.cue,
            "phrases": list(newest.phrases),
            "solution": newest.solution,
            "link": newest.link,
        },
    )
    return row if made else None


def is_fresh(cue: t.NudgeCandidate, turns: Sequence[t.Turn], now_ms: int) -> bool:
    """The caller has just stopped, or the agent has just ended an answer to them."""
    answers = [turn.end_ms for turn in turns if turn.channel is t.Channel.AGENT and turn.end_ms <= now_ms]
    quiet_ms = now_ms - max([cue.t_ms, *answers])
    return quiet_ms <= FRESH_MS and now_ms - cue.t_ms <= LONGEST_MS


def in_an_answer(cue: t.NudgeCandidate, turns: Sequence[t.Turn], agent_ms: int) -> bool:
    """The agent is well into an answer to the caller: past its first words, or its first sentence."""
    is_later = any(turn.channel is t.Channel.AGENT and turn.end_ms > cue.t_ms for turn in turns)
    return agent_ms > (0 if is_later else BEGUN_MS)


def in_order(turns: Sequence[t.Turn], spec: RubricSpec) -> list[Exchange]:
    return exchanges(sorted(turns, key=lambda turn: (turn.start_ms, turn.channel)), spec.timing)


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
    talk = in_order(turns, spec)
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
