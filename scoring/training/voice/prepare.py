"""Training material: labels, soft targets and cached features of both splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scoring.training.data import DataError
from scoring.training.voice.clips import Archive, Clip, read_manifest
from scoring.training.voice.features import extract
from scoring.voice import EMOTIONS

# The manifest's `perceived_vote` letters (CREMA-D's codes); ties are joined by ":".
VOTES = {"A": "angry", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}


@dataclass(frozen=True)
class Material:
    """One split: its clips and one feature file per copy, each [clips, states, time, width] float16."""

    clips: Sequence[Clip]
    copies: Sequence[np.ndarray]


def prepare(hparams: dict[str, Any]) -> tuple[Material, Material]:
    """(train, validation), extracting what the cache does not hold. Copy 0 is clean, the others telephone."""
    archive = Archive([Path(p) for p in hparams["audio"]])
    splits = {s: read_manifest(Path(hparams["manifest"]), s)[0] for s in ("train", "val")}
    check_speakers(splits["train"], splits["val"])
    val = _material(splits["val"], "val", 2, archive, hparams)
    train = _material(splits["train"], "train", 1 + hparams["telephone_copies"], archive, hparams)
    return train, val


def check_speakers(train: Sequence[Clip], val: Sequence[Clip]) -> None:
    """DataError if anybody speaks in both splits: every figure would be wrong."""
    both = {c.speaker for c in train} & {c.speaker for c in val}
    if both:
        raise DataError(
            f"speakers in both splits: {', '.join(sorted(both)[:5])}; split the manifest by speaker"
        )


def _material(
    clips: list[Clip], split: str, copies: int, archive: Archive, hparams: dict[str, Any]
) -> Material:
    if missing := archive.missing(c.file for c in clips):
        raise DataError(f"{len(missing)} clips of the manifest are in no audio source, first {missing[0]}")
    folder, offset = Path(hparams["feature_folder"]), 0 if split == "train" else 1000
    return Material(
        clips,
        [
            extract(
                clips,
                archive,
                hparams["backbone"],
                hparams["augment"] if copy else None,
                folder / f"{split}-{copy}.f16",
                hparams["seed"] + offset + copy,
            )
            for copy in range(copies)
        ],
    )


def soft_targets(clips: Sequence[Clip], vote_weight: float) -> np.ndarray:
    """[clips, 6]: the intended emotion, mixed with what listeners heard where that is known."""
    intended = np.zeros((len(clips), len(EMOTIONS)), dtype=np.float32)
    heard = intended.copy()
    for i, clip in enumerate(clips):
        intended[i, EMOTIONS.index(clip.emotion)] = 1.0
        votes = [VOTES[v] for v in clip.vote.split(":") if v in VOTES] or [clip.emotion]
        for vote in votes:
            heard[i, EMOTIONS.index(vote)] += 1.0 / len(votes)
    return (1.0 - vote_weight) * intended + vote_weight * heard


def class_weights(targets: np.ndarray) -> np.ndarray:
    """[6], inverse to how much target mass a class has, mean 1 over the clips' mass."""
    share = targets.mean(axis=0)
    return np.asarray(1.0 / (share * len(share)), dtype=np.float32)
