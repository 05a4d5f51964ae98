"""The engine: same pieces, same answer; the firewall; redaction; one bad call hurts no other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.engine import NOT_TRANSCRIBED, Engine, EngineError, load_engine, piece
from scoring.speech import StandInSpeech, Transcript, spread
from scoring.types import HOP_SAMPLES, CallWork, Channel, CustomerWindow, Samples, StreamState, StreamWork
from scoring.view import unique_turns
from scoring.voice import Baseline, StandInVoice, VoiceScore


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(stand_in=True)


def talk(*parts: tuple[int, int], seed: int = 0) -> Samples:
    """(speech ms, silence ms) …"""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            np.concatenate([rng.uniform(-4000, 4000, on * 8), np.zeros(off * 8)]).astype(np.int16)
            for on, off in parts
        ]
    )


CUSTOMER = talk((2000, 900), (700, 1200), (4000, 3000), seed=1)
AGENT = talk((200, 3500), (2500, 800), (3000, 2000), seed=2)


def test_a_call_gives_turns_of_both_and_voice_of_the_customer(engine: Engine) -> None:
    scored = engine.score_recording(CUSTOMER, AGENT)
    assert {turn.channel for turn in scored.turns} == set(Channel)
    assert [turn.start_ms for turn in scored.turns] == sorted(turn.start_ms for turn in scored.turns)
    assert scored.voice and all(0 <= v.start_ms < v.end_ms for v in scored.voice)
    assert all(not turn.states for turn in scored.turns if turn.channel is Channel.AGENT)
    assert all(not turn.behaviours for turn in scored.turns if turn.channel is Channel.CUSTOMER)
    assert scored.view.timing.customer_talk_ms > 5000
    json.dumps(asdict(scored))


def collect(engine: Engine, hops: int) -> tuple[list[object], ...]:
    """Turns as told last: a step that holds a turn and its reopening tells it once."""
    parts = list(engine.hear_recording(CUSTOMER, AGENT, hops_per_step=hops))
    turns = unique_turns([turn for part in parts for turn in part.turns])
    others = (
        sorted((item for part in parts for item in getattr(part, name)), key=repr)
        for name in ("voice", "speech")
    )
    return (turns, *others)


@given(hops=st.integers(1, 30))
@settings(max_examples=12, deadline=None)
def test_step_size_changes_nothing(engine: Engine, hops: int) -> None:
    assert collect(engine, hops) == collect(engine, 1)


def test_it_says_who_speaks_at_the_end_of_what_was_heard_and_since_when(engine: Engine) -> None:
    parts = list(engine.hear_recording(CUSTOMER, AGENT, hops_per_step=1))
    speaks = {channel: [part.speaks(channel) for part in parts] for channel in Channel}
    assert (
        speaks[Channel.CUSTOMER][1]
        and speaks[Channel.CUSTOMER][12]
        and not any(speaks[Channel.CUSTOMER][19:])
    )
    assert not any(speaks[Channel.AGENT][2:6]) and speaks[Channel.AGENT][9]
    assert abs(parts[9].turn_ms(Channel.AGENT) - 1300) < 200, "since 3.7 s, and it is 5 s"
    assert not parts[5].turn_ms(Channel.AGENT) and not parts[-1].turn_ms(Channel.CUSTOMER)


def test_state_survives_json_between_pieces(engine: Engine) -> None:
    states = {channel: StreamState(channel) for channel in Channel}
    turns = []
    waves = {Channel.CUSTOMER: CUSTOMER, Channel.AGENT: AGENT}
    for end in range(1, 30):
        work = CallWork("a", tuple(piece(states[c], waves[c], end) for c in Channel), closing=end == 29)
        [heard] = engine.hear([work])
        turns += heard.turns
        for state in heard.streams:
            assert state.next_index == end
            assert end - state.keep_from_index <= 32
            states[state.channel] = replace(state, detail=json.loads(json.dumps(state.detail)))
    assert unique_turns(turns) == collect(engine, 1)[0]


def test_calls_in_one_batch_do_not_mix(engine: Engine) -> None:
    def work(call: str, wave: Samples) -> CallWork:
        streams = (piece(StreamState(Channel.CUSTOMER), wave, len(wave) // HOP_SAMPLES),)
        return CallWork(call, streams, closing=True)

    works = [work("a", CUSTOMER[:40_000]), work("b", AGENT[:60_000]), work("c", CUSTOMER[8_000:60_000])]
    together = engine.hear(works)
    assert [heard.call_id for heard in together] == ["a", "b", "c"]
    for heard, alone in zip(together, works, strict=True):
        [expected] = engine.hear([alone])
        assert (heard.turns, heard.voice, heard.speech) == (expected.turns, expected.voice, expected.speech)
        assert heard.streams == expected.streams


class RecordingVoice(StandInVoice):
    def __init__(self) -> None:
        self.seen: list[CustomerWindow] = []

    def score(
        self, windows: Sequence[CustomerWindow], baselines: Sequence[Baseline] | None = None
    ) -> list[VoiceScore]:
        self.seen += windows
        return super().score(windows, baselines)


def test_no_agent_sample_reaches_the_emotion_model(engine: Engine) -> None:
    voice = RecordingVoice()
    marked = np.where(AGENT != 0, np.int16(12345), np.int16(0)).astype(np.int16)
    list(replace(engine, voice=voice).hear_recording(CUSTOMER, marked))
    assert voice.seen
    assert not any(np.isclose(w.samples, 12345 / 32768).any() for w in voice.seen)
    voice.seen.clear()
    list(replace(engine, voice=voice).hear_recording(np.zeros_like(AGENT), AGENT))
    assert voice.seen == []


def test_mixed_audio_gets_words_and_timing_only(engine: Engine) -> None:
    voice = RecordingVoice()
    scored = replace(engine, voice=voice).score_recording(CUSTOMER, mixed=True)
    assert voice.seen == [] and scored.voice == ()
    assert scored.turns
    assert all(not turn.states and not turn.behaviours and not turn.cues for turn in scored.turns)
    assert scored.view.empathy is None


class Dictation(StandInSpeech):
    """Says the given lines in order."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    def transcribe(self, turns: Sequence[Samples]) -> list[Transcript]:
        said = [self.lines.pop(0) for _ in turns]
        return [Transcript(text, spread(text, 1000, 0.9), 0.9) for text in said]


def test_a_reopened_turn_comes_again_and_replaces_what_was_carried(engine: Engine) -> None:
    lines = ("my card is four one one one", "my card is 4111 1111 1111 1111 and", "thanks")
    wave = talk((1000, 700), (1000, 2500), (1000, 1000))
    heard = list(replace(engine, speech=Dictation(*lines)).hear_recording(wave, hops_per_step=1))
    turns = [turn for part in heard for turn in part.turns]
    assert [t.start_ms for t in turns[:2]] == [turns[0].start_ms] * 2
    assert turns[0].end_ms < turns[1].end_ms < turns[2].start_ms
    assert [t.text for t in turns] == ["my card is [card]", "my card is [card] and", "thanks"]
    assert heard[-1].streams[0].detail["said"] == ["my card is [card] and", "thanks"]


def test_redacted_before_anything_leaves(engine: Engine) -> None:
    lines = ("my card is four one one one", "one one one one 1111", "1111 and thank you")
    wave = talk((1000, 1500), (1000, 1500), (1000, 1000))
    heard = list(replace(engine, speech=Dictation(*lines)).hear_recording(wave, hops_per_step=1))
    turns = [turn for part in heard for turn in part.turns]
    assert [turn.text for turn in turns] == ["my card is [card]", "[card]", "[card] and thank you"]
    assert all(turn.redacted == 1 for turn in turns)
    assert [word.text for word in turns[0].words] == ["my", "card", "is", "[card]"]
    assert turns[0].words[-1].end_ms == turns[0].start_ms + 1000
    for part in heard:
        told = repr((part.turns, [state.detail["said"] for state in part.streams], part.voice))
        assert "1111" not in told and "one one" not in told


class BrokenSpeech(StandInSpeech):
    def transcribe(self, turns: Sequence[Samples]) -> list[Transcript]:
        if any((turn == 7777).any() for turn in turns):
            raise RuntimeError("poison")
        return super().transcribe(turns)


def test_one_bad_call_hurts_no_other(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    poison = np.full(16_000, 7777, np.int16)
    works = [
        CallWork(name, (piece(StreamState(Channel.CUSTOMER), wave, 5),), closing=True)
        for name, wave in (("good", CUSTOMER), ("bad", poison), ("fine", AGENT))
    ]
    short = StreamWork(StreamState(Channel.AGENT), np.zeros(10, np.int16), 1)
    works.append(CallWork("short", (short,)))
    broken = replace(engine, speech=BrokenSpeech())
    assert [heard.call_id for heard in broken.hear(works)] == ["good", "fine"]
    assert "could not hear call bad" in caplog.text
    assert "short/agent: 10 samples, expected 1 hops" in caplog.text
    with pytest.raises(EngineError, match="bad"):
        broken.hear([works[1]])


def test_over_budget_turns_say_so(engine: Engine) -> None:
    work = CallWork("a", (piece(StreamState(Channel.CUSTOMER), CUSTOMER, 20),), closing=True)
    [heard] = engine.hear([work], speech_budget=0.0)
    assert heard.turns
    assert all(turn.text == "" and turn.model == NOT_TRANSCRIBED for turn in heard.turns)


def test_closing_without_new_audio(engine: Engine) -> None:
    [first] = engine.hear([CallWork("a", (piece(StreamState(Channel.CUSTOMER), CUSTOMER, 3),))])
    [last] = engine.hear([CallWork("a", (piece(first.streams[0], CUSTOMER, 3),), closing=True)])
    assert len(last.turns) == 1
    assert engine.hear([]) == []


def test_version_names_every_model(engine: Engine) -> None:
    for part in ("engine/", "vad/", "voice/", "speech/", "language/"):
        assert part in engine.version
