"""The open encoder and its 8 kHz front end agree with the programs they re-build."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scoring import assets
from scoring.whisper_encoder import LogMel8k, WhisperEncoder, mel_filters, read_ctranslate2

torch = pytest.importorskip("torch")
soxr = pytest.importorskip("soxr")


@pytest.fixture(scope="module")
def whisper() -> Path:
    try:
        return assets.path("whisper-base")
    except assets.AssetMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def speech_8k() -> np.ndarray:
    """Three seconds of speech-like sound: a voice of 20 harmonics gliding from 120 to 240 Hz, in syllables."""
    t = np.arange(24000) / 8000
    phase = 2 * np.pi * np.cumsum(120 * 2 ** (t / 3)) / 8000
    voice = sum(np.sin(k * phase) / k for k in range(1, 15))
    noise = np.random.default_rng(0).standard_normal(24000) * 0.003
    return np.asarray(0.2 * voice * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1) + noise, dtype=np.float32)


def test_mel_bank_is_whispers() -> None:
    from faster_whisper.feature_extractor import FeatureExtractor

    np.testing.assert_allclose(mel_filters(), FeatureExtractor().mel_filters, atol=1e-7)


def test_8k_front_end_equals_the_16k_path_in_band(speech_8k: np.ndarray) -> None:
    """Bands up to 3.4 kHz (the first 56) match Whisper's own extractor on the resampled signal."""
    from faster_whisper.feature_extractor import FeatureExtractor

    wide = FeatureExtractor()(soxr.resample(speech_8k, 8000, 16000), padding=0)[:, :300]
    ours = LogMel8k()(torch.from_numpy(speech_8k)[None])[0].numpy()
    assert ours.shape == (80, 300)
    inner = slice(2, -2)  # resampling rings at both ends
    assert np.abs(ours - wide)[:56, inner].max() < 0.02
    assert np.abs(ours - wide)[:56, inner].mean() < 0.001


def test_six_layers_equal_ctranslate2(whisper: Path, speech_8k: np.ndarray) -> None:
    import ctranslate2

    mel = LogMel8k()(torch.from_numpy(speech_8k)[None])
    theirs = ctranslate2.models.Whisper(str(whisper), compute_type="float32", intra_threads=1).encode(
        ctranslate2.StorageView.from_array(mel.numpy())
    )
    with torch.inference_mode():
        ours = WhisperEncoder(whisper, layers=6).encode(mel)
    np.testing.assert_allclose(ours.numpy(), np.array(theirs), atol=2e-3)


def test_bfloat16_stays_close(whisper: Path, speech_8k: np.ndarray) -> None:
    mel = LogMel8k()(torch.from_numpy(speech_8k)[None])
    encoder = WhisperEncoder(whisper)
    with torch.inference_mode():
        exact = encoder(mel)[-1]
        encoder.use(torch.bfloat16)
        near = encoder(mel)[-1]
    assert near.dtype == torch.float32
    assert float((near - exact).norm() / exact.norm()) < 0.03


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    for content in (b"", b"RIFF" * 20, b"\x06\x00\x00\x00\x0c\x00Whisp"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="CTranslate2"):
            read_ctranslate2(file)
