from __future__ import annotations

import json
from pathlib import Path

import pytest

from scoring.training.plots import figures_in, main

pytest.importorskip("matplotlib", reason="the plots need matplotlib (requirements-dev.txt)")

PART = {
    "n": 30,
    "ece": 0.05,
    "labels": ["angry", "sad"],
    "confusion": [[10, 5], [3, 12]],
    "reliability": [
        {"confidence": 0.55, "accuracy": 0.5, "n": 10},
        {"confidence": 0.9, "accuracy": 0.8, "n": 20},
    ],
}


def test_every_part_with_figures_becomes_an_image(tmp_path: Path) -> None:
    report = {"by_corpus": {"crema-d": PART, "emodb": {**PART, "reliability": None}}, "windows": 3}
    (tmp_path / "voice.json").write_text(json.dumps(report))
    assert main([str(tmp_path / "voice.json"), "--out", str(tmp_path / "images")]) == 0
    images = sorted((tmp_path / "images").iterdir())
    assert [path.name for path in images] == ["voice-crema-d.png", "voice-emodb.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in images)


def test_the_parts_are_found_however_deep() -> None:
    assert [name for name, _ in figures_in({"a": {"b": PART}, "c": PART})] == ["a b", "c"]


@pytest.mark.parametrize("content", ["{}", "not json", '{"n": 3}'])
def test_a_file_that_is_no_report_is_refused(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "x.json"), "--out", str(tmp_path)])
    assert stop.value.code == 2
    assert "x.json" in capsys.readouterr().err
