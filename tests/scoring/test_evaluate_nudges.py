"""Whether a cue was useful is judged by its author's labels alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoring import evaluate
from scoring.evaluate_nudges import Labelled, intent, judge, summed
from scoring.types import Behaviour, Channel, NudgeCandidate, State


def said(channel: str, at_s: int, *labels: str) -> Labelled:
    states = frozenset(labels if channel == "customer" else ())
    behaviours = frozenset(labels if channel == "agent" else ())
    return Labelled(Channel(channel), at_s * 1000, states, behaviours)


def cue(at_s: int, state: State = State.ANXIETY, missing: Behaviour = Behaviour.REASSURE) -> NudgeCandidate:
    return NudgeCandidate(at_s * 1000, f"{state}-{missing}", state, missing, "Say what happens next.")


CALM, WORRIED = said("customer", 3), said("customer", 10, "anxiety")


@pytest.mark.parametrize(
    ("before", "useful", "why"),
    [
        ([CALM, WORRIED], True, ""),
        ([WORRIED, said("customer", 14)], True, ""),
        ([CALM], False, "the caller is calm"),
        ([said("customer", 3, "frustration")], False, "the caller is frustration"),
        (
            [WORRIED, said("agent", 13, "reassure"), said("customer", 16, "anxiety")],
            False,
            "reassure already",
        ),
        ([WORRIED, said("agent", 13, "explore"), said("customer", 16, "anxiety")], True, ""),
        ([said("agent", 1, "reassure"), CALM, WORRIED], True, ""),
        ([], False, "calm"),
    ],
)
def test_intent(before: list[Labelled], useful: bool, why: str) -> None:
    found = intent(cue(20), before)
    assert found[0] is useful and why in found[1]


def test_counts() -> None:
    judged = judge("a", [cue(11), cue(60)], [CALM, WORRIED, said("customer", 40), said("customer", 59)], [])
    report = summed(2, judged, 3)
    assert (report["cues"], report["useful"], report["precision"]) == (2, 1, 0.5)
    assert report["cues_per_call_as_meant"] == 1.5
    assert report["not_useful"][0]["why"] == "the caller is calm"


@pytest.mark.parametrize("options", [[], ["--contact-centre", "nowhere"], ["--scripts", "a", "--audio", "b"]])
def test_bad_input_is_one_line(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate.main(["nudges", *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("evaluate nudges: ") and said.count("\n") == 1
