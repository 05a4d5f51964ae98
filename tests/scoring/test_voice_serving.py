"""The encoder as it is served keeps what float32 says: embeddings, decisions, and no window's neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scoring import assets
from scoring.torchaudio_compat import ensure_torchaudio
from scoring.types import WINDOW_SAMPLES
from scoring.voice import SHIPPED

torch = pytest.importorskip("torch")
ensure_torchaudio()

from torch.nn.functional import gelu  # noqa: E402

from scoring import fast_encoder  # noqa: E402
from scoring.fast_encoder import (  # noqa: E402
    INT8_PARTS,
    FastEncoder,
    Int8Linear,
    Precision,
    has_bfloat16,
    parts,
    precision,
)
from scoring.voice_network import Backbone, load_pretrained  # noqa: E402

SERVED = Precision(torch.bfloat16, INT8_PARTS)
needs_int8 = pytest.mark.skipif(not fast_encoder.has_int8(), reason="this processor has no int8 products")


@pytest.fixture(scope="module")
def whisper() -> Path:
    try:
        return assets.path("whisper-base")
    except assets.AssetMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def network(whisper: Path) -> Any:
    return load_pretrained(SHIPPED, whisper, "cpu")


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """Forty made-up voices (pitch, glide, syllables, level, noise), some short, and silence: [41, 24000]."""
    rng, t = np.random.default_rng(11), np.arange(WINDOW_SAMPLES) / 8000
    waves = [np.zeros(WINDOW_SAMPLES)]
    for i in range(40):
        pitch, glide, pace, level = rng.uniform((80, -0.7, 1.5, 0.01), (400, 0.7, 7, 0.4))
        phase = 2 * np.pi * np.cumsum(pitch * 2 ** (glide * t / 3)) / 8000
        voice = sum(np.sin(k * phase) / k**0.7 for k in range(1, 12)) * np.clip(
            np.sin(2 * np.pi * pace * t), 0, 1
        )
        wave = level * (voice + rng.normal(0, rng.uniform(0.01, 0.3), WINDOW_SAMPLES))
        wave[: WINDOW_SAMPLES // 2 * (i % 4 == 0)] = 0  # a caller who has spoken for 1.5 s
        waves.append(wave)
    return np.clip(np.stack(waves), -1, 1).astype(np.float32)


def hear(network: Any, windows: np.ndarray, at: Precision) -> tuple[np.ndarray, np.ndarray]:
    """(pooled embeddings [n, width], probabilities [n, 6])."""
    pooled: list[Any] = []
    network.mods.backbone.settle(at)
    head = network.mods.head
    hook = head.pooling.register_forward_hook(lambda *given: pooled.append(given[2].squeeze(2)))
    with torch.inference_mode():
        logits = [head(network.mods.backbone(batch)) for batch in torch.from_numpy(windows).split(8)]
        probs = network.hparams.calibration(torch.cat(logits)).softmax(dim=1)
    hook.remove()
    return torch.cat(pooled).numpy(), probs.numpy()


@pytest.fixture(scope="module")
def exact(network: Any, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return hear(network, windows, Precision())


def errors(heard: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance of each embedding from float32's, in units of the spread between windows."""
    spread = np.linalg.norm(exact - exact.mean(axis=0), axis=1).mean()
    return np.linalg.norm(heard - exact, axis=1) / spread


@needs_int8
def test_embeddings_and_decisions_are_float32s(
    network: Any, windows: np.ndarray, exact: tuple[np.ndarray, np.ndarray]
) -> None:
    embeddings, probs = hear(network, windows, SERVED)
    assert errors(embeddings, exact[0]).mean() < 0.08
    assert errors(embeddings, exact[0]).max() < 0.15
    changes = np.abs(probs - exact[1])
    assert changes.max() < 0.08 and changes.mean() < 0.01
    top = np.sort(exact[1], axis=1)
    clear = top[:, -1] - top[:, -2] > 0.1
    assert clear.sum() >= 10, "or the windows prove nothing"
    assert (probs.argmax(axis=1) == exact[1].argmax(axis=1))[clear].all()


@needs_int8
def test_the_measure_notices_what_naive_int8_does(
    network: Any,
    windows: np.ndarray,
    exact: tuple[np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One scale for the whole feed-forward's inner layer, and int8 everywhere: the mistake of SCIENCE §10."""
    served = errors(hear(network, windows, SERVED)[0], exact[0]).mean()
    monkeypatch.setattr(Int8Linear, "of_gelu", lambda linear, x: linear(gelu(x)))
    everywhere = Precision(torch.bfloat16, parts(range(6), "qkv", "out", "up", "down"))
    naive = errors(hear(network, windows, everywhere)[0], exact[0]).mean()
    assert naive > 2 * served


@pytest.mark.parametrize("at", [SERVED, Precision(torch.bfloat16)], ids=["int8", "bfloat16"])
def test_a_window_does_not_depend_on_its_batch(network: Any, windows: np.ndarray, at: Precision) -> None:
    backbone = network.mods.backbone
    try:
        backbone.settle(at)
    except RuntimeError as error:  # oneDNN has no bfloat16 for it; nor would `precision()` choose that here
        assert not has_bfloat16()
        pytest.skip(f"this CPU: {error}")
    with torch.inference_mode():
        mel = backbone.mel(torch.from_numpy(windows[:5]))
        together = backbone.features(mel)
        alone = torch.cat([backbone.features(one) for one in mel.split(1)])
    assert torch.equal(together, alone)


def test_float32_products_one_window_at_a_time_are_the_modules(network: Any, windows: np.ndarray) -> None:
    """The stem as products, the scaled queries, the plain attention: exact but for rounding."""
    encoder = network.mods.backbone.encoder
    with torch.inference_mode():
        mel = network.mods.backbone.mel(torch.from_numpy(windows[3:4]))
        for ours, theirs in zip(FastEncoder(encoder, Precision())(mel), encoder(mel), strict=True):
            torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=2e-3)


@needs_int8
def test_it_is_made_of_the_weights_after_loading(whisper: Path, windows: np.ndarray) -> None:
    """Adapters are merged between construction and the first window; what is served must have heard of them."""
    backbone = Backbone(whisper, layers=2, pool=2)
    with torch.inference_mode():
        for layer in backbone.encoder.layers:
            for name in ("qkv", "out", "up", "down"):
                weight = getattr(layer, name).weight
                weight += 0.1 * weight.std() * torch.randn(weight.shape)
        mel = backbone.mel(torch.from_numpy(windows[5:9]))
        served = backbone.features(mel)
        backbone.settle(Precision())
        merged = backbone.features(mel)
        plain = Backbone(whisper, layers=2, pool=2, bfloat16=False).features(mel)
    assert (served - merged).norm() < 0.2 * (plain - merged).norm()


def test_training_keeps_the_modules(whisper: Path) -> None:
    backbone = Backbone(whisper, layers=1, pool=2, bfloat16=False)
    backbone.encoder.layers[0].up.weight.requires_grad_(True)
    backbone(torch.zeros(1, WINDOW_SAMPLES)).sum().backward()
    assert backbone.encoder.layers[0].up.weight.grad is not None
    assert backbone.encoder.conv1.weight.dtype == torch.float32


def test_int8_after_gelu_keeps_small_rows_beside_large_ones() -> None:
    if not fast_encoder.has_int8():
        pytest.skip("this processor has no int8 products")
    seeded = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(32, 64, generator=seeded), torch.randn(32, generator=seeded)
    inner = torch.randn(10, 64, generator=seeded)
    inner[4] *= 80  # what some frames of the last layer do
    wanted = torch.nn.functional.linear(gelu(inner), weight, bias)
    linear = Int8Linear(weight, bias)
    error = (linear.of_gelu(inner) - wanted).norm(dim=1) / wanted.norm(dim=1)
    crude = (linear(gelu(inner)) - wanted).norm(dim=1) / wanted.norm(dim=1)
    assert error.max() < 0.03 < crude.max()


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ((), Precision()),
        (("avx512_bf16",), Precision(torch.bfloat16)),
        (("avx512_vnni",), Precision(torch.float32, INT8_PARTS)),
        (("amx_tile", "avx512_vnni"), SERVED),
    ],
)
def test_precision_by_processor(
    features: tuple[str, ...], expected: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_encoder, "_cpu_has", lambda *asked: bool(set(asked) & set(features)))
    assert precision(torch.device("cpu")) == expected


def test_precision_on_a_gpu_is_half(whisper: Path) -> None:
    """The selection only: no GPU has run this."""
    assert precision(torch.device("cuda")) == precision(torch.device("cuda:1")) == Precision(torch.float16)
    encoder = Backbone(whisper, layers=1, pool=2).encoder
    encoder.use(torch.float16)
    assert encoder.conv1.weight.dtype == encoder.layers[0].down.weight.dtype == torch.float16
    assert encoder.layers[0].norm1.weight.dtype == encoder.positions.dtype == torch.float32
