"""Low-rank adapters (LoRA, Hu et al. 2021) on the frozen encoder, while it trains. Serving merges them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scoring.voice_network import ADAPTED
from scoring.whisper_encoder import WhisperEncoder


class LowRank(nn.Module):
    """A frozen linear map plus `scale` times a trained map of rank `rank`; starts as the frozen map."""

    def __init__(self, base: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.base, self.scale = base, scale
        self.narrow = nn.Parameter(torch.randn(rank, base.in_features) * base.in_features**-0.5)
        self.widen = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """[…, in] -> […, out], in the frozen map's type."""
        low = F.linear(x, self.narrow.to(x.dtype))
        y: Tensor = self.base(x) + F.linear(low, (self.scale * self.widen).to(x.dtype))
        return y


class AdaptedLayer(nn.Module):
    """An encoder layer with adapters on its projections, under the same names."""

    def __init__(self, layer: nn.Module, rank: int, scale: float) -> None:
        super().__init__()
        self.heads, self.norm1, self.norm2 = layer.heads, layer.norm1, layer.norm2
        self.qkv, self.out, self.up, self.down = (LowRank(getattr(layer, n), rank, scale) for n in ADAPTED)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [batch, time, width] -> the same. Attention spelt out: its gradient is a fifth cheaper."""
        dtype = self.qkv.base.weight.dtype
        qkv = self.qkv(self.norm1(x).to(dtype)).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
        attended = (scores.softmax(dim=3) @ v).transpose(1, 2).flatten(2)
        x = x + self.out(attended)
        y: Tensor = x + self.down(F.gelu(self.up(self.norm2(x).to(dtype))))
        return y


def add_adapters(encoder: WhisperEncoder, rank: int, scale: float) -> None:
    """Adapters of rank `rank` on every layer; they alone train."""
    encoder.layers = nn.ModuleList(AdaptedLayer(layer, rank, scale) for layer in encoder.layers)


def adapter_state(encoder: WhisperEncoder) -> dict[str, Tensor]:
    """What `load_adapters` reads: per map a narrow [rank, in] and a widen [out, rank], scale included."""
    state = {}
    for name, module in encoder.named_modules():
        if isinstance(module, LowRank):
            state[f"{name}.narrow"] = module.narrow.detach().half()
            state[f"{name}.widen"] = (module.scale * module.widen.detach()).half()
    return state
