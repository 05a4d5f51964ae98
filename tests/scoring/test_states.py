from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from scoring.rubric import default_rubric
from scoring.states import against_baseline, fuse, log_odds, trace, voice_evidence
from scoring.types import Channel, State, Turn, VoiceState
from tests.scoring.language_calls import ANGER_THAT_RECOVERS, turns_of, window

RUBRIC = default_rubric()
RULES = RUBRIC.fusion


def said(
    start_ms: int,
    text: str = "a plain sentence of seven words here",
    confidence: float = 0.9,
    **states: float,
) -> Turn:
    return Turn(Channel.CUSTOMER, start_ms, start_ms + 3000, text, confidence, (), states)


def test_a_happy_tone_lowers_what_angry_words_say_and_the_confidence() -> None:
    angry = said(0, frustration=0.9, anxiety=0.01, confusion=0.01, sadness=0.01, satisfaction=0.01)
    alone = trace([angry], [], RULES).feelings[0]
    mixed = trace([angry], [window(0, happy=0.9)], RULES).feelings[0]
    assert mixed.affect < alone.affect
    assert mixed.confidence < alone.confidence


def test_confusion_has_no_voice_evidence() -> None:
    assert State.CONFUSION not in voice_evidence(window(0, fear=0.9), RULES)[0]


def test_one_angry_window_changes_little_and_many_never_reach_help() -> None:
    one = trace([], [window(0, angry=0.98, confidence=1.0)], RULES).points[-1]
    many = trace([], [window(n * 1000, angry=0.98, confidence=1.0) for n in range(120)], RULES).points[-1]
    assert one.distress < RUBRIC.risk.watch
    assert RUBRIC.risk.watch < many.distress < RUBRIC.risk.help


def test_silence_is_a_gap_not_zero() -> None:
    turns = [said(0, frustration=0.9), said(300_000, text="yes", frustration=0.06)]
    first, second = trace(turns, [], RULES).points
    assert second.distress > 0.85 * first.distress


def test_the_state_does_not_flicker_at_the_threshold() -> None:
    wobble = [said(n * 5000, frustration=0.62 if n % 2 else 0.48) for n in range(12)]
    shown = [p.state for p in trace(wobble, [], RULES).points]
    changes = sum(a != b for a, b in zip(shown, shown[1:], strict=False))
    assert changes <= 1


def test_a_transcript_nobody_trusts_is_unsure_not_calm() -> None:
    point = trace([said(0, confidence=0.05, frustration=0.1)], [], RULES).points[-1]
    assert point.state is State.UNSURE


def test_an_empty_text_says_nothing() -> None:
    assert fuse(said(0, text="", frustration=0.99), None, RULES)[State.FRUSTRATION] < 0.1


def test_anger_recovers() -> None:
    points = trace(turns_of(ANGER_THAT_RECOVERS), [], RULES).points
    assert points[0].state is State.FRUSTRATION
    assert points[-1].state is State.SATISFACTION
    assert points[-1].distress < 0.3 < 0.7 < points[0].distress


def test_agent_turns_never_move_the_caller_s_state() -> None:
    agent = dataclasses.replace(said(0, frustration=0.99), channel=Channel.AGENT)
    assert trace([agent], [], RULES).points == ()


def sounding(angry: float, n: int) -> list[VoiceState]:
    return [window(at * 3000, angry=angry) for at in range(n)]


def test_a_voice_that_always_sounds_angry_says_less_and_less() -> None:
    heard = against_baseline([voice_evidence(v, RULES) for v in sounding(0.6, 40)], RULES)
    support = [h[State.FRUSTRATION] for h, _ in heard]
    assert support[0] == pytest.approx(0.6, abs=1e-6)
    assert all(a >= b for a, b in pairwise(support))
    shift = log_odds(0.6) - log_odds(support[-1])
    assert shift == pytest.approx(RULES.voice_baseline_cap, abs=0.01)


def test_an_outburst_counts_in_full_after_a_calm_voice_and_less_after_an_angry_one() -> None:
    calm_first = [voice_evidence(v, RULES) for v in [*sounding(0.05, 20), window(60_000, angry=0.7)]]
    angry_first = [voice_evidence(v, RULES) for v in [*sounding(0.7, 20), window(60_000, angry=0.7)]]
    after_calm, after_anger = (
        against_baseline(heard, RULES)[-1][0][State.FRUSTRATION] for heard in (calm_first, angry_first)
    )
    assert after_calm == pytest.approx(0.7)
    assert after_anger < 0.6


def test_the_baseline_never_looks_ahead() -> None:
    heard = [voice_evidence(v, RULES) for v in [*sounding(0.3, 5), *sounding(0.8, 5), *sounding(0.1, 5)]]
    whole = against_baseline(heard, RULES)
    assert all(against_baseline(heard[:n], RULES) == whole[:n] for n in range(len(heard) + 1))
