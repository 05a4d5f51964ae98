"""Loyalty outlook (SCIENCE §6): peak and end of the caller's states, what stayed unresolved, what was said.

A prior with reasons. `fit_outlook` learns from a site's own outcomes and says how far it can be believed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .agreement import wilson
from .rubric import OutlookRules, RubricSpec
from .states import Feeling, Trace
from .types import DISTRESS, Alignment, Contribution, Cue, Loyalty, Outlook, State

FEATURES = ("peak", "end", "unresolved", "leave", "complaint", "person", "thanks", "recommend")
SIGNS = dict(zip(FEATURES, (1, 1, -1, -1, -1, -1, 1, 1), strict=True))
THREATS = {"rule:escalation-leave": "leave", "rule:escalation-complaint": "complaint"}
THANKS = ("rule:delighted", "rule:warm-thanks")
CLEAR_END = 0.2
"""From here on, either way, a call has ended well or badly."""
END_TURNS = 2
END_WORDS = 3
"""Shorter closing turns ("bye now") say nothing of the end."""
WORTH_TELLING = 0.03
FOLDS = 5
RIDGE = 1.0
MIN_OUTCOMES = 60
MIN_EACH = 15
MAX_ECE = 0.1
"""Calibration error, cross-validated, up to which a fit is called calibrated."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """One reading that speaks for or against the relationship."""

    name: str
    value: float
    t_ms: int
    text: str
    turn_start_ms: int | None = None


def outlook(felt: Trace, fit: Alignment, rubric: RubricSpec, fitted: OutlookFit | None = None) -> Outlook:
    """At risk, steady or strengthened. With few turns always steady, and never very sure."""
    rules, n = rubric.outlook, len(felt.feelings)
    if not n:
        return Outlook()
    said = readings(felt, fit, rubric)
    features = dict.fromkeys(FEATURES, 0.0) | {s.name: round(s.value, 4) for s in said}
    parts = [(s, SIGNS[s.name] * float(getattr(rules, s.name)) * s.value) for s in said]
    score = math.tanh(sum(part for _, part in parts))
    used = fitted if fitted is not None and fitted.calibrated else None
    chance = used.probability(features) if used else None
    if used and chance is not None:
        score = against_usual(chance, used.usual)
    reasons = tuple(
        Contribution(s.t_ms, "outlook", round(part, 3), 0.5, "words", s.text, s.turn_start_ms)
        for s, part in sorted(parts, key=lambda p: (-abs(p[1]), p[0].name))
        if abs(part) >= WORTH_TELLING
    )
    status = status_of(score, n, rules)
    return Outlook(
        status=status,
        confidence=sureness(score, n, rules),
        score=round(score, 3),
        calibrated=used is not None,
        chance=None if chance is None else round(chance, 3),
        fit=used.name if used else "",
        reasons=reasons,
        features=features,
    )


def against_usual(chance: float, usual: float) -> float:
    """-1 to 1: 0 where a good outcome is as likely as it usually is; 2 · chance - 1 where that is one half.

    Most outcomes of most sites are good: against one half hardly a call would ever be at risk.
    """
    return math.tanh((_log_odds(chance) - _log_odds(usual)) / 2)


def _log_odds(p: float) -> float:
    p = min(1 - 1e-6, max(1e-6, p))
    return math.log(p / (1 - p))


def prior_chance(features: Mapping[str, float], rules: OutlookRules) -> float:
    """The shipped score of a call from its features, moved from -1…1 to 0…1: to be held against outcomes."""
    score = math.tanh(sum(SIGNS[n] * float(getattr(rules, n)) * features.get(n, 0.0) for n in FEATURES))
    return (1 + score) / 2


def status_of(score: float, turns: int, rules: OutlookRules) -> Loyalty:
    if turns < rules.min_turns or abs(score) < rules.threshold:
        return Loyalty.STEADY
    return Loyalty.STRENGTHENED if score > 0 else Loyalty.AT_RISK


def sureness(score: float, turns: int, rules: OutlookRules) -> float:
    """Ceiling x evidence x distance from the nearest threshold."""
    evidence = turns / (turns + rules.evidence_turns) if turns else 0.0
    distance = min(1.0, abs(abs(score) - rules.threshold) / max(0.05, rules.threshold))
    return round(rules.ceiling * evidence * (0.5 + 0.5 * distance), 3)


def readings(felt: Trace, fit: Alignment, rubric: RubricSpec) -> list[Said]:
    """What the outlook is made of, each at most once: its strongest occurrence."""
    rules, feelings = rubric.outlook, felt.feelings
    value = {id(f): valence(f, rules) for f in feelings}
    low = min(feelings, key=lambda f: value[id(f)])
    high = max(feelings, key=lambda f: value[id(f)])
    peak = min(0.0, value[id(low)]) + max(0.0, value[id(high)])
    told = [f for f in feelings if len(f.turn.text.split()) >= END_WORDS] or list(feelings)
    last = told[-END_TURNS:]
    end = sum(value[id(f)] for f in last) / len(last)
    worst = low if peak < 0 else high
    found = [
        Said("peak", peak, worst.turn.end_ms, f"at its strongest: {named(worst, peak)}", worst.turn.start_ms),
        Said("end", end, last[-1].turn.end_ms, f"at the end: {named(last[-1], end)}", last[-1].turn.start_ms),
    ]
    settled = [(e, e.fit) for e in fit.events if e.fit is not None]
    open_ones = [e for e, met in settled if e.recovery_ms is None and met < rubric.alignment.met]
    if open_ones:
        text = f"{len(open_ones)} of {len(settled)} opportunities neither met nor recovered"
        weight = sum(float(getattr(rules, str(e.state))) for e in open_ones) / len(settled)
        found.append(Said("unresolved", min(1.0, weight), open_ones[-1].t_ms, text))
    return found + explicit(feelings, end, rules)


def valence(feeling: Feeling, rules: OutlookRules) -> float:
    """-1 to 1: satisfaction less the distress that weighs most on the relationship."""
    weights = {s: float(getattr(rules, str(s))) for s in DISTRESS}
    bad = max(weights[s] * feeling.fused[s] for s in DISTRESS)
    good = feeling.fused[State.SATISFACTION]
    return max(-1.0, min(1.0, good - bad))


def named(feeling: Feeling, value: float) -> str:
    if abs(value) < CLEAR_END:
        return "calm or mixed"
    return "satisfied" if value > 0 else str(feeling.state)


def explicit(feelings: Sequence[Feeling], end: float, rules: OutlookRules) -> list[Said]:
    """Cancel, leave, complaint, supervisor; thanks and recommending: the strongest words for each."""
    best: dict[str, Said] = {}
    for feeling in feelings:
        for cue in feeling.turn.cues:
            name = meaning(cue)
            if name is None:
                continue
            against = SIGNS[name] * end <= -CLEAR_END
            value = cue.strength * (rules.faded if against else 1.0)
            if name not in best or value > best[name].value:
                text = f"said “{cue.quote}”" + (", but the call ended otherwise" if against else "")
                best[name] = Said(name, value, feeling.turn.end_ms, text, feeling.turn.start_ms)
    return [best[name] for name in sorted(best)]


def meaning(cue: Cue) -> str | None:
    """Which explicit feature a cue of the caller's words stands for."""
    if cue.label == "escalation":
        return THREATS.get(cue.source, "person")
    if cue.label == "loyalty":
        return "recommend"
    return "thanks" if cue.label == State.SATISFACTION and cue.source in THANKS else None


# --- when a site has outcomes -------------------------------------------------------------------


@dataclass(frozen=True)
class Reliability:
    """One bin of predictions: what they said, and what came."""

    low: float
    high: float
    n: int
    predicted: float
    observed: float
    interval: tuple[float, float]
    """Of what was observed: 95 %, Wilson's."""


@dataclass(frozen=True)
class Judged:
    """Predictions held against outcomes that they have not seen."""

    n: int
    good: int
    auc: float
    brier: float
    ece: float
    """Expected calibration error over the bins of `reliability`."""
    reliability: tuple[Reliability, ...]


@dataclass(frozen=True)
class OutlookFit:
    """A logistic fit to outcomes (1: stayed, satisfied, promoter; 0: not) and what it is worth."""

    weights: Mapping[str, float]
    bias: float
    n: int
    good: int
    auc: float | None
    brier: float | None
    ece: float | None
    """Expected calibration error of the cross-validated predictions."""
    reliability: tuple[Reliability, ...]
    calibrated: bool
    reason: str
    """Why it is, or is not, called calibrated."""
    name: str = ""

    @property
    def usual(self) -> float:
        """Share of good outcomes."""
        return self.good / self.n if self.n else 0.5

    def probability(self, features: Mapping[str, float]) -> float:
        x = self.bias + sum(w * features.get(name, 0.0) for name, w in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, x))))


def fit_outlook(features: Sequence[Mapping[str, float]], outcomes: Sequence[int]) -> OutlookFit:
    """Ridge logistic regression, judged by FOLDS-fold cross-validation (split by order within each class).

    ValueError when the two differ in length or an outcome is not 0 or 1. With too few outcomes, or a
    calibration error over MAX_ECE, it says so and `calibrated` is False.
    """
    x, y = arrays(features, outcomes)
    n, good = len(y), int(y.sum())
    if n < MIN_OUTCOMES or min(good, n - good) < MIN_EACH:
        reason = (
            f"{n} outcomes, {min(good, n - good)} of the rarer kind; {MIN_OUTCOMES} and {MIN_EACH} are needed"
        )
        zeros = dict.fromkeys(FEATURES, 0.0)
        return OutlookFit(zeros, 0.0, n, good, None, None, None, (), False, reason)
    judged = judge(cross_validated(x, y), y)
    weights = logistic(x, y)
    fine = judged.ece <= MAX_ECE and judged.auc > 0.5
    reason = (
        f"cross-validated on {n} outcomes: calibration error {judged.ece:.0%} (limit {MAX_ECE:.0%}), "
        f"AUC {judged.auc:.2f}"
    )
    return OutlookFit(
        weights={name: round(float(w), 4) for name, w in zip(FEATURES, weights[1:], strict=True)},
        bias=round(float(weights[0]), 4),
        n=n,
        good=good,
        auc=judged.auc,
        brier=judged.brier,
        ece=judged.ece,
        reliability=judged.reliability,
        calibrated=fine,
        reason=reason,
    )


def held_out(features: Sequence[Mapping[str, float]], outcomes: Sequence[int]) -> Floats:
    """[n] what a fit that has not seen the call says of it; by which `fit_outlook` is judged."""
    return cross_validated(*arrays(features, outcomes))


def arrays(features: Sequence[Mapping[str, float]], outcomes: Sequence[int]) -> tuple[Floats, Floats]:
    if len(features) != len(outcomes) or not set(outcomes) <= {0, 1}:
        raise ValueError("one outcome, 0 or 1, for each call's features")
    y = np.array(outcomes, dtype=np.float64)
    x = np.array([[f.get(name, 0.0) for name in FEATURES] for f in features], dtype=np.float64)
    return x.reshape(len(y), len(FEATURES)), y


def judge(p: Floats, y: Floats) -> Judged:
    """Of at least one good and one bad outcome."""
    table = reliability(p, y)
    return Judged(
        n=len(y),
        good=int(y.sum()),
        auc=round(ranking(p, y), 4),
        brier=round(float(np.mean((p - y) ** 2)), 4),
        ece=round(sum(row.n * abs(row.predicted - row.observed) for row in table) / len(y), 4),
        reliability=table,
    )


def cross_validated(x: Floats, y: Floats) -> Floats:
    """Each call's probability from a fit that has not seen it."""
    fold = np.empty(len(y), dtype=np.int64)
    for kind in (0.0, 1.0):
        mine = np.flatnonzero(y == kind)
        fold[mine] = np.arange(len(mine)) % FOLDS
    out = np.empty(len(y))
    for k in range(FOLDS):
        out[fold == k] = predict(logistic(x[fold != k], y[fold != k]), x[fold == k])
    return out


def logistic(x: Floats, y: Floats, rounds: int = 50) -> Floats:
    """[1 + d] bias and weights by Newton's method with a ridge on the weights, not the bias."""
    a = np.hstack([np.ones((len(x), 1)), x])
    ridge = RIDGE * np.eye(a.shape[1])
    ridge[0, 0] = 1e-6
    w = np.zeros(a.shape[1])
    for _ in range(rounds):
        p = predict(w, x)
        hessian = (a * (p * (1 - p))[:, None]).T @ a + ridge
        step = np.linalg.solve(hessian, a.T @ (y - p) - ridge @ w)
        w = w + np.clip(step, -2, 2)
        if float(np.abs(step).max()) < 1e-8:
            break
    return w


def predict(w: Floats, x: Floats) -> Floats:
    p: Floats = 1 / (1 + np.exp(-np.clip(w[0] + x @ w[1:], -30, 30)))
    return p


def reliability(p: Floats, y: Floats, bins: int = 5) -> tuple[Reliability, ...]:
    """Predicted against observed in equal steps of probability; empty bins are left out."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(p, edges[1:-1]), 0, bins - 1)
    return tuple(
        Reliability(
            round(float(edges[k]), 2),
            round(float(edges[k + 1]), 2),
            int((place == k).sum()),
            round(float(p[place == k].mean()), 4),
            round(float(y[place == k].mean()), 4),
            wilson(int(y[place == k].sum()), int((place == k).sum())) or (0.0, 1.0),
        )
        for k in range(bins)
        if (place == k).any()
    )


def ranking(p: Floats, y: Floats) -> float:
    """AUC: how often a good outcome is given more than a bad one; ties count half."""
    good, bad = p[y == 1][:, None], p[y == 0][None, :]
    return float(np.mean((good > bad) + 0.5 * (good == bad)))
