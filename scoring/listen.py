"""Who speaks when, on one channel: voice activity, speech stretches, turns, voice windows.

Every step is a pure function of the state and the new hops, so that hops fed one by one, in threes
or all at once give the same turns. It knows nothing of words, models of emotion, or calls.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from scoring.types import FRAME_MS, HOP_MS, HOP_SAMPLES, RATE_HZ, WINDOW_MS, Channel, Samples, Speech

# Frames of silero's 8 kHz model; its recurrent state is carried, so each frame costs once.
FRAME = 256
CONTEXT = 32
STATE_SHAPE = (2, 1, 128)

# Thresholds: silero's own hysteresis, and telephone silence (comfort noise is about -62 dBFS).
ON, OFF = 0.5, 0.35
FLOOR_RMS = 33.0  # -60 dBFS

# Segmentation, in frames of 32 ms.
GAP = 6  # 192 ms end a stretch (timing)
# Speech without a pause is handed out in parts of 2 s: what nobody was told of looks like silence.
PART = 62
ENDPOINT = 13  # 416 ms end a turn
MIN_SPEECH = 6  # 192 ms of voice, or it is no turn
LONGEST = 375  # 12 s
CUT_IN = 31  # a forced cut falls on the quietest frame of the last second
PAD = 4  # 128 ms on both sides of a turn
# A pause for thought is not the end: who goes on so soon reopens the turn just ended, as long as it is
# short. It comes again under the same start with all its words, and recognition has heard them together.
REOPEN = 37  # 1.2 s of silence at most …
REOPENABLE = 125  # … after a turn of at most 4 s: more would cost a third more recognition

# Voice windows of the customer.
GRID_HOPS = 3  # one per 1.5 s …
GRID_SPEECH = 31  # … when 1 s of its 3 s is speech
END_SPEECH = 19  # at the end of a turn with 0.6 s of speech that had none
WINDOW_FRAMES = WINDOW_MS // FRAME_MS + 1

UNTOLD_MS = (PART + GAP + 1) * FRAME_MS
"""Speech that began longer ago than this has been handed out, at least its first part."""


class VoiceActivity(Protocol):
    """Speech probability per frame."""

    version: str

    def run(
        self, frames: npt.NDArray[np.float32], state: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """[batch, CONTEXT + FRAME] in ±1, [2, batch, 128] → probability [batch], new state."""


class Silero:
    """silero-vad by ONNX Runtime: one thread; batches give bit-identical results."""

    version = "silero-6.2.3"

    def __init__(self) -> None:
        import onnxruntime as ort

        from scoring.assets import silero_vad_onnx

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            str(silero_vad_onnx()), options, providers=["CPUExecutionProvider"]
        )
        self._rate = np.array(RATE_HZ, dtype=np.int64)

    def run(
        self, frames: npt.NDArray[np.float32], state: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        probs, new = self._session.run(None, {"input": frames, "state": state, "sr": self._rate})
        return np.asarray(probs)[:, 0], np.asarray(new)


class StandInActivity:
    """Speech is whatever is louder than -40 dBFS. For tests."""

    version = "stand-in"

    def run(
        self, frames: npt.NDArray[np.float32], state: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        loud = np.sqrt((frames[:, CONTEXT:] ** 2).mean(axis=1)) > 0.01
        return loud.astype(np.float32), state


@dataclass(frozen=True)
class Span:
    """A turn before anybody knows its words. Times include the pad."""

    start_ms: int
    end_ms: int
    continued: bool
    told_ms: int
    """How far the call was when it was known to have ended, however it is cut into batches."""


@dataclass(frozen=True)
class WindowSpan:
    """A voice window to score: audio [start_ms, end_ms), at most WINDOW_MS long."""

    start_ms: int
    end_ms: int
    speech_ms: int


@dataclass(frozen=True)
class Heard:
    """What new hops of one channel held."""

    turns: tuple[Span, ...]
    speech: tuple[Speech, ...]
    windows: tuple[WindowSpan, ...]


@dataclass
class Segmenter:
    """The state between hops; every number is a frame index since the call's start."""

    frame: int = 0
    """Next frame to hear."""
    hop: int = 0
    """Next hop to hear."""
    rnn: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(STATE_SHAPE, np.float32))
    speaking: bool = False
    """Hysteresis: between ON and OFF it stays what it was."""
    recent: str = ""
    """"1" / "0" per frame, newest last, as many as a voice window holds."""
    stretch: int | None = None
    """First frame of the open stretch."""
    turn: int | None = None
    """First frame of the open turn, without its pad."""
    joined: bool = False
    """The open turn goes on from a forced cut: it gets no pad on its left."""
    last: int = 0
    """One past the last frame with speech."""
    voiced: int = 0
    """Frames of speech in the open turn."""
    windowed: bool = False
    """The open turn has had a voice window."""
    loud: list[int] = field(default_factory=list)
    """RMS of the newest CUT_IN frames of a long open turn."""
    ended: tuple[int, bool, int] | None = None
    """First frame, `joined` and `voiced` of the turn that ended last, while it may be reopened."""
    told: int = 0
    """`voiced` of the open turn when it was told before; 0 unless it was reopened."""

    @classmethod
    def load(cls, detail: Mapping[str, Any], next_hop: int = 0) -> Segmenter:
        """From `dump`; without it, a fresh start at a hop (of a call, or after given-up audio)."""
        if not detail:
            frame = next_hop * HOP_SAMPLES // FRAME
            return cls(frame=frame, hop=next_hop, last=frame)
        rnn = np.frombuffer(base64.b64decode(detail["rnn"]), dtype="<f4").reshape(STATE_SHAPE)
        ended = tuple(detail["ended"]) if detail.get("ended") else None
        return cls(**{**detail, "rnn": rnn, "loud": list(detail["loud"]), "ended": ended})

    def dump(self) -> dict[str, object]:
        rnn = base64.b64encode(np.asarray(self.rnn, dtype="<f4").tobytes()).decode()
        return {**vars(self), "rnn": rnn, "loud": list(self.loud)}

    def keep_from_hop(self, channel: Channel) -> int:
        """The first hop whose audio is needed again."""
        first = self.frame * FRAME - CONTEXT - PAD * FRAME
        for start in (self.turn, self.ended[0] if self.ended else None):
            if start is not None:
                first = min(first, (start - PAD) * FRAME)
        if channel is Channel.CUSTOMER:
            first = min(first, self.hop * HOP_SAMPLES - WINDOW_MS * RATE_HZ // 1000)
        return max(0, first // HOP_SAMPLES)


# --- voice activity over many streams -------------------------------------------------------


@dataclass(frozen=True)
class Ear:
    """One stream's audio, with the media sample at which it begins, and how many hops are new."""

    segmenter: Segmenter
    audio: Samples
    first_sample: int
    hops: int

    @property
    def frames(self) -> int:
        """How many whole frames the new hops complete."""
        return ((self.segmenter.hop + self.hops) * HOP_SAMPLES) // FRAME - self.segmenter.frame


@dataclass(frozen=True)
class Activity:
    probs: npt.NDArray[np.float32]
    loudness: npt.NDArray[np.float32]
    """RMS per frame, int16 scale."""
    rnn: npt.NDArray[np.float32]


def activity(ears: Sequence[Ear], model: VoiceActivity) -> list[Activity]:
    """Speech probability of every new frame; streams advance in step, one batch per frame.

    A frame under the energy floor is silence without asking the model.
    """
    cuts = [_frames(ear) for ear in ears]
    loudness = [np.sqrt((cut[:, CONTEXT:] ** 2).mean(axis=1)) * 32768.0 for cut in cuts]
    probs = [np.zeros(len(cut), np.float32) for cut in cuts]
    states = [ear.segmenter.rnn for ear in ears]
    for step in range(max((len(cut) for cut in cuts), default=0)):
        active = [i for i, cut in enumerate(cuts) if step < len(cut) and loudness[i][step] >= FLOOR_RMS]
        if not active:
            continue
        batch = np.stack([cuts[i][step] for i in active])
        got, new = model.run(batch, np.concatenate([states[i] for i in active], axis=1))
        for place, i in enumerate(active):
            probs[i][step] = got[place]
            states[i] = new[:, place : place + 1]
    return [Activity(*each) for each in zip(probs, loudness, states, strict=True)]


def _frames(ear: Ear) -> npt.NDArray[np.float32]:
    """The new frames with their left context: float32 [frames, CONTEXT + FRAME]."""
    start = ear.segmenter.frame * FRAME - CONTEXT - ear.first_sample
    wave = ear.audio.astype(np.float32) / np.float32(32768.0)
    if start < 0:
        wave, start = np.concatenate([np.zeros(-start, np.float32), wave]), 0
    if ear.frames <= 0:
        return np.zeros((0, CONTEXT + FRAME), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(wave[start:], CONTEXT + FRAME)
    return np.ascontiguousarray(windows[::FRAME][: ear.frames])


# --- segmentation ---------------------------------------------------------------------------


def listen(ear: Ear, heard: Activity, channel: Channel, *, closing: bool) -> tuple[Segmenter, Heard]:
    """Advance one stream by its new hops; `closing` also ends what is open."""
    walk = _Walk(replace(ear.segmenter, rnn=heard.rnn, loud=list(ear.segmenter.loud)), channel)
    speech = heard.probs
    at = 0
    for _ in range(ear.hops):
        end = (walk.now.hop + 1) * HOP_SAMPLES // FRAME
        while walk.now.frame < end:
            walk.frame(float(speech[at]), int(heard.loudness[at]))
            at += 1
        walk.hop()
    if closing:
        walk.close()
    return walk.now, Heard(tuple(walk.turns), tuple(walk.speech), tuple(walk.windows))


class _Walk:
    """One pass over new frames, collecting what closes on the way."""

    def __init__(self, now: Segmenter, channel: Channel) -> None:
        self.now = now
        self.channel = channel
        self.turns: list[Span] = []
        self.speech: list[Speech] = []
        self.windows: list[WindowSpan] = []

    def frame(self, prob: float, loudness: int) -> None:
        now = self.now
        now.speaking = prob >= (OFF if now.speaking else ON)
        now.recent = (now.recent + ("1" if now.speaking else "0"))[-WINDOW_FRAMES:]
        now.frame += 1
        if now.speaking:
            self._speech_frame()
        self._close_due()
        if now.turn is not None:
            now.loud = [*now.loud, loudness][-CUT_IN:]
            if now.frame - now.turn >= LONGEST:
                self._cut()

    def _speech_frame(self) -> None:
        now = self.now
        if now.stretch is None:
            now.stretch = now.frame - 1
        if now.turn is None:
            now.windowed = now.ended is not None and now.ended[2] >= END_SPEECH
            now.turn, now.joined, now.voiced = now.ended or (now.frame - 1, False, 0)
            now.told, now.loud, now.ended = now.voiced, [], None
        now.voiced += 1
        now.last = now.frame

    def _close_due(self) -> None:
        now = self.now
        silence = now.frame - now.last
        if now.stretch is not None and (silence >= GAP or (now.speaking and now.frame - now.stretch >= PART)):
            self._end_stretch(now.last)  # who goes on speaking opens the next one at once
        if now.turn is not None and silence >= ENDPOINT:
            self._end_turn(min(now.last + PAD, now.frame), continued=False)
        if now.ended is not None and silence >= REOPEN:
            now.ended = None

    def _end_stretch(self, end: int) -> None:
        assert self.now.stretch is not None
        self.speech.append(Speech(self.channel, _ms(self.now.stretch), _ms(end)))
        self.now.stretch = None

    def _end_turn(self, end: int, *, continued: bool) -> None:
        now = self.now
        assert now.turn is not None
        start = now.turn if now.joined else max(0, now.turn - PAD)
        again = (now.turn, now.joined, now.told) if now.told else None
        if now.voiced - now.told >= MIN_SPEECH or continued:
            self.turns.append(Span(_ms(start), _ms(end), continued, _ms(now.frame)))
            if now.voiced >= END_SPEECH and not now.windowed:
                self._window_at_end(_ms(start), _ms(end))
            again = now.turn, now.joined, now.voiced
        now.ended = again if now.last - now.turn <= REOPENABLE and not continued else None
        now.told = 0
        now.turn, now.voiced, now.windowed, now.joined, now.loud = None, 0, False, False, []

    def _cut(self) -> None:
        """End a turn that is too long at the quietest frame of its last second; it goes on there."""
        now = self.now
        back = len(now.loud) - int(np.argmin(now.loud))
        at = now.frame - back
        tail = now.recent[-back:]
        goes_on = "1" in tail
        stretch_open = now.stretch is not None and now.stretch < at
        if stretch_open:
            self._end_stretch(min(at, now.last))
        self._end_turn(at, continued=goes_on)
        if goes_on:
            now.stretch = at if stretch_open else now.stretch
            now.turn, now.joined, now.voiced, now.told = at, True, tail.count("1"), 0

    def hop(self) -> None:
        now = self.now
        now.hop += 1
        end_ms = now.hop * HOP_MS
        if self.channel is not Channel.CUSTOMER or now.hop % GRID_HOPS or end_ms < WINDOW_MS:
            return
        voiced = now.recent[-(WINDOW_FRAMES - 1) :].count("1")
        if voiced >= GRID_SPEECH:
            self.windows.append(WindowSpan(end_ms - WINDOW_MS, end_ms, voiced * FRAME_MS))
            now.windowed = now.windowed or now.turn is not None

    def _window_at_end(self, start_ms: int, end_ms: int) -> None:
        if self.channel is not Channel.CUSTOMER:
            return
        start_ms = max(start_ms, end_ms - WINDOW_MS)
        if start_ms % (GRID_HOPS * HOP_MS) == 0:
            start_ms += 1  # start_ms is a window's key; the grid owns these
        self.windows.append(WindowSpan(start_ms, end_ms, min(self.now.voiced * FRAME_MS, WINDOW_MS)))

    def close(self) -> None:
        now = self.now
        if now.stretch is not None:
            self._end_stretch(now.last)
        if now.turn is not None:
            self._end_turn(min(now.last + PAD, now.frame), continued=False)
        now.speaking = False


def _ms(frame: int) -> int:
    return frame * FRAME_MS


def cut(audio: Samples, first_sample: int, start_ms: int, end_ms: int) -> Samples:
    """The part of `audio` (which begins at media sample `first_sample`) between two media times."""
    per_ms = RATE_HZ // 1000
    start = max(0, start_ms * per_ms - first_sample)
    return audio[start : max(start, end_ms * per_ms - first_sample)]
