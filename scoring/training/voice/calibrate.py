"""Fit temperature and class offsets on held-out speakers, and say how well they hold on others."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from scoring.voice_network import Calibration


def fit(logits: Tensor, truth: Tensor, hparams: dict[str, Any], offsets: bool = True) -> Calibration:
    """Maximum likelihood of the intended classes `truth` [n] given logits [n, 6]; offsets pulled to 0."""
    calibration = Calibration(logits.shape[1])
    calibration.offsets.requires_grad_(offsets)
    trained = [p for p in calibration.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=hparams["calibration_lr"])
    for _ in range(hparams["calibration_steps"]):
        optimiser.zero_grad()
        loss = F.cross_entropy(calibration(logits), truth)
        loss = loss + hparams["calibration_offset_l2"] * calibration.offsets.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        calibration.offsets -= calibration.offsets.mean()
    return calibration.requires_grad_(False)


def cross_fitted(
    logits: Tensor, truth: Tensor, speakers: np.ndarray, hparams: dict[str, Any], offsets: bool
) -> np.ndarray:
    """Probabilities [n, 6] where each speaker's calibration was fitted on the other folds' speakers."""
    names = np.unique(speakers)
    fold_of = {s: i % hparams["calibration_folds"] for i, s in enumerate(names)}
    folds = np.array([fold_of[s] for s in speakers])
    probs = np.zeros(tuple(logits.shape))
    for fold in np.unique(folds):
        held = torch.from_numpy(folds == fold)
        calibration = fit(logits[~held], truth[~held], hparams, offsets)
        probs[folds == fold] = calibration(logits[held]).softmax(dim=1).numpy()
    return probs


def nll(probs: np.ndarray, truth: np.ndarray) -> float:
    """Mean negative log-likelihood, nats."""
    return float(-np.log(probs[np.arange(len(truth)), truth] + 1e-12).mean())
