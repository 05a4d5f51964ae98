"""The stand-in obeys the same contract as the real model, fast and the same every time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.types import RATE_HZ, Channel, CustomerWindow
from scoring.voice import EMOTIONS, STAND_IN, StandInVoice, load_voice


def tone(amplitude: float, hz: float, seconds: float = 3.0) -> CustomerWindow:
    t = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    wave = (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32)
    return CustomerWindow.from_channel(Channel.CUSTOMER, wave, 0)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.floats(50, 3900), st.floats(0.1, 3.0))
def test_probabilities(amplitude: float, hz: float, seconds: float) -> None:
    window = tone(amplitude, hz, seconds)
    first, again = StandInVoice().score([window, window])
    assert first == again
    assert tuple(first.probs) == EMOTIONS
    assert sum(first.probs.values()) == pytest.approx(1.0)
    assert first.confidence == max(first.probs.values())
    assert first.model == STAND_IN


def test_it_tells_loud_and_shrill_from_silence() -> None:
    angry, silent = StandInVoice().score([tone(0.8, 1800), tone(0.0, 100)])
    assert max(angry.probs, key=angry.probs.__getitem__) == "angry"
    assert max(silent.probs, key=silent.probs.__getitem__) == "neutral"


def test_no_windows_no_scores() -> None:
    assert StandInVoice().score([]) == []


def test_loading_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_MODEL", STAND_IN)
    assert isinstance(load_voice(), StandInVoice)


@pytest.mark.parametrize(
    "name", ["speechbrain/emotion-recognition-wav2vec2-IEMOCAP", "https://example.com/m", "/nope"]
)
def test_only_local_folders(name: str) -> None:
    with pytest.raises(ValueError, match="not a folder on this machine"):
        load_voice(name)


def test_importing_the_contract_is_cheap() -> None:
    heavy = "{'torch', 'torchaudio', 'speechbrain', 'django', 'celery', 'redis'}"
    code = f"import sys, scoring.voice, scoring.evaluate; print(sorted({heavy} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
