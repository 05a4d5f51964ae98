"""Words of one turn: faster-whisper (CTranslate2) without its padding to 30 s.

The only file that loads faster-whisper, lazily. It knows nothing of calls, and what it returns is
not yet redacted: only `scoring.engine` may call it.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from scoring.types import RATE_HZ, Samples, Word

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

DEFAULT = "whisper-base"
STAND_IN = "stand-in"
MODEL_HZ = 16000

# Decoding. Measured on telephone turns (docs/performance): see `python -m scoring.evaluate speech`.
TAIL_S = 0.5  # silence after the turn, so that a short one is not cut in its last word
TOKENS_PER_S, TOKENS_FREE = 9, 12  # cap; fast English is about 6 tokens a second
NO_REPEAT_NGRAM = 4
# Guards.
LOOP_RATIO = 2.4  # zlib ratio; openai/whisper's own threshold
LOOP_RUN = 4  # the same word so often in a row
SURE = -0.55  # average log probability under which a stock phrase is not believed
UNSURE = -1.1  # … under which nothing is
NO_SPEECH = 0.6  # openai/whisper's own threshold, with:
NO_SPEECH_LOGPROB = -0.7
# What whisper says of noise and silence.
STOCK_PHRASES = frozenset(
    """thank you|thanks|thank you very much|thank you so much|thanks for watching
    thank you for watching|you|bye|bye bye|okay|ok|oh|so|i m sorry|i|the|please subscribe
    subtitles by the amara org community|see you next time|the end|yeah|hmm|mm""".replace("\n", "|").split("|")
)


@dataclass(frozen=True)
class Transcript:
    """What was said in one turn; not redacted."""

    text: str
    """Its words joined by single spaces."""
    words: tuple[Word, ...]
    """Times from the turn's start, in ms."""
    confidence: float
    no_speech: float = 0.0


NOTHING = Transcript("", (), 0.0)


class Transcriber(Protocol):
    version: str

    def transcribe(self, samples: Samples) -> Transcript:
        """int16 [n] at 8 kHz, one turn with its pad → its words."""
        ...


class StandInSpeech:
    """Says the same phrase for the same audio. For tests; takes no time and understands nothing."""

    version = STAND_IN
    phrases = (
        "Hello, I am calling about my bill.",
        "This is the third time I call and nobody helps me.",
        "I understand how frustrating that must be.",
        "I am so worried, what happens now?",
        "Let me look into that for you right away.",
        "Sorry, I don't understand what you mean.",
        "Thank you so much for your help.",
        "My card number is four one one one one one one one one one one one one one one one.",
    )

    def transcribe(self, samples: Samples) -> Transcript:
        if not len(samples):
            return NOTHING
        text = self.phrases[zlib.crc32(samples.tobytes()) % len(self.phrases)]
        return Transcript(text, spread(text, len(samples) * 1000 // RATE_HZ, 0.9), 0.9)


@dataclass(frozen=True)
class _Decoded:
    text: str
    logprob: float
    """Average per token, natural log."""
    no_speech: float

    @property
    def loops(self) -> bool:
        words = self.text.lower().split()
        run = longest = 1
        for before, word in zip(words, words[1:], strict=False):
            run = run + 1 if word == before else 1
            longest = max(longest, run)
        raw = self.text.encode()
        return longest >= LOOP_RUN or len(raw) / max(1, len(zlib.compress(raw))) > LOOP_RATIO

    @property
    def imagined(self) -> bool:
        """Whisper's habit of hearing something in noise."""
        stock = re.sub(r"[^a-z]+", " ", self.text.lower()).strip() in STOCK_PHRASES
        silent = self.no_speech > NO_SPEECH and self.logprob < NO_SPEECH_LOGPROB
        return silent or self.logprob < UNSURE or (stock and self.logprob < SURE)


class WhisperSpeech:
    """A faster-whisper folder, int8 on one CPU thread (or float16 on a GPU).

    `source` is the name of an asset or a folder. Raises scoring.assets.AssetMissing, or ValueError
    for a folder that faster-whisper cannot load. `language` is an ISO 639-1 code; "" lets a
    multilingual model decide for each turn.
    """

    def __init__(self, source: str = DEFAULT, device: str = "cpu", language: str = "en") -> None:
        from scoring import assets

        folder = Path(source) if Path(source).is_dir() else assets.path(source)
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from faster_whisper import WhisperModel

        kind = "cuda" if device.startswith("cuda") else "cpu"
        try:
            self._whisper: WhisperModel = WhisperModel(
                str(folder),
                device=kind,
                compute_type="float16" if kind == "cuda" else "int8",
                cpu_threads=1,
                num_workers=1,
                local_files_only=True,
            )
        except (RuntimeError, OSError) as trouble:
            raise ValueError(f"SPEECH_MODEL {folder} does not load: {trouble}") from trouble
        self.version = folder.name
        self._language = language
        self._tokenizers: dict[str, Any] = {}

    def transcribe(self, samples: Samples) -> Transcript:
        if len(samples) < RATE_HZ // 10:
            return NOTHING
        wave = _to_model_rate(samples)
        decoded = self._decode(wave, TAIL_S)
        if decoded.loops:
            decoded = self._decode(wave, 30.0 - len(wave) / MODEL_HZ)
        if decoded.loops or decoded.imagined or not decoded.text:
            return Transcript("", (), 0.0, decoded.no_speech)
        confidence = math.exp(min(0.0, decoded.logprob))
        words = spread(decoded.text, len(samples) * 1000 // RATE_HZ, confidence)
        return Transcript(decoded.text, words, confidence, decoded.no_speech)

    def _decode(self, wave: np.ndarray, tail_s: float) -> _Decoded:
        """float32 [n] at 16 kHz with so many seconds of silence after it."""
        import ctranslate2

        seconds = len(wave) / MODEL_HZ
        padded = np.pad(wave, (0, max(0, int(tail_s * MODEL_HZ))))
        mel = self._whisper.feature_extractor(padded, padding=0)[None]
        encoded = self._whisper.model.encode(
            ctranslate2.StorageView.from_array(np.ascontiguousarray(mel))
        )
        tokenizer, suppressed = self._tokenizer(encoded)
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        [result] = self._whisper.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=len(prompt) + TOKENS_FREE + int(TOKENS_PER_S * seconds),
            no_repeat_ngram_size=NO_REPEAT_NGRAM,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=suppressed,
        )
        tokens = result.sequences_ids[0]
        text = " ".join(tokenizer.decode(tokens).split())
        logprob = result.scores[0] * len(tokens) / (len(tokens) + 1) if tokens else -9.0
        return _Decoded(text, logprob, result.no_speech_prob)

    def _tokenizer(self, encoded: Any) -> tuple[Any, list[int]]:
        language = self._language or self._heard_language(encoded)
        if language not in self._tokenizers:
            from faster_whisper.tokenizer import Tokenizer
            from faster_whisper.transcribe import get_suppressed_tokens

            made = Tokenizer(
                self._whisper.hf_tokenizer,
                self._whisper.model.is_multilingual,
                task="transcribe",
                language=language,
            )
            self._tokenizers[language] = made, list(get_suppressed_tokens(made, [-1]) or ())
        found: tuple[Any, list[int]] = self._tokenizers[language]
        return found

    def _heard_language(self, encoded: Any) -> str:
        if not self._whisper.model.is_multilingual:
            return "en"
        token, _ = self._whisper.model.detect_language(encoded)[0][0]
        return str(token).strip("<|>")


def load_speech(
    source: str | None = None, device: str = "cpu", language: str | None = None
) -> Transcriber:
    """By configuration: SPEECH_MODEL (an asset's name, a folder, "stand-in") and SPEECH_LANGUAGE."""
    source = source or os.environ.get("SPEECH_MODEL") or DEFAULT
    if source == STAND_IN:
        return StandInSpeech()
    if language is None:
        language = os.environ.get("SPEECH_LANGUAGE", "en")
    return WhisperSpeech(source, device, language)


def spread(text: str, duration_ms: int, confidence: float) -> tuple[Word, ...]:
    """Words with times in proportion to their letters: an approximation, right to about ± 0.5 s.

    Whisper's own alignment costs as much as a second decoding.
    """
    words = text.split()
    weights = np.cumsum([0, *(len(word) + 1 for word in words)])
    edges = (weights * (duration_ms / max(1, weights[-1]))).astype(int).tolist()
    return tuple(
        Word(word, edges[i], edges[i + 1], confidence) for i, word in enumerate(words)
    )


def _to_model_rate(samples: Samples) -> np.ndarray:
    """int16 at 8 kHz to float32 ±1 at 16 kHz."""
    import soxr

    wave = samples.astype(np.float32) / np.float32(32768.0)
    return np.asarray(soxr.resample(wave, RATE_HZ, MODEL_HZ, quality="MQ"), dtype=np.float32)
