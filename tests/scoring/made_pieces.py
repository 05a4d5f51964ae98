"""Hypothesis: calls as pieces, two people taking turns with any states, behaviours, gaps and overlaps."""

from __future__ import annotations

from hypothesis import strategies as st

from scoring.types import DISTRESS, HELPING, Channel, Cue, Speech, Turn
from tests.scoring.language_calls import window

LEVEL = st.sampled_from([0.0, 0.3, 0.6, 0.9])
AGENT_DOES = [*HELPING, "dismissive", "blaming", "courtesy"]


@st.composite
def turn_after(draw: st.DrawFn, at_ms: int) -> Turn:
    channel = draw(st.sampled_from(list(Channel)))
    start = max(0, at_ms + draw(st.sampled_from([-1200, 0, 300, 900, 4000, 12_000])))
    words = draw(st.integers(1, 14))
    text = " ".join(f"word{draw(st.integers(0, 5))}" for _ in range(words))
    labels = DISTRESS if channel is Channel.CUSTOMER else AGENT_DOES
    levels = {str(label): draw(LEVEL) for label in draw(st.lists(st.sampled_from(labels), max_size=3))}
    cues: tuple[Cue, ...] = ()
    if channel is Channel.CUSTOMER and draw(st.booleans()):
        cues = (Cue("escalation", 0.8, 0.8, text[:20], "rule:escalation-leave"),)
    states = levels if channel is Channel.CUSTOMER else {}
    behaviours = levels if channel is Channel.AGENT else {}
    return Turn(channel, start, start + 300 * words, text, 0.9, (), states, behaviours, cues)


@st.composite
def calls(draw: st.DrawFn) -> list[Turn]:
    turns: dict[tuple[Channel, int], Turn] = {}
    at = 0
    for _ in range(draw(st.integers(0, 16))):
        turn = draw(turn_after(at))
        turns[turn.channel, turn.start_ms] = turn
        at = turn.end_ms
    return list(turns.values())


def speech_of(turns: list[Turn]) -> list[Speech]:
    return [Speech(t.channel, t.start_ms, t.end_ms) for t in turns]


def voice_of(turns: list[Turn]) -> list:
    mine = [t for t in turns if t.channel is Channel.CUSTOMER]
    return [window(t.start_ms, angry=0.2 * (n % 4)) for n, t in enumerate(mine)]
