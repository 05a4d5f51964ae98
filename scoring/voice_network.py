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

from scoring.fast_encoder import FastEncoder, Precision, precision
from scoring.torchaudio_compat import settle_lazy_modules
from scoring.voice import EMOTIONS
from scoring.whisper_encoder import HOP, LogMel8k, WhisperEncoder

settle_lazy_modules()

ADAPTED = ("qkv", "out", "up", "down")  # the maps of an encoder layer that low-rank adapters change

# What a model folder's hyperparams.yaml may construct: HyperPyYAML tags run code, so it may do nothing else.
TRUSTED_TAGS = frozenset(
    {
        "!ref",
        "!PLACEHOLDER",
        "!new:scoring.voice_network.Backbone",
        "!new:scoring.voice_network.VoiceHead",
        "!new:scoring.voice_network.Calibration",
        "!name:scoring.voice_network.load_weights",
        "!name:scoring.voice_network.load_adapters",
        "!name:scoring.voice_network.load_calibration",
        "!new:speechbrain.dataio.encoder.CategoricalEncoder",
        "!new:speechbrain.utils.parameter_transfer.Pretrainer",
    }
)


class Backbone(nn.Module):
    """Telephone samples to normalised hidden states of the first `layers` Whisper layers."""

    def __init__(self, folder: str | Path, layers: int, pool: int, bfloat16: bool | None = None) -> None:
        """`bfloat16=False`: always the encoder's own float32 modules, as training through them needs."""
        super().__init__()
        self.mel = LogMel8k()
        self.encoder = WhisperEncoder(folder, layers)
        self.pool = pool
        self._fast: FastEncoder | None = None
        self._settled = bfloat16 is False

    def forward(self, samples: Tensor) -> Tensor:
        """[batch, 24000] at 8 kHz -> features [batch, layers + 1, 150 // pool, 512]."""
        return self.features(self.mel(samples))

    def features(self, mel: Tensor) -> Tensor:
        """Log-mel [batch, 80, frames] -> [batch, layers + 1, frames // 2 // pool, width].

        Each state is LayerNorm-ed without affine, so that no layer outweighs another by scale; then `pool`
        neighbouring 20-ms frames are averaged (the recipe's cache is smaller by as much).
        """
        if not self._settled:
            self.settle(precision(mel.device))
        batches = [self.encoder(mel)] if self._fast is None else [self._fast(one) for one in mel[:, None]]
        by_state = [torch.cat([self._normalised(s) for s in states]) for states in zip(*batches, strict=True)]
        return torch.stack(by_state).transpose(0, 1)

    def settle(self, at: Precision) -> None:
        """Choose how to multiply, from the weights as they are now; by itself at the first use."""
        self._settled, self._fast = True, None
        if self.encoder.positions.device.type == "cpu" and at != Precision():
            self._fast = FastEncoder(self.encoder, at)
        else:
            self.encoder.use(at.dtype)

    def _normalised(self, state: Tensor) -> Tensor:
        batch, time, width = state.shape
        kept = F.layer_norm(state, (width,))[:, : time - time % self.pool]
        return kept.reshape(batch, -1, self.pool, width).mean(dim=2)

    def feature_shape(self, samples: int) -> tuple[int, int, int]:
        """(layers + 1, time, width) of one window of `samples`."""
        return (
            len(self.encoder.layers) + 1,
            samples // HOP // 2 // self.pool,
            self.encoder.conv1.out_channels,
        )


class VoiceHead(nn.Module):
    """What is trained on the states: layer weights, attentive statistics, an embedding and a classifier.

    The classifier sees an embedding z and z - b, where b is what the source has sounded like so far: the mean
    of its earlier embeddings, blended with `origin` as if that had been heard `prior` times.
    """

    def __init__(
        self,
        states: int,
        width: int,
        attention: int,
        hidden: int,
        classes: int,
        dropout: float,
        prior: float,
    ) -> None:
        super().__init__()
        self.layer_logits = nn.Parameter(torch.zeros(states))
        self.pooling = AttentiveStatisticsPooling(width, attention_channels=attention)
        self.embedding = nn.Sequential(
            nn.BatchNorm1d(2 * width), nn.Dropout(dropout), nn.Linear(2 * width, hidden)
        )
        self.prior = prior
        self.origin = nn.Parameter(torch.zeros(hidden))
        self.classifier = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
        )

    def embed(self, features: Tensor) -> Tensor:
        """[batch, states, time, width] -> embeddings [batch, hidden]."""
        batch, states, time, width = features.shape
        by_state = features.transpose(0, 1).reshape(states, -1)
        mixed = (self.layer_logits.softmax(0) @ by_state).view(batch, time, width)
        z: Tensor = self.embedding(self.pooling(mixed.transpose(1, 2)).squeeze(2))
        return z

    def classify(self, z: Tensor, sums: Tensor, counts: Tensor) -> Tensor:
        """Embeddings; sums [batch, hidden] and counts [batch] of earlier ones -> logits [batch, classes]."""
        baseline = (sums + self.prior * self.origin) / (counts[:, None] + self.prior)
        logits: Tensor = self.classifier(torch.cat([z, z - baseline], dim=1))
        return logits

    def forward(self, features: Tensor) -> Tensor:
        """[batch, states, time, width] -> logits [batch, classes] of a source not heard before."""
        z = self.embed(features)
        return self.classify(z, torch.zeros_like(z), z.new_zeros(len(z)))


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


def load_adapters(backbone: Backbone, path: str) -> None:
    """Pretrainer hook: merge low-rank changes (LoRA) into the weights; serving costs nothing more.

    The file holds, per adapted map, a narrow [rank, in] and a widen [out, rank] in float16.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name in sorted({key.rpartition(".")[0] for key in state}):
        weight = backbone.encoder.get_submodule(name).weight
        change = state[f"{name}.widen"].float() @ state[f"{name}.narrow"].float()
        weight.data += change.to(weight.dtype)


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

    def embed_windows(self, samples: np.ndarray) -> np.ndarray:
        """[batch, 24000] float32 -> embeddings [batch, hidden] float32."""
        with torch.inference_mode():
            features = self.mods.backbone(torch.from_numpy(samples).to(self.device))
            return np.asarray(self.mods.head.embed(features).float().cpu().numpy())

    def classify_embeddings(self, embeddings: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Embeddings, and sums [batch, hidden] and counts [batch] of the source's earlier ones.

        -> calibrated probabilities [batch, 6] float64, rows summing to 1.
        """
        with torch.inference_mode():
            given = [torch.from_numpy(a).to(self.device) for a in (embeddings, sums, counts)]
            logits = self.hparams.calibration(self.mods.head.classify(*given).float().cpu())
            return np.asarray(logits.double().softmax(dim=1).numpy())

    def classify_windows(self, samples: np.ndarray) -> np.ndarray:
        """[batch, 24000] float32 of sources not heard before -> as `classify_embeddings`."""
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
