"""Recipe for weights/language/heads.npz: `python -m scoring.training.language --data FOLDER`.

GoEmotions train (CC BY 4.0) only; a tenth of it is kept back for thresholds and calibration, and
dev is touched only by `scoring.evaluate`. Fixed seeds. About five minutes on one core, most of it
spent on MiniLM vectors, which `--cache` keeps.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.language_heads import (
    LABELS,
    STATE_LABELS,
    STATES,
    WEIGHTS,
    Floats,
    Heads,
    counts,
    group_logits,
)

SEED = 7
HELD_BACK = 10
MIN_TEXTS = 4
FEATURES = 45_000
LR_C = 4.0
HIDDEN = 256
EPOCHS = 14
VERSION = "goemotions-tfidf+minilm/1"

Table = npt.NDArray[np.float32]


def read_goemotions(file: Path) -> tuple[list[str], Table]:
    """Texts and a 0/1 table [n, 28]."""
    texts, rows = [], []
    for line in file.read_text("utf-8").splitlines():
        text, labels, _ = line.split("\t")
        row = np.zeros(len(LABELS), np.float32)
        row[[int(n) for n in labels.split(",")]] = 1.0
        texts.append(text)
        rows.append(row)
    return texts, np.stack(rows)


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


def fit_linear(x: Any, y: Table) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression

    weights, bias = [], []
    for column in range(y.shape[1]):
        model = LogisticRegression(C=LR_C, solver="liblinear", random_state=SEED)
        model.fit(x, y[:, column])
        weights.append(model.coef_[0])
        bias.append(float(model.intercept_[0]))
    return np.asarray(weights, np.float32).T, np.asarray(bias, np.float32)


def train_tfidf(texts: list[str], y: Table) -> dict[str, Any]:
    """Fit on all n-grams, keep the FEATURES that weigh most, fit again, round to int8."""
    bags = [counts(text) for text in texts]
    df: Counter[int] = Counter(gram for bag in bags for gram in bag)
    kept = sorted(gram for gram, n in df.items() if n >= MIN_TEXTS)
    idf = inverse_frequency(df, kept, len(bags))
    weights, _ = fit_linear(matrix(bags, {g: n for n, g in enumerate(kept)}, idf), y)
    often = np.sqrt(np.asarray([df[gram] for gram in kept]))
    best = np.sort(np.argsort(-np.abs(weights).max(1) * idf * often)[:FEATURES])
    print(f"tf-idf: {len(kept)} n-grams, keeping {len(best)}", flush=True)
    kept = [kept[n] for n in best]
    idf = inverse_frequency(df, kept, len(bags))
    weights, bias = fit_linear(matrix(bags, {g: n for n, g in enumerate(kept)}, idf), y)
    scale = np.abs(weights).max(0) / 127
    return {
        "hashes": np.asarray(kept, np.uint32),
        "idf": idf.astype(np.float16),
        "weights": np.round(weights / scale).astype(np.int8),
        "scale": scale,
        "bias": bias,
    }


def train_network(vectors: Floats, y: Table) -> dict[str, Any]:
    import torch
    from torch import nn

    torch.manual_seed(SEED)
    net = nn.Sequential(
        nn.Linear(vectors.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.4), nn.Linear(HIDDEN, y.shape[1])
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
    x, target = torch.from_numpy(vectors), torch.from_numpy(y)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(256):
            optimiser.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(net(x[rows]), target[rows]).backward()
            optimiser.step()
    half = {name: t.detach().numpy().astype(np.float16) for name, t in net.state_dict().items()}
    return {
        "hidden_w": half["0.weight"].T,
        "hidden_b": half["0.bias"],
        "out_w": half["3.weight"].T,
        "out_b": half["3.bias"],
    }


def best_thresholds(p: Floats, y: Table) -> Floats:
    """Per label, the threshold with the best F1 on the held-back texts."""
    grid = np.arange(0.04, 0.7, 0.01)
    found = []
    for column in range(y.shape[1]):
        truth = y[:, column] > 0
        said = p[:, column][:, None] >= grid
        hits = (said & truth[:, None]).sum(0)
        found.append(grid[np.argmax(2 * hits / np.maximum(said.sum(0) + truth.sum(), 1))])
    return np.asarray(found, np.float32)


def fit_platt(labels: Floats, y: Table) -> Floats:
    """Slope and offset per state that make the grouped log-odds calibrated [5, 2]."""
    from sklearn.linear_model import LogisticRegression

    logits, rows = group_logits(labels), []
    for n, state in enumerate(STATES):
        truth = y[:, [LABELS.index(name) for name in STATE_LABELS[state]]].max(1)
        model = LogisticRegression(C=1e4).fit(logits[:, [n]], truth)
        rows.append((model.coef_[0, 0], model.intercept_[0]))
    return np.asarray(rows, np.float32)


def vectors_of(texts: list[str], cache: Path | None) -> Floats:
    if cache is not None and cache.exists():
        return np.asarray(np.load(cache), np.float32)
    from scoring.language import load_encoder

    encoder = load_encoder()
    if encoder is None:
        raise SystemExit("the minilm-l6 weights are not here: see scoring/assets.py")
    vectors = encoder.encode(texts, batch=64)
    if cache is not None:
        np.save(cache, vectors)
    return vectors


def train(data: Path, cache: Path | None, out: Path) -> None:
    texts, y = read_goemotions(data / "train.tsv")
    vectors = vectors_of(texts, cache)
    held = np.random.default_rng(SEED).permutation(len(texts)) % HELD_BACK == 0
    fit, kept_back = np.flatnonzero(~held), np.flatnonzero(held)
    arrays = train_tfidf([texts[n] for n in fit], y[fit]) | train_network(vectors[fit], y[fit])
    blank = {
        f"{name}_{way}": np.tile(np.float32([1, 0]), (len(STATES), 1))
        for name in ("platt", "thresholds")
        for way in ("tfidf", "both")
    }
    heads = Heads.from_arrays(arrays | blank | {"version": VERSION})
    held_texts = [texts[n] for n in kept_back]
    for way, seen in (("tfidf", None), ("both", vectors[kept_back])):
        p = heads.labels(held_texts, seen)
        arrays[f"thresholds_{way}"] = best_thresholds(p, y[kept_back])
        arrays[f"platt_{way}"] = fit_platt(p, y[kept_back])
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, version=np.str_(VERSION), **arrays)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with GoEmotions train.tsv")
    parser.add_argument("--cache", type=Path, help="keep the MiniLM vectors in this .npy file")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    train(args.data, args.cache, args.out)


if __name__ == "__main__":
    main()
