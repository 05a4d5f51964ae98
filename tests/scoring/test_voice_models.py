"""A pinned model folder: nothing that the digest does not cover runs, and what was digested is what loads."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from scoring import voice_models
from scoring.torchaudio_compat import ensure_torchaudio

torch = pytest.importorskip("torch")
ensure_torchaudio()

INTERFACE = """
import pathlib
from speechbrain.inference.classifiers import EncoderClassifier

pathlib.Path({ran!r}).write_text(__file__)


class Own(EncoderClassifier):
    pass
"""
MODULES = """
compute_features: !new:speechbrain.lobes.features.Fbank
  sample_rate: 8000
  n_fft: 200
  n_mels: 8
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
  norm_type: sentence
  std_norm: False
embedding_model: !new:speechbrain.nnet.pooling.StatisticsPooling
  return_std: False
classifier: !new:speechbrain.nnet.linear.Linear
  input_size: 8
  n_neurons: 2
modules:
  compute_features: !ref <compute_features>
  mean_var_norm: !ref <mean_var_norm>
  embedding_model: !ref <embedding_model>
  classifier: !ref <classifier>
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
"""
PRETRAINER = """
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
  loadables:
    classifier: !ref <classifier>
    label_encoder: !ref <label_encoder>
  paths:
    label_encoder: label_encoder.txt
"""


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """Exists once code of a model ran."""
    return tmp_path / "ran"


@pytest.fixture
def folder(tmp_path: Path, ran: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "hyperparams.yaml").write_text(MODULES + PRETRAINER)
    (made / "custom_interface.py").write_text(INTERFACE.format(ran=str(ran)))
    (made / "label_encoder.txt").write_text(
        "'ang' => 0\n'neu' => 1\n" + "=" * 16 + "\n'starting_index' => 0\n"
    )
    torch.save({"w.weight": torch.eye(2, 8), "w.bias": torch.zeros(2)}, made / "classifier.ckpt")
    return made


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def pinned(folder: Path) -> str:
    return f"sha256:{voice_models.folder_digest(folder)}"


def load(folder: Path, pin: str | None = None) -> voice_models.ForeignVoice:
    return voice_models.ForeignVoice(folder, pinned(folder) if pin is None else pin)


def test_it_loads_from_a_private_copy_that_is_gone_afterwards(
    folder: Path, ran: Path, temporary: Path
) -> None:
    modules, places = set(sys.modules), list(sys.path)
    model = load(folder)
    assert model.version.startswith("model-")
    assert Path(ran.read_text()).is_relative_to(temporary) and not list(temporary.iterdir())
    assert sys.path == places
    assert not [
        n for n in set(sys.modules) - modules if n == "custom_interface" or n.startswith("voice_model_")
    ]


def test_nothing_runs_unpinned(folder: Path, ran: Path, temporary: Path) -> None:
    for pin in ("", "sha256:" + "0" * 64):
        with pytest.raises(voice_models.Unpinned, match=f"{folder} .*{voice_models.folder_digest(folder)}"):
            load(folder, pin)
    assert not ran.exists() and not list(temporary.iterdir())


def test_a_folder_changed_after_its_digest_was_taken(
    folder: Path, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write to the folder waits for the digest, then swaps the code."""
    pin, swapped, digest = pinned(folder), tmp_path / "swapped", voice_models.folder_digest

    def then_swap(digested: Path) -> str:
        found = digest(digested)
        (folder / "custom_interface.py").write_text(INTERFACE.format(ran=str(swapped)))
        return found

    monkeypatch.setattr(voice_models, "folder_digest", then_swap)
    load(folder, pin)
    assert ran.exists() and not swapped.exists()


# --- what hyperparams.yaml points at ------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path, ran: Path) -> Path:
    file = tmp_path / "outside.yaml"
    file.write_text(f"x: !apply:os.system [ 'touch {ran}' ]\n")
    return file


@pytest.mark.parametrize(
    "line",
    [
        "more: !include:{outside}",
        "more: [1, {{deep: !include:{outside} }}]",
        "more: !<!include:{outside}>",
        "more: !include:{outside} {{x: 2}}",
        "more: !include:../outside.yaml",
        "more: !include:/proc/self/root{outside}",
        "more: &a [!include:{outside} , *a]",
    ],
)
def test_an_include_from_outside_is_refused_before_anything_runs(
    folder: Path, outside: Path, ran: Path, line: str
) -> None:
    (folder / "hyperparams.yaml").write_text(MODULES + PRETRAINER + line.format(outside=outside) + "\n")
    with pytest.raises(ValueError, match=r"hyperparams.yaml names !include:.*outside.yaml.*not a file in"):
        load(folder)
    assert not ran.exists()


def test_an_include_inside_that_includes_from_outside(folder: Path, outside: Path, ran: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "more.yaml").write_text(f"y: !include:{outside}\n")
    (folder / "hyperparams.yaml").write_text(MODULES + PRETRAINER + "more: !include:parts/more.yaml\n")
    with pytest.raises(ValueError, match=r"more.yaml names !include:.*outside.yaml"):
        load(folder)
    assert not ran.exists()


def test_an_include_that_the_digest_covers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the file that includes it, wherever the process runs."""
    monkeypatch.chdir("/")
    (folder / "parts").mkdir()
    (folder / "parts" / "rate.yaml").write_text("hz: 8000\nnext: !include:same.yaml\n")
    (folder / "parts" / "same.yaml").write_text("z: 1\n")
    text = "more: !include:parts/rate.yaml\nsample_rate: !ref <more[hz]>\n"
    (folder / "hyperparams.yaml").write_text(text + MODULES + PRETRAINER)
    assert load(folder)._rate_hz == 8000


@pytest.mark.parametrize("value", ["{outside}", "file://{outside}", "!ref {outside}", "{outside.parent}"])
def test_a_path_of_something_outside_is_refused(folder: Path, outside: Path, ran: Path, value: str) -> None:
    with (folder / "hyperparams.yaml").open("a") as file:
        file.write(f"source: {value.format(outside=outside)}\n")
    with pytest.raises(ValueError, match=f"names .*{outside.parent}.*not a file in"):
        load(folder)
    assert not ran.exists()


def test_paths_that_lead_nowhere_or_are_ours_to_set(folder: Path) -> None:
    with (folder / "hyperparams.yaml").open("a") as file:
        file.write(f"data: /home/somebody/data\nslash: /\nlong: /{'x' * 5000}\npretrained_path: {folder}\n")
    load(folder)


# --- around it ----------------------------------------------------------------------------------


def test_blocked_imports_are_no_trouble(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blocked_by_somebody", None)  # type: ignore[arg-type]
    kept = os.environ.get("HF_HUB_OFFLINE")
    load(folder)
    assert os.environ.get("HF_HUB_OFFLINE") == kept


def test_the_copy_refuses_links_and_keeps_nothing(folder: Path, ran: Path, temporary: Path) -> None:
    pin = pinned(folder)
    (folder / "more.py").symlink_to(folder / "custom_interface.py")
    with pytest.raises(ValueError, match=f"{folder}/more.py is a link"):
        load(folder, pin)
    assert not ran.exists() and not list(temporary.iterdir())
