"""`python -m scoring.evaluate speech`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.evaluate import main
from scoring.evaluate_speech import edits, plain_words
from tests.scoring.test_audio import tone, write_wav


def report(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, object]:
    assert main([*args, "--json"]) == 0
    loaded: dict[str, object] = json.loads(capsys.readouterr().out)
    return loaded


def test_speech_gives_wer_and_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = write_wav(tmp_path / "a.wav", [tone(440, 2)], 8000)
    reference = tmp_path / "a.txt"
    reference.write_text("one two three four")
    told = report(
        capsys, "speech", "--audio", str(audio), "--reference", str(reference), "--model", "stand-in"
    )
    assert told["words"] == 4
    assert told["wer"] >= 1.0  # a tone says nothing
    assert told["cpu_s_per_audio_s"] >= 0


def test_speech_needs_a_reference_per_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = write_wav(tmp_path / "a.wav", [tone(440)], 8000)
    args = ["speech", "--audio", str(audio), "--reference", str(tmp_path / "none.txt")]
    assert main([*args, "--model", "stand-in"]) == 2
    assert "none.txt" in capsys.readouterr().err


def test_plain_words() -> None:
    assert plain_words("Mister Hale, it's 22 Orchard St. — OK?") == plain_words(
        "mr hale it's twenty-two orchard st okay"
    )


words = st.lists(st.sampled_from("abc"), max_size=8)


@given(words, words)
def test_edits_is_a_distance(a: list[str], b: list[str]) -> None:
    assert edits(a, b) == edits(b, a)
    assert edits(a, a) == 0
    assert abs(len(a) - len(b)) <= edits(a, b) <= max(len(a), len(b))
