"""Emotion from the customer's voice: the contract, a stand-in, and the real model behind it.

Only a `CustomerWindow` is accepted (channel firewall: an agent's emotion is never inferred). Importing this
file is cheap; torch and SpeechBrain load when a SpeechBrainVoice is built. It knows nothing about calls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from scoring.types import WINDOW_SAMPLES, CustomerWindow, FirewallError, FloatSamples

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad")
SHIPPED = Path(__file__).parent / "weights" / "voice"
STAND_IN = "stand-in"
BATCH = 4  # windows; larger batches are no faster on a CPU: its cache is the limit (FINDINGS.md)


@dataclass(frozen=True)
class VoiceScore:
    """What three seconds of voice sound like."""

    probs: dict[str, float]
    """Probability per acted class (EMOTIONS), calibrated, summing to 1."""
    confidence: float
    """Calibrated probability of the top class, 0-1."""
    model: str
    """Version of the model that said so."""


class VoiceModel(Protocol):
    version: str

    def score(self, windows: Sequence[CustomerWindow]) -> list[VoiceScore]:
        """One score per window, in order. FirewallError (a TypeError) for anything but a CustomerWindow."""
        ...


class StandInVoice:
    """Deterministic and fast, for tests: loud and shrill is anger, quiet is sadness. Not a measurement."""

    version = STAND_IN

    def score(self, windows: Sequence[CustomerWindow]) -> list[VoiceScore]:
        return [_score(_loudness_guess(samples), self.version) for samples in _customer_samples(windows)]


class SpeechBrainVoice:
    """The shipped model: open Whisper-base layers and our head, through SpeechBrain's pretrained interface.

    `source` is a folder as `scoring.training.voice.train` writes it (default: the shipped weights). Raises
    scoring.assets.AssetMissing when the open encoder is not on this machine, ValueError for a bad folder.
    """

    def __init__(self, source: Path | None = None, device: str = "cpu") -> None:
        from scoring import assets
        from scoring.torchaudio_compat import ensure_torchaudio

        folder = source or SHIPPED
        card = read_card(folder)
        ensure_torchaudio()
        from scoring.voice_network import load_pretrained

        self._network = load_pretrained(folder, assets.path("whisper-base"), device)
        self.version = str(card["version"])

    def score(self, windows: Sequence[CustomerWindow]) -> list[VoiceScore]:
        samples = _customer_samples(windows)
        scores: list[VoiceScore] = []
        for start in range(0, len(samples), BATCH):
            probs = self._network.classify_windows(np.stack(samples[start : start + BATCH]))
            scores += [_score(row, self.version) for row in probs]
        return scores


def load_voice(source: str | None = None, device: str = "cpu") -> VoiceModel:
    """The model named by `source`, else by VOICE_MODEL, else the shipped one.

    A name is "stand-in" or a local folder; hub names are refused, because nothing is fetched at run time.
    """
    name = source or os.environ.get("VOICE_MODEL") or str(SHIPPED)
    if name == STAND_IN:
        return StandInVoice()
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"VOICE_MODEL {name!r} is not a folder on this machine; give a folder made by "
            f"`python -m scoring.training.voice.train`, or {STAND_IN!r}, or leave it empty"
        )
    return SpeechBrainVoice(folder, device)


def read_card(folder: Path) -> dict[str, object]:
    """card.json of a model folder. Raises ValueError when it is missing or has no version."""
    try:
        card = json.loads((folder / "card.json").read_text())
        if isinstance(card, dict) and card.get("version"):
            return card
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is not a voice model folder: card.json: {error}") from error
    raise ValueError(f"{folder}/card.json names no version; train again with scoring.training.voice.train")


def _customer_samples(windows: Sequence[CustomerWindow]) -> list[FloatSamples]:
    """Their samples, each float32 [24000]. The last door before an emotion model, so it trusts no one."""
    for window in windows:
        if type(window) is not CustomerWindow:
            raise FirewallError(
                f"only a CustomerWindow may be scored for emotion, not {type(window).__name__}"
            )
        if window.samples.shape != (WINDOW_SAMPLES,) or not np.isfinite(window.samples).all():
            raise ValueError(f"window at {window.start_ms} ms is not {WINDOW_SAMPLES} finite samples")
    return [window.samples.astype(np.float32, copy=False) for window in windows]


def _score(probs: Sequence[float] | np.ndarray, version: str) -> VoiceScore:
    named = {emotion: float(p) for emotion, p in zip(EMOTIONS, probs, strict=True)}
    return VoiceScore(probs=named, confidence=max(named.values()), model=version)


def _loudness_guess(samples: FloatSamples) -> np.ndarray:
    rms = float(np.sqrt(np.mean(samples**2)))
    crossings = float(np.mean(np.abs(np.diff(np.signbit(samples).astype(np.int8)))))
    loud, shrill = min(rms / 0.2, 2.0), min(crossings / 0.2, 2.0)
    quiet = max(0.0, 0.5 - loud) if rms > 1e-3 else 0.0
    logits = np.array([2 * loud * shrill, 0.0, shrill, loud, 1.0 if rms > 1e-3 else 3.0, 3 * quiet])
    weights = np.exp(logits)
    return np.asarray(weights / weights.sum())
