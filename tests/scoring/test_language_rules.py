from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.language import TurnText, load_language
from scoring.phrases import spoken
from scoring.types import Channel

RULES = load_language(stand_in=True)


def caller(text: str) -> dict[str, float]:
    return dict(RULES.read([TurnText(Channel.CUSTOMER, text)])[0].states)


def agent(text: str) -> dict[str, float]:
    return dict(RULES.read([TurnText(Channel.AGENT, text)])[0].behaviours)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("this is the third time I'm calling you people", "frustration"),
        ("ive been waiting for two weeks now", "frustration"),
        ("nobody ever told me about that", "frustration"),
        ("I'm worried about my money", "anxiety"),
        ("somebody has stolen my card", "anxiety"),
        ("I don't understand what you mean", "confusion"),
        ("what does deductible mean", "confusion"),
        ("my husband passed away last month", "sadness"),
        ("oh thank you so much that is such a relief", "satisfaction"),
    ],
)
def test_a_caller_s_words_say_a_state(text: str, state: str) -> None:
    states = caller(text)
    assert max(states, key=states.__getitem__) == state
    assert states[state] >= 0.5


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("no I'm not worried about it", "anxiety"),
        ("I was never angry with you", "frustration"),
        ("I don't want to cancel my account", "frustration"),
        ("yes it's four one double one", "frustration"),
        ("no that's all thanks bye", "satisfaction"),
    ],
)
def test_negation_and_plain_talk_say_little(text: str, state: str) -> None:
    assert caller(text)[state] <= 0.4


def test_thanks_do_not_hide_a_complaint() -> None:
    states = caller("thank you so much but I'm still waiting and I'm fed up")
    assert states["frustration"] > 0.8 > 0.4 > states["satisfaction"]


@pytest.mark.parametrize(
    ("text", "behaviour"),
    [
        ("I understand how frustrating this must be", "acknowledge"),
        ("so what you're saying is that the bill doubled", "understand"),
        ("can you tell me what happened", "explore"),
        ("we apologise that was our mistake", "own"),
        ("I'll send the replacement today and you'll have it by Friday", "reassure"),
        ("thank you for calling have a lovely day", "courtesy"),
        ("calm down there is nothing I can do", "dismissive"),
        ("you should have read the contract", "blaming"),
    ],
)
def test_an_agent_s_words_are_behaviours(text: str, behaviour: str) -> None:
    assert agent(text)[behaviour] >= 0.5


def test_sympathy_is_not_an_apology() -> None:
    assert agent("I'm so sorry for your loss")["own"] == 0
    assert agent("I'm so sorry for your loss")["acknowledge"] >= 0.5


@pytest.mark.parametrize(
    "text", ["you should not have to call three times", "you should have received an email"]
)
def test_being_on_the_caller_s_side_is_not_blame(text: str) -> None:
    assert agent(text)["blaming"] == 0


def test_the_firewall_holds_for_words() -> None:
    mine, theirs = RULES.read(
        [
            TurnText(Channel.CUSTOMER, "I'm sorry I understand how frustrating this must be"),
            TurnText(Channel.AGENT, "I'm furious and fed up"),
        ]
    )
    assert not mine.behaviours and not theirs.states


def test_a_cue_quotes_the_caller_s_own_words() -> None:
    text = "Look, I don’t know. I’ve been waiting for TWO weeks! Okay?"
    cue = RULES.read([TurnText(Channel.CUSTOMER, text)])[0].cues[0]
    assert (cue.label, cue.quote, cue.source) == (
        "frustration",
        "I’ve been waiting for TWO weeks",
        "rule:waiting",
    )


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    for channel in Channel:
        reading = RULES.read([TurnText(channel, text)])[0]
        assert all(0 <= v <= 1 for v in (*reading.states.values(), *reading.behaviours.values()))
        assert all(cue.quote in text for cue in reading.cues)


def test_contractions_are_spelled_out_with_or_without_an_apostrophe() -> None:
    assert spoken("I can't, dont").words == spoken("I cannot, do not").words
