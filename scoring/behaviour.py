"""When people speak: turns of talk, overlaps, silences, pace. Words are counted, never weighed.

Works for both channels from voice activity alone; nothing here is an emotion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .rubric import TimingRules
from .types import Channel, Speech, Timing, Turn

BACKCHANNEL_WORDS = 2
BACKCHANNEL_STRENGTH = 0.3
AN_ANSWER_MS = 1000
"""In less than that nobody answers a need."""
HUM_PAD_MS = 200
"""Speech is timed a little differently from the turn that it belongs to."""
MIN_PACE_WORDS = 20
"""A pace is not told from fewer words."""
VOWELS = re.compile(r"[aeiouy]+")
SPOKEN = re.compile(r"[a-z0-9']+")


@dataclass(frozen=True)
class Exchange:
    """What one speaker says before the other answers: one turn in the sense of SCIENCE §4."""

    channel: Channel
    turns: tuple[Turn, ...]

    @property
    def start_ms(self) -> int:
        return self.turns[0].start_ms

    @property
    def end_ms(self) -> int:
        return max(turn.end_ms for turn in self.turns)


@dataclass(frozen=True)
class Silence:
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class TalkPattern:
    timing: Timing
    floor_takings: tuple[int, ...]
    """When the agent took the floor from the caller, ms."""
    silences: tuple[Silence, ...]
    """Longer than the rubric's limit, nobody speaking …"""
    announced: tuple[Silence, ...]
    """… and those of them that the agent had announced."""
    agent: tuple[tuple[int, int], ...]
    """The agent's joined stretches of speech."""
    agent_unheard: tuple[tuple[int, int], ...] = ()
    """Stretches in which the agent may have said something that never reached us."""

    def may_have_spoken(self, start_ms: int, end_ms: int) -> bool:
        """The agent, unheard, between these times: long enough for an answer."""
        return any(
            min(end, end_ms) - max(start, start_ms) >= AN_ANSWER_MS for start, end in self.agent_unheard
        )


def exchanges(turns: Sequence[Turn], rules: TimingRules) -> list[Exchange]:
    """Join one speaker's utterances; listening sounds ("mm-hm") do not break the other's turn."""
    runs: list[list[Turn]] = []
    for turn in turns:
        if is_backchannel(turn):
            continue
        last = runs[-1][-1] if runs else None
        same = last is not None and last.channel is turn.channel
        if same and last is not None and turn.start_ms - last.end_ms <= rules.turn_gap_ms:
            runs[-1].append(turn)
        else:
            runs.append([turn])
    return [Exchange(run[0].channel, tuple(run)) for run in runs]


def is_backchannel(turn: Turn) -> bool:
    """Nothing understood, or one or two words that neither feel nor do anything."""
    if turn.text.count(" ") >= BACKCHANNEL_WORDS:
        return False
    says = max([*turn.states.values(), *turn.behaviours.values()], default=0.0)
    return len(turn.text.split()) <= BACKCHANNEL_WORDS and says < BACKCHANNEL_STRENGTH


def talk_pattern(
    turns: Sequence[Turn],
    speech: Sequence[Speech],
    rules: TimingRules,
    now_ms: int,
    unheard: Sequence[Speech] = (),
) -> TalkPattern:
    """Timing so far; where voice activity is missing, the turns' own times stand in.

    `unheard`: stretches of a side of which we know nothing; they are nobody's silence.
    """
    heard: Sequence[Speech | Turn] = speech or turns
    customer = joined(heard, Channel.CUSTOMER, rules.join_gap_ms)
    agent = joined(heard, Channel.AGENT, rules.join_gap_ms)
    overlap_ms, _ = overlaps(customer, agent, rules.floor_taking_ms)
    telling = without_backchannels(heard, turns)
    tells = [joined(telling, channel, rules.join_gap_ms) for channel in (Channel.CUSTOMER, Channel.AGENT)]
    _, takings = overlaps(customer, tells[1], rules.floor_taking_ms)
    _, caller_takings = overlaps(agent, tells[0], rules.floor_taking_ms)
    nothing_known = [(gone.start_ms, gone.end_ms) for gone in unheard]
    gaps = silences([*customer, *agent, *nothing_known], now_ms)
    long = tuple(gap for gap in gaps if gap.end_ms - gap.start_ms > rules.silence_ms)
    held = [gap for gap in long if is_announced(gap, turns, rules)]
    customer_ms, agent_ms = total_ms(customer), total_ms(agent)
    customer_wpm, customer_syllables = pace(turns, Channel.CUSTOMER)
    agent_wpm, agent_syllables = pace(turns, Channel.AGENT)
    return TalkPattern(
        Timing(
            customer_talk_ms=customer_ms,
            agent_talk_ms=agent_ms,
            overlap_ms=overlap_ms,
            floor_taking_overlaps=len(takings),
            longest_silence_ms=max((gap.end_ms - gap.start_ms for gap in gaps), default=0),
            caller_floor_takings=len(caller_takings),
            agent_share=round(agent_ms / (customer_ms + agent_ms), 3) if customer_ms + agent_ms else None,
            response_ms=response_ms(exchanges(turns, rules)),
            dead_air_ms=sum(gap.end_ms - gap.start_ms for gap in long if gap not in held),
            hold_ms=sum(gap.end_ms - gap.start_ms for gap in held),
            customer_wpm=customer_wpm,
            agent_wpm=agent_wpm,
            customer_syllables_s=customer_syllables,
            agent_syllables_s=agent_syllables,
        ),
        floor_takings=tuple(takings),
        silences=long,
        announced=tuple(held),
        agent_unheard=tuple((u.start_ms, u.end_ms) for u in unheard if u.channel is Channel.AGENT),
        agent=tuple(agent),
    )


def total_ms(stretches: Sequence[tuple[int, int]]) -> int:
    return sum(end - start for start, end in stretches)


def response_ms(talk: Sequence[Exchange]) -> int | None:
    """Median time from the caller's end to the agent's start."""
    waits = [
        max(0, after.start_ms - before.end_ms)
        for before, after in zip(talk, talk[1:], strict=False)
        if before.channel is Channel.CUSTOMER and after.channel is Channel.AGENT
    ]
    return round(median(waits)) if waits else None


def pace(turns: Sequence[Turn], channel: Channel) -> tuple[float | None, float | None]:
    """(words per minute, syllables per second) over the time of one side's understood turns."""
    mine = [t for t in turns if t.channel is channel and t.text and t.end_ms > t.start_ms]
    words = [word for t in mine for word in SPOKEN.findall(t.text.lower())]
    seconds = sum(t.end_ms - t.start_ms for t in mine) / 1000
    if len(words) < MIN_PACE_WORDS or not seconds:
        return None, None
    return round(60 * len(words) / seconds, 1), round(sum(map(syllables, words)) / seconds, 2)


def syllables(word: str) -> int:
    """Groups of vowels (y is one), less a silent final e ("time" 1, "table" 2), at least one.

    Right for about nine English words in ten; enough for a rate, not for a poem.
    """
    word = word.replace("'", "").lower()
    groups = len(VOWELS.findall(word))
    silent = word.endswith("e") and not word.endswith(("le", "ee", "ye")) and groups > 1
    return max(1, groups - silent)


def joined(heard: Sequence[Speech | Turn], channel: Channel, gap_ms: int) -> list[tuple[int, int]]:
    """Stretches (start, end) of one channel, overlapping or nearly touching ones as one."""
    out: list[tuple[int, int]] = []
    for start, end in sorted((s.start_ms, s.end_ms) for s in heard if s.channel is channel):
        if out and start - out[-1][1] <= gap_ms:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def overlaps(
    customer: Sequence[tuple[int, int]], agent: Sequence[tuple[int, int]], floor_ms: int
) -> tuple[int, list[int]]:
    """Total overlap, and the times the agent cut in, talked on, and the caller gave way."""
    total, takings, first = 0, [], 0
    for c_start, c_end in customer:
        while first < len(agent) and agent[first][1] <= c_start:
            first += 1
        for a_start, a_end in agent[first:]:
            if a_start >= c_end:
                break
            both = min(c_end, a_end) - max(c_start, a_start)
            total += both
            if a_start > c_start and a_end > c_end and both >= floor_ms:
                takings.append(a_start)
    return total, takings


def without_backchannels(heard: Sequence[Speech | Turn], turns: Sequence[Turn]) -> list[Speech | Turn]:
    """Nobody takes the floor by a "mm-hm": speech less what lies within such a turn."""
    hums = [turn for turn in turns if turn.text and is_backchannel(turn)]
    return [
        said
        for said in heard
        if not any(
            hum.channel is said.channel
            and hum.start_ms - HUM_PAD_MS <= said.start_ms
            and said.end_ms <= hum.end_ms + HUM_PAD_MS
            for hum in hums
        )
    ]


def silences(stretches: Sequence[tuple[int, int]], until_ms: int) -> list[Silence]:
    """Gaps between speech, whoever spoke, and the one still open at `until_ms`."""
    gaps, quiet_from = [], None
    for start, end in sorted(stretches):
        if quiet_from is not None and start > quiet_from:
            gaps.append(Silence(quiet_from, start))
        quiet_from = end if quiet_from is None else max(quiet_from, end)
    if quiet_from is not None and until_ms > quiet_from:
        gaps.append(Silence(quiet_from, until_ms))
    return gaps


def is_announced(silence: Silence, turns: Sequence[Turn], rules: TimingRules) -> bool:
    """The agent's last words before it said that there would be a wait, not too long ago."""
    before = [t for t in turns if t.channel is Channel.AGENT and t.start_ms < silence.start_ms]
    if not before:
        return False
    recent = [t for t in before[-3:] if silence.start_ms - t.end_ms < 15_000]
    said = any(cue.label == "hold" for turn in recent for cue in turn.cues)
    return said and silence.end_ms - silence.start_ms <= rules.hold_ms
