"""The shipped voice model, as the engine uses it. Skips, saying so, where whisper-base is not on the machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from scoring import assets
from scoring.types import WINDOW_SAMPLES, Channel, CustomerWindow
from scoring.voice import EMOTIONS, SHIPPED, SpeechBrainVoice, load_voice, read_card


@pytest.fixture(scope="module")
def model() -> SpeechBrainVoice:
    try:
        assets.path("whisper-base")
    except assets.AssetMissing as error:
        pytest.skip(str(error))
    return SpeechBrainVoice()


@pytest.fixture(scope="module")
def windows() -> list[CustomerWindow]:
    """Eleven unlike sounds (more than one batch), silence among them."""
    rng = np.random.default_rng(3)
    t = np.arange(WINDOW_SAMPLES) / 8000
    waves = [
        0.3 * np.sin(2 * np.pi * (90 + 40 * k) * t) * np.sin(2 * np.pi * (1 + k) * t) ** 2 for k in range(9)
    ]
    waves += [np.zeros(WINDOW_SAMPLES), rng.normal(0, 0.1, WINDOW_SAMPLES)]
    return [
        CustomerWindow.from_channel(Channel.CUSTOMER, w.astype(np.float32), 500 * i)
        for i, w in enumerate(waves)
    ]


def test_scores(model: SpeechBrainVoice, windows: list[CustomerWindow]) -> None:
    scores = model.score(windows)
    assert len(scores) == len(windows)
    for score in scores:
        assert tuple(score.probs) == EMOTIONS
        assert sum(score.probs.values()) == pytest.approx(1.0, abs=1e-6)
        assert score.confidence == max(score.probs.values())
        assert score.model == model.version == read_card(SHIPPED)["version"]


def test_a_window_scores_the_same_alone_and_in_a_batch(
    model: SpeechBrainVoice, windows: list[CustomerWindow]
) -> None:
    """Retries regroup windows; the record must not depend on the grouping."""
    together = model.score(windows)
    for window, score in zip(windows, together, strict=True):
        alone = model.score([window])[0]
        np.testing.assert_allclose(list(alone.probs.values()), list(score.probs.values()), atol=1e-4)


def test_no_windows_no_scores(model: SpeechBrainVoice) -> None:
    assert model.score([]) == []


def test_shipped_weights_are_small_and_say_what_they_are() -> None:
    assert sum(f.stat().st_size for f in SHIPPED.iterdir()) <= 3_000_000
    card = read_card(SHIPPED)
    assert card["classes"] == list(EMOTIONS)
    assert {"version", "backbone", "recipe", "data", "calibration", "metrics"} <= set(card)
    for corpus in card["metrics"]["by_corpus"].values():  # type: ignore[index]
        assert corpus["uar"] > 0.5, "far above chance (.167) or something is broken"


def test_a_copy_elsewhere_is_the_same_model(
    model: SpeechBrainVoice, windows: list[CustomerWindow], tmp_path: Path
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "mine")
    assert load_voice(str(tmp_path / "mine")).score(windows[:2]) == model.score(windows[:2])


def test_a_folder_that_would_run_code_is_refused(model: SpeechBrainVoice, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "evil")
    hyperparams = tmp_path / "evil" / "hyperparams.yaml"
    hyperparams.write_text(hyperparams.read_text() + "\nx: !apply:os.system ['touch pwned']\n")
    with pytest.raises(ValueError, match="os.system"):
        load_voice(str(tmp_path / "evil"))


def test_weights_that_are_a_pickle_of_something_else_are_refused(
    model: SpeechBrainVoice, tmp_path: Path
) -> None:
    import pickle

    shutil.copytree(SHIPPED, tmp_path / "evil")
    (tmp_path / "evil" / "head.ckpt").write_bytes(pickle.dumps(Path("/tmp")))
    with pytest.raises(Exception, match="[Ww]eights"):
        load_voice(str(tmp_path / "evil"))


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="card.json"):
        load_voice(str(tmp_path))
    (tmp_path / "card.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match="version"):
        load_voice(str(tmp_path))
