from __future__ import annotations

import dataclasses

import pytest

from scoring.rubric import RubricError, RubricSpec, default_rubric
from scoring.types import DISTRESS, HELPING

RUBRIC = default_rubric()


def problems(**changes: object) -> list[str]:
    with pytest.raises(RubricError) as caught:
        RubricSpec.from_dict(RUBRIC.to_dict() | changes)
    return caught.value.problems


def test_default_survives_a_round_trip() -> None:
    assert RubricSpec.from_dict(RUBRIC.to_dict()) == RUBRIC
    RUBRIC.validate()


def test_default_holds_the_published_table() -> None:
    assert RUBRIC.weights["frustration"] == {
        "acknowledge": 0.30,
        "understand": 0.20,
        "explore": 0.10,
        "own": 0.25,
        "reassure": 0.15,
    }
    assert all(set(RUBRIC.weights[s]) == {str(b) for b in HELPING} for s in DISTRESS)


def test_errors_name_the_field_and_what_is_allowed() -> None:
    score = RUBRIC.to_dict()["score"] | {"fit": 3}
    assert problems(score=score) == ["score.fit: must be a number from 0 to 1, not 3"]
    assert problems(colour="red")[0].startswith("colour: unknown field; allowed: name, weights")
    assert "live: must be a mapping of fields" in problems(live=7)


def test_all_problems_come_at_once() -> None:
    risk = RUBRIC.to_dict()["risk"] | {"watch": "high", "recent_ms": 1.5}
    assert len(problems(risk=risk, name=4)) == 3


def test_weights_must_add_up() -> None:
    weights = {**RUBRIC.to_dict()["weights"], "sadness": {"acknowledge": 0.4}}
    assert problems(weights=weights) == ["weights.sadness: must add up to 1, not 0.40"]


def test_a_phrase_may_only_say_what_its_speaker_can() -> None:
    phrase = {"id": "x", "who": "agent", "says": "frustration", "strength": 0.5, "any": ["grr"]}
    assert "phrases.x.says" in problems(phrases=[phrase])[0]


@pytest.mark.parametrize("pattern", ["", "(a|b", "a|b", "[only perhaps]", "a{9}", "*"])
def test_a_broken_pattern_is_named(pattern: str) -> None:
    phrase = {"id": "x", "who": "customer", "says": "anxiety", "strength": 0.5, "any": [pattern]}
    assert problems(phrases=[phrase])[0].startswith("phrases.x: ")


def test_validate_catches_a_replaced_field() -> None:
    broken = dataclasses.replace(RUBRIC, risk=dataclasses.replace(RUBRIC.risk, help=0.1))
    with pytest.raises(RubricError, match=r"risk\.watch: must be at most risk\.help"):
        broken.validate()
