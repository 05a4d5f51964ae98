"""Ways to multiply in the voice model's encoder: windows per CPU second, and what each does to scores.

CPU time of one thread. Without the corpus (--manifest, --audio) it hears made-up sounds and gives no recall.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scoring import assets
from scoring.torchaudio_compat import ensure_torchaudio
from scoring.training.voice.clips import Archive, read_manifest, windows_of
from scoring.training.voice.measure import uar
from scoring.types import WINDOW_SAMPLES
from scoring.voice import EMOTIONS, SHIPPED

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "voice"
BATCHES = (1, 4, 8, 16)
EVERY = range(6)
LINEAR = ("qkv", "out", "up", "down")

Prepare = Callable[[Any], None]


def candidates() -> dict[str, Prepare]:
    """What to do to a backbone in float32, by name; the first is the reference."""
    from scoring.fast_encoder import INT8_PARTS, Precision, parts

    half = torch.bfloat16

    def settle(*int8: str, named: frozenset[str] | None = None) -> Prepare:
        return lambda backbone: backbone.settle(Precision(half, named or parts(EVERY, *int8)))

    return {
        "float32": lambda backbone: backbone.settle(Precision()),
        "bfloat16, plain modules": lambda backbone: backbone.encoder.use(half),
        "torch dynamic int8": _torch_dynamic,
        "bfloat16": settle(),
        "int8 up and down": settle("up", "down"),
        "int8 but out and the first qkv (served)": settle(named=INT8_PARTS),
        "int8 throughout": settle(*LINEAR),
        "int8 throughout, one scale after GELU": _one_scale_after_gelu,
    }


def _torch_dynamic(backbone: Any) -> None:
    from torch.ao.quantization import quantize_dynamic

    backbone.encoder.layers = quantize_dynamic(backbone.encoder.layers, {torch.nn.Linear})
    for layer in backbone.encoder.layers:
        layer.qkv.weight = torch.zeros(())  # the layer asks for its dtype; the quantised one has a method


def _one_scale_after_gelu(backbone: Any) -> None:
    from scoring.fast_encoder import Precision, parts

    backbone.settle(Precision(torch.bfloat16, parts(EVERY, *LINEAR)))
    for layer in backbone._fast.layers:
        layer.down.of_gelu = lambda x, down=layer.down: down(torch.nn.functional.gelu(x))


class Variant:
    """One candidate around its own copy of the network; `run` gives pooled embeddings and probabilities."""

    def __init__(self, network: Any, prepare: Prepare) -> None:
        self.backbone = copy.deepcopy(network.mods.backbone)
        self.backbone._settled = True
        prepare(self.backbone)
        self.head, self.calibration = network.mods.head, network.hparams.calibration

    def run(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[batch, 24000] -> (embeddings [batch, width], probabilities [batch, 6])."""
        pooled: list[torch.Tensor] = []
        hook = self.head.pooling.register_forward_hook(lambda *given: pooled.append(given[2].squeeze(2)))
        with torch.inference_mode():
            logits = self.head(self.backbone(torch.from_numpy(samples)))
            probs = self.calibration(logits.float()).softmax(dim=1)
        hook.remove()
        return pooled[0].numpy(), probs.numpy()


def speeds(variants: dict[str, Variant], samples: np.ndarray, rounds: int) -> dict[str, dict[str, float]]:
    """Windows per CPU second by candidate and batch: the best of some rounds, taken in turns."""
    best: dict[str, dict[str, float]] = {name: {} for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            for batch in BATCHES:
                began = time.process_time()
                variant.run(samples[:batch])
                rate = batch / (time.process_time() - began)
                best[name][str(batch)] = round(max(rate, best[name].get(str(batch), 0.0)), 1)
    return best


def effect(variant: Variant, reference: Any, samples: np.ndarray, truth: np.ndarray | None) -> dict[str, Any]:
    """How far embeddings and decisions are from float32's."""
    embeddings, probs = _all(variant, samples)
    exact, exact_probs = reference
    spread = np.linalg.norm(exact - exact.mean(axis=0), axis=1).mean()
    error = np.linalg.norm(embeddings - exact, axis=1) / spread
    guess, exact_guess = probs.argmax(axis=1), exact_probs.argmax(axis=1)
    told: dict[str, Any] = {
        "embedding_error_mean": round(float(error.mean()), 4),
        "embedding_error_max": round(float(error.max()), 4),
        "decisions_agree": round(float((guess == exact_guess).mean()), 4),
        "probability_change_mean": round(float(np.abs(probs - exact_probs).max(axis=1).mean()), 4),
        "probability_change_max": round(float(np.abs(probs - exact_probs).max()), 4),
    }
    if truth is not None:
        told |= {
            "uar": uar(truth, guess),
            "uar_change": round(uar(truth, guess) - uar(truth, exact_guess), 4),
        }
    return told


def _all(variant: Variant, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = [variant.run(samples[i : i + 8]) for i in range(0, len(samples), 8)]
    return np.concatenate([e for e, _ in rows]), np.concatenate([p for _, p in rows])


def corpus(manifest: Path, audio: Sequence[Path], count: int) -> tuple[np.ndarray, np.ndarray]:
    """(windows [n, 24000], classes [n]) of `count` CREMA-D val clips, drawn with a fixed seed."""
    clips = [c for c in read_manifest(manifest, "val")[0] if c.corpus == "crema-d"]
    drawn = np.random.default_rng(5).permutation(len(clips))[:count]
    archive = Archive(audio)
    cut = [windows_of(archive.read(clips[i].file))[0] for i in drawn]
    padded = [np.pad(w, (WINDOW_SAMPLES - len(w), 0)) for w in cut]
    return np.stack(padded), np.array([EMOTIONS.index(clips[i].emotion) for i in drawn])


def synthetic(count: int) -> np.ndarray:
    """Voices of 15 harmonics, each with its own pitch, glide, syllables and noise: [count, 24000]."""
    rng, t = np.random.default_rng(3), np.arange(WINDOW_SAMPLES) / 8000
    waves = []
    for _ in range(count):
        pitch, glide, pace, level = rng.uniform((90, -0.5, 2, 0.02), (300, 0.5, 6, 0.3))
        phase = 2 * np.pi * np.cumsum(pitch * 2 ** (glide * t / 3)) / 8000
        voice = sum(np.sin(k * phase) / k for k in range(1, 16)) * np.clip(np.sin(2 * np.pi * pace * t), 0, 1)
        waves.append(level * (voice + rng.normal(0, 0.03, len(t))))
    return np.clip(np.stack(waves), -1, 1).astype(np.float32)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench voice_serving", description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--manifest", type=Path, default=DATA / "manifest.csv")
    parser.add_argument("--audio", type=Path, nargs="+", default=[DATA / "crema-d.tar"])
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    ensure_torchaudio()
    from scoring.voice_network import load_pretrained

    network = load_pretrained(options.model, assets.path("whisper-base"), "cpu")
    variants = {name: Variant(network, prepare) for name, prepare in candidates().items()}
    if options.manifest.is_file():
        samples, truth = corpus(options.manifest, options.audio, options.clips)
    else:
        samples, truth = synthetic(max(BATCHES)), None
    rates = speeds(variants, samples, options.rounds)
    reference = _all(next(iter(variants.values())), samples)
    rows = {
        name: {"windows_per_cpu_second": rates[name], **effect(variant, reference, samples, truth)}
        for name, variant in variants.items()
    }
    print(json.dumps({"bench": "voice_serving", "clips": len(samples), "candidates": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
