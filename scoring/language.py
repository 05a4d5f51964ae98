"""What words say: the customer's felt states, the agent's behaviours, each with its quote.

Customer words never become behaviours and agent words never become states: the two readings
share no code path below `read`. Knows no audio, no call, no history beyond a turn's few before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from . import site
from .blend import WEIGHTS as BLEND
from .blend import Blend
from .phrases import Found, PhraseBook, Spoken, spoken
from .repeats import asked_again
from .rubric import AGENT_CUES, BEHAVIOUR_NAMES, COURTESY_PARTS, STATE_NAMES, RubricSpec, default_rubric
from .types import DISTRESS, HARMFUL, Behaviour, Channel, Cue, State
from .unmeant import meant

if TYPE_CHECKING:
    from .language_heads import Floats, Heads
    from .sentence_encoder import SentenceEncoder

RULE_CEILING = 0.97
SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")
HEADS_CUE = 0.35
"""From here on a head's opinion is worth a line of evidence."""
ASKED_AGAIN = 0.55
"""How much a question asked again speaks for confusion."""
BARE_THANKS = 0.4
"""What is left of "satisfaction" when all there is is a polite thanks (SCIENCE §1)."""
DISTRESS_VETO = 0.8
"""Rule-found distress takes this share off satisfaction: "thanks, but I'm still waiting"."""
PHRASE_COUNTS = 0.6
"""Whatever the heads think, a customer phrase counts for this share of its strength: an admin who adds one
must see it work. On the calibration turns it costs little (AUC .912 without, .907 with)."""
HARM_UNSAID, HARM_SURE = 0.6, 0.95
"""Heads alone, without a phrase to point at, accuse nobody (the rubric's `harm_strength` is above the first),
unless they are as sure as the second."""
QUOTE_CHARS = 110
POLITE = 0.75
"""From here on the politeness head makes a cue: more polite than three in four written requests."""
PIECE_WORDS = 14
"""Unpunctuated speech is quoted in pieces of so many words."""


@dataclass(frozen=True)
class TurnText:
    channel: Channel
    text: str
    previous: tuple[str, ...] = ()
    """The same speaker's last turns, oldest first: the other's words never reach this reading."""


@dataclass(frozen=True)
class Reading:
    states: Mapping[str, float] = field(default_factory=dict)
    behaviours: Mapping[str, float] = field(default_factory=dict)
    cues: tuple[Cue, ...] = ()


@dataclass(frozen=True)
class Opinion:
    """What trained heads hear in one turn: calibrated probabilities and a quote for each of weight."""

    of: Mapping[str, float] = field(default_factory=dict)
    quotes: Mapping[str, str] = field(default_factory=dict)

    def cues(self, names: Sequence[str]) -> list[Cue]:
        heard = [(name, self.of.get(name, 0.0)) for name in names]
        return [
            Cue(name, round(p, 3), round(0.4 + 0.4 * p, 2), self.quotes.get(name, ""), "heads")
            for name, p in heard
            if p >= HEADS_CUE
        ]


NO_OPINION = Opinion()


class LanguageModel(Protocol):
    @property
    def version(self) -> str: ...

    def read(self, turns: Sequence[TurnText]) -> list[Reading]: ...


class RuleLanguage:
    """Phrase rules alone: deterministic and without weights, so it also stands in for the heads."""

    def __init__(self, rubric: RubricSpec, blend: Blend | None = None) -> None:
        self._blend = blend or Blend()
        self._customer = PhraseBook([p for p in rubric.phrases if p.who == Channel.CUSTOMER])
        self._agent = PhraseBook([p for p in rubric.phrases if p.who == Channel.AGENT])
        self.version = f"rules/{rubric.name}"

    def read(self, turns: Sequence[TurnText]) -> list[Reading]:
        return [self._read(turn) for turn in turns]

    def _read(self, turn: TurnText) -> Reading:
        if turn.channel is Channel.CUSTOMER:
            return self.customer(spoken(meant(turn.text)), NO_OPINION, turn.previous)
        return self.agent(spoken(turn.text), NO_OPINION)

    def customer(self, words: Spoken, heads: Opinion, previous: Sequence[str]) -> Reading:
        """States from phrases, with what the heads think (calibrated, per state) mixed in."""
        found = list(self._customer.find(words))
        rules = {s: noisy_or(found, s) for s in STATE_NAMES}
        repeated = asked_again(words.original, previous)
        if repeated is not None:
            rules[State.CONFUSION] = either(rules[State.CONFUSION], ASKED_AGAIN)
        states = {s: max(p, PHRASE_COUNTS * rules[s]) for s, p in self._with_heads(rules, heads).items()}
        thanked = any(f.phrase.says == "closing-thanks" for f in found)
        if thanked and rules[State.SATISFACTION] < 0.5:
            states[State.SATISFACTION] = max(0.3, states[State.SATISFACTION] * BARE_THANKS)
        states[State.SATISFACTION] *= 1 - DISTRESS_VETO * max(rules[s] for s in DISTRESS)
        cues = [cue_of(f) for f in found] + heads.cues(STATE_NAMES)
        if repeated is not None:
            quote = shorten(repeated)
            cues.append(Cue(State.CONFUSION, ASKED_AGAIN, 0.6, quote, "rule:asked-again"))
        return Reading(states=rounded(states), cues=strongest_first(cues))

    def agent(self, words: Spoken, heads: Opinion) -> Reading:
        """Behaviours from phrases and heads. Harm and help may both be found; the rubric weighs them."""
        found = list(self._agent.find(words))
        rules = {b: noisy_or(found, b) for b in BEHAVIOUR_NAMES}
        rules[Behaviour.COURTESY] = max(
            [rules[Behaviour.COURTESY], *(noisy_or(found, part) for part in COURTESY_PARTS)]
        )
        behaviours = {b: unaccused(b, rules[b], p) for b, p in self._with_heads(rules, heads).items()}
        silent = [b for b in BEHAVIOUR_NAMES if not rules[b]]
        cues = [cue_of(f) for f in found] + heads.cues(silent)
        polite = heads.of.get("politeness", 0.0)
        if polite >= POLITE and not any(f.phrase.says == "politeness" for f in found):
            cues.append(Cue("politeness", round(polite, 3), 0.5, shorten(words.original), "heads"))
        return Reading(behaviours=rounded(behaviours), cues=strongest_first(cues))

    def _with_heads(self, rules: Mapping[str, float], heads: Opinion) -> dict[str, float]:
        if not heads.of:
            return dict(rules)
        return {label: self._blend(label, rule, heads.of.get(label, 0.0)) for label, rule in rules.items()}


class FusedLanguage:
    """Phrase rules plus trained heads: state heads for a customer's words, behaviour heads for an agent's."""

    def __init__(self, rubric: RubricSpec, heads: Heads, encoder: SentenceEncoder | None) -> None:
        if encoder is not None and encoder.adapters != heads.adapters:
            raise ValueError(f"heads {heads.version} need adapters {heads.adapters}, not {encoder.adapters}")
        self._rules = RuleLanguage(rubric, Blend.load() if BLEND.exists() else None)
        self._heads = heads
        self._encoder = encoder
        self._way = "tfidf" if encoder is None else "both"
        self._site = None if encoder is None else site.from_environment(heads.adapters)

    @property
    def version(self) -> str:
        """Changes when a site switches its correction."""
        now = self._site.correction() if self._site else None
        ours = f" site/{now.digest[:8]}" if now else ""
        return f"{self._heads.version} ({self._way}) {self._rules.version}{ours}"

    def read(self, turns: Sequence[TurnText]) -> list[Reading]:
        readings = self.shipped(turns)
        if self._site is None or not turns or self._site.correction() is None:
            return readings
        vectors = self.vectors(turns)
        assert vectors is not None
        states = site.corrected(self._site, [reading.states for reading in readings], vectors)
        behaviours = site.corrected(self._site, [reading.behaviours for reading in readings], vectors)
        return [
            replace(reading, states=rounded(felt), behaviours=rounded(done))
            for reading, felt, done in zip(readings, states, behaviours, strict=True)
        ]

    def shipped(self, turns: Sequence[TurnText]) -> list[Reading]:
        """As the shipped weights have it, whatever the site has fitted."""
        return [self._one(turn, opinion) for turn, opinion in zip(turns, self.opinions(turns), strict=True)]

    def vectors(self, turns: Sequence[TurnText]) -> Floats | None:
        """Of the words that the heads read [n, vector]; None without the sentence encoder."""
        return self._vectors([_for_heads(turn).text for turn in turns])

    @property
    def adapters(self) -> str:
        return self._heads.adapters

    def _one(self, turn: TurnText, opinion: Opinion) -> Reading:
        if turn.channel is Channel.AGENT:
            return self._rules.agent(spoken(turn.text), opinion)
        reading = self._rules.customer(spoken(meant(turn.text)), opinion, turn.previous)
        return reading if reading.cues or self._heads.knows(turn.text) else replace(reading, states={})

    def opinions(self, turns: Sequence[TurnText]) -> list[Opinion]:
        """What the heads alone think, with the sentence that speaks most for each thing they hear."""
        found: list[dict[str, float]] = [{} for _ in turns]
        for channel in Channel:
            read = {n: _for_heads(turn) for n, turn in enumerate(turns) if turn.channel is channel}
            known = {n: turn for n, turn in read.items() if self._heads.knows(turn.text)}
            for n, values in zip(known, self._heard(list(known.values()), channel), strict=True):
                found[n] = values
        return [
            Opinion(values, self._quotes(turn, values)) for turn, values in zip(turns, found, strict=True)
        ]

    def label_probabilities(self, texts: Sequence[str]) -> Floats:
        """[n, 28] GoEmotions labels, as `scoring.evaluate language` reports them."""
        return self._heads.labels(texts, self._vectors(texts))

    @property
    def thresholds(self) -> Floats:
        return self._heads.thresholds[self._way]

    def politeness(self, texts: Sequence[str]) -> Floats:
        """[n] 0-1, as `scoring.evaluate language` reports it."""
        return self._heads.politeness(texts, self._vectors(texts))

    def _heard(self, turns: Sequence[TurnText], channel: Channel) -> list[dict[str, float]]:
        """Calibrated probabilities per turn of one channel."""
        if not turns:
            return []
        texts = [turn.text for turn in turns]
        vectors = self._vectors(texts)
        if channel is Channel.CUSTOMER:
            values = self._heads.states(texts, vectors, self._before(turns))
            return [dict(zip(STATE_NAMES, map(float, row), strict=True)) for row in values]
        values = self._heads.behaviours(texts, vectors)
        polite = self._heads.politeness(texts, vectors)
        return [
            dict(zip(BEHAVIOUR_NAMES, map(float, row), strict=True)) | {"politeness": float(p)}
            for row, p in zip(values, polite, strict=True)
        ]

    def _vectors(self, texts: Sequence[str]) -> Floats | None:
        return self._encoder.encode(texts) if self._encoder else None

    def _before(self, turns: Sequence[TurnText]) -> Floats | None:
        """Mean vector of each turn's previous ones [n, 384]; zeros without any."""
        if self._encoder is None:
            return None
        from .language_heads import mean_before

        earlier = self._encoder.encode([text for turn in turns for text in turn.previous])
        return mean_before(earlier, [len(turn.previous) for turn in turns])

    def _quotes(self, turn: TurnText, values: Mapping[str, float]) -> dict[str, str]:
        """Per thing heard, the turn's sentence that says it most on its own."""
        heard = [name for name, p in values.items() if p >= HEADS_CUE]
        parts = sentences(turn.text)
        if not heard or len(parts) < 2:
            return dict.fromkeys(heard, shorten(turn.text))
        alone = self._heard([_for_heads(TurnText(turn.channel, part)) for part in parts], turn.channel)
        return {
            name: shorten(max(zip(alone, parts, strict=True), key=lambda p: p[0][name])[1]) for name in heard
        }


def _for_heads(turn: TurnText) -> TurnText:
    """A customer's words without the feelings that are not theirs now (scoring/unmeant.py)."""
    if turn.channel is Channel.AGENT:
        return turn
    return TurnText(turn.channel, meant(turn.text), tuple(filter(None, map(meant, turn.previous))))


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


def unaccused(behaviour: str, rule: float, value: float) -> float:
    """A harmful behaviour that no phrase names stays under what counts against an agent."""
    if behaviour in HARMFUL and not rule and value < HARM_SURE:
        return min(value, HARM_UNSAID)
    return value


def either(a: float, b: float) -> float:
    return 1.0 - (1.0 - a) * (1.0 - b)


def cue_of(hit: Found) -> Cue:
    confidence = round(0.5 + 0.4 * hit.strength, 2)
    return Cue(hit.phrase.says, round(hit.strength, 3), confidence, hit.quote, f"rule:{hit.phrase.id}")


def strongest_first(cues: list[Cue]) -> tuple[Cue, ...]:
    return tuple(sorted(cues, key=lambda c: (c.label in AGENT_CUES, -c.strength, c.label, c.source)))


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {str(name): round(value, 4) for name, value in values.items()}


def sentences(text: str) -> list[str]:
    """A text's sentences; where a recogniser gave no marks, pieces of PIECE_WORDS."""
    parts = []
    for sentence in SENTENCE_END.split(text):
        words = sentence.split()
        parts += [" ".join(words[at : at + PIECE_WORDS]) for at in range(0, len(words), PIECE_WORDS)]
    return parts


def shorten(text: str) -> str:
    """The first words of a text, cut between words."""
    text = " ".join(text.split())
    return text if len(text) <= QUOTE_CHARS else text[:QUOTE_CHARS].rsplit(" ", 1)[0] + " …"
