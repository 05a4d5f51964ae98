"""How long a caller has been in distress, and whether the agent has said anything that fits it.

Says what held and from when; what of it becomes an alert is for `alerts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .behaviour import Exchange, TalkPattern
from .empathy import response_strength
from .rubric import LastingRule, RubricSpec
from .states import StatePoint, Trace
from .types import DISTRESS, Channel, State, Turn

STILL = 1 << 62
"""The end, in ms, of what has not ended."""


@dataclass(frozen=True)
class Lasted:
    """Something that held for long enough."""

    since_ms: int
    t_ms: int
    """When it had."""
    known_ms: int
    """When what was heard first showed that it had."""
    state: State
    unanswered: bool
    """The agent had a turn meanwhile, and nothing in it fitted."""


def agent_turns(talk: Sequence[Exchange]) -> list[Turn]:
    return [turn for exchange in talk if exchange.channel is Channel.AGENT for turn in exchange.turns]


def answered(
    agent: Sequence[Turn],
    state: State,
    since_ms: int,
    until_ms: int,
    rubric: RubricSpec,
    pattern: TalkPattern,
) -> bool | None:
    """Whether what the agent finished saying in this time fits the state; None: they had no turn, or one that
    nobody heard."""
    if pattern.may_have_spoken(since_ms, until_ms):
        return None
    said = [(turn.behaviours, 1.0) for turn in agent if since_ms < turn.end_ms <= until_ms]
    if not said:
        return None
    return response_strength(state, said, rubric) >= rubric.penalties.ignored_below


def high(felt: Trace, agent: Sequence[Turn], rubric: RubricSpec, pattern: TalkPattern) -> Iterator[Lasted]:
    """Each time distress went over the limit and stayed; dips down to `help_leave` do not count."""
    rules, told = rubric.alerting, False
    since: int | None = None
    for point in felt.points:
        if since is None:
            since, told = (point.t_ms, False) if point.distress >= rules.distress else (None, False)
        elif point.distress < rubric.risk.help_leave:
            since = None
        elif not told and point.t_ms - since >= rules.sustained_ms:
            told = True
            reply = answered(agent, point.state, felt.began(since), point.t_ms, rubric, pattern)
            yield Lasted(since, since + rules.sustained_ms, point.t_ms, point.state, reply is False)


def lasting(
    felt: Trace, agent: Sequence[Turn], rule: LastingRule, rubric: RubricSpec, pattern: TalkPattern
) -> Iterator[Lasted]:
    """Each time the caller was in the rule's state for so long.

    It needs a sign of the caller that it still holds, and where it must be unanswered, a turn of the agent.
    """
    floor, told = rule.intensity - rubric.alerting.dip, False
    since: int | None = None
    for point in felt.points:
        if point.state is State.UNSURE:
            continue
        if since is None:
            if point.state == rule.state and point.intensity >= rule.intensity:
                since, told = point.t_ms, False
        elif point.state != rule.state or point.intensity < floor:
            since = None
        elif not told and point.t_ms - since >= 1000 * rule.seconds:
            began = felt.began(since)
            reply = (
                answered(agent, point.state, began, point.t_ms, rubric, pattern) if rule.unanswered else None
            )
            told = reply is not None or not rule.unanswered
            if told and not reply:
                heard = next((t.end_ms for t in agent if t.end_ms > began), 0) if rule.unanswered else 0
                t_ms = max(since + 1000 * rule.seconds, heard)
                yield Lasted(since, t_ms, point.t_ms, point.state, rule.unanswered)


def in_distress(points: Sequence[StatePoint], rubric: RubricSpec) -> list[tuple[int, int]]:
    """Stretches (from, to) in ms; a caller who was well for less than `again_ms` was never out of it."""
    out: list[tuple[int, int]] = []
    inside = False
    for point in points:
        if point.state in DISTRESS or point.distress >= rubric.risk.help_leave:
            if not inside and out and point.t_ms - out[-1][1] < rubric.alerting.again_ms:
                out[-1] = (out[-1][0], STILL)
            elif not inside:
                out.append((point.t_ms, STILL))
            inside = True
        elif inside and point.state is not State.UNSURE:
            out[-1], inside = (out[-1][0], point.t_ms), False
    return out
