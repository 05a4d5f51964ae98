"""What the caller seems to feel, over time: words and voice fused, smoothed, with a confidence.

Fusion is log-odds pooling: each channel moves a state's odds as far as it is reliable for that
state (rubric `fusion`). Knows only the customer; a gap in the evidence changes nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .rubric import FusionRules
from .types import DISTRESS, FELT, Channel, Contribution, State, Turn, VoiceState

EDGE = 0.02
"""Probabilities are kept this far from 0 and 1 before taking odds."""
CLEAR_TRANSCRIPT = 0.7
"""From this transcript confidence on, words count in full."""
MIN_SPEECH_MS = 800
VOICE_FALL = 0.35
"""A calm-sounding voice calms a state more slowly than an angry one raises it."""
RELIEF = 0.75
"""How fast distress falls when the caller says that things are good."""
ANGER_BOOST = 0.3
DISAGREEMENT_COST = 0.5
WORTH_TELLING = 0.12
STATE_WORDS = {
    State.FRUSTRATION: "Frustrated",
    State.ANXIETY: "Anxious",
    State.CONFUSION: "Confused",
    State.SADNESS: "Sad",
}


@dataclass(frozen=True)
class Feeling:
    """One customer turn after fusion."""

    turn: Turn
    fused: Mapping[State, float]
    state: State
    """The strongest distress state of the turn."""
    affect: float
    """`a` of SCIENCE §4: the fused strength of that state."""
    confidence: float

    @property
    def pleased(self) -> bool:
        """More than distressed: such a turn is no need to answer."""
        return self.fused.get(State.SATISFACTION, 0.0) > self.affect


@dataclass(frozen=True)
class StatePoint:
    t_ms: int
    state: State
    intensity: float
    confidence: float
    distress: float


@dataclass(frozen=True)
class Trace:
    points: tuple[StatePoint, ...] = ()
    feelings: tuple[Feeling, ...] = ()
    why: tuple[Contribution, ...] = ()
    _times: tuple[int, ...] = field(default=(), repr=False)

    def at(self, t_ms: int) -> StatePoint | None:
        """The last point at or before a time."""
        n = bisect_right(self._times, t_ms)
        return self.points[n - 1] if n else None

    def began(self, t_ms: int) -> int:
        """When the state shown at a time began; points where it was unsure do not end it."""
        n = bisect_right(self._times, t_ms)
        if not n:
            return t_ms
        state, begin = self.points[n - 1].state, self.points[n - 1].t_ms
        for point in reversed(self.points[:n]):
            if point.state not in (state, State.UNSURE):
                break
            begin = point.t_ms
        return begin


def trace(turns: Sequence[Turn], voice: Sequence[VoiceState], rules: FusionRules) -> Trace:
    """Walk the customer's turns and windows in media time; both must be sorted."""
    walk = _Walk(rules)
    listening = [v for v in voice if v.speech_ms >= MIN_SPEECH_MS]
    ends = [v.end_ms for v in listening]
    heard = against_baseline([voice_evidence(v, rules) for v in listening], rules)
    mine = sorted((t for t in turns if t.channel is Channel.CUSTOMER), key=lambda t: t.end_ms)
    at = 0
    for turn in mine:
        stop = bisect_right(ends, turn.end_ms)
        while at < stop:
            walk.hear(listening[at], heard[at])
            at += 1
        first = bisect_left(ends, turn.start_ms + MIN_SPEECH_MS)
        walk.read(turn, average(listening[first:stop], heard[first:stop]))
    for window, evidence in zip(listening[at:], heard[at:], strict=True):
        walk.hear(window, evidence)
    points = tuple({p.t_ms: p for p in walk.points}.values())
    return Trace(points, tuple(walk.feelings), tuple(walk.why), tuple(p.t_ms for p in points))


Evidence = tuple[Mapping[State, float], float]
"""Voice support per state (0-1) and how sure the window is."""


def voice_evidence(window: VoiceState, rules: FusionRules) -> Evidence:
    """Acted classes → states by the rubric's map; confusion has no voice evidence."""
    heard = {}
    for state in FELT:
        row = rules.voice_map.get(state)
        if row:
            total = 0.0
            for name, share in row.items():
                total += share * window.probs.get(name, 0.0)
            heard[state] = min(1.0, total)
    return heard, window.confidence


def against_baseline(heard: Sequence[Evidence], rules: FusionRules) -> list[Evidence]:
    """Each window's support measured against how this caller, on this line, sounded before.

    The running mean of the log-odds over earlier windows, leaning on the class prior as on
    `voice_baseline_windows` windows and going at most `voice_baseline_cap` above it, is taken off: a voice
    that always sounds 60 % angry says little (SCIENCE §10). A calm voice is not lifted: among actors
    that gained nothing and made everybody sound more upset. Causal: a window never sees later ones.
    """
    totals, weight = dict.fromkeys(FELT, 0.0), rules.voice_baseline_windows
    cap, priors = rules.voice_baseline_cap, {s: log_odds(voice_prior(s, rules)) for s in FELT}
    out: list[Evidence] = []
    for support, confidence in heard:
        moved = {}
        for state, value in support.items():
            x = log_odds(value)
            offset = totals[state] / weight if weight else 0.0
            moved[state] = 1 / (1 + math.exp(min(cap, max(0.0, offset)) - x))
            totals[state] += confidence * (x - priors[state])
        weight += confidence
        out.append((moved, confidence))
    return out


def average(windows: Sequence[VoiceState], heard: Sequence[Evidence]) -> Evidence | None:
    """The confidence-weighted mean of a turn's windows; None when it has none."""
    total = sum(confidence for _, confidence in heard)
    if not windows or total <= 0:
        return None
    states = heard[0][0]
    mean = {s: sum(probs[s] * c for probs, c in heard) / total for s in states}
    return mean, total / len(heard)


def log_odds(p: float) -> float:
    p = min(1 - EDGE, max(EDGE, p))
    return math.log(p / (1 - p))


def fuse(turn: Turn, voice: Evidence | None, rules: FusionRules) -> dict[State, float]:
    """Per state: prior odds, moved by words and voice by their reliabilities."""
    clarity = min(1.0, turn.confidence / CLEAR_TRANSCRIPT) if turn.text else 0.0
    content = min(1.0, (turn.text.count(" ") + 1) / rules.full_words)
    start = log_odds(rules.prior)
    fused = {}
    for state in FELT:
        move = log_odds(turn.states.get(state, rules.prior)) - start
        weight = rules.words.get(state, 0.0) * clarity
        x = start + weight * (move if move > 0 else move * content)
        if voice is not None and state in voice[0]:
            reliability = rules.voice.get(state, 0.0) * voice[1]
            x += reliability * (log_odds(voice[0][state]) - log_odds(voice_prior(state, rules)))
        fused[state] = 1 / (1 + math.exp(-x))
    anger = max((c.strength * c.confidence for c in turn.cues if c.label == "anger"), default=0.0)
    fused[State.FRUSTRATION] += (1 - fused[State.FRUSTRATION]) * ANGER_BOOST * anger
    return fused


def voice_prior(state: State, rules: FusionRules) -> float:
    """What a window without information would support: the class prior, once per mapped class."""
    return min(0.5, rules.voice_prior * sum(rules.voice_map.get(state, {}).values()))


class _Walk:
    """The smoothed levels while walking; one per call of `trace`."""

    def __init__(self, rules: FusionRules) -> None:
        self.rules = rules
        self.points: list[StatePoint] = []
        self.feelings: list[Feeling] = []
        self.why: list[Contribution] = []
        self.level = dict.fromkeys(FELT, 0.0)
        self.shown = State.CALM
        self.sure: float | None = None
        self.voice_until: int | None = None
        self.priors = {s: voice_prior(s, rules) for s in FELT}

    def hear(self, window: VoiceState, evidence: Evidence) -> None:
        """A window between or inside turns moves the levels gently, and never above the cap."""
        rules, level = self.rules, self.level
        since = window.end_ms - (window.start_ms if self.voice_until is None else self.voice_until)
        span = max(0, min(since, window.end_ms - window.start_ms))
        self.voice_until = window.end_ms
        heard, confidence = evidence
        gain = (1 - math.exp(-span / rules.voice_tau_ms)) * confidence
        for state, support in heard.items():
            prior = self.priors[state]
            lift = max(0.0, (support - prior) / (1 - prior)) * min(1.0, 2 * rules.voice.get(state, 0.0))
            target = min(rules.voice_alone_cap, lift)
            now = level[state]
            level[state] = now + gain * (target - now) * (1.0 if target > now else VOICE_FALL)
        self._be_sure(0.6 * confidence if self.sure is None else max(self.sure, 0.6 * confidence), gain)
        self._mark(window.end_ms)

    def read(self, turn: Turn, voice: Evidence | None) -> None:
        """A turn: the fused values are the new target; strong words rise fast, calm takes two."""
        rules = self.rules
        fused = fuse(turn, voice, rules)
        content = min(1.0, (turn.text.count(" ") + 1) / rules.full_words) if turn.text else 0.0
        relieved = fused[State.SATISFACTION] >= 0.5
        fall = RELIEF if relieved else rules.fall * content
        for state, value in fused.items():
            now = self.level[state]
            self.level[state] = now + (rules.rise if value > now else fall) * (value - now)
        state = max(DISTRESS, key=lambda s: fused[s])
        confidence = self._confidence(turn, voice, fused)
        self._be_sure(confidence, 1.0 if fused[state] >= rules.enter else max(0.25, content))
        self.feelings.append(Feeling(turn, fused, state, fused[state], confidence))
        self._explain(turn, voice, fused, confidence)
        self._mark(turn.end_ms)

    def _confidence(self, turn: Turn, voice: Evidence | None, fused: Mapping[State, float]) -> float:
        """Transcript confidence x how clear-cut the values are x how far voice and words agree."""
        clear = 0.5 + 0.5 * abs(2 * max(fused.values()) - 1)
        if not turn.text:
            return 0.0 if voice is None else 0.6 * voice[1] * clear
        confidence = min(1.0, 0.2 + turn.confidence) * clear
        if voice is None:
            return confidence
        said = max(turn.states.get(s, 0.0) for s in DISTRESS) - turn.states.get(State.SATISFACTION, 0.0)
        sounds = max(voice[0].get(s, 0.0) for s in DISTRESS) - voice[0].get(State.SATISFACTION, 0.0)
        return confidence * (1 - DISAGREEMENT_COST * voice[1] * min(1.0, abs(said - sounds) / 2))

    def _be_sure(self, confidence: float, gain: float) -> None:
        self.sure = confidence if self.sure is None else self.sure + gain * (confidence - self.sure)

    def _mark(self, t_ms: int) -> None:
        rules, level, sure = self.rules, self.level, self.sure or 0.0
        top = max(FELT, key=level.__getitem__)
        held = level.get(self.shown, 0.0)
        if self.shown is State.CALM or held < rules.leave:
            self.shown = top if level[top] >= rules.enter else State.CALM
        elif level[top] >= rules.enter and level[top] > held + rules.margin:
            self.shown = top
        calm = self.shown is State.CALM
        intensity = 1 - level[top] if calm else level[self.shown]
        distress = max(rules.severity[s] * level[s] for s in DISTRESS)
        state = State.UNSURE if sure < rules.confidence_floor else self.shown
        self.points.append(
            StatePoint(t_ms, state, round(intensity, 3), round(min(1.0, sure), 3), round(distress, 4))
        )

    def _explain(
        self, turn: Turn, voice: Evidence | None, fused: Mapping[State, float], confidence: float
    ) -> None:
        told = set()
        for cue in turn.cues:
            if cue.label in FELT and cue.label not in told and cue.strength >= 0.4:
                told.add(cue.label)
                self.why.append(
                    Contribution(
                        turn.end_ms,
                        cue.label,
                        round(fused[State(cue.label)], 3),
                        cue.confidence,
                        "words",
                        f"said “{cue.quote}”",
                        turn.start_ms,
                    )
                )
        if voice is None:
            return
        state = max(voice[0], key=lambda s: voice[0][s] - self.priors[s])
        over = (voice[0][state] - self.priors[state]) * self.rules.voice.get(state, 0.0) * voice[1]
        if over >= WORTH_TELLING:
            sure = round(voice[1] * self.rules.voice.get(state, 0.0), 3)
            text = f"voice sounds {VOICE_WORDS[state]} ({voice[0][state]:.0%})"
            self.why.append(
                Contribution(turn.end_ms, str(state), round(over, 3), sure, "voice", text, turn.start_ms)
            )


VOICE_WORDS = {
    State.FRUSTRATION: "angry",
    State.ANXIETY: "afraid",
    State.CONFUSION: "confused",
    State.SADNESS: "sad",
    State.SATISFACTION: "happy",
}
