"""Cues for the agent while the call runs: a state, what is missing, and a moment to say it (SCIENCE §7)."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from .behaviour import Exchange, TalkPattern
from .empathy import Fault
from .playbook import entry_for
from .rubric import ANY_DISTRESS, NudgeRule, Nudging, PlaybookEntry, RubricSpec
from .states import Feeling, Trace
from .types import DISTRESS, HELPING, Behaviour, Channel, NudgeCandidate, State

PRECISION_PRIOR = (2.0, 1.0)
"""Beta prior of a rule's precision: as if two of three verdicts had been "helpful"."""
ANSWERS = frozenset(map(str, HELPING)) - {str(Behaviour.EXPLORE)}
"""What helps a caller; a question to them does not yet."""
VERDICTS = ("helpful", "not", "wrong")


@dataclass(frozen=True)
class Wanted:
    """What a call's agent can be shown, and was."""

    switched_off: Collection[str] = ()
    """Ids of rules that agents found unhelpful (`rule_precision`)."""
    kinds_off: Collection[str] = ()
    """Behaviours this agent wants no cue about: the next rule that fits takes the place."""
    shown: Sequence[int] | None = None
    """Moments (ms) of the cues that were shown; None: as if every candidate were."""
    queue: str = ""
    """The call's, as one half of its topic."""

    def gives(self, rule: NudgeRule) -> bool:
        return rule.id not in self.switched_off and rule.missing not in self.kinds_off


@dataclass(frozen=True)
class Opening:
    """A moment at which a cue could be shown."""

    t_ms: int
    moment: str
    state: State
    shown: frozenset[str]
    """Behaviours the agent has already shown since this need arose."""
    sure: bool = True
    """That it is this distress and no other."""
    said: str = ""
    """What the caller has just said."""


def nudges(
    talk: Sequence[Exchange],
    felt: Trace,
    pattern: TalkPattern,
    form: Sequence[tuple[int, float]],
    faults: Sequence[Fault],
    rubric: RubricSpec,
    wanted: Wanted,
) -> tuple[NudgeCandidate, ...]:
    """Cues that would help, never at a moment when the agent speaks.

    `form` is how well the agent had been answering at each time (`EmpathyTrack.form`).

    What counts towards `per_call` and `every_ms` is what was shown. Of moments at which nothing was, one is
    told per `every_ms`, and always the newest, whose cue may still be shown.
    """
    active = [rule for rule in rubric.nudging.rules if rule.active]
    rules = [rule for rule in active if wanted.gives(rule)]
    names_all = not any(rule.state == ANY_DISTRESS for rule in active)
    openings = [*after_caller(talk, felt, rubric), *after_faults(talk, felt, faults, rubric)]
    tally = Tally(rubric.nudging, wanted.shown)
    for opening in sorted(openings, key=lambda o: (o.t_ms, o.moment)):
        if not tally.has_room(opening.t_ms):
            continue
        if agent_speaks(pattern, opening.t_ms) or doing_well(form, opening.t_ms, rubric):
            continue
        state = opening.state if opening.sure or names_all else ANY_DISTRESS
        rule = next((r for r in rules if fits(r, opening, state)), None)
        if rule is not None:
            tally.add(candidate(rule, opening, rubric.nudging.playbook, wanted.queue))
    return tuple(tally.told)


def candidate(
    rule: NudgeRule, opening: Opening, playbook: Sequence[PlaybookEntry], queue: str
) -> NudgeCandidate:
    """The rule's cue, with what the playbook has for this state and topic."""
    missing = Behaviour(rule.missing)
    entry = entry_for(playbook, opening.state, missing, queue, opening.said)
    plain = NudgeCandidate(opening.t_ms, rule.id, opening.state, missing, rule.cue, rule.phrases)
    if entry is None:
        return plain
    phrases = entry.phrases or rule.phrases
    return replace(plain, phrases=phrases, solution=entry.solution, link=entry.link)


@dataclass
class Tally:
    """Candidates in the order of time, as far as the limits leave room for them."""

    rules: Nudging
    shown: Sequence[int] | None
    told: list[NudgeCandidate] = field(default_factory=list)
    last_ms: int | None = None
    """Of the last candidate that stays told, whatever comes after it."""

    def has_room(self, t_ms: int) -> bool:
        if self.shown is None:
            return len(self.told) < self.rules.per_call and self._is_far(self.last_ms, t_ms)
        if t_ms in self.shown:
            return t_ms != self.last_ms
        before = [at for at in self.shown if at < t_ms]
        return len(before) < self.rules.per_call and self._is_far(max(before, default=None), t_ms)

    def add(self, candidate: NudgeCandidate) -> None:
        if self.told and self.told[-1].t_ms != self.last_ms:
            self.told.pop()  # its moment passed unused, and was too near to another
        self.told.append(candidate)
        if self._is_far(self.last_ms, candidate.t_ms) or candidate.t_ms in (self.shown or ()):
            self.last_ms = candidate.t_ms

    def _is_far(self, before_ms: int | None, t_ms: int) -> bool:
        return before_ms is None or t_ms - before_ms >= self.rules.every_ms


def taken(
    t_ms: int, missing: Behaviour, talk: Sequence[Exchange], rubric: RubricSpec, closed: bool
) -> bool | None:
    """Whether the behaviour a cue asked for was heard in the agent's next turns; None: too early to say."""
    left = rubric.opportunity.window_turns
    for exchange in talk:
        if exchange.channel is not Channel.AGENT or exchange.end_ms <= t_ms:
            continue
        if any(t.behaviours.get(missing, 0.0) >= rubric.opportunity.met for t in exchange.turns):
            return True
        left -= 1
        if not left:
            return False
    return False if closed else None


def has_passed(cue: NudgeCandidate, talk: Sequence[Exchange], rubric: RubricSpec) -> bool:
    """Its moment is over: what it asks for was heard since, or the caller has spoken again."""
    if taken(cue.t_ms, cue.missing, talk, rubric, closed=False):
        return True
    return any(e.channel is Channel.CUSTOMER and e.start_ms >= cue.t_ms for e in talk)


@dataclass(frozen=True)
class RulePrecision:
    """What agents said of one rule's cues."""

    helpful: int
    not_helpful: int
    wrong: int
    precision: float
    """Expected share of helpful ones under a Beta prior: (helpful + 2) / (n + 3)."""
    switched_off: bool
    reason: str
    """Why it is off; "" while it is on."""


def rule_precision(verdicts: Iterable[tuple[str, str]], rules: Nudging) -> Mapping[str, RulePrecision]:
    """Per rule, from (rule id, "helpful" | "not" | "wrong"); other verdicts, as "not now", do not count.

    A rule under `precision_floor` after `min_verdicts` is switched off, and the reason says so.
    """
    counts: dict[str, Counter[str]] = {rule.id: Counter() for rule in rules.rules}
    for rule, verdict in verdicts:
        if verdict in VERDICTS:
            counts.setdefault(rule, Counter())[verdict] += 1
    return {rule: precision_of(count, rules) for rule, count in sorted(counts.items())}


def precision_of(count: Counter[str], rules: Nudging) -> RulePrecision:
    n, (good, bad) = count.total(), PRECISION_PRIOR
    precision = round((count["helpful"] + good) / (n + good + bad), 4)
    off = n >= rules.min_verdicts and precision < rules.precision_floor
    reason = ""
    if off:
        reason = (
            f"switched itself off: {count['helpful']} of {n} verdicts were “helpful” "
            f"(expected precision {precision:.0%}, floor {rules.precision_floor:.0%})"
        )
    return RulePrecision(count["helpful"], count["not"], count["wrong"], precision, off, reason)


def fits(rule: NudgeRule, opening: Opening, state: str) -> bool:
    return (rule.moment, rule.state) == (opening.moment, state) and rule.missing not in opening.shown


def after_caller(talk: Sequence[Exchange], felt: Trace, rubric: RubricSpec) -> Iterator[Opening]:
    """Each time an upset caller stops; behaviours count as shown until the caller is calm again.

    What the agent has only just done counts for a new need too: a cue for it would come as nagging.
    """
    feelings = {f.turn.start_ms: f for f in felt.feelings}
    shown: set[str] = set()
    last: set[str] = set()
    state: State | None = None
    said = 0
    for exchange in talk:
        if exchange.channel is Channel.AGENT:
            last = behaviours_of(exchange, rubric)
            shown |= last
            continue
        helped = bool(last & ANSWERS)
        first = said < rubric.nudging.few_words
        need, sure = state_after(exchange, feelings, felt, helped=helped, first=first, rules=rubric.nudging)
        if need != state:
            shown = set(last)
        state, last, said = need, set(), said + words(exchange)
        if state is not None:
            yield Opening(exchange.end_ms, "caller-stops", state, frozenset(shown), sure, text_of(exchange))


def behaviours_of(exchange: Exchange, rubric: RubricSpec) -> set[str]:
    met = rubric.opportunity.met
    return {k for t in exchange.turns for k, c in t.behaviours.items() if c >= met}


def state_after(
    exchange: Exchange,
    feelings: Mapping[int, Feeling],
    felt: Trace,
    *,
    helped: bool,
    first: bool,
    rules: Nudging,
) -> tuple[State | None, bool]:
    """The distress a turn leaves behind: its own if strong, else what still lasts; none if it ends well.
    And whether it is surely that one.

    Where readings err more they must be surer: as callers first say what is the matter, which sounds like
    distress whether they are calm or not; right after the agent has helped, when they tell of the worry
    that has just gone; and in few words, which the context around them colours most.
    """
    mine = [f for t in exchange.turns if (f := feelings.get(t.start_ms)) is not None]
    strongest = max(mine, key=lambda f: f.affect, default=None)
    if strongest is None or strongest.pleased:
        return None, True
    if first and any_distress(strongest) < rules.first:
        return None, True
    if helped and strongest.affect < rules.helped:
        return None, True
    if words(exchange) < rules.few_words and strongest.affect < rules.terse:
        return None, True
    if strongest.affect >= rules.affect:
        return strongest.state, strongest.affect - next_distress(strongest) >= rules.apart
    if strongest.affect < rules.lasting:
        return None, True
    point = felt.at(exchange.end_ms)
    return (point.state if point is not None and point.state in DISTRESS else None), True


def next_distress(feeling: Feeling) -> float:
    """How strong the second distress of a turn is."""
    return max(feeling.fused.get(state, 0.0) for state in DISTRESS if state is not feeling.state)


def any_distress(feeling: Feeling) -> float:
    """That a turn has one distress or another: noisy-or, as if each were heard by itself."""
    return 1.0 - prod(1.0 - feeling.fused.get(state, 0.0) for state in DISTRESS)


def text_of(exchange: Exchange) -> str:
    return " ".join(turn.text for turn in exchange.turns)


def words(exchange: Exchange) -> int:
    return sum(len(turn.text.split()) for turn in exchange.turns)


def after_faults(
    talk: Sequence[Exchange], felt: Trace, faults: Sequence[Fault], rubric: RubricSpec
) -> Iterator[Opening]:
    """A long silence, or cutting in on an upset caller, each has its own cue."""
    moments = {"silence": "silence", "interrupting": "interrupted"}
    agent = [e for e in talk if e.channel is Channel.AGENT]
    caller = [e for e in talk if e.channel is Channel.CUSTOMER]
    for fault in faults:
        point = felt.at(fault.t_ms) if fault.kind in moments else None
        if point is None or point.state not in DISTRESS:
            continue
        t_ms, shown = fault.t_ms, set[str]()
        if fault.kind == "interrupting":  # wait until the agent has stopped
            over = next((e for e in agent if e.end_ms > t_ms), None)
            if over is not None:
                t_ms, shown = over.end_ms, behaviours_of(over, rubric)
        said = next((text_of(e) for e in reversed(caller) if e.start_ms < t_ms), "")
        yield Opening(t_ms, moments[fault.kind], point.state, frozenset(shown), said=said)


def agent_speaks(pattern: TalkPattern, t_ms: int) -> bool:
    n = bisect_right(pattern.agent, (t_ms, 1 << 60))
    return n > 0 and pattern.agent[n - 1][0] <= t_ms < pattern.agent[n - 1][1]


def doing_well(form: Sequence[tuple[int, float]], t_ms: int, rubric: RubricSpec) -> bool:
    """What the agent had answered by this moment was strong; what comes later cannot take a cue back."""
    n = bisect_right(form, (t_ms, 2.0))
    return n > 0 and form[n - 1][1] >= rubric.nudging.strong
