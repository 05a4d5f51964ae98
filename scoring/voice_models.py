"""Other people's SpeechBrain models as a VoiceModel: pinned by digest, because their folders hold code.

`path()` and loading never use the network; `python -m scoring.voice_models pull OWNER/NAME` does. Importing
this file is cheap. It knows nothing about calls.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from scoring import assets
from scoring.types import RATE_HZ, CustomerWindow
from scoring.voice import BATCH, EMOTIONS, Baseline, VoiceScore, customer_samples

CONFIDENCE_CAP = 0.5
"""A model nobody calibrated on this line: published ones are right about half the time on real calls."""
INTERFACE = "custom_interface.py"
HYPERPARAMS = "hyperparams.yaml"
INCLUDE = "!include:"
OUR_KEYS = ("pretrained_path", "folder")
"""Keys of a hyperparams.yaml that always mean the folder itself."""
OTHER_RATE_HZ = 16_000  # SpeechBrain's own default
SYNONYMS = {
    "angry": "angry ang anger",
    "disgust": "disgust dis disgusted",
    "fear": "fear fea fearful",
    "happy": "happy hap happiness joy",
    "neutral": "neutral neu calm",
    "sad": "sad sadness",
}
KNOWN = {synonym: emotion for emotion, words in SYNONYMS.items() for synonym in words.split()}

Labels = Mapping[str, str]


class Unpinned(ValueError):
    """A folder that would run code, and whose digest is not the configured one."""


class ForeignVoice:
    """A published SpeechBrain classifier: an EncoderClassifier folder, or one with a custom_interface.py.

    Its classes become ours by `labels`; classes it lacks have probability 0, and confidence is capped because
    nothing is known of its calibration. What is loaded is a copy that nobody else can change and that is gone
    afterwards, so its code finds its files while loading only. Raises Unpinned, and ValueError for a folder
    that does not fit.
    """

    def __init__(self, folder: Path, pin: str, labels: Labels | None = None, device: str = "cpu") -> None:
        from scoring.torchaudio_compat import ensure_torchaudio, settle_lazy_modules

        ensure_torchaudio()
        with _private_copy(folder.resolve()) as copy:
            digest = folder_digest(copy)
            _hold_to_pin(folder, digest, pin)
            self._network = _load(copy, digest, device)
        settle_lazy_modules()
        self._rate_hz = _rate_hz(self._network)
        self._weights = class_weights(_labels_of(self._network), labels or {})
        self.version = f"{folder.resolve().name[:40]}-{digest[:8]}-uncalibrated"

    def score(
        self, windows: Sequence[CustomerWindow], baselines: Sequence[Baseline] | None = None
    ) -> list[VoiceScore]:
        """As the protocol says; it was not trained to hear a window against earlier ones, so it does not."""
        import soxr

        waves = [soxr.resample(s, RATE_HZ, self._rate_hz) for s in customer_samples(windows)]
        scores: list[VoiceScore] = []
        for start in range(0, len(waves), BATCH):
            said = self._classify(np.stack(waves[start : start + BATCH]))
            scores += [self._score(row) for row in said @ self._weights]
        return scores

    def _classify(self, waves: np.ndarray) -> np.ndarray:
        """[batch, samples] at the model's rate -> its own probabilities [batch, its classes]."""
        import torch

        with torch.inference_mode():
            output = self._network.classify_batch(torch.from_numpy(waves), torch.ones(len(waves)))[0]
            rows = output.float().cpu().reshape(len(waves), -1).double()
            is_probability = bool((rows >= 0).all()) and torch.allclose(
                rows.sum(1), torch.ones(1).double(), atol=1e-3
            )
            probs = rows if is_probability else rows.softmax(dim=1)  # of logits, or of log-probabilities
        if probs.shape[1] != len(self._weights):
            raise ValueError(f"the model says {probs.shape[1]} classes and names {len(self._weights)}")
        return np.asarray(probs.numpy())

    def _score(self, probs: np.ndarray) -> VoiceScore:
        """Mass on classes that were left out takes from the confidence, not from the sum of 1."""
        total = float(probs.sum())
        shares = probs / total if total > 0 else np.full(len(EMOTIONS), 1 / len(EMOTIONS))
        named = {emotion: float(p) for emotion, p in zip(EMOTIONS, shares, strict=True)}
        return VoiceScore(named, min(CONFIDENCE_CAP, float(probs.max())), self.version)


# --- which folder ---------------------------------------------------------------------------


def is_foreign(folder: Path) -> bool:
    """Whether it is somebody else's model folder: ours have a card."""
    return not (folder / "card.json").exists() and (folder / HYPERPARAMS).exists()


def path(name: str) -> Path:
    """The folder itself, or that of a hub id pulled earlier. ValueError when neither is here."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    pulled = _pulled(name)
    if pulled is not None and pulled.is_dir():
        return pulled
    advice = f", fetch it with `python -m scoring.voice_models pull {name}`" if pulled else ""
    raise ValueError(
        f"VOICE_MODEL {name!r} is not a folder on this machine; give a folder made by `python -m "
        f"scoring.training.voice.train` or another SpeechBrain model's folder{advice}, or 'stand-in', or "
        "leave it empty"
    )


def _pulled(name: str) -> Path | None:
    """Where a hub id's copy lies; None for what cannot be one."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) or ".." in name:
        return None
    return assets.models_dir() / "voice" / name.replace("/", "--")


# --- its digest -----------------------------------------------------------------------------


def folder_digest(folder: Path) -> str:
    """sha256 over every file's path and sha256, in order of path. ValueError for links and odd files."""
    whole = hashlib.sha256()
    for name in _file_names(folder):
        with (folder / name).open("rb") as file:
            whole.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()} {name}\0".encode())
    return whole.hexdigest()


def _file_names(folder: Path) -> Iterator[str]:
    for entry in sorted(folder.rglob("*")):
        name = entry.relative_to(folder).as_posix()
        if entry.is_symlink():
            raise ValueError(f"{folder}/{name} is a link, which no digest can pin; copy with `cp -rL`")
        if entry.is_dir():
            continue
        if not entry.is_file():
            raise ValueError(f"{folder}/{name} is not a plain file")
        yield name


@contextmanager
def _private_copy(folder: Path) -> Iterator[Path]:
    """What is digested must be what is loaded: bytes of our own, not links to files that others can write."""
    with tempfile.TemporaryDirectory(prefix="voice-model-") as place:
        copy = Path(place).resolve() / "model"
        copy.mkdir()
        for name in _file_names(folder):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, copy / name)
        yield copy


def check_pin(folder: Path, pin: str) -> str:
    """The folder's digest, when it is the pinned one ("sha256:…"). Raises Unpinned, naming the one found."""
    found = folder_digest(folder.resolve())
    _hold_to_pin(folder, found, pin)
    return found


def _hold_to_pin(folder: Path, found: str, pin: str) -> None:
    advice = f"if you trust what is in it, set VOICE_MODEL_DIGEST=sha256:{found}"
    if not pin:
        raise Unpinned(f"{folder} can run code of its own and is not pinned; {advice}")
    if pin.strip().lower() != f"sha256:{found}":
        raise Unpinned(f"{folder} is not what VOICE_MODEL_DIGEST pins ({pin}); {advice}")


# --- its classes ----------------------------------------------------------------------------


def read_labels(text: str) -> dict[str, str]:
    """VOICE_MODEL_LABELS: "exc=happy,sur=" (nothing after the sign: left out). ValueError when malformed."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    labels = {theirs.strip(): ours.strip() for theirs, _, ours in pairs}
    if strange := sorted({ours for ours in labels.values() if ours and ours not in EMOTIONS}):
        raise ValueError(
            f"VOICE_MODEL_LABELS names {', '.join(strange)}; ours are {', '.join(EMOTIONS)}, or nothing"
        )
    if not all(sign for _, sign, _ in pairs):
        raise ValueError(f"VOICE_MODEL_LABELS {text!r} is not of the form theirs=ours,theirs=ours")
    return labels


def class_weights(theirs: Sequence[str], labels: Labels) -> np.ndarray:
    """[their classes, our six], 1 where one becomes the other. ValueError for a class nobody maps."""
    ours = [labels.get(label, KNOWN.get(label.lower())) for label in theirs]
    if unknown := [label for label, emotion in zip(theirs, ours, strict=True) if emotion is None]:
        raise ValueError(
            f"the model's classes are {', '.join(theirs)}; say what {', '.join(unknown)} "
            f"should be: VOICE_MODEL_LABELS={','.join(f'{label}=…' for label in unknown)}, each one of "
            f"{', '.join(EMOTIONS)}, or nothing to leave it out"
        )
    if not any(ours):
        raise ValueError("VOICE_MODEL_LABELS leaves out every class of the model")
    return np.array([[float(e == emotion) for e in EMOTIONS] for emotion in ours])


# --- loading: only from here on does the folder's code run -------------------------------------


def _load(folder: Path, digest: str, device: str) -> Any:
    """SpeechBrain's `pretrained_from_hparams`, kept to the files of one folder."""
    from hyperpyyaml import load_hyperpyyaml

    for file in _yaml_files(folder):
        _check_paths(folder, file)
    with _guarded(folder), (folder / HYPERPARAMS).open() as yaml:
        interface = _interface(folder, digest)
        text = (folder / HYPERPARAMS).read_text()
        overrides = {key: str(folder) for key in OUR_KEYS if re.search(rf"^{key}\s*:", text, re.MULTILINE)}
        hparams = load_hyperpyyaml(yaml, overrides)  # of a file: what it includes is beside it
        if missing := {"modules", "pretrainer"} - set(hparams):
            raise ValueError(f"the model folder's {HYPERPARAMS} has no {', '.join(sorted(missing))}")
        _load_checkpoints(hparams["pretrainer"], folder)
        return interface(hparams["modules"], hparams, run_opts={"device": device})


def _yaml_files(folder: Path) -> list[Path]:
    """hyperparams.yaml and all it includes. ValueError for one outside the folder: no digest covers it."""
    files = [folder / HYPERPARAMS]
    for file in files:  # grows as it goes
        for node in _yaml_nodes(file):
            tag = str(getattr(getattr(node, "tag", None), "value", None) or "")
            if tag.startswith(INCLUDE):
                included = Path(_inside(folder, file.parent / tag.removeprefix(INCLUDE), tag, file.name))
                files += [] if included in files else [included]
    return files


def _check_paths(folder: Path, file: Path) -> None:
    """ValueError when a value is the path of something outside the folder, such as another model's code."""
    for node in _yaml_nodes(file):
        text = getattr(node, "value", node)  # of a tagged scalar
        if not isinstance(text, str):
            continue
        path = Path(os.path.expanduser(text.removeprefix("file://")))
        leaves = (path.is_absolute() or ".." in path.parts) and len(path.parts) > 1
        if leaves and os.path.exists(path):
            _inside(folder, path, text, file.name)


def _yaml_nodes(file: Path) -> list[Any]:
    """Every node as hyperpyyaml itself walks them, tags kept and nothing built; not the keys we set."""
    from ruamel.yaml import YAML

    top = YAML().load(file)
    nodes, seen = [top], {id(top)}
    for node in nodes:  # grows as it goes
        if isinstance(node, dict):
            parts = [part for key, part in node.items() if node is not top or key not in OUR_KEYS]
        else:
            parts = node if isinstance(node, list) else []
        nodes += [part for part in parts if id(part) not in seen]
        seen |= {id(part) for part in parts}
    return nodes


def _load_checkpoints(pretrainer: Any, folder: Path) -> None:
    names = [name for name in pretrainer.loadables if pretrainer.is_loadable(name)]
    pretrainer.paths = {name: _inside(folder, pretrainer.paths.get(name, f"{name}.ckpt")) for name in names}
    pretrainer.is_local = names
    pretrainer.load_collected()


def _inside(folder: Path, file: object, named: object = None, by: str = HYPERPARAMS) -> str:
    """The file's path. ValueError, saying what named it, when it is not a file of the pinned folder."""
    target = (folder / str(file)).resolve()
    if not target.is_relative_to(folder) or not target.is_file():
        raise ValueError(
            f"{by} names {named or file}, which is not a file in the model's folder; put it there and write "
            "`!ref <folder>/NAME` (or `!include:NAME`), then pin the folder anew"
        )
    return str(target)


def _interface(folder: Path, digest: str) -> type[Any]:
    """The folder's own Pretrained class, else SpeechBrain's EncoderClassifier."""
    from speechbrain.inference.classifiers import EncoderClassifier
    from speechbrain.inference.interfaces import Pretrained

    file = folder / INTERFACE
    if not file.exists():
        return EncoderClassifier  # type: ignore[no-any-return]
    module = ModuleType(f"voice_model_{digest[:8]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    exec(compile(file.read_bytes(), file, "exec"), vars(module))  # pinned above
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Pretrained) and value.__module__ == module.__name__
    ]
    usable = [value for value in found if hasattr(value, "classify_batch")]
    if len(usable) != 1:
        names = ", ".join(value.__name__ for value in found) or "none"
        raise ValueError(
            f"the model's {INTERFACE} must define one SpeechBrain class with classify_batch; it has {names}"
        )
    return usable[0]


@contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """No network, no pickles, no byte code left in a pinned folder, none of its modules left importable."""
    names = ("HF_HUB_OFFLINE", "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    kept = {name: os.environ.pop(name, None) for name in names}
    writes_nothing, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    os.environ |= {"HF_HUB_OFFLINE": "1", "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = writes_nothing
        for name in names:
            os.environ.pop(name, None)
        os.environ |= {name: value for name, value in kept.items() if value is not None}
        for name, module in list(sys.modules.items()):
            found = getattr(module, "__dict__", {})  # None blocks an import; a lazy module must stay asleep
            if str(found.get("__file__")).startswith(f"{folder}{os.sep}"):
                del sys.modules[name]


def _labels_of(network: Any) -> list[str]:
    try:
        names = network.hparams.label_encoder.ind2lab
        return [str(names[i]) for i in range(len(names))]
    except (AttributeError, KeyError) as error:
        raise ValueError("the model folder has no label_encoder, so its classes have no names") from error


def _rate_hz(network: Any) -> int:
    return int(getattr(network.hparams, "sample_rate", OTHER_RATE_HZ))


# --- command line ---------------------------------------------------------------------------


def pull(name: str) -> Path:
    """Copy a hub repository into MODELS_DIR. The only function here that uses the network."""
    from huggingface_hub import snapshot_download

    folder = _pulled(name)
    if folder is None:
        raise ValueError(f"{name!r} is not a hub id such as speechbrain/emotion-recognition-wav2vec2-IEMOCAP")
    snapshot_download(name, local_dir=folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # when and how it came: not part of the model
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scoring.voice_models", description=__doc__)
    parser.add_argument("action", choices=["digest", "pull"])
    parser.add_argument("name", help="folder, or hub id OWNER/NAME")
    options = parser.parse_args(argv)
    try:
        folder = pull(options.name) if options.action == "pull" else path(options.name)
        print(f"VOICE_MODEL={folder}\nVOICE_MODEL_DIGEST=sha256:{folder_digest(folder.resolve())}")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
