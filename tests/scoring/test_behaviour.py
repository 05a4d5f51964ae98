from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scoring.behaviour import is_announced, overlaps, silences, talk_pattern
from scoring.rubric import default_rubric
from scoring.types import Channel, Speech
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
    seen = talk_pattern([], speech, RULES, 21_000, closed=True)
    timing = seen.timing
    assert (timing.agent_talk_ms, timing.customer_talk_ms, timing.overlap_ms) == (5000, 4500, 1000)
    assert (timing.floor_taking_overlaps, timing.longest_silence_ms) == (1, 12_000)
    assert [s.start_ms for s in seen.silences] == [8000]


def test_a_silence_still_open_counts_until_now() -> None:
    assert (
        talk_pattern([], [Speech(C, 0, 1000)], RULES, 20_000, closed=False).timing.longest_silence_ms
        == 19_000
    )
    assert talk_pattern([], [Speech(C, 0, 1000)], RULES, 20_000, closed=True).timing.longest_silence_ms == 0


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
    timing = talk_pattern([], speech, RULES, 60_000, closed=False).timing
    assert 0 <= timing.overlap_ms <= min(timing.customer_talk_ms, timing.agent_talk_ms)
