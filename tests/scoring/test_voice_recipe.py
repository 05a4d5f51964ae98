"""The recipe: its pure parts, adapters that merge to the same model, and a tiny run of all of it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from scoring.torchaudio_compat import ensure_torchaudio

torch = pytest.importorskip("torch")
ensure_torchaudio()

from scoring import assets  # noqa: E402
from scoring.training.data import DataError  # noqa: E402
from scoring.training.voice import calibrate, train  # noqa: E402
from scoring.training.voice.adapters import adapter_state, add_adapters  # noqa: E402
from scoring.training.voice.augment import TelephoneAugment  # noqa: E402
from scoring.training.voice.batches import LineBatches  # noqa: E402
from scoring.training.voice.clips import Clip  # noqa: E402
from scoring.training.voice.mels import lines_of  # noqa: E402
from scoring.training.voice.prepare import (  # noqa: E402
    Material,
    check_speakers,
    class_weights,
    soft_targets,
)
from scoring.training.voice.train import HERE  # noqa: E402
from scoring.types import Channel, CustomerWindow  # noqa: E402
from scoring.voice import EMOTIONS, Baseline, SpeechBrainVoice  # noqa: E402
from scoring.voice_network import Backbone, VoiceHead, load_adapters  # noqa: E402

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


@pytest.fixture(scope="module")
def whisper() -> Path:
    try:
        return assets.path("whisper-base")
    except assets.AssetMissing as error:
        pytest.skip(str(error))


def test_merged_adapters_are_the_adapted_encoder(whisper: Path, tmp_path: Path) -> None:
    adapted = Backbone(whisper, layers=2, pool=2, bfloat16=False)
    mel = torch.randn(2, 80, 120, generator=torch.Generator().manual_seed(0))
    untouched = adapted.features(mel)
    add_adapters(adapted.encoder, rank=4, scale=2.0)
    assert torch.allclose(adapted.features(mel), untouched, atol=1e-4), "a new adapter changes nothing"
    for name, parameter in adapted.encoder.named_parameters():
        if name.endswith("widen"):
            torch.nn.init.normal_(parameter, std=0.02, generator=torch.Generator().manual_seed(len(name)))
    torch.save(adapter_state(adapted.encoder), tmp_path / "adapters.ckpt")
    merged = Backbone(whisper, layers=2, pool=2, bfloat16=False)
    load_adapters(merged, str(tmp_path / "adapters.ckpt"))
    with torch.no_grad():
        expected = adapted.features(mel)
        moved = float((expected - untouched).norm())
        error = float((merged.features(mel) - expected).norm())
    assert moved > 1.0 and error < 0.01 * moved


def test_gradients_reach_adapters_and_nothing_frozen(whisper: Path) -> None:
    backbone = Backbone(whisper, layers=1, pool=2, bfloat16=False)
    add_adapters(backbone.encoder, rank=2, scale=2.0)
    backbone.features(torch.randn(1, 80, 40)).square().sum().backward()
    moved = {n for n, p in backbone.encoder.named_parameters() if p.grad is not None}
    assert moved == {
        f"layers.0.{m}.{side}" for m in ("qkv", "out", "up", "down") for side in ("narrow", "widen")
    }


def test_a_head_blends_its_origin_with_what_was_heard() -> None:
    head = VoiceHead(2, 8, 4, 6, 6, 0.0, prior=2.0).eval()
    z, unheard = torch.randn(1, 6), (torch.zeros(1, 6), torch.zeros(1))
    with torch.no_grad():
        head.origin.copy_(torch.arange(6.0))
        same = head.classify(z, 2 * head.origin[None], torch.tensor([2.0]))
        torch.testing.assert_close(same, head.classify(z, *unheard))
        assert not torch.allclose(same, head.classify(z, torch.ones(1, 6), torch.tensor([5.0])))


CLIPS = [
    Clip(f"{s}-{i}", "c", s, "FM"[k % 2], EMOTIONS[i % 6], "", "train")
    for k, s in enumerate(("a", "b", "x"))
    for i in range(12)
]


def test_lines_hold_one_speaker_each() -> None:
    lines = lines_of(CLIPS, 4, np.random.default_rng(0))
    for line in np.unique(lines):
        own = [c.speaker for c, at in zip(CLIPS, lines, strict=True) if at == line]
        assert len(own) == 4 and len(set(own)) == 1
    assert len(np.unique(lines_of(CLIPS, 0, np.random.default_rng(0)))) == 3


def test_batches_hear_only_their_own_line_and_repeat(augment: TelephoneAugment) -> None:
    lines = lines_of(CLIPS, 4, np.random.default_rng(0))
    mel = np.arange(36, dtype=np.float16)[:, None, None] * np.ones((1, 80, 300), np.float16)
    material = Material(CLIPS, [mel, mel], [lines_of(CLIPS, 0, np.random.default_rng(0)), lines])
    hparams = {
        "seed": 1, "steps": 10, "lines_per_batch": 3, "clips_per_line": 4, "line_weights": {"M": 2.0},
        "clean_share": 0.5, "crop_frames": [140, 220], "full_share": 0.2, "p_unheard": 0.3,
        "p_same_emotion": 0.2, "augment": replace(augment, p_mel_mask=0.0),
    }  # fmt: skip
    batches = LineBatches(material, soft_targets(CLIPS, 0.0), hparams)
    for step in range(len(batches)):
        batch, again = batches[step], batches[step]
        torch.testing.assert_close(batch, again, rtol=0, atol=0)
        speaker = (batch["mel"][:, 0, 0] // 12).long()
        heard = batch["earlier"].bool()
        assert not heard.diagonal().any()
        assert not (heard & (speaker[:, None] != speaker[None, :])).any()
        frames = batch["mel"].shape[2]
        assert frames == 300 if step >= 8 else 140 <= frames <= 220


def test_a_tiny_run_exports_what_it_trained(
    whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole recipe in two steps: train on corpus c, leave d out, export, load, serve the same."""
    rng = np.random.default_rng(0)
    rows = []
    for speaker, corpus, split in (("s1", "c", "train"), ("s2", "c", "val"), ("s3", "d", "val")):
        for emotion in EMOTIONS:
            rows.append((f"{corpus}/{speaker}-{emotion}.wav", corpus, speaker, "F", emotion, split))
            (tmp_path / corpus).mkdir(exist_ok=True)
            soundfile.write(tmp_path / rows[-1][0], rng.normal(0, 0.1, 8000), 8000)
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "corpus", "speaker", "gender", "emotion", "split"], *rows])
    folder = tmp_path / "model"
    options = {
        "manifest": tmp_path / "manifest.csv", "audio": f"[{tmp_path}/c,{tmp_path}/d]", "corpora": "[c]",
        "mel_folder": tmp_path / "mels", "output_folder": tmp_path / "run", "export_folder": folder,
        "left_out_runs": "[]", "layers": 1, "states": 2, "rank": 2, "telephone_copies": 1, "steps": 2,
        "lines_per_batch": 1, "clips_per_line": 6, "full_share": 0, "calibration_steps": 5,
        "calibration_folds": 1, "report_every": 1,
    }  # fmt: skip
    train.main([f"--{key}={value}" for key, value in options.items()])
    assert "step 2: loss" in capsys.readouterr().out
    card = json.loads((folder / "card.json").read_text())
    assert card["data"]["clips"] == {"c": {"train": 6, "val": 6}}
    for figures in ("metrics", "metrics_causal"):
        assert {c: m["n"] for c, m in card[figures]["by_corpus"].items()} == {"d": 6}
    assert list(train.left_out_figures([str(folder)])) == ["trained on c alone"]
    model = SpeechBrainVoice(folder)
    waves = [soundfile.read(tmp_path / row[0], dtype="float32")[0] for row in rows[:3]]
    windows = [CustomerWindow.from_channel(Channel.CUSTOMER, wave, 0) for wave in waves]
    caller = Baseline()
    heard = model.score(windows, [caller] * 3)
    assert caller.count == 3 and heard[0] == model.score(windows)[0]
    assert heard[2] != model.score(windows)[2]
    assert model.version == card["version"]
