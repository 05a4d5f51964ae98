"""Make a studio clip sound like a telephone line. Numbers come from the recipe's YAML (SCIENCE.md §10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Range = Sequence[float]  # [low, high]


@dataclass(frozen=True)
class TelephoneAugment:
    """Random telephone channel for 8 kHz clips; `p_…` are probabilities, `…_db` decibels, `…_hz` hertz."""

    speed: Range
    p_speed: float
    high_pass_hz: Range
    low_pass_hz: Range
    tilt_db_per_octave: Range
    peak_db: Range
    p_reverb: float
    reverb_s: Range
    p_noise: float
    p_babble: float
    snr_db: Range
    level_db: Range
    p_clip: float
    clip_db: Range
    p_codec: float
    codec_snr_db: Range
    p_mulaw: float
    p_loss: float
    loss_rate: Range
    p_mel_mask: float
    mel_mask_bands: int
    mel_mask_frames: int

    def __call__(
        self, clip: np.ndarray, others: Sequence[np.ndarray], length: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Clip [n] -> window [length] in -1..1; `others` are clips to make babble of."""
        x = self._change_speed(clip, rng)
        x = place(x, length, rng)
        x = self._channel(x, rng)
        if rng.random() < self.p_reverb:
            x = _reverberate(x, rng.uniform(*self.reverb_s), rng)
        if rng.random() < self.p_noise:
            x = _add_at_snr(x, self._noise(others, length, rng), rng.uniform(*self.snr_db))
        return self._line(x, rng).astype(np.float32)

    def mask_mel(self, mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """SpecAugment on log-mel [80, frames]: one band and one stretch of time set to the window's mean."""
        if rng.random() >= self.p_mel_mask:
            return mel
        mel, mean = mel.copy(), mel.mean()
        bands, frames = rng.integers(1, self.mel_mask_bands + 1), rng.integers(1, self.mel_mask_frames + 1)
        band, frame = rng.integers(0, mel.shape[0] - bands), rng.integers(0, mel.shape[1] - frames)
        mel[band : band + bands] = mean
        mel[:, frame : frame + frames] = mean
        return mel

    def _change_speed(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if rng.random() >= self.p_speed:
            return x
        import soxr

        return np.asarray(soxr.resample(x, 8000.0 * rng.uniform(*self.speed), 8000.0), dtype=np.float32)

    def _channel(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Zero-phase band limits, tilt and one peak, as one gain curve over frequency."""
        hz = np.maximum(np.fft.rfftfreq(len(x), 1 / 8000), 1.0)
        octaves = np.log2(hz / 1000.0)
        high, low = rng.uniform(*self.high_pass_hz), rng.uniform(*self.low_pass_hz)
        gain = 1 / np.sqrt(1 + (high / hz) ** 6) / np.sqrt(1 + (hz / low) ** 16)
        db = rng.uniform(*self.tilt_db_per_octave) * np.clip(octaves, -3, 2)
        centre, width = rng.uniform(np.log2(0.2), np.log2(3.5)), rng.uniform(0.15, 0.6)
        db = db + rng.uniform(*self.peak_db) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
        return np.fft.irfft(np.fft.rfft(x) * gain * 10 ** (db / 20), len(x))

    def _noise(self, others: Sequence[np.ndarray], length: int, rng: np.random.Generator) -> np.ndarray:
        if rng.random() < self.p_babble:
            return np.sum(
                [place(np.tile(o, 1 + length // max(len(o), 1)), length, rng) for o in others], axis=0
            )
        hz = np.maximum(np.fft.rfftfreq(length, 1 / 8000), 20.0)
        colour = hz ** -rng.uniform(0.0, 1.2)  # white to beyond brown, amplitude
        return np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * colour, length)

    def _line(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Level, clipping, codec noise that follows the envelope, mu-law, lost packets."""
        level = 10 ** (rng.uniform(*self.level_db) / 20)
        x = x * (level / (np.abs(x).max() + 1e-9))
        if rng.random() < self.p_clip:
            ceiling = level * 10 ** (rng.uniform(*self.clip_db) / 20)
            x = np.clip(x, -ceiling, ceiling)
        if rng.random() < self.p_codec:
            x = x + np.abs(x) * rng.standard_normal(len(x)) * 10 ** (-rng.uniform(*self.codec_snr_db) / 20)
        if rng.random() < self.p_mulaw:
            x = _mulaw(x)
        if rng.random() < self.p_loss:
            packets = rng.random(-(-len(x) // 160)) < rng.uniform(*self.loss_rate)  # 20 ms
            x = np.where(np.repeat(packets, 160)[: len(x)], 0.0, x)
        return np.clip(x, -1.0, 1.0)


def place(x: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """A random stretch of `length` samples, or the whole clip at a random place in silence."""
    if len(x) >= length:
        start = int(rng.integers(0, len(x) - length + 1))
        return x[start : start + length]
    before = int(rng.integers(0, length - len(x) + 1))
    return np.pad(x, (before, length - len(x) - before))


def _add_at_snr(x: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    power, noise_power = float(np.mean(x**2)) + 1e-12, float(np.mean(noise**2)) + 1e-12
    return x + noise * np.sqrt(power / noise_power * 10 ** (-snr_db / 10))


def _reverberate(x: np.ndarray, decay_s: float, rng: np.random.Generator) -> np.ndarray:
    """Convolve with a direct path and exponentially decaying noise (60 dB in `decay_s`)."""
    t = np.arange(int(8000 * decay_s)) / 8000
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay_s)
    tail *= rng.uniform(0.2, 0.7) / (np.linalg.norm(tail) + 1e-9)
    tail[0] = 1.0
    size = len(x) + len(tail)
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)[: len(x)]


def _mulaw(x: np.ndarray) -> np.ndarray:
    """G.711's companding curve, quantised to 8 bits and back."""
    x = np.clip(x, -1.0, 1.0)
    code = np.round(np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256) * 127) / 127
    return np.sign(code) * np.expm1(np.abs(code) * np.log(256)) / 255
