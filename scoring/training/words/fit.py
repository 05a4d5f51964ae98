"""Thresholds and calibrated stacks: the few numbers that are fitted on texts the networks never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.language_heads import Floats, sigmoid

from .data import Table

PRIOR_STRENGTH = 2.0
"""Pull of a stack's weights towards the plain mean of its opinions, in units of summed log-loss."""
BINS = 10


def best_thresholds(p: Floats, y: Table) -> Floats:
    """Per label, where F1 is best on these texts: midway between the best seen and the best expected.

    For a label with a dozen examples the best seen is luck; what a calibrated fit expects is steadier.
    On held-back train, cross-fitted: macro-F1 .521 midway, .514 best seen, .511 best expected.
    """
    z = np.log(np.clip(p, 1e-7, 1 - 1e-7)) - np.log(np.clip(1 - p, 1e-7, 1))
    return sigmoid(
        np.asarray([(seen(z[:, c], y[:, c]) + expected(z[:, c], y[:, c])) / 2 for c in range(y.shape[1])])
    )


def seen(z: Floats, y: Table) -> float:
    """The log-odds from which F1 was best, a little smoothed."""
    order = np.argsort(-z, kind="stable")
    f1 = 2 * np.cumsum(y[order]) / (np.arange(1, len(order) + 1) + y.sum())
    return float(z[order[int(np.argmax(np.convolve(f1, np.ones(5) / 5, "same")))]])


def expected(z: Floats, y: Table) -> float:
    """The log-odds from which F1 is best if calibrated probabilities hold."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0).fit(z[:, None], y > 0)
    chance = np.sort(model.predict_proba(z[:, None])[:, 1])[::-1]
    f1 = 2 * np.cumsum(chance) / (np.arange(1, len(chance) + 1) + chance.sum())
    cut = chance[int(np.argmax(f1))]
    return float((np.log(cut / (1 - cut)) - model.intercept_[0]) / model.coef_[0, 0])


def fit_stack(
    opinions: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    before: npt.NDArray[Any] | None = None,
    strength: float = PRIOR_STRENGTH,
    least: Sequence[float] | None = None,
) -> Floats:
    """Log-odds of k opinions [n, k] and truth [n] → k weights (at least `least`, or 0) and an offset.

    The weights are pulled towards `before` (the plain mean) with `strength`.
    """
    from scipy.optimize import minimize

    n, k = opinions.shape
    prior = np.full(k, 1.0 / k) if before is None else before

    def loss(w: npt.NDArray[Any]) -> tuple[float, npt.NDArray[Any]]:
        z = opinions @ w[:k] + w[k]
        pull = w[:k] - prior
        value = np.logaddexp(0, z).sum() - (truth * z).sum() + strength * k * (pull @ pull)
        wrong = sigmoid(z) - truth
        return float(value), np.append(opinions.T @ wrong + 2 * strength * k * pull, wrong.sum())

    start = np.append(prior, 0.0)
    bounds = [(low, 3.0) for low in (least or [0.0] * k)] + [(-8.0, 8.0)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return np.asarray(found.x, np.float32)


def fit_stacks(opinions: list[Floats], truth: Table, mix: Sequence[float] | None = None) -> Floats:
    """Opinions, each [n, outputs], and a 0/1 table [n, outputs] → [outputs, k + 1].

    With `mix` the opinions' shares are given and only slope and offset are fitted.
    """
    all_of = np.stack(opinions, axis=2).astype(float)
    if mix is None:
        return np.stack([fit_stack(all_of[:, c], truth[:, c]) for c in range(truth.shape[1])])
    one = (all_of * np.asarray(mix)).sum(2, keepdims=True)
    fitted = np.stack([fit_stack(one[:, c], truth[:, c]) for c in range(truth.shape[1])])
    return np.concatenate([fitted[:, :1] * np.asarray(mix), fitted[:, 1:]], axis=1).astype(np.float32)


def cross_fitted(
    opinions: list[Floats],
    truth: Table,
    groups: list[str],
    mix: Sequence[float] | None = None,
    folds: int = 5,
) -> Floats:
    """Probabilities for each text from stacks fitted without its scenario [n, outputs]."""
    names = sorted(set(groups))
    fold = np.asarray([names.index(group) % folds for group in groups])
    p = np.zeros(truth.shape, np.float32)
    for at in range(folds):
        rest, here = fold != at, fold == at
        weights = fit_stacks([o[rest] for o in opinions], truth[rest], mix)
        z = sum(weights[:, k] * o[here] for k, o in enumerate(opinions)) + weights[:, -1]
        p[here] = sigmoid(np.asarray(z))
    return p


def expected_error(p: Floats, truth: Table) -> dict[str, Any]:
    """Expected calibration error per output and over all, and what the most confident readings were worth."""
    per = [_error(p[:, c], truth[:, c]) for c in range(p.shape[1])]
    sure = p >= 0.7
    return {
        "ece": [round(e, 4) for e in per],
        "ece_all": round(_error(p.ravel(), truth.ravel()), 4),
        "sure": {
            "n": int(sure.sum()),
            "said": round(float(p[sure].mean()), 3) if sure.any() else None,
            "true": round(float(truth[sure].mean()), 3) if sure.any() else None,
        },
    }


def _error(p: Floats, truth: Table) -> float:
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    gaps = [abs(float(p[place == b].sum() - truth[place == b].sum())) for b in range(BINS)]
    return sum(gaps) / max(1, len(p))
