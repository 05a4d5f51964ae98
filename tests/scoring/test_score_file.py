"""`manage.py score_file`: a JSON timeline, or words that say what is wrong."""

from __future__ import annotations

import json
import wave
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from scoring.types import Samples


@pytest.fixture(autouse=True)
def stand_in(settings: Any) -> None:
    settings.STAND_IN_MODELS = True


def speech(seed: int, *, silent: bool = False) -> Samples:
    rng = np.random.default_rng(seed)
    samples = rng.uniform(-4000, 4000, 8 * 8000)
    samples[3 * 8000 : 5 * 8000] = 0
    return (samples * (not silent)).astype(np.int16)


def write(path: Path, *channels: Samples) -> str:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(len(channels))
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(np.stack(channels, axis=1).tobytes())
    return str(path)


def run(*args: str) -> Any:
    out = StringIO()
    call_command("score_file", *args, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_stereo_timeline(tmp_path: Path) -> None:
    told = run(write(tmp_path / "call.wav", speech(1), speech(2, silent=True)))
    assert {
        "turns",
        "moments",
        "opportunities",
        "empathy",
        "alerts",
        "nudges",
        "coverage",
        "versions",
    } <= told.keys()
    assert {turn["channel"] for turn in told["turns"]} == {"customer"}
    assert told["voice"]
    assert told["coverage"]["notes"] == []


def test_the_customer_can_be_on_the_right(tmp_path: Path) -> None:
    path = write(tmp_path / "call.wav", speech(2, silent=True), speech(1))
    assert {turn["channel"] for turn in run(path)["turns"]} == {"agent"}
    assert {turn["channel"] for turn in run(path, "--customer-channel", "right")["turns"]} == {"customer"}


def test_two_files(tmp_path: Path) -> None:
    customer, agent = write(tmp_path / "c.wav", speech(1)), write(tmp_path / "a.wav", speech(2))
    told = run("--customer", customer, "--agent", agent)
    assert {turn["channel"] for turn in told["turns"]} == {"customer", "agent"}


def test_mixed_audio_says_so_and_infers_no_emotion(tmp_path: Path) -> None:
    mono = run(write(tmp_path / "mono.wav", speech(1)))
    twice = run(write(tmp_path / "twice.wav", speech(1), speech(1)))
    for told in (mono, twice):
        assert told["coverage"]["mixed"] is True
        assert "one channel" in told["coverage"]["notes"][0]
        assert told["voice"] == [] and told["turns"]
        assert told["empathy"] is None


def test_several_files_make_a_list(tmp_path: Path) -> None:
    path = write(tmp_path / "call.wav", speech(1), speech(2))
    assert len(run(path, path)) == 2


def test_text_for_people(tmp_path: Path) -> None:
    out = StringIO()
    call_command("score_file", write(tmp_path / "call.wav", speech(1), speech(2)), stdout=out)
    assert "customer" in out.getvalue()


def test_bad_input_is_named(tmp_path: Path) -> None:
    junk = tmp_path / "junk.mp3"
    junk.write_bytes(b"not audio" * 100)
    good = write(tmp_path / "c.wav", speech(1))
    three = write(tmp_path / "three.wav", speech(1), speech(2), speech(3))
    for args, words in (
        ([str(junk)], "junk.mp3"),
        ([str(tmp_path / "none.wav")], "is not a file"),
        ([], "Nothing to score"),
        (["--agent", good], "needs --customer"),
        ([good, "--customer", good], "not both"),
        ([three], "3 channels"),
    ):
        with pytest.raises(CommandError, match=words):
            call_command("score_file", *args)
