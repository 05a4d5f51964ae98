"""Words of turns: faster-whisper (CTranslate2) without its padding to 30 s.

The only file that loads faster-whisper, lazily. It knows nothing of calls, and what it returns is
not yet redacted: only `scoring.engine` may call it.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Sequence
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

# Decoding. Unpadded turns make whisper say them twice: it does not notice the end. Silence up to the next
# multiple of 4 s, and timestamps, cured that for the same CPU, and equal lengths make batches (one real call,
# whisper-base, words unlike those of the 30-s path with beam 5: 0.24 unpadded, 0.13 so; alone .079, four
# at once .052 CPU-s per second of speech; beam 5 brought nothing here).
BUCKET_S, TAIL_S = 4, 1.0
BATCH = 8
TOKENS_PER_S, TOKENS_FREE = 9, 16  # cap; fast English is about 6 tokens a second
STAMP_S = 0.02  # of a timestamp token
END_S = 0.4  # text after a timestamp this near the turn's end is an echo
# Guards.
LOOP_RATIO = 2.4  # zlib ratio; openai/whisper's own threshold
LOOP_RUN = 4  # the same words so often in a row …
LOOP_WORDS = 8  # … up to so many of them
SURE = -0.55  # average log probability under which a stock phrase is not believed
UNSURE = -1.15  # … under which nothing is
NO_SPEECH = 0.6  # openai/whisper's own threshold, with:
NO_SPEECH_LOGPROB = -0.7
FIGURE = re.compile(
    r"\d+|zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|twenty|thirty|forty|fifty|sixty"
    r"|seventy|eighty|ninety|hundred|double|triple"
)
# What whisper says of noise and silence.
STOCK_PHRASES = frozenset(
    ("thank you", "thanks", "thank you very much", "thank you so much", "thanks for watching", "you", "bye")
    + ("thank you for watching", "bye bye", "i m sorry", "i", "the", "please subscribe", "the end")
    + ("subtitles by the amara org community", "see you next time", "")
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

    def transcribe(self, turns: Sequence[Samples]) -> list[Transcript]:
        """int16 [n] at 8 kHz per turn, with its pad → its words. Batching changes nothing."""
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

    def transcribe(self, turns: Sequence[Samples]) -> list[Transcript]:
        return [self._say(samples) for samples in turns]

    def _say(self, samples: Samples) -> Transcript:
        if not len(samples):
            return NOTHING
        text = self.phrases[zlib.crc32(samples.tobytes()) % len(self.phrases)]
        return Transcript(text, spread(text, len(samples) * 1000 // RATE_HZ, 0.9), 0.9)


def runs(text: str) -> int:
    """How often in a row the same words come, at most: 3 for "who is it who is it who is it".

    Figures do not count: "double one double one double one double one" is a card number.
    """
    words = [w for w in re.findall(r"[^\W_]+(?:'\w+)?", text.lower()) if not FIGURE.fullmatch(w)]
    most = 1
    for n in range(1, LOOP_WORDS + 1):
        same = 0  # words that equal the word n before, in a row
        for before, word in zip(words, words[n:], strict=False):
            same = same + 1 if word == before else 0
            most = max(most, same // n + 1)
    return most


@dataclass(frozen=True)
class _Decoded:
    text: str
    logprob: float
    """Average per token, natural log."""
    no_speech: float
    pieces: tuple[tuple[str, float, float], ...] = ()
    """The text cut at whisper's timestamps: words, start and end in seconds from the turn's start."""

    @property
    def loops(self) -> bool:
        raw = self.text.encode()
        return runs(self.text) >= LOOP_RUN or len(raw) / max(1, len(zlib.compress(raw))) > LOOP_RATIO

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
        self._tokenizers: dict[str, tuple[Any, list[int]]] = {}

    def transcribe(self, turns: Sequence[Samples]) -> list[Transcript]:
        out = [NOTHING] * len(turns)
        buckets: dict[int, list[int]] = {}
        for place, samples in enumerate(turns):
            if len(samples) >= RATE_HZ // 10:
                buckets.setdefault(_bucket_s(samples), []).append(place)
        for length_s, places in buckets.items():
            for start in range(0, len(places), BATCH):
                batch = places[start : start + BATCH]
                decoded = self._decode([turns[place] for place in batch], length_s)
                for place, result in zip(batch, decoded, strict=True):
                    out[place] = self._transcript(turns[place], result)
        return out

    def _transcript(self, samples: Samples, decoded: _Decoded) -> Transcript:
        if decoded.loops:
            [decoded] = self._decode([samples], 30)
        if decoded.loops or decoded.imagined or not decoded.text:
            return Transcript("", (), 0.0, decoded.no_speech)
        confidence = math.exp(min(0.0, decoded.logprob))
        words = timed(decoded.pieces, len(samples) * 1000 // RATE_HZ, confidence)
        return Transcript(decoded.text, words, confidence, decoded.no_speech)

    def _decode(self, turns: Sequence[Samples], length_s: int) -> list[_Decoded]:
        """Turns of at most `length_s`, each with silence up to it."""
        import ctranslate2

        mel = np.stack([self._mel(samples, length_s) for samples in turns])
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel))
        tokenizers = [self._tokenizer(code) for code in self._languages(features, len(turns))]
        prompts = [list(tokenizer.sot_sequence) for tokenizer, _ in tokenizers]
        longest_s = max(len(samples) for samples in turns) / RATE_HZ
        results = self._whisper.model.generate(
            features,
            prompts,
            beam_size=1,
            max_length=len(prompts[0]) + TOKENS_FREE + int(TOKENS_PER_S * longest_s),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=tokenizers[0][1],
            max_initial_timestamp_index=50,
        )
        return [
            _read(tokenizer, result, len(samples) / RATE_HZ)
            for (tokenizer, _), result, samples in zip(tokenizers, results, turns, strict=True)
        ]

    def _mel(self, samples: Samples, length_s: int) -> np.ndarray:
        """float32 [80, 100 * length_s]."""
        wave = _to_model_rate(samples)[: length_s * MODEL_HZ]
        padded = np.pad(wave, (0, length_s * MODEL_HZ - len(wave)))
        return np.asarray(self._whisper.feature_extractor(padded, padding=0))

    def _languages(self, features: Any, count: int) -> list[str]:
        if self._language or not self._whisper.model.is_multilingual:
            return [self._language or "en"] * count
        found = self._whisper.model.detect_language(features)
        return [str(guesses[0][0]).strip("<|>") for guesses in found]

    def _tokenizer(self, language: str) -> tuple[Any, list[int]]:
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
        return self._tokenizers[language]


def load_speech(source: str | None = None, device: str = "cpu", language: str | None = None) -> Transcriber:
    """By configuration: SPEECH_MODEL (an asset's name, a folder, "stand-in") and SPEECH_LANGUAGE."""
    source = source or os.environ.get("SPEECH_MODEL") or DEFAULT
    if source == STAND_IN:
        return StandInSpeech()
    if language is None:
        language = os.environ.get("SPEECH_LANGUAGE", "en")
    return WhisperSpeech(source, device, language)


def timed(
    pieces: Sequence[tuple[str, float, float]], duration_ms: int, confidence: float
) -> tuple[Word, ...]:
    """Words with times: in proportion to their letters between whisper's stamps, never beyond the turn."""
    words: list[Word] = []
    for text, start_s, end_s in pieces:
        start = min(duration_ms, max(int(start_s * 1000), words[-1].end_ms if words else 0))
        end = min(duration_ms, max(int(end_s * 1000), start))
        words += spread(text, end - start, confidence, start)
    return tuple(words)


def spread(text: str, duration_ms: int, confidence: float, start_ms: int = 0) -> tuple[Word, ...]:
    """Words with times in proportion to their letters: an approximation, right to about ± 0.5 s.

    Whisper's own alignment costs as much as a second decoding.
    """
    words = text.split()
    weights = np.cumsum([0, *(len(word) + 1 for word in words)])
    edges = (start_ms + weights * (duration_ms / max(1, weights[-1]))).astype(int).tolist()
    return tuple(Word(word, edges[i], edges[i + 1], confidence) for i, word in enumerate(words))


def _to_model_rate(samples: Samples) -> np.ndarray:
    """int16 at 8 kHz to float32 ±1 at 16 kHz."""
    import soxr

    wave = samples.astype(np.float32) / np.float32(32768.0)
    return np.asarray(soxr.resample(wave, RATE_HZ, MODEL_HZ, quality="MQ"), dtype=np.float32)


def _bucket_s(samples: Samples) -> int:
    return BUCKET_S * math.ceil((len(samples) / RATE_HZ + TAIL_S) / BUCKET_S)


def _read(tokenizer: Any, result: Any, seconds: float) -> _Decoded:
    """The text up to the turn's end: what comes after its last timestamp is an echo."""
    tokens = result.sequences_ids[0]
    pieces: list[tuple[str, float, float]] = []
    said: list[int] = []
    start_s = 0.0
    for token in tokens:
        if token < tokenizer.timestamp_begin:
            said.append(token)
            continue
        stamp_s = (token - tokenizer.timestamp_begin) * STAMP_S
        if said:
            pieces.append((_text(tokenizer, said), start_s, stamp_s))
            said = []
            if stamp_s >= seconds - END_S:
                break
        start_s = stamp_s
    if said:
        pieces.append((_text(tokenizer, said), start_s, seconds))
    text = " ".join(piece for piece, _, _ in pieces if piece)
    logprob = result.scores[0] * len(tokens) / (len(tokens) + 1) if tokens else -9.0
    return _Decoded(text, logprob, result.no_speech_prob, tuple(pieces))


def _text(tokenizer: Any, tokens: Sequence[int]) -> str:
    return " ".join(tokenizer.decode(list(tokens)).replace("\0", "").split())
