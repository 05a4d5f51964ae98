"""Somebody else's SpeechBrain folder: pinned or refused, its classes made ours, nothing fetched."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr

from scoring import voice_models
from scoring.torchaudio_compat import ensure_torchaudio
from scoring.types import WINDOW_SAMPLES, Channel, CustomerWindow, FirewallError
from scoring.voice import EMOTIONS, load_voice

torch = pytest.importorskip("torch")
ensure_torchaudio()

# The shape of speechbrain/emotion-recognition-wav2vec2-IEMOCAP, with an encoder of 8 numbers.
INTERFACE = """
from pathlib import Path

import torch
from speechbrain.inference.interfaces import Pretrained

Path("@RAN@").touch()


class TinyEncoder(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = torch.nn.Linear(320, width)

    def forward(self, wavs):
        return self.linear(wavs.unfold(1, 320, 320)).abs().log1p()


class CustomEncoderWav2vec2Classifier(Pretrained):
    def encode_batch(self, wavs, wav_lens=None, normalize=False):
        wavs, wav_lens = wavs.to(self.device).float(), wav_lens.to(self.device)
        outputs = self.mods.avg_pool(self.mods.wav2vec2(wavs), wav_lens)
        return outputs.view(outputs.shape[0], -1)

    def classify_batch(self, wavs, wav_lens=None):
        out_prob = self.hparams.softmax(self.mods.output_mlp(self.encode_batch(wavs, wav_lens)))
        score, index = torch.max(out_prob, dim=-1)
        return out_prob, score, index, self.hparams.label_encoder.decode_torch(index)
"""
HYPERPARAMS = """
pretrained_path: speechbrain/emotion-recognition-wav2vec2-IEMOCAP
encoder_dim: 8
out_n_neurons: 4
wav2vec2: !new:custom_interface.TinyEncoder
  width: !ref <encoder_dim>
avg_pool: !new:speechbrain.nnet.pooling.StatisticsPooling
  return_std: False
output_mlp: !new:speechbrain.nnet.linear.Linear
  input_size: !ref <encoder_dim>
  n_neurons: !ref <out_n_neurons>
  bias: False
model: !new:torch.nn.ModuleList
  - [!ref <output_mlp>]
modules:
  wav2vec2: !ref <wav2vec2>
  output_mlp: !ref <output_mlp>
  avg_pool: !ref <avg_pool>
softmax: !new:speechbrain.nnet.activations.Softmax
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
  loadables:
    wav2vec2: !ref <wav2vec2>
    model: !ref <model>
    label_encoder: !ref <label_encoder>
  paths:
    wav2vec2: !ref <pretrained_path>/wav2vec2.ckpt
    model: !ref <pretrained_path>/model.ckpt
    label_encoder: !ref <pretrained_path>/label_encoder.txt
"""
ENCODER_CLASSIFIER = """
sample_rate: 8000
compute_features: !new:speechbrain.lobes.features.Fbank
  sample_rate: !ref <sample_rate>
  n_fft: 200
  n_mels: 8
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
  norm_type: sentence
  std_norm: False
embedding_model: !new:speechbrain.nnet.pooling.StatisticsPooling
  return_std: False
classifier: !new:speechbrain.nnet.linear.Linear
  input_size: 8
  n_neurons: 4
modules:
  compute_features: !ref <compute_features>
  mean_var_norm: !ref <mean_var_norm>
  embedding_model: !ref <embedding_model>
  classifier: !ref <classifier>
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
  loadables:
    classifier: !ref <classifier>
    label_encoder: !ref <label_encoder>
  paths:
    label_encoder: label_encoder.txt
"""
IEMOCAP = ("neu", "ang", "hap", "sad")


def write_labels(folder: Path, labels: tuple[str, ...]) -> None:
    lines = [f"'{label}' => {i}\n" for i, label in enumerate(labels)]
    (folder / "label_encoder.txt").write_text("".join(lines) + "=" * 16 + "\n'starting_index' => 0\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A foreign_class folder in working order."""
    made = tmp_path / "iemocap"
    made.mkdir()
    (made / "custom_interface.py").write_text(INTERFACE.replace("@RAN@", str(tmp_path / "ran")))
    (made / "hyperparams.yaml").write_text(HYPERPARAMS)
    write_labels(made, IEMOCAP)
    seeded = torch.Generator().manual_seed(4)
    encoder = {"linear.weight": torch.randn(8, 320, generator=seeded), "linear.bias": torch.zeros(8)}
    torch.save(encoder, made / "wav2vec2.ckpt")
    torch.save({"0.w.weight": torch.randn(4, 8, generator=seeded)}, made / "model.ckpt")
    return made


Load = Callable[..., voice_models.ForeignVoice]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a folder as the product does, pinned to what it holds now unless told otherwise."""

    def loaded(folder: Path, pin: str | None = None, labels: str = "") -> voice_models.ForeignVoice:
        if pin is None:
            pin = f"sha256:{voice_models.folder_digest(folder)}"
        monkeypatch.setenv("VOICE_MODEL", str(folder))
        monkeypatch.setenv("VOICE_MODEL_DIGEST", pin)
        monkeypatch.setenv("VOICE_MODEL_LABELS", labels)
        model = load_voice()
        assert isinstance(model, voice_models.ForeignVoice)
        return model

    return loaded


def windows(count: int = 5) -> list[CustomerWindow]:
    t = np.arange(WINDOW_SAMPLES) / 8000
    waves = [0.05 * (k + 1) * np.sin(2 * np.pi * 150 * 2**k * t) for k in range(count)]
    return [CustomerWindow.from_channel(Channel.CUSTOMER, w.astype(np.float32), 0) for w in waves]


def test_its_classes_become_ours_from_resampled_audio(folder: Path, load: Load) -> None:
    model = load(folder)
    scores = model.score(windows())
    waves = torch.from_numpy(np.stack([soxr.resample(w.samples, 8000, 16000) for w in windows()]))
    encoder, output = (torch.load(folder / f"{n}.ckpt") for n in ("wav2vec2", "model"))
    states = (waves.unfold(1, 320, 320) @ encoder["linear.weight"].T).abs().log1p().mean(dim=1)
    expected = (states @ output["0.w.weight"].T).softmax(dim=1).numpy()
    for score, row in zip(scores, expected, strict=True):
        assert tuple(score.probs) == EMOTIONS
        theirs = [score.probs[e] for e in ("neutral", "angry", "happy", "sad")]
        np.testing.assert_allclose(theirs, row, atol=1e-4)
        assert score.probs["disgust"] == score.probs["fear"] == 0
        assert sum(score.probs.values()) == pytest.approx(1.0)
        assert score.confidence <= voice_models.CONFIDENCE_CAP
    assert np.ptp(expected, axis=0).max() > 0.02, "it must hear something"


def test_the_version_names_the_bytes_and_says_uncalibrated(folder: Path, load: Load) -> None:
    digest = voice_models.folder_digest(folder)
    model = load(folder)
    assert model.version == f"iemocap-{digest[:8]}-uncalibrated" == model.score(windows(1))[0].model


def test_loading_changes_nothing_in_the_folder_nor_in_the_process(
    folder: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = voice_models.folder_digest(folder)
    load(folder)
    load(folder)
    assert voice_models.folder_digest(folder) == before
    assert str(folder) not in sys.path and "custom_interface" not in sys.modules


def test_a_standard_encoder_classifier(tmp_path: Path, load: Load) -> None:
    folder = tmp_path / "standard"
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(ENCODER_CLASSIFIER)
    write_labels(folder, ("anger", "joy", "neutral", "fearful"))
    weights = {"w.weight": torch.eye(4, 8), "w.bias": torch.arange(4.0)}
    torch.save(weights, folder / "classifier.ckpt")
    for score in load(folder).score(windows(2)):
        assert sum(score.probs.values()) == pytest.approx(1.0)
        assert score.probs["disgust"] == score.probs["sad"] == 0 < score.probs["happy"]


def test_agents_are_refused_here_too(folder: Path, load: Load) -> None:
    with pytest.raises(FirewallError):
        load(folder).score([np.zeros(WINDOW_SAMPLES, np.float32)])  # type: ignore[list-item]


# --- classes ----------------------------------------------------------------------------------


def test_unknown_classes_are_listed_and_can_be_mapped(folder: Path, load: Load) -> None:
    write_labels(folder, ("neu", "exc", "sad", "sur"))
    with pytest.raises(ValueError, match="neu, exc, sad, sur.*VOICE_MODEL_LABELS=exc=…,sur=…"):
        load(folder)
    for score in load(folder, labels="exc=happy, sur=").score(windows()):
        assert sum(score.probs.values()) == pytest.approx(1.0)
        assert score.probs["angry"] == 0 and score.probs["happy"] > 0


def test_mass_of_a_class_left_out_lowers_confidence() -> None:
    model = object.__new__(voice_models.ForeignVoice)
    model.version = "m"
    score = model._score(np.array([0.1, 0, 0, 0, 0.1, 0]))
    assert score.probs["angry"] == pytest.approx(0.5) and score.confidence == pytest.approx(0.1)


@pytest.mark.parametrize("text", ["exc", "exc=joyful", "exc=happy,sur"])
def test_mappings_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="VOICE_MODEL_LABELS"):
        voice_models.read_labels(text)


# --- hostile folders --------------------------------------------------------------------------


def assert_not_run(folder: Path) -> None:
    assert not (folder.parent / "ran").exists(), "its code must not have run"


def test_unpinned(folder: Path, load: Load) -> None:
    with pytest.raises(voice_models.Unpinned, match=f"sha256:{voice_models.folder_digest(folder)}"):
        load(folder, pin="")
    assert_not_run(folder)


@pytest.mark.parametrize("pin", ["sha256:" + "0" * 64, "0" * 64, "sha256:", "nonsense"])
def test_another_pin(folder: Path, load: Load, pin: str) -> None:
    with pytest.raises(voice_models.Unpinned, match=voice_models.folder_digest(folder)):
        load(folder, pin=pin)
    assert_not_run(folder)


@pytest.mark.parametrize("file", ["custom_interface.py", "hyperparams.yaml", "label_encoder.txt", "new.py"])
def test_any_changed_file_is_another_digest(folder: Path, load: Load, file: str) -> None:
    pin = f"sha256:{voice_models.folder_digest(folder)}"
    with (folder / file).open("a") as stream:
        stream.write("\n")
    with pytest.raises(voice_models.Unpinned):
        load(folder, pin=pin)
    assert_not_run(folder)


def test_a_renamed_file_is_another_digest(folder: Path) -> None:
    before = voice_models.folder_digest(folder)
    (folder / "model.ckpt").rename(folder / "module.ckpt")
    assert voice_models.folder_digest(folder) != before


def test_links_cannot_be_pinned(folder: Path, load: Load, tmp_path: Path) -> None:
    (folder / "model.ckpt").rename(tmp_path / "model.ckpt")
    (folder / "model.ckpt").symlink_to(tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match="is a link"):
        load(folder, pin="sha256:" + "0" * 64)
    (folder / "model.ckpt").unlink()
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="is a link"):
        load(folder, pin="sha256:" + "0" * 64)
    assert_not_run(folder)


class _Bomb:
    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.fuse,))


def test_a_checkpoint_that_would_run_code(
    folder: Path, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinned by mistake, and with the setting that would let torch unpickle it."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    for save in (torch.save, lambda bomb, file: file.write_bytes(pickle.dumps(bomb))):
        save(_Bomb(tmp_path / "exploded"), folder / "model.ckpt")
        with pytest.raises(Exception, match="[Ww]eights"):
            load(folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("place", ["../model.ckpt", "/etc/passwd", "facebook/wav2vec2-base/model.ckpt"])
def test_files_outside_the_pinned_folder(folder: Path, load: Load, place: str) -> None:
    (folder.parent / "model.ckpt").write_bytes((folder / "model.ckpt").read_bytes())
    text = (folder / "hyperparams.yaml").read_text()
    (folder / "hyperparams.yaml").write_text(text.replace("!ref <pretrained_path>/model.ckpt", place))
    with pytest.raises(ValueError, match="not a file in"):
        load(folder)


def test_an_interface_without_the_class(folder: Path, load: Load) -> None:
    (folder / "custom_interface.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="classify_batch; it has none"):
        load(folder)


def test_a_folder_of_ours_is_held_to_a_pin_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICE_MODEL", raising=False)
    monkeypatch.setenv("VOICE_MODEL_DIGEST", "sha256:" + "0" * 64)
    with pytest.raises(voice_models.Unpinned):
        load_voice()


# --- names and the command --------------------------------------------------------------------


def test_a_hub_id_is_the_copy_pulled_earlier(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    with pytest.raises(ValueError, match="voice_models pull some/model"):
        load_voice("some/model")
    (tmp_path / "models" / "voice").mkdir(parents=True)
    folder.rename(tmp_path / "models" / "voice" / "some--model")
    with pytest.raises(voice_models.Unpinned):
        load_voice("some/model")


@pytest.mark.parametrize("name", ["../x/..", "a/../../b", "a/b/c", "..", "a/.b"])
def test_names_that_are_no_hub_id(name: str) -> None:
    with pytest.raises(ValueError) as refused:
        voice_models.path(f"{name}/nope" if Path(name).is_dir() else name)
    assert "pull" not in str(refused.value)


def test_pulling_copies_a_repository_and_prints_what_to_set(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub

    def snapshot_download(name: str, local_dir: Path) -> None:
        shutil.copytree(folder, local_dir)
        (local_dir / ".cache" / "huggingface").mkdir(parents=True)
        (local_dir / ".cache" / "huggingface" / "time").write_text("now")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    assert voice_models.main(["pull", "some/model"]) == 0
    assert f"VOICE_MODEL_DIGEST=sha256:{voice_models.folder_digest(folder)}" in capsys.readouterr().out
    assert voice_models.path("some/model") == tmp_path / "models" / "voice" / "some--model"
    assert voice_models.main(["pull", "https://example.com/m"]) == 2
    assert_not_run(folder)


def test_files_named_by_the_folder_key(folder: Path, load: Load) -> None:
    """What a copied YAML named on the hub is named in the folder instead."""
    text = (folder / "hyperparams.yaml").read_text().replace("!ref <pretrained_path>", "!ref <folder>")
    (folder / "hyperparams.yaml").write_text("folder: !PLACEHOLDER\n" + text)
    assert len(load(folder).score(windows(1))) == 1


def test_the_command_prints_what_to_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert voice_models.main(["digest", str(folder)]) == 0
    assert f"VOICE_MODEL_DIGEST=sha256:{voice_models.folder_digest(folder)}" in capsys.readouterr().out
    assert voice_models.main(["digest", "/nope"]) == 2
    assert "/nope" in capsys.readouterr().err
    assert_not_run(folder)
