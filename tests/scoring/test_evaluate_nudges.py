"""Whether a cue was useful is judged by its author's labels alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scoring import evaluate
from scoring.evaluate_nudges import (
    ALREADY,
    CALM,
    LATE,
    OTHER,
    Labelled,
    as_meant,
    cues,
    fault,
    judge,
    needs,
    summed,
    talks,
    wilson,
)
from scoring.rubric import ANY_DISTRESS, default_rubric
from scoring.types import Behaviour, Channel, NudgeCandidate, State

DEMO = Path(__file__).parents[2] / "calls" / "demo"
RUBRIC = default_rubric()
SCENARIO = """
scenario: lost-letter
industry: post
turns:
  - {who: customer, text: "I am so worried about my letter, what if it is lost?", states: {anxiety: .75}}
  - {who: agent, text: "What is the number on it?", behaviours: {explore: 1}}
"""


def said(channel: str, at_s: int, *labels: str) -> Labelled:
    """A turn of two seconds that ends at `at_s`."""
    found = dict.fromkeys(labels, 0.75)
    states, behaviours = (found, {}) if channel == "customer" else ({}, found)
    return Labelled(Channel(channel), at_s * 1000 - 2000, at_s * 1000, "So it goes.", states, behaviours)


def cue(at_s: int, state: State = State.ANXIETY, missing: Behaviour = Behaviour.REASSURE) -> NudgeCandidate:
    return NudgeCandidate(at_s * 1000, f"{state}-{missing}", state, missing, "Say what happens next.")


WORRIED, ASKED = said("customer", 10, "anxiety"), said("agent", 13, "explore")
REASSURED = said("agent", 13, "reassure")


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        ([said("customer", 3), WORRIED], ""),
        ([WORRIED, said("customer", 14)], ""),
        ([said("agent", 1, "reassure"), said("customer", 3), WORRIED], ""),
        ([WORRIED, ASKED, said("customer", 16, "anxiety")], ""),
        ([WORRIED, REASSURED, said("customer", 16, "anxiety")], ALREADY),
        ([WORRIED, REASSURED, said("customer", 16), said("agent", 18), said("customer", 20, "anxiety")], ""),
        ([WORRIED, ASKED, said("customer", 16)], LATE),
        ([WORRIED, REASSURED, said("customer", 16)], ALREADY),
        ([said("customer", 3)], CALM),
        ([said("customer", 3, "frustration")], OTHER),
        ([], CALM),
    ],
)
def test_the_intent_of_a_rule(before: list[Labelled], wrong: str) -> None:
    assert fault(cue(20), State.ANXIETY, talks(before)) == wrong


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        ([said("customer", 3, "frustration")], ""),
        ([said("customer", 3, "sadness"), REASSURED, said("customer", 16, "anxiety")], ALREADY),
        ([WORRIED, ASKED, said("customer", 16)], LATE),
        ([said("customer", 3, "satisfaction")], CALM),
    ],
)
def test_a_rule_for_any_distress_means_any(before: list[Labelled], wrong: str) -> None:
    assert fault(cue(20), ANY_DISTRESS, talks(before)) == wrong


def test_what_is_said_after_a_cue_does_not_judge_it() -> None:
    [judged] = judge("a", [cue(10)], [WORRIED, REASSURED, said("customer", 16)], RUBRIC)
    assert not judged.fault and judged.said == WORRIED.text


def test_a_need_is_left_when_the_next_turn_does_nothing_of_what_its_rules_ask() -> None:
    [left] = needs([WORRIED, said("agent", 13, "courtesy"), said("customer", 16)], RUBRIC)
    [met] = needs([WORRIED, REASSURED, said("customer", 16, "anxiety")], RUBRIC)
    [ended] = needs([WORRIED], RUBRIC)
    assert (left.left, met.left, ended.left) == (True, False, False)
    assert not needs([said("customer", 3), ASKED], RUBRIC)


def test_counts() -> None:
    labels = [WORRIED, said("agent", 13, "courtesy"), said("customer", 16), said("agent", 19),
              said("customer", 60, "sadness"), said("agent", 63), said("customer", 80)]  # fmt: skip
    found = needs(labels, RUBRIC)
    report = summed({"a": judge("a", [cue(10), cue(80)], labels, RUBRIC), "b": []}, {"a": found, "b": []})
    assert (report["cues"], report["useful"], report["precision"], report["cues_per_call"]) == (2, 1, 0.5, 1)
    assert (report["needs_left"], report["missed"], report["missed_share"]) == (2, 1, 0.5)
    assert report["rules"]["anxiety-reassure"] == {"cues": 2, "useful": 1, "faults": {CALM: 1}}
    assert report["not_useful"][0]["fault"] == CALM


def test_nothing_shown_has_no_precision() -> None:
    report = summed({}, {})
    assert report["precision"] is None and report["missed_share"] is None and wilson(0, 0) is None


def test_the_interval_of_a_share() -> None:
    assert wilson(19, 27) == pytest.approx((0.515, 0.841), abs=0.001)
    assert wilson(13, 13) == pytest.approx((0.772, 1.0), abs=0.001)


def test_a_cue_is_shown_once_spaced_and_while_it_is_fresh() -> None:
    labels = [turn for n in range(8) for turn in (said("customer", 20 * n + 10, "anxiety"),
              said("agent", 20 * n + 14, "courtesy"))]  # fmt: skip
    shown = [c.t_ms for c in cues(as_meant(labels), RUBRIC)]
    assert shown[0] == 10_000 and len(shown) > 1
    gaps = [after - before for before, after in zip(shown, shown[1:], strict=False)]
    assert min(gaps) >= RUBRIC.nudging.every_ms


@pytest.mark.parametrize("audio", [[], ["--audio", str(DEMO / "audio"), "--only", "address-change"]])
def test_a_call_found_as_meant_gives_only_useful_cues(
    audio: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--scripts", str(DEMO / "scripts"), *audio, "--stand-in", "--json"]
    assert evaluate.main(["nudges", *options]) == 0
    out, err = capsys.readouterr()
    [(name, part)] = json.loads(out)["sets"].items()
    assert part["calls"] == (1 if audio else len(list((DEMO / "scripts").glob("*.yaml"))))
    assert part["as meant"]["precision"] in (1.0, None)
    assert name in err and "needs left by the agent" in err


def test_labelled_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "calibrate").mkdir()
    (tmp_path / "calibrate" / "lost-letter.yaml").write_text(SCENARIO)
    assert evaluate.main(["nudges", "--contact-centre", str(tmp_path), "--stand-in", "--json"]) == 0
    [part] = json.loads(capsys.readouterr().out)["sets"].values()
    assert part["needs"] == 1 and part["as meant"]["useful"] == part["as meant"]["cues"] == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "give --scripts DIR"),
        (["--audio", "b"], "give --scripts DIR"),
        (["--contact-centre", ".", "--audio", "b"], "need --scripts DIR"),
        (["--contact-centre", "nowhere"], "nowhere/calibrate"),
        (["--contact-centre", ".", "--split", "broken"], "a.yaml"),
        (["--scripts", "nowhere"], "no *.yaml in nowhere"),
        (["--scripts", "broken"], "a.yaml"),
        (["--scripts", "broken", "--only", "b"], "no script b"),
        (["--scripts", "a", "--audio", "b"], "index.json"),
    ],
)
@pytest.mark.parametrize("content", ["turns: 5", "{", "\n", "turns:\n- who: nobody"])
def test_bad_input_is_one_line(
    options: list[str],
    why: str,
    content: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.yaml").write_text(content)
    assert evaluate.main(["nudges", "--stand-in", *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("evaluate nudges: ") and why in said and said.count("\n") == 1
