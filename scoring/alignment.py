"""Emotional alignment as response fit (SCIENCE §5): did the words fit, how soon, did the caller recover.

Becoming alike is not what is measured; the pace match is a diagnostic that no score reads.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from statistics import median

from .behaviour import Exchange
from .empathy import first_fitting
from .rubric import RubricSpec
from .states import StatePoint, Trace
from .types import DISTRESS, Alignment, AlignmentEvent, Channel, Opportunity, State, Timing

WELL = (State.CALM, State.SATISFACTION)


def alignment(
    talk: Sequence[Exchange],
    felt: Trace,
    opportunities: Sequence[Opportunity],
    timing: Timing,
    rubric: RubricSpec,
    now_ms: int,
    closed: bool,
) -> Alignment:
    """One event per opportunity; the same pieces in order give the same alignment."""
    times = [p.t_ms for p in felt.points]
    ends = [o.t_ms for o in opportunities[1:]]
    events = tuple(
        AlignmentEvent(
            o.t_ms,
            o.state,
            o.affect,
            o.response,
            latency_ms(o, talk, until_ms, rubric),
            recovery_ms(o.t_ms, felt.points[bisect_right(times, o.t_ms) :], rubric, now_ms, closed),
        )
        for o, until_ms in zip(opportunities, [*ends, None], strict=False)
    )
    settled = [e for e in events if e.fit is not None]
    waits = [e.latency_ms for e in events if e.latency_ms is not None]
    return Alignment(
        events=events,
        median_latency_ms=round(median(waits)) if waits else None,
        met_share=share([(e.fit or 0.0) >= rubric.alignment.met for e in settled]),
        recovered_share=share([e.recovery_ms is not None for e in settled]),
        pace_match=pace_match(timing),
    )


def latency_ms(
    opportunity: Opportunity, talk: Sequence[Exchange], until_ms: int | None, rubric: RubricSpec
) -> int | None:
    """To the first fitting response, within the event's window or, late, before the next event."""
    if opportunity.latency_ms is not None:
        return opportunity.latency_ms
    for exchange in talk:
        late = exchange.channel is Channel.AGENT and exchange.end_ms > opportunity.t_ms
        if late and (first := first_fitting(exchange, rubric.opportunity.met)) is not None:
            return max(0, first - opportunity.t_ms) if until_ms is None or first < until_ms else None
    return None


def recovery_ms(
    t_ms: int, after: Sequence[StatePoint], rubric: RubricSpec, now_ms: int, closed: bool
) -> int | None:
    """From the event to the first calm or satisfied point that no distress follows within `settle_ms`.

    Told only once those seconds have passed (or the call is over), so it is never taken back.
    """
    since: int | None = None
    for point in after:
        if since is not None and point.t_ms - since >= rubric.alignment.settle_ms:
            break
        if point.state in DISTRESS:
            since = None
        elif since is None and point.state in WELL:
            since = point.t_ms
    if since is None or not (closed or now_ms - since >= rubric.alignment.settle_ms):
        return None
    return since - t_ms


def share(marks: Sequence[bool]) -> float | None:
    return round(sum(marks) / len(marks), 3) if marks else None


def pace_match(timing: Timing) -> float | None:
    """The slower pace over the faster one; None while either is unknown."""
    a, b = timing.customer_wpm, timing.agent_wpm
    return round(min(a, b) / max(a, b), 3) if a and b else None
