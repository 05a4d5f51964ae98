"""Hand-written calls for the tests of words, states and scores: [(who, text)] → turns with rule readings."""

from __future__ import annotations

from collections.abc import Sequence

from scoring.language import TurnText, load_language
from scoring.types import Channel, Turn, VoiceState

LANGUAGE = load_language(stand_in=True)
MS_PER_WORD = 400

ANGER_THAT_RECOVERS = [
    ("agent", "good morning thanks for calling my name is Bob how can I help"),
    (
        "customer",
        "this is the third time I'm calling about my refund and nobody told me anything I'm really fed up",
    ),
    (
        "agent",
        "I'm so sorry about that, I understand how frustrating that is and you should not have to call three times",
    ),
    ("customer", "okay well it just keeps happening and I don't want to explain it all over again"),
    (
        "agent",
        "you're right, so you were charged twice in May, I'm going to refund it now and you'll have it by Friday",
    ),
    ("customer", "oh thank you so much that's a relief"),
    ("agent", "is there anything else, have a great day"),
    ("customer", "no that was very helpful thank you"),
]
BAD_AGENT = [
    ("agent", "yes hello"),
    (
        "customer",
        "this is the third time I'm calling about my refund and nobody told me anything I'm really fed up",
    ),
    ("agent", "well you should have read the terms"),
    ("customer", "this is ridiculous I want to speak to a supervisor"),
    ("agent", "calm down there's nothing I can do"),
    ("customer", "you are useless I'm cancelling my account and I will make a complaint"),
    ("agent", "whatever that is our policy"),
]
CALM_CALL = [
    ("agent", "good morning how can I help"),
    ("customer", "hi I'd like to change the delivery address on my account please"),
    ("agent", "of course what is the new address please"),
    ("customer", "it's twelve main street in york and the postcode has not changed"),
    ("agent", "thank you that's changed anything else"),
    ("customer", "no that's all thanks bye"),
]


def turns_of(lines: Sequence[tuple[str, str]], gap_ms: int = 800) -> list[Turn]:
    turns, at, before = [], 0, []
    for who, text in lines:
        channel = Channel(who)
        reading = LANGUAGE.read([TurnText(channel, text, tuple(before[-3:]))])[0]
        end = at + MS_PER_WORD * len(text.split())
        turns.append(Turn(channel, at, end, text, 0.9, (), reading.states, reading.behaviours, reading.cues))
        at = end + gap_ms
        before.append(text)
    return turns


def window(start_ms: int, confidence: float = 0.8, **probs: float) -> VoiceState:
    """A voice window; what the named classes leave goes to neutral."""
    rest = 1.0 - sum(probs.values())
    table = (
        dict.fromkeys(("angry", "disgust", "fear", "happy", "neutral", "sad"), 0.0)
        | {"neutral": rest}
        | probs
    )
    return VoiceState(start_ms, start_ms + 3000, table, confidence, 2500, "test")
