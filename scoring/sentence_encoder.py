"""MiniLM-L6-v2 as a frozen sentence encoder: text in, unit vectors out.

Reads the open weights (`model.safetensors`, `tokenizer.json`) itself, so nothing but torch and
tokenizers is needed and no hub is asked. Knows nothing of calls, channels or states.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

LAYERS = 6
HEADS = 12
DIM = 384
MAX_TOKENS = 128
LAYER_NORM_EPS = 1e-12
DTYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64}

Vectors = npt.NDArray[np.float32]


def read_safetensors(file: Path) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a safetensors file: an 8-byte length, a JSON index, then raw arrays."""
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    index = json.loads(raw[8 : 8 + size])
    tensors = {}
    for name, entry in index.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(
            raw,
            DTYPES[entry["dtype"]],
            offset=8 + size + begin,
            count=(end - begin) // np.dtype(DTYPES[entry["dtype"]]).itemsize,
        )
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


class SentenceEncoder:
    """Mean-pooled, unit-length MiniLM vectors [n, 384]."""

    def __init__(self, folder: Path) -> None:
        import torch
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        tensors = read_safetensors(folder / "model.safetensors")
        self._w = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
        for n in range(LAYERS):
            self._join_query_key_value(f"encoder.layer.{n}.attention.")

    def encode(self, texts: Sequence[str], batch: int = 32) -> Vectors:
        """Unit vectors [len(texts), DIM], in the order given; similar lengths share a batch."""
        import torch

        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        out = np.zeros((len(tokens), DIM), np.float32)
        with torch.inference_mode():
            for at in range(0, len(order), batch):
                some = order[at : at + batch]
                out[some] = self._forward([tokens[i] for i in some]).numpy()
        return out

    def _join_query_key_value(self, prefix: str) -> None:
        import torch

        for kind in ("weight", "bias"):
            parts = [self._w.pop(f"{prefix}self.{name}.{kind}") for name in ("query", "key", "value")]
            self._w[f"{prefix}qkv.{kind}"] = torch.cat(parts)

    def _forward(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        import torch
        from torch.nn import functional as F

        longest = max(len(ids) for ids in tokens)
        ids = torch.tensor([list(row) + [0] * (longest - len(row)) for row in tokens])
        mask = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in tokens])
        w = self._w
        x = (
            F.embedding(ids, w["embeddings.word_embeddings.weight"])
            + w["embeddings.position_embeddings.weight"][:longest]
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._norm(x, "embeddings.LayerNorm")
        blocked = (1.0 - mask)[:, None, None, :] * -1e9
        for n in range(LAYERS):
            x = self._layer(x, blocked, f"encoder.layer.{n}.")
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return F.normalize(mean, dim=-1)

    def _layer(self, x: torch.Tensor, blocked: torch.Tensor, prefix: str) -> torch.Tensor:
        from torch.nn import functional as F

        batch, length, _ = x.shape
        q, k, v = self._linear(x, f"{prefix}attention.qkv").chunk(3, -1)
        q, k, v = (t.view(batch, length, HEADS, -1).transpose(1, 2) for t in (q, k, v))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=blocked)
        seen = seen.transpose(1, 2).reshape(batch, length, DIM)
        x = self._norm(
            x + self._linear(seen, f"{prefix}attention.output.dense"), f"{prefix}attention.output.LayerNorm"
        )
        inner = F.gelu(self._linear(x, f"{prefix}intermediate.dense"))
        return self._norm(x + self._linear(inner, f"{prefix}output.dense"), f"{prefix}output.LayerNorm")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        from torch.nn import functional as F

        return F.linear(x, self._w[f"{name}.weight"], self._w[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        from torch.nn import functional as F

        return F.layer_norm(x, (DIM,), self._w[f"{name}.weight"], self._w[f"{name}.bias"], LAYER_NORM_EPS)
