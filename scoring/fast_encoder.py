"""The encoder as it is served: int8 feed-forward and bfloat16 attention on a CPU, float16 on a GPU.

Made from a loaded WhisperEncoder, adapters merged and all, so there is no second file that could disagree
with the first. This file imports torch: import it lazily. It knows nothing about emotion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scoring.whisper_encoder import EncoderLayer, WhisperEncoder

GELU_FLOOR = 0.17  # GELU never goes below -0.17: shifted by it, its output needs no sign
FRAMES = 150  # of 20 ms in a window: what weights are laid out for; any number works


def parts(layers: Iterable[int], *names: str) -> frozenset[str]:
    """Linear parts of encoder layers, such as "2.up"; names are qkv, out, up and down."""
    return frozenset(f"{layer}.{name}" for layer in layers for name in names)


# Not the first layer's queries, keys and values: they alone would double the error. Nor the attention's
# output, small and as harmful.
INT8_PARTS = parts(range(6), "up", "down") | parts(range(1, 6), "qkv")


@dataclass(frozen=True)
class Precision:
    """How an encoder multiplies: in `dtype`, but in int8 in the `parts` named."""

    dtype: torch.dtype = torch.float32
    int8: frozenset[str] = frozenset()


def precision(device: torch.device) -> Precision:
    """The fastest that keeps decisions, for this device (figures: `python -m bench voice_serving`)."""
    if device.type == "cuda":
        return Precision(torch.float16)
    return Precision(
        torch.bfloat16 if has_bfloat16() else torch.float32, INT8_PARTS if has_int8() else frozenset()
    )


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; without it bfloat16 is slower than float32."""
    return _cpu_has("avx512_bf16", "amx_tile")


def has_int8() -> bool:
    """Whether this CPU adds up int8 products in 32 bits; without it they saturate and are slow."""
    return _cpu_has("vnni", "avx512_vnni") and hasattr(torch.ops.onednn, "qlinear_pointwise")


def _cpu_has(*features: str) -> bool:
    return any(getattr(torch.cpu, f"_is_{feature}_supported", bool)() for feature in features)


class Int8Linear:
    """A linear map with int8 weights, one scale per output, of unsigned 8-bit input. oneDNN, prepacked."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.scale = weight.abs().amax(dim=1).clamp(min=1e-8) / 127
        rounded = (weight / self.scale[:, None]).round()
        self.packed = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.bias = bias
        self.unshifted_bias = bias - GELU_FLOOR * self.scale * rounded.sum(dim=1)

    def __call__(self, x: Tensor) -> Tensor:
        """float32 [time, in] -> float32 [time, out]; one scale for all of x."""
        scale = max(float(x.abs().amax()), 1e-8) / 127
        return self._product(_to_uint8(x.mul(1 / scale).add_(128)), scale, 128, self.bias)

    def of_gelu(self, x: Tensor) -> Tensor:
        """The same of GELU(x), with one scale per row: a few rows are 20 times the others."""
        y = F.gelu(x).add_(GELU_FLOOR)
        scales = y.amax(dim=1, keepdim=True).div_(255)
        product = self._product(_to_uint8(y.mul_(1 / scales)), 1.0, 0, None)
        return product.mul_(scales).add_(self.unshifted_bias)

    def _product(self, x: Tensor, scale: float, zero: int, bias: Tensor | None) -> Tensor:
        output: Tensor = torch.ops.onednn.qlinear_pointwise(
            x, scale, zero, self.packed, self.scale, self.zeros, bias, 1.0, 0, torch.float32, "none", [], ""
        )
        return output


def _to_uint8(x: Tensor) -> Tensor:
    """Rounded; by way of int32, because torch converts float32 to uint8 one number at a time."""
    return x.add_(0.5).to(torch.int32).to(torch.uint8)


class PlainLinear:
    """A linear map in `dtype`; bfloat16 weights are laid out for oneDNN once, not at each call."""

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        self.weight, self.bias = weight.to(dtype), bias.to(dtype)
        self.packed = dtype == torch.bfloat16
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, FRAMES)

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self.bias.dtype)
        if not self.packed:
            return F.linear(x, self.weight, self.bias)
        output: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return output

    def of_gelu(self, x: Tensor) -> Tensor:
        return self(F.gelu(x))


class _FastLayer:
    def __init__(self, layer: EncoderLayer, at: Precision, int8: frozenset[str]) -> None:
        self.heads, self.dtype = layer.heads, at.dtype
        self.norm1, self.norm2 = layer.norm1, layer.norm2
        weights = {name: _weights(getattr(layer, name)) for name in ("qkv", "out", "up", "down")}
        for weight in weights["qkv"]:  # the products' scale, once and for all
            width = len(weight) // 3
            weight[:width] *= (width / self.heads) ** -0.5
        self.qkv, self.out, self.up, self.down = (
            Int8Linear(*pair) if name in int8 else PlainLinear(*pair, at.dtype)
            for name, pair in weights.items()
        )

    def __call__(self, x: Tensor) -> Tensor:
        """float32 [time, width] -> the same."""
        x = x + self.out(self._attend(self.qkv(self.norm1(x)))).float()
        return x + self.down.of_gelu(self.up(self.norm2(x))).float()

    def _attend(self, qkv: Tensor) -> Tensor:
        """[time, 3 * width] -> [time, width]. Plain products: torch's fused attention is slower here."""
        time, width = len(qkv), qkv.shape[1] // 3
        q, k, v = qkv.to(self.dtype).view(time, 3, self.heads, -1).permute(1, 2, 0, 3).contiguous()
        attention = (q @ k.transpose(1, 2)).softmax(dim=-1, dtype=torch.float32)
        output: Tensor = (attention.to(self.dtype) @ v).transpose(0, 1).reshape(time, width)
        return output


class FastEncoder:
    """WhisperEncoder's states on a CPU, one window at a time, so that no score depends on its batch."""

    def __init__(self, encoder: WhisperEncoder, at: Precision) -> None:
        self.at = at
        # A convolution over three frames is a product with three frames laid end to end.
        self.stem = [
            PlainLinear(weight.permute(0, 2, 1).flatten(1), bias, at.dtype)
            for weight, bias in map(_weights, (encoder.conv1, encoder.conv2))
        ]
        self.positions = encoder.positions
        self.layers = [
            _FastLayer(layer, at, frozenset(p.split(".")[1] for p in at.int8 if p.startswith(f"{i}.")))
            for i, layer in enumerate(encoder.layers)
            if isinstance(layer, EncoderLayer)
        ]

    def __call__(self, mel: Tensor) -> list[Tensor]:
        """float32 [1, 80, frames] -> `layers` + 1 states [1, frames // 2, width], stem first."""
        first, second = self.stem
        x = F.gelu(second(_windows_of_three(F.gelu(first(_windows_of_three(mel[0].t(), 1))), 2)))
        states = [x.float() + self.positions[: len(x)]]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return [state[None] for state in states]


def _weights(module: nn.Linear | nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Copies of a module's weight and bias, float32."""
    assert module.bias is not None
    return module.weight.detach().float().clone(), module.bias.detach().float().clone()


def _windows_of_three(x: Tensor, stride: int) -> Tensor:
    """[frames, width], a frame of zeros on both sides -> [frames / stride (up), 3 * width]."""
    padded = F.pad(x, (0, 0, 1, 1))
    frames, width = x.shape
    return padded.as_strided((-(-frames // stride), 3 * width), (stride * width, 1)).contiguous()
