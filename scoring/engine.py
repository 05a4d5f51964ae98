"""The one door to scoring: audio of many calls in, turns and voice states out.

`hear` is a pure function of each stream's pieces in order. It batches over calls, measures CPU by
stage, keeps agents' audio from the emotion model, and lets nothing unredacted out. It knows no
Django, no database and no wall clock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring import given, listen, redact
from scoring.speech import Transcriber, Transcript, load_speech
from scoring.types import (
    HOP_MS,
    HOP_SAMPLES,
    CallHeard,
    CallView,
    CallWork,
    Channel,
    CustomerWindow,
    Samples,
    Speech,
    StreamState,
    StreamWork,
    Turn,
    VoiceState,
    Word,
)
from scoring.voice import Baseline

if TYPE_CHECKING:
    from scoring.language import LanguageModel, Reading
    from scoring.rubric import RubricSpec
    from scoring.voice import VoiceModel, VoiceScore

log = logging.getLogger(__name__)

SAID_TURNS = 2  # earlier texts of the same speaker that the language model gets
NOT_TRANSCRIBED = "not transcribed: over budget"
BUDGETED_GROUP = 4  # turns between two looks at the budget
STAGES = ("vad", "asr", "voice", "language")


class EngineError(RuntimeError):
    """Nothing of a batch could be heard; the text names the calls."""


class BadWork(ValueError):
    """A StreamWork whose audio is not what its state asks for."""


@dataclass
class _Utterance:
    """A turn on its way: its span, its audio, then its words."""

    stream: _Stream
    span: listen.Span
    audio: Samples
    transcript: Transcript | None = None
    redacted: redact.Redacted | None = None
    again: bool = False
    """The turn was told before, with less of it. Without words this telling says nothing."""
    previous: tuple[str, ...] = ()
    turn: Turn | None = None


@dataclass(frozen=True)
class _Before:
    """What the stream carried before its last turn, since that turn may come again with more words."""

    start_ms: int = -1
    carry: redact.Carry = field(default_factory=redact.Carry)
    said: tuple[str, ...] = ()
    end_ms: int = -1
    """Start and end are that turn's."""

    def dump(self) -> dict[str, object]:
        said, carry = list(self.said), self.carry.dump()
        return {"start_ms": self.start_ms, "end_ms": self.end_ms, "carry": carry, "said": said}

    @classmethod
    def load(cls, detail: Mapping[str, Any]) -> _Before:
        if not detail:
            return cls()
        carry = redact.Carry.load(detail["carry"])
        return cls(detail["start_ms"], carry, tuple(detail["said"]), detail.get("end_ms", -1))


@dataclass
class _Stream:
    """One channel of one call on its way through a batch."""

    call: _Call
    work: StreamWork
    ear: listen.Ear
    carry: redact.Carry
    said: list[str]
    before: _Before
    baseline: Baseline
    """What the customer has sounded like so far; the agent's stays empty."""
    segmenter: listen.Segmenter = field(default_factory=listen.Segmenter)
    heard: listen.Heard = field(default_factory=lambda: listen.Heard((), (), ()))

    @property
    def channel(self) -> Channel:
        return self.work.state.channel

    def left_for(self, start_ms: int) -> list[redact.Carry]:
        """What this side's turns leave behind for a turn of the other side that starts then.

        A turn that went on past that start was perhaps not yet heard: what came before it counts too.
        """
        return [self.carry, self.before.carry] if self.before.end_ms > start_ms else [self.carry]

    def cut(self, start_ms: int, end_ms: int) -> Samples:
        return listen.cut(self.ear.audio, self.ear.first_sample, start_ms, end_ms)

    def state(self) -> StreamState:
        keep = max(self.segmenter.keep_from_hop(self.channel), self.work.state.keep_from_index)
        detail = {
            "ear": self.segmenter.dump(),
            "carry": self.carry.dump(),
            "said": self.said,
            "before": self.before.dump(),
        }
        if self.baseline.count:
            detail["voice"] = self.baseline.dump()
        return StreamState(self.channel, self.segmenter.hop, min(keep, self.segmenter.hop), detail)


@dataclass
class _Call:
    work: CallWork
    streams: list[_Stream] = field(default_factory=list)
    voice: list[VoiceState] = field(default_factory=list)
    utterances: list[_Utterance] = field(default_factory=list)
    cpu_ms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def heard(self) -> CallHeard:
        turns = {(t.channel, t.start_ms): t for u in self.utterances if (t := u.turn) is not None}.values()
        return CallHeard(
            call_id=self.work.call_id,
            streams=tuple(stream.state() for stream in self.streams),
            turns=tuple(sorted(turns, key=lambda turn: (turn.start_ms, turn.channel))),
            voice=tuple(self.voice),
            speech=tuple(s for stream in self.streams for s in stream.heard.speech),
            cpu_ms=self.cpu_ms,
        )


@dataclass(frozen=True)
class ScoredRecording:
    """A whole recording, as a live call would have been scored."""

    turns: tuple[Turn, ...]
    voice: tuple[VoiceState, ...]
    speech: tuple[Speech, ...]
    view: CallView
    seconds: float
    cpu_ms: Mapping[str, float]
    rubric: str
    """Name and version of the rubric behind the view."""


@dataclass
class Engine:
    """Build it with load_engine. Models load on first use or in warm(); keep one per process."""

    vad: listen.VoiceActivity
    speech: Transcriber
    voice: VoiceModel
    language: LanguageModel

    @cached_property
    def version(self) -> str:
        return (
            f"engine/1 vad/{self.vad.version} voice/{self.voice.version} "
            f"speech/{self.speech.version} language/{self.language.version}"
        )

    def warm(self) -> None:
        """Run every model once, so that no call waits for the first time."""
        noise = (np.random.default_rng(0).standard_normal(2 * HOP_SAMPLES) * 500).astype(np.int16)
        self.vad.run(
            np.zeros((1, listen.CONTEXT + listen.FRAME), np.float32),
            np.zeros(listen.STATE_SHAPE, np.float32),
        )
        self.speech.transcribe([noise])
        self.voice.score([CustomerWindow.from_channel(Channel.CUSTOMER, noise, 0)])
        self.language.read([_turn_text(Channel.CUSTOMER, "Hello.", ())])

    def hear(self, work: Sequence[CallWork], *, speech_budget: float | None = None) -> list[CallHeard]:
        """What the new hops of each call held, in the order of `work`.

        A call that cannot be heard is left out of the answer and logged with its cause; the others
        are not hurt by it. Raises EngineError when none could be. `speech_budget` is the seconds
        of CPU this batch may spend on transcribing; turns past it come out without words and say
        so (the customers' turns go first).
        """
        if not work:
            return []
        heard = list(self._hear_what_can_be(work, speech_budget))
        if not heard:
            raise EngineError(f"could not hear {', '.join(call.call_id for call in work)}")
        return heard

    def _hear_what_can_be(self, work: Sequence[CallWork], budget: float | None) -> Iterator[CallHeard]:
        """Halve a failing batch until the failing call stands alone. Hearing again is harmless."""
        try:
            yield from self._hear(work, budget)
        except Exception:
            if len(work) == 1:
                log.exception("could not hear call %s", work[0].call_id)
                return
            half = len(work) // 2
            yield from self._hear_what_can_be(work[:half], budget)
            yield from self._hear_what_can_be(work[half:], budget)

    def _hear(self, work: Sequence[CallWork], budget: float | None) -> list[CallHeard]:
        calls = [_open(call) for call in work]
        self._listen(calls)
        self._read_voices(calls)
        self._transcribe(calls, budget)
        self._read_words(calls)
        return [call.heard() for call in calls]

    def _listen(self, calls: Sequence[_Call]) -> None:
        streams = [stream for call in calls for stream in call.streams]
        with _cpu() as cpu:
            activities = listen.activity([stream.ear for stream in streams], self.vad)
            for stream, activity in zip(streams, activities, strict=True):
                stream.segmenter, stream.heard = listen.listen(
                    stream.ear, activity, stream.channel, closing=stream.call.work.closing
                )
            for call in calls:
                call.utterances = [
                    _Utterance(stream, span, stream.cut(span.start_ms, span.end_ms))
                    for stream in (call.streams if call.work.words else ())
                    for span in _worth_telling(stream)
                ]
        _share(cpu, "vad", [(stream.call, stream.ear.hops) for stream in streams])

    def _read_voices(self, calls: Sequence[_Call]) -> None:
        """The only way to the emotion model: customers' windows, of calls with a channel each."""
        wanted = [
            (stream, span)
            for call in calls
            if call.work.voice and not call.work.mixed
            for stream in call.streams
            for span in stream.heard.windows
        ]
        if not wanted:
            return
        with _cpu() as cpu:
            scores = self.voice.score(
                [
                    CustomerWindow.from_channel(
                        stream.channel, stream.cut(span.start_ms, span.end_ms), span.start_ms
                    )
                    for stream, span in wanted
                ],
                [stream.baseline for stream, _ in wanted],
            )
            for (stream, span), score in zip(wanted, scores, strict=True):
                stream.call.voice.append(_voice_state(span, score))
        _share(cpu, "voice", [(stream.call, 1) for stream, _ in wanted])

    def _transcribe(self, calls: Sequence[_Call], budget: float | None) -> None:
        """Customers first, in groups, until the budget (in seconds of CPU) is spent."""
        todo = [utterance for call in calls for utterance in call.utterances]
        todo.sort(key=lambda utterance: utterance.stream.channel is Channel.AGENT)
        size = len(todo) if budget is None else BUDGETED_GROUP
        spent_ms = 0.0
        for start in range(0, len(todo), max(1, size)):
            if budget is not None and spent_ms >= budget * 1000:
                return
            group = todo[start : start + size]
            with _cpu() as cpu:
                transcripts = self.speech.transcribe([utterance.audio for utterance in group])
            for utterance, transcript in zip(group, transcripts, strict=True):
                utterance.transcript = transcript
            spent_ms += cpu[0]
            _share(cpu, "asr", [(u.stream.call, len(u.audio)) for u in group])

    def _read_words(self, calls: Sequence[_Call]) -> None:
        """Redact first: from here on nobody sees what was masked."""
        utterances = [utterance for call in calls for utterance in call.utterances]
        if not utterances:
            return
        with _cpu() as cpu:
            for utterance in sorted(utterances, key=lambda u: (u.span.told_ms, u.span.start_ms)):
                _redact(utterance)
            told = [u for u in utterances if _text(u) and not u.stream.call.work.mixed]
            readings = self.language.read([_turn_text(u.stream.channel, _text(u), u.previous) for u in told])
            for utterance in utterances:
                if not (utterance.again and not _text(utterance)):
                    utterance.turn = self._turn(utterance)
            for utterance, reading in zip(told, readings, strict=True):
                assert utterance.turn is not None
                customer = utterance.stream.channel is Channel.CUSTOMER
                utterance.turn = replace(
                    utterance.turn,
                    states=reading.states if customer else {},
                    behaviours={} if customer else reading.behaviours,
                    cues=reading.cues,
                )
        _share(cpu, "language", [(u.stream.call, 1) for u in utterances])

    def read_given(self, clean: Sequence[given.Clean]) -> list[Turn]:
        """Turns that somebody else transcribed, masked before they came here: one for each, in this order."""
        readings = self.language.read([_turn_text(one.said.channel, one.text, one.previous) for one in clean])
        return [_given_turn(one, reading) for one, reading in zip(clean, readings, strict=True)]

    def _turn(self, utterance: _Utterance) -> Turn:
        span, heard, clean = utterance.span, utterance.transcript, utterance.redacted
        blank = Turn(
            channel=utterance.stream.channel,
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            text="",
            confidence=0.0,
            model=NOT_TRANSCRIBED,
            continued=span.continued,
        )
        if heard is None or clean is None:
            return blank
        return replace(
            blank,
            text=clean.text,
            confidence=heard.confidence,
            words=_words(heard, clean, span.start_ms),
            redacted=len(clean.masks),
            model=self.speech.version,
        )

    def score_recording(
        self,
        customer: Samples,
        agent: Samples | None = None,
        rubric: RubricSpec | None = None,
        *,
        mixed: bool = False,
        hops_per_step: int = 2,
    ) -> ScoredRecording:
        """Score int16 8 kHz recordings hop by hop, through the same `hear` as a live call.

        `mixed` says that `customer` holds both sides: it gets a transcript and timing, but no
        emotion and no judgement, since nobody knows who speaks.
        """
        from scoring.rubric import default_rubric
        from scoring.view import unique_turns, view

        rubric = rubric or default_rubric()
        heard = list(self.hear_recording(customer, agent, mixed=mixed, hops_per_step=hops_per_step))
        turns = tuple(unique_turns([turn for part in heard for turn in part.turns]))
        voice = tuple(state for part in heard for state in part.voice)
        speech = tuple(stretch for part in heard for stretch in part.speech)
        now_ms = max(len(customer), 0 if agent is None else len(agent)) * HOP_MS // HOP_SAMPLES
        return ScoredRecording(
            turns=turns,
            voice=voice,
            speech=speech,
            view=view(turns, voice, speech, rubric, now_ms=now_ms, closed=True),
            seconds=now_ms / 1000,
            cpu_ms={stage: sum(part.cpu_ms.get(stage, 0.0) for part in heard) for stage in STAGES},
            rubric=rubric.name,
        )

    def hear_recording(
        self,
        customer: Samples,
        agent: Samples | None = None,
        *,
        mixed: bool = False,
        hops_per_step: int = 2,
    ) -> Iterator[CallHeard]:
        """What each step of a recording added, as if it arrived live; the last part closes it."""
        waves = {Channel.CUSTOMER: _whole_hops(customer)}
        if agent is not None:
            waves[Channel.AGENT] = _whole_hops(agent)
        states = {channel: StreamState(channel) for channel in waves}
        last = max(len(wave) for wave in waves.values()) // HOP_SAMPLES
        for end in [*range(hops_per_step, last, hops_per_step), last]:
            streams = tuple(piece(states[c], wave, end) for c, wave in waves.items())
            work = CallWork("recording", streams, closing=end == last, mixed=mixed)
            [part] = self.hear([work])
            states = {state.channel: state for state in part.streams}
            yield part


def load_engine(
    stand_in: bool = False,
    *,
    voice: str | None = None,
    speech: str | None = None,
    language: str | None = None,
    device: str = "cpu",
) -> Engine:
    """An engine with the configured models, or with deterministic stand-ins that take no time.

    `voice` and `speech` name a model, a folder or "stand-in"; `language` only "stand-in". Raises
    scoring.assets.AssetMissing when a model is not on this machine.
    """
    from scoring.language import load_language
    from scoring.voice import load_voice

    stand = "stand-in" if stand_in else None
    speech_model = stand or speech
    return Engine(
        vad=listen.StandInActivity() if stand_in else listen.Silero(),
        speech=load_speech(speech_model, device),
        voice=load_voice(stand or voice, device),
        language=load_language(stand_in=stand_in or language == "stand-in"),
    )


def piece(state: StreamState, wave: Samples, end_hop: int) -> StreamWork:
    """The work of hearing `wave` (from media time 0) up to `end_hop`; what is missing is zeros."""
    end = max(end_hop, state.next_index)
    audio = wave[state.keep_from_index * HOP_SAMPLES : end * HOP_SAMPLES]
    short = (end - state.keep_from_index) * HOP_SAMPLES - len(audio)
    return StreamWork(state, np.pad(audio, (0, short)), end - state.next_index)


# --- small steps ----------------------------------------------------------------------------


def _open(work: CallWork) -> _Call:
    call = _Call(work)
    for stream in work.streams:
        state = stream.state
        hops = state.next_index + stream.hops - state.keep_from_index
        if stream.hops < 0 or len(stream.audio) != hops * HOP_SAMPLES:
            raise BadWork(
                f"{work.call_id}/{state.channel}: {len(stream.audio)} samples, expected "
                f"{hops} hops of {HOP_SAMPLES} (from hop {state.keep_from_index})"
            )
        detail: Mapping[str, Any] = state.detail
        ear = listen.Ear(
            listen.Segmenter.load(detail.get("ear", {}), state.next_index),
            np.asarray(stream.audio, dtype=np.int16),
            state.keep_from_index * HOP_SAMPLES,
            stream.hops,
        )
        carry = redact.Carry.load(detail.get("carry", {}))
        before = _Before.load(detail.get("before", {}))
        baseline = Baseline.load(detail.get("voice", {}))
        call.streams.append(_Stream(call, stream, ear, carry, list(detail.get("said", ())), before, baseline))
    return call


def _worth_telling(stream: _Stream) -> list[listen.Span]:
    """Of a turn told twice in one batch only the longer, unless the other side was told between the two:
    what it said is masked by what had been heard by then."""
    spans = stream.heard.turns
    others = [s.told_ms for o in stream.call.streams if o is not stream for s in o.heard.turns]
    last = {span.start_ms: span for span in spans}
    return [
        span
        for span in spans
        if span is last[span.start_ms]
        or any(span.told_ms <= told <= last[span.start_ms].told_ms for told in others)
    ]


def _redact(utterance: _Utterance) -> None:
    """Also moves what the stream carries to its next turn; a reopened turn starts from what was before it.

    What the other side asked for or reads out colours it: a bare "nine one two" after "the security code?".
    Turns come in the order in which they were known, so that batches cut otherwise mask the same.
    """
    stream, heard, span = utterance.stream, utterance.transcript, utterance.span
    before, utterance.again = stream.before, span.start_ms == stream.before.start_ms
    carry, said = (before.carry, before.said) if utterance.again else (stream.carry, tuple(stream.said))
    utterance.previous = said
    if heard is None:
        if not utterance.again:
            stream.before = _Before(span.start_ms, carry, said, span.end_ms)
        return
    others = [c for o in stream.call.streams if o is not stream for c in o.left_for(span.start_ms)]
    utterance.redacted = redact.redact(heard.text, carry, others)
    if utterance.again and not utterance.redacted.text:
        return
    stream.before = _Before(span.start_ms, carry, said, span.end_ms)
    stream.carry = utterance.redacted.carry
    if utterance.redacted.text:
        stream.said = [*said, utterance.redacted.text][-SAID_TURNS:]
    else:
        stream.said = list(said)


def _text(utterance: _Utterance) -> str:
    return utterance.redacted.text if utterance.redacted else ""


def _given_turn(one: given.Clean, reading: Reading) -> Turn:
    customer, said = one.said.channel is Channel.CUSTOMER, one.said
    return Turn(
        channel=said.channel,
        start_ms=said.start_ms,
        end_ms=said.end_ms,
        text=one.text,
        confidence=said.confidence,
        states=reading.states if customer and one.text else {},
        behaviours=reading.behaviours if not customer and one.text else {},
        cues=reading.cues if one.text else (),
        redacted=one.masks,
        model=given.MODEL,
    )


def _words(heard: Transcript, clean: redact.Redacted, start_ms: int) -> tuple[Word, ...]:
    """The words in media time; those under a mask become one, named by its label."""
    words: list[Word] = []
    at, masked = 0, -1
    for word in heard.words:
        begin = heard.text.index(word.text, at)
        at = begin + len(word.text)
        place = next((i for i, m in enumerate(clean.masks) if m.start < at and begin < m.end), -1)
        times = (start_ms + word.start_ms, start_ms + word.end_ms)
        if place >= 0 and place == masked:
            words[-1] = replace(words[-1], end_ms=times[1])
            continue
        masked = place
        text = word.text if place < 0 else f"[{clean.masks[place].label}]"
        words.append(Word(text, *times, confidence=word.confidence))
    return tuple(words)


def _voice_state(span: listen.WindowSpan, score: VoiceScore) -> VoiceState:
    return VoiceState(
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        probs=score.probs,
        confidence=score.confidence,
        speech_ms=span.speech_ms,
        model=score.model,
    )


def _turn_text(channel: Channel, text: str, previous: tuple[str, ...]) -> Any:
    from scoring.language import TurnText

    return TurnText(channel=channel, text=text, previous=previous)


def _whole_hops(samples: Samples) -> Samples:
    return np.pad(samples, (0, -len(samples) % HOP_SAMPLES))


@contextmanager
def _cpu() -> Iterator[list[float]]:
    """Milliseconds of CPU of the block, in a list once it ends.

    Of the process, since CTranslate2 computes on a thread of its own: right in a worker that does
    one thing at a time, too high beside other threads.
    """
    spent: list[float] = []
    start = time.process_time()
    yield spent
    spent.append((time.process_time() - start) * 1000)


def _share(cpu: Sequence[float], stage: str, parts: Sequence[tuple[_Call, int]]) -> None:
    """Charge each call its part of what a batch cost."""
    total = sum(amount for _, amount in parts)
    for call, amount in parts:
        if total:
            call.cpu_ms[stage] += cpu[0] * amount / total
