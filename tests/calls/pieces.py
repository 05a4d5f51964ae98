"""Hand-made pieces of calls: what a batch of the engine would have heard."""

from __future__ import annotations

from calls.choices import Outcome
from calls.record import Scored
from scoring.types import HOP_MS, CallHeard, Channel, Cue, Speech, StreamState, Turn, VoiceState

ANGRY = {"angry": 0.7, "disgust": 0.1, "fear": 0.05, "happy": 0.05, "neutral": 0.05, "sad": 0.05}


def customer(start_ms: int, text: str = "this is the third time I call", frustration: float = 0.8) -> Turn:
    cue = Cue("frustration", frustration, 0.8, "third time", "rule:repeat-contact")
    states = {
        "frustration": frustration,
        "anxiety": 0.05,
        "confusion": 0.05,
        "sadness": 0.0,
        "satisfaction": 0.0,
    }
    return Turn(
        Channel.CUSTOMER, start_ms, start_ms + 2500, text, 0.9, states=states, cues=(cue,), model="test"
    )


def agent(start_ms: int, text: str = "I'm sorry about that", **behaviours: float) -> Turn:
    return Turn(
        Channel.AGENT,
        start_ms,
        start_ms + 2500,
        text,
        0.9,
        behaviours=behaviours or {"acknowledge": 0.8},
        model="test",
    )


def window(start_ms: int) -> VoiceState:
    return VoiceState(start_ms, start_ms + 3000, ANGRY, 0.7, 2000, "test")


def scored(
    call_id: str,
    *pieces: Turn | VoiceState,
    hops: range = range(0, 8),
    close: bool = False,
) -> Scored:
    turns = tuple(p for p in pieces if isinstance(p, Turn))
    voice = tuple(p for p in pieces if isinstance(p, VoiceState))
    speech = tuple(Speech(p.channel, p.start_ms, p.end_ms) for p in turns)
    states = tuple(StreamState(channel, next_index=hops.stop) for channel in Channel)
    heard = CallHeard(call_id, states, turns, voice, speech, {"vad": 1.0})
    outcomes = {(channel, n): Outcome.SCORED for channel in Channel for n in hops}
    return Scored(call_id, heard, outcomes, dict.fromkeys(Channel, hops.stop), close=close)


def media_ms(hops: int) -> int:
    return hops * HOP_MS
