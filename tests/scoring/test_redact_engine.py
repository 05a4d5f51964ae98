"""Redaction where it counts: through the engine, over turns and over both sides of the line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.engine import Engine, load_engine
from scoring.evaluate_redaction import readings
from scoring.speech import Transcript, spread
from scoring.types import Channel, Samples, Turn
from scoring.view import unique_turns
from tests.scoring.test_engine import talk


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(stand_in=True)


class ByLength:
    """Says the line whose turn has this many seconds: the same words however the call is cut."""

    version = "by-length"

    def __init__(self, lines: dict[int, str]) -> None:
        self.lines = lines

    def transcribe(self, turns: Sequence[Samples]) -> list[Transcript]:
        said = [self.lines[round((abs(turn) > 0).sum() / 8000)] for turn in turns]
        return [Transcript(text, spread(text, 1000, 0.9), 0.9) for text in said]


# Seconds of speech name the line; the two sides take turns.
LINES = {
    1: "and what is the security code on the back",
    2: "nine one",
    3: "and the last one is two",
    4: "what's the long card number",
    5: "it's four one",
    6: "one one",
    7: "okay",
    8: "one one one one, and then eleven eleven 1111, twice",
    9: "four one one one so far, is that right",
}
CUSTOMER = talk((0, 6000), (5000, 2000), (6000, 4000), (8000, 14000), (2000, 2000), (3000, 3000))
AGENT = talk((4000, 15500), (7000, 1000), seed=3)
AGENT_LATER = talk((0, 1500), (9000, 2000), (1000, 12000), seed=4)


def both_sides() -> tuple[Samples, Samples]:
    agent = np.concatenate(
        [AGENT[: 8 * 31000], np.zeros(max(0, 8 * 31000 - len(AGENT)), np.int16), AGENT_LATER]
    )
    return CUSTOMER, agent


def heard(engine: Engine, hops: int) -> tuple[list[Turn], str]:
    customer, agent = both_sides()
    parts = list(replace(engine, speech=ByLength(LINES)).hear_recording(customer, agent, hops_per_step=hops))
    turns = sorted(
        (turn for part in parts for turn in part.turns), key=lambda t: (t.start_ms, t.channel, t.end_ms)
    )
    kept = [[state.detail[k] for k in ("said", "carry")] for part in parts for state in part.streams]
    return turns, repr((turns, kept, [state.detail["before"]["said"] for p in parts for state in p.streams]))


def test_a_card_and_a_code_piecemeal_over_both_sides(engine: Engine) -> None:
    turns, told = heard(engine, 1)
    said = " ".join(turn.text for turn in turns)
    assert "long card number" in said and "security code" in said, said
    for text in readings(said):
        assert not any(secret in text for secret in ("411", "111", "912", "91")), said
    for words in ("one one", "eleven", "1111", "four one", "nine one"):
        assert words not in told
    for turn in turns:
        assert not any(len(text) > 1 for text in readings(" ".join(w.text for w in turn.words))), turn


@given(hops=st.integers(1, 40))
@settings(max_examples=6, deadline=None)
def test_step_size_changes_no_mask(engine: Engine, hops: int) -> None:
    assert [t.text for t in heard(engine, hops)[0]] == [t.text for t in heard(engine, 1)[0]]


def test_the_view_and_its_quotes_hold_no_digit_of_it(engine: Engine) -> None:
    customer, agent = both_sides()
    scored = replace(engine, speech=ByLength(LINES)).score_recording(customer, agent)
    for words in ("one one", "eleven", "1111", "four one", "nine one"):
        assert words not in repr((scored.turns, scored.view))


ASKED = {
    1: "can I have the expiry date please",
    2: "can I have the expiry date of that card, it is on the front of it",
    3: "december twenty twenty seven",
    4: "the expiry date is december twenty twenty seven",
    5: "okay",
    6: "and the security code",
    7: "nine one two",
    8: "so what was it, what is the expiry date and the code on the back",
}
part = st.tuples(st.integers(1, 4).map(lambda s: s * 1000), st.integers(1, 15).map(lambda s: s * 100))


def padded(*sides: Samples) -> list[Samples]:
    end = max(map(len, sides)) + 8 * 3000
    return [np.pad(side, (0, end - len(side))) for side in sides]


def tell(engine: Engine, agent: Samples, customer: Samples, hops: int) -> list[tuple[Channel, int, str]]:
    speech = ByLength({n: ASKED[1 + (n - 1) % len(ASKED)] for n in range(1, 31)})
    parts = replace(engine, speech=speech).hear_recording(customer, agent, hops_per_step=hops)
    turns = unique_turns([turn for part in parts for turn in part.turns])
    return [(turn.channel, turn.start_ms, turn.text) for turn in turns]


@given(
    agent=st.lists(part, min_size=1, max_size=4),
    customer=st.lists(part, min_size=1, max_size=4),
    later=st.integers(0, 60).map(lambda s: s * 100),
    hops=st.integers(2, 40),
)
@settings(max_examples=60, deadline=None)
def test_the_cut_into_batches_changes_no_mask(
    engine: Engine, agent: list[tuple[int, int]], customer: list[tuple[int, int]], later: int, hops: int
) -> None:
    """Turns that are reopened, overlap, and answer in the pauses of the other side."""
    sides = padded(talk(*agent), talk((0, later), *customer, seed=1))
    assert tell(engine, *sides, hops) == tell(engine, *sides, 1)


@pytest.mark.parametrize("gap", [400, 250, 100, 0])
@pytest.mark.parametrize("hops", [1, 40])
def test_a_quick_answer_is_masked(engine: Engine, gap: int, hops: int) -> None:
    sides = padded(talk((1000, 1)), talk((0, 1000 + gap), (3000, 100)))
    [_, (_, _, answer)] = tell(engine, *sides, hops)
    assert answer == "[code]"


@pytest.mark.parametrize("hops", [1, 40])
def test_an_answer_in_the_pause_of_the_question_is_masked(engine: Engine, hops: int) -> None:
    sides = padded(talk((1000, 1100), (1000, 1)), talk((0, 1150), (3000, 100)))
    assert [text for *_, text in tell(engine, *sides, hops)][1] == "[code]"


def test_a_second_telling_without_words_takes_none_away(engine: Engine) -> None:
    """Over the budget the turn that goes on is not transcribed again; its first words stay."""
    customer, agent = padded(talk((1000, 800), (1000, 1)), talk((1, 1)))
    speech = ByLength(ASKED | {2: ""})
    turns = [
        turn
        for part in replace(engine, speech=speech).hear_recording(customer, agent, hops_per_step=1)
        for turn in part.turns
    ]
    assert [turn.text for turn in turns] == [ASKED[1]]
