"""The colours of static/css/tokens.css can be told apart and seen on a card."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from tests.web.colour import contrast, distance

CSS = (Path(__file__).resolve().parents[2] / "static/css/tokens.css").read_text()
FELT = ("calm", "satisfaction", "sadness", "frustration", "anxiety", "confusion")
RISKS = ("calm", "watch", "help")
CLOSEST = 14.5
"""The least CIEDE2000 of the five given hues is 14.8 (light) and 17.9 (dark)."""


def token(name: str, theme: int) -> str:
    found = re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\)", CSS)
    assert found, name
    return found.group(theme + 1)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_marks_stand_out_from_the_card(theme: int) -> None:
    card = token("card", theme)
    for name in (
        [f"state-{s}" for s in (*FELT, "unsure")] + [f"risk-{r}" for r in RISKS] + ["accent", "line-strong"]
    ):
        assert contrast(token(name, theme), card) >= 3, name


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(theme: int) -> None:
    for surface, ink in itertools.product(("page", "card", "card-2"), ("ink", "ink-2", "accent")):
        assert contrast(token(surface, theme), token(ink, theme)) >= 4.5, (surface, ink)
    assert contrast(token("accent", theme), token("on-accent", theme)) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_states_and_risks_are_told_apart_with_any_colour_vision(theme: int) -> None:
    for one, other in itertools.combinations(FELT, 2):
        assert distance(token(f"state-{one}", theme), token(f"state-{other}", theme)) >= CLOSEST, (one, other)
    for one, other in itertools.combinations(RISKS, 2):
        assert distance(token(f"risk-{one}", theme), token(f"risk-{other}", theme)) >= CLOSEST, (one, other)
