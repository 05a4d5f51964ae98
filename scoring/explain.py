"""For one of the caller's turns: which words and which second of voice moved which state, by how much.

Every number is "with" less "without" (occlusion), never a gradient. What is taken away one by one need
not add up: two phrases that say the same cover for each other, and a saturated state hides small parts.
Explains the reading, not the person; the agent's turns have no states and cannot be explained here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .language import LanguageModel, TurnText, sentences
from .rubric import RubricSpec
from .states import Feeling, trace
from .types import (
    FELT,
    RATE_HZ,
    WINDOW_MS,
    Channel,
    CustomerWindow,
    FloatSamples,
    Samples,
    State,
    Turn,
    VoiceState,
)
from .voice import VoiceModel, VoiceScore

WORD = re.compile(r"\S+")
WORTH_TELLING = 0.01
MAX_WORDS = 120
"""A longer turn is explained by its first so many words, and by its sentences."""
SECOND_MS = 1000
NOISE_SEED = 7


@dataclass(frozen=True)
class WordPart:
    """What one stretch of the turn's text does to a state's probability from words alone."""

    start: int
    end: int
    """Characters of `turn.text`; (0, 0) when the quote is not found there."""
    text: str
    state: State
    amount: float
    """Probability with it less probability without it."""
    kind: str
    """"word", "phrase" or "cue"."""


@dataclass(frozen=True)
class VoicePart:
    """What one stretch of voice does to the support for a state (acted classes by the rubric's map)."""

    start_ms: int
    end_ms: int
    state: State
    amount: float
    kind: str
    """"second" (occluded audio) or "window" (stored reading, less what an empty window would give)."""


@dataclass(frozen=True)
class FusionPart:
    """How far words and voice each moved one fused state."""

    state: State
    fused: float
    without_words: float
    without_voice: float

    @property
    def words(self) -> float:
        return round(self.fused - self.without_words, 4)

    @property
    def voice(self) -> float:
        return round(self.fused - self.without_voice, 4)


@dataclass(frozen=True)
class Explanation:
    turn_start_ms: int
    text: str
    deep_words: bool
    deep_voice: bool
    words: tuple[WordPart, ...]
    """Strongest first."""
    voice: tuple[VoicePart, ...]
    """In time."""
    fusion: tuple[FusionPart, ...]


@dataclass(frozen=True)
class HeardVoice:
    """Audio to listen to once more: only the customer's channel is accepted."""

    model: VoiceModel
    audio: Samples | FloatSamples
    """The customer's side of the call from `start_ms` on, 8 kHz."""
    start_ms: int = 0


def explain(
    turn: Turn,
    windows: Sequence[VoiceState],
    rubric: RubricSpec,
    language: LanguageModel | None = None,
    voice: HeardVoice | None = None,
    previous: tuple[str, ...] = (),
) -> Explanation:
    """`windows`: the call's so far (earlier ones make the baseline). ValueError for an agent's turn.

    Cheap without models: words from the stored cues, voice from the stored windows. With `language` the
    text is read again without each word and phrase; with `voice` each second is heard again as noise of
    the window's own mean spectrum.
    """
    if turn.channel is not Channel.CUSTOMER:
        raise ValueError("only the caller's turns are read for states")
    ordered = sorted(windows, key=lambda w: (w.end_ms, w.start_ms))
    over = [w for w in ordered if w.start_ms < turn.end_ms and w.end_ms > turn.start_ms]
    words = cue_parts(turn) if language is None else read_without(turn, language, previous)
    heard = window_parts(over, rubric) if voice is None else heard_without(turn, voice, rubric)
    return Explanation(
        turn.start_ms, turn.text, language is not None, voice is not None, words, heard,
        fusion_parts(turn, [w for w in ordered if w.end_ms <= turn.end_ms], rubric),
    )  # fmt: skip


# --- words --------------------------------------------------------------------------------------


def cue_parts(turn: Turn) -> tuple[WordPart, ...]:
    """From stored cues: each one's share of its state as a noisy-or of the others would leave it."""
    parts = []
    for state in FELT:
        mine = [c for c in turn.cues if c.label == state]
        for n, cue in enumerate(mine):
            rest = float(np.prod([1 - c.strength for k, c in enumerate(mine) if k != n]))
            at = turn.text.lower().find(cue.quote.lower()) if cue.quote else -1
            start, end = (at, at + len(cue.quote)) if at >= 0 else (0, 0)
            amount = min(turn.states.get(state, cue.strength), rest * cue.strength)
            parts.append(WordPart(start, end, cue.quote, state, round(amount, 4), "cue"))
    return strongest(parts)


def read_without(turn: Turn, language: LanguageModel, previous: tuple[str, ...]) -> tuple[WordPart, ...]:
    """Leave one out: the text read without each word, and without each sentence."""
    spans = spans_of(turn.text)
    texts = [turn.text] + [turn.text[:a] + turn.text[b:] for a, b, _ in spans]
    read = language.read([TurnText(Channel.CUSTOMER, " ".join(text.split()), previous) for text in texts])
    whole = read[0].states
    parts = [
        WordPart(a, b, turn.text[a:b], s, round(whole.get(s, 0.0) - less.states.get(s, 0.0), 4), kind)
        for (a, b, kind), less in zip(spans, read[1:], strict=True)
        for s in FELT
    ]
    return strongest(parts)


def spans_of(text: str) -> list[tuple[int, int, str]]:
    words = [(m.start(), m.end(), "word") for m in WORD.finditer(text)][:MAX_WORDS]
    out, at = list(words), 0
    for sentence in sentences(text):
        found = text.find(sentence, at)
        if found >= 0 and len(sentence.split()) > 1:
            at = found + len(sentence)
            out.append((found, at, "phrase"))
    return out


def strongest(parts: Sequence[WordPart]) -> tuple[WordPart, ...]:
    worth = [p for p in parts if abs(p.amount) >= WORTH_TELLING]
    return tuple(sorted(worth, key=lambda p: (-abs(p.amount), p.start, p.end, p.state)))


# --- voice --------------------------------------------------------------------------------------


def support(probs: dict[str, float], rubric: RubricSpec) -> dict[State, float]:
    """Acted classes → states, as the rubric maps them."""
    rows = rubric.fusion.voice_map
    return {
        s: min(1.0, sum(share * probs.get(name, 0.0) for name, share in rows[s].items()))
        for s in FELT
        if rows.get(s)
    }


def window_parts(windows: Sequence[VoiceState], rubric: RubricSpec) -> tuple[VoicePart, ...]:
    """Per stored window: support over what a window that says nothing would have, times its confidence."""
    parts = []
    for w in windows:
        for s, value in support(dict(w.probs), rubric).items():
            blank = min(0.5, rubric.fusion.voice_prior * sum(rubric.fusion.voice_map[s].values()))
            amount = round((value - blank) * w.confidence, 4)
            if abs(amount) >= WORTH_TELLING:
                parts.append(VoicePart(w.start_ms, w.end_ms, s, amount, "window"))
    return tuple(sorted(parts, key=lambda p: (p.start_ms, -abs(p.amount), p.state)))


def heard_without(turn: Turn, voice: HeardVoice, rubric: RubricSpec) -> tuple[VoicePart, ...]:
    """Per second of the turn: mean, over the windows that hold it, of support with less without it."""
    wave = voice.audio.astype(np.float32) / (32768.0 if voice.audio.dtype == np.int16 else 1.0)
    begin = max(voice.start_ms, turn.start_ms)
    end = min(voice.start_ms + len(wave) * 1000 // RATE_HZ, turn.end_ms)
    seconds = [(t, min(t + SECOND_MS, end)) for t in range(begin, end, SECOND_MS)]
    pieces: list[tuple[int, FloatSamples]] = []
    work: list[tuple[int, int, int]] = []
    for last in sorted({max(b, voice.start_ms + WINDOW_MS) for _, b in seconds}):
        start = max(voice.start_ms, last - WINDOW_MS)
        window = wave[samples(start - voice.start_ms) : samples(last - voice.start_ms)]
        base, noise = len(pieces), like_its_spectrum(window)
        pieces.append((start, window))
        for n, (a, b) in enumerate(seconds):
            if a >= start and b <= start + len(window) * 1000 // RATE_HZ:
                blank = window.copy()
                cut = slice(samples(a - start), samples(b - start))
                blank[cut] = noise[cut]
                work.append((n, base, len(pieces)))
                pieces.append((start, blank))
    scores = [support(score.probs, rubric) for score in score_all(voice.model, pieces)]
    parts = []
    for n, (a, b) in enumerate(seconds):
        pairs = [(base, less) for k, base, less in work if k == n]
        for s in scores[0] if pairs else ():
            amount = round(float(np.mean([scores[i][s] - scores[j][s] for i, j in pairs])), 4)
            if abs(amount) >= WORTH_TELLING:
                parts.append(VoicePart(a, b, s, amount, "second"))
    return tuple(sorted(parts, key=lambda p: (p.start_ms, -abs(p.amount), p.state)))


def score_all(model: VoiceModel, pieces: Sequence[tuple[int, FloatSamples]]) -> list[VoiceScore]:
    windows = [CustomerWindow.from_channel(Channel.CUSTOMER, wave, start) for start, wave in pieces]
    return model.score(windows) if windows else []


def samples(ms: int) -> int:
    return ms * RATE_HZ // 1000


def like_its_spectrum(wave: FloatSamples) -> FloatSamples:
    """Noise with the wave's own magnitude spectrum and level but no course: what it says is gone."""
    spectrum = np.fft.rfft(wave)
    phase = np.random.default_rng(NOISE_SEED).uniform(0, 2 * np.pi, len(spectrum))
    noise = np.fft.irfft(np.abs(spectrum) * np.exp(1j * phase), n=len(wave))
    return noise.astype(np.float32)


# --- fusion -------------------------------------------------------------------------------------


def fusion_parts(turn: Turn, windows: Sequence[VoiceState], rubric: RubricSpec) -> tuple[FusionPart, ...]:
    """The turn fused with both, without its words, and without any voice; strongest state first."""
    mute = replace(turn, text="", states={}, cues=())
    both, silent, wordless = (
        feeling_of(turn, windows, rubric),
        feeling_of(turn, [], rubric),
        feeling_of(mute, windows, rubric),
    )
    parts = [
        FusionPart(s, *(round(f.fused[s], 4) for f in (both, wordless, silent)))
        for s in FELT
    ]  # fmt: skip
    return tuple(sorted(parts, key=lambda p: (-p.fused, p.state)))


def feeling_of(turn: Turn, windows: Sequence[VoiceState], rubric: RubricSpec) -> Feeling:
    return trace([turn], windows, rubric.fusion).feelings[0]
