from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scoring import evaluate
from scoring.evaluate_calls import as_meant, compare, read_scripts
from scoring.rubric import default_rubric
from scoring.training.data import DataError
from scoring.types import Channel, Turn

DEMO = Path(__file__).parents[2] / "calls" / "demo"
NAME = "address-change"
RUBRIC = default_rubric()


def test_a_call_found_exactly_as_meant_differs_nowhere() -> None:
    [lines] = read_scripts(DEMO / "scripts", DEMO / "audio", ["fee-dispute-recovers"]).values()
    turns = [
        Turn(
            line.channel,
            line.start_ms,
            line.end_ms,
            line.text,
            1.0,
            states={line.state: 0.9} if line.state and line.state != "calm" else {},
            behaviours=dict.fromkeys(line.behaviours, 1.0),
        )
        for line in lines
    ]
    report = compare(lines, turns, as_meant(lines, RUBRIC), RUBRIC)
    assert report["empathy"] == report["empathy_meant"]
    for row in report["turns"]:
        if row["who"] == Channel.CUSTOMER:
            assert row["words"] == row["expected"]
        else:
            assert set(row["found"]) == set(row["expected"])


def test_the_task_runs_on_real_audio_and_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--scripts", str(DEMO / "scripts"), "--audio", str(DEMO / "audio")]
    assert evaluate.main(["calls", *options, "--only", NAME, "--stand-in", "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert list(report["calls"]) == [NAME]
    assert report["n_customer_turns"] == sum(
        row["who"] == "customer" for row in report["calls"][NAME]["turns"]
    )
    assert NAME in err


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="index.json"):
        read_scripts(DEMO / "scripts", tmp_path)
    with pytest.raises(DataError, match="no script nobody"):
        read_scripts(DEMO / "scripts", DEMO / "audio", ["nobody"])
    shutil.copy(DEMO / "scripts" / f"{NAME}.yaml", tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"calls": {NAME: {"turns": [{}]}}}))
    with pytest.raises(DataError, match=f"{NAME}.yaml.*1 times in index.json"):
        read_scripts(tmp_path, tmp_path)
