"""The labelled texts that may train shipped weights, read and split with fixed seeds."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.language_heads import BEHAVIOURS, LABELS, STATES
from scoring.training.labelled_turns import LabelledTurn
from scoring.types import Channel

SEED = 7
HELD_BACK = 10
POLITE_HELD_BACK = 5
LINES = Path(__file__).parent / "lines.txt"

Table = npt.NDArray[np.float32]


def read_goemotions(file: Path) -> tuple[list[str], Table]:
    """Texts and a 0/1 table [n, 28]."""
    texts, rows = [], []
    for line in file.read_text("utf-8").splitlines():
        text, labels = line.split("\t")[:2]
        row = np.zeros(len(LABELS), np.float32)
        row[[int(n) for n in labels.split(",")]] = 1.0
        texts.append(text)
        rows.append(row)
    return texts, np.stack(rows)


def held_back(n: int) -> npt.NDArray[np.bool_]:
    """The tenth of the training rows that only thresholds and calibration see."""
    return np.random.default_rng(SEED).permutation(n) % HELD_BACK == 0


def read_politeness(file: Path) -> tuple[list[str], Table, npt.NDArray[np.bool_]]:
    """Requests, politeness as a share of the file's requests that are less polite, and which are held out."""
    with file.open(encoding="utf-8", newline="") as rows:
        found = list(csv.DictReader(rows))
    texts = [row["Request"] for row in found]
    score = np.asarray([float(row["Normalized Score"]) for row in found])
    return texts, percentile(score), np.asarray([is_held_out(row["Id"]) for row in found])


def percentile(score: npt.NDArray[Any]) -> Table:
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    return np.asarray(middle[inverse] / len(score), np.float32)


def is_held_out(name: str) -> bool:
    return zlib.crc32(name.encode()) % POLITE_HELD_BACK == 0


@dataclass(frozen=True)
class OwnTurn:
    text: str
    previous: tuple[str, ...]
    target: Table
    """Strength per state [5] or per behaviour [8]."""


def own_turns(turns: Sequence[LabelledTurn], channel: Channel) -> list[OwnTurn]:
    """The customer's turns with their states, or the agent's with their behaviours."""
    if channel is Channel.CUSTOMER:
        return [OwnTurn(t.text, t.previous, row(t.states, STATES)) for t in turns if t.channel is channel]
    return [OwnTurn(t.text, t.previous, row(t.behaviours, BEHAVIOURS)) for t in turns if t.channel is channel]


def row(strengths: Any, names: Sequence[str]) -> Table:
    return np.asarray([strengths.get(str(name), 0.0) for name in names], np.float32)


def read_lines(channel: Channel, file: Path = LINES) -> list[OwnTurn]:
    """Our single made-up lines of one channel: `who | label=strength … | text`."""
    names = STATES if channel is Channel.CUSTOMER else BEHAVIOURS
    found = []
    for line in file.read_text("utf-8").splitlines():
        if not line.startswith(f"{channel} "):
            continue
        _, labels, text = (part.strip() for part in line.split("|"))
        strengths = dict(label.split("=") for label in labels.split())
        found.append(OwnTurn(text, (), row({k: float(v) for k, v in strengths.items()}, names)))
    return found
