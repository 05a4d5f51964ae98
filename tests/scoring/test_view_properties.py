"""For any call: how the pieces came makes no difference, the live value is calm, cues keep their manners."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.nudges import Wanted
from scoring.rubric import HELPING_NAMES, default_rubric
from scoring.types import CallView, Channel, Turn
from scoring.view import view
from tests.scoring.made_pieces import calls, speech_of, voice_of

RUBRIC = default_rubric()


def seen(turns: list[Turn], now_ms: int, closed: bool = False) -> CallView:
    return view(turns, voice_of(turns), speech_of(turns), RUBRIC, now_ms=now_ms, closed=closed)


def end_of(turns: list[Turn]) -> int:
    return max((t.end_ms for t in turns), default=0)


def cut_short(turn: Turn) -> Turn:
    """An earlier telling of a turn that went on."""
    half = max(turn.start_ms + 1, (turn.start_ms + turn.end_ms) // 2)
    return replace(turn, end_ms=half, text=turn.text.split()[0]) if half < turn.end_ms else turn


@settings(max_examples=80, deadline=None)
@given(calls(), st.randoms(use_true_random=False), st.booleans())
def test_any_order_any_split_any_repeats(turns: list[Turn], random, closed: bool) -> None:
    voice, speech, now = voice_of(turns), speech_of(turns), end_of(turns) + 1000
    whole = view(turns, voice, speech, RUBRIC, now_ms=now, closed=closed)
    held: tuple[list, list, list] = ([], [], [])
    left = [*turns, *map(cut_short, turns)]
    random.shuffle(left)
    while left:  # batches arrive, some of them twice
        size = random.randint(1, len(left))
        batch, left = left[:size], left[size:]
        for _ in range(random.randint(1, 2)):
            held[0].extend(batch)
        view(*held, RUBRIC, now_ms=now, closed=False)
    held[1].extend(random.sample(voice + voice, 2 * len(voice)))
    held[2].extend(random.sample(speech + speech, 2 * len(speech)))
    assert view(*held, RUBRIC, now_ms=now, closed=closed) == whole


@settings(max_examples=80, deadline=None)
@given(calls())
def test_the_live_value_never_jumps_on_one_turn(turns: list[Turn]) -> None:
    live = [m.empathy for m in seen(turns, end_of(turns)).moments if m.empathy is not None]
    steps = [abs(a - b) for a, b in zip([RUBRIC.live.prior, *live], live, strict=False)]
    assert max(steps, default=0) <= RUBRIC.live.step + 0.11  # rounded to a tenth


@settings(max_examples=80, deadline=None)
@given(calls(), st.booleans())
def test_numbers_stay_in_their_bounds(turns: list[Turn], closed: bool) -> None:
    call = seen(turns, end_of(turns), closed)
    if call.empathy is not None:
        assert 0 <= call.empathy_low <= call.empathy <= call.empathy_high <= 100
    assert -1 <= call.outlook.score <= 1
    assert 0 <= call.outlook.confidence <= RUBRIC.outlook.ceiling
    for event in call.alignment.events:
        assert event.fit is None or 0 <= event.fit <= 1
        assert event.latency_ms is None or event.latency_ms >= 0
        assert event.recovery_ms is None or event.recovery_ms > 0


@settings(max_examples=80, deadline=None)
@given(calls())
def test_cues_keep_their_manners(turns: list[Turn]) -> None:
    cues = seen(turns, end_of(turns)).nudges
    talking = [(t.start_ms, t.end_ms) for t in turns if t.channel is Channel.AGENT]
    assert len(cues) <= RUBRIC.nudging.per_call
    assert all(b.t_ms - a.t_ms >= RUBRIC.nudging.every_ms for a, b in zip(cues, cues[1:], strict=False))
    assert not any(start <= cue.t_ms < end for cue in cues for start, end in talking)


def played(turns: list[Turn], kinds_off: frozenset[str], misses: int) -> list[int]:
    """Moments of the cues shown as a call goes on, of which each `misses`-th was not."""
    shown: list[int] = []
    known: set[int] = set()
    for n in range(1, len(turns) + 1):
        part = turns[:n]
        cues = view(part, [], speech_of(part), RUBRIC, now_ms=end_of(part), closed=False,
                    wanted=Wanted(kinds_off=kinds_off, shown=tuple(shown))).nudges  # fmt: skip
        assert not kinds_off & {cue.missing for cue in cues}
        new = [cue.t_ms for cue in cues[-1:] if cue.t_ms not in known and cue.t_ms > max(shown, default=-1)]
        known.update(new)
        shown += [t_ms for t_ms in new if len(known) % misses]
    return shown


@settings(max_examples=60, deadline=None)
@given(calls(), st.sets(st.sampled_from(HELPING_NAMES), max_size=2), st.integers(2, 4))
def test_what_is_shown_keeps_its_manners(turns: list[Turn], off: set[str], misses: int) -> None:
    ordered = sorted(turns, key=lambda t: (t.end_ms, t.channel))
    shown = played(ordered, frozenset(off), misses)
    assert len(shown) <= RUBRIC.nudging.per_call
    assert all(b - a >= RUBRIC.nudging.every_ms for a, b in zip(shown, shown[1:], strict=False))
    wanted = Wanted(kinds_off=off, shown=tuple(shown))
    args = (voice_of(turns), speech_of(turns), RUBRIC)
    once = view(turns, *args, now_ms=end_of(turns), closed=False, wanted=wanted).nudges
    again = view(turns[::-1] + turns, *args, now_ms=end_of(turns), closed=False, wanted=wanted).nudges
    assert once == again, "order and repeats change nothing"


@settings(max_examples=60, deadline=None)
@given(calls())
def test_settled_things_are_not_taken_back(turns: list[Turn]) -> None:
    """A recovery told once stays told as later turns come in."""
    ordered = sorted(turns, key=lambda t: (t.end_ms, t.channel))
    before: dict[int, int | None] = {}
    for n in range(1, len(ordered) + 1):
        part = ordered[:n]
        if any(t.start_ms < part[-1].end_ms for t in ordered[n:]):
            continue  # somebody is still speaking
        for event in seen(part, end_of(part)).alignment.events:
            told = before.get(event.t_ms)
            assert told is None or event.recovery_ms == told
            before[event.t_ms] = event.recovery_ms
