from __future__ import annotations

import json
from pathlib import Path

import pytest

from scoring.blend import WEIGHTS, Blend
from scoring.rubric import BEHAVIOUR_NAMES, STATE_NAMES


def test_without_a_fit_either_source_is_enough() -> None:
    blend = Blend()
    assert blend("anxiety", 0.8, 0.0) == pytest.approx(0.8)
    assert blend("anxiety", 0.0, 0.8) == pytest.approx(0.72)
    assert blend("anxiety", 0.5, 0.5) > 0.7


def test_a_fit_moves_with_both_sources() -> None:
    blend = Blend({"anxiety": (0.6, 0.8, -0.2)})
    none, rule, head, both = (blend("anxiety", *p) for p in ((0, 0.05), (0.9, 0.05), (0, 0.9), (0.9, 0.9)))
    assert none < rule < both
    assert none < head < both


def test_the_shipped_blend_knows_every_label_and_never_turns_a_source_around() -> None:
    blend = Blend.load()
    assert set(blend.of) == {*STATE_NAMES, *BEHAVIOUR_NAMES}
    assert all(rules >= 0 and heads >= 0 for rules, heads, _ in blend.of.values())


@pytest.mark.parametrize("content", ["", "[]", '{"labels": {"own": [1]}}', '{"labels": 5}'])
def test_a_bad_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "blend.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"blend\.json"):
        Blend.load(path)


def test_the_shipped_file_says_what_it_was_fitted_on() -> None:
    assert json.loads(WEIGHTS.read_text())["fitted_on"] == "contact_centre/calibrate"
