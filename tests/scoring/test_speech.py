"""Speech recognition: the guards, the stand-in, and the real models where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scoring import speech
from scoring.assets import AssetMissing
from scoring.audio import read_recording
from scoring.speech import (
    StandInSpeech,
    Transcriber,
    WhisperSpeech,
    _bucket_s,
    _Decoded,
    load_speech,
    runs,
    spread,
)
from scoring.types import Samples

DEMO = Path(__file__).parents[2] / "calls" / "demo" / "audio"


@pytest.fixture(scope="module", params=["whisper-base", "whisper-tiny.en"])
def whisper(request: pytest.FixtureRequest) -> Transcriber:
    try:
        return WhisperSpeech(request.param)
    except AssetMissing as missing:
        pytest.skip(str(missing))


def noise(seconds: float, level: float) -> Samples:
    return (np.random.default_rng(1).standard_normal(int(seconds * 8000)) * level).astype(np.int16)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("who is the one who is the one who is the one who is the one", 4),
        ("the post-táromonet, the post-táromonet, the post-táromonet, the post-táromonet", 4),
        ("I don't know, I don't know, I don't know", 3),
        ("no no no", 3),
        ("four one double one double one double one double one one one one one", 1),
        ("", 1),
    ],
)
def test_words_that_come_again_in_a_row(text: str, times: int) -> None:
    assert runs(text) == times


@pytest.mark.parametrize(
    ("text", "logprob", "no_speech", "loops", "imagined"),
    [
        ("I would like to pay my bill.", -0.2, 0.01, False, False),
        ("Thank you.", -0.2, 0.01, False, False),
        ("Thank you.", -0.9, 0.01, False, True),
        ("I'm going to get the car.", -1.8, 0.7, False, True),
        ("I'm going.", -0.8, 0.9, False, True),
        ("Bye bye bye bye bye", -0.3, 0.0, True, False),
        ("who is the one " * 8, -0.5, 0.0, True, False),
    ],
)
def test_guards(text: str, logprob: float, no_speech: float, loops: bool, imagined: bool) -> None:
    decoded = _Decoded(text, logprob, no_speech)
    assert decoded.loops is loops
    assert decoded.imagined is imagined


def test_words_cover_the_turn_in_order() -> None:
    words = spread("Two weeks ago I got a car", 4000, 0.8)
    assert [word.text for word in words] == ["Two", "weeks", "ago", "I", "got", "a", "car"]
    assert words[0].start_ms == 0
    assert words[-1].end_ms == 4000
    assert all(a.end_ms == b.start_ms for a, b in zip(words, words[1:], strict=False))
    assert spread("", 1000, 1.0) == ()


def test_buckets_leave_room_for_silence() -> None:
    assert _bucket_s(noise(0.5, 1)) == 4
    assert _bucket_s(noise(3.5, 1)) == 8
    assert _bucket_s(noise(12.03, 1)) == 16


def test_stand_in_says_the_same_of_the_same() -> None:
    model = StandInSpeech()
    turn = noise(1, 900)
    assert model.transcribe([turn, turn]) == model.transcribe([turn]) * 2


def test_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPEECH_MODEL", "stand-in")
    assert isinstance(load_speech(), StandInSpeech)
    with pytest.raises(AssetMissing):
        load_speech("whisper-enormous")
    with pytest.raises(ValueError, match="does not load"):
        load_speech(str(tmp_path))


def test_noise_says_nothing(whisper: Transcriber) -> None:
    tone = (np.sin(np.arange(16000) * 0.3) * 3000).astype(np.int16)
    heard = whisper.transcribe([noise(2, 100), noise(1, 3000), tone, noise(0.05, 1000)])
    assert [transcript.text for transcript in heard] == ["", "", "", ""]


def test_a_sentence_is_understood_alone_and_in_a_batch(whisper: Transcriber) -> None:
    path = DEMO / "address-change.opus"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    customer, agent = read_recording(path).samples
    turns = [agent[600 * 8 : 3880 * 8], customer[4230 * 8 : 9230 * 8], agent[9580 * 8 : 13040 * 8]]
    alone = [whisper.transcribe([turn])[0] for turn in turns]
    assert "changed the address" in alone[1].text or "change the address" in alone[1].text
    assert alone[1].confidence > 0.5
    assert [t.text for t in whisper.transcribe(turns)] == [t.text for t in alone]


def test_limits_are_those_of_whisper() -> None:
    assert speech.LOOP_RATIO == 2.4
    assert speech.NO_SPEECH == 0.6
