"""The pin and the labels of somebody else's voice model reach scoring, however they are configured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = """
import json, os
from empathy_dash import settings
names = ("VOICE_MODEL_DIGEST", "VOICE_MODEL_LABELS")
print(json.dumps([[getattr(settings, name), os.environ.get(name, "")] for name in names]))
"""
PIN, LABELS = "sha256:" + "0" * 64, "exc=happy,sur="


def seen(**changes: str) -> list[list[str]]:
    """As the settings and as scoring see the two."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VOICE_MODEL")}
    made = subprocess.run(
        [sys.executable, "-c", SHOW], env=kept | changes, capture_output=True, text=True, check=True
    )
    shown: list[list[str]] = json.loads(made.stdout)
    return shown


@pytest.mark.parametrize("as_file", [False, True])
def test_scoring_reads_what_the_settings_read(tmp_path: Path, as_file: bool) -> None:
    given = {"VOICE_MODEL_DIGEST": PIN, "VOICE_MODEL_LABELS": LABELS}
    if as_file:
        for name, value in given.items():
            (tmp_path / name).write_text(f"{value}\n")
        given = {f"{name}_FILE": str(tmp_path / name) for name in given}
    assert seen(**given) == [[PIN, PIN], [LABELS, LABELS]]


def test_without_them() -> None:
    assert seen() == [["", ""], ["", ""]]
