"""Emotion from the customer's voice: the contract, a stand-in, and the real model behind it.

Only a `CustomerWindow` is accepted (channel firewall: an agent's emotion is never inferred). Importing this
file is cheap; torch and SpeechBrain load when a SpeechBrainVoice is built. It knows nothing about calls.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

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


@dataclass
class Baseline:
    """What one caller on one line has sounded like so far: the sum and count of embeddings heard.

    A window is judged against it, then joins it; `dump` and `load` carry it from piece to piece of a call
    without loss. It belongs to the model that made it: another model starts afresh.
    """

    model: str = ""
    count: int = 0
    total: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """float32 [hidden], or empty before the first window."""

    def hear(self, embedding: np.ndarray) -> None:
        self.total = self.total + embedding if self.count else embedding.astype(np.float32)
        self.count += 1

    def of(self, model: str) -> Baseline:
        """Itself, emptied when another model made it."""
        if self.model != model:
            self.model, self.count, self.total = model, 0, np.zeros(0, np.float32)
        return self

    def dump(self) -> dict[str, object]:
        """For JSON: about 1 kB."""
        packed = base64.b64encode(self.total.astype("<f4").tobytes()).decode()
        return {"model": self.model, "count": self.count, "total": packed}

    @classmethod
    def load(cls, detail: Mapping[str, Any]) -> Baseline:
        """From `dump`; anything else, as an older version's empty detail, is a caller not heard yet."""
        if not detail:
            return cls()
        total = np.frombuffer(base64.b64decode(detail["total"]), dtype="<f4").astype(np.float32)
        return cls(str(detail["model"]), int(detail["count"]), total)


class VoiceModel(Protocol):
    version: str

    def score(
        self, windows: Sequence[CustomerWindow], baselines: Sequence[Baseline] | None = None
    ) -> list[VoiceScore]:
        """One score per window, in order. FirewallError (a TypeError) for anything but a CustomerWindow.

        `baselines` names each window's caller: windows given the same Baseline object come from one caller,
        in order; each is judged against it and then joins it. None: nobody was heard before.
        """
        ...


class StandInVoice:
    """Deterministic and fast, for tests: loud and shrill is anger, quiet is sadness. Not a measurement."""

    version = STAND_IN

    def score(
        self, windows: Sequence[CustomerWindow], baselines: Sequence[Baseline] | None = None
    ) -> list[VoiceScore]:
        return [_score(_loudness_guess(samples), self.version) for samples in customer_samples(windows)]


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

    def score(
        self, windows: Sequence[CustomerWindow], baselines: Sequence[Baseline] | None = None
    ) -> list[VoiceScore]:
        samples = [_centred(wave) for wave in customer_samples(windows)]
        if not samples:
            return []
        batches = [samples[start : start + BATCH] for start in range(0, len(samples), BATCH)]
        embeddings = np.concatenate([self._network.embed_windows(np.stack(batch)) for batch in batches])
        heard = [Baseline() for _ in samples] if baselines is None else baselines
        sums, counts = np.zeros_like(embeddings), np.zeros(len(samples), np.float32)
        for i, (embedding, baseline) in enumerate(zip(embeddings, heard, strict=True)):
            if baseline.of(self.version).count:
                sums[i], counts[i] = baseline.total, baseline.count
            baseline.hear(embedding)
        probs = self._network.classify_embeddings(embeddings, sums, counts)
        return [_score(row, self.version) for row in probs]


def load_voice(source: str | None = None, device: str = "cpu") -> VoiceModel:
    """The model named by `source`, else by VOICE_MODEL, else the shipped one.

    A name is "stand-in", a folder, or a hub id pulled earlier: nothing is fetched at run time. A folder that
    is not ours is loaded only when VOICE_MODEL_DIGEST pins it (scoring.voice_models).
    """
    from scoring import voice_models

    name = source or os.environ.get("VOICE_MODEL") or str(SHIPPED)
    if name == STAND_IN:
        return StandInVoice()
    folder, pin = voice_models.path(name), os.environ.get("VOICE_MODEL_DIGEST", "")
    if voice_models.is_foreign(folder):
        labels = voice_models.read_labels(os.environ.get("VOICE_MODEL_LABELS", ""))
        return voice_models.ForeignVoice(folder, pin, labels, device)
    if pin:
        voice_models.check_pin(folder, pin)
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


def customer_samples(windows: Sequence[CustomerWindow]) -> list[FloatSamples]:
    """Their samples, each float32 [24000]. The last door before an emotion model, so it trusts no one."""
    for window in windows:
        if type(window) is not CustomerWindow:
            raise FirewallError(
                f"only a CustomerWindow may be scored for emotion, not {type(window).__name__}"
            )
        if window.samples.shape != (WINDOW_SAMPLES,) or not np.isfinite(window.samples).all():
            raise ValueError(f"window at {window.start_ms} ms is not {WINDOW_SAMPLES} finite samples")
    return [window.samples.astype(np.float32, copy=False) for window in windows]


def _centred(samples: FloatSamples) -> FloatSamples:
    """Half of a short window's padding moved to its end: training knows clips amid silence."""
    return np.roll(samples, -(int(np.argmax(samples != 0)) // 2))


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
