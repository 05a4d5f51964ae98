"""Train, calibrate, export and measure the voice model.

`python -m scoring.training.voice.train [recipe.yaml]`.

One thread, fixed seeds. Any key of train.yaml can be overridden: `--data_folder=/data/voice --epochs=5`.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch

from scoring.torchaudio_compat import ensure_torchaudio

ensure_torchaudio()

import speechbrain as sb  # noqa: E402
from hyperpyyaml import load_hyperpyyaml  # noqa: E402
from speechbrain.dataio.encoder import CategoricalEncoder  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn  # noqa: E402

from scoring import assets  # noqa: E402
from scoring.training.voice import calibrate, measure  # noqa: E402
from scoring.training.voice.prepare import Material, class_weights, prepare, soft_targets  # noqa: E402
from scoring.voice import EMOTIONS, SpeechBrainVoice  # noqa: E402
from scoring.voice_network import VoiceHead  # noqa: E402

HERE = Path(__file__).parent
RECIPE_FILES = (
    "train.yaml",
    "train.py",
    "augment.py",
    "clips.py",
    "features.py",
    "prepare.py",
    "calibrate.py",
)


class VoiceBrain(sb.Brain):  # type: ignore[misc]  # SpeechBrain is untyped
    """Head on cached features; the average of its weights over the last steps (EMA) is what is kept."""

    def compute_forward(self, batch: Any, stage: sb.Stage) -> Tensor:
        """Logits [batch, 6]."""
        logits: Tensor = self.modules.head(batch.features.data.float())
        return logits.float()

    def compute_objectives(self, predictions: Tensor, batch: Any, stage: sb.Stage) -> Tensor:
        """Class-weighted cross-entropy against soft targets with label smoothing."""
        targets, smoothing = batch.target.data, self.hparams.label_smoothing
        smooth = (1 - smoothing) * targets + smoothing / targets.shape[1]
        if stage != sb.Stage.TRAIN:
            self.guesses.append(predictions.argmax(dim=1))
        weighted = smooth * self.hparams.class_weights
        return -(weighted * predictions.log_softmax(dim=1)).sum(dim=1).mean()

    def init_optimizers(self) -> None:
        super().init_optimizers()
        steps, warm = self.hparams.steps, self.hparams.warmup_share * self.hparams.steps
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda i: min((i + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * min(1.0, i / steps)))
        )
        self.average = AveragedModel(
            self.modules.head, multi_avg_fn=get_ema_multi_avg_fn(self.hparams.ema_decay), use_buffers=True
        )

    def on_fit_batch_end(self, batch: Any, outputs: Tensor, loss: Tensor, should_step: bool) -> None:
        self.schedule.step()
        self.average.update_parameters(self.modules.head)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        self.guesses: list[Tensor] = []

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        if stage == sb.Stage.TRAIN:
            print(f"epoch {epoch}: train loss {stage_loss:.4f}", flush=True)
            return
        recall = measure.uar(self.hparams.val_truth, torch.cat(self.guesses).numpy())
        print(f"epoch {epoch}: val loss {stage_loss:.4f}, UAR {recall:.3f} (before averaging)", flush=True)


def dataset(material: Material, targets: np.ndarray, copies: int) -> Any:
    """One item per clip and copy, features read from the cache when asked for."""
    items = {f"{k}-{i}": {"copy": k, "clip": i} for k in range(copies) for i in range(len(material.clips))}
    data = sb.dataio.dataset.DynamicItemDataset(items)
    data.add_dynamic_item(
        lambda k, i: torch.from_numpy(material.copies[k][i].copy()), ["copy", "clip"], "features"
    )
    data.add_dynamic_item(lambda i: torch.from_numpy(targets[i]), ["clip"], "target")
    data.set_output_keys(["features", "target"])
    return data


def train(hparams: dict[str, Any], run_opts: dict[str, Any], data: Material, val: Material) -> VoiceHead:
    """The averaged head, in evaluation mode."""
    targets = soft_targets(data.clips, hparams["soft_label_weight"])
    val_targets = soft_targets(val.clips, hparams["soft_label_weight"])
    train_set, val_set = dataset(data, targets, len(data.copies)), dataset(val, val_targets, 1)
    hparams["class_weights"] = torch.from_numpy(class_weights(targets))
    hparams["val_truth"] = truth_of(val)
    hparams["steps"] = hparams["epochs"] * (len(train_set) // hparams["batch_size"])
    brain = VoiceBrain(hparams["modules"], hparams["opt_class"], hparams, run_opts)
    loader = {"batch_size": hparams["batch_size"], "num_workers": 0}
    shuffled = torch.Generator().manual_seed(hparams["seed"])
    brain.fit(
        range(1, hparams["epochs"] + 1),
        train_set,
        val_set,
        train_loader_kwargs=loader | {"shuffle": True, "drop_last": True, "generator": shuffled},
        valid_loader_kwargs=loader,
        progressbar=False,
    )
    head: VoiceHead = brain.average.module.eval()
    return head


def truth_of(material: Material) -> np.ndarray:
    return np.array([EMOTIONS.index(c.emotion) for c in material.clips])


@torch.inference_mode()
def logits_of(head: VoiceHead, features: np.ndarray, batch: int = 64) -> Tensor:
    """Logits [clips, 6] of one cached copy."""
    parts = [
        head(torch.from_numpy(features[i : i + batch].astype(np.float32)))
        for i in range(0, len(features), batch)
    ]
    return torch.cat(parts)


def calibrated(head: VoiceHead, val: Material, hparams: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Calibration fitted on all copies of the validation clips, and its cross-fitted figures."""
    logits = torch.cat([logits_of(head, copy) for copy in val.copies]).clone()
    truth = np.tile(truth_of(val), len(val.copies))
    speakers = np.tile([c.speaker for c in val.clips], len(val.copies))
    labels = torch.from_numpy(truth)
    report: dict[str, Any] = {}
    for name, offsets in (("temperature", False), ("temperature_and_offsets", True)):
        probs = calibrate.cross_fitted(logits, labels, speakers, hparams, offsets)
        right, n = probs.argmax(axis=1) == truth, len(val.clips)
        report[name] = {
            "nll": round(calibrate.nll(probs, truth), 4),
            "ece_clean": measure.ece(right[:n], probs[:n].max(axis=1)),
            "ece_telephone": measure.ece(right[n:], probs[n:].max(axis=1)),
            "uar_clean": measure.uar(truth[:n], probs[:n].argmax(axis=1)),
            "uar_telephone": measure.uar(truth[n:], probs[n:].argmax(axis=1)),
        }
    plain, fitted = report["temperature"], report["temperature_and_offsets"]
    # Offsets learn this corpus' habits: worth it only if they cost no recall on other speakers.
    use_offsets = fitted["nll"] < plain["nll"] and fitted["uar_telephone"] >= plain["uar_telephone"]
    report["kept"] = "temperature_and_offsets" if use_offsets else "temperature"
    return calibrate.fit(logits, labels, hparams, use_offsets), report


def export(head: VoiceHead, calibration: Any, hparams: dict[str, Any], folder: Path) -> str:
    """Write the serving folder (all but card.json); returns the version."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("layers", "pool", "states", "width", "attention", "hidden", "classes", "dropout")
    serve = Template((HERE / "serve.yaml").read_text())
    (folder / "hyperparams.yaml").write_text(serve.substitute({n: hparams[n] for n in names}))
    halves = {k: v.half() if v.is_floating_point() else v for k, v in head.state_dict().items()}
    torch.save(halves, folder / "head.ckpt")
    (folder / "calibration.json").write_text(calibration.to_json() + "\n")
    encoder = CategoricalEncoder()
    encoder.update_from_iterable(EMOTIONS, sequence_input=False)
    encoder.save(folder / "label_encoder.txt")
    digest = hashlib.sha256()
    for array in halves.values():
        digest.update(array.numpy().tobytes())
    digest.update((folder / "calibration.json").read_bytes())
    return f"{hparams['name']}-{digest.hexdigest()[:8]}"


def recipe_hash() -> str:
    """Names the recipe without git: sha256 over its files and the two model files, 12 hex digits."""
    files = [HERE / name for name in RECIPE_FILES]
    files += [HERE.parents[1] / "whisper_encoder.py", HERE.parents[1] / "voice_network.py"]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12]


def card(
    version: str, hparams: dict[str, Any], data: Material, val: Material, calibration: dict[str, Any]
) -> dict[str, Any]:
    """What is known about the model before it is measured."""
    counts = {
        corpus: {
            "train": sum(c.corpus == corpus for c in data.clips),
            "val": sum(c.corpus == corpus for c in val.clips),
        }
        for corpus in sorted({c.corpus for c in data.clips})
    }
    return {
        "version": version,
        "classes": list(EMOTIONS),
        "input": "8 kHz mono, 3-s windows",
        "backbone": {
            "name": "whisper-base",
            "layers": hparams["layers"],
            "licence": "MIT",
            "pin": assets.find("whisper-base").pin[:12],
        },
        "recipe": {
            "hash": recipe_hash(),
            "seed": hparams["seed"],
            "steps": hparams["steps"],
            "copies": len(data.copies),
        },
        "data": {
            "clips": counts,
            "licences": {
                "crema-d": "ODbL-1.0 / DbCL-1.0, attribution: CREMA-D (Cao et al. 2014)",
                "emodb": "CC0-1.0",
            },
            "manifest_sha256": hashlib.sha256(Path(hparams["manifest"]).read_bytes()).hexdigest()[:12],
        },
        "calibration": calibration,
    }


def main(argv: list[str]) -> None:
    if not argv or argv[0].startswith("--"):
        argv = [str(HERE / "train.yaml"), *argv]
    recipe, run_opts, overrides = sb.parse_arguments(argv)
    torch.set_num_threads(1)
    with open(recipe) as file:
        hparams = load_hyperpyyaml(file, overrides)
    data, val = prepare(hparams)
    head = train(hparams, run_opts, data, val)
    calibration, report = calibrated(head, val, hparams)
    print(json.dumps(report, indent=1))
    folder = Path(hparams["export_folder"])
    version = export(head, calibration, hparams, folder)
    about = card(version, hparams, data, val, report)
    about["layer_weights"] = [round(float(w), 3) for w in head.layer_logits.detach().softmax(0)]
    (folder / "card.json").write_text(json.dumps(about, indent=1) + "\n")
    measured = measure.measure(
        SpeechBrainVoice(folder), Path(hparams["manifest"]), [Path(p) for p in hparams["audio"]], "val"
    )
    print(measure.table(measured))
    about["metrics"] = {"split": "val", "by_corpus": measured["by_corpus"]}
    (folder / "card.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
