"""The recipe's pure parts: targets, speaker check, telephone augmentation, calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scoring.torchaudio_compat import ensure_torchaudio

torch = pytest.importorskip("torch")
ensure_torchaudio()

from scoring.training.data import DataError  # noqa: E402
from scoring.training.voice import calibrate  # noqa: E402
from scoring.training.voice.augment import TelephoneAugment  # noqa: E402
from scoring.training.voice.clips import Clip  # noqa: E402
from scoring.training.voice.prepare import check_speakers, class_weights, soft_targets  # noqa: E402
from scoring.training.voice.train import HERE  # noqa: E402

CLIP = Clip("a", "c", "s1", "F", "angry", "", "train")


def test_soft_targets_mix_intention_and_votes() -> None:
    votes = [CLIP, replace(CLIP, vote="A"), replace(CLIP, vote="N"), replace(CLIP, vote="D:S")]
    targets = soft_targets(votes, 0.5)
    assert targets.sum(axis=1) == pytest.approx(1.0)
    assert targets[:, 0].tolist() == [1.0, 1.0, 0.5, 0.5]
    assert targets[2, 4] == 0.5
    assert targets[3, 1] == targets[3, 5] == 0.25


def test_class_weights_level_the_classes() -> None:
    targets = np.array([[0.5, 0.5], [0.9, 0.1]], dtype=np.float32)
    assert (targets.sum(axis=0) * class_weights(targets)) == pytest.approx([1.0, 1.0])


def test_a_speaker_in_both_splits_is_refused() -> None:
    with pytest.raises(DataError, match="s1"):
        check_speakers([CLIP], [replace(CLIP, file="b")])


@pytest.fixture(scope="module")
def augment() -> TelephoneAugment:
    import yaml

    text = (HERE / "train.yaml").read_text().split("augment: !new")[1].split("\n\n")[0]
    return TelephoneAugment(**yaml.safe_load(text.split("\n", 1)[1]))


@pytest.mark.parametrize("seconds", [0.3, 2.0, 5.0])
def test_augmentation_is_a_window_of_sound_and_repeats(augment: TelephoneAugment, seconds: float) -> None:
    clip = np.sin(np.arange(int(8000 * seconds)) / 9).astype(np.float32)
    for seed in range(25):
        first, again = (augment(clip, [clip, clip], 24000, np.random.default_rng(seed)) for _ in range(2))
        assert first.shape == (24000,) and first.dtype == np.float32
        assert np.isfinite(first).all() and 0 < np.abs(first).max() <= 1
        np.testing.assert_array_equal(first, again)


def test_calibration_takes_back_overconfidence() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 6, 2000)
    honest = np.log(
        np.full((2000, 6), 0.08) + 0.52 * np.eye(6)[np.where(rng.random(2000) < 0.6, truth, (truth + 1) % 6)]
    )
    numbers = {
        "calibration_steps": 200,
        "calibration_lr": 0.05,
        "calibration_offset_l2": 0.01,
        "calibration_folds": 4,
    }
    logits, labels = torch.tensor(3 * honest, dtype=torch.float32), torch.tensor(truth)
    probs = calibrate.cross_fitted(logits, labels, rng.integers(0, 20, 2000), numbers, offsets=True)
    before = logits.softmax(dim=1).numpy()
    assert calibrate.nll(probs, truth) < calibrate.nll(before, truth) - 0.3
    assert float(calibrate.fit(logits, labels, numbers).log_temperature.exp()) > 2
