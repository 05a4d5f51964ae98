"""The rubric: every number and phrase that an expert might argue with, as one frozen value.

A rubric version is plain data (`to_dict` / `from_dict`), checked field by field, and carries the
weights, thresholds, phrases, nudges and alerts that `view` and `language` use. It knows no models.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from .types import DISTRESS, FELT, HELPING, Behaviour, Channel, State

DEFAULT_FILE = Path(__file__).parent / "rubrics" / "default.yaml"
STATE_NAMES = tuple(str(s) for s in FELT)
DISTRESS_NAMES = tuple(str(s) for s in DISTRESS)
ANY_DISTRESS = "distress"
"""State of a cue's rule that fits whichever distress it is."""
HELPING_NAMES = tuple(str(b) for b in HELPING)
BEHAVIOUR_NAMES = tuple(str(b) for b in Behaviour)
CUSTOMER_CUES = ("anger", "escalation", "urgency", "closing-thanks", "loyalty")
COURTESY_PARTS = ("politeness", "gratitude", "greeting", "closing")
AGENT_CUES = (*COURTESY_PARTS, "hold")
CUSTOMER_LABELS = (*STATE_NAMES, *CUSTOMER_CUES)
AGENT_LABELS = (*BEHAVIOUR_NAMES, *AGENT_CUES)
MOMENTS = ("caller-stops", "silence", "interrupted")
MAX_PLAYBOOK = 2
"""More ways to say a cue than this and nobody reads them while talking."""
ALERT_CAUSES = (
    "distress-high",
    "unanswered",
    "dismissive",
    "blaming",
    "silence",
    "escalation",
    "escalation-person",
    "escalation-complaint",
    "escalation-leave",
)
"""Causes of alerts besides the ids of `Alerting.lasting`."""
MAX_LASTING = 20
RULE_ID = re.compile(r"[a-z0-9-]{1,40}")
VOICE_CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad")


class RubricError(ValueError):
    """A rubric that cannot be used; `problems` names each field and what it allows."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def number(low: float, high: float) -> Any:
    return field(metadata={"range": (low, high)})


def share() -> Any:
    return number(0.0, 1.0)


def later(default: float, low: float = 0.0, high: float = 1.0) -> Any:
    """A number added after rubric versions were first stored: those read as having this one."""
    return field(default=default, metadata={"range": (low, high)})


def shares(keys: tuple[str, ...]) -> Any:
    return field(metadata={"range": (0.0, 1.0), "keys": keys})


@dataclass(frozen=True)
class Phrase:
    """Words that say something. Pattern language: see `phrases.py`."""

    id: str
    who: str = field(metadata={"allowed": tuple(str(c) for c in Channel)})
    says: str
    any: tuple[str, ...]
    strength: float = share()
    unless: tuple[str, ...] = ()
    """Words that take the meaning away where they overlap: "sorry" unless "sorry to hear"."""
    negatable: bool = True
    """"not worried" says nothing of worry; false where the phrase carries its own "not"."""


@dataclass(frozen=True)
class ScoreWeights:
    """Empathy = 100 · clip(fit E + courtesy C + listening L + recovery V - penalty P, 0, 1)."""

    fit: float = share()
    courtesy: float = share()
    listening: float = share()
    recovery: float = share()
    penalty: float = share()


@dataclass(frozen=True)
class CourtesyWeights:
    politeness: float = share()
    gratitude: float = share()
    greeting: float = share()
    politeness_full_share: float = share()
    """This share of the agent's turns being polite counts as fully polite."""


@dataclass(frozen=True)
class OpportunityRules:
    affect: float = share()
    merge_turns: int = number(0, 10)
    window_turns: int = number(1, 5)
    second_turn_factor: float = share()
    repeat_factor: float = share()
    repeat_similarity: float = share()
    met: float = share()
    """A behaviour this strong counts as shown."""


@dataclass(frozen=True)
class Penalties:
    dismissive: float = share()
    blaming: float = share()
    harm_strength: float = share()
    """How strong a dismissive or blaming phrase must be to count."""
    ignored: float = share()
    ignored_below: float = share()
    interrupting: float = share()
    unexplained_silence: float = share()
    total: float = number(0.1, 100)


@dataclass(frozen=True)
class TimingRules:
    floor_taking_ms: int = number(100, 5000)
    overlaps_per_minute_full: float = number(0.1, 60)
    silence_ms: int = number(1000, 120_000)
    hold_ms: int = number(0, 600_000)
    """How long an announced wait ("let me check") explains a silence."""
    join_gap_ms: int = number(0, 2000)
    turn_gap_ms: int = number(500, 120_000)
    """Utterances of one speaker with nobody between and a smaller gap are one turn."""


@dataclass(frozen=True)
class FusionRules:
    """Log-odds pooling: evidence counts as far as its channel is reliable for that state."""

    voice_map: Mapping[str, Mapping[str, float]] = field(
        metadata={"range": (0.0, 1.0), "outer": STATE_NAMES, "keys": VOICE_CLASSES}
    )
    prior: float = share()
    voice_prior: float = share()
    words: Mapping[str, float] = shares(STATE_NAMES)
    voice: Mapping[str, float] = shares(STATE_NAMES)
    voice_alone_cap: float = share()
    voice_tau_ms: int = number(500, 120_000)
    full_words: int = number(1, 50)
    """A turn with this many words is full evidence; a shorter one moves the state less."""
    rise: float = share()
    fall: float = share()
    enter: float = share()
    leave: float = share()
    margin: float = share()
    confidence_floor: float = share()
    severity: Mapping[str, float] = shares(DISTRESS_NAMES)
    voice_baseline_windows: float = later(10, 0, 1000)
    """How many windows the class prior is worth when a caller's own way of sounding is estimated."""
    voice_baseline_cap: float = later(0.0, 0, 4)
    """How far, in log-odds, that estimate may move the evidence; 0 turns it off."""


@dataclass(frozen=True)
class RiskRules:
    watch: float = share()
    watch_leave: float = share()
    help: float = share()
    help_leave: float = share()
    recent_ms: int = number(1000, 600_000)


@dataclass(frozen=True)
class LiveRules:
    """The live value: shrunk towards a prior by evidence, and never moving far on one turn."""

    prior: float = number(0, 100)
    prior_weight: float = number(0, 100)
    step: float = number(0, 100)
    spread: float = share()
    z: float = number(0, 4)


@dataclass(frozen=True)
class NudgeRule:
    id: str
    state: str = field(metadata={"allowed": (*DISTRESS_NAMES, ANY_DISTRESS)})
    """`distress`: for when it is not sure which (`Nudging.apart`)."""
    missing: str = field(metadata={"allowed": HELPING_NAMES})
    cue: str
    moment: str = field(default="caller-stops", metadata={"allowed": MOMENTS})
    phrases: tuple[str, ...] = ()
    """Up to MAX_PLAYBOOK ways to say it, where the playbook has none for the topic."""
    active: bool = True
    """Off: kept, and gives no cue."""


@dataclass(frozen=True)
class PlaybookEntry:
    """What a team has to say, and to do, for a state and a topic (`playbook.entry_for`)."""

    id: str
    state: str = field(metadata={"allowed": (*DISTRESS_NAMES, ANY_DISTRESS)})
    """`distress`: whichever it is."""
    missing: str = field(default="", metadata={"allowed": ("", *HELPING_NAMES)})
    """For cues that ask for this only; "" for any."""
    queues: tuple[str, ...] = ()
    """Of these queues; none: of any."""
    words: tuple[str, ...] = ()
    """Where the caller has just said one of these (patterns, `phrases.py`); none: whatever they said."""
    phrases: tuple[str, ...] = ()
    """In place of the rule's own, up to MAX_PLAYBOOK; none: the rule's stay."""
    solution: str = ""
    """What helps here, in a sentence."""
    link: str = ""
    """Where it is described: https only."""


@dataclass(frozen=True)
class Nudging:
    rules: tuple[NudgeRule, ...]
    every_ms: int = number(0, 600_000)
    per_call: int = number(0, 50)
    strong: float = share()
    """Mean R of the agent's last two opportunities from which cues fade out."""
    affect: float = later(0.5)
    """How strong a turn's own distress must be for a cue about it …"""
    lasting: float = later(0.0)
    """… and how strong for a cue about what lasts from the turns before …"""
    helped: float = later(0.0)
    """… but so strong, for any cue, right after the agent has helped, …"""
    terse: float = later(0.0)
    """… and so strong where the caller has said fewer words …"""
    few_words: int = later(0, 0, 100)
    """… than this."""
    first: float = later(0.0)
    """… and so strong, all distress taken together, while the caller first says what is the matter, that is
    until they have said `few_words`."""
    apart: float = later(0.0)
    """How far the strongest distress must be above the next to be named; else rules for any distress fit."""
    precision_floor: float = later(0.4)
    """A rule whose expected share of "helpful" verdicts is below this switches itself off …"""
    min_verdicts: int = later(8, 1, 1000)
    """… but not before so many verdicts."""
    playbook: tuple[PlaybookEntry, ...] = ()
    """The first that fits a cue gives its phrases and solution."""


@dataclass(frozen=True)
class LastingRule:
    """A state that lasts so long is an alert. The id is its cause."""

    id: str
    state: str = field(metadata={"allowed": DISTRESS_NAMES})
    unanswered: bool
    """Only where the agent had a turn and nothing in it fitted (R below `Penalties.ignored_below`)."""
    seconds: int = number(5, 3600)
    intensity: float = share()
    """How strong it must be to begin with."""


@dataclass(frozen=True)
class Alerting:
    distress: float = share()
    sustained_ms: int = number(0, 600_000)
    harm_strength: float = share()
    escalation: float = share()
    silence_ms: int = number(1000, 600_000)
    unanswered: float = later(0.5)
    """How strong a settled need must have been for its missing answer to be an alert."""
    dip: float = later(0.1)
    """So far below its `intensity` a lasting state may fall without having ended."""
    again_ms: int = later(120_000, 10_000, 3_600_000)
    """So long must a cause have been away before its return is a new alert."""
    lasting: tuple[LastingRule, ...] = ()
    switched_off: tuple[str, ...] = ("unanswered",)
    """Causes that raise nothing. Versions from before there was "unanswered" do without it."""


@dataclass(frozen=True)
class AlignmentRules:
    met: float = later(0.5)
    """An event with this R counts as met."""
    settle_ms: int = later(5000, 0, 120_000)
    """A caller has recovered when calm or satisfied, and not upset again for so long."""


@dataclass(frozen=True)
class OutlookRules:
    """Priors of the loyalty outlook (SCIENCE §6), to be replaced by a fit to a site's own outcomes."""

    peak: float = later(0.5, 0, 5)
    end: float = later(0.5, 0, 5)
    unresolved: float = later(0.6, 0, 5)
    leave: float = later(0.9, 0, 5)
    complaint: float = later(0.6, 0, 5)
    person: float = later(0.3, 0, 5)
    """Asking for a supervisor, or any other escalation."""
    thanks: float = later(0.25, 0, 5)
    recommend: float = later(0.6, 0, 5)
    faded: float = later(0.4)
    """What is left of a threat in a call that ends well, and of thanks in one that ends badly."""
    frustration: float = later(1.0)
    """How far each state weighs on the relationship: grief is seldom about the company."""
    anxiety: float = later(0.6)
    confusion: float = later(0.6)
    sadness: float = later(0.2)
    threshold: float = later(0.35)
    """From here on, either way, the outlook is not just steady."""
    min_turns: int = later(3, 1, 100)
    """With fewer of the caller's turns it is always steady."""
    evidence_turns: float = later(6, 0, 100)
    """Confidence is shrunk by n / (n + this), n being the caller's turns."""
    ceiling: float = later(0.7)
    """Confidence goes no higher while uncalibrated."""


@dataclass(frozen=True)
class RubricSpec:
    name: str
    weights: Mapping[str, Mapping[str, float]] = field(
        metadata={"range": (0.0, 1.0), "outer": DISTRESS_NAMES, "keys": HELPING_NAMES}
    )
    score: ScoreWeights
    courtesy: CourtesyWeights
    opportunity: OpportunityRules
    penalties: Penalties
    timing: TimingRules
    fusion: FusionRules
    risk: RiskRules
    live: LiveRules
    nudging: Nudging
    alerting: Alerting
    phrases: tuple[Phrase, ...]
    alignment: AlignmentRules = AlignmentRules()
    outlook: OutlookRules = OutlookRules()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RubricSpec:
        """Build and check; RubricError lists every problem at once."""
        problems: list[str] = []
        spec = _build(cls, data, "", problems)
        if not problems:
            problems += _check_whole(spec)
        if problems:
            raise RubricError(problems)
        assert isinstance(spec, RubricSpec)
        return spec

    def to_dict(self) -> dict[str, Any]:
        plain = _plain(self)
        assert isinstance(plain, dict)
        return plain

    def validate(self) -> None:
        """RubricError when a field is out of its range (for a spec made by `replace`)."""
        RubricSpec.from_dict(self.to_dict())


def default_rubric() -> RubricSpec:
    return _load(DEFAULT_FILE)


@cache
def _load(file: Path) -> RubricSpec:
    return RubricSpec.from_dict(yaml.safe_load(file.read_text("utf-8")))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    return value


def _build(cls: type, data: object, where: str, problems: list[str]) -> Any:
    if not isinstance(data, Mapping):
        problems.append(f"{where or 'rubric'}: must be a mapping of fields")
        return None
    hints = get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}
    dot = f"{where}." if where else ""
    problems += [f"{dot}{k}: unknown field; allowed: {', '.join(known)}" for k in data if k not in known]
    values = {}
    for name, spec in known.items():
        if name in data:
            values[name] = _value(hints[name], data[name], spec.metadata, dot + name, problems)
        elif spec.default is dataclasses.MISSING:
            problems.append(f"{dot}{name}: missing")
    return cls(**values) if not problems else None


def _value(hint: Any, data: object, rules: Mapping[str, Any], where: str, problems: list[str]) -> Any:
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _build(hint, data, where, problems)
    if get_origin(hint) is tuple:
        return _items(get_args(hint)[0], data, where, problems)
    if "outer" in rules:
        return _table(data, rules["outer"], rules, where, problems)
    if "keys" in rules:
        return _row(data, rules, where, problems)
    if hint in (int, float):
        return _number(hint, data, rules, where, problems)
    if not isinstance(data, hint):
        problems.append(f"{where}: must be {'true or false' if hint is bool else 'text'}")
    elif "allowed" in rules and data not in rules["allowed"]:
        problems.append(f"{where}: {data!r} is not allowed; one of {', '.join(rules['allowed'])}")
    return data


def _number(hint: type, data: object, rules: Mapping[str, Any], where: str, problems: list[str]) -> Any:
    low, high = rules["range"]
    whole = hint is int
    right = isinstance(data, int if whole else (int, float)) and not isinstance(data, bool)
    if not right or not low <= data <= high:  # type: ignore[operator]
        kind = "a whole number" if whole else "a number"
        problems.append(f"{where}: must be {kind} from {low:g} to {high:g}, not {data!r}")
        return data
    return hint(data)


def _items(hint: Any, data: object, where: str, problems: list[str]) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        problems.append(f"{where}: must be a list")
        return ()
    return tuple(_value(hint, item, {}, f"{where}[{n}]", problems) for n, item in enumerate(data))


def _row(data: object, rules: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, float]:
    if not isinstance(data, Mapping):
        problems.append(f"{where}: must map {', '.join(rules['keys'])} to numbers")
        return {}
    problems += [
        f"{where}.{key}: unknown; one of {', '.join(rules['keys'])}"
        for key in data
        if key not in rules["keys"]
    ]
    return {str(k): _number(float, v, rules, f"{where}.{k}", problems) for k, v in data.items()}


def _table(
    data: object, outer: tuple[str, ...], rules: Mapping[str, Any], where: str, problems: list[str]
) -> dict[str, dict[str, float]]:
    if not isinstance(data, Mapping):
        problems.append(f"{where}: must map {', '.join(outer)} to rows")
        return {}
    problems += [f"{where}.{k}: unknown; one of {', '.join(outer)}" for k in data if k not in outer]
    return {str(k): _row(v, rules, f"{where}.{k}", problems) for k, v in data.items()}


def _check_whole(spec: RubricSpec) -> list[str]:
    """What no single field can tell."""
    from .phrases import PatternError, compile_pattern
    from .playbook import problems_of

    problems = []
    for state in DISTRESS_NAMES:
        total = sum(spec.weights.get(state, {}).values())
        if abs(total - 1.0) > 0.01:
            problems.append(f"weights.{state}: must add up to 1, not {total:.2f}")
    problems += [f"fusion.severity.{s}: missing" for s in DISTRESS_NAMES if s not in spec.fusion.severity]
    positive = spec.score.fit + spec.score.courtesy + spec.score.listening + spec.score.recovery
    if abs(positive - 1.0) > 0.01:
        problems.append(f"score: fit, courtesy, listening and recovery must add up to 1, not {positive:.2f}")
    pairs = (
        ("fusion.leave", spec.fusion.leave, "fusion.enter", spec.fusion.enter),
        ("risk.watch_leave", spec.risk.watch_leave, "risk.watch", spec.risk.watch),
        ("risk.help_leave", spec.risk.help_leave, "risk.help", spec.risk.help),
        ("risk.watch", spec.risk.watch, "risk.help", spec.risk.help),
    )
    problems += [f"{a}: must be at most {b} ({y:g})" for a, x, b, y in pairs if x > y]
    problems += _repeated("phrases", [p.id for p in spec.phrases])
    problems += _repeated("nudging.rules", [r.id for r in spec.nudging.rules])
    problems += [
        f"nudging.rules.{r.id}.phrases: at most {MAX_PLAYBOOK}, not {len(r.phrases)}"
        for r in spec.nudging.rules
        if len(r.phrases) > MAX_PLAYBOOK
    ]
    problems += _alert_problems(spec.alerting)
    problems += _repeated("nudging.playbook", [e.id for e in spec.nudging.playbook])
    problems += [
        f"nudging.playbook.{entry.id}{said}" for entry in spec.nudging.playbook for said in problems_of(entry)
    ]
    for phrase in spec.phrases:
        labels = CUSTOMER_LABELS if phrase.who == Channel.CUSTOMER else AGENT_LABELS
        if phrase.says not in labels:
            problems.append(
                f"phrases.{phrase.id}.says: {phrase.says!r} is not allowed for the "
                f"{phrase.who}; one of {', '.join(labels)}"
            )
        for pattern in (*phrase.any, *phrase.unless):
            try:
                compile_pattern(pattern)
            except PatternError as error:
                problems.append(f"phrases.{phrase.id}: {error}")
    return problems


def _alert_problems(rules: Alerting) -> list[str]:
    ids = [rule.id for rule in rules.lasting]
    allowed = (*ALERT_CAUSES, *ids)
    problems = [
        f"alerting.lasting.{i}.id: must be 1 to 40 small letters, digits and hyphens"
        for i in ids
        if not RULE_ID.fullmatch(i)
    ]
    problems += [f"alerting.lasting.{i}.id: is the name of another alert" for i in ids if i in ALERT_CAUSES]
    problems += _repeated("alerting.lasting", ids)
    if len(ids) > MAX_LASTING:
        problems.append(f"alerting.lasting: at most {MAX_LASTING} rules, not {len(ids)}")
    problems += [
        f"alerting.switched_off: there is no alert {i!r}; one of {', '.join(allowed)}"
        for i in rules.switched_off
        if i not in allowed
    ]
    return problems


def _repeated(where: str, ids: list[str]) -> list[str]:
    return [f"{where}: id {i!r} is used twice" for i in sorted({i for i in ids if ids.count(i) > 1})]


def weight(spec: RubricSpec, state: State, behaviour: Behaviour) -> float:
    """W[s, k] of SCIENCE §4; 0 where the table has no entry."""
    return spec.weights.get(str(state), {}).get(str(behaviour), 0.0)


def __getattr__(name: str) -> RubricSpec:
    """`rubric.DEFAULT`, read on first use."""
    if name == "DEFAULT":
        return default_rubric()
    raise AttributeError(name)
