"""Trained heads for the customer's words: 28 GoEmotions labels, then five felt states.

Two heads are averaged: hashed TF-IDF + logistic regression (numpy only) and, where the sentence
encoder is present, a small network on MiniLM vectors. Never given an agent's words.
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

from .types import State

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


def logit(p: Floats) -> Floats:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)), np.float32)


@dataclass(frozen=True)
class Heads:
    """The shipped arrays of heads.npz."""

    index: Mapping[int, int]
    idf: Floats
    weights: npt.NDArray[np.int8]
    """[features, 28], times `scale` per label."""
    scale: Floats
    bias: Floats
    hidden: tuple[Floats, Floats]
    out: tuple[Floats, Floats]
    platt: Mapping[str, Floats]
    """Per way of reading ("tfidf", "both"): slope and offset per state [5, 2]."""
    thresholds: Mapping[str, Floats]
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

        return cls(
            index={int(h): n for n, h in enumerate(data["hashes"])},
            idf=floats("idf"),
            weights=data["weights"],
            scale=floats("scale"),
            bias=floats("bias"),
            hidden=(floats("hidden_w"), floats("hidden_b")),
            out=(floats("out_w"), floats("out_b")),
            platt={k: floats(f"platt_{k}") for k in ("tfidf", "both")},
            thresholds={k: floats(f"thresholds_{k}") for k in ("tfidf", "both")},
            version=str(data["version"]),
        )

    def tfidf_labels(self, text: str) -> Floats:
        """Probabilities of the 28 labels from TF-IDF alone."""
        rows, values = [], []
        for gram, count in counts(text).items():
            row = self.index.get(gram)
            if row is not None:
                rows.append(row)
                values.append(1.0 + math.log(count) if count > 1 else 1.0)
        if not rows:
            return sigmoid(self.bias)
        x = np.asarray(values, np.float32) * self.idf[rows]
        x /= float(np.sqrt(x @ x))
        return sigmoid((x @ self.weights[rows].astype(np.float32)) * self.scale + self.bias)

    def vector_labels(self, vectors: Floats) -> Floats:
        """Probabilities [n, 28] from MiniLM vectors [n, 384]."""
        hidden = np.maximum(vectors @ self.hidden[0] + self.hidden[1], 0.0)
        return sigmoid(hidden @ self.out[0] + self.out[1])

    def labels(self, texts: Sequence[str], vectors: Floats | None) -> Floats:
        """[n, 28]: both heads' mean log-odds, or TF-IDF alone without vectors."""
        words = np.stack([self.tfidf_labels(text) for text in texts])
        return words if vectors is None else sigmoid((logit(words) + logit(self.vector_labels(vectors))) / 2)

    def states(self, labels: Floats, way: str) -> Floats:
        """Calibrated state probabilities [n, 5] from label probabilities [n, 28]."""
        slope, offset = self.platt[way][:, 0], self.platt[way][:, 1]
        return sigmoid(group_logits(labels) * slope + offset)


def group_logits(labels: Floats) -> Floats:
    """Log-odds that any label of a state's group holds (noisy-or) [n, 28] → [n, 5]."""
    columns = []
    for state in STATES:
        rows = [LABELS.index(name) for name in STATE_LABELS[state]]
        none = np.clip(np.prod(1.0 - labels[:, rows], axis=1), 1e-5, 1 - 1e-5)
        columns.append(np.log((1.0 - none) / none))
    return np.stack(columns, axis=1).astype(np.float32)
