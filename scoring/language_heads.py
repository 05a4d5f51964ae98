"""Trained heads on words: the customer's felt states, the agent's behaviours, politeness.

Each opinion has two sources: a bag of hashed n-grams with logistic regression (numpy only) and, where
the sentence encoder is present, a small network on the adapted MiniLM's vectors. States and behaviours
share no weights above the encoder; `states` is for a customer's words only, `behaviours` for an agent's.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .types import Behaviour, State

WEIGHTS = Path(__file__).parent / "weights" / "language" / "heads.npz"
LABELS = [
    "admiration",
    "amusement",
    "anger",
    "annoyance",
    "approval",
    "caring",
    "confusion",
    "curiosity",
    "desire",
    "disappointment",
    "disapproval",
    "disgust",
    "embarrassment",
    "excitement",
    "fear",
    "gratitude",
    "grief",
    "joy",
    "love",
    "nervousness",
    "optimism",
    "pride",
    "realization",
    "relief",
    "remorse",
    "sadness",
    "surprise",
    "neutral",
]
STATE_LABELS: Mapping[State, tuple[str, ...]] = {
    State.FRUSTRATION: ("annoyance", "anger", "disappointment"),
    State.ANXIETY: ("nervousness", "fear"),
    State.CONFUSION: ("confusion",),
    State.SADNESS: ("sadness", "grief"),
    State.SATISFACTION: ("gratitude", "joy", "relief", "admiration"),
}
"""SCIENCE §1: disapproval adds nothing to frustration, curiosity makes confusion worse."""
STATES = tuple(STATE_LABELS)
BEHAVIOURS = tuple(Behaviour)
BAGS = ("labels", "states", "behaviours", "politeness")
WAYS = ("tfidf", "both")
"""How a text was read: n-grams alone, or n-grams and sentence vectors."""
NETWORK_SHARE = 0.7
"""Weight of the network's log-odds against the n-grams' for GoEmotions labels (chosen on held-back train)."""
VECTOR_SCALE = 8.0
"""Unit vectors have tiny entries; the networks were trained on larger ones."""
TOKEN = re.compile(r"[a-z0-9']+|[?!]")
WORD_GRAMS = (1, 2)
CHAR_GRAMS = (3, 5)

Floats = npt.NDArray[np.float32]


def words_of(text: str) -> list[str]:
    return TOKEN.findall(text.lower().replace("\u2019", "'"))


def grams(words: Sequence[str]) -> Iterator[int]:
    """Hashes of word 1-2-grams and of character 3-5-grams inside words; ? and ! are words."""
    crc = zlib.crc32
    for n in range(WORD_GRAMS[0], WORD_GRAMS[1] + 1):
        for at in range(len(words) - n + 1):
            yield crc(("w " + " ".join(words[at : at + n])).encode())
    for word in words:
        padded = f" {word} ".encode()
        for n in range(CHAR_GRAMS[0], CHAR_GRAMS[1] + 1):
            for at in range(len(padded) - n + 1):
                yield crc(padded[at : at + n])


def counts(text: str) -> dict[int, int]:
    found: dict[int, int] = {}
    for gram in grams(words_of(text)):
        found[gram] = found.get(gram, 0) + 1
    return found


def sigmoid(x: npt.NDArray[np.floating[Any]]) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float32)


@dataclass(frozen=True)
class Bag:
    """Hashed TF-IDF + logistic regression, weights rounded to int8."""

    index: Mapping[int, int]
    idf: Floats
    weights: npt.NDArray[np.int8]
    """[features, outputs], times `scale` per output."""
    scale: Floats
    bias: Floats

    def logits(self, texts: Sequence[str]) -> Floats:
        """[n, outputs]."""
        return np.stack([self._logits(text) for text in texts])

    def _logits(self, text: str) -> Floats:
        rows, values = [], []
        for gram, count in counts(text).items():
            row = self.index.get(gram)
            if row is not None:
                rows.append(row)
                values.append(1.0 + math.log(count) if count > 1 else 1.0)
        if not rows:
            return self.bias
        x = np.asarray(values, np.float32) * self.idf[rows]
        x /= float(np.sqrt(x @ x))
        return np.asarray((x @ self.weights[rows].astype(np.float32)) * self.scale + self.bias, np.float32)


@dataclass(frozen=True)
class Network:
    """One hidden layer on unit vectors."""

    hidden: tuple[Floats, Floats]
    out: tuple[Floats, Floats]

    def logits(self, vectors: Floats) -> Floats:
        """[n, inputs] → [n, outputs]."""
        inner = np.maximum(VECTOR_SCALE * vectors @ self.hidden[0] + self.hidden[1], 0.0)
        return np.asarray(inner @ self.out[0] + self.out[1], np.float32)


@dataclass(frozen=True)
class Heads:
    """The shipped arrays of heads.npz."""

    bags: Mapping[str, Bag]
    networks: Mapping[str, Network]
    stacks: Mapping[str, Floats]
    """Per "states_WAY" and so on: a weight per opinion, then an offset [outputs, k + 1]."""
    thresholds: Mapping[str, Floats]
    """Per way: where each GoEmotions label begins [28]."""
    adapters: str
    """Digest of the adapters whose vectors the networks know."""
    version: str

    @classmethod
    def load(cls, file: Path = WEIGHTS) -> Heads:
        with np.load(file, allow_pickle=False) as saved:
            data: dict[str, Any] = {name: saved[name] for name in saved.files}
        return cls.from_arrays(data)

    @classmethod
    def from_arrays(cls, data: Mapping[str, Any]) -> Heads:
        def floats(name: str) -> Floats:
            return np.asarray(data[name], np.float32)

        def bag(name: str) -> Bag:
            index = {int(h): n for n, h in enumerate(data[f"{name}_hashes"])}
            return Bag(
                index,
                floats(f"{name}_idf"),
                data[f"{name}_weights"],
                floats(f"{name}_scale"),
                floats(f"{name}_bias"),
            )

        def network(name: str) -> Network:
            return Network(
                (floats(f"{name}_hidden_w"), floats(f"{name}_hidden_b")),
                (floats(f"{name}_out_w"), floats(f"{name}_out_b")),
            )

        return cls(
            bags={name: bag(name) for name in BAGS},
            networks={name: network(name) for name in BAGS},
            stacks={name[6:]: floats(name) for name in data if name.startswith("stack_")},
            thresholds={way: floats(f"thresholds_{way}") for way in WAYS},
            adapters=str(data["adapters"]),
            version=str(data["version"]),
        )

    def knows(self, text: str) -> bool:
        """Whether any of its words was seen in training: a bare "?" and another script are no evidence."""
        words = [word for word in words_of(text) if word not in "?!"]
        return any(
            zlib.crc32(f"w {word}".encode()) in self.bags[name].index for word in words for name in BAGS
        )

    def labels(self, texts: Sequence[str], vectors: Floats | None) -> Floats:
        """GoEmotions probabilities [n, 28]: both opinions' weighted log-odds, or n-grams alone."""
        words = self.bags["labels"].logits(texts)
        if vectors is None:
            return sigmoid(words)
        network = self.networks["labels"].logits(vectors)
        return sigmoid(NETWORK_SHARE * network + (1 - NETWORK_SHARE) * words)

    def states(
        self,
        texts: Sequence[str],
        vectors: Floats | None = None,
        before: Floats | None = None,
        labels: Floats | None = None,
    ) -> Floats:
        """Calibrated probabilities [n, 5] of a customer's texts, in the order of STATES.

        `before` [n, 384]: mean vector of the same customer's turns before (zeros without any);
        `labels`: what `labels` gave for these texts, when it is known already.
        """
        emotions = self.labels(texts, vectors) if labels is None else labels
        opinions = [group_logits(emotions), self.bags["states"].logits(texts)]
        if vectors is None:
            return stacked(self.stacks["states_tfidf"], opinions)
        context = np.zeros_like(vectors) if before is None else before
        opinions.append(self.networks["states"].logits(np.concatenate([vectors, context], axis=1)))
        return stacked(self.stacks["states_both"], opinions)

    def behaviours(self, texts: Sequence[str], vectors: Floats | None = None) -> Floats:
        """Calibrated probabilities [n, 8] of an agent's texts, in the order of BEHAVIOURS."""
        return self._stacked("behaviours", texts, vectors)

    def politeness(self, texts: Sequence[str], vectors: Floats | None = None) -> Floats:
        """How polite [n]: the share of written requests that are less polite."""
        return self._stacked("politeness", texts, vectors)[:, 0]

    def _stacked(self, name: str, texts: Sequence[str], vectors: Floats | None) -> Floats:
        opinions = [self.bags[name].logits(texts)]
        if vectors is None:
            return stacked(self.stacks[f"{name}_tfidf"], opinions)
        opinions.append(self.networks[name].logits(vectors))
        return stacked(self.stacks[f"{name}_both"], opinions)


def stacked(weights: Floats, opinions: Sequence[Floats]) -> Floats:
    """Weighted log-odds of several opinions [n, outputs] → calibrated probabilities [n, outputs]."""
    total = sum(weights[:, k] * opinion for k, opinion in enumerate(opinions))
    return sigmoid(np.asarray(total + weights[:, -1]))


def group_logits(labels: Floats) -> Floats:
    """Log-odds that any label of a state's group holds (noisy-or) [n, 28] → [n, 5]."""
    columns = []
    for state in STATES:
        rows = [LABELS.index(name) for name in STATE_LABELS[state]]
        none = np.clip(np.prod(1.0 - labels[:, rows], axis=1), 1e-5, 1 - 1e-5)
        columns.append(np.log((1.0 - none) / none))
    return np.stack(columns, axis=1).astype(np.float32)


def mean_before(earlier: Floats, how_many: Sequence[int]) -> Floats:
    """Vectors of earlier turns, in order, and how many belong to each turn → a mean per turn [n, 384]."""
    means = np.zeros((len(how_many), earlier.shape[1]), np.float32)
    ends = np.cumsum(how_many)
    for n, (count, end) in enumerate(zip(how_many, ends, strict=True)):
        if count:
            means[n] = earlier[end - count : end].mean(axis=0)
    return means
