"""The demo calls are what they claim to be: valid, spoken, two clean channels, in step."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf

from calls import demo
from scoring.types import Behaviour, State

SLUGS = [path.stem for path in demo.script_paths()]
SIZE_CAP_BYTES = 5_000_000
CARD = "4111111111111111"
DIGITS = {"one": "1", "four": "4"}

Wave = npt.NDArray[np.float32]


def decoded(call: demo.DemoCall) -> tuple[Wave, int]:
    wave, rate_hz = sf.read(call.audio_path, dtype="float32", always_2d=True)
    return wave, rate_hz


def rms_dbfs(wave: Wave) -> float:
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-12))


def spoken_digits(text: str) -> str:
    """The digits of the spoken card number, with "double one" counted twice."""
    twice = re.sub(r"double (\w+)", r"\1 \1", text.lower())
    return "".join(DIGITS.get(word, "") for word in re.findall(r"\w+", twice))


def test_there_are_ten_calls_in_order() -> None:
    calls = demo.load_all()
    assert [call.slug for call in calls] == sorted(SLUGS)
    assert len(calls) == 10


def test_states_and_behaviours_are_the_ones_scoring_knows() -> None:
    assert set(State) - {State.UNSURE} == demo.STATES
    assert {*Behaviour, "ignored"} == demo.BEHAVIOURS


@pytest.mark.parametrize("slug", SLUGS)
def test_script_has_the_shape_of_a_call(slug: str) -> None:
    call = demo.load(slug)
    assert 14 <= len(call.turns) <= 26
    assert {turn.who for turn in call.turns} == {"customer", "agent"}
    assert call.turns[0].who == "agent"
    assert call.caller_voice != call.agent_voice
    assert 70_000 <= call.duration_ms <= 150_000


def test_every_caller_has_a_voice_of_their_own_and_every_agent_keeps_theirs() -> None:
    calls = demo.load_all()
    callers = {call.caller_voice for call in calls}
    assert len(callers) == len(calls)
    assert not callers & {call.agent_voice for call in calls}
    assert len({(call.agent_name, call.agent_voice) for call in calls}) == len(
        {call.agent_name for call in calls}
    )


def test_every_state_and_behaviour_is_heard_somewhere() -> None:
    turns = [turn for call in demo.load_all() for turn in call.turns]
    assert {turn.state for turn in turns if turn.who == "customer"} == demo.STATES
    assert {name for turn in turns for name in turn.behaviours} == demo.BEHAVIOURS


def test_two_callers_read_the_test_card_aloud_one_of_them_in_doubles() -> None:
    reading = [
        turn.text
        for call in demo.load_all()
        for turn in call.turns
        if turn.who == "customer" and CARD in spoken_digits(turn.text)
    ]
    assert len(reading) == 2
    assert sum("double" in text for text in reading) == 1


@pytest.mark.parametrize("slug", SLUGS)
def test_audio_is_two_channels_as_long_as_the_index_says(slug: str) -> None:
    call = demo.load(slug)
    wave, rate_hz = decoded(call)
    assert wave.shape[1] == 2
    assert len(wave) * 1000 / rate_hz == pytest.approx(call.duration_ms, abs=60)
    assert call.turns[-1].end_ms < call.duration_ms
    starts = [turn.start_ms for turn in call.turns]
    assert starts == sorted(starts)
    assert np.abs(wave).max() < 0.99


@pytest.mark.parametrize("slug", SLUGS)
def test_each_side_is_heard_and_the_other_is_quiet(slug: str) -> None:
    call = demo.load(slug)
    wave, rate_hz = decoded(call)
    for turn in call.turns:
        cut = wave[turn.start_ms * rate_hz // 1000 : turn.end_ms * rate_hz // 1000]
        side = 0 if turn.who == "customer" else 1
        assert rms_dbfs(cut[:, side]) > -40
        if not talked_over(turn, call):
            assert rms_dbfs(cut[:, 1 - side]) < -55


def talked_over(turn: demo.ScriptTurn, call: demo.DemoCall) -> bool:
    return any(
        other.who != turn.who and other.start_ms < turn.end_ms and turn.start_ms < other.end_ms
        for other in call.turns
    )


def test_the_badly_handled_call_interrupts_and_goes_silent() -> None:
    call = demo.load("escalation-handled-badly")
    pairs = list(zip(call.turns, call.turns[1:], strict=False))
    cut_in = [b for a, b in pairs if b.who == "agent" and b.start_ms < a.end_ms - 500]
    assert len(cut_in) >= 2
    assert any(b.who == "agent" and b.start_ms - a.end_ms > 10_000 for a, b in pairs)


def test_audio_is_the_audio_that_was_indexed() -> None:
    index = json.loads(demo.INDEX.read_text())
    assert index["synthetic"] is True
    for call in demo.load_all():
        digest = hashlib.sha256(call.audio_path.read_bytes()).hexdigest()
        assert index["calls"][call.slug]["audio_sha256"] == digest


def test_all_audio_is_small_and_accounted_for() -> None:
    files = list(demo.AUDIO.glob("*.opus"))
    assert {file.stem for file in files} == set(SLUGS)
    assert sum(file.stat().st_size for file in files) <= SIZE_CAP_BYTES


def good_script() -> str:
    return (demo.SCRIPTS / "address-change.yaml").read_text()


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("synthetic: true", "synthetic: false", "synthetic"),
        ("queue: Billing", "line: Billing", "queue"),
        ("state: calm", "state: unsure", "turn 2"),
        ("behaviours: [courtesy, explore]", "behaviours: [charm]", "turn 1"),
        ("who: customer", "who: robot", "robot"),
        ("pause_ms: 1200", "pause_ms: 1.2", "milliseconds"),
        ("title: A plain address change", "title: [", "cannot be read"),
    ],
)
def test_a_bad_script_says_what_is_wrong(tmp_path: Path, was: str, becomes: str, says: str) -> None:
    path = tmp_path / "bad.yaml"
    assert was in good_script()
    path.write_text(good_script().replace(was, becomes, 1))
    with pytest.raises(demo.DemoError, match=says):
        demo.load_script(path)


def test_a_script_newer_than_its_audio_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tmp_path
    (scripts / "address-change.yaml").write_text(good_script() + "# changed\n")
    monkeypatch.setattr(demo, "SCRIPTS", scripts)
    with pytest.raises(demo.DemoError, match="render.py"):
        demo.load_all()
