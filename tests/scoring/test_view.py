from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.rubric import default_rubric
from scoring.types import Channel, Risk, Speech, State
from scoring.view import view
from tests.scoring.language_calls import ANGER_THAT_RECOVERS, BAD_AGENT, turns_of, window

RUBRIC = default_rubric()
TURNS = turns_of(ANGER_THAT_RECOVERS) + [
    t for t in turns_of([("agent", "x")] * 40 + BAD_AGENT) if t.text != "x"
]
VOICE = [window(n * 1500, angry=0.1 * (n % 9), sad=0.1) for n in range(30)]
SPEECH = [Speech(t.channel, t.start_ms, t.end_ms + 700 * (n % 3)) for n, t in enumerate(TURNS)]


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_order_and_repeats_of_arrival_change_nothing(random, closed: bool) -> None:
    def jumbled(pieces: list) -> list:
        again = pieces + [p for p in pieces if random.random() < 0.3]
        return random.sample(again, len(again))

    expected = view(TURNS, VOICE, SPEECH, RUBRIC, now_ms=200_000, closed=closed)
    assert (
        view(jumbled(TURNS), jumbled(VOICE), jumbled(SPEECH), RUBRIC, now_ms=200_000, closed=closed)
        == expected
    )


def test_a_dissatisfied_call_reads_as_one() -> None:
    turns = turns_of(BAD_AGENT)
    seen = view(turns, [], [], RUBRIC, now_ms=turns[-1].end_ms, closed=False)
    assert seen.risk is Risk.HELP
    assert seen.reason.startswith("Angry for ")
    assert "cancelling my account" in seen.quote


def test_the_reason_says_what_is_missing() -> None:
    turns = turns_of([("customer", "I'm really worried about my money, am I going to lose it")])
    seen = view(turns, [], [], RUBRIC, now_ms=turns[0].end_ms + 12_000, closed=False)
    assert seen.reason == "Anxious for 12 s, no next step yet"


def test_moments_are_unique_and_in_order() -> None:
    times = [m.t_ms for m in view(TURNS, VOICE, SPEECH, RUBRIC, now_ms=0, closed=True).moments]
    assert times == sorted(set(times))


def test_empty_and_wordless_calls() -> None:
    nothing = view([], [], [], RUBRIC, now_ms=0, closed=False)
    assert (nothing.moments, nothing.empathy, nothing.risk, nothing.quote) == ((), None, Risk.CALM, "")
    heard = view([], VOICE[:3], [Speech(Channel.CUSTOMER, 0, 5000)], RUBRIC, now_ms=6000, closed=False)
    assert heard.moments[-1].empathy is None


def test_before_the_caller_speaks_the_state_is_unsure() -> None:
    turns = turns_of(ANGER_THAT_RECOVERS)[:1]
    assert view(turns, [], [], RUBRIC, now_ms=9000, closed=False).moments[0].state is State.UNSURE


def test_a_view_is_plain_data() -> None:
    import dataclasses

    seen = view(TURNS, VOICE, SPEECH, RUBRIC, now_ms=200_000, closed=True)
    assert json.loads(json.dumps(dataclasses.asdict(seen)))["risk"] == str(seen.risk)
