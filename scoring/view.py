"""Everything shown about a call, computed anew from its pieces: pure, and blind to arrival order."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from .alerts import OF_DISTRESS, about, alerts, telling
from .alignment import alignment
from .behaviour import exchanges, talk_pattern
from .empathy import EmpathyTrack, track
from .listen import UNTOLD_MS
from .nudges import Wanted, nudges
from .outlook import OutlookFit, outlook
from .rubric import RubricSpec
from .states import STATE_WORDS, StatePoint, Trace, trace
from .summary import summary
from .types import (
    HELPING,
    AlertCause,
    CallView,
    Channel,
    Moment,
    Risk,
    Speech,
    State,
    Turn,
    VoiceState,
)

ANGRY_FROM = 0.8
"""Frustration this strong is called angry."""
MISSING_WORDS = {
    "acknowledge": "no acknowledgement yet",
    "understand": "not summed up yet",
    "explore": "nobody asked what is wrong",
    "own": "no apology yet",
    "reassure": "no next step yet",
}
QUOTE_AFFECT = 0.4
ANY_CUE = Wanted()


def view(
    turns: Sequence[Turn],
    voice: Sequence[VoiceState],
    speech: Sequence[Speech],
    rubric: RubricSpec,
    *,
    now_ms: int,
    closed: bool,
    wanted: Wanted = ANY_CUE,
    unheard: Sequence[Speech] = (),
    fitted: OutlookFit | None = None,
) -> CallView:
    """The call so far. Pieces may come in any order and more than once (by their keys).

    `wanted`: which cues there may be, and which were shown. `unheard`: stretches of a side of which we
    know nothing: lost, paused, withheld, not there. `fitted`: the outlook by the site's own outcomes.
    """
    said = unique_turns(turns)
    windows = unique_windows(voice)
    stretches = sorted(set(speech), key=lambda s: (s.start_ms, s.end_ms, s.channel))
    felt = trace(said, windows, rubric.fusion)
    # Somebody may have begun to speak without our knowing: no silence is known to reach up to now.
    quiet_until_ms = now_ms - UNTOLD_MS if stretches else now_ms
    pattern = talk_pattern(said, stretches, rubric.timing, quiet_until_ms, unheard)
    talk = exchanges(said, rubric.timing)
    empathy = track(talk, felt, pattern, rubric, now_ms, closed)
    raised = alerts(said, talk, felt, empathy, pattern, rubric)
    risk = risk_of(felt, raised, rubric, now_ms)
    asked, standing = summary(said)
    fit = alignment(talk, felt, empathy.opportunities, pattern.timing, rubric, now_ms, closed)
    return CallView(
        moments=moments(felt, empathy),
        opportunities=empathy.opportunities,
        nudges=nudges(talk, felt, pattern, empathy.form, empathy.faults, rubric, wanted),
        alerts=raised,
        why=tuple(sorted((*felt.why, *empathy.why), key=lambda c: (c.t_ms, c.target, c.text))),
        timing=pattern.timing,
        risk=risk,
        reason=reason_of(risk, felt, empathy, raised, rubric, heard_until(now_ms, unheard)),
        quote=quote_of(felt),
        empathy=empathy.value,
        empathy_low=empathy.low,
        empathy_high=empathy.high,
        courtesy=empathy.courtesy,
        components=empathy.components,
        alignment=fit,
        outlook=outlook(felt, fit, rubric, fitted),
        about=asked,
        standing=standing,
    )


def heard_until(now_ms: int, unheard: Sequence[Speech]) -> int:
    """Now; or since when the caller is not heard any more, for no state is known to last beyond."""
    callers = [(u.start_ms, u.end_ms) for u in unheard if u.channel is Channel.CUSTOMER]
    for start, end in sorted(callers, reverse=True):
        if end < now_ms:
            break
        now_ms = start
    return now_ms


def unique_turns(turns: Sequence[Turn]) -> list[Turn]:
    """Sorted, one per (channel, start): of two tellings the one with words, then the longer."""
    best: dict[tuple[int, Channel], Turn] = {}
    for turn in turns:
        key = (turn.start_ms, turn.channel)
        if key not in best or rank(turn) > rank(best[key]):
            best[key] = turn
    return [best[key] for key in sorted(best)]


def rank(turn: Turn) -> tuple[object, ...]:
    return (
        bool(turn.text),
        turn.end_ms,
        len(turn.text),
        turn.text,
        turn.confidence,
        turn.model,
        tuple(sorted(turn.states.items())),
        tuple(sorted(turn.behaviours.items())),
        repr(turn.cues),
    )


def unique_windows(voice: Sequence[VoiceState]) -> list[VoiceState]:
    best: dict[int, VoiceState] = {}
    for window in voice:
        held = best.get(window.start_ms)
        if held is None or (held is not window and window_rank(window) > window_rank(held)):
            best[window.start_ms] = window
    return sorted(best.values(), key=attrgetter("end_ms", "start_ms"))


def window_rank(window: VoiceState) -> tuple[object, ...]:
    return (
        window.end_ms,
        window.confidence,
        window.speech_ms,
        window.model,
        tuple(sorted(window.probs.items())),
    )


def moments(felt: Trace, empathy: EmpathyTrack) -> tuple[Moment, ...]:
    """One per turn or window of the customer and one per turn of the agent, with the live value then."""
    out: list[Moment] = []
    scores = sorted(empathy.points, key=attrgetter("t_ms"))
    times = sorted({*(p.t_ms for p in felt.points), *(p.t_ms for p in scores)})
    states, at, live = iter(felt.points), 0, None
    ahead, point = next(states, None), None
    for t_ms in times:
        while ahead is not None and ahead.t_ms <= t_ms:
            point, ahead = ahead, next(states, None)
        while at < len(scores) and scores[at].t_ms <= t_ms:
            live, at = scores[at], at + 1
        now = point or StatePoint(t_ms, State.UNSURE, 0.0, 0.0, 0.0)
        value, low, high, n = (
            (live.value, live.low, live.high, live.opportunities) if live else (None, None, None, 0)
        )
        out.append(Moment(t_ms, now.state, now.intensity, now.confidence, now.distress, value, low, high, n))
    return tuple(out)


def risk_of(felt: Trace, raised: Sequence[AlertCause], rubric: RubricSpec, now_ms: int) -> Risk:
    """Distress with hysteresis; a fresh alert keeps its own severity for a while.

    With a caller who is calm or satisfied even a grave alert is only worth watching.
    """
    rules, risk = rubric.risk, Risk.CALM
    for point in felt.points:
        d = point.distress
        if d >= rules.help or (risk is Risk.HELP and d >= rules.help_leave):
            risk = Risk.HELP
        elif d >= rules.watch or (risk is not Risk.CALM and d >= rules.watch_leave):
            risk = Risk.WATCH
        else:
            risk = Risk.CALM
    fresh = {a.severity for a in recent(raised, rubric, now_ms)}
    if risk is Risk.CALM:
        return Risk.WATCH if fresh - {Risk.CALM} else risk
    return Risk.HELP if Risk.HELP in fresh else risk


def recent(raised: Sequence[AlertCause], rubric: RubricSpec, now_ms: int) -> list[AlertCause]:
    """Fresh alerts; the caller's distress speaks for itself."""
    return [
        a
        for a in raised
        if now_ms - a.t_ms <= rubric.risk.recent_ms and about(a.cause, rubric) != OF_DISTRESS
    ]


def reason_of(
    risk: Risk,
    felt: Trace,
    empathy: EmpathyTrack,
    raised: Sequence[AlertCause],
    rubric: RubricSpec,
    now_ms: int,
) -> str:
    """One short sentence in plain words; "" when calm."""
    if risk is Risk.CALM:
        return ""
    last = felt.points[-1] if felt.points else None
    fresh = recent(raised, rubric, now_ms)
    if last is None or last.state not in STATE_WORDS or last.distress < rubric.risk.watch_leave:
        return fresh[-1].title if fresh else "Distress is easing"
    word = (
        "Angry"
        if last.state is State.FRUSTRATION and last.intensity >= ANGRY_FROM
        else STATE_WORDS[last.state]
    )
    seconds = max(0, now_ms - felt.began(last.t_ms)) // 1000
    length = f" for {seconds} s" if seconds >= 5 else ""
    harmful = next((a.title.lower() for a in reversed(fresh) if a.cause in ("dismissive", "blaming")), "")
    detail = harmful or missing(empathy) or (fresh[-1].title.lower() if fresh else "")
    return f"{word}{length}{', ' + detail if detail else ''}"


def missing(empathy: EmpathyTrack) -> str:
    """What the last opportunity still lacks, most important first; "" when it was answered."""
    if not empathy.opportunities:
        return ""
    last = empathy.opportunities[-1]
    lacking = [k for k in last.missing if k in HELPING]
    return MISSING_WORDS[lacking[0]] if lacking and not last.met else ""


def quote_of(felt: Trace) -> str:
    """The caller's last telling words; in a calm call, simply the last."""
    for feeling in reversed(felt.feelings):
        if feeling.affect >= QUOTE_AFFECT:
            return telling(feeling.turn)
    spoken = [f.turn for f in felt.feelings if f.turn.text]
    return telling(spoken[-1]) if spoken else ""
