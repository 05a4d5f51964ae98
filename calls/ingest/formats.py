"""Audio as phone systems send it, turned into what the buffer keeps: 8 kHz mu-law, a byte a sample.

Pure: bytes in, bytes out, one `Converter` for each run of frames. Knows no protocol. Resampling goes
on across frames, so that no frame's edge can be heard and a long call has exactly its samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import soxr

from scoring.audio import decode_alaw, decode_mulaw, encode_mulaw
from scoring.types import RATE_HZ, Samples

RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
QUALITY = "HQ"
GAP_MS = 10
"""A timestamp so far off the audio before it is a gap (or a frame out of order): clocks round."""


class Encoding(StrEnum):
    PCMU = "pcmu"
    PCMA = "pcma"
    S16LE = "s16le"
    S16BE = "s16be"


class FormatError(ValueError):
    """Audio that cannot be heard; the text says what was wrong and what would do."""


_NAMES = {
    **dict.fromkeys(("pcmu", "mulaw", "mu-law", "ulaw", "g711u", "g.711u", "x-mulaw"), Encoding.PCMU),
    **dict.fromkeys(("pcma", "alaw", "a-law", "g711a", "g.711a", "x-alaw"), Encoding.PCMA),
    **dict.fromkeys(("pcm_s16le", "s16le", "slin", "l16", "x-l16", "linear16", "raw"), Encoding.S16LE),
    **dict.fromkeys(("pcm", "slin16", "base64", "x-raw", "lpcm"), Encoding.S16LE),
    **dict.fromkeys(("pcm_s16be", "s16be"), Encoding.S16BE),
}


@dataclass(frozen=True)
class AudioFormat:
    encoding: Encoding = Encoding.PCMU
    rate_hz: int = RATE_HZ
    channels: int = 1
    """1, or 2 interleaved."""

    @property
    def sample_bytes(self) -> int:
        return 1 if self.encoding in (Encoding.PCMU, Encoding.PCMA) else 2

    @property
    def frame_bytes(self) -> int:
        """Of one moment: a sample for each channel."""
        return self.sample_bytes * self.channels

    def ms(self, payload_bytes: int) -> float:
        return payload_bytes / self.frame_bytes * 1000 / self.rate_hz

    def __str__(self) -> str:
        return f"{self.encoding} at {self.rate_hz} Hz, {self.channels} channel(s)"


def read_format(
    name: str, rate_hz: int | None, channels: int = 1, *, big_endian: bool = False
) -> AudioFormat:
    """A format by any of its names ("audio/x-l16;rate=16000" too). `big_endian` is the order of linear
    samples whose name does not say it. FormatError."""
    bare, _, more = name.lower().strip().partition(";")
    if rate_hz is None and (said := more.strip().removeprefix("rate=")).isdecimal() and len(said) < 7:
        rate_hz = int(said)
    encoding = _NAMES.get(bare.strip().removeprefix("audio/"))
    if encoding is None:
        raise FormatError(f"audio {name[:40]!r} is not known: send PCMU, PCMA or 16-bit linear (L16)")
    if encoding is Encoding.S16LE and big_endian and "le" not in bare:
        encoding = Encoding.S16BE
    if (rate := RATE_HZ if rate_hz is None else rate_hz) not in RATES_HZ:
        raise FormatError(f"{rate} Hz is not taken: send one of {', '.join(map(str, RATES_HZ))} Hz")
    if channels not in (1, 2):
        raise FormatError(f"{channels} channels are not taken: send 1, or 2 interleaved")
    return AudioFormat(encoding, rate, channels)


_ALAW_TO_MULAW = encode_mulaw(decode_alaw(bytes(range(256))))
Timed = tuple[int | None, list[bytes]]
"""When it begins by the sender's clock (None: where the audio before it ended), and mu-law per channel."""


class Converter:
    """One run of audio of one format. Holds at most a resampler's few hundred samples."""

    def __init__(self, wire: AudioFormat) -> None:
        self.wire = wire
        self._resamplers: list[soxr.ResampleStream] = []
        self._next_ms: float | None = None
        self._begins_ms: int | None = None
        if wire.rate_hz != RATE_HZ:
            self._start()

    def convert(self, payload: bytes, timestamp_ms: int | None = None) -> list[Timed]:
        """mu-law of each channel. FormatError for half a sample.

        Without resampling timestamps go through untouched; with it audio comes out later than it
        went in, so a timestamp is given only where the audio does not go on from what was before.
        """
        if len(payload) % self.wire.frame_bytes:
            raise FormatError(f"{len(payload)} bytes are no whole number of samples of {self.wire}")
        if not self._resamplers:
            return [(timestamp_ms, self._plain(payload))]
        out: list[Timed] = []
        if timestamp_ms is not None:
            if self._next_ms is None or abs(timestamp_ms - self._next_ms) > GAP_MS:
                if self._next_ms is not None:
                    out = self.finish()
                self._next_ms, self._begins_ms = float(timestamp_ms), timestamp_ms
            self._next_ms += self.wire.ms(len(payload))
        return out + self._resampled(payload, last=False)

    def finish(self) -> list[Timed]:
        """What the resampler still holds; the next frame begins anew."""
        if not self._resamplers:
            return []
        out = self._resampled(b"", last=True)
        self._start()
        self._next_ms = None
        return out

    def _start(self) -> None:
        self._resamplers = [
            soxr.ResampleStream(self.wire.rate_hz, RATE_HZ, 1, dtype="float32", quality=QUALITY)
            for _ in range(self.wire.channels)
        ]

    def _plain(self, payload: bytes) -> list[bytes]:
        count = self.wire.channels
        if self.wire.encoding is Encoding.PCMU:
            mulaw = payload
        elif self.wire.encoding is Encoding.PCMA:
            mulaw = payload.translate(_ALAW_TO_MULAW)
        else:
            mulaw = encode_mulaw(self._linear(payload))
        return [mulaw] if count == 1 else [mulaw[n::count] for n in range(count)]

    def _resampled(self, payload: bytes, *, last: bool) -> list[Timed]:
        # In floating point: to whole numbers the resampler would round by chance, each time otherwise.
        linear = self._linear(payload).astype(np.float32).reshape(-1, self.wire.channels)
        sounds = [
            stream.resample_chunk(np.ascontiguousarray(linear[:, n]), last=last)
            for n, stream in enumerate(self._resamplers)
        ]
        parts = [encode_mulaw(np.rint(s).clip(-32768, 32767).astype(np.int16)) for s in sounds]
        if not parts[0]:
            return []
        begins, self._begins_ms = self._begins_ms, None
        return [(begins, parts)]

    def _linear(self, payload: bytes) -> Samples:
        if self.wire.encoding is Encoding.PCMU:
            return decode_mulaw(payload)
        if self.wire.encoding is Encoding.PCMA:
            return decode_alaw(payload)
        order = "<i2" if self.wire.encoding is Encoding.S16LE else ">i2"
        return np.frombuffer(payload, dtype=order).astype(np.int16, copy=False)
