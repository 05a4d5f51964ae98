"""The nouns that cross scoring's boundaries: frozen, typed, free of any framework.

Times are milliseconds of *media* time (how far into the call's audio), never wall clock.
Audio is mono int16 at 8 kHz unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

RATE_HZ = 8000
HOP_MS = 500
HOP_SAMPLES = RATE_HZ * HOP_MS // 1000
FRAME_MS = 32
"""Of the segmenter (`listen.py`)."""
WINDOW_MS = 3000
WINDOW_SAMPLES = RATE_HZ * WINDOW_MS // 1000

Samples = npt.NDArray[np.int16]
FloatSamples = npt.NDArray[np.float32]


class Channel(StrEnum):
    CUSTOMER = "customer"
    AGENT = "agent"


class State(StrEnum):
    """What the caller seems to feel. UNSURE means "below the confidence floor", never "calm"."""

    CALM = "calm"
    FRUSTRATION = "frustration"
    ANXIETY = "anxiety"
    CONFUSION = "confusion"
    SADNESS = "sadness"
    SATISFACTION = "satisfaction"
    UNSURE = "unsure"


DISTRESS = (State.FRUSTRATION, State.ANXIETY, State.CONFUSION, State.SADNESS)
FELT = (*DISTRESS, State.SATISFACTION)


class Behaviour(StrEnum):
    """What an agent does, in words and timing (SCIENCE §3)."""

    ACKNOWLEDGE = "acknowledge"
    UNDERSTAND = "understand"
    EXPLORE = "explore"
    OWN = "own"
    REASSURE = "reassure"
    COURTESY = "courtesy"
    DISMISSIVE = "dismissive"
    BLAMING = "blaming"


HELPING = (
    Behaviour.ACKNOWLEDGE,
    Behaviour.UNDERSTAND,
    Behaviour.EXPLORE,
    Behaviour.OWN,
    Behaviour.REASSURE,
)
HARMFUL = (Behaviour.DISMISSIVE, Behaviour.BLAMING)


class Risk(StrEnum):
    CALM = "calm"
    WATCH = "watch"
    HELP = "help"


class FirewallError(TypeError):
    """Somebody tried to put other audio than the customer's before an emotion model."""


@dataclass(frozen=True, init=False)
class CustomerWindow:
    """Three seconds of *customer* audio: the only thing an emotion model accepts.

    Made by `from_channel` alone: the constructor refuses, and so does `dataclasses.replace`, and
    its samples cannot be written to. So agent audio cannot become one.
    """

    samples: FloatSamples
    """float32 [WINDOW_SAMPLES], full scale ±1, 8 kHz; zero-padded on the left when short."""
    start_ms: int

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise FirewallError("build a CustomerWindow with CustomerWindow.from_channel(...)")

    @classmethod
    def from_channel(cls, channel: Channel, samples: Samples | FloatSamples, start_ms: int) -> CustomerWindow:
        """Cut to the last WINDOW_SAMPLES, or pad; FirewallError unless it is the customer's."""
        if channel is not Channel.CUSTOMER:
            raise FirewallError(f"{channel!s} audio may not reach an emotion model")
        wave = samples.astype(np.float32)
        if samples.dtype == np.int16:
            wave = wave / np.float32(32768.0)
        wave = np.pad(wave[-WINDOW_SAMPLES:], (max(0, WINDOW_SAMPLES - len(wave)), 0))
        wave.setflags(write=False)
        window = object.__new__(cls)
        object.__setattr__(window, "samples", wave)
        object.__setattr__(window, "start_ms", start_ms)
        return window


# --- what listening makes of audio -------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    text: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True)
class Cue:
    """One piece of evidence in words: which quote says what, how strongly, how surely (0-1)."""

    label: str
    """A State or Behaviour value, or a finer cue such as "urgency"."""
    strength: float
    confidence: float
    quote: str
    source: str
    """One of "rule:<id>", "heads" or "timing": who found it."""


@dataclass(frozen=True)
class Turn:
    """One utterance. Its key in a call is (channel, start_ms)."""

    channel: Channel
    start_ms: int
    end_ms: int
    text: str
    """Redacted; "" when nothing was understood."""
    confidence: float
    """Of the transcript, 0-1."""
    words: tuple[Word, ...] = ()
    states: Mapping[str, float] = field(default_factory=dict)
    """Customer only: calibrated probability per felt state, from words alone."""
    behaviours: Mapping[str, float] = field(default_factory=dict)
    """Agent only: strength 0-1 per behaviour, from words alone."""
    cues: tuple[Cue, ...] = ()
    redacted: int = 0
    """How many spans were masked."""
    model: str = ""
    continued: bool = False
    """Cut at the longest turn length while speech went on."""


@dataclass(frozen=True)
class VoiceState:
    """What three seconds of the customer's voice sound like. Key in a call: start_ms."""

    start_ms: int
    end_ms: int
    probs: Mapping[str, float]
    """Six acted classes (angry disgust fear happy neutral sad), calibrated, summing to 1."""
    confidence: float
    speech_ms: int
    model: str


@dataclass(frozen=True)
class Speech:
    """A stretch of voice activity, for timing only."""

    channel: Channel
    start_ms: int
    end_ms: int


# --- what the engine remembers of one channel between pieces -----------------------------------


@dataclass(frozen=True)
class StreamState:
    """A pure function of the pieces heard so far, in order. Small, JSON-serialisable."""

    channel: Channel
    next_index: int = 0
    """Index of the next hop to hear (media time // HOP_MS)."""
    keep_from_index: int = 0
    """Audio from this hop on is needed again (open turn, voice window, VAD context)."""
    detail: Mapping[str, object] = field(default_factory=dict)
    """What the engine remembers; only `scoring` reads it. "ear" is the segmenter's (`listen.Segmenter`)."""

    @property
    def _ear(self) -> Mapping[str, object]:
        ear = self.detail.get("ear")
        return ear if isinstance(ear, Mapping) else {}

    @property
    def speaking(self) -> bool:
        """A stretch of speech is open at the end of what was heard."""
        return self._ear.get("stretch") is not None

    @property
    def turn_ms(self) -> int:
        """How long the open turn has lasted, whose words nobody knows yet; 0 where none is open. One that
        goes on from a forced cut is as old as can be."""
        first = 0 if self._ear.get("joined") else self._ear.get("turn")
        is_open = self._ear.get("turn") is not None
        return self.next_index * HOP_MS - first * FRAME_MS if is_open and isinstance(first, int) else 0


@dataclass(frozen=True)
class StreamWork:
    """New hops of one channel, contiguous from `state.next_index`."""

    state: StreamState
    audio: Samples
    """int16 from hop `state.keep_from_index` to the last new hop's end; lost hops are zeros."""
    hops: int
    """How many of the hops at its end are new (>= 0)."""


@dataclass(frozen=True)
class CallWork:
    call_id: str
    streams: tuple[StreamWork, ...]
    closing: bool = False
    """The call has ended: close open turns."""
    mixed: bool = False
    """Both sides are on one channel: words and timing only, no emotion, no judgement."""
    voice: bool = True
    """Whether the caller's voice may be read for feelings at all."""
    words: bool = True
    """Whether to transcribe; not where somebody else tells what is said (scoring.given)."""


@dataclass(frozen=True)
class CallHeard:
    """What one batch added to one call."""

    call_id: str
    streams: tuple[StreamState, ...]
    turns: tuple[Turn, ...]
    voice: tuple[VoiceState, ...]
    speech: tuple[Speech, ...]
    """Closed speech stretches of this batch (for overlap and dead air), both channels."""
    cpu_ms: Mapping[str, float]
    """CPU by stage: vad, asr, voice, language."""

    def speaks(self, channel: Channel) -> bool:
        return any(state.channel is channel and state.speaking for state in self.streams)

    def turn_ms(self, channel: Channel) -> int:
        return max((state.turn_ms for state in self.streams if state.channel is channel), default=0)


# --- what follows from all pieces of a call so far ---------------------------------------------


@dataclass(frozen=True)
class Contribution:
    """One line of the why-list: what moved which number, by how much, and where it is heard."""

    t_ms: int
    target: str
    """A State value or "empathy"."""
    amount: float
    """Signed, 0-1 for states, empathy points for "empathy"."""
    confidence: float
    source: str
    """One of "words", "voice", "timing"."""
    text: str
    """In plain words, e.g. 'said "third time I call"' or 'voice sounds angry (62 %)'."""
    turn_start_ms: int | None = None


@dataclass(frozen=True)
class Moment:
    """The call's state after one turn or window. Key in a call: t_ms."""

    t_ms: int
    state: State
    intensity: float
    confidence: float
    distress: float
    """0-1: strongest of the distress states, smoothed; what risk is made of."""
    empathy: float | None
    """0-100; None while there was no opportunity."""
    empathy_low: float | None
    empathy_high: float | None
    opportunities: int


@dataclass(frozen=True)
class Opportunity:
    """A caller's turn that called for empathy, and what the agent did with it (SCIENCE §4)."""

    t_ms: int
    state: State
    affect: float
    response: float | None
    """R, 0-1; None until the agent has had two turns (or one, when the call ends before the second)."""
    met: tuple[str, ...]
    missing: tuple[str, ...]
    latency_ms: int | None


@dataclass(frozen=True)
class NudgeCandidate:
    """A cue that could help now. Key in a call: (t_ms, rule)."""

    t_ms: int
    rule: str
    state: State
    missing: Behaviour
    cue: str
    phrases: tuple[str, ...] = ()
    """Up to two ways to say it: the playbook's for this state and topic, else the rule's."""
    solution: str = ""
    """What helps here, from the playbook; "" where it has nothing."""
    link: str = ""
    """Where the solution is described: https, or ""."""


@dataclass(frozen=True)
class AlertCause:
    """A reason for a supervisor to look. Key in a call: cause and episode."""

    cause: str
    """e.g. "distress-high", "dismissive", "silence": one alert per cause and episode."""
    t_ms: int
    title: str
    quote: str
    severity: Risk
    episode: int = 1
    """Counts from 1: a cause that has clearly left and comes back is a new one."""
    begin_ms: int = 0
    """When what it is about began …"""
    until_ms: int | None = None
    """… and when that was last so; None while it is."""


@dataclass(frozen=True)
class Timing:
    """Talk behaviour so far: voice activity, and words only where a pace or a hold needs them."""

    customer_talk_ms: int = 0
    agent_talk_ms: int = 0
    overlap_ms: int = 0
    floor_taking_overlaps: int = 0
    """Times the agent cut in, talked on, and the caller gave way."""
    longest_silence_ms: int = 0
    caller_floor_takings: int = 0
    """The same the other way round; nobody's fault, so never judged."""
    agent_share: float | None = None
    """The agent's part of all talk, 0-1; None while nobody has spoken."""
    response_ms: int | None = None
    """Median from the caller's end to the agent's start, 0 where they overlap; None before an answer."""
    dead_air_ms: int = 0
    """Silences over the rubric's limit that nobody announced, together."""
    hold_ms: int = 0
    """Such silences that the agent announced."""
    customer_wpm: float | None = None
    """Words per minute of own turns; None under MIN_PACE_WORDS words."""
    agent_wpm: float | None = None
    customer_syllables_s: float | None = None
    """Syllables per second, counted as `behaviour.syllables` says."""
    agent_syllables_s: float | None = None


@dataclass(frozen=True)
class AlignmentEvent:
    """One emotional event: did the words fit, how soon, and did the caller recover (SCIENCE §5)."""

    t_ms: int
    state: State
    affect: float
    fit: float | None
    """R of §4, 0-1; None while it is not settled, or when the agent never had a turn."""
    latency_ms: int | None
    """To the first fitting response; None: none so far."""
    recovery_ms: int | None
    """Until the caller is calm or satisfied and stays so; None: not yet."""


@dataclass(frozen=True)
class Alignment:
    """Response fit over a call. It is no imitation and no part of the score."""

    events: tuple[AlignmentEvent, ...] = ()
    median_latency_ms: int | None = None
    met_share: float | None = None
    """Of settled events, those with a fit from `alignment.met` on; None without any."""
    recovered_share: float | None = None
    pace_match: float | None = None
    """Diagnostic: 1 when both speak equally fast, 0.5 when one is twice as fast."""


class Loyalty(StrEnum):
    AT_RISK = "at_risk"
    STEADY = "steady"
    STRENGTHENED = "strengthened"


@dataclass(frozen=True)
class Outlook:
    """Where the relationship seems to be heading (SCIENCE §6): a prior until outcomes are imported."""

    status: Loyalty = Loyalty.STEADY
    confidence: float = 0.0
    score: float = 0.0
    """-1 (at risk) to 1 (strengthened). By a fit: how much likelier a good outcome is than usual."""
    calibrated: bool = False
    """True once fitted to, and checked against, the site's own outcomes."""
    chance: float | None = None
    """Of a good outcome, 0 to 1, calibrated; None without a fit."""
    fit: str = ""
    """Which fit said so."""
    reasons: tuple[Contribution, ...] = ()
    """Strongest first; `target` is "outlook"."""
    features: Mapping[str, float] = field(default_factory=dict)
    """What `outlook.fit_outlook` learns from."""


@dataclass(frozen=True)
class CallView:
    """Everything shown about a call, recomputable from its pieces."""

    moments: tuple[Moment, ...]
    opportunities: tuple[Opportunity, ...]
    nudges: tuple[NudgeCandidate, ...]
    alerts: tuple[AlertCause, ...]
    why: tuple[Contribution, ...]
    """Newest last."""
    timing: Timing
    risk: Risk
    reason: str
    """Why this risk, in one short sentence; "" when calm."""
    quote: str
    """The caller's last words worth showing, redacted."""
    empathy: float | None
    empathy_low: float | None
    empathy_high: float | None
    courtesy: float | None
    """C of SCIENCE §4, shown as "courtesy only" when there was no opportunity."""
    components: Mapping[str, float | None] = field(default_factory=dict)
    """E, C, L, V, P."""
    alignment: Alignment = field(default_factory=Alignment)
    outlook: Outlook = field(default_factory=Outlook)
    about: str = ""
    """What the call is about, quoted."""
    standing: str = ""
    """Where it stands: the agent's last step, quoted."""
