"""Bytes and files to int16 samples at 8 kHz. Knows codecs and files; nothing about speech.

Recordings are decoded by PyAV alone: it reads every upload format tried and rejects junk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from scoring.types import RATE_HZ, FloatSamples, Samples

if TYPE_CHECKING:
    import av.audio.frame
    import av.container

MAX_BYTES = 1 << 30
MAX_SECONDS = 4 * 3600
MAX_CHANNELS = 8
MAX_BROKEN = 5
"""More packets in a file than this may not be broken unless as many can be read."""
# libavformat's names. Playlists (hls, concat, dash) are left out: they open other files.
FORMATS = "wav,w64,aiff,au,mp3,ogg,flac,aac,amr,mov,mp4,m4a,3gp,matroska,webm,asf,caf"


class AudioError(ValueError):
    """A recording that cannot be read; the text says what is wrong with it and what to do."""


@dataclass(frozen=True)
class Recording:
    """A decoded file: int16 [channels, n] at 8 kHz."""

    samples: Samples
    codec: str
    file_rate_hz: int

    @property
    def channels(self) -> int:
        return int(self.samples.shape[0])

    @property
    def seconds(self) -> float:
        return float(self.samples.shape[1] / RATE_HZ)


# --- G.711 ----------------------------------------------------------------------------------


def _mulaw_sample(byte: int) -> int:
    """G.711 mu-law as ITU-T G.711 / Sun g711.c; byte-identical to audioop.ulaw2lin."""
    u = ~byte & 0xFF
    value = ((((u & 0x0F) << 3) + 0x84) << ((u >> 4) & 7)) - 0x84
    return -value if u & 0x80 else value


def _alaw_sample(byte: int) -> int:
    """G.711 A-law; byte-identical to audioop.alaw2lin."""
    a = byte ^ 0x55
    exponent, value = (a >> 4) & 7, ((a & 0x0F) << 4) + 8
    if exponent:
        value = (value + 0x100) << (exponent - 1)
    return value if a & 0x80 else -value


def _table(decode: Callable[[int], int]) -> Samples:
    table = np.array([decode(byte) for byte in range(256)], dtype=np.int16)
    table.setflags(write=False)
    return table


MULAW = _table(_mulaw_sample)
ALAW = _table(_alaw_sample)


def decode_mulaw(payload: bytes) -> Samples:
    """One sample per byte."""
    return MULAW[np.frombuffer(payload, dtype=np.uint8)]


def decode_alaw(payload: bytes) -> Samples:
    """One sample per byte."""
    return ALAW[np.frombuffer(payload, dtype=np.uint8)]


def encode_mulaw(samples: Samples) -> bytes:
    """The mu-law byte whose sample is nearest: exact back through decode_mulaw up to its step."""
    return _ENCODE_MULAW[samples.view(np.uint16)].tobytes()


def _nearest_mulaw() -> np.ndarray:
    order = np.argsort(MULAW, kind="stable")
    values = MULAW[order].astype(np.int32)
    between = (values[1:] + values[:-1]) / 2
    every = np.arange(65536, dtype=np.uint16).view(np.int16)
    return order[np.searchsorted(between, every)].astype(np.uint8)


_ENCODE_MULAW = _nearest_mulaw()


# --- rates ----------------------------------------------------------------------------------


def to_float(samples: Samples) -> FloatSamples:
    """int16 to float32, full scale ±1."""
    return samples.astype(np.float32) / np.float32(32768.0)


def resample(samples: Samples, from_hz: int, to_hz: int = RATE_HZ) -> Samples:
    """One channel, int16 [n] to int16 [about n * to_hz / from_hz]."""
    if from_hz == to_hz:
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, from_hz, to_hz), dtype=np.int16)


# --- files ----------------------------------------------------------------------------------


def read_recording(
    path: str | Path, *, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS
) -> Recording:
    """Decode any audio file to int16 [channels, n] at 8 kHz. Raises AudioError."""
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path} is not a file.")
    size = path.stat().st_size
    if size == 0:
        raise AudioError(f"{path} is empty.")
    if size > max_bytes:
        raise AudioError(f"{path} has {size / 1e6:.0f} MB; the limit is {max_bytes / 1e6:.0f} MB. Split it.")
    with path.open("rb") as stream:
        return read_stream(stream, str(path), max_seconds=max_seconds)


def read_stream(stream: BinaryIO, name: str, *, max_seconds: float = MAX_SECONDS) -> Recording:
    """As read_recording, from an open seekable binary stream (an upload)."""
    with _opened(stream, name) as container:
        return _decode(container, name, max_seconds)


def stream_recording(stream: BinaryIO, name: str, *, max_seconds: float = MAX_SECONDS) -> Iterator[Samples]:
    """The same piece by piece, int16 [n, channels] at 8 kHz, in bounded memory. Raises AudioError."""
    with _opened(stream, name) as container:
        yield from _pieces(container, name, max_seconds)


@contextmanager
def _opened(stream: BinaryIO, name: str) -> Iterator[av.container.InputContainer]:
    import av

    # Tags may be in any encoding, and nobody reads them.
    known, tags = {"format_whitelist": FORMATS}, "replace"
    try:
        with av.open(stream, mode="r", options=known, metadata_errors=tags) as container:
            yield container
    except (av.error.FFmpegError, EOFError) as trouble:
        raise AudioError(
            f"{name} is not audio we can read ({_why(trouble)}). Use wav, mp3, flac, ogg/opus, m4a or webm."
        ) from trouble


def _why(trouble: Exception) -> str:
    """Without the path, which is our own."""
    return str(getattr(trouble, "strerror", None) or trouble)


def _decode(container: av.container.InputContainer, name: str, max_seconds: float) -> Recording:
    parts = list(_pieces(container, name, max_seconds))
    track = container.streams.audio[0].codec_context
    return Recording(np.ascontiguousarray(np.concatenate(parts).T), track.name, track.sample_rate)


def _pieces(container: av.container.InputContainer, name: str, max_seconds: float) -> Iterator[Samples]:
    import soxr

    if not container.streams.audio:
        raise AudioError(f"{name} has no audio stream.")
    track = container.streams.audio[0]
    if track.codec_context is None:
        raise AudioError(f"{name} is in a codec that we cannot read. Convert it to wav, mp3, flac or opus.")
    channels, rate_hz = track.codec_context.channels, track.codec_context.sample_rate
    if not 1 <= channels <= MAX_CHANNELS or not 1000 <= rate_hz <= 768_000:
        raise AudioError(f"{name} has {channels} channels at {rate_hz} Hz: not a call recording.")
    resampler = soxr.ResampleStream(rate_hz, RATE_HZ, channels, dtype="int16")
    heard = 0
    for chunk in _frames(container, rate_hz, channels):
        heard += len(chunk)
        if heard > max_seconds * rate_hz:
            raise AudioError(f"{name} is longer than {max_seconds / 3600:g} h. Split it.")
        yield np.asarray(resampler.resample_chunk(chunk), dtype=np.int16).reshape(-1, channels)
    if not heard:
        raise AudioError(f"{name} holds no samples.")
    empty = np.zeros((0, channels), dtype=np.int16)
    yield np.asarray(resampler.resample_chunk(empty, last=True), dtype=np.int16).reshape(-1, channels)


def _frames(container: av.container.InputContainer, rate_hz: int, channels: int) -> Iterator[Samples]:
    """Each decoded frame as int16 [n, channels] at the file's own rate; what is broken is silence."""
    import av

    track = container.streams.audio[0]
    layout, kind, read, broken = track.codec_context.layout, None, 0, 0
    packer = av.AudioResampler(format="s16", layout=layout, rate=rate_hz)
    for packet in container.demux(track):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            broken += 1
            if broken > MAX_BROKEN + read:
                raise
            length = int((packet.duration or 0) * (packet.time_base or 0) * rate_hz)
            yield np.zeros((min(length, rate_hz), channels), dtype=np.int16)
            continue
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            read += 1
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            if kind not in (None, now):  # a file glued together of several
                for packed in packer.resample(None):
                    yield _interleaved(packed, channels)
                packer = av.AudioResampler(format="s16", layout=layout, rate=rate_hz)
            kind = now
            for packed in packer.resample(frame):
                yield _interleaved(packed, channels)
    if broken and not read:
        raise EOFError("nothing in it can be decoded")
    for packed in packer.resample(None):
        yield _interleaved(packed, channels)


def _interleaved(frame: av.audio.frame.AudioFrame, channels: int) -> Samples:
    return np.asarray(frame.to_ndarray(), dtype=np.int16).reshape(-1, channels)


def looks_mixed(recording: Recording) -> bool:
    """Whether both sides are on one channel: mono, or two channels that are nearly the same."""
    if recording.channels < 2:
        return True
    left, right = recording.samples[0].astype(np.float64), recording.samples[1].astype(np.float64)
    norm = float(np.sqrt((left @ left) * (right @ right)))
    return norm > 0 and float(left @ right) / norm > SAME_CHANNEL_CORRELATION


SAME_CHANNEL_CORRELATION = 0.95
