from __future__ import annotations

import pytest

from scoring.alignment import pace_match
from scoring.rubric import default_rubric
from scoring.types import Alignment, CallView, Channel, State, Timing, Turn
from scoring.view import view
from tests.scoring.language_calls import turns_of

RUBRIC = default_rubric()
NUMBERS = "one two three four five six seven eight"


def caller(start_ms: int, **states: float) -> Turn:
    return Turn(Channel.CUSTOMER, start_ms, start_ms + 2000, NUMBERS, 1.0, (), states)


def agent(start_ms: int, text: str = NUMBERS, **behaviours: float) -> Turn:
    return Turn(Channel.AGENT, start_ms, start_ms + 2000, text, 1.0, (), {}, behaviours)


def seen(*turns: Turn, now_ms: int | None = None, closed: bool = False) -> CallView:
    end = max(t.end_ms for t in turns) if now_ms is None else now_ms
    return view(turns, [], [], RUBRIC, now_ms=end, closed=closed)


def test_fit_latency_and_recovery_of_one_event() -> None:
    turns = [
        caller(0, frustration=0.9),
        agent(3000, "a b c d e"),
        caller(6000),
        agent(9000, acknowledge=0.9, own=0.9, understand=0.9),
        caller(12_000, satisfaction=0.9),
        caller(20_000, satisfaction=0.9),
    ]
    event = seen(*turns).alignment.events[0]
    assert (event.state, event.t_ms, event.latency_ms) == (State.FRUSTRATION, 2000, 7000)
    assert event.fit == pytest.approx(0.8 * 0.9 * 0.75)
    assert event.recovery_ms == 12_000


def test_a_relapse_within_the_settling_time_is_no_recovery() -> None:
    turns = [
        caller(0, anxiety=0.95),
        agent(3000),
        caller(6000, satisfaction=0.95),
        caller(8100, anxiety=0.95),
    ]
    assert seen(*turns, now_ms=30_000).alignment.events[0].recovery_ms is None


def test_recovery_is_told_when_it_has_settled_or_the_call_is_over() -> None:
    turns = [caller(0, frustration=0.9), agent(3000), caller(6000, satisfaction=0.95)]
    assert seen(*turns).alignment.events[0].recovery_ms is None
    assert seen(*turns, now_ms=13_000).alignment.events[0].recovery_ms == 6000
    assert seen(*turns, closed=True).alignment.events[0].recovery_ms == 6000


def test_a_late_answer_counts_for_latency_alone() -> None:
    calm = [caller(6000), agent(9000), caller(12_000)]
    turns = [caller(0, frustration=0.9), agent(3000), *calm, agent(15_000, own=0.9)]
    event = seen(*turns).alignment.events[0]
    assert (event.fit, event.latency_ms) == (0.0, 13_000)


def test_a_call_that_ends_before_an_answer_blames_nobody() -> None:
    call = seen(agent(0), caller(3000, frustration=0.9), closed=True)
    assert call.alignment.events[0].fit is None
    assert (call.empathy, call.components["P"], call.alignment.met_share) == (None, 0.0, None)


def test_the_summary_counts_settled_events() -> None:
    good = dict.fromkeys(("acknowledge", "understand", "own", "reassure"), 0.9)
    turns, at = [], 0
    for does in (good, {}, good):
        turns += [caller(at, frustration=0.9), agent(at + 2500, f"{at} b c d e f g", **does)]
        turns += [caller(at + 5000), agent(at + 7500, f"x{at} y z")] + [
            caller(at + 10_000),
            agent(at + 12_500, f"q{at} r s"),
        ]
        at += 20_000
    found = seen(*turns, closed=True).alignment
    assert len(found.events) == 3
    assert (found.met_share, found.median_latency_ms) == (0.667, 500)


def test_pace_match_is_a_diagnostic() -> None:
    assert pace_match(Timing(customer_wpm=200, agent_wpm=100)) == 0.5
    assert pace_match(Timing()) is None
    assert view([], [], [], RUBRIC, now_ms=0, closed=False).alignment == Alignment()


def test_words_in_pieces_are_one_answer() -> None:
    """A recogniser that chops the agent's answer does not use up the agent's two turns."""
    whole = turns_of([("customer", "this is ridiculous I'm fed up with you people")])
    end = whole[0].end_ms
    pieces = [
        agent(end + 500 + 2500 * n, f"piece {n} of it", **{k: 0.9})
        for n, k in enumerate(("acknowledge", "own", "understand", "reassure"))
    ]
    event = view([*whole, *pieces], [], [], RUBRIC, now_ms=end + 12_000, closed=True).alignment.events[0]
    assert event.fit == pytest.approx(0.9 * 0.9)
