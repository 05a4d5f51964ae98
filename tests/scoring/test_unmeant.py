from __future__ import annotations

import pytest

from scoring.language import TurnText, load_language
from scoring.types import Channel
from scoring.unmeant import meant


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("I'm not terrified or anything, I just want to know", "I just want to know"),
        ("and I'm not like, you know, terrified", "and"),
        ("it's not that I'm confused, I just want it in writing", "I just want it in writing"),
        ("I wouldn't say I'm angry. Tired, perhaps.", "Tired, perhaps."),
        ("I'm afraid I don't have the number", "I don't have the number"),
        ("I was frightened that day but I'm fine now", "I'm fine now"),
        ("my neighbour got really angry about it but I don't mind", "I don't mind"),
        ("I'm not angry, I'm furious!", "I'm furious!"),
    ],
)
def test_feelings_that_are_not_the_callers_now_are_set_aside(said: str, left: str) -> None:
    assert meant(said) == left


@pytest.mark.parametrize(
    "said",
    [
        "I'm not happy at all",
        "I'm afraid I'll lose the house",
        "I was so worried and it is worse now",
        "my wife is terrified",
        "I was never so angry in my life",
        "I'm so scared",
        "I have not lost the card",
        "why is nobody worried about this",
        "",
    ],
)
def test_feelings_that_are_stay(said: str) -> None:
    assert meant(said) == said


def test_quotes_are_of_what_was_said() -> None:
    text = "I'm not worried about the money. I'm scared for my daughter, she is all alone there."
    [reading] = load_language().read([TurnText(Channel.CUSTOMER, text)])
    assert reading.states["anxiety"] > 0.5
    assert all(cue.quote.rstrip(" …") in text for cue in reading.cues)
