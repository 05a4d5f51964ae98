from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scoring.rubric import DEFAULT_FILE, RubricSpec, default_rubric
from scoring.training import fusion
from scoring.types import FELT, Channel, State, Turn, VoiceState
from tests.scoring.language_calls import window

RULES = default_rubric().fusion
LOUD = {"angry": 0.9}


def turns(n: int, seed: int) -> tuple[list[Turn], list[frozenset[State]]]:
    """Words that know half of the frustration and of the sadness."""
    rng = np.random.default_rng(seed)
    out, truth = [], []
    for at in range(n):
        felt = [State.FRUSTRATION, State.SADNESS, None, None][rng.integers(4)]
        known = felt is not None and rng.random() < 0.5
        states = dict.fromkeys(map(str, FELT), 0.02) | ({str(felt): 0.85} if known else {})
        text = "so this is what I have to say today"
        out.append(Turn(Channel.CUSTOMER, at * 9000, at * 9000 + 4000, text, 0.9, states=states))
        truth.append(frozenset([felt] if felt else []))
    return out, truth


def voices(telling: bool) -> dict[str, list[VoiceState]]:
    """Clips per acted emotion; a voice that tells nothing sounds the same whatever is felt."""
    named = {"angry": "angry", "disgust": "disgust", "fear": "fear", "happy": "happy", "sad": "sad"}
    told = {name: [window(0, **{cls: 0.9})] for name, cls in named.items()} | {"neutral": [window(0)]}
    mixed = [clip for clips in told.values() for clip in clips]
    return told if telling else dict.fromkeys(told, mixed)


def test_a_telling_voice_gets_more_weight_than_one_that_tells_nothing() -> None:
    words, truth = turns(60, 1)
    told, noise = (
        fusion.fit(fusion.give_voices(words, truth, voices(telling), 1.0), RULES) for telling in (True, False)
    )
    assert told.voice[State.FRUSTRATION] > noise.voice[State.FRUSTRATION]
    assert noise.voice[State.SADNESS] <= 0.1


def test_both_channels_together_beat_each_alone_when_each_knows_half() -> None:
    words, truth = turns(80, 2)
    report = fusion.measure(fusion.give_voices(words, truth, voices(True), 0.6), RULES)
    auc = {way: r["states"]["frustration"]["auc"] for way, r in report.items()}
    assert auc["both"] > max(auc["words"], auc["voice"])
    assert report["voice"]["states"]["confusion"]["f1"] == 0.0


def test_the_fit_is_written_into_a_rubric_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "rubric.yaml"
    path.write_text(DEFAULT_FILE.read_text())
    fitted = replace(
        RULES, words=dict.fromkeys(map(str, FELT), 0.7), voice=dict.fromkeys(map(str, FELT), 0.2)
    )
    fusion.write_rubric(path, fitted)
    import yaml

    spec = RubricSpec.from_dict(yaml.safe_load(path.read_text()))
    assert spec.fusion == fitted
    assert spec.phrases == default_rubric().phrases


def test_a_rubric_without_the_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rubric.yaml"
    path.write_text("name: x\n")
    with pytest.raises(SystemExit, match="no line"):
        fusion.write_rubric(path, RULES)
