"""`scoring.evaluate language` on made-up files: our own turns by way of reading, and politeness."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scoring import evaluate
from scoring.evaluate_contact_centre import confusion, measures, reliability
from scoring.rubric import STATE_NAMES

SCENARIO = """
scenario: lost-parcel
industry: retail
turns:
  - who: customer
    text: this is ridiculous I have been waiting for two weeks
    states: {frustration: .75}
  - who: agent
    text: I am so sorry about that, let me send you a new one today
    behaviours: {own: 1, reassure: 1}
  - who: customer
    text: okay thanks bye
    states: {}
    hard: [closing-thanks]
"""


def run(capsys: pytest.CaptureFixture[str], *options: str) -> dict:
    assert evaluate.main(["language", *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "lost-parcel.yaml").write_text(SCENARIO)
    return tmp_path


def test_own_turns_by_rules_alone(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run(capsys, "--contact-centre", str(calls), "--rules-only")["contact_centre"]
    assert (report["split"], report["n"], report["scenarios"]) == ("test", 3, 1)
    assert "heads" not in report and "both" not in report
    states = report["rules"]["states"]
    assert states["per_label"]["frustration"] == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "auc": 1.0,
        "n": 1,
    }
    assert states["hard"]["closing-thanks"] == {"n": 1, "all_right": 1.0}
    assert sum(map(sum, states["confusion"]["counts"])) == 2
    assert report["rules"]["behaviours"]["per_label"]["own"]["recall"] == 1.0


def test_own_turns_in_every_way(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run(capsys, "--contact-centre", str(calls))["contact_centre"]
    for way in ("rules", "heads", "both"):
        assert set(report[way]) == {"states", "behaviours"}
        assert set(report[way]["states"]["ece"]) == set(STATE_NAMES)


def test_a_missing_split_is_told(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["language", "--contact-centre", str(calls), "--split", "train"]) == 2
    assert "train" in capsys.readouterr().err


def test_politeness_counts_only_what_was_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rude, kind = (
        "why did you do that, fix it",
        "thank you so much, could you please have a look when you have time?",
    )
    rows = [f'{n},"{kind if n % 2 else rude}",{n % 2 + n / 1000}' for n in range(80)]
    (tmp_path / "asked.csv").write_text("\n".join(["Id,Request,Normalized Score", *rows]))
    report = run(capsys, "--politeness", str(tmp_path / "asked.csv"))["politeness"]["asked.csv"]
    assert report["n_all"] == 80 and 0 < report["n"] < 40
    assert report["auc"] == 1.0 == report["auc_all"]
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    assert evaluate.main(["language", "--politeness", str(tmp_path / "wrong.csv")]) == 2


def test_measures_from_a_half() -> None:
    said = np.asarray([[0.9, 0.1], [0.5, 0.2], [0.4, 0.3], [0.1, 0.4]])
    truth = np.asarray([[True, False], [False, False], [True, False], [False, False]])
    found = measures(said, truth, ["a", "b"])
    assert found["per_label"]["a"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "auc": 0.75, "n": 2}
    assert found["per_label"]["b"]["auc"] is None
    assert found["macro_f1"] == 0.5, "a label without examples is not averaged"


def test_reliability_and_confusion() -> None:
    said = np.asarray([[0.95], [0.85], [0.05], [0.05]])
    truth = np.asarray([[True], [False], [False], [False]])
    found = reliability(said, truth, ["a"])
    assert found["ece"]["a"] == pytest.approx((0.05 + 0.85 + 0.05 + 0.05) / 4)
    assert [b["n"] for b in found["reliability"]["a"]] == [2, 1, 1]
    table = confusion(np.asarray([[0.9, 0.6], [0.2, 0.1]]), np.asarray([[0, 0.75], [0, 0]]), ["a", "b"])
    assert table == {"labels": ["a", "b", "calm"], "counts": [[0, 0, 0], [1, 0, 0], [0, 0, 1]]}
