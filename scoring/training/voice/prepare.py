"""Training material: labels, soft targets and cached log-mels of both splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scoring.training.data import DataError
from scoring.training.voice.clips import Archive, Clip, read_manifest
from scoring.training.voice.mels import archive_audio, lines_of, mels
from scoring.voice import EMOTIONS

# The manifest's `perceived_vote` letters (CREMA-D's codes); ties are joined by ":".
VOTES = {"A": "angry", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}


@dataclass(frozen=True)
class Material:
    """One split: its clips, one mel file per copy [clips, 80, frames] float16, who shares a line there."""

    clips: Sequence[Clip]
    copies: Sequence[np.ndarray]
    lines: Sequence[np.ndarray]
    """Per copy, a line number per clip."""


def prepare(hparams: dict[str, Any]) -> tuple[Material, Material]:
    """(train, validation), making what the cache does not hold. Copy 0 is clean, the others telephone.

    `corpora` limits both splits to those corpora; empty means all.
    """
    archive = Archive([Path(p) for p in hparams["audio"]])
    splits = {
        s: [c for c in read_manifest(Path(hparams["manifest"]), s)[0] if _wanted(c, hparams["corpora"])]
        for s in ("train", "val")
    }
    if not all(splits.values()):
        raise DataError(f"no clips of {hparams['corpora']} in {hparams['manifest']}; see its column `corpus`")
    check_speakers(splits["train"], splits["val"])
    val = _material(splits["val"], "val", 2, archive, hparams)
    train = _material(splits["train"], "train", 1 + hparams["telephone_copies"], archive, hparams)
    return train, val


def _wanted(clip: Clip, corpora: Sequence[str]) -> bool:
    return not corpora or clip.corpus in corpora


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
    folder = Path(hparams["mel_folder"]) / ("-".join(sorted(hparams["corpora"])) or "all")
    seeds = [hparams["seed"] + (0 if split == "train" else 1000) + copy for copy in range(copies)]
    per_line = [hparams["clips_per_line"] if copy else 0 for copy in range(copies)]
    lines = [
        lines_of(clips, per, np.random.default_rng([s, 0])) for per, s in zip(per_line, seeds, strict=True)
    ]
    audio = archive_audio(clips, archive)
    made = [
        mels(
            clips,
            audio,
            lines[copy],
            hparams["augment"] if copy else None,
            folder / f"{split}-{copy}.f16",
            seeds[copy],
        )
        for copy in range(copies)
    ]
    return Material(clips, made, lines)


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
