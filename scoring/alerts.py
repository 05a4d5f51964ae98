"""Reasons for a supervisor to look at a call: one alert per cause and episode, at the first time it holds.

An episode is over when its cause has been away for `again_ms`. All that a caller's distress can raise is
one cause: of the same stretch the first is told. Each says what was known at its time, so that nothing
said later takes it back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .behaviour import Exchange, Silence, TalkPattern
from .empathy import EmpathyTrack, Fault
from .lasting import STILL, Lasted, agent_turns, answered, high, in_distress, lasting
from .rubric import RubricSpec
from .states import STATE_WORDS, Trace
from .types import HARMFUL, AlertCause, Channel, Risk, State, Turn

OF_DISTRESS = "distress"
"""What the alerts about a caller's state are about, whichever comes first."""
ESCALATION_TITLES = {
    "escalation-person": "Asks for a supervisor",
    "escalation-complaint": "Speaks of a complaint or legal action",
    "escalation-leave": "Wants to cancel or leave",
}
LACKS = {
    State.FRUSTRATION: "nobody has acknowledged it",
    State.ANXIETY: "nobody has reassured the caller",
    State.CONFUSION: "nobody has cleared it up",
    State.SADNESS: "nobody has acknowledged it",
}
KINDS: Mapping[str, str] = ESCALATION_TITLES | {
    "distress-high": "High distress",
    "unanswered": "A need left unanswered",
    "dismissive": "Agent's words sound dismissive",
    "blaming": "Agent's words sound blaming",
    "silence": "Unexplained silence",
    "escalation": "Escalates",
}
"""What kind of alert each cause of ours raises; its own title says more."""
TELLING_S = 5
"""A shorter time is not worth naming."""


@dataclass(frozen=True)
class Hit:
    """A cause held from one time to another, and would raise this."""

    begin_ms: int
    until_ms: int
    known_ms: int
    """When it was first known to hold."""
    alert: AlertCause


def alerts(
    turns: Sequence[Turn],
    talk: Sequence[Exchange],
    felt: Trace,
    empathy: EmpathyTrack,
    pattern: TalkPattern,
    rubric: RubricSpec,
) -> tuple[AlertCause, ...]:
    """Sorted by time; the first of each episode."""
    subjects: dict[str, list[Hit]] = {}
    for hit in (
        *distress(talk, felt, empathy, rubric, pattern),
        *harm(empathy.faults),
        *silence([gap for gap in pattern.silences if gap not in pattern.announced], rubric),
        *escalation(turns, rubric),
    ):
        if hit.alert.cause not in rubric.alerting.switched_off:
            subjects.setdefault(about(hit.alert.cause, rubric), []).append(hit)
    raised = [a for hits in subjects.values() for a in first_of_each(hits, rubric.alerting.again_ms)]
    counts: Counter[str] = Counter()
    out = []
    for alert in sorted(raised, key=lambda a: (a.t_ms, a.cause)):
        counts[alert.cause] += 1
        of_distress = about(alert.cause, rubric) == OF_DISTRESS
        quote = worst_words(felt, alert.begin_ms, alert.t_ms) if of_distress else alert.quote
        out.append(replace(alert, episode=counts[alert.cause], quote=quote))
    return tuple(out)


def about(cause: str, rubric: RubricSpec) -> str:
    """What an alert is about: its own cause, or the caller's distress."""
    state = cause in ("distress-high", "unanswered") or any(r.id == cause for r in rubric.alerting.lasting)
    return OF_DISTRESS if state else cause


def kind_of(cause: str, rubric: RubricSpec) -> str:
    """A cause in words, without what one call adds; itself when neither we nor the rubric know it."""
    rule = next((r for r in rubric.alerting.lasting if r.id == cause), None)
    if rule is None:
        return KINDS.get(cause, cause)
    return state_title(State(rule.state), rule.seconds, unanswered=rule.unanswered)


def first_of_each(hits: Sequence[Hit], again_ms: int) -> Iterator[AlertCause]:
    """The first alert of each episode: hits with less than `again_ms` between them are one."""
    episode: list[Hit] = []
    until_ms = 0
    for hit in sorted(hits, key=lambda h: (h.begin_ms, h.until_ms)):
        if episode and hit.begin_ms - until_ms >= again_ms:
            yield earliest(episode)
            episode = []
        episode.append(hit)
        until_ms = max(until_ms, hit.until_ms)
    if episode:
        yield earliest(episode)


def earliest(episode: Sequence[Hit]) -> AlertCause:
    """What was known first: what comes to be known later never takes its place."""
    first = min(episode, key=lambda h: (h.known_ms, h.alert.t_ms, h.alert.cause, h.alert.title)).alert
    begin_ms, until_ms = min(h.begin_ms for h in episode), max(h.until_ms for h in episode)
    return replace(first, begin_ms=begin_ms, until_ms=None if until_ms == STILL else until_ms)


# --- what raises one ----------------------------------------------------------------------------


def distress(
    talk: Sequence[Exchange], felt: Trace, empathy: EmpathyTrack, rubric: RubricSpec, pattern: TalkPattern
) -> Iterator[Hit]:
    agent = agent_turns(talk)
    stretches = in_distress(felt.points, rubric)
    found = [
        *(("distress-high", lasted) for lasted in high(felt, agent, rubric, pattern)),
        *(("unanswered", lasted) for lasted in unanswered(felt, agent, empathy, rubric, pattern)),
        *((r.id, it) for r in rubric.alerting.lasting for it in lasting(felt, agent, r, rubric, pattern)),
    ]
    for cause, lasted in found:
        begin, until = next((s for s in stretches if s[0] <= lasted.t_ms < s[1]), (lasted.since_ms, STILL))
        point = felt.at(lasted.t_ms)
        grave = cause == "distress-high" or (point is not None and point.distress >= rubric.risk.help)
        title = high_title(lasted) if cause == "distress-high" else lasting_title(lasted)
        alert = AlertCause(cause, lasted.t_ms, title, "", Risk.HELP if grave else Risk.WATCH)
        yield Hit(begin, until, lasted.known_ms, alert)


def unanswered(
    felt: Trace, agent: Sequence[Turn], empathy: EmpathyTrack, rubric: RubricSpec, pattern: TalkPattern
) -> Iterator[Lasted]:
    """Needs that were settled without an answer while the caller is still upset.

    Where the answer was a harmful one, that has its own alert. What was answered before counts from the need.
    """
    for need in empathy.unanswered:
        point = felt.at(need.t_ms)
        harmed = any(f.kind in HARMFUL and need.need_ms < f.t_ms <= need.t_ms for f in empathy.faults)
        if point is None or point.state not in STATE_WORDS or need.affect < rubric.alerting.unanswered:
            continue
        if not harmed:
            began = felt.began(need.t_ms)
            before = answered(agent, point.state, began, need.need_ms, rubric, pattern)
            yield Lasted(need.need_ms if before else began, need.t_ms, need.known_ms, point.state, True)


def lasting_title(lasted: Lasted) -> str:
    seconds = (lasted.t_ms - lasted.since_ms) // 1000
    return state_title(lasted.state, seconds, unanswered=lasted.unanswered)


def state_title(state: State, seconds: int, *, unanswered: bool) -> str:
    length = f" for {seconds} s" if seconds >= TELLING_S else ""
    return f"{STATE_WORDS[state]}{length}{f', and {LACKS[state]}' if unanswered else ''}"


def high_title(lasted: Lasted) -> str:
    if lasted.unanswered and lasted.state in LACKS:
        return lasting_title(lasted)
    return f"High distress for {(lasted.t_ms - lasted.since_ms) // 1000} s"


def worst_words(felt: Trace, since_ms: int, until_ms: int) -> str:
    """The caller's most telling words of this time."""
    said = [f for f in felt.feelings if f.turn.end_ms >= since_ms and f.turn.start_ms <= until_ms]
    worst = max(said, key=lambda f: f.affect, default=None)
    return telling(worst.turn) if worst else ""


def harm(faults: Sequence[Fault]) -> Iterator[Hit]:
    for fault in faults:
        if fault.kind in HARMFUL:
            alert = AlertCause(fault.kind, fault.t_ms, KINDS[fault.kind], fault.quote, Risk.HELP)
            yield Hit(fault.t_ms, fault.t_ms, fault.t_ms, alert)


def silence(quiet: Sequence[Silence], rubric: RubricSpec) -> Iterator[Hit]:
    least_ms = rubric.alerting.silence_ms
    title = f"Over {least_ms // 1000} s of unexplained silence"
    for gap in quiet:
        if gap.end_ms - gap.start_ms >= least_ms:
            alert = AlertCause("silence", gap.start_ms + least_ms, title, "", Risk.WATCH)
            yield Hit(gap.start_ms, gap.end_ms, alert.t_ms, alert)


def escalation(turns: Sequence[Turn], rubric: RubricSpec) -> Iterator[Hit]:
    for turn in turns:
        if turn.channel is not Channel.CUSTOMER:
            continue
        for cue in turn.cues:
            if cue.label == "escalation" and cue.strength >= rubric.alerting.escalation:
                rule = cue.source.removeprefix("rule:")
                cause = rule if rule in ESCALATION_TITLES else "escalation"
                alert = AlertCause(cause, turn.end_ms, KINDS[cause], cue.quote, Risk.HELP)
                yield Hit(turn.end_ms, turn.end_ms, turn.end_ms, alert)


def telling(turn: Turn) -> str:
    """The turn's most telling words: its strongest cue, else its beginning."""
    best = max((c for c in turn.cues if c.quote), key=lambda c: c.strength * c.confidence, default=None)
    return best.quote if best else " ".join(turn.text.split()[:14])
