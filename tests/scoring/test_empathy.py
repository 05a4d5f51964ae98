from __future__ import annotations

import pytest

from scoring.behaviour import exchanges
from scoring.empathy import alike, bag_of, fit, listening, penalty, recovery, response_strength, score
from scoring.rubric import default_rubric
from scoring.types import Channel, State, Turn
from scoring.view import view
from tests.scoring.language_calls import ANGER_THAT_RECOVERS, BAD_AGENT, CALM_CALL, turns_of

RUBRIC = default_rubric()
WORKED = {"acknowledge": 0.8, "understand": 0.6, "own": 1.0, "reassure": 0.5}


def closed(lines: list[tuple[str, str]]):
    turns = turns_of(lines)
    return view(turns, [], [], RUBRIC, now_ms=turns[-1].end_ms, closed=True)


def test_the_worked_example() -> None:
    r = response_strength(State.FRUSTRATION, [(WORKED, 1.0)], RUBRIC)
    assert r == pytest.approx(0.685)
    e = fit([(0.9, r)])
    assert e is not None
    assert score(e, 0.8, 0.9, 0.6, 0.0, RUBRIC) == pytest.approx(72.6, abs=1e-9)


def test_the_second_turn_counts_less_and_the_stronger_of_two_counts() -> None:
    once = response_strength(State.SADNESS, [({}, 1.0), ({"acknowledge": 1.0}, 0.8)], RUBRIC)
    twice = response_strength(
        State.SADNESS, [({"acknowledge": 0.9}, 1.0), ({"acknowledge": 1.0}, 0.8)], RUBRIC
    )
    assert once == pytest.approx(0.32)
    assert twice == pytest.approx(0.36)


def test_parts_of_the_formula() -> None:
    assert fit([]) is None
    assert recovery([0.6, 0.2]) == pytest.approx(0.7)
    assert listening(4, 4.0, RUBRIC) == pytest.approx(0.5)
    assert penalty([1.0, 0.5], RUBRIC.penalties) == pytest.approx(0.5)
    assert penalty([1.0] * 9, RUBRIC.penalties) == 1.0


def test_a_repeated_phrase_is_worth_half() -> None:
    line = ("agent", "I understand how frustrating this must be for you today")
    fresh = [("customer", "I'm fed up with this ridiculous company and its service"), line]
    stale = [line, *fresh]
    assert closed(stale).opportunities[0].response == pytest.approx(
        closed(fresh).opportunities[0].response / 2, abs=0.01
    )


def test_similar_lines() -> None:
    a = bag_of("let me check that for you now please")
    assert alike(a, a) == 1.0
    assert alike(a, bag_of("what is your name and address then")) < 0.5
    assert alike(bag_of("okay sure"), bag_of("okay sure")) == 0.0


def test_no_opportunity_means_courtesy_only() -> None:
    seen = closed(CALM_CALL)
    assert (seen.empathy, seen.empathy_low, seen.components["E"], seen.components["V"]) == (
        None,
        None,
        None,
        None,
    )
    assert seen.courtesy is not None and seen.courtesy > 0.5


def test_a_good_agent_scores_well_above_a_bad_one() -> None:
    good, bad = closed(ANGER_THAT_RECOVERS), closed(BAD_AGENT)
    assert good.empathy > 60 > 20 > bad.empathy
    assert bad.components["P"] > 0.8
    assert good.empathy_low <= good.empathy <= good.empathy_high


def test_the_final_value_is_the_formula_and_the_live_value_never_jumps() -> None:
    seen = closed(BAD_AGENT)
    p = seen.components
    assert seen.empathy == pytest.approx(score(p["E"], p["C"], p["L"], p["V"], p["P"], RUBRIC), abs=0.06)
    live = [RUBRIC.live.prior, *(m.empathy for m in seen.moments if m.empathy is not None)]
    assert max(abs(a - b) for a, b in zip(live, live[1:], strict=False)) <= RUBRIC.live.step + 0.11


def test_turns_close_together_are_one_opportunity() -> None:
    angry = ("customer", "this is ridiculous I'm fed up with you people")
    reply = ("agent", "let me check that for you")
    assert len(closed([angry, reply, angry, reply, angry, reply]).opportunities) == 1
    assert len(closed([angry, reply] * 4).opportunities) == 2


def test_latency_runs_to_the_first_fitting_answer() -> None:
    angry = ("customer", "this is ridiculous I'm fed up with you people")
    seen = closed(
        [
            angry,
            ("agent", "one three five seven"),
            angry,
            ("agent", "I understand how frustrating that is, I'm so sorry"),
        ]
    )
    assert seen.opportunities[0].latency_ms > 4000


def test_listening_sounds_do_not_use_up_the_agent_s_turns() -> None:
    turns = turns_of(
        [
            ("customer", "so I called you on monday about it"),
            ("agent", "mm hm"),
            ("customer", "and nobody came at all"),
        ]
    )
    assert len(exchanges(turns, RUBRIC.timing)) == 1


def test_a_turn_more_pleased_than_distressed_is_no_opportunity() -> None:
    mixed = {"frustration": 0.6, "satisfaction": 0.8}
    for states, opportunities in ((mixed, 0), (mixed | {"satisfaction": 0.2}, 1)):
        turns = [
            Turn(Channel.CUSTOMER, 0, 3000, "that was quick in the end, thanks", 0.95, states=states),
            Turn(Channel.AGENT, 3500, 6000, "you're welcome", 0.95, behaviours={"courtesy": 0.9}),
        ]
        found = view(turns, [], [], default_rubric(), now_ms=6500, closed=True)
        assert len(found.opportunities) == opportunities
