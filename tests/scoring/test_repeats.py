from __future__ import annotations

import pytest

from scoring.language import RuleLanguage, TurnText
from scoring.repeats import asked_again
from scoring.rubric import default_rubric
from scoring.types import Channel

FIRST = "so which number do i put in the box"


@pytest.mark.parametrize(
    "again",
    [
        "Sorry, which number goes in the box?",
        "okay but which number do I put in that box",
        "I have it here. And what number do I put in the box again?",
    ],
)
def test_the_same_question_in_other_words_is_found(again: str) -> None:
    assert asked_again(again, [FIRST, "right I have the letter here"]) is not None


@pytest.mark.parametrize(
    "other",
    [
        "and when does the letter arrive?",
        "I put the number in the box.",
        "which box?",
        "",
        "what?",
    ],
)
def test_another_question_or_an_answer_is_not(other: str) -> None:
    assert asked_again(other, [FIRST]) is None


def test_nothing_is_asked_again_at_the_start() -> None:
    assert asked_again(FIRST, []) is None


def test_a_question_asked_again_is_heard_as_confusion_with_its_quote() -> None:
    language = RuleLanguage(default_rubric())
    again = "And which number goes in the box?"
    alone, after = language.read(
        [TurnText(Channel.CUSTOMER, again), TurnText(Channel.CUSTOMER, again, (FIRST,))]
    )
    assert after.states["confusion"] >= 0.5 > alone.states["confusion"]
    assert any(c.source == "rule:asked-again" and "box" in c.quote for c in after.cues)


def test_an_agent_who_asks_again_is_not_called_confused() -> None:
    language = RuleLanguage(default_rubric())
    [reading] = language.read([TurnText(Channel.AGENT, FIRST, (FIRST,))])
    assert not reading.states
    assert all(c.source != "rule:asked-again" for c in reading.cues)
