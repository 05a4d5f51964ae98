"""How far raters agree: quadratic-weighted kappa over an ordinal scale, with a bootstrap interval by call."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

LEVELS = 3
ENOUGH_CALLS = 20
"""From fewer calls no kappa is told."""
DRAWS = 1000
TAIL = 2.5
"""Percent left out at either end of the interval."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two ratings (0 to LEVELS - 1) of one behaviour in one call."""

    call: Hashable
    first: int
    second: int


@dataclass(frozen=True)
class Agreement:
    n: int
    """Pairs."""
    calls: int
    kappa: float | None
    """None: too few calls, or both raters gave one and the same value throughout."""
    low: float | None = None
    high: float | None = None
    few: bool = False


def agreement(pairs: Sequence[Pair], seed: int = 0) -> Agreement:
    """Calls, not pairs, are drawn again: pairs of one call are not independent."""
    tables = tables_of(pairs)
    n, calls = len(pairs), len(tables)
    if calls < ENOUGH_CALLS:
        return Agreement(n, calls, None, few=True)
    kappa = float(kappas(tables.sum(axis=0)[None])[0])
    if np.isnan(kappa):
        return Agreement(n, calls, None)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(calls, np.full(calls, 1 / calls), size=DRAWS)
    drawn = kappas(np.einsum("dc,cij->dij", counts.astype(float), tables))
    low, high = np.nanpercentile(drawn, [TAIL, 100 - TAIL])
    return Agreement(n, calls, kappa, float(low), float(high))


def tables_of(pairs: Sequence[Pair]) -> Floats:
    """Counts [calls, first, second]."""
    places = {call: at for at, call in enumerate(dict.fromkeys(p.call for p in pairs))}
    tables = np.zeros((len(places), LEVELS, LEVELS))
    for pair in pairs:
        tables[places[pair.call], pair.first, pair.second] += 1
    return tables


def kappas(tables: Floats) -> Floats:
    """Quadratic-weighted kappa of each table [n, first, second] (Cohen 1968); NaN without chance."""
    level = np.arange(LEVELS)
    distance = (level[:, None] - level[None]) ** 2.0
    total = np.maximum(tables.sum(axis=(1, 2)), 1.0)
    expected = np.einsum("ni,nj->nij", tables.sum(axis=2), tables.sum(axis=1)) / total[:, None, None]
    seen, chance = (tables * distance).sum(axis=(1, 2)), (expected * distance).sum(axis=(1, 2))
    out: Floats = np.full_like(seen, np.nan)
    np.divide(seen, chance, out=out, where=chance > 0)
    return 1.0 - out


def wilson(part: int, whole: int, z: float = 1.96) -> tuple[float, float] | None:
    """Wilson's score interval of a share (Wilson 1927); 95 % by default."""
    if not whole:
        return None
    p, n = part / whole, float(whole)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return round(middle - half, 3), round(middle + half, 3)
