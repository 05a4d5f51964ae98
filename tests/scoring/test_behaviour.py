from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.behaviour import is_announced, overlaps, pace, silences, syllables, talk_pattern
from scoring.rubric import default_rubric
from scoring.types import Channel, Speech, Turn
from tests.scoring.language_calls import turns_of

RULES = default_rubric().timing
C, A = Channel.CUSTOMER, Channel.AGENT


def test_who_took_the_floor() -> None:
    yields = overlaps([(0, 5000)], [(4000, 9000)], 500)
    talks_on = overlaps([(0, 9000)], [(4000, 5000)], 500)
    brief = overlaps([(0, 5000)], [(4700, 9000)], 500)
    assert yields == (1000, [4000])
    assert talks_on == (1000, [])
    assert brief == (300, [])


def test_the_caller_cutting_in_is_not_held_against_the_agent() -> None:
    assert overlaps([(4000, 9000)], [(0, 5000)], 500) == (1000, [])


def test_timing_of_a_short_call() -> None:
    speech = [Speech(A, 0, 2000), Speech(C, 2500, 6000), Speech(A, 5000, 8000), Speech(C, 20_000, 21_000)]
    seen = talk_pattern([], speech, RULES, 21_000)
    timing = seen.timing
    assert (timing.agent_talk_ms, timing.customer_talk_ms, timing.overlap_ms) == (5000, 4500, 1000)
    assert (timing.floor_taking_overlaps, timing.longest_silence_ms) == (1, 12_000)
    assert [s.start_ms for s in seen.silences] == [8000]


def test_a_silence_still_open_counts_until_now() -> None:
    assert talk_pattern([], [Speech(C, 0, 1000)], RULES, 20_000).timing.longest_silence_ms == 19_000


def test_a_listening_sound_takes_no_floor() -> None:
    speech = [Speech(C, 600, 8900), Speech(A, 8300, 9100), Speech(C, 9700, 12_000)]
    hum, says = (Turn(A, 8150, 9250, words, 0.9) for words in ("Mm-hm.", "No, wait a moment."))
    told = [talk_pattern([turn], speech, RULES, 13_000) for turn in (hum, says)]
    assert [seen.timing.floor_taking_overlaps for seen in told] == [0, 1]
    assert told[0].timing.overlap_ms == told[1].timing.overlap_ms == 600


def test_an_announced_wait_is_explained() -> None:
    told = turns_of([("customer", "I'm worried"), ("agent", "let me check that for you one moment please")])
    silent = turns_of([("customer", "I'm worried"), ("agent", "right so the account is here")])
    gap = silences([(0, told[-1].end_ms)], told[-1].end_ms + 20_000)[0]
    assert is_announced(gap, told, RULES)
    assert not is_announced(silences([(0, silent[-1].end_ms)], silent[-1].end_ms + 20_000)[0], silent, RULES)


@given(
    st.lists(st.tuples(st.sampled_from([C, A]), st.integers(0, 50_000), st.integers(1, 9000)), max_size=20)
)
def test_overlap_never_exceeds_either_side(raw: list[tuple[Channel, int, int]]) -> None:
    speech = [Speech(channel, start, start + length) for channel, start, length in raw]
    timing = talk_pattern([], speech, RULES, 60_000).timing
    assert 0 <= timing.overlap_ms <= min(timing.customer_talk_ms, timing.agent_talk_ms)


@pytest.mark.parametrize(
    ("word", "n"),
    [
        ("time", 1),
        ("table", 2),
        ("banana", 3),
        ("I", 1),
        ("can't", 1),
        ("really", 2),
        ("three", 1),
        ("123", 1),
    ],
)
def test_syllables(word: str, n: int) -> None:
    assert syllables(word) == n


def test_pace_needs_enough_words() -> None:
    slow = Turn(C, 0, 10_000, " ".join(["table"] * 20), 0.9)
    assert pace([slow], C) == (120.0, 4.0)
    assert pace([replace(slow, text="table table")], C) == (None, None)
    assert pace([slow], A) == (None, None)


def test_response_time_is_the_median_and_overlap_is_zero() -> None:
    text = "nine words so that this is no listening sound"
    turns = [Turn(C, 0, 1000, text, 0.9), Turn(A, 1400, 2000, text, 0.9), Turn(C, 2100, 4000, text, 0.9)]
    turns += [Turn(A, 3500, 5000, text, 0.9), Turn(C, 5100, 6000, text, 0.9), Turn(A, 8000, 9000, text, 0.9)]
    timing = talk_pattern(turns, [], RULES, 9000).timing
    assert timing.response_ms == 400
    assert talk_pattern([], [], RULES, 0).timing.response_ms is None


def test_who_took_the_floor_from_whom_and_who_talks_how_much() -> None:
    speech = [Speech(A, 0, 5000), Speech(C, 4000, 9000), Speech(A, 8000, 11_000)]
    timing = talk_pattern([], speech, RULES, 11_000).timing
    assert (timing.caller_floor_takings, timing.floor_taking_overlaps) == (1, 1)
    assert timing.agent_share == 0.615


def test_a_hold_is_no_dead_air() -> None:
    told = turns_of([("customer", "I'm worried"), ("agent", "let me check that for you one moment please")])
    end = told[-1].end_ms
    later = Turn(A, end + 20_000, end + 21_000, "right I have it here", 0.9)
    dead = Turn(A, end + 36_000, end + 37_000, "hello", 0.9)
    timing = talk_pattern([*told, later, dead], [], RULES, end + 37_000).timing
    assert (timing.hold_ms, timing.dead_air_ms) == (20_000, 15_000)
