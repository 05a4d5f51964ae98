"""Cues for the agent while the call runs: a state, what is missing, and a moment to say it (SCIENCE §7)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .behaviour import Exchange, TalkPattern
from .empathy import Fault
from .rubric import NudgeRule, RubricSpec
from .states import Feeling, Trace
from .types import DISTRESS, Behaviour, Channel, NudgeCandidate, Opportunity, State

STRONG_AFTER = 2
"""So many well-answered opportunities, one after the other, let the cues fade."""


@dataclass(frozen=True)
class Opening:
    """A moment at which a cue could be shown."""

    t_ms: int
    moment: str
    state: State
    shown: frozenset[str]
    """Behaviours the agent has already shown since this need arose."""


def nudges(
    talk: Sequence[Exchange],
    felt: Trace,
    pattern: TalkPattern,
    opportunities: Sequence[Opportunity],
    faults: Sequence[Fault],
    rubric: RubricSpec,
) -> tuple[NudgeCandidate, ...]:
    """At most `per_call`, spaced by `every_ms`, never while the agent speaks."""
    openings = [*after_caller(talk, felt, rubric), *after_faults(talk, felt, faults, rubric)]
    out: list[NudgeCandidate] = []
    for opening in sorted(openings, key=lambda o: (o.t_ms, o.moment)):
        if len(out) >= rubric.nudging.per_call:
            break
        if out and opening.t_ms - out[-1].t_ms < rubric.nudging.every_ms:
            continue
        if agent_speaks(pattern, opening.t_ms) or doing_well(opportunities, opening.t_ms, rubric):
            continue
        rule = next((r for r in rubric.nudging.rules if fits(r, opening)), None)
        if rule is not None:
            out.append(
                NudgeCandidate(opening.t_ms, rule.id, opening.state, Behaviour(rule.missing), rule.cue)
            )
    return tuple(out)


def fits(rule: NudgeRule, opening: Opening) -> bool:
    return (rule.moment, rule.state) == (opening.moment, opening.state) and rule.missing not in opening.shown


def after_caller(talk: Sequence[Exchange], felt: Trace, rubric: RubricSpec) -> Iterator[Opening]:
    """Each time an upset caller stops; behaviours count as shown until the caller is calm again."""
    feelings = {f.turn.start_ms: f for f in felt.feelings}
    shown: set[str] = set()
    state: State | None = None
    for exchange in talk:
        if exchange.channel is Channel.AGENT:
            shown |= {
                k for t in exchange.turns for k, c in t.behaviours.items() if c >= rubric.opportunity.met
            }
            continue
        need = state_after(exchange, feelings, felt, rubric)
        if need != state:
            shown = set()
        state = need
        if state is not None:
            yield Opening(exchange.end_ms, "caller-stops", state, frozenset(shown))


def state_after(
    exchange: Exchange, feelings: dict[int, Feeling], felt: Trace, rubric: RubricSpec
) -> State | None:
    """The distress a turn leaves behind: its own if strong, else what still lasts."""
    mine = [f for t in exchange.turns if (f := feelings.get(t.start_ms)) is not None]
    strongest = max(mine, key=lambda f: f.affect, default=None)
    if strongest is not None and strongest.affect >= rubric.opportunity.affect:
        return strongest.state
    point = felt.at(exchange.end_ms)
    return point.state if point is not None and point.state in DISTRESS else None


def after_faults(
    talk: Sequence[Exchange], felt: Trace, faults: Sequence[Fault], rubric: RubricSpec
) -> Iterator[Opening]:
    """A long silence, or cutting in on an upset caller, each has its own cue."""
    moments = {"silence": "silence", "interrupting": "interrupted"}
    ends = [e.end_ms for e in talk]
    for fault in faults:
        point = felt.at(fault.t_ms) if fault.kind in moments else None
        if point is None or point.state not in DISTRESS:
            continue
        t_ms = fault.t_ms
        if fault.kind == "interrupting":  # wait until the agent has stopped
            after = bisect_right(ends, t_ms)
            t_ms = ends[after] if after < len(ends) else t_ms
        yield Opening(t_ms, moments[fault.kind], point.state, frozenset())


def agent_speaks(pattern: TalkPattern, t_ms: int) -> bool:
    n = bisect_right(pattern.agent, (t_ms, 1 << 60))
    return n > 0 and pattern.agent[n - 1][0] <= t_ms < pattern.agent[n - 1][1]


def doing_well(opportunities: Sequence[Opportunity], t_ms: int, rubric: RubricSpec) -> bool:
    """The agent's last opportunities before this moment were answered strongly."""
    done = [o.response for o in opportunities if o.response is not None and o.t_ms < t_ms][-STRONG_AFTER:]
    return len(done) == STRONG_AFTER and sum(done) / len(done) >= rubric.nudging.strong
