"""The panels of a call page say nothing about what was not measured when the call was scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from calls.models import Call, User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Any]
LATER = (
    "response_ms", "caller_floor_takings", "dead_air_ms", "hold_ms",
    "customer_wpm", "agent_wpm", "customer_syllables_s", "agent_syllables_s",
)  # fmt: skip
DRAWN = """async ([panel, values]) => {
  const panels = await import('/static/js/panels.js');
  const section = document.createElement('section');
  const [first, second] = [document.createElement('div'), document.createElement('div')];
  section.append(first, second);
  const draw = panel === 'timingPanel' ? panels.timingPanel(second) : panels[panel](first, second);
  return values.map((value) => {
    draw(value === 'undefined' ? undefined : value);
    return [section.hidden, section.textContent];
  });
}"""


@pytest.fixture
def drawn(page_for: Open) -> Callable[..., Any]:
    """[hidden, text] of a panel's section after each of the values."""
    page = page_for(None)
    page.goto("/account/login/")
    return lambda panel, *values: page.evaluate(DRAWN, [panel, values])


def test_a_call_scored_before_there_was_an_outlook(page_for: Open, alice: User, full_call: Call) -> None:
    timing = {name: value for name, value in full_call.view["timing"].items() if name not in LATER}
    old = {name: full_call.view[name] for name in ("opportunities", "why", "components")}
    Call.objects.filter(pk=full_call.pk).update(view=old | {"timing": timing})
    page = page_for(alice)
    page.goto(f"/calls/{full_call.pk}/")
    page.wait_for_selector('.line-state[data-line="live"]')
    assert "13.8 s" in page.locator("[data-timing]").inner_text()
    shown = page.locator(".panels").inner_text()
    for absent in (
        "Outlook",
        "Steady",
        "confidence 0%",
        "Alignment",
        "Dead air",
        "Hold",
        "pace",
        "answers after",
    ):
        assert absent not in shown, absent


@pytest.mark.parametrize("nothing", ["undefined", None, {}, {"status": None, "confidence": None}])
def test_outlook_appears_with_its_first_value(drawn: Callable[..., Any], nothing: Any) -> None:
    before, after, again = drawn("outlookPanel", nothing, {"status": "steady", "confidence": 0.4}, nothing)
    assert before == [True, ""]
    assert not after[0] and "steady" in after[1].lower() and "confidence 40%" in after[1]
    assert again[0]


def test_an_outlook_by_the_sites_own_outcomes_says_how_often_it_went_well(drawn: Callable[..., Any]) -> None:
    shipped = {"status": "at_risk", "confidence": 0.4, "calibrated": False, "chance": None}
    before, after = drawn("outlookPanel", shipped, shipped | {"calibrated": True, "chance": 0.714})
    assert "uncalibrated" in before[1] and "of such calls" not in before[1]
    assert "71% of such calls ended well" in after[1] and "uncalibrated" not in after[1]


@pytest.mark.parametrize("nothing", ["undefined", None, {}])
def test_alignment_appears_with_its_first_value(drawn: Callable[..., Any], nothing: Any) -> None:
    before, after = drawn("alignmentPanel", nothing, {"events": []})
    assert before[0] and not after[0] and "no occasion for empathy" in after[1]


def test_alignment_without_a_number_of_later(drawn: Callable[..., Any]) -> None:
    event = {"t_ms": 1000, "state": "anxiety", "fit": 0.5, "latency_ms": None, "recovery_ms": None}
    [[_, text]] = drawn("alignmentPanel", {"events": [event], "met_share": 1, "median_latency_ms": None})
    assert "1 of 1" in text and "none yet" in text
    assert "NaN" not in text and "Recovered" not in text and "Pace match" not in text


def test_not_yet_known_differs_from_never_measured(drawn: Callable[..., Any]) -> None:
    talk = {"customer_talk_ms": 4000, "agent_talk_ms": 4000}
    never, not_yet, none = drawn(
        "timingPanel", talk, talk | {"response_ms": None, "agent_wpm": None}, talk | {"dead_air_ms": 0}
    )
    assert "answers after" not in never[1] and "pace" not in never[1] and "Dead air" not in never[1]
    assert "no answer yet" in not_yet[1] and "too few words yet" in not_yet[1]
    assert "Dead air, not announced0.0 s" in none[1]


def test_the_final_score_leaves_out_what_was_not_counted(drawn: Callable[..., Any]) -> None:
    old, new = drawn("finalPanel", {"empathy": 71.6}, {"empathy": 71.6, "met": 0, "opportunities": 2})
    assert "72" in old[1] and "NaN" not in old[1] and "Opportunities" not in old[1]
    assert "Opportunities met0 of 2" in new[1]
