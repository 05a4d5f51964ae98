"""Audio of every format comes out as the same sound, exactly as long, whatever its frames."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calls.ingest.formats import RATES_HZ, AudioFormat, Converter, Encoding, FormatError, read_format
from scoring.audio import decode_alaw, decode_mulaw, encode_mulaw


def tone(rate_hz: int, seconds: float, hz: float = 440.0) -> np.ndarray:
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    return (np.sin(2 * np.pi * hz * t) * 8000).astype(np.int16)


def run(converter: Converter, payload: bytes, size: int) -> list[bytes]:
    out = [b""] * converter.wire.channels
    pieces = [p for at in range(0, len(payload), size) for p in converter.convert(payload[at : at + size])]
    for _, parts in pieces + converter.finish():
        out = [have + part for have, part in zip(out, parts, strict=True)]
    return out


def snr_db(found: bytes, wanted: np.ndarray) -> float:
    """Away from the edges, where a resampler has nothing to look at."""
    got = decode_mulaw(found).astype(float)[200:-200]
    want = wanted.astype(float)[200 : len(got) + 200]
    return float(10 * np.log10(np.sum(want**2) / np.sum((got - want) ** 2)))


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_is_the_same_sound(rate: int, encoding: Encoding, channels: int) -> None:
    wire = AudioFormat(encoding, rate, channels)
    both = [tone(rate, 1.0, 440), tone(rate, 1.0, 800)][:channels]
    linear = np.stack(both, axis=1).reshape(-1)
    if encoding is Encoding.PCMU:
        payload = encode_mulaw(linear)
    elif encoding is Encoding.PCMA:
        table = decode_alaw(bytes(range(256))).astype(int)
        payload = bytes(np.abs(table[None, :] - linear.astype(int)[:, None]).argmin(axis=1).astype(np.uint8))
    else:
        payload = linear.astype("<i2" if encoding is Encoding.S16LE else ">i2").tobytes()
    found = run(Converter(wire), payload, wire.frame_bytes * (rate // 50))
    for sound, hz in zip(found, (440, 800), strict=False):
        assert len(sound) == 8000
        assert snr_db(sound, tone(8000, 1.0, hz)) > 32  # mu-law itself: about 38 dB


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000])
def test_a_long_call_has_exactly_its_samples(rate: int) -> None:
    converter, total, frame = Converter(AudioFormat(Encoding.S16LE, rate)), 0, bytes(rate // 25 * 2)
    for _ in range(600 * 25):
        total += sum(len(parts[0]) for _, parts in converter.convert(frame))
    total += sum(len(parts[0]) for _, parts in converter.finish())
    assert total == 600 * 25 * (rate // 25) * 8000 // rate  # ten minutes


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([8000, 16000, 44100]), st.integers(1, 2))
def test_frames_of_any_length_make_no_difference(seed: int, rate: int, channels: int) -> None:
    rng, wire = random.Random(seed), AudioFormat(Encoding.S16LE, rate, channels)
    payload = np.random.default_rng(seed).integers(-9000, 9000, rate // 5 * channels).astype("<i2").tobytes()
    whole, pieces, at = run(Converter(wire), payload, len(payload)), Converter(wire), 0
    out = [b""] * channels
    while at < len(payload):
        size = rng.randint(0, 700) * wire.frame_bytes
        for _, parts in pieces.convert(payload[at : at + size]):
            out = [a + b for a, b in zip(out, parts, strict=True)]
        at += size
    for _, parts in pieces.finish():
        out = [a + b for a, b in zip(out, parts, strict=True)]
    assert out == whole


@given(
    st.sampled_from(list(Encoding)), st.sampled_from(RATES_HZ), st.integers(1, 2), st.binary(max_size=4000)
)
def test_no_payload_does_anything_but_convert_or_say_why(
    encoding: Encoding, rate: int, channels: int, payload: bytes
) -> None:
    wire = AudioFormat(encoding, rate, channels)
    try:
        found = Converter(wire).convert(payload)
    except FormatError:
        assert len(payload) % wire.frame_bytes
    else:
        assert sum(len(p) for _, parts in found for p in parts) <= len(payload) * 8000 / rate + 2


def test_a_gap_in_resampled_audio_stays_where_it_was() -> None:
    converter, frame = Converter(AudioFormat(Encoding.S16LE, 16000)), tone(16000, 0.02).tobytes()
    found = [t for at in (0, 20, 40, 1000, 1020) for t in converter.convert(frame, at)] + converter.finish()
    laid, clock = bytearray(b"\xff" * 16000), 0
    for at, (part,) in found:
        clock = clock if at is None else at * 8
        laid[clock : clock + len(part)] = part
        clock += len(part)
    loud = np.abs(decode_mulaw(bytes(laid)).astype(int)) > 300
    assert loud[:480].mean() > 0.8 and not loud[490:7990].any() and loud[8000:8320].mean() > 0.8
    assert not loud[8330:].any() and sum(len(parts[0]) for _, parts in found) == 5 * 160


@pytest.mark.parametrize(
    "name,rate,big,expected",
    [
        ("audio/x-mulaw", 8000, False, AudioFormat()),
        ("PCMA", None, False, AudioFormat(Encoding.PCMA)),
        ("audio/l16;rate=16000", None, False, AudioFormat(Encoding.S16LE, 16000)),
        ("L16", 16000, True, AudioFormat(Encoding.S16BE, 16000)),
        ("pcm_s16le", 48000, True, AudioFormat(Encoding.S16LE, 48000)),
    ],
)
def test_names(name: str, rate: int | None, big: bool, expected: AudioFormat) -> None:
    assert read_format(name, rate, big_endian=big) == expected


@pytest.mark.parametrize(
    "name,rate,channels,said",
    [
        ("opus", 8000, 1, "PCMU"),
        ("pcmu", 7000, 1, "11025"),
        ("pcmu", 0, 1, "0 Hz"),
        ("pcmu", 8000, 3, "2 interleaved"),
        ("", 8000, 1, "not known"),
    ],
)
def test_what_cannot_be_heard_says_what_would_do(name: str, rate: int, channels: int, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        read_format(name, rate, channels)
