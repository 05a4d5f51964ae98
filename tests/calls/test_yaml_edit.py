"""Values change in a YAML text, and nothing else does."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calls.yaml_edit import Changes, edit
from scoring.rubric import DEFAULT_FILE

GOOD = DEFAULT_FILE.read_text("utf-8")
RULES = ("nudging", "rules")
NEW = {"id": "new-1", "state": "distress", "cue": "", "phrases": []}


def comments(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("#")]


@pytest.mark.parametrize(
    ("changes", "touched"),
    [
        (Changes(sets={("weights", "frustration", "own"): 0.3}), 1),
        (Changes(sets={("opportunity", "met"): "forty"}), 1),
        (Changes(sets={("fusion", "voice_map", "confusion", "sad"): 0.5}), 1),
        (Changes(sets={("alignment", "extra"): 1}), 1),
        (Changes(drops=frozenset({("fusion", "voice_map", "frustration", "disgust")})), 1),
        (Changes(drops=frozenset({(*RULES, 1)})), 3),
        (Changes(adds={RULES: [NEW]}), 4),
        (Changes(swap=((*RULES, 0), (*RULES, 1))), 3),
        (Changes(sets={(*RULES, 0, "phrases"): ["a: b", "“c”"]}), 2),
        (Changes(sets={("phrases", 1, "any"): ["wait"]}), 6),
        (Changes(drops=frozenset((*RULES, n) for n in range(14))), 43),
    ],
)
def test_only_what_was_meant_differs(changes: Changes, touched: int) -> None:
    made = edit(GOOD, changes)
    assert comments(made) == comments(GOOD)
    diff = list(difflib.ndiff(GOOD.splitlines(), made.splitlines()))
    removed = sum(line.startswith("- ") for line in diff)
    added = sum(line.startswith("+ ") for line in diff)
    assert max(removed, added) == touched
    assert yaml.safe_load(made) != yaml.safe_load(GOOD)


def test_a_list_emptied_and_filled_again() -> None:
    empty = edit(GOOD, Changes(drops=frozenset((*RULES, n) for n in range(14))))
    assert yaml.safe_load(empty)["nudging"]["rules"] == [] and comments(empty) == comments(GOOD)
    again = edit(empty, Changes(adds={RULES: [NEW, NEW | {"id": "b"}]}))
    assert [rule["id"] for rule in yaml.safe_load(again)["nudging"]["rules"]] == ["new-1", "b"]


def test_what_changes_nothing_leaves_the_text_alone() -> None:
    assert edit(GOOD, Changes()) is GOOD
    assert edit(GOOD, Changes(sets={("opportunity", "met"): 0.4})) == GOOD


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SCALARS = WORDS | st.integers(-5, 10**6) | st.floats(allow_nan=False) | st.booleans() | st.none()
KEYS = st.sampled_from(["a", "b", "on", "no", "x y", "1", "é", "#", "-"])
VALUES: Any = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
STYLES = st.sampled_from([None, True, False])


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), STYLES, KEYS, KEYS, VALUES, st.data())
@example({"a": "x\n\ny\n"}, False, "a", "b", "# no: comment", None)
@settings(max_examples=300, deadline=2000)
def test_any_value_reads_back_wherever_it_is_put(
    data: dict[str, Any], style: bool | None, key: str, inner: str, value: Any, draw: Any
) -> None:
    text = yaml.safe_dump(data, default_flow_style=style, allow_unicode=True, sort_keys=False)
    before = yaml.safe_load(text)
    held = before.get(key)
    path = (key, inner) if isinstance(held, dict) or key not in before else (key,)
    made = yaml.safe_load(edit(text, Changes(sets={path: value})))
    found = made
    for step in path:
        found = found[step]
    assert repr(found) == repr(value)
    assert {k: v for k, v in made.items() if k != key} == {k: v for k, v in before.items() if k != key}
    if isinstance(held, list):
        longer = yaml.safe_load(edit(text, Changes(adds={(key,): [value]}, drops=frozenset({(key, 0)}))))
        assert repr(longer[key]) == repr([*held[1:], value])
