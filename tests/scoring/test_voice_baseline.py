"""What a caller has sounded like travels with the call, and belongs to the model that heard it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from scoring.engine import Engine, load_engine
from scoring.types import HOP_SAMPLES, Channel, CustomerWindow, VoiceState
from scoring.voice import EMOTIONS, Baseline, VoiceScore, _centred

CALL = np.tile(np.repeat([9000, 0], 9 * HOP_SAMPLES), 3).astype(np.int16)


def test_it_survives_json_without_loss() -> None:
    baseline = Baseline().of("m")
    for seed in range(3):
        baseline.hear(np.random.default_rng(seed).standard_normal(192).astype(np.float32))
    packed = json.dumps(baseline.dump())
    again = Baseline.load(json.loads(packed))
    assert len(packed) < 1200 and (again.model, again.count) == ("m", 3)
    np.testing.assert_array_equal(again.total, baseline.total)


def test_another_model_starts_afresh() -> None:
    baseline = Baseline().of("old")
    baseline.hear(np.ones(3, np.float32))
    assert baseline.of("old").count == 1
    assert baseline.of("new").count == 0 and baseline.total.size == 0


def test_nothing_carried_is_nobody_heard() -> None:
    assert Baseline.load({}).count == 0


class Counting:
    """Its confidence is how much it has heard of the caller before."""

    version = "counting"

    def score(
        self, windows: Sequence[CustomerWindow], baselines: Sequence[Baseline] | None = None
    ) -> list[VoiceScore]:
        scores = []
        for baseline in baselines or [Baseline() for _ in windows]:
            heard = baseline.of(self.version).count
            scores.append(VoiceScore(dict.fromkeys(EMOTIONS, 1 / 6), heard / 100, self.version))
            baseline.hear(np.ones(2, np.float32))
        return scores


@pytest.mark.parametrize("hops", [1, 2, 5])
def test_a_call_hears_each_window_against_all_earlier_ones(hops: int) -> None:
    """Whatever the pieces, and through JSON: the engine carries it in the stream's state."""
    engine: Engine = replace(load_engine(stand_in=True), voice=Counting())
    windows: list[VoiceState] = []
    carried: list[object] = []
    for part in engine.hear_recording(CALL, CALL[::-1].copy(), hops_per_step=hops):
        windows += part.voice
        carried += [s.detail.get("voice") for s in part.streams if s.channel is Channel.AGENT]
        json.dumps([dict(s.detail) for s in part.streams])
    assert len(windows) > 3
    assert [w.confidence for w in windows] == [i / 100 for i in range(len(windows))]
    assert not any(carried), "nothing of the agent's voice is kept"


def test_padding_is_shared_out_to_both_sides() -> None:
    wave = np.array([0, 0, 0, 0, 5, 0, 7], dtype=np.float32)
    assert _centred(wave).tolist() == [0, 0, 5, 0, 7, 0, 0]
    for full in (np.ones(4, np.float32), np.zeros(4, np.float32)):
        assert _centred(full).tolist() == full.tolist()
