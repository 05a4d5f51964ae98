from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scoring.outlook import (
    FEATURES,
    MIN_OUTCOMES,
    against_usual,
    fit_outlook,
    held_out,
    judge,
    outlook,
    prior_chance,
)
from scoring.rubric import default_rubric
from scoring.states import trace
from scoring.types import Alignment, CallView, Loyalty, Outlook
from scoring.view import view
from tests.scoring.language_calls import ANGER_THAT_RECOVERS, BAD_AGENT, CALM_CALL, turns_of

RUBRIC = default_rubric()


def seen(lines: list[tuple[str, str]]) -> CallView:
    turns = turns_of(lines)
    return view(turns, [], [], RUBRIC, now_ms=turns[-1].end_ms, closed=True)


def outcomes(n: int, signal: float, seed: int = 3) -> tuple[list[dict[str, float]], list[int]]:
    dice = np.random.default_rng(seed)
    rows = [dict(zip(FEATURES, dice.uniform(-1, 1, len(FEATURES)), strict=True)) for _ in range(n)]
    good = [
        int(dice.uniform() < 1 / (1 + np.exp(-signal * (r["end"] + r["peak"] - r["leave"])))) for r in rows
    ]
    return rows, good


def test_a_bad_end_with_threats_is_at_risk_and_says_why() -> None:
    found = seen(BAD_AGENT).outlook
    assert found.status is Loyalty.AT_RISK
    assert not found.calibrated
    assert any("cancelling my account" in line.text for line in found.reasons)
    assert all(line.target == "outlook" for line in found.reasons)


def test_a_recovered_call_is_not_at_risk_and_a_calm_one_is_steady() -> None:
    assert seen(ANGER_THAT_RECOVERS).outlook.status is not Loyalty.AT_RISK
    assert seen(CALM_CALL).outlook.status is Loyalty.STEADY


def test_little_evidence_is_never_an_extreme() -> None:
    found = seen(
        [("customer", "I will make a complaint and I want to cancel my account this is ridiculous")]
    ).outlook
    assert found.status is Loyalty.STEADY
    assert found.confidence < 0.2
    assert found.reasons
    assert view([], [], [], RUBRIC, now_ms=0, closed=False).outlook == Outlook()


def test_recommending_speaks_for_the_relationship() -> None:
    lines = [("customer", "hello I have a question about my plan please"), ("agent", "of course")]
    lines += [("customer", "oh that is wonderful thank you so much"), ("agent", "a pleasure")]
    without, told = (
        seen([*lines, ("customer", "goodbye to you then")]),
        seen([*lines, ("customer", "I will recommend you to everyone goodbye")]),
    )
    assert told.outlook.features["recommend"] > 0
    assert told.outlook.score > without.outlook.score


def test_grief_is_not_held_against_the_company() -> None:
    lines = [
        ("customer", "my husband passed away and I have been crying all morning"),
        ("agent", "I am so sorry for your loss"),
    ] * 3
    assert seen(lines).outlook.status is not Loyalty.AT_RISK


def test_a_fit_finds_the_signal_and_shows_its_reliability() -> None:
    fit = fit_outlook(*outcomes(600, 2.5))
    assert fit.calibrated and fit.auc > 0.75 and fit.ece <= 0.1
    assert fit.weights["end"] > 0.5 > -0.5 > fit.weights["leave"]
    assert abs(fit.weights["thanks"]) < 0.6
    assert sum(row.n for row in fit.reliability) == fit.n == 600
    assert fit.probability({"end": 1, "peak": 1}) > 0.8 > 0.2 > fit.probability({"end": -1, "peak": -1})
    assert fit == fit_outlook(*outcomes(600, 2.5))


def test_a_fit_without_a_signal_or_with_few_outcomes_says_so() -> None:
    noise = fit_outlook(*outcomes(100, 0.0, seed=1))
    assert not noise.calibrated or noise.auc > 0.5
    few = fit_outlook(*outcomes(MIN_OUTCOMES - 1, 2.0))
    assert not few.calibrated and str(MIN_OUTCOMES) in few.reason
    assert fit_outlook([], []).n == 0
    one_sided = fit_outlook([{} for _ in range(200)], [1] * 200)
    assert not one_sided.calibrated


def test_bad_outcomes_are_refused() -> None:
    with pytest.raises(ValueError, match="outcome"):
        fit_outlook([{}], [2])
    with pytest.raises(ValueError, match="outcome"):
        fit_outlook([{}], [])


def test_a_calibrated_fit_replaces_the_prior() -> None:
    fit = fit_outlook(*outcomes(600, 2.5))
    felt = trace(turns_of(BAD_AGENT), [], RUBRIC.fusion)
    found = outlook(felt, Alignment(), RUBRIC, fit)
    assert found.calibrated
    chance = fit.probability(found.features)
    assert found.chance == pytest.approx(chance, abs=0.001)
    assert found.score == pytest.approx(against_usual(chance, fit.usual), abs=0.01)


def test_a_need_the_agent_had_no_time_to_answer_is_not_held_against_the_call() -> None:
    """Its response is judged when its window has closed, not before."""
    lines = [
        ("customer", "Hello, I have a question about my bill."),
        ("agent", "Of course, go ahead."),
        ("customer", "This is ridiculous, I am furious, I have been charged twice again!"),
    ]
    turns = turns_of(lines)
    found = view(turns, [], [], RUBRIC, now_ms=turns[-1].end_ms, closed=False)
    assert [event.fit for event in found.alignment.events] == [None]
    assert found.outlook.reasons
    assert not any("neither met" in reason.text for reason in found.outlook.reasons)


def test_at_risk_means_worse_than_usual_where_most_outcomes_are_good() -> None:
    rows, _ = outcomes(900, 0)
    dice = np.random.default_rng(5)
    good = [int(dice.uniform() < 1 / (1 + np.exp(-(2.2 + 0.8 * (r["end"] + r["peak"]))))) for r in rows]
    fit = fit_outlook(rows, good)
    assert fit.calibrated and fit.usual > 0.75
    assert against_usual(fit.usual, fit.usual) == 0
    assert against_usual(0.8, 0.5) == pytest.approx(2 * 0.8 - 1)
    felt = trace(turns_of(BAD_AGENT), [], RUBRIC.fusion)
    bad = outlook(felt, Alignment(), RUBRIC, replace(fit, name="outlook 7"))
    assert bad.status is Loyalty.AT_RISK and bad.fit == "outlook 7"
    assert bad.chance is not None and 0.5 < bad.chance < fit.usual
    assert outlook(felt, Alignment(), RUBRIC).chance is None


def test_the_shipped_score_is_found_again_in_its_features() -> None:
    for lines in (BAD_AGENT, ANGER_THAT_RECOVERS, CALM_CALL):
        found = seen(lines).outlook
        assert prior_chance(found.features, RUBRIC.outlook) == pytest.approx((1 + found.score) / 2, abs=0.002)


def test_what_is_judged_had_not_been_seen() -> None:
    """Random outcomes: a fit that had seen them would rank them; one that has not cannot."""
    rows, good = outcomes(300, 0.0, seed=11)
    unseen = judge(held_out(rows, good), np.array(good, dtype=float))
    fit = fit_outlook(rows, good)
    seen_ones = judge(np.array([fit.probability(r) for r in rows]), np.array(good, dtype=float))
    assert unseen.auc < 0.58 < seen_ones.auc
    assert all(row.interval[0] <= row.observed <= row.interval[1] for row in unseen.reliability)
