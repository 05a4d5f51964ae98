"""The shipped rubric follows the release, until the house has made its own."""

from __future__ import annotations

import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from calls.management.commands import seed_rubric as command
from calls.management.commands.seed_rubric import SHIPPED, seed_rubric
from calls.models import Rubric, RubricVersion, Team
from calls.models.rubrics import rubric_version_for
from empathy_dash import demo
from scoring.rubric import RubricSpec, default_rubric


def one_cue_a_call() -> dict[str, Any]:
    spec = default_rubric().to_dict()
    return spec | {"nudging": spec["nudging"] | {"per_call": 1}}


def said() -> str:
    out = StringIO()
    call_command("seed_rubric", stdout=out)
    return out.getvalue().strip()


def test_a_rubric_of_the_house_stays_in_force_and_the_command_says_so(
    rubric: RubricVersion, billing: Team
) -> None:
    own = rubric.rubric.versions.create(number=2, spec=one_cue_a_call(), note="One cue is enough")
    assert "stays in force" in said()
    assert rubric_version_for(billing.pk) == own
    assert rubric.rubric.versions.count() == 2


def test_a_renamed_rubric_of_the_house_stays_in_force(rubric: RubricVersion, billing: Team) -> None:
    Rubric.objects.filter(pk=rubric.rubric_id).update(name="Ours")
    own = rubric.rubric.versions.create(number=2, spec=one_cue_a_call(), note="")
    assert seed_rubric() == own == rubric_version_for(billing.pk)
    assert Rubric.objects.count() == 1


def test_a_newer_default_replaces_the_one_shipped_before(
    rubric: RubricVersion, billing: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "default_rubric", lambda: RubricSpec.from_dict(one_cue_a_call()))
    assert said() == "House rubric v2" == said()
    newest = rubric_version_for(billing.pk)
    assert (newest.spec["nudging"]["per_call"], newest.note) == (1, SHIPPED)


@pytest.mark.parametrize("changed", ["scoring/rubrics/default.yaml", "calls/demo/scripts/fraud-fear.yaml"])
def test_the_demo_seeds_again_when_what_it_seeds_changes(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in demo.SEED_SOURCES:
        origin, copy = demo.ROOT / source, tmp_path / source
        assert origin.exists()
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, copy, ignore=shutil.ignore_patterns("*.opus", "__pycache__"))
        else:
            shutil.copy(origin, copy)
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    before = demo.seed_mark()
    assert demo.seed_mark() == before
    with (tmp_path / changed).open("a") as file:
        file.write("# changed\n")
    assert demo.seed_mark() != before
