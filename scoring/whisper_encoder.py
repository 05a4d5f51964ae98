"""Whisper's open encoder in torch, and its log-mel front end for 8 kHz telephone audio.

The weights come from the CTranslate2 `model.bin` that faster-whisper uses, so that one download serves both
speech recognition and voice. This file imports torch: import it lazily. It knows nothing about emotion.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATE_HZ = 8000
N_FFT = 200  # 25 ms at 8 kHz: the same span, and the same 40 Hz bins, as Whisper's 400 at 16 kHz
HOP = 80  # 10 ms
N_BINS = 101  # 0-4 kHz, the lower half of Whisper's 201 bins
N_MELS = 80
WHISPER_BASE_LAYERS = 6

# CTranslate2 DataType ids (include/ctranslate2/types.h); whisper-base holds only these.
_DTYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}


def read_ctranslate2(path: Path, prefix: str = "") -> dict[str, np.ndarray]:
    """Variables of a CTranslate2 model file whose names start with `prefix`, as stored (float16 mostly).

    Layout (CTranslate2 src/models/model.cc, binary version 6): version u32, spec name, revision u32, count
    u32, then per variable name, rank u8, dimensions u32, type id u8, byte count u32, bytes. Little endian;
    strings carry a u16 length that includes a closing zero. ValueError when the file is something else.
    """
    variables: dict[str, np.ndarray] = {}
    with path.open("rb") as file:
        try:
            version = _unpack(file, "I")
            if version != 6:
                raise ValueError(f"{path}: CTranslate2 binary version {version}, expected 6")
            _string(file)
            _unpack(file, "I")
            for _ in range(_unpack(file, "I")):
                name = _string(file)
                shape = tuple(_unpack(file, "I") for _ in range(_unpack(file, "B")))
                dtype, size = _unpack(file, "B"), _unpack(file, "I")
                if not name.startswith(prefix):
                    file.seek(size, 1)
                    continue
                variables[name] = np.frombuffer(file.read(size), dtype=_DTYPES[dtype]).reshape(shape)
        except (struct.error, KeyError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a readable CTranslate2 model: {error!r}") from error
    return variables


def _unpack(file: BinaryIO, code: str) -> int:
    return int(struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0])


def _string(file: BinaryIO) -> str:
    return file.read(_unpack(file, "H"))[:-1].decode()


def mel_filters() -> np.ndarray:
    """Whisper's mel bank: [80, 201] for 16 kHz and n_fft 400 (Slaney scale and area norm, as in librosa)."""
    edges = _slaney_hz(np.linspace(0.0, _SLANEY_TOP_MEL, N_MELS + 2))
    bins = np.linspace(0.0, 8000.0, 201)
    ramps = edges[:, None] - bins[None, :]
    widths = np.diff(edges)
    rising, falling = -ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]
    bank = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(bank * (2.0 / (edges[2:] - edges[:-2]))[:, None], dtype=np.float32)


_SLANEY_STEP = np.log(6.4) / 27.0  # mel 15 = 1 kHz; logarithmic above
_SLANEY_TOP_MEL = 15.0 + np.log(8000.0 / 1000.0) / _SLANEY_STEP


def _slaney_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp(_SLANEY_STEP * (mel - 15.0)))


class LogMel8k(nn.Module):
    """8 kHz samples [batch, n] in -1..1 to Whisper log-mel [batch, 80, n // 80].

    Half the samples give half the amplitude of Whisper's 16 kHz spectrum, hence power x 4. Bands above
    4 kHz are empty and fall to Whisper's floor (8 decades under the window's own maximum).
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("filters", torch.from_numpy(mel_filters()[:, :N_BINS].copy()), persistent=False)
        self.window: Tensor
        self.filters: Tensor

    def forward(self, samples: Tensor) -> Tensor:
        """[batch, n] -> [batch, 80, n // 80]."""
        spectrum = torch.stft(samples, N_FFT, HOP, window=self.window, center=True, return_complex=True)
        power = spectrum[..., :-1].abs().square() * 4.0
        return whisper_log(self.filters @ power)


def whisper_log(mel: Tensor) -> Tensor:
    """Whisper's scaling of mel power [..., 80, frames] (openai/whisper audio.py), floor taken per window."""
    log = mel.clamp(min=1e-10).log10()
    floor = log.amax(dim=(-2, -1), keepdim=True) - 8.0
    return (torch.maximum(log, floor) + 4.0) / 4.0


class EncoderLayer(nn.Module):
    """One pre-norm transformer layer: float32 [batch, time, width] -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        dtype = self.qkv.weight.dtype
        qkv = self.qkv(self.norm1(x).to(dtype)).view(batch, time, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, time, width)
        x = x + self.out(attended)  # the sum stays float32
        y: Tensor = x + self.down(F.gelu(self.up(self.norm2(x).to(dtype))))
        return y


class WhisperEncoder(nn.Module):
    """Convolution stem and the first `layers` transformer layers of whisper-base, frozen.

    `folder` holds faster-whisper's `model.bin`. With `layers=6` the last hidden state is the full encoder's
    (its closing LayerNorm is kept as `norm` and applied by `encode`).
    """

    def __init__(self, folder: str | Path, layers: int = 4) -> None:
        super().__init__()
        weights = read_ctranslate2(Path(folder) / "model.bin", "encoder/")
        if "encoder/conv1/weight" not in weights:
            raise ValueError(f"{folder}/model.bin holds no Whisper encoder")
        width = int(weights["encoder/conv1/weight"].shape[0])
        heads = int(weights["encoder/num_heads"])
        self.conv1 = nn.Conv1d(N_MELS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(EncoderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.register_buffer(
            "positions", _tensor(weights["encoder/position_encodings/encodings"]), persistent=False
        )
        self.positions: Tensor
        self.load_state_dict(_state(weights, layers))
        self.requires_grad_(False).eval()

    def use(self, dtype: torch.dtype) -> None:
        """Matrix products in `dtype`; sums and norms stay float32."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                module.to(dtype)

    def forward(self, mel: Tensor) -> list[Tensor]:
        """float32 [batch, 80, frames] -> `layers` + 1 states [batch, frames // 2, width], stem first."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel.to(self.conv1.weight.dtype))))).transpose(1, 2)
        states = [x + self.positions[: x.shape[1]]]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states

    def encode(self, mel: Tensor) -> Tensor:
        """The encoder's output [batch, frames // 2, width], as Whisper's decoder sees it."""
        output: Tensor = self.norm(self(mel)[-1])
        return output


_NAMES = {  # ours -> CTranslate2's, within one layer
    "norm1.weight": "self_attention/layer_norm/gamma",
    "norm1.bias": "self_attention/layer_norm/beta",
    "qkv.weight": "self_attention/linear_0/weight",
    "qkv.bias": "self_attention/linear_0/bias",
    "out.weight": "self_attention/linear_1/weight",
    "out.bias": "self_attention/linear_1/bias",
    "norm2.weight": "ffn/layer_norm/gamma",
    "norm2.bias": "ffn/layer_norm/beta",
    "up.weight": "ffn/linear_0/weight",
    "up.bias": "ffn/linear_0/bias",
    "down.weight": "ffn/linear_1/weight",
    "down.bias": "ffn/linear_1/bias",
}


def _state(weights: dict[str, np.ndarray], layers: int) -> dict[str, Tensor]:
    state = {f"conv{i}.{p}": weights[f"encoder/conv{i}/{p}"] for i in (1, 2) for p in ("weight", "bias")}
    state |= {
        "norm.weight": weights["encoder/layer_norm/gamma"],
        "norm.bias": weights["encoder/layer_norm/beta"],
    }
    for i in range(layers):
        state |= {f"layers.{i}.{ours}": weights[f"encoder/layer_{i}/{name}"] for ours, name in _NAMES.items()}
    return {name: _tensor(array) for name, array in state.items()}


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
