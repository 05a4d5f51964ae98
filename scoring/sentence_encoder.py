"""MiniLM-L6-v2 as a sentence encoder, with our low-rank adapters merged at load: text in, unit vectors out.

Reads the open weights (`model.safetensors`, `tokenizer.json`) itself, so nothing but torch and
tokenizers is needed and no hub is asked. Knows nothing of calls, channels or states.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

ADAPTERS = Path(__file__).parent / "weights" / "language" / "adapters.npz"
LAYERS = 6
HEADS = 12
DIM = 384
MAX_TOKENS = 128
TYPICAL_ROWS = 16
"""Tokens of a typical turn, which the packed layout is made for."""
REMEMBERED = 1024
"""Vectors kept, by a digest of their text: a turn comes back as the next turns' "previous"."""
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


def open_weights(folder: Path) -> dict[str, torch.Tensor]:
    """MiniLM's tensors by name, each layer's query, key and value joined as `attention.qkv`."""
    import torch

    arrays = read_safetensors(folder / "model.safetensors")
    w = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    for n in range(LAYERS):
        prefix = f"encoder.layer.{n}.attention."
        for kind in ("weight", "bias"):
            parts = [w.pop(f"{prefix}self.{name}.{kind}") for name in ("query", "key", "value")]
            w[f"{prefix}qkv.{kind}"] = torch.cat(parts)
    return w


def adapt(w: dict[str, torch.Tensor], file: Path) -> None:
    """Adds what training learned, in place: `NAME.up` @ `NAME.down` to a weight, `NAME.delta` to a vector."""
    import torch

    with np.load(file, allow_pickle=False) as saved:
        learned = {name: torch.from_numpy(saved[name].astype(np.float32)) for name in saved.files}
    for name, change in learned.items():
        if name.endswith(".up"):
            w[name.removesuffix("up") + "weight"] += change @ learned[name.removesuffix("up") + "down"]
        elif name.endswith(".delta"):
            w[name.removesuffix(".delta")] += change


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def fastest_dtype() -> torch.dtype:
    """bf16 halves the time where the CPU multiplies it natively (cosine to fp32 .9999), else fp32."""
    import torch

    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if native() else torch.float32


class Linear:
    """x [.., in] → [.., out], its weight laid out once for oneDNN: half the time of `linear` on short turns.

    The layout is a private operation of torch, so it is checked when it is made and left out where it is
    missing or does not agree.
    """

    packs = True

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> None:
        import torch
        from torch.nn import functional as F

        self._weight, self._bias = weight.to(dtype), bias.to(dtype)
        self._packed: torch.Tensor | None = None
        probe = torch.linspace(-1, 1, 2 * weight.shape[1], dtype=dtype).view(2, -1)
        plain = F.linear(probe, self._weight, self._bias)
        with contextlib.suppress(RuntimeError, AttributeError, NotImplementedError):
            if not self.packs:
                return
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self._weight, TYPICAL_ROWS)
            if not torch.allclose(self(probe), plain, rtol=0.02, atol=0.02):
                self._packed = None
        if self._packed is not None:
            del self._weight

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        import torch
        from torch.nn import functional as F

        if self._packed is None:
            return F.linear(x, self._weight, self._bias)
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return found


class SentenceEncoder:
    """Mean-pooled, unit-length vectors [n, 384]."""

    def __init__(self, folder: Path, adapters: Path | None = ADAPTERS) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        w = open_weights(folder)
        self._met: dict[bytes, Vectors] = {}
        self.adapters = "none"
        """Digest of the adapters, which the heads must know."""
        if adapters is not None:
            adapt(w, adapters)
            self.adapters = digest(adapters)
        dtype = fastest_dtype()
        self._tables = {
            name: w.pop(name) for name in list(w) if name.startswith("embeddings.") and "_emb" in name
        }
        self._linear = {
            name.removesuffix(".weight"): Linear(w.pop(name), w.pop(name.replace("weight", "bias")), dtype)
            for name in list(w)
            if name.startswith("encoder.") and name.endswith(("qkv.weight", "dense.weight"))
        }
        self._norms = {name: tensor.to(dtype) for name, tensor in w.items() if "LayerNorm" in name}

    def encode(self, texts: Sequence[str], batch: int = 32) -> Vectors:
        """Unit vectors [len(texts), DIM], in the order given; a text met lately is not encoded again."""
        keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._met}
        met = self._met | dict(zip(new, self._encode(list(new.values()), batch), strict=True))
        self._met = dict(list(met.items())[-REMEMBERED:])
        return np.stack([met[key] for key in keys]) if keys else np.zeros((0, DIM), np.float32)

    def _encode(self, texts: Sequence[str], batch: int) -> Vectors:
        """Similar lengths share a batch."""
        import torch

        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        out = np.zeros((len(tokens), DIM), np.float32)
        with torch.inference_mode():
            for at in range(0, len(order), batch):
                some = order[at : at + batch]
                out[some] = self._forward([tokens[i] for i in some]).numpy()
        return out

    def _forward(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        import torch
        from torch.nn import functional as F

        longest = max(len(ids) for ids in tokens)
        ids = torch.tensor([list(row) + [0] * (longest - len(row)) for row in tokens])
        mask = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in tokens])
        x = (
            F.embedding(ids, self._tables["embeddings.word_embeddings.weight"])
            + self._tables["embeddings.position_embeddings.weight"][:longest]
            + self._tables["embeddings.token_type_embeddings.weight"][0]
        )
        dtype = self._norms["embeddings.LayerNorm.weight"].dtype
        x = self._norm(x.to(dtype), "embeddings.LayerNorm")
        blocked = ((1.0 - mask)[:, None, None, :] * -1e9).to(dtype)
        for n in range(LAYERS):
            x = self._layer(x, blocked, f"encoder.layer.{n}.")
        x = x.float()
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return F.normalize(mean, dim=-1)

    def _layer(self, x: torch.Tensor, blocked: torch.Tensor, prefix: str) -> torch.Tensor:
        import torch
        from torch.nn import functional as F

        batch, length, _ = x.shape
        joined = self._linear[f"{prefix}attention.qkv"](x)
        q, k, v = joined.view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        near = torch.softmax(q @ k.transpose(-1, -2) * (DIM // HEADS) ** -0.5 + blocked, -1)
        seen = (near @ v).transpose(1, 2).reshape(batch, length, DIM)
        x = x + self._linear[f"{prefix}attention.output.dense"](seen)
        x = self._norm(x, f"{prefix}attention.output.LayerNorm")
        inner = F.gelu(self._linear[f"{prefix}intermediate.dense"](x))
        return self._norm(x + self._linear[f"{prefix}output.dense"](inner), f"{prefix}output.LayerNorm")

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        from torch.nn import functional as F

        weight, bias = self._norms[f"{name}.weight"], self._norms[f"{name}.bias"]
        return F.layer_norm(x, (DIM,), weight, bias, LAYER_NORM_EPS)
