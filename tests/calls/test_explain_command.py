"""`manage.py explain`: a readable table from stored pieces."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from calls import record
from calls.demo import AUDIO
from calls.derived import load_pieces
from calls.management.commands import explain as command
from calls.models import Call, RubricVersion
from scoring.engine import SAID_TURNS
from scoring.rubric import default_rubric
from scoring.voice import StandInVoice
from tests.calls.pieces import agent, customer, scored, window

pytestmark = pytest.mark.django_db
MakeCall = Callable[..., Call]


def told(*args: object) -> str:
    out = StringIO()
    call_command("explain", *map(str, args), stdout=out)
    return out.getvalue()


@pytest.fixture
def heard_call(make_call: MakeCall) -> Call:
    call = make_call("CA1")
    record.record_scores([scored(str(call.pk), agent(0), customer(4000), window(4000), agent(8000))])
    return call


def test_words_voice_and_fusion_of_the_turn_at_that_time(heard_call: Call) -> None:
    text = told(heard_call.pk, 9000)
    assert "turn at 4.0 s: this is the third time I call" in text
    assert "from stored cues" in text and "“third time”" in text
    assert "stored windows" in text and "4.0–7.0 s" in text
    assert "fusion" in text and "frustration" in text


def test_deep_reading_with_text_and_audio(heard_call: Call, settings: object) -> None:
    settings.STAND_IN_MODELS = True  # type: ignore[attr-defined]
    text = told(heard_call.pk, 4500, "--deep", "--audio", AUDIO / "fraud-fear.opus")
    assert "read again without each" in text
    assert "heard again without each second" in text


def test_what_cannot_be_explained_is_said(heard_call: Call) -> None:
    with pytest.raises(CommandError, match="No such call"):
        told(uuid4(), 0)
    with pytest.raises(CommandError, match="had not spoken"):
        told(heard_call.pk, 100)
    with pytest.raises(CommandError, match="not a file"):
        told(heard_call.pk, 4500, "--audio", "/nowhere.wav")


def test_deep_reading_has_the_context_the_engine_had(make_call: MakeCall) -> None:
    call = make_call("CA1")
    said = [customer(4000, "one"), customer(8000, "two"), customer(12_000, "three"), customer(16_000, "")]
    pieces = (*said, agent(18_000, "not the caller"), customer(20_000, "four"))
    record.record_scores([scored(str(call.pk), *pieces)])
    stored = load_pieces([str(call.pk)])[str(call.pk)]
    previous = command.previous_of(stored, command.turn_at(stored, 21_000))
    assert previous == ("two", "three") and len(previous) == SAID_TURNS


def test_deep_reading_by_the_phrases_the_engine_reads_by(
    heard_call: Call, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rubric of the call weighs what was read; the engine's phrases are the default ones."""
    settings.STAND_IN_MODELS = True  # type: ignore[attr-defined]
    monkeypatch.setattr(RubricVersion, "as_spec", lambda _: replace(default_rubric(), phrases=()))
    words = told(heard_call.pk, 4500, "--deep").split("voice (")[0]
    assert "frustration" in words and "nothing that moves" not in words


@pytest.mark.parametrize("channels", [1, 2])
def test_a_recording_with_both_sides_on_one_channel_is_refused(
    heard_call: Call, settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    settings.STAND_IN_MODELS = True  # type: ignore[attr-defined]
    monkeypatch.setattr(StandInVoice, "score", lambda *_: pytest.fail("a mix reached the voice model"))
    noise = np.random.default_rng(0).uniform(-9000, 9000, 8 * 8000).astype("<i2")
    with wave.open(str(tmp_path / "mix.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.repeat(noise, channels).tobytes())
    with pytest.raises(CommandError, match=r"mix\.wav has both sides on one channel.*two-channel"):
        told(heard_call.pk, 4500, "--audio", tmp_path / "mix.wav")
