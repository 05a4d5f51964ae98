"""The voice model's torch parts: frozen backbone, trained head, calibration, SpeechBrain's wrapping of them.

Imports torch and SpeechBrain: only voice.py (lazily) and the training recipe import it, after
`torchaudio_compat.ensure_torchaudio()`. It knows nothing about channels or calls.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from speechbrain.inference.interfaces import Pretrained
from speechbrain.lobes.models.ECAPA_TDNN import AttentiveStatisticsPooling
from speechbrain.utils.fetching import FetchConfig, LocalStrategy
from torch import Tensor, nn
from torch.nn import functional as F

from scoring.torchaudio_compat import settle_lazy_modules
from scoring.voice import EMOTIONS
from scoring.whisper_encoder import HOP, LogMel8k, WhisperEncoder

settle_lazy_modules()

# What a model folder's hyperparams.yaml may construct: HyperPyYAML tags run code, so it may do nothing else.
TRUSTED_TAGS = frozenset(
    {
        "!ref",
        "!PLACEHOLDER",
        "!new:scoring.voice_network.Backbone",
        "!new:scoring.voice_network.VoiceHead",
        "!new:scoring.voice_network.Calibration",
        "!name:scoring.voice_network.load_weights",
        "!name:scoring.voice_network.load_calibration",
        "!new:speechbrain.dataio.encoder.CategoricalEncoder",
        "!new:speechbrain.utils.parameter_transfer.Pretrainer",
    }
)


class Backbone(nn.Module):
    """Telephone samples to normalised hidden states of the first `layers` Whisper layers."""

    def __init__(self, folder: str | Path, layers: int, pool: int, bfloat16: bool | None = None) -> None:
        """`bfloat16=None`: where the processor has it (measured: 1.9 times the windows per CPU second)."""
        super().__init__()
        self.mel = LogMel8k()
        self.encoder = WhisperEncoder(folder, layers)
        self.pool = pool
        if has_bfloat16() if bfloat16 is None else bfloat16:
            self.encoder.use_bfloat16()

    def forward(self, samples: Tensor) -> Tensor:
        """[batch, 24000] at 8 kHz -> features [batch, layers + 1, 150 // pool, 512]."""
        return self.features(self.mel(samples))

    def features(self, mel: Tensor) -> Tensor:
        """Log-mel [batch, 80, frames] -> [batch, layers + 1, frames // 2 // pool, width].

        Each state is LayerNorm-ed without affine, so that no layer outweighs another by scale; then `pool`
        neighbouring 20-ms frames are averaged (the recipe's cache is smaller by as much).
        """
        states = torch.stack([F.layer_norm(s, s.shape[-1:]) for s in self.encoder(mel)], dim=1)
        batch, layers, time, width = states.shape
        kept = time - time % self.pool
        return states[:, :, :kept].view(batch, layers, kept // self.pool, self.pool, width).mean(dim=3)

    def feature_shape(self, samples: int) -> tuple[int, int, int]:
        """(layers + 1, time, width) of one window of `samples`."""
        return (
            len(self.encoder.layers) + 1,
            samples // HOP // 2 // self.pool,
            self.encoder.conv1.out_channels,
        )


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; without it bfloat16 is slower than float32."""
    return any(getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in ("avx512_bf16", "amx_tile"))


class VoiceHead(nn.Module):
    """What is trained: layer weights, attentive statistics pooling and a small classifier."""

    def __init__(
        self, states: int, width: int, attention: int, hidden: int, classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.layer_logits = nn.Parameter(torch.zeros(states))
        self.pooling = AttentiveStatisticsPooling(width, attention_channels=attention)
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(2 * width),
            nn.Dropout(dropout),
            nn.Linear(2 * width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, features: Tensor) -> Tensor:
        """[batch, states, time, width] -> logits [batch, classes]."""
        batch, states, time, width = features.shape
        by_state = features.transpose(0, 1).reshape(states, -1)
        mixed = (self.layer_logits.softmax(0) @ by_state).view(batch, time, width)
        logits: Tensor = self.classifier(self.pooling(mixed.transpose(1, 2)).squeeze(2))
        return logits


class Calibration(nn.Module):
    """Logits to probabilities: one temperature and one offset per class, fitted on held-out speakers."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.offsets = nn.Parameter(torch.zeros(classes))

    def forward(self, logits: Tensor) -> Tensor:
        """[batch, classes] -> calibrated logits of the same shape."""
        return logits / self.log_temperature.exp() + self.offsets

    def to_json(self) -> str:
        offsets = {e: round(float(o), 4) for e, o in zip(EMOTIONS, self.offsets, strict=True)}
        return json.dumps(
            {"temperature": round(float(self.log_temperature.exp()), 4), "offsets": offsets}, indent=1
        )


def load_calibration(calibration: Calibration, path: str) -> None:
    """Pretrainer hook. This file is JSON, so that people can read it and a site can re-fit it."""
    values = json.loads(Path(path).read_text())
    with torch.no_grad():
        calibration.log_temperature.copy_(torch.tensor(float(values["temperature"])).log())
        calibration.offsets.copy_(torch.tensor([float(values["offsets"][e]) for e in EMOTIONS]))


def load_weights(module: nn.Module, path: str) -> None:
    """Pretrainer hook: a float16 state_dict, never a pickle of anything else."""
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


class EmotionFromVoice(Pretrained):  # type: ignore[misc]  # SpeechBrain is untyped
    """SpeechBrain's pretrained interface around backbone, head and calibration."""

    HPARAMS_NEEDED = ["label_encoder", "calibration"]
    MODULES_NEEDED = ["backbone", "head"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hparams.label_encoder.expect_len(len(EMOTIONS))
        labels = self.hparams.label_encoder.decode_ndim(range(len(EMOTIONS)))
        if tuple(labels) != EMOTIONS:
            raise ValueError(f"the model's classes {labels} are not {list(EMOTIONS)}")

    def forward(self, samples: Tensor) -> Tensor:
        """[batch, 24000] float at 8 kHz -> calibrated log-probabilities [batch, 6], in EMOTIONS order."""
        logits = self.mods.head(self.mods.backbone(samples.to(self.device)))
        log_probs: Tensor = self.hparams.calibration(logits.float().cpu()).log_softmax(dim=1)
        return log_probs

    def classify_windows(self, samples: np.ndarray) -> np.ndarray:
        """[batch, 24000] float32 -> calibrated probabilities [batch, 6] float64, rows summing to 1."""
        with torch.inference_mode():
            return np.asarray(self(torch.from_numpy(samples)).double().softmax(dim=1).numpy())


def load_pretrained(folder: Path, whisper: Path, device: str) -> EmotionFromVoice:
    """The model in `folder`, with the open encoder in `whisper`; never uses the network."""
    check_tags(folder / "hyperparams.yaml")
    model: EmotionFromVoice = EmotionFromVoice.from_hparams(
        source=str(folder.resolve()),
        savedir=None,
        overrides={"whisper_dir": str(whisper), "folder": str(folder.resolve())},
        local_strategy=LocalStrategy.NO_LINK,
        fetch_config=FetchConfig(allow_network=False),
        run_opts={"device": device},
    )
    return model


def check_tags(path: Path) -> None:
    """ValueError if a hyperparameter file would construct or call anything but our own model's parts."""
    try:
        tags = {getattr(event, "tag", None) for event in yaml.parse(path.read_text())}
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if strange := sorted(tag for tag in tags if tag and tag not in TRUSTED_TAGS):
        raise ValueError(f"{path} would run code that a voice model does not need: {', '.join(strange)}")
