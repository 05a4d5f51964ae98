"""The empathy score of SCIENCE §4: opportunities, what the agent did with them, and the formula.

Judges the agent by words and timing only; the caller's feelings come in as numbers.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .behaviour import Exchange, TalkPattern
from .rubric import COURTESY_PARTS, Penalties, RubricSpec, weight
from .states import Feeling, Trace
from .types import HARMFUL, HELPING, Behaviour, Channel, Contribution, Opportunity, State, Turn

MIN_MINUTES = 1.0
"""Overlaps per minute are not extrapolated from less than this."""
MIN_REPEAT_WORDS = 4
RECOVERY_TURNS = 2
FORM_OF = 2
"""So many settled opportunities, one after the other, say how an agent is doing."""
TIMING_SLACK_MS = 1500
"""A turn's end and its speech's end need not agree."""
SILENCE_REACH_MS = 60_000
"""A silence this soon after an opportunity belongs to it."""


def clip(x: float) -> float:
    return min(1.0, max(0.0, x))


def response_strength(
    state: State, answers: Sequence[tuple[Mapping[str, float], float]], rubric: RubricSpec
) -> float:
    """R = Σₖ W[s,k] · max f·cₖ over the agent's answers (strengths, f)."""
    return sum(
        weight(rubric, state, k) * max((f * c.get(k, 0.0) for c, f in answers), default=0.0) for k in HELPING
    )


def fit(pairs: Sequence[tuple[float, float]]) -> float | None:
    """E = Σ(a·R)/Σa over (affect, response)."""
    total = sum(a for a, _ in pairs)
    return sum(a * r for a, r in pairs) / total if total else None


def recovery(drops: Sequence[float]) -> float:
    """V = clip(.5 + mean affect drop / 2)."""
    return clip(0.5 + (sum(drops) / len(drops) if drops else 0.0) / 2)


def listening(floor_takings: int, minutes: float, rubric: RubricSpec) -> float:
    """L = 1 - min(1, floor-taking overlaps per minute / 2)."""
    rate = floor_takings / max(MIN_MINUTES, minutes)
    return 1 - min(1.0, rate / rubric.timing.overlaps_per_minute_full)


def penalty(severities: Sequence[float], rules: Penalties) -> float:
    return min(1.0, sum(severities) / rules.total)


def score(e: float, c: float, l: float, v: float, p: float, rubric: RubricSpec) -> float:  # noqa: E741
    """Empathy = 100 · clip(.60 E + .15 C + .15 L + .10 V - .30 P, 0, 1)."""
    w = rubric.score
    return 100 * clip(w.fit * e + w.courtesy * c + w.listening * l + w.recovery * v - w.penalty * p)


@dataclass(frozen=True)
class EmpathyPoint:
    """The live value after one turn."""

    t_ms: int
    value: float | None
    low: float | None
    high: float | None
    opportunities: int


@dataclass(frozen=True)
class Fault:
    """Something that counts against the agent."""

    t_ms: int
    kind: str
    severity: float
    text: str
    quote: str = ""
    turn_start_ms: int | None = None


@dataclass(frozen=True)
class Unanswered:
    """A need that was settled without an answer, as it stood then: a later answer does not undo it."""

    t_ms: int
    """When it was settled."""
    known_ms: int
    """When the turn that settled it was known to be over."""
    need_ms: int
    affect: float


@dataclass
class Chance:
    """An opportunity while it is being followed."""

    index: int
    t_ms: int
    state: State
    affect: float
    answers: list[tuple[Mapping[str, float], float]] = field(default_factory=list)
    latency_ms: int | None = None
    after: list[float] = field(default_factory=list)
    left: int = 0
    """How many of the agent's turns its window still waits for."""
    closed_ms: int | None = None
    """When it was settled: after the agent's first `window_turns` turns, or at the end of the call."""
    best: dict[str, float] = field(default_factory=dict)

    _response: float | None = None

    def response(self, rubric: RubricSpec) -> float:
        """R, worked out once per answer."""
        if self._response is None:
            self._response = response_strength(self.state, self.answers, rubric)
        return self._response

    def answer(self, strengths: Mapping[str, float], factor: float) -> None:
        self.answers.append((strengths, factor))
        self._response = None

    def merge(self, affect: float, state: State, window: int) -> None:
        """A caller's turn soon after belongs to the same event: the stronger one names it.

        The event goes on: its window runs anew, and recovery is measured from here. What was settled
        stays settled, and R can still grow; it changes otherwise only when the event gets another name.
        """
        self.left, self.after = window, []
        if affect > self.affect:
            self.affect, self.state, self._response = affect, state, None

    def as_opportunity(self, rubric: RubricSpec) -> Opportunity:
        met = tuple(str(k) for k in HELPING if self.best.get(k, 0.0) >= rubric.opportunity.met)
        wanted = sorted(HELPING, key=lambda k: -weight(rubric, self.state, k))
        missing = tuple(str(k) for k in wanted if k not in met)
        response = None if self.closed_ms is None else round(self.response(rubric), 4)
        return Opportunity(
            self.t_ms, self.state, round(self.affect, 4), response, met, missing, self.latency_ms
        )


@dataclass(frozen=True)
class EmpathyTrack:
    points: tuple[EmpathyPoint, ...]
    opportunities: tuple[Opportunity, ...]
    faults: tuple[Fault, ...]
    why: tuple[Contribution, ...]
    components: Mapping[str, float | None]
    courtesy: float | None
    value: float | None
    low: float | None
    high: float | None
    form: tuple[tuple[int, float], ...] = ()
    """(ms, mean R of the last FORM_OF settled opportunities as it stood then), for cues that fade."""
    unanswered: tuple[Unanswered, ...] = ()


def track(
    talk: Sequence[Exchange], felt: Trace, pattern: TalkPattern, rubric: RubricSpec, now_ms: int, closed: bool
) -> EmpathyTrack:
    """Follow the call turn by turn; the last value is exact once the call is closed."""
    meter = _Meter(felt, pattern, rubric)
    for exchange in talk:
        meter.hear(exchange)
    return meter.finish(talk, now_ms, closed)


class _Meter:
    def __init__(self, felt: Trace, pattern: TalkPattern, rubric: RubricSpec) -> None:
        self.rubric = rubric
        self.pattern = pattern
        self.felt = felt
        self.feelings = {f.turn.start_ms: f for f in felt.feelings}
        self.chances: list[Chance] = []
        self.open: list[Chance] = []
        self.settled: list[Chance] = []
        """By the agent's last turn, which may still go on."""
        self.unanswered: list[Unanswered] = []
        self.faults: list[Fault] = []
        self.points: list[EmpathyPoint] = []
        self.lines: list[Counter[str]] = []
        self.quotes: dict[str, list[Counter[str]]] = {}
        self.customers = -1
        self.polite: list[float] = []
        self.parts = dict.fromkeys(("gratitude", "greeting"), 0.0)
        self.live: float | None = None
        self.form: list[tuple[int, float]] = []
        self.quiet = iter(pattern.silences)
        self.next_silence = next(self.quiet, None)
        self.takings = [
            Fault(t, "interrupting", rubric.penalties.interrupting, "cut in on an upset caller")
            for t in pattern.floor_takings
            if (point := felt.at(t)) is not None and point.distress >= rubric.opportunity.affect
        ]

    def hear(self, exchange: Exchange) -> None:
        self._agent_is_done(exchange.turns[0].end_ms)
        self._silences(exchange.start_ms)
        if exchange.channel is Channel.AGENT:
            self._agent(exchange)
            self._mark(exchange.end_ms)
            return
        self._caller(exchange)
        before = self.points[-1] if self.points else EmpathyPoint(0, None, None, None, 0)
        self.points.append(replace(before, t_ms=exchange.end_ms, opportunities=len(self.chances)))

    def _caller(self, exchange: Exchange) -> None:
        self.customers += 1
        feelings = [f for t in exchange.turns if (f := self.feelings.get(t.start_ms)) is not None]
        if not feelings:
            return
        for chance in self.chances:
            if chance.answers and len(chance.after) < RECOVERY_TURNS:
                chance.after.append(max(f.fused[chance.state] for f in feelings))
        strongest = max(feelings, key=lambda f: f.affect)
        if strongest.affect >= self.rubric.opportunity.affect and not strongest.pleased:
            self._chance(strongest, exchange)

    def _chance(self, feeling: Feeling, exchange: Exchange) -> None:
        last = self.chances[-1] if self.chances else None
        if last is not None and self.customers - last.index <= self.rubric.opportunity.merge_turns:
            last.merge(feeling.affect, feeling.state, self.rubric.opportunity.window_turns)
            if last not in self.open:
                self.open.append(last)
            return
        chance = Chance(
            self.customers,
            exchange.end_ms,
            feeling.state,
            feeling.affect,
            left=self.rubric.opportunity.window_turns,
        )
        self.chances.append(chance)
        self.open.append(chance)

    def _agent(self, exchange: Exchange) -> None:
        rules = self.rubric.opportunity
        strengths = self._fresh(exchange.turns)
        for chance in list(self.open):
            if not chance.answers and self.pattern.may_have_spoken(chance.t_ms, exchange.start_ms):
                self.open.remove(chance)  # perhaps answered, unheard: it is not judged
                continue
            chance.answer(strengths, 1.0 if chance.left == rules.window_turns else rules.second_turn_factor)
            for k, c in strengths.items():
                chance.best[k] = max(chance.best.get(k, 0.0), c)
            if chance.latency_ms is None and (first := first_fitting(exchange, rules.met)) is not None:
                chance.latency_ms = max(0, first - chance.t_ms)
            chance.left -= 1
            if len(chance.answers) >= rules.window_turns and chance.closed_ms is None:
                chance.closed_ms = exchange.end_ms
                self.settled.append(chance)
            if not chance.left:
                self.open.remove(chance)
        for turn in exchange.turns:
            self._harm(turn)
        self._courtesy(exchange.turns)

    def _agent_is_done(self, now_ms: int) -> None:
        """Nothing more can be added to the turn that settled these."""
        for c in self.settled:
            if c.closed_ms is not None and c.response(self.rubric) < self.rubric.penalties.ignored_below:
                known_ms = min(now_ms, c.closed_ms + self.rubric.timing.turn_gap_ms)
                self.unanswered.append(Unanswered(c.closed_ms, known_ms, c.t_ms, c.affect))
        self.settled.clear()

    def _ignored(self) -> list[Fault]:
        """Settled opportunities without an answer; one that is answered after all is taken back."""
        rules = self.rubric.penalties
        return [
            Fault(c.closed_ms, "ignored", rules.ignored, f"left the caller's {c.state} unanswered")
            for c in self.chances
            if c.closed_ms is not None and c.response(self.rubric) < rules.ignored_below
        ]

    def _fresh(self, turns: Sequence[Turn]) -> dict[str, float]:
        """The strongest of each behaviour, halved where words repeat an earlier line."""
        rules, best = self.rubric.opportunity, dict[str, float]()
        for turn in turns:
            bag = bag_of(turn.text)
            same = any(alike(bag, line) > rules.repeat_similarity for line in self.lines)
            self.lines.append(bag)
            for k in HELPING:
                c = turn.behaviours.get(k, 0.0)
                if c and (same or self._quoted_before(turn, k)):
                    c *= rules.repeat_factor
                best[k] = max(best.get(k, 0.0), c)
        return best

    def _quoted_before(self, turn: Turn, behaviour: Behaviour) -> bool:
        quote = next((c.quote for c in turn.cues if c.label == behaviour), "")
        bag, seen = bag_of(quote), self.quotes.setdefault(behaviour, [])
        again = any(alike(bag, other) > self.rubric.opportunity.repeat_similarity for other in seen)
        seen.append(bag)
        return again

    def _harm(self, turn: Turn) -> None:
        rules = self.rubric.penalties
        for kind, severity in ((Behaviour.DISMISSIVE, rules.dismissive), (Behaviour.BLAMING, rules.blaming)):
            if turn.behaviours.get(kind, 0.0) >= rules.harm_strength:
                quote = next((c.quote for c in turn.cues if c.label == kind), turn.text)
                self.faults.append(
                    Fault(turn.end_ms, str(kind), severity, f"{kind}: “{quote}”", quote, turn.start_ms)
                )
                return  # one turn counts once, even if it is both

    def _courtesy(self, turns: Sequence[Turn]) -> None:
        polite = 0.0
        for turn in turns:
            found = dict.fromkeys(COURTESY_PARTS, 0.0)
            for cue in turn.cues:
                if cue.label in found:
                    found[cue.label] = max(found[cue.label], cue.strength)
            if not any(found.values()):  # a model that gives courtesy as one number
                found["politeness"] = turn.behaviours.get(Behaviour.COURTESY, 0.0)
            polite = max(polite, found["politeness"])
            self.parts["gratitude"] = max(self.parts["gratitude"], found["gratitude"])
            self.parts["greeting"] = max(self.parts["greeting"], found["greeting"], found["closing"])
        self.polite.append(polite)

    def courtesy(self) -> float | None:
        """C = .5 politeness + .25 gratitude + .25 greeting or closing; None before the agent speaks."""
        if not self.polite:
            return None
        w = self.rubric.courtesy
        share = min(1.0, sum(self.polite) / len(self.polite) / max(0.01, w.politeness_full_share))
        return (
            w.politeness * share + w.gratitude * self.parts["gratitude"] + w.greeting * self.parts["greeting"]
        )

    def _all_faults(self) -> list[Fault]:
        return [*self.faults, *self.takings, *self._ignored()]

    def components(self, t_ms: int, chances: Sequence[Chance]) -> dict[str, float | None]:
        """E, C, L, V and P over what has happened until t_ms."""
        faults = [f.severity for f in self._all_faults() if f.t_ms <= t_ms]
        takings = sum(t <= t_ms for t in self.pattern.floor_takings)
        drops = [c.affect - sum(c.after) / len(c.after) for c in chances if c.after]
        return {
            "E": fit([(c.affect, c.response(self.rubric)) for c in chances]),
            "C": self.courtesy(),
            "L": listening(takings, t_ms / 60_000, self.rubric) if self.pattern.agent else None,
            "V": recovery(drops) if chances else None,
            "P": penalty(faults, self.rubric.penalties),
        }

    def exact(self, parts: Mapping[str, float | None]) -> float | None:
        e, v = parts["E"], parts["V"]
        if e is None or v is None:
            return None
        listened = 1.0 if parts["L"] is None else parts["L"]  # nobody can say that they did not
        return score(e, parts["C"] or 0.0, listened, v, parts["P"] or 0.0, self.rubric)

    def _mark(self, t_ms: int) -> None:
        """The live value: shrunk to the prior by n/(n + prior weight), at most `step` points a turn.

        n counts answered opportunities and harmful turns: each is one piece of evidence.
        """
        done = [c for c in self.chances if c.closed_ms is not None]
        exact = self.exact(self.components(t_ms, done)) if done else None
        if exact is None:
            self.points.append(EmpathyPoint(t_ms, None, None, None, len(self.chances)))
            return
        last = [c.response(self.rubric) for c in done[-FORM_OF:]]
        if len(last) == FORM_OF:
            self.form.append((t_ms, sum(last) / FORM_OF))
        rules, n = self.rubric.live, len(done) + sum(f.kind in HARMFUL for f in self.faults)
        aim = rules.prior + (exact - rules.prior) * n / (n + rules.prior_weight)
        before = rules.prior if self.live is None else self.live
        self.live = before + max(-rules.step, min(rules.step, aim - before))
        low, high = self._interval(self.live, done, n + rules.prior_weight / 2)
        self.points.append(EmpathyPoint(t_ms, round(self.live, 1), low, high, len(self.chances)))

    def _interval(self, value: float, done: Sequence[Chance], n: float) -> tuple[float, float]:
        """Mean ± z · sd / √n of the responses; the sd leans on a prior spread while n is small."""
        rules = self.rubric.live
        pairs = [(c.affect, c.response(self.rubric)) for c in done]
        mean = fit(pairs) or 0.0
        weights = rules.prior_weight + sum(a for a, _ in pairs)
        variance = (rules.spread**2 * rules.prior_weight + sum(a * (r - mean) ** 2 for a, r in pairs)) / max(
            0.1, weights
        )
        half = 100 * self.rubric.score.fit * rules.z * math.sqrt(variance / max(0.5, n))
        return round(max(0.0, value - half), 1), round(min(100.0, value + half), 1)

    def finish(self, talk: Sequence[Exchange], now_ms: int, closed: bool) -> EmpathyTrack:
        end_ms = max([now_ms, *(e.end_ms for e in talk)])
        if closed:
            for chance in self.open:
                if chance.answers and chance.closed_ms is None:  # without a turn nobody is to blame
                    chance.closed_ms = end_ms
                    self.settled.append(chance)
        if closed or not talk or end_ms - talk[-1].end_ms > self.rubric.timing.turn_gap_ms:
            self._agent_is_done(end_ms)
        self._silences(end_ms + 1)
        done = [c for c in self.chances if c.closed_ms is not None]
        parts = self.components(end_ms, done)
        faults = tuple(sorted(self._all_faults(), key=lambda f: (f.t_ms, f.kind)))
        value = self.points[-1].value if self.points else None
        low, high = (self.points[-1].low, self.points[-1].high) if self.points else (None, None)
        if closed and (exact := self.exact(parts)) is not None:
            value = round(exact, 1)
            low, high = self._interval(exact, done, len(done))
        return EmpathyTrack(
            points=tuple(self.points),
            opportunities=tuple(c.as_opportunity(self.rubric) for c in self.chances),
            faults=faults,
            why=tuple(explain(done, faults, self.rubric)),
            components={k: None if p is None else round(p, 4) for k, p in parts.items()},
            courtesy=None if parts["C"] is None else round(parts["C"], 4),
            value=value,
            low=low,
            high=high,
            form=tuple(self.form),
            unanswered=tuple(self.unanswered),
        )

    def _silences(self, before_ms: int) -> None:
        """Judge the long silences that began before a time, each once."""
        rules = self.rubric
        while (silence := self.next_silence) is not None and silence.start_ms < before_ms:
            self.next_silence = next(self.quiet, None)
            due = any(
                0 <= silence.start_ms - c.t_ms + TIMING_SLACK_MS <= SILENCE_REACH_MS for c in self.chances
            )
            if due and silence not in self.pattern.announced:
                seconds = (silence.end_ms - silence.start_ms) // 1000
                self.faults.append(
                    Fault(
                        silence.start_ms + rules.timing.silence_ms,
                        "silence",
                        rules.penalties.unexplained_silence,
                        f"{seconds} s of silence, not announced",
                    )
                )


def first_fitting(exchange: Exchange, met: float) -> int | None:
    """When the agent began the first of these utterances that shows a helping behaviour."""
    shows = (t for t in exchange.turns if any(t.behaviours.get(k, 0.0) >= met for k in HELPING))
    return next((t.start_ms for t in shows), None)


def explain(chances: Sequence[Chance], faults: Sequence[Fault], rubric: RubricSpec) -> list[Contribution]:
    """What moved the score: per opportunity the points its response brought, per fault what it cost."""
    lines = []
    total = sum(c.affect for c in chances)
    for c in chances:
        r = c.response(rubric)
        points = 100 * rubric.score.fit * c.affect * r / total
        met = (
            ", ".join(k for k in HELPING if c.best.get(k, 0.0) >= rubric.opportunity.met)
            or "nothing that fits"
        )
        lines.append(
            Contribution(
                c.closed_ms or c.t_ms,
                "empathy",
                round(points, 1),
                round(c.affect, 3),
                "words",
                f"answer to {c.state}: {met} ({r:.0%})",
                None,
            )
        )
    for f in faults:
        cost = -100 * rubric.score.penalty * f.severity / rubric.penalties.total
        source = "timing" if f.kind in ("interrupting", "silence") else "words"
        lines.append(Contribution(f.t_ms, "empathy", round(cost, 1), 0.8, source, f.text, f.turn_start_ms))
    return lines


WORDS = re.compile(r"[a-z0-9']+")


def bag_of(text: str) -> Counter[str]:
    return Counter(WORDS.findall(text.lower()))


def alike(a: Counter[str], b: Counter[str]) -> float:
    """Dice similarity of two bags of words; lines too short to be a phrase are never alike."""
    size_a, size_b = a.total(), b.total()
    if min(size_a, size_b) < MIN_REPEAT_WORDS or 2 * min(size_a, size_b) < 0.9 * (size_a + size_b):
        return 0.0
    return 2 * (a & b).total() / (size_a + size_b)
