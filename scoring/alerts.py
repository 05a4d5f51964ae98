"""Reasons for a supervisor to look at a call: one alert per cause, at the first time it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .empathy import Fault
from .rubric import RubricSpec
from .states import StatePoint, Trace
from .types import AlertCause, Channel, Risk, Turn

ESCALATION_TITLES = {
    "escalation-person": "Asks for a supervisor",
    "escalation-complaint": "Speaks of a complaint or legal action",
    "escalation-leave": "Wants to cancel or leave",
}


def alerts(
    turns: Sequence[Turn],
    felt: Trace,
    faults: Sequence[Fault],
    longest_silence: tuple[int, int],
    rubric: RubricSpec,
) -> tuple[AlertCause, ...]:
    """Sorted by time; the first per cause. `longest_silence` is (ms, start) of an unexplained one."""
    found: dict[str, AlertCause] = {}
    causes = [
        *distress(felt, turns, rubric),
        *harm(faults),
        *silence(longest_silence, rubric),
        *escalation(turns, rubric),
    ]
    for alert in sorted(causes, key=lambda a: (a.t_ms, a.cause)):
        found.setdefault(alert.cause, alert)
    return tuple(found.values())


def distress(felt: Trace, turns: Sequence[Turn], rubric: RubricSpec) -> Iterator[AlertCause]:
    since = sustained_since(felt.points, rubric)
    if since is not None:
        seconds = rubric.alerting.sustained_ms // 1000
        t_ms = since + rubric.alerting.sustained_ms
        said = [f for f in felt.feelings if f.turn.start_ms <= t_ms]
        worst = max(said, key=lambda f: f.affect, default=None)
        quote = telling(worst.turn) if worst else ""
        yield AlertCause("distress-high", t_ms, f"High distress for {seconds} s", quote, Risk.HELP)


def sustained_since(points: Sequence[StatePoint], rubric: RubricSpec) -> int | None:
    """When distress first went over the limit and stayed; dips down to `help_leave` do not count."""
    since: int | None = None
    for point in points:
        if since is None:
            since = point.t_ms if point.distress >= rubric.alerting.distress else None
        elif point.distress < rubric.risk.help_leave:
            since = None
        elif point.t_ms - since >= rubric.alerting.sustained_ms:
            return since
    return None


def harm(faults: Sequence[Fault]) -> Iterator[AlertCause]:
    for fault in faults:
        if fault.kind in ("dismissive", "blaming"):
            yield AlertCause(
                fault.kind, fault.t_ms, f"Agent's words sound {fault.kind}", fault.quote, Risk.HELP
            )


def silence(longest: tuple[int, int], rubric: RubricSpec) -> Iterator[AlertCause]:
    length_ms, start_ms = longest
    if length_ms >= rubric.alerting.silence_ms:
        seconds = rubric.alerting.silence_ms // 1000
        yield AlertCause(
            "silence",
            start_ms + rubric.alerting.silence_ms,
            f"Over {seconds} s of unexplained silence",
            "",
            Risk.WATCH,
        )


def escalation(turns: Sequence[Turn], rubric: RubricSpec) -> Iterator[AlertCause]:
    for turn in turns:
        if turn.channel is not Channel.CUSTOMER:
            continue
        for cue in turn.cues:
            if cue.label == "escalation" and cue.strength >= rubric.alerting.escalation:
                rule = cue.source.removeprefix("rule:")
                title = ESCALATION_TITLES.get(rule, "Escalates")
                yield AlertCause(
                    rule if rule in ESCALATION_TITLES else "escalation",
                    turn.end_ms,
                    title,
                    cue.quote,
                    Risk.HELP,
                )


def telling(turn: Turn) -> str:
    """The turn's most telling words: its strongest cue, else its beginning."""
    best = max((c for c in turn.cues if c.quote), key=lambda c: c.strength * c.confidence, default=None)
    return best.quote if best else " ".join(turn.text.split()[:14])
