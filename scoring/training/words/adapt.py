"""MiniLM with low-rank adapters, as trained: frozen bf16 weights, LoRA on projections, free biases, norms.

Weight names are those of the open file, so that `SentenceEncoder` can add what was learned when it loads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from scoring.sentence_encoder import DIM, HEADS, LAYER_NORM_EPS, LAYERS, open_weights

RANK = 16
SCALE = 2.0
QKV, SEEN, WIDEN, NARROW = "attention.qkv", "attention.output.dense", "intermediate.dense", "output.dense"
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


class Projection(nn.Module):
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, rank: int) -> None:
        super().__init__()
        self.register_buffer("weight", weight.to(torch.bfloat16), persistent=False)
        self.bias = nn.Parameter(bias.clone())
        self.down = nn.Parameter(torch.randn(rank, weight.shape[1]) / weight.shape[1] ** 0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = F.linear(x, self.down.to(x.dtype) * SCALE)
        return F.linear(x, self.weight, self.bias.to(x.dtype)) + F.linear(low, self.up.to(x.dtype))


class Norm(nn.Module):
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(bias.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (DIM,), self.weight.to(x.dtype), self.bias.to(x.dtype), LAYER_NORM_EPS)


class AdaptedEncoder(nn.Module):
    """Token ids [batch, time] and mask [batch, time] → mean-pooled unit vectors [batch, 384]."""

    def __init__(self, folder: Path, rank: int = RANK) -> None:
        super().__init__()
        w = self.first = open_weights(folder)
        words = w["embeddings.word_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
        self.register_buffer("words", words.to(torch.bfloat16), persistent=False)
        self.register_buffer(
            "places", w["embeddings.position_embeddings.weight"].to(torch.bfloat16), persistent=False
        )
        self.parts = nn.ModuleDict()
        self._norm("embeddings.LayerNorm", w)
        for n in range(LAYERS):
            for part in (QKV, SEEN, WIDEN, NARROW):
                name = f"encoder.layer.{n}.{part}"
                self.parts[name.replace(".", "/")] = Projection(w[f"{name}.weight"], w[f"{name}.bias"], rank)
            for part in NORMS:
                self._norm(f"encoder.layer.{n}.{part}", w)

    def _norm(self, name: str, w: dict[str, torch.Tensor]) -> None:
        self.parts[name.replace(".", "/")] = Norm(w[f"{name}.weight"], w[f"{name}.bias"])

    def _part(self, n: int, part: str, x: torch.Tensor) -> torch.Tensor:
        return self.parts[f"encoder.layer.{n}.{part}".replace(".", "/")](x)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        batch, length = ids.shape
        x = F.embedding(ids, self.words) + self.places[:length]
        x = self.parts["embeddings/LayerNorm"](x)
        blocked = ((1.0 - mask)[:, None, None, :] * -1e9).to(x.dtype)
        for n in range(LAYERS):
            q, k, v = self._part(n, QKV, x).view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            # scaled_dot_product_attention is eight times slower backwards in bf16 on a CPU
            near = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + blocked, -1)
            seen = (near @ v).transpose(1, 2).reshape(batch, length, DIM)
            x = self._part(n, NORMS[0], x + self._part(n, SEEN, seen))
            inner = F.gelu(self._part(n, WIDEN, x))
            x = self._part(n, NORMS[1], x + self._part(n, NARROW, inner))
        x = x.float()
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return F.normalize(mean, dim=-1)

    def learned(self) -> dict[str, Any]:
        """What was learned, in half precision: `NAME.down`, `NAME.up` per projection, `NAME.delta` else."""
        found: dict[str, Any] = {}
        for name, part in self.parts.items():
            name = name.replace("/", ".")
            if isinstance(part, Projection):
                found[f"{name}.down"] = half(part.down * SCALE)
                found[f"{name}.up"] = half(part.up)
            else:
                found[f"{name}.weight.delta"] = half(part.weight - self.first[f"{name}.weight"])
            found[f"{name}.bias.delta"] = half(part.bias - self.first[f"{name}.bias"])
        return found


def half(x: torch.Tensor) -> Any:
    return x.detach().float().numpy().astype(np.float16)
