"""`python -m bench fuzz` runs, counts and measures; the long run is the bench's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def fuzz(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "fuzz", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(("name", "runs"), [("audiosocket", 2000), ("door", 200)])
def test_a_short_run(name: str, runs: int) -> None:
    pytest.importorskip("atheris", reason="Atheris has wheels for Linux on x86-64 only")
    ran = fuzz("--only", name, "--runs", str(runs))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout)
    assert found["ok"] and found["inputs"] >= runs and found["branches"] > 50
    assert found["corpus_inputs"] > 3 and 0 <= found["endless_bytes"] < 256 * 1024


def test_an_unknown_parser_is_named() -> None:
    ran = fuzz("--only", "audiosocket,gramophone")
    assert ran.returncode == 2 and "no parser gramophone: choose of twilio" in ran.stderr
