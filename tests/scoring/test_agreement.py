"""Kappa by hand, by scikit-learn, and on simulated raters."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from scoring.agreement import ENOUGH_CALLS, Pair, agreement, kappas


def pairs_of(first: list[int], second: list[int]) -> list[Pair]:
    return [Pair(n, a, b) for n, (a, b) in enumerate(zip(first, second, strict=True))]


def test_by_hand() -> None:
    """Ten pairs off by one of twenty: seen 10; margins (10, 10, 0) and (0, 20, 0) expect 10: no better than chance."""
    found = agreement(pairs_of([0] * 10 + [1] * 10, [1] * 20))
    assert found.kappa == 0.0 and found.n == found.calls == 20
    assert agreement(pairs_of([0, 2] * 10, [0, 2] * 10)).kappa == 1.0
    assert agreement(pairs_of([0, 2] * 10, [2, 0] * 10)).kappa == -1.0


def test_as_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 3, 200).tolist(), rng.integers(0, 3, 200).tolist()
    known = cohen_kappa_score(first, second, weights="quadratic")
    assert agreement(pairs_of(first, second)).kappa == pytest.approx(known)


def test_few_and_one_sided_claim_nothing() -> None:
    assert agreement([]).few and agreement([]).kappa is None
    few = agreement(pairs_of([0] * (ENOUGH_CALLS - 1), [0] * (ENOUGH_CALLS - 1)))
    assert few.few and few.kappa is None
    same = agreement(pairs_of([1] * 40, [1] * 40))
    assert same.kappa is None and not same.few and same.low is None
    assert agreement([Pair("one call", 0, 0), Pair("one call", 2, 2)] * 50).few


def test_the_interval_covers_the_truth() -> None:
    """Raters who copy with probability 0.6 and else guess have kappa 0.6."""
    rng, hit = np.random.default_rng(8), 0
    for seed in range(60):
        first = rng.integers(0, 3, 120)
        second = np.where(rng.random(120) < 0.6, first, rng.integers(0, 3, 120))
        found = agreement(pairs_of(first.tolist(), second.tolist()), seed)
        assert found.low is not None and found.high is not None and found.low < found.high
        hit += found.low <= 0.6 <= found.high
    assert hit >= 52


def test_the_interval_is_the_same_each_time_and_widens_by_call() -> None:
    rng = np.random.default_rng(4)
    calls = np.repeat(np.arange(30), 4)
    first = rng.integers(0, 3, 30)
    second = np.where(rng.random(30) < 0.5, first, 2 - first)
    alone = [Pair(int(c), int(first[c]), int(second[c])) for c in calls]
    spread = [Pair(n, p.first, p.second) for n, p in enumerate(alone)]
    by_call, by_pair = agreement(alone), agreement(spread)
    assert by_call == agreement(alone) and by_call.kappa == by_pair.kappa
    assert by_call.high - by_call.low > 1.5 * (by_pair.high - by_pair.low)  # type: ignore[operator]


def test_an_empty_table_is_no_number() -> None:
    assert np.isnan(kappas(np.zeros((1, 3, 3)))).all()
