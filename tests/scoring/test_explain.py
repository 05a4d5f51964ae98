from __future__ import annotations

import numpy as np
import pytest

from scoring.assets import AssetMissing
from scoring.explain import HeardVoice, explain, like_its_spectrum
from scoring.language import load_language
from scoring.rubric import default_rubric
from scoring.types import RATE_HZ, Channel, State
from scoring.voice import StandInVoice, load_voice
from tests.scoring.language_calls import turns_of, window

RUBRIC = default_rubric()
LANGUAGE = load_language(stand_in=True)
ANGRY = turns_of(
    [
        (
            "customer",
            "hello there my name is Ann. this is ridiculous and I am really fed up with you. thank you bye",
        )
    ]
)[0]


def test_stored_cues_say_which_words() -> None:
    told = explain(ANGRY, [], RUBRIC)
    assert not told.deep_words and not told.deep_voice
    assert "ridiculous" in told.words[0].text
    assert told.words[0].state is State.FRUSTRATION
    assert told.text[told.words[0].start : told.words[0].end] == told.words[0].text
    assert told.voice == ()


def test_reading_again_finds_the_same_words_one_by_one() -> None:
    told = explain(ANGRY, [], RUBRIC, LANGUAGE)
    phrase = next(p for p in told.words if p.kind == "phrase")
    assert "ridiculous" in phrase.text and phrase.state is State.FRUSTRATION and phrase.amount > 0.5
    assert all(told.text[p.start : p.end] == p.text for p in told.words)
    words = {p.text for p in told.words if p.kind == "word" and p.state is State.FRUSTRATION}
    assert words & {"ridiculous", "fed", "up"}
    assert "Ann." not in words


def test_windows_say_which_voice_and_fusion_says_which_channel() -> None:
    calm, angry = window(0), window(2000, angry=0.9)
    told = explain(ANGRY, [angry, calm], RUBRIC)
    top = max(told.voice, key=lambda p: p.amount)
    assert (top.start_ms, top.state, top.kind) == (2000, State.FRUSTRATION, "window")
    fused = {p.state: p for p in told.fusion}[State.FRUSTRATION]
    assert fused.words > 0.3
    assert fused.without_voice == explain(ANGRY, [], RUBRIC).fusion[0].fused
    alone = {p.state: p for p in explain(ANGRY, [], RUBRIC).fusion}[State.FRUSTRATION]
    assert alone.voice == 0


def test_the_loud_second_is_the_one_that_counts() -> None:
    dice = np.random.default_rng(5)
    wave = (dice.normal(0, 0.005, 6 * RATE_HZ)).astype(np.float32)
    wave[3 * RATE_HZ : 4 * RATE_HZ] = dice.normal(0, 0.4, RATE_HZ)
    told = explain(ANGRY, [], RUBRIC, voice=HeardVoice(StandInVoice(), wave))
    assert told.deep_voice and told.voice
    assert all(p.kind == "second" and 0 <= p.start_ms < p.end_ms <= 6000 for p in told.voice)


def test_the_noise_sounds_alike_and_says_nothing() -> None:
    wave = np.sin(np.arange(3 * RATE_HZ) * 0.3).astype(np.float32)
    noise = like_its_spectrum(wave)
    assert np.std(noise) == pytest.approx(np.std(wave), rel=0.05)
    assert np.allclose(np.abs(np.fft.rfft(noise))[1:-1], np.abs(np.fft.rfft(wave))[1:-1], atol=0.2)
    assert (noise == like_its_spectrum(wave)).all()


def test_the_agent_s_turn_has_no_states_to_explain() -> None:
    with pytest.raises(ValueError, match="caller"):
        explain(turns_of([("agent", "hello there")])[0], [], RUBRIC)


@pytest.mark.models
def test_the_real_voice_model_by_seconds() -> None:
    from calls import demo
    from scoring.audio import read_recording

    try:
        model = load_voice()
    except (AssetMissing, ValueError) as missing:
        pytest.skip(str(missing))
    call = demo.load("escalation-handled-badly")
    line = next(t for t in call.turns if t.who == "customer" and "worst service" in t.text)
    turn = turns_of([("customer", line.text)])[0]
    moved = type(turn)(
        Channel.CUSTOMER, line.start_ms, line.end_ms, turn.text, 0.9, (), turn.states, {}, turn.cues
    )
    told = explain(moved, [], RUBRIC, voice=HeardVoice(model, read_recording(call.audio_path).samples[0]))
    assert told.deep_voice and told.voice
    assert all(line.start_ms <= p.start_ms < p.end_ms <= line.end_ms for p in told.voice)
