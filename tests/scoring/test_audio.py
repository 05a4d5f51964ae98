"""Telephone codecs and recordings."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import audio
from scoring.audio import AudioError, read_recording
from scoring.types import RATE_HZ, Samples


def tone(hz: float, seconds: float = 1.0, rate_hz: int = RATE_HZ) -> Samples:
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return (np.sin(2 * np.pi * hz * t) * 8000).astype(np.int16)


def write_wav(path: Path, channels: list[Samples], rate_hz: int) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(len(channels))
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(np.stack(channels, axis=1).astype("<i2").tobytes())
    return path


def write_encoded(path: Path, codec: str, samples: Samples, rate_hz: int) -> Path:
    """Stereo: `samples` on the left, silence on the right."""
    with av.open(str(path), "w") as out:
        track = out.add_stream(codec, rate=rate_hz, layout="stereo")
        both = np.stack([samples, np.zeros_like(samples)], axis=1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
        frame.sample_rate = rate_hz
        for ready in av.AudioResampler(
            format=track.codec_context.format,
            layout="stereo",
            rate=rate_hz,
            frame_size=track.codec_context.frame_size or None,
        ).resample(frame):
            out.mux(track.encode(ready))
        out.mux(track.encode(None))
    return path


def test_mulaw_known_values() -> None:
    assert audio.MULAW[0xFF] == 0
    assert audio.MULAW[0x7F] == 0
    assert audio.MULAW[0x00] == -32124
    assert audio.MULAW[0x80] == 32124


def test_alaw_known_values() -> None:
    assert audio.ALAW[0xD5] == 8
    assert audio.ALAW[0x55] == -8
    assert audio.ALAW[0x2A] == -32256
    assert audio.ALAW[0xAA] == 32256


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tables_equal_audioop() -> None:
    audioop = pytest.importorskip("audioop", reason="audioop left the standard library in 3.13")
    every = bytes(range(256))
    assert audioop.ulaw2lin(every, 2) == audio.decode_mulaw(every).tobytes()
    assert audioop.alaw2lin(every, 2) == audio.decode_alaw(every).tobytes()


@given(st.binary(max_size=400))
def test_mulaw_survives_a_round_trip(payload: bytes) -> None:
    samples = audio.decode_mulaw(payload)
    assert np.array_equal(audio.decode_mulaw(audio.encode_mulaw(samples)), samples)


@given(st.integers(-32768, 32767))
def test_mulaw_encodes_to_the_nearest(value: int) -> None:
    byte = audio.encode_mulaw(np.array([value], dtype=np.int16))
    got = int(audio.decode_mulaw(byte)[0])
    assert abs(got - value) == np.abs(audio.MULAW.astype(int) - value).min()


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 48000])
def test_stereo_wav_keeps_its_sides_and_its_length(tmp_path: Path, rate_hz: int) -> None:
    left, right = tone(440, 2, rate_hz), tone(1000, 2, rate_hz)
    recording = read_recording(write_wav(tmp_path / "call.wav", [left, right], rate_hz))
    assert recording.channels == 2
    assert recording.seconds == pytest.approx(2, abs=0.01)
    for side, hz in zip(recording.samples, (440, 1000), strict=True):
        spectrum = np.abs(np.fft.rfft(side[4000:12000].astype(float)))
        assert np.argmax(spectrum) == hz


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "mp3"), ("a.flac", "flac"), ("a.opus", "libopus"), ("a.m4a", "aac"), ("a.webm", "libopus")],
)
def test_reads_upload_formats(tmp_path: Path, name: str, codec: str) -> None:
    path = write_encoded(tmp_path / name, codec, tone(440, 2, 48000), 48000)
    recording = read_recording(path)
    assert recording.channels == 2
    assert recording.seconds == pytest.approx(2, abs=0.15)
    left, right = np.abs(recording.samples.astype(int)).mean(axis=1)
    assert left > 1000 > 50 > right


def test_mono_is_one_channel_and_mixed(tmp_path: Path) -> None:
    recording = read_recording(write_wav(tmp_path / "mono.wav", [tone(440)], 8000))
    assert recording.channels == 1
    assert audio.looks_mixed(recording)


def test_two_equal_channels_are_mixed(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "twice.wav", [tone(440), tone(440) // 2], 8000)
    assert audio.looks_mixed(read_recording(path))


def test_two_sides_are_not_mixed(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "call.wav", [tone(440), tone(1000)], 8000)
    assert not audio.looks_mixed(read_recording(path))


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF\x00\x00\x00\x00WAVE", bytes(5000)])
def test_junk_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junk.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"junk\.wav"):
        read_recording(path)


def with_a_chunk(path: Path, name: bytes, chunk: bytes) -> Path:
    """A chunk of `name` before the first one of a RIFF file."""
    old = path.read_bytes()
    body = old[:12] + name + len(chunk).to_bytes(4, "little") + chunk + old[12:]
    path.write_bytes(body[:4] + (len(body) - 8).to_bytes(4, "little") + body[8:])
    return path


def test_tags_in_any_encoding_are_no_trouble(tmp_path: Path) -> None:
    title = b"INFOINAM\x0a\x00\x00\x00Gespr\xe4ch\x00\x00"
    path = with_a_chunk(write_wav(tmp_path / "tagged.wav", [tone(440)], RATE_HZ), b"LIST", title)
    assert read_recording(path).seconds == 1


def test_a_codec_nobody_knows_is_named_as_that(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "odd.wav", [tone(440)], RATE_HZ)
    path.write_bytes(
        path.read_bytes().replace(b"fmt \x10\x00\x00\x00\x01\x00", b"fmt \x10\x00\x00\x00\x99\x77")
    )
    with pytest.raises(AudioError, match="codec that we cannot read"):
        read_recording(path)


def test_files_glued_together_at_two_rates_go_on(tmp_path: Path) -> None:
    one = write_encoded(tmp_path / "one.mp3", "libmp3lame", tone(440, 2, 16000), 16000)
    two = write_encoded(tmp_path / "two.mp3", "libmp3lame", tone(440, 2, 24000), 24000)
    one.write_bytes(one.read_bytes() + two.read_bytes())
    found = read_recording(one)
    assert abs(found.seconds - 4) < 0.4
    for second in (0.5, 3.2):  # the same tone, whatever the rate around it
        spectrum = np.abs(np.fft.rfft(found.samples[0][int(second * RATE_HZ) :][: RATE_HZ // 2]))
        assert abs(int(spectrum.argmax()) * 2 - 440) <= 4


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is not a file"):
        read_recording(tmp_path / "none.wav")


def test_a_playlist_may_not_open_other_files(tmp_path: Path) -> None:
    secret = write_wav(tmp_path / "secret.wav", [tone(440)], 8000)
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")
    with pytest.raises(AudioError):
        read_recording(path)


def test_caps(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "long.wav", [tone(440, 3)], 8000)
    with pytest.raises(AudioError, match="longer than"):
        read_recording(path, max_seconds=2)
    with pytest.raises(AudioError, match="limit is"):
        read_recording(path, max_bytes=1000)


def test_reads_an_open_stream(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "call.wav", [tone(440)], 8000)
    assert audio.read_stream(io.BytesIO(path.read_bytes()), "upload").seconds == pytest.approx(1)
