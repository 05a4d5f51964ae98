"""Training batches: a few clips each of several lines, so that a clip has others to be heard against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from scoring.training.voice.prepare import Material


class LineBatches(Dataset[dict[str, Tensor]]):
    """Item = one whole batch, a pure function of (seed, step): mel, targets and who hears whom.

    `hparams` gives steps, lines_per_batch, clips_per_line, line_weights, clean_share, crop_frames,
    full_share, p_unheard, p_same_emotion, seed and augment (for SpecAugment).
    """

    def __init__(self, material: Material, targets: np.ndarray, hparams: Mapping[str, Any]) -> None:
        self.material, self.targets, self.hparams = material, targets, hparams
        self.emotions = np.array([c.emotion for c in material.clips])
        self.members = [
            [np.flatnonzero(lines == line) for line in np.unique(lines)] for lines in material.lines
        ]
        weights = hparams["line_weights"]
        weight = np.array([weights.get(c.gender, 1.0) * weights.get(c.corpus, 1.0) for c in material.clips])
        self.shares = [_shares(np.array([weight[own].sum() for own in lines])) for lines in self.members]

    def __len__(self) -> int:
        return int(self.hparams["steps"])

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.hparams["seed"], 7, step])
        picked = [self._line(rng) for _ in range(self.hparams["lines_per_batch"])]
        frames = self._frames(step, rng)
        mel = np.stack([self._mel(copy, i, frames, rng) for copy, own in picked for i in own])
        clips = np.concatenate([own for _, own in picked])
        groups = np.repeat(np.arange(len(picked)), [len(own) for _, own in picked])
        return {
            "mel": torch.from_numpy(mel.astype(np.float32)),
            "target": torch.from_numpy(self.targets[clips]),
            "earlier": torch.from_numpy(self._earlier(groups, self.emotions[clips], rng)),
        }

    def _line(self, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """(copy, clips of one of its lines); copy 0, the clean one, on `clean_share` of draws."""
        copies = len(self.members)
        clean = copies == 1 or rng.random() < self.hparams["clean_share"]
        copy = 0 if clean else int(rng.integers(1, copies))
        lines = self.members[copy]
        line = lines[rng.choice(len(lines), p=self.shares[copy])]
        return copy, rng.permutation(line)[: self.hparams["clips_per_line"]]

    def _frames(self, step: int, rng: np.random.Generator) -> int:
        """Crop length of this batch: short ones cost less; the last `full_share` sees whole windows."""
        frames = int(self.material.copies[0].shape[2])
        if step >= (1 - self.hparams["full_share"]) * len(self):
            return frames
        low, high = self.hparams["crop_frames"]
        return min(frames, 4 * int(rng.integers(low // 4, high // 4 + 1)))

    def _mel(self, copy: int, clip: int, frames: int, rng: np.random.Generator) -> np.ndarray:
        whole = self.material.copies[copy][clip]
        start = int(rng.integers(0, whole.shape[1] - frames + 1))
        masked: np.ndarray = self.hparams["augment"].mask_mel(whole[:, start : start + frames], rng)
        return masked

    def _earlier(self, groups: np.ndarray, emotions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[batch, batch] 0/1: row i marks what had been heard of i's line before i; never i itself.

        Some rows are empty (the first window of a call), some hold only i's own emotion (a caller who has
        felt one thing all along), so that the difference alone never decides.
        """
        size = len(groups)
        heard = (groups[:, None] == groups[None, :]) & ~np.eye(size, dtype=bool)
        heard &= rng.random((size, size)) < rng.random((size, 1)) * 1.5
        same = rng.random(size) < self.hparams["p_same_emotion"]
        heard &= ~same[:, None] | (emotions[:, None] == emotions[None, :])
        heard &= rng.random((size, 1)) >= self.hparams["p_unheard"]
        return heard.astype(np.float32)


def _shares(weights: np.ndarray) -> np.ndarray:
    return np.asarray(weights / weights.sum())
