"""Train, calibrate, export and measure the voice model.

`python -m scoring.training.voice.train [recipe.yaml]`.

One thread, fixed seeds, CPU or GPU (`--device=cuda`). Any key of train.yaml can be overridden:
`--data_folder=/data/voice --steps=1200`; `--corpora=[crema-d]` leaves every other corpus out of training.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
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
from torch.utils.data import DataLoader  # noqa: E402

from scoring import assets  # noqa: E402
from scoring.fast_encoder import has_bfloat16  # noqa: E402
from scoring.training.voice import calibrate, measure  # noqa: E402
from scoring.training.voice.adapters import adapter_state, add_adapters  # noqa: E402
from scoring.training.voice.batches import LineBatches  # noqa: E402
from scoring.training.voice.prepare import Material, class_weights, prepare, soft_targets  # noqa: E402
from scoring.voice import EMOTIONS, SpeechBrainVoice  # noqa: E402

HERE = Path(__file__).parent
RECIPE_FILES = (
    "train.yaml",
    "train.py",
    "adapters.py",
    "augment.py",
    "batches.py",
    "clips.py",
    "mels.py",
    "prepare.py",
    "calibrate.py",
)


FIGURES = {"metrics": "none", "metrics_causal": "causal"}  # the card's figures, and the baseline of each


class VoiceBrain(sb.Brain):  # type: ignore[misc]  # SpeechBrain is untyped
    """Adapters and head on cached mels; the average of their weights over the last steps (EMA) is kept."""

    def compute_forward(self, batch: dict[str, Tensor], stage: sb.Stage) -> Tensor:
        """Logits [batch, 6], each clip heard against the earlier ones of its line."""
        z = self.modules.head.embed(self.modules.backbone.features(batch["mel"].to(self.device)))
        earlier = batch["earlier"].to(self.device)
        logits: Tensor = self.modules.head.classify(z, earlier @ z, earlier.sum(dim=1))
        return logits

    def compute_objectives(self, predictions: Tensor, batch: dict[str, Tensor], stage: sb.Stage) -> Tensor:
        """Class-weighted cross-entropy against soft targets with label smoothing."""
        targets, smoothing = batch["target"].to(self.device), self.hparams.label_smoothing
        smooth = (1 - smoothing) * targets + smoothing / targets.shape[1]
        weighted = smooth * self.hparams.class_weights.to(self.device)
        return -(weighted * predictions.log_softmax(dim=1)).sum(dim=1).mean()

    def init_optimizers(self) -> None:
        head = list(self.modules.head.parameters())
        adapters = [p for p in self.modules.backbone.parameters() if p.requires_grad]
        groups = [{"params": head}, {"params": adapters, "lr": self.hparams.adapter_lr}]
        self.optimizer = self.opt_class([g for g in groups if g["params"]])
        self.optimizers_dict = {"opt_class": self.optimizer}
        steps, warm = self.hparams.steps, max(1.0, self.hparams.warmup_share * self.hparams.steps)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda i: min((i + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * min(1.0, i / steps)))
        )
        self.average = {name: value.detach().clone() for name, value in self.trained().items()}
        self.started, self.loss = time.monotonic(), float(np.log(len(EMOTIONS)))

    def trained(self) -> dict[str, Tensor]:
        """What training changes: parameters with gradients, and the head's running statistics."""
        parameters = {n: p for n, p in self.modules.named_parameters() if p.requires_grad}
        return parameters | {f"head.{n}": b for n, b in self.modules.head.named_buffers()}

    @torch.no_grad()
    def on_fit_batch_end(self, batch: Any, outputs: Tensor, loss: Tensor, should_step: bool) -> None:
        self.schedule.step()
        for name, value in self.trained().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - self.hparams.ema_decay)
            else:
                self.average[name].copy_(value)
        self.loss += 0.02 * (float(loss.detach()) - self.loss)
        if self.step % self.hparams.report_every == 0:
            seconds, cpu_s = time.monotonic() - self.started, time.process_time()
            print(f"step {self.step}: loss {self.loss:.4f}, {seconds:.0f} s, {cpu_s:.0f} s CPU", flush=True)
            torch.save(self.average, Path(self.hparams.output_folder) / "average.ckpt")

    @torch.no_grad()
    def keep_average(self) -> None:
        """Put the averaged weights in place, for use."""
        for name, value in self.trained().items():
            value.copy_(self.average[name])
        self.modules.eval()


def train(hparams: dict[str, Any], run_opts: dict[str, Any], data: Material) -> None:
    """Leaves the averaged weights in hparams' backbone and head, in evaluation mode."""
    targets = soft_targets(data.clips, hparams["soft_label_weight"])
    hparams["class_weights"] = torch.from_numpy(class_weights(targets))
    Path(hparams["output_folder"]).mkdir(parents=True, exist_ok=True)
    encoder = hparams["backbone"].encoder
    if has_bfloat16() or "cuda" in str(run_opts.get("device")):
        encoder.use(torch.bfloat16)
    if hparams["rank"]:
        add_adapters(encoder, hparams["rank"], hparams["scale"])
    brain = VoiceBrain(hparams["modules"], hparams["opt_class"], hparams, run_opts)
    batches = LineBatches(data, targets, hparams)
    brain.fit([1], DataLoader(batches, batch_size=None, shuffle=False), progressbar=False)
    brain.keep_average()
    brain.modules.cpu()


@torch.inference_mode()
def embeddings_of(hparams: dict[str, Any], mel: np.ndarray, batch: int = 16) -> Tensor:
    """[clips, hidden] of one cached copy."""
    backbone, head = hparams["backbone"], hparams["head"]
    parts = [
        head.embed(backbone.features(torch.from_numpy(mel[i : i + batch].astype(np.float32))))
        for i in range(0, len(mel), batch)
    ]
    return torch.cat(parts)


def earlier(z: Tensor, lines: np.ndarray) -> tuple[Tensor, Tensor]:
    """Sums [n, hidden] and counts [n] of the embeddings that came before each one on its line."""
    sums, counts = torch.zeros_like(z), torch.zeros(len(z))
    for line in np.unique(lines):
        own = torch.from_numpy(np.flatnonzero(lines == line))
        sums[own] = z[own].cumsum(dim=0) - z[own]
        counts[own] = torch.arange(len(own), dtype=torch.float32)
    return sums, counts


@torch.inference_mode()
def logits_of(hparams: dict[str, Any], material: Material) -> dict[str, Tensor]:
    """Logits [clips, 6] of the first two copies (clean, telephone), without and with a causal baseline."""
    found = {}
    for name, mel, lines in zip(("clean", "telephone"), material.copies, material.lines, strict=False):
        z = embeddings_of(hparams, mel)
        sums, counts = earlier(z, lines)
        found[f"{name}_none"] = hparams["head"].classify(z, 0 * sums, 0 * counts).clone()
        found[f"{name}_causal"] = hparams["head"].classify(z, sums, counts).clone()
    return found


def truth_of(material: Material) -> np.ndarray:
    return np.array([EMOTIONS.index(c.emotion) for c in material.clips])


def calibrated(val: Material, hparams: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Calibration fitted on the validation speakers, and its figures cross-fitted by speaker."""
    found = logits_of(hparams, val)
    parts, n = len(found), len(val.clips)
    logits = torch.cat(list(found.values())).clone()
    truth = np.tile(truth_of(val), parts)
    speakers = np.tile([c.speaker for c in val.clips], parts)
    labels = torch.from_numpy(truth)
    report: dict[str, Any] = {}
    for kind, offsets in (("temperature", False), ("temperature_and_offsets", True)):
        probs = calibrate.cross_fitted(logits, labels, speakers, hparams, offsets)
        report[kind] = {"nll": round(calibrate.nll(probs, truth), 4)}
        for part, name in enumerate(found):
            own = slice(part * n, (part + 1) * n)
            guess, confidence = probs[own].argmax(axis=1), probs[own].max(axis=1)
            report[kind][name] = {
                "ece": measure.ece(guess == truth[own], confidence),
                "uar": measure.uar(truth[own], guess),
            }
    plain, fitted = report["temperature"], report["temperature_and_offsets"]
    # Offsets learn this corpus' habits: worth it only if they cost no recall on other speakers.
    use_offsets = fitted["nll"] < plain["nll"] and all(fitted[k]["uar"] >= plain[k]["uar"] for k in found)
    report["kept"] = "temperature_and_offsets" if use_offsets else "temperature"
    return calibrate.fit(logits, labels, hparams, use_offsets), report


def export(calibration: Any, hparams: dict[str, Any], folder: Path) -> str:
    """Write the serving folder (all but card.json); returns the version."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("layers", "pool", "states", "width", "attention", "hidden", "classes", "dropout", "prior")
    serve = Template((HERE / "serve.yaml").read_text())
    (folder / "hyperparams.yaml").write_text(serve.substitute({n: hparams[n] for n in names}))
    head = {k: v.half() if v.is_floating_point() else v for k, v in hparams["head"].state_dict().items()}
    adapters = adapter_state(hparams["backbone"].encoder)
    torch.save(head, folder / "head.ckpt")
    torch.save(adapters, folder / "adapters.ckpt")
    (folder / "calibration.json").write_text(calibration.to_json() + "\n")
    encoder = CategoricalEncoder()
    encoder.update_from_iterable(EMOTIONS, sequence_input=False)
    encoder.save(folder / "label_encoder.txt")
    digest = hashlib.sha256()
    for array in (*head.values(), *adapters.values()):
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
            "adapters": {"rank": hparams["rank"], "scale": hparams["scale"], "merged_at_load": True},
            "licence": "MIT",
            "pin": assets.find("whisper-base").pin[:12],
        },
        "recipe": {
            "hash": recipe_hash(),
            "seed": hparams["seed"],
            "steps": hparams["steps"],
            "clips_per_step": hparams["lines_per_batch"] * hparams["clips_per_line"],
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


def measured(hparams: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Figures on the validation speakers; of a run with `corpora`, on the corpora it never trained on."""
    manifest, audio = Path(hparams["manifest"]), [Path(p) for p in hparams["audio"]]
    split = hparams["left_out_split"] if hparams["corpora"] else "val"
    model, figures = SpeechBrainVoice(folder), dict[str, Any]()
    for key, baseline in FIGURES.items():
        report = measure.measure(model, manifest, audio, split, baseline, hparams["corpora"])
        print(measure.table(report), flush=True)
        figures[key] = {"split": split or "all", "by_corpus": report["by_corpus"]}
    return figures


def left_out_figures(runs: list[str]) -> dict[str, Any]:
    """What earlier runs with `corpora` say about corpora they had not seen, from their cards."""
    found: dict[str, Any] = {}
    for run in runs:
        path = Path(run) / "card.json"
        if not path.exists():
            print(f"no leave-one-corpus-out run in {run}; its figures are left out of the card", flush=True)
            continue
        about = json.loads(path.read_text())
        trained_on = "+".join(about["data"]["clips"])
        found[f"trained on {trained_on} alone"] = {k: about[k] for k in ("recipe", *FIGURES)}
    return found


def main(argv: list[str]) -> None:
    if not argv or argv[0].startswith("--"):
        argv = [str(HERE / "train.yaml"), *argv]
    recipe, run_opts, overrides = sb.parse_arguments(argv)
    with open(recipe) as file:
        hparams = load_hyperpyyaml(file, overrides)
    torch.set_num_threads(hparams["threads"])
    data, val = prepare(hparams)
    train(hparams, run_opts, data)
    calibration, report = calibrated(val, hparams)
    print(json.dumps(report, indent=1), flush=True)
    folder = Path(hparams["export_folder"])
    version = export(calibration, hparams, folder)
    about = card(version, hparams, data, val, report)
    about["layer_weights"] = [round(float(w), 3) for w in hparams["head"].layer_logits.detach().softmax(0)]
    (folder / "card.json").write_text(json.dumps(about, indent=1) + "\n")
    about |= measured(hparams, folder)
    if not hparams["corpora"]:
        about["leave_one_corpus_out"] = left_out_figures(hparams["left_out_runs"])
    (folder / "card.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
