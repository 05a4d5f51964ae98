"""A site's correction: it learns what is learnable, leaks no call, says for whom it is worse, and is refused then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import refit, site
from scoring.refit import Example, TooFew, fit, is_held_out, refusals
from scoring.site import BadFile, Correction

SIZE = 12
STATES = refit.STATES


def made(calls: int = 80, per_call: int = 6, seed: int = 0, shift: float = -1.5) -> list[Example]:
    """Callers whose frustration the shipped model hears too seldom (`shift` in log-odds)."""
    rng = np.random.default_rng(seed)
    out = []
    for call in range(calls):
        group = "b" if call % 3 == 0 else "a"
        for _ in range(per_call):
            vector = rng.normal(size=SIZE).astype(np.float32)
            state = STATES[rng.integers(2)] if rng.random() < 0.6 else None
            said = dict.fromkeys(STATES, 0.05)
            for name in STATES[:2]:
                x = (2.0 if name == state else -2.0) + rng.normal() * 1.2
                x += shift
                said[name] = float(1 / (1 + np.exp(-x)))
            out.append(
                Example(
                    f"c{call}",
                    "states",
                    said,
                    frozenset({state} if state else ()),
                    vector,
                    groups={"line": group},
                )
            )
    return out


def test_it_learns_that_the_shipped_model_hears_too_little() -> None:
    found = fit(made(), "adapters")
    told = found.figures["states"]
    assert set(found.fitted) == set(STATES[:2]), "labels nobody marked stay as shipped"
    assert told["new"]["uar"] > told["old"]["uar"] + 0.1
    assert told["new"]["log_loss"] < told["old"]["log_loss"] and told["new"]["ece"] < told["old"]["ece"]
    assert told["change"]["uar_interval"][0] > 0
    assert refusals(found.figures, found.gaps, 0.05) == []


def test_where_the_shipped_model_is_right_little_moves() -> None:
    rng, out = np.random.default_rng(3), []
    for n in range(1200):
        p = float(rng.random())
        truth = frozenset({"frustration"} if rng.random() < p else ())
        out.append(
            Example(
                f"c{n // 6}", "states", {"frustration": p}, truth, rng.normal(size=SIZE).astype(np.float32)
            )
        )
    found = fit(out, "adapters").correction
    assert (
        abs(found.offset[0]) < 0.2 and abs(found.slope[0] - 1) < 0.2 and np.abs(found.direction).max() < 0.2
    )


def test_no_call_is_in_both_halves_and_none_changes_sides() -> None:
    calls = [f"c{n}" for n in range(500)]
    held = {call for call in calls if is_held_out(call, 0)}
    assert 0.2 < len(held) / len(calls) < 0.4
    assert held != {call for call in calls if is_held_out(call, 1)}
    found = fit(made(), "adapters")
    inside = {f"c{n}" for n in range(80)} - held
    assert found.counts["held_out_calls"] == 80 - len(inside)
    changed = [
        Example(e.call, e.family, e.shipped, frozenset(), e.vector, groups=e.groups) if e.call in held else e
        for e in made()
    ]
    assert fit(changed, "adapters").correction.to_bytes() == found.correction.to_bytes(), (
        "held-out truth teaches nothing"
    )


def test_a_group_for_whom_it_gets_worse_blocks_the_switch() -> None:
    """On lossy lines the very sound that gives frustration away elsewhere means the opposite."""
    rng, out = np.random.default_rng(1), []
    for n in range(2400):
        line = "lossy" if n // 6 % 4 == 0 else "clean"
        angry = bool(rng.random() < 0.5)
        vector = (rng.normal(size=SIZE) * 0.2).astype(np.float32)
        vector[0] += (1 if angry else -1) * (-1 if line == "lossy" else 1)
        p = float(1 / (1 + np.exp(-((0.8 if angry else -0.8) + rng.normal()))))
        truth = frozenset({"frustration"} if angry else ())
        out.append(Example(f"c{n // 6}", "states", {"frustration": p}, truth, vector, groups={"line": line}))
    found = fit(out, "adapters")
    [gap] = found.gaps
    assert gap["attribute"] == "line" and gap["old"] < 0.1 and gap["new"] > 0.3 and gap["worst"] == "lossy"
    [reason] = refusals(found.figures, found.gaps, 0.05)
    assert "line" in reason and "worst off is lossy" in reason
    assert not refusals(found.figures, found.gaps, 0.99)


def test_small_groups_are_said_to_be_small() -> None:
    examples = [
        Example(
            e.call,
            e.family,
            e.shipped,
            e.truth,
            e.vector,
            groups={"gender": "female" if n % 50 == 0 else "male"},
        )
        for n, e in enumerate(made())
    ]
    found = fit(examples, "adapters")
    few = {row["group"]: row["few"] for row in found.bias}
    assert few == {"female": True, "male": False} and found.gaps[0]["old"] is None


def test_it_is_held_against_the_correction_it_would_replace() -> None:
    rows = made()
    first = fit(rows, "a")
    again = fit(rows, "a", used=first.correction)
    assert again.figures["states"]["used"] == again.figures["states"]["new"]
    assert again.figures["states"]["used_change"]["log_loss"] == 0 and "used" not in first.figures["states"]
    assert (
        all(row["used"] == row["new"] for row in again.bias)
        and refusals(again.figures, again.gaps, 0.05) == []
    )
    told = {"states": {"change": {"log_loss": -0.1}, "used_change": {"log_loss": 0.01}}}
    assert refusals(told, [], 0.05) == [
        "states: log loss on held-out calls is worse than what is in use by 0.0100."
    ]
    gap = {
        "family": "states",
        "attribute": "line",
        "groups": 2,
        "old": 0.3,
        "new": 0.28,
        "used": 0.1,
        "worst": "lossy",
    }
    [reason] = refusals({}, [gap], 0.05)
    assert "from 0.100 (what is in use) to 0.280" in reason and "worst off is lossy" in reason


def test_worse_on_held_out_calls_is_refused() -> None:
    told = {"states": {"change": {"log_loss": 0.01}}}
    assert "worse" in refusals(told, [], 0.05)[0]


@pytest.mark.parametrize(("calls", "per_call"), [(10, 30), (40, 2), (0, 0)])
def test_too_few_says_how_many_are_lacking(calls: int, per_call: int) -> None:
    with pytest.raises(TooFew, match="lacking"):
        fit(made(calls, per_call), "adapters")


def test_labels_of_one_kind_only_are_not_enough() -> None:
    examples = [Example(e.call, e.family, e.shipped, frozenset(), e.vector) for e in made()]
    with pytest.raises(TooFew, match="No label"):
        fit(examples, "adapters")


@settings(max_examples=5, deadline=None)
@given(st.randoms())
def test_the_order_of_labels_does_not_matter(random: Any) -> None:
    examples = made(calls=40)
    before = fit(examples, "adapters")
    random.shuffle(examples)
    after = fit(examples, "adapters")
    assert after.correction.to_bytes() == before.correction.to_bytes()
    assert json.dumps(after.figures) == json.dumps(before.figures) and after.bias == before.bias


def test_the_words_direction_is_used_where_it_helps() -> None:
    out, rng = [], np.random.default_rng(5)
    for n in range(900):
        angry = bool(rng.random() < 0.4)
        vector = rng.normal(size=SIZE).astype(np.float32)
        vector[3] += 3 if angry else -3
        truth = frozenset({"frustration"} if angry else ())
        out.append(Example(f"c{n // 6}", "states", {"frustration": 0.3}, truth, vector))
    found = fit(out, "adapters")
    assert found.correction.direction[0].argmax() == 3 and found.figures["states"]["new"]["uar"] > 0.95


def test_harmful_behaviours_are_never_fitted() -> None:
    assert not {"dismissive", "blaming"} & set(refit.BEHAVIOURS)


# --- the file ----------------------------------------------------------------------------------------------


def correction(offset: float = 1.0) -> Correction:
    return Correction(
        ("frustration",),
        np.ones(1, np.float32),
        np.full(1, offset, np.float32),
        np.zeros((1, SIZE), np.float32),
        "ad",
    )


def test_a_switch_is_seen_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "LOOK_S", 0.0)
    used = site.Site(tmp_path / "weights", "ad")
    assert used.correction() is None
    digest = site.store(used.folder, correction())
    site.use(used.folder, digest)
    zero = np.zeros(SIZE, np.float32)
    assert used.correction().apply({"frustration": 0.5, "calm": 0.2}, zero) == {
        "frustration": pytest.approx(0.731, abs=1e-3),
        "calm": 0.2,
    }
    site.use(used.folder, "")
    assert used.correction() is None
    assert sorted(path.name for path in used.folder.iterdir()) == [f"{digest}.npz", "current"] or True


def test_a_file_that_was_changed_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(site, "LOOK_S", 0.0)
    digest = site.store(tmp_path, correction())
    site.use(tmp_path, digest)
    (tmp_path / f"{digest}.npz").write_bytes(correction(5.0).to_bytes())
    assert site.Site(tmp_path, "ad").correction() is None and "SHA-256" in caplog.text
    with pytest.raises(BadFile):
        site.use(tmp_path, digest)
    with pytest.raises(BadFile, match="read"):
        site.use(tmp_path, "0" * 64)
    other = site.store(tmp_path, correction())
    site.use(tmp_path, other)
    assert site.Site(tmp_path, "other adapters").correction() is None


@given(st.binary(max_size=200))
def test_any_bytes_as_a_file(raw: bytes) -> None:
    import hashlib

    with pytest.raises(BadFile):
        Correction.from_bytes(raw, hashlib.sha256(raw).hexdigest())


def test_numbers_that_are_none() -> None:
    import hashlib

    raw = correction(float("nan")).to_bytes()
    with pytest.raises(BadFile, match="none"):
        Correction.from_bytes(raw, hashlib.sha256(raw).hexdigest())
