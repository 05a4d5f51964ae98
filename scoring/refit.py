"""Fits a site's correction (scoring/site.py) to its labelled turns; says what it would change, and for whom.

Penalised logistic regression towards the shipped reading (slope 1, offset 0, direction 0): with few labels
little moves. Held-out calls are chosen by a hash of seed and call, so no call is in both halves and a call
never changes sides as labels grow. Harmful behaviours are never fitted: heads alone accuse nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from .site import EDGE, Correction
from .types import DISTRESS, FELT, HELPING, Behaviour

Array = npt.NDArray[np.float64]
STATES = tuple(map(str, FELT))
BEHAVIOURS = (*map(str, HELPING), str(Behaviour.COURTESY))
FAMILIES: Mapping[str, tuple[str, ...]] = {"states": STATES, "behaviours": BEHAVIOURS}
NEEDS: Mapping[str, tuple[str, ...]] = {
    "states": tuple(map(str, DISTRESS)),
    "behaviours": tuple(map(str, HELPING)),
}
"""What a group must not be heard worse in: distress of callers, help of agents."""

# --- numbers an expert might argue with ---------------------------------------------------------------
HELD_OUT = 3
"""Tenths of the calls."""
LEAST_CALLS, LEAST_TURNS = 30, 200
LEAST_POSITIVE = 15
"""A label with fewer in the fitted half stays as shipped."""
SLOPE_PULL, OFFSET_PULL = 10.0, 1.0
"""Penalties on leaving the shipped reading, in turns' worth of log loss."""
DIRECTION_PULLS = (0.1, 1.0, 10.0, np.inf)
"""On unit vectors; tried by cross-validation, inf leaves them out."""
FOLDS = 3
LEAST_GROUP = 20
"""Turns with and without a need, each, before a group is compared."""
BINS = 10
DRAWS = 500


class TooFew(ValueError):
    """Not enough labels; the text says how many are lacking."""


@dataclass(frozen=True)
class Example:
    """One labelled turn. `shipped`: what the shipped model says of each label; `truth`: labels that hold."""

    call: str
    family: str
    shipped: Mapping[str, float]
    truth: frozenset[str]
    vector: npt.NDArray[np.float32]
    weight: float = 1.0
    groups: Mapping[str, str] = field(default_factory=dict)
    """Attribute (source, line, gender …) → group; an attribute not known is left out."""


@dataclass(frozen=True)
class Fit:
    correction: Correction
    fitted: tuple[str, ...]
    """Labels that moved; the others have too few examples."""
    figures: dict[str, Any]
    """By family, of the held-out calls: {"old": …, "new": …, "change": …}; old is what is shipped. With a
    correction in use also {"used": …, "used_change": …}."""
    bias: list[dict[str, Any]]
    """A row per family, attribute and group."""
    gaps: list[dict[str, Any]]
    """A row per family and attribute: the widest difference between groups, before and after."""
    counts: dict[str, int]


def is_held_out(call: str, seed: int) -> bool:
    return int(hashlib.sha256(f"{seed}:{call}".encode()).hexdigest()[:8], 16) % 10 < HELD_OUT


def fit(examples: Sequence[Example], adapters: str, seed: int = 0, used: Correction | None = None) -> Fit:
    """TooFew unless there is enough to fit and to hold out. The order of the examples does not matter.

    `used`: the correction in use, which this one would replace; it is held against that as well.
    """
    examples = sorted(examples, key=lambda e: (e.call, e.family, sorted(e.truth), e.vector.tobytes()))
    check(examples)
    inside = [e for e in examples if not is_held_out(e.call, seed)]
    outside = [e for e in examples if is_held_out(e.call, seed)]
    if len({e.call for e in outside}) < LEAST_CALLS // 5 or not inside:
        raise TooFew("Too few of these calls fall into the held-out part: label more calls.")
    size = len(examples[0].vector)
    moved = {}
    for family, labels in FAMILIES.items():
        rows = [e for e in inside if e.family == family]
        for label in labels:
            positive = sum(label in e.truth for e in rows)
            if positive >= LEAST_POSITIVE and len(rows) - positive >= LEAST_POSITIVE:
                moved[label] = fit_label(rows, label, seed)
    if not moved:
        raise TooFew(f"No label has {LEAST_POSITIVE} turns with it and without it among the fitted calls.")
    correction = Correction(
        tuple(moved),
        np.array([m[0] for m in moved.values()], np.float32),
        np.array([m[1] for m in moved.values()], np.float32),
        np.array([m[2] for m in moved.values()], np.float32).reshape(len(moved), size),
        adapters,
    )
    figures, bias = {}, []
    for family in FAMILIES:
        rows = [e for e in outside if e.family == family]
        if rows:
            figures[family] = compare(rows, family, correction, seed, used)
            bias += by_group(rows, family, correction, used)
    counts = {
        "turns": len(examples), "calls": len({e.call for e in examples}),
        "fitted_turns": len(inside), "held_out_turns": len(outside),
        "held_out_calls": len({e.call for e in outside}), "seed": seed,
    }  # fmt: skip
    return Fit(correction, tuple(moved), figures, bias, gaps_of(bias), counts)


def check(examples: Sequence[Example]) -> None:
    calls, turns = len({e.call for e in examples}), len(examples)
    if calls < LEAST_CALLS or turns < LEAST_TURNS:
        raise TooFew(
            f"{turns} labelled turns in {calls} calls: at least {LEAST_TURNS} in {LEAST_CALLS} are needed, "
            f"{max(0, LEAST_TURNS - turns)} turns and {max(0, LEAST_CALLS - calls)} calls are lacking."
        )


# --- fitting ------------------------------------------------------------------------------------------


def fit_label(rows: Sequence[Example], label: str, seed: int) -> tuple[float, float, Array]:
    """Slope, offset and direction of one label; how far the vectors count is chosen by cross-validation."""
    x, v, y, w = _arrays(rows, label)
    folds = np.array(
        [int(hashlib.sha256(f"fold {seed}:{e.call}".encode()).hexdigest()[:8], 16) % FOLDS for e in rows]
    )
    best, chosen = np.inf, np.inf
    for pull in reversed(DIRECTION_PULLS):
        lost = 0.0
        for fold in range(FOLDS):
            train, test = folds != fold, folds == fold
            if y[train].min() == y[train].max() or not test.any():
                continue
            found = solve(x[train], v[train], y[train], w[train], pull)
            lost += float(w[test] @ log_loss(predict(x[test], v[test], *found), y[test]))
        if lost < best - 1e-9:
            best, chosen = lost, pull
    return solve(x, v, y, w, chosen)


def _arrays(rows: Sequence[Example], label: str) -> tuple[Array, Array, Array, Array]:
    x = log_odds(np.array([e.shipped.get(label, 0.0) for e in rows]))
    v = np.stack([e.vector for e in rows]).astype(np.float64)
    y = np.array([label in e.truth for e in rows], float)
    return x, v, y, np.array([e.weight for e in rows])


def solve(x: Array, v: Array, y: Array, w: Array, pull: float) -> tuple[float, float, Array]:
    """Minimise weighted log loss + SLOPE_PULL (slope - 1)² + OFFSET_PULL offset² + pull |direction|²."""
    with_vectors = np.isfinite(pull)
    size = v.shape[1]

    def cost(theta: Array) -> tuple[float, Array]:
        slope, offset, direction = theta[0], theta[1], theta[2:]
        z = slope * x + offset + (v @ direction if with_vectors else 0.0)
        error = w * (1 / (1 + np.exp(-z)) - y)
        value = (
            float(w @ (np.logaddexp(0, z) - y * z)) + SLOPE_PULL * (slope - 1) ** 2 + OFFSET_PULL * offset**2
        )
        slopes = [error @ x + 2 * SLOPE_PULL * (slope - 1), error.sum() + 2 * OFFSET_PULL * offset]
        if not with_vectors:
            return value, np.array(slopes)
        value += pull * float(direction @ direction)
        return value, np.concatenate([slopes, v.T @ error + 2 * pull * direction])

    start = np.zeros(2 + size if with_vectors else 2)
    start[0] = 1.0
    bounds = [(0.1, 5.0)] + [(None, None)] * (len(start) - 1)
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    direction = found[2:] if with_vectors else np.zeros(size)
    return float(found[0]), float(found[1]), direction


def predict(x: Array, v: Array, slope: float, offset: float, direction: Array) -> Array:
    out: Array = 1 / (1 + np.exp(-(slope * x + offset + v @ direction)))
    return out


def log_odds(p: Array) -> Array:
    p = np.clip(p, EDGE, 1 - EDGE)
    out: Array = np.log(p / (1 - p))
    return out


def log_loss(p: Array, y: Array) -> Array:
    p = np.clip(p, EDGE, 1 - EDGE)
    out: Array = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    return out


# --- figures ------------------------------------------------------------------------------------------


def tables(rows: Sequence[Example], family: str, correction: Correction) -> tuple[Array, Array, Array]:
    """Shipped and corrected probabilities and truth, each [turns, labels]."""
    labels = FAMILIES[family]
    old = np.array([[e.shipped.get(label, 0.0) for label in labels] for e in rows])
    new = np.array(
        [[c[label] for label in labels] for e in rows for c in [_corrected(e, labels, correction)]]
    )
    truth = np.array([[label in e.truth for label in labels] for e in rows], float)
    return old, new, truth


def _corrected(example: Example, labels: Sequence[str], correction: Correction) -> dict[str, float]:
    whole = {label: example.shipped.get(label, 0.0) for label in labels}
    return correction.apply(whole, example.vector)


def compare(
    rows: Sequence[Example], family: str, correction: Correction, seed: int, used: Correction | None = None
) -> dict[str, Any]:
    old, new, truth = tables(rows, family, correction)
    calls = np.array([e.call for e in rows])
    score: Callable[[Array, Array], float] = uar_of_states if family == "states" else uar_of_behaviours
    told: dict[str, Any] = {
        "turns": len(rows),
        "calls": len(set(calls)),
        "old": figures_of(old, truth, family, score),
        "new": figures_of(new, truth, family, score),
        "change": change(old, new, truth, calls, score, seed),
    }
    if used is not None:
        now = tables(rows, family, used)[1]
        told["used"] = figures_of(now, truth, family, score)
        told["used_change"] = change(now, new, truth, calls, score, seed)
    return told


def figures_of(p: Array, truth: Array, family: str, score: Callable[[Array, Array], float]) -> dict[str, Any]:
    hit = decided(p, family)
    return {
        "uar": _rounded(score(p, truth)),
        "macro_f1": _rounded(macro_f1(hit, truth)),
        "log_loss": _rounded(float(log_loss(p, truth).mean())),
        "ece": _rounded(ece(p.ravel(), truth.ravel())),
        "recall": {
            label: _rounded(float(hit[truth[:, n] > 0, n].mean())) if truth[:, n].any() else None
            for n, label in enumerate(FAMILIES[family])
        },
        "n": {label: int(truth[:, n].sum()) for n, label in enumerate(FAMILIES[family])},
    }


def decided(p: Array, family: str) -> npt.NDArray[np.bool_]:
    """A caller is in one state, or in none; an agent may do several things at once."""
    hit = p >= 0.5
    if family == "states":
        hit &= p == p.max(axis=1, keepdims=True)
    return hit


def uar_of_states(p: Array, truth: Array) -> float:
    """Unweighted mean recall over the states that occur, calm among them."""
    hit = decided(p, "states")
    guess = np.where(hit.any(axis=1), hit.argmax(axis=1), truth.shape[1])
    real = np.where(truth.any(axis=1), truth.argmax(axis=1), truth.shape[1])
    recalls = [float((guess[real == label] == label).mean()) for label in np.unique(real)]
    return float(np.mean(recalls))


def uar_of_behaviours(p: Array, truth: Array) -> float:
    """Mean over behaviours of recall with it and recall without it, halved."""
    hit = decided(p, "behaviours")
    found = [balanced(hit[:, n], truth[:, n] > 0) for n in range(truth.shape[1])]
    known = [one for one in found if one is not None]
    return float(np.mean(known)) if known else float("nan")


def balanced(hit: npt.NDArray[np.bool_], real: npt.NDArray[np.bool_]) -> float | None:
    if not real.any() or real.all():
        return None
    return float((hit[real].mean() + (~hit[~real]).mean()) / 2)


def macro_f1(hit: npt.NDArray[np.bool_], truth: Array) -> float:
    found = []
    for n in range(truth.shape[1]):
        real = truth[:, n] > 0
        if real.any():
            found.append(2 * float((hit[:, n] & real).sum()) / float(hit[:, n].sum() + real.sum()))
    return float(np.mean(found)) if found else float("nan")


def ece(p: Array, y: Array) -> float:
    """Expected calibration error over BINS equal steps (Naeini et al. 2015)."""
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    total = 0.0
    for n in range(BINS):
        inside = place == n
        if inside.any():
            total += inside.mean() * abs(p[inside].mean() - y[inside].mean())
    return float(total)


def change(
    old: Array,
    new: Array,
    truth: Array,
    calls: npt.NDArray[Any],
    score: Callable[[Array, Array], float],
    seed: int,
) -> dict[str, Any]:
    """New less old, with a 95 % interval from drawing calls again."""
    names, place = np.unique(calls, return_inverse=True)
    members = [np.flatnonzero(place == n) for n in range(len(names))]
    rng = np.random.default_rng(seed)
    uars, losses = [], []
    for _ in range(DRAWS):
        drawn = np.concatenate([members[n] for n in rng.integers(len(members), size=len(members))])
        uars.append(score(new[drawn], truth[drawn]) - score(old[drawn], truth[drawn]))
        losses.append(
            float(log_loss(new[drawn], truth[drawn]).mean() - log_loss(old[drawn], truth[drawn]).mean())
        )
    return {
        "uar": _rounded(score(new, truth) - score(old, truth)),
        "uar_interval": [_rounded(float(x)) for x in np.nanpercentile(uars, [2.5, 97.5])],
        "log_loss": _rounded(float(log_loss(new, truth).mean() - log_loss(old, truth).mean())),
        "log_loss_interval": [_rounded(float(x)) for x in np.percentile(losses, [2.5, 97.5])],
    }


def _rounded(value: float) -> float | None:
    return None if value != value else round(value, 4)


# --- for whom -----------------------------------------------------------------------------------------


def by_group(
    rows: Sequence[Example], family: str, correction: Correction, used: Correction | None = None
) -> list[dict[str, Any]]:
    """Per attribute and group: how well needs are heard, (recall with + recall without) / 2, old and new."""
    old, new, truth = tables(rows, family, correction)
    of_need = [FAMILIES[family].index(label) for label in NEEDS[family]]
    real = np.asarray(truth[:, of_need].any(axis=1))
    readings = {"old": old, "new": new}
    if used is not None:
        readings["used"] = tables(rows, family, used)[1]
    hits = {name: np.asarray((p[:, of_need] >= 0.5).any(axis=1)) for name, p in readings.items()}
    found = []
    for attribute in sorted({name for e in rows for name in e.groups}):
        for group in sorted({e.groups[attribute] for e in rows if attribute in e.groups}):
            inside = np.array([e.groups.get(attribute) == group for e in rows])
            few = min(int((real & inside).sum()), int((~real & inside).sum())) < LEAST_GROUP
            heard = {name: balanced(hit[inside], real[inside]) for name, hit in hits.items()}
            row = {
                "family": family,
                "attribute": attribute,
                "group": group,
                "turns": int(inside.sum()),
                "few": few,
            }
            told = {name: None if few or one is None else round(one, 4) for name, one in heard.items()}
            found.append(row | told)
    return found


def gaps_of(bias: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The widest difference between comparable groups; none where fewer than two can be compared."""
    found = []
    for family, attribute in dict.fromkeys((row["family"], row["attribute"]) for row in bias):
        rows = [
            r for r in bias if (r["family"], r["attribute"]) == (family, attribute) and r["old"] is not None
        ]
        gap: dict[str, Any] = {
            "family": family,
            "attribute": attribute,
            "groups": len(rows),
            "old": None,
            "new": None,
        }
        if len(rows) > 1:
            worst = min(rows, key=lambda r: r["new"])
            for name in {"old", "new", "used"} & rows[0].keys():
                gap[name] = round(max(r[name] for r in rows) - min(r[name] for r in rows), 4)
            gap["worst"] = worst["group"]
        found.append(gap)
    return found


BASES = (("change", "old", "what is shipped"), ("used_change", "used", "what is in use"))
"""What a fit is held against: its keys in figures and gaps, and in words."""


def refusals(figures: Mapping[str, Any], gaps: Sequence[Mapping[str, Any]], most: float) -> list[str]:
    """Why this fit must not be switched to; none: it may. Held against what is shipped and what is in use."""
    found = []
    for change_name, name, words in BASES:
        for family, told in figures.items():
            if (changed := told.get(change_name)) and changed["log_loss"] > 0:
                by = f"{changed['log_loss']:.4f}"
                found.append(f"{family}: log loss on held-out calls is worse than {words} by {by}.")
        for gap in gaps:
            if gap.get(name) is not None and gap["new"] > gap[name] + most:
                found.append(
                    f"{gap['family']} by {gap['attribute']}: the gap between groups widens from "
                    f"{gap[name]:.3f} ({words}) to {gap['new']:.3f}, more than {most:.3f}; "
                    f"worst off is {gap['worst']}."
                )
    return found


def too_small(bias: Sequence[Mapping[str, Any]]) -> list[str]:
    """Groups of which nothing can be said: too few turns are held out."""
    return sorted({f"{row['attribute']}: {row['group']}" for row in bias if row["few"]})
