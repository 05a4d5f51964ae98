"""The recipe of the language weights on a handful of texts: noise, contrasts, bags, thresholds, stacks."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from scoring.language_heads import STATES, Bag, sigmoid
from scoring.training.words.bags import fit_bag
from scoring.training.words.contrasts import contrast
from scoring.training.words.data import held_back, percentile, read_politeness
from scoring.training.words.fit import best_thresholds, cross_fitted, expected_error, fit_stack, fit_stacks
from scoring.training.words.noise import NEVER_DROPPED, misheard

RNG = np.random.default_rng(0)


def test_noise_never_turns_a_sentence_over() -> None:
    text = "I can't pay it, don't cut me off. No, that is not what nobody wants!"
    for seed in range(50):
        said = misheard(text, random.Random(seed), rate=0.3).lower().split()
        for word in ("can't", "don't", "not", "nobody"):
            assert word in NEVER_DROPPED and any(w.startswith(word) for w in said)


def test_noise_is_seeded_and_never_empty() -> None:
    assert misheard("their refund", random.Random(3)) == misheard("their refund", random.Random(3))
    assert all(misheard("!", random.Random(seed)) for seed in range(20))


def test_contrasts_name_known_states() -> None:
    rng = random.Random(1)
    lines = [contrast(rng) for _ in range(300)]
    assert all(set(states) <= {str(s) for s in STATES} for _, states in lines)
    assert not any("{" in text for text, _ in lines)
    denied = [states for text, states in lines if "i'm not at all worried" in text]
    assert all(not states for states in denied)


def test_a_bag_survives_rounding() -> None:
    texts = [
        "so angry now",
        "really angry with you",
        "angry again",
        "angry people",
        "fine day",
        "fine thing",
        "all fine",
        "fine with me",
    ]
    y = np.asarray([[1]] * 4 + [[0]] * 4, np.float32)
    made = fit_bag("states", texts, y)
    bag = Bag(
        {int(h): n for n, h in enumerate(made["states_hashes"])},
        np.asarray(made["states_idf"], np.float32),
        made["states_weights"],
        np.asarray(made["states_scale"], np.float32),
        made["states_bias"],
    )
    angry, fine, strange = bag.logits(["angry", "fine", "xyz"])[:, 0]
    assert angry > 0 > fine
    assert strange == pytest.approx(made["states_bias"][0])


def test_thresholds_part_what_can_be_parted() -> None:
    y = (RNG.random((400, 2)) < 0.2).astype(np.float32)
    z = 4 * y - 2 + 0.5 * RNG.standard_normal((400, 2))
    cut = best_thresholds(sigmoid(z), y)
    assert (((sigmoid(z) >= cut) == (y > 0)).mean(0) > 0.98).all()


def test_a_stack_trusts_the_better_opinion_and_is_calibrated() -> None:
    truth = (RNG.random((600, 1)) < 0.3).astype(np.float32)
    good = np.asarray(3 * truth - 1.5 + RNG.standard_normal((600, 1)), np.float32)
    noise = RNG.standard_normal((600, 1)).astype(np.float32)
    weights = fit_stack(np.concatenate([good, noise], axis=1).astype(float), truth[:, 0])
    assert weights[0] > 4 * weights[1] >= 0
    p = cross_fitted([good, noise], truth, [str(n % 20) for n in range(600)])
    assert expected_error(p, truth)["ece_all"] < 0.06
    assert fit_stacks([good, noise], truth).shape == (1, 3)


def test_a_stack_without_examples_says_rarely() -> None:
    weights = fit_stack(RNG.standard_normal((50, 2)), np.zeros(50))
    assert sigmoid(np.asarray(weights[-1])) < 0.05


def test_splits_hold(tmp_path: Path) -> None:
    assert held_back(1000).sum() == 100 and (held_back(1000) == held_back(1000)).all()
    assert percentile(np.asarray([1.0, 3.0, 3.0, 9.0])).tolist() == [0.125, 0.5, 0.5, 0.875]
    file = tmp_path / "polite.csv"
    file.write_text("Id,Request,Normalized Score\n" + "".join(f"{n},please {n},{n}\n" for n in range(200)))
    texts, share, out = read_politeness(file)
    assert len(texts) == 200 and share[-1] > 0.99
    assert 20 < out.sum() < 60
