"""Fits the n-gram bags: hashed TF-IDF and one logistic regression per output, rounded to int8."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from scoring.language_heads import Floats, counts

from .data import SEED, Table

MIN_TEXTS = 4
FEATURES = {"labels": 45_000, "states": 6_000, "behaviours": 8_000, "politeness": 12_000}
LR_C = {"labels": 4.0, "states": 2.0, "behaviours": 2.0, "politeness": 1.0}


def fit_bag(name: str, texts: list[str], y: Table, weight: Floats | None = None) -> dict[str, Any]:
    """Fit on all n-grams, keep those that weigh most, fit again. `y` [n, outputs] is 0/1."""
    bags = [counts(text) for text in texts]
    df: Counter[int] = Counter(gram for bag in bags for gram in bag)
    kept = sorted(gram for gram, n in df.items() if n >= MIN_TEXTS)
    idf = inverse_frequency(df, kept, len(bags))
    weights, _ = fit_linear(matrix(bags, {g: n for n, g in enumerate(kept)}, idf), y, LR_C[name], weight)
    often = np.sqrt(np.asarray([df[gram] for gram in kept]))
    best = np.sort(np.argsort(-np.abs(weights).max(1) * idf * often)[: FEATURES[name]])
    print(f"{name}: {len(kept)} n-grams, keeping {len(best)}", flush=True)
    kept = [kept[n] for n in best]
    idf = inverse_frequency(df, kept, len(bags))
    weights, bias = fit_linear(matrix(bags, {g: n for n, g in enumerate(kept)}, idf), y, LR_C[name], weight)
    scale = np.maximum(np.abs(weights).max(0), 1e-9) / 127
    return {
        f"{name}_hashes": np.asarray(kept, np.uint32),
        f"{name}_idf": idf.astype(np.float16),
        f"{name}_weights": np.round(weights / scale).astype(np.int8),
        f"{name}_scale": scale,
        f"{name}_bias": bias,
    }


def matrix(bags: list[dict[int, int]], index: dict[int, int], idf: Floats) -> Any:
    """Sparse, sublinear, unit-length TF-IDF rows."""
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    data, columns, starts = [], [], [0]
    for bag in bags:
        for gram, count in bag.items():
            column = index.get(gram)
            if column is not None:
                columns.append(column)
                data.append((1.0 + np.log(count)) * idf[column])
        starts.append(len(columns))
    return normalize(csr_matrix((data, columns, starts), shape=(len(bags), len(index)), dtype=np.float32))


def inverse_frequency(df: Counter[int], kept: list[int], n: int) -> Floats:
    return np.asarray([np.log((1 + n) / (1 + df[gram])) + 1 for gram in kept], np.float32)


def fit_linear(x: Any, y: Table, c: float, weight: Floats | None = None) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression

    weights, bias = [], []
    for column in range(y.shape[1]):
        model = LogisticRegression(C=c, solver="liblinear", random_state=SEED)
        model.fit(x, y[:, column], sample_weight=weight)
        weights.append(model.coef_[0])
        bias.append(float(model.intercept_[0]))
    return np.asarray(weights, np.float32).T, np.asarray(bias, np.float32)
