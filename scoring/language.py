"""What words say: the customer's felt states, the agent's behaviours, each with its quote.

Customer words never become behaviours and agent words never become states: the two readings
share no code path below `read`. Knows no audio, no call, no history beyond a turn's few before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .phrases import Found, PhraseBook, Spoken, spoken
from .rubric import AGENT_CUES, BEHAVIOUR_NAMES, COURTESY_PARTS, STATE_NAMES, RubricSpec, default_rubric
from .types import DISTRESS, Behaviour, Channel, Cue, State

if TYPE_CHECKING:
    from .language_heads import Floats, Heads
    from .sentence_encoder import SentenceEncoder

RULE_CEILING = 0.97
HEADS_TRUST = {"frustration": 0.9, "anxiety": 0.8, "confusion": 0.9, "sadness": 0.8, "satisfaction": 0.9}
"""How far a head trained on Reddit comments is believed on a phone line, before fusion."""
HEADS_CUE = 0.35
"""From here on a head's opinion is worth a line of evidence."""
BARE_THANKS = 0.4
"""What is left of "satisfaction" when all there is is a polite thanks (SCIENCE §1)."""
DISTRESS_VETO = 0.8
"""Rule-found distress takes this share off satisfaction: "thanks, but I'm still waiting"."""
QUOTE_CHARS = 110


@dataclass(frozen=True)
class TurnText:
    channel: Channel
    text: str
    previous: tuple[str, ...] = ()
    """Up to a few earlier turns of the call, oldest first, whoever spoke."""


@dataclass(frozen=True)
class Reading:
    states: Mapping[str, float] = field(default_factory=dict)
    behaviours: Mapping[str, float] = field(default_factory=dict)
    cues: tuple[Cue, ...] = ()


class LanguageModel(Protocol):
    @property
    def version(self) -> str: ...

    def read(self, turns: Sequence[TurnText]) -> list[Reading]: ...


class RuleLanguage:
    """Phrase rules alone: deterministic and without weights, so it also stands in for the heads."""

    def __init__(self, rubric: RubricSpec) -> None:
        self._customer = PhraseBook([p for p in rubric.phrases if p.who == Channel.CUSTOMER])
        self._agent = PhraseBook([p for p in rubric.phrases if p.who == Channel.AGENT])
        self.version = f"rules/{rubric.name}"

    def read(self, turns: Sequence[TurnText]) -> list[Reading]:
        return [self._read(turn) for turn in turns]

    def _read(self, turn: TurnText) -> Reading:
        words = spoken(turn.text)
        if turn.channel is Channel.CUSTOMER:
            return self.customer(words, {})
        return self.agent(words)

    def customer(self, words: Spoken, heads: Mapping[str, float]) -> Reading:
        """States from phrases, with what the heads think (calibrated, per state) mixed in."""
        found = list(self._customer.find(words))
        rules = {s: noisy_or(found, s) for s in STATE_NAMES}
        states = {s: either(rules[s], HEADS_TRUST[s] * heads.get(s, 0.0)) for s in STATE_NAMES}
        thanked = any(f.phrase.says == "closing-thanks" for f in found)
        if thanked and rules[State.SATISFACTION] < 0.5:
            states[State.SATISFACTION] = max(0.3, states[State.SATISFACTION] * BARE_THANKS)
        states[State.SATISFACTION] *= 1 - DISTRESS_VETO * max(rules[s] for s in DISTRESS)
        cues = [cue_of(f) for f in found]
        cues += [
            Cue(s, round(p, 3), round(0.4 + 0.4 * p, 2), shorten(words.original), "heads")
            for s, p in heads.items()
            if p >= HEADS_CUE and s in STATE_NAMES
        ]
        return Reading(states=rounded(states), cues=strongest_first(cues))

    def agent(self, words: Spoken) -> Reading:
        """Behaviours from phrases. Harm and help may both be found; the rubric weighs them."""
        found = list(self._agent.find(words))
        behaviours = {b: noisy_or(found, b) for b in BEHAVIOUR_NAMES}
        behaviours[Behaviour.COURTESY] = max(
            [behaviours[Behaviour.COURTESY], *(noisy_or(found, part) for part in COURTESY_PARTS)]
        )
        return Reading(behaviours=rounded(behaviours), cues=strongest_first([cue_of(f) for f in found]))


class FusedLanguage:
    """Phrase rules plus trained heads for the customer's words."""

    def __init__(self, rubric: RubricSpec, heads: Heads, encoder: SentenceEncoder | None) -> None:
        self._rules = RuleLanguage(rubric)
        self._heads = heads
        self._encoder = encoder
        self._way = "tfidf" if encoder is None else "both"
        self.version = f"{heads.version} ({self._way}) {self._rules.version}"

    def read(self, turns: Sequence[TurnText]) -> list[Reading]:
        mine = [turn.text for turn in turns if turn.channel is Channel.CUSTOMER and turn.text.strip()]
        opinions = iter(self.opinions(mine))
        return [
            self._rules.customer(spoken(turn.text), next(opinions))
            if turn.channel is Channel.CUSTOMER and turn.text.strip()
            else self._rules.read([turn])[0]
            for turn in turns
        ]

    def label_probabilities(self, texts: Sequence[str]) -> Floats:
        """[n, 28] GoEmotions labels, as `scoring.evaluate language` reports them."""
        vectors = self._encoder.encode(texts) if self._encoder else None
        return self._heads.labels(texts, vectors)

    @property
    def thresholds(self) -> Floats:
        return self._heads.thresholds[self._way]

    def opinions(self, customer_texts: Sequence[str]) -> list[dict[str, float]]:
        """Calibrated state probabilities, plus "anger" as a severity, per customer text."""
        from .language_heads import LABELS, STATES

        if not customer_texts:
            return []
        labels = self.label_probabilities(customer_texts)
        states = self._heads.states(labels, self._way)
        anger = labels[:, LABELS.index("anger")]
        return [
            {str(s): float(p) for s, p in zip(STATES, row, strict=True)} | {"anger": float(a)}
            for row, a in zip(states, anger, strict=True)
        ]


def load_language(stand_in: bool = False, rubric: RubricSpec | None = None) -> LanguageModel:
    """The shipped model; with `stand_in`, or without shipped weights, phrase rules alone."""
    from .language_heads import WEIGHTS, Heads

    spec = rubric or default_rubric()
    if stand_in or not WEIGHTS.exists():
        return RuleLanguage(spec)
    return FusedLanguage(spec, Heads.load(), load_encoder())


def load_encoder() -> SentenceEncoder | None:
    """MiniLM, or None when its weights are not on this machine: TF-IDF then works alone."""
    from .assets import AssetMissing, path
    from .sentence_encoder import SentenceEncoder

    try:
        return SentenceEncoder(path("minilm-l6"))
    except AssetMissing:
        return None


def noisy_or(found: Sequence[Found], label: str) -> float:
    missing = 1.0
    for hit in found:
        if hit.phrase.says == label:
            missing *= 1.0 - hit.strength
    return min(RULE_CEILING, 1.0 - missing)


def either(a: float, b: float) -> float:
    return 1.0 - (1.0 - a) * (1.0 - b)


def cue_of(hit: Found) -> Cue:
    confidence = round(0.5 + 0.4 * hit.strength, 2)
    return Cue(hit.phrase.says, round(hit.strength, 3), confidence, hit.quote, f"rule:{hit.phrase.id}")


def strongest_first(cues: list[Cue]) -> tuple[Cue, ...]:
    return tuple(sorted(cues, key=lambda c: (c.label in AGENT_CUES, -c.strength, c.label, c.source)))


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {str(name): round(value, 4) for name, value in values.items()}


def shorten(text: str) -> str:
    """The first words of a text, cut between words."""
    text = " ".join(text.split())
    return text if len(text) <= QUOTE_CHARS else text[:QUOTE_CHARS].rsplit(" ", 1)[0] + " …"
