"""Voice activity, turns and voice windows."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import listen
from scoring.engine import load_engine
from scoring.listen import Ear, Heard, Segmenter, StandInActivity
from scoring.rubric import default_rubric
from scoring.types import HOP_MS, HOP_SAMPLES, WINDOW_MS, Channel, Samples, Speech, Turn
from scoring.view import view

CALLS = Path(os.environ.get("SAMPLE_CALLS", Path(__file__).parents[3] / "shared/data/calls"))


def loud(ms: int, level: int = 4000, seed: int = 0) -> Samples:
    noise = np.random.default_rng(seed).uniform(-level, level, ms * 8)
    return noise.astype(np.int16)


def quiet(ms: int) -> Samples:
    return np.zeros(ms * 8, np.int16)


def hear(
    wave: Samples,
    steps: list[int] | None = None,
    channel: Channel = Channel.CUSTOMER,
    model: listen.VoiceActivity | None = None,
    closing: bool = True,
) -> tuple[Heard, Segmenter]:
    """Feed whole hops in steps, keeping only the audio that the state asks for."""
    wave = np.pad(wave, (0, -len(wave) % HOP_SAMPLES))
    total = len(wave) // HOP_SAMPLES
    segmenter, keep, parts = Segmenter(), 0, []
    steps = [*(steps or []), total]
    while steps:
        hops = min(steps.pop(0), total - segmenter.hop)
        end = segmenter.hop + hops
        restored = Segmenter.load(json.loads(json.dumps(segmenter.dump())))
        first = keep * HOP_SAMPLES
        ear = Ear(restored, wave[first : end * HOP_SAMPLES], first, hops)
        [activity] = listen.activity([ear], model or StandInActivity())
        segmenter, part = listen.listen(ear, activity, channel, closing=closing and end == total)
        keep = segmenter.keep_from_hop(channel)
        assert end - keep <= 2 * 16, "more than 16 s of audio is kept"
        parts.append(part)
        if end == total:
            break
    merged = Heard(
        *(tuple(x for part in parts for x in getattr(part, name)) for name in ("turns", "speech", "windows"))
    )
    return merged, segmenter


def test_one_turn_with_its_pad() -> None:
    heard, _ = hear(np.concatenate([quiet(1000), loud(1500), quiet(1000)]))
    [turn] = heard.turns
    assert turn.start_ms == pytest.approx(1000 - 128, abs=32)
    assert turn.end_ms == pytest.approx(2500 + 128, abs=32)
    [stretch] = heard.speech
    assert stretch.start_ms == pytest.approx(1000, abs=32)
    assert stretch.end_ms == pytest.approx(2500, abs=32)


def test_a_short_pause_stays_within_a_turn_but_splits_the_stretch() -> None:
    heard, _ = hear(np.concatenate([loud(1000), quiet(300), loud(1000), quiet(600)]))
    assert len(heard.turns) == 1
    assert len(heard.speech) == 2


def test_a_long_pause_splits_turns() -> None:
    heard, _ = hear(np.concatenate([loud(1000), quiet(500), loud(1000), quiet(600)]))
    assert len(heard.turns) == 2


def test_a_click_is_no_turn() -> None:
    heard, _ = hear(np.concatenate([quiet(500), loud(90), quiet(900)]))
    assert heard.turns == ()


def test_a_turn_is_known_half_a_second_after_its_end() -> None:
    heard, segmenter = hear(np.concatenate([quiet(500), loud(1000), quiet(500)]), closing=False)
    assert len(heard.turns) == 1
    assert segmenter.turn is None


def test_closing_ends_an_open_turn() -> None:
    wave = np.concatenate([quiet(500), loud(1000)])
    assert hear(wave, closing=False)[0].turns == ()
    assert len(hear(wave)[0].turns) == 1


def test_the_longest_turn_is_cut_at_a_quiet_place_and_goes_on() -> None:
    wave = loud(15_000)
    wave[11_500 * 8 : 11_600 * 8] //= 8
    heard, _ = hear(np.concatenate([wave, quiet(1000)]))
    first, second = heard.turns
    assert first.continued and not second.continued
    assert first.end_ms == second.start_ms
    assert 11_488 <= first.end_ms <= 11_600
    assert all(before.end_ms == after.start_ms for before, after in pairwise(heard.speech))
    assert (heard.speech[0].start_ms, heard.speech[-1].end_ms) == (0, 15_008)


def test_windows_every_1500_ms_of_speech() -> None:
    heard, _ = hear(np.concatenate([loud(6000), quiet(1000)]))
    assert [w.end_ms for w in heard.windows] == [3000, 4500, 6000]
    assert all(w.end_ms - w.start_ms == WINDOW_MS for w in heard.windows)


def test_a_short_turn_gets_a_window_at_its_end() -> None:
    heard, _ = hear(np.concatenate([quiet(3100), loud(800), quiet(1000)]))
    [window] = heard.windows
    [turn] = heard.turns
    assert (window.start_ms, window.end_ms) == (turn.start_ms, turn.end_ms)
    assert window.speech_ms == pytest.approx(800, abs=64)


def test_a_pause_for_thought_reopens_the_turn() -> None:
    heard, _ = hear(np.concatenate([loud(1000), quiet(900), loud(1000), quiet(1000)]))
    first, whole = heard.turns
    assert first.start_ms == whole.start_ms
    assert first.end_ms == pytest.approx(1128, abs=64)
    assert whole.end_ms == pytest.approx(3028, abs=64)


def test_a_cough_does_not_tell_the_turn_again() -> None:
    heard, _ = hear(np.concatenate([loud(1000), quiet(700), loud(100), quiet(700), loud(500), quiet(1000)]))
    assert len(heard.turns) == 2
    assert heard.turns[0].start_ms == heard.turns[1].start_ms


def test_a_long_pause_or_a_long_turn_stays_closed() -> None:
    for wave in (
        np.concatenate([loud(1000), quiet(1400), loud(1000), quiet(1000)]),
        np.concatenate([loud(9000), quiet(600), loud(1000), quiet(1000)]),
    ):
        heard, _ = hear(wave)
        assert len({t.start_ms for t in heard.turns}) == 2


def test_the_audio_of_a_turn_that_may_reopen_is_kept() -> None:
    ear = Ear(Segmenter(), np.concatenate([quiet(5000), loud(1000), quiet(1000)]), 0, 14)
    after, _ = listen.listen(ear, listen.activity([ear], StandInActivity())[0], Channel.AGENT, closing=False)
    assert after.keep_from_hop(Channel.AGENT) == 4872 // HOP_MS
    later = Ear(after, np.concatenate([ear.audio[9 * HOP_SAMPLES :], quiet(1000)]), 9 * HOP_SAMPLES, 2)
    done, _ = listen.listen(
        later, listen.activity([later], StandInActivity())[0], Channel.AGENT, closing=False
    )
    assert done.keep_from_hop(Channel.AGENT) >= 15


def test_agents_get_no_windows() -> None:
    heard, _ = hear(np.concatenate([loud(6000), quiet(1000)]), channel=Channel.AGENT)
    assert heard.windows == ()
    assert len(heard.turns) == 1


def test_starting_after_given_up_audio() -> None:
    """The worker may skip poison: the stream then begins at a later hop."""
    segmenter = Segmenter.load({}, next_hop=7)
    wave = np.concatenate([loud(1000), quiet(1000)])
    ear = Ear(segmenter, wave, 7 * HOP_SAMPLES, 4)
    [activity] = listen.activity([ear], StandInActivity())
    after, heard = listen.listen(ear, activity, Channel.CUSTOMER, closing=True)
    assert after.hop == 11
    assert heard.turns[0].start_ms == pytest.approx(7 * HOP_MS - 128, abs=32)


speech_and_silence = st.lists(st.tuples(st.integers(20, 4000), st.integers(20, 1500)), min_size=1, max_size=8)


@given(
    bursts=speech_and_silence,
    steps=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    channel=st.sampled_from(Channel),
)
@settings(max_examples=60, deadline=None)
def test_any_step_size_gives_the_same(
    bursts: list[tuple[int, int]], steps: list[int], channel: Channel
) -> None:
    wave = np.concatenate([part for on, off in bursts for part in (loud(on, seed=on), quiet(off))])
    assert hear(wave, steps, channel)[0] == hear(wave, None, channel)[0]
    assert hear(wave, [1] * 200, channel)[0] == hear(wave, None, channel)[0]


def live_silences(customer: Samples, agent: Samples) -> list[int]:
    """The longest silence that a live call's page would know of after each hop, ms."""
    turns: list[Turn] = []
    speech: list[Speech] = []
    found = []
    for hop, part in enumerate(
        load_engine(stand_in=True).hear_recording(customer, agent, hops_per_step=1), 1
    ):
        turns += part.turns
        speech += part.speech
        call = view(turns, (), speech, default_rubric(), now_ms=hop * HOP_MS, closed=False)
        found.append(call.timing.longest_silence_ms)
    return found


@pytest.mark.parametrize("pause_ms", [500, 7000, 9500])
def test_unbroken_speech_is_no_silence_while_it_lasts(pause_ms: int) -> None:
    """A stretch of speech used to be handed out at its end only; until then it counted as silence."""
    customer = np.concatenate([loud(2000), quiet(pause_ms + 11_500)])
    agent = np.concatenate([quiet(2000 + pause_ms), loud(11_500)])
    assert max(live_silences(customer, agent)) <= pause_ms + 2 * listen.FRAME_MS


def test_both_sides_silent_is_a_silence_soon() -> None:
    customer = np.concatenate([loud(2000), quiet(13_500)])
    found = live_silences(customer, quiet(15_500))
    assert 10_000 < found[-1] <= 13_500
    assert found[-1] - found[-2] == HOP_MS


words_and_silence = st.lists(st.tuples(st.integers(230, 4000), st.integers(20, 1500)), min_size=1, max_size=8)


@given(bursts=words_and_silence)
@settings(max_examples=60, deadline=None)
def test_turns_are_in_order_and_hold_all_speech(bursts: list[tuple[int, int]]) -> None:
    wave = np.concatenate([part for on, off in bursts for part in (loud(on, seed=on), quiet(off))])
    heard, _ = hear(wave)
    for before, after in pairwise(heard.turns):
        again = before.start_ms == after.start_ms
        assert before.end_ms < after.end_ms if again else before.end_ms <= after.start_ms + 128
        assert before.start_ms <= after.start_ms
    for stretch in heard.speech:
        inside = [(max(t.start_ms, stretch.start_ms), min(t.end_ms, stretch.end_ms)) for t in heard.turns]
        times = {ms for start, end in inside for ms in range(start, end, listen.FRAME_MS)}
        assert times >= set(range(stretch.start_ms, stretch.end_ms, listen.FRAME_MS))
    assert len({w.start_ms for w in heard.windows}) == len(heard.windows)


def test_silero_in_any_step_and_batch_is_the_same() -> None:
    path = CALLS / "Auto_Repairs_40_UTC_caller.wav"
    if not path.is_file():
        pytest.skip(f"{path} is not here (set SAMPLE_CALLS)")
    from scoring.audio import read_recording

    wave = read_recording(path).samples[0][: 60 * 8000]
    silero = listen.Silero()
    whole, _ = hear(wave, model=silero)
    assert hear(wave, [3] * 100, model=silero)[0] == whole
    assert hear(wave, [1] * 200, model=silero)[0] == whole
    ears = [Ear(Segmenter(), np.roll(wave, i * 999), 0, 120) for i in range(5)]
    together = listen.activity(ears, silero)
    for ear, got in zip(ears, together, strict=True):
        [alone] = listen.activity([ear], silero)
        assert np.array_equal(alone.probs, got.probs)
        assert np.array_equal(alone.rnn, got.rnn)
