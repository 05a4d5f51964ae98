"""/cues/: each rule's ledger: shown, judged, taken, and whether callers recovered after it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from calls import access, nudging
from calls.choices import Verdict
from calls.models import RubricVersion, ShownNudge
from calls.models.rubrics import rubric_version_for
from calls.views.me import KINDS
from calls.views.paint import LOOK
from scoring.nudges import RulePrecision
from scoring.rubric import NudgeRule

ENOUGH = 5
"""From so many on a share is told."""
MOMENT_WORDS = {
    "caller-stops": "after the caller stops",
    "silence": "after a long silence",
    "interrupted": "after cutting in",
}


@login_required
@never_cache
def cues(request: HttpRequest) -> HttpResponse:
    if not access.may_see_floor(request.user):
        raise Http404("No ledger.")
    teams = access.visible_teams(request.user)
    versions = {v.pk: v for v in (rubric_version_for(team.pk) for team in teams)}
    ledgers = [ledger(version, [team.pk for team in teams]) for version in versions.values()]
    return render(request, "cues/cues.html", {"section": "cues", "ledgers": ledgers})


def ledger(version: RubricVersion, teams: list[int]) -> dict[str, Any]:
    """Rows per rule of a rubric, over the calls of these teams; precision is over all who use the rubric."""
    shown: dict[str, list[ShownNudge]] = defaultdict(list)
    for row in ShownNudge.objects.filter(
        call__rubric_version__rubric_id=version.rubric_id, call__team__in=teams
    ).only("rule", "verdict", "taken", "recovered_ms"):
        shown[row.rule].append(row)
    known = nudging.precision(version, fresh=True)
    rules = version.as_spec().nudging
    return {
        "rubric": str(version),
        "shown": sum(map(len, shown.values())),
        "rows": [rule_row(rule, shown[rule.id], known[rule.id]) for rule in rules.rules],
        "floor": f"{rules.precision_floor:.0%}",
    }


def rule_row(rule: NudgeRule, rows: list[ShownNudge], known: RulePrecision) -> dict[str, Any]:
    settled = [row for row in rows if row.taken is not None]
    taken = [row for row in settled if row.taken]
    missed = [row for row in settled if not row.taken]
    look = LOOK["state"][rule.state]
    verdicts = known.helpful + known.not_helpful + known.wrong
    return asdict(known) | {
        "rule": rule.id,
        "state": rule.state,
        "look": look,
        "words": f"{look[1]}, {MOMENT_WORDS[rule.moment]}: {KINDS[rule.missing]}",
        "cue": rule.cue,
        "shown": len(rows),
        "taken_words": share(len(taken), len(settled)),
        "not_now": sum(row.verdict == Verdict.NOT_NOW for row in rows),
        "precision_words": f"{known.precision:.0%} of {verdicts}" if verdicts else "no verdict yet",
        "recovered_taken": recovered(taken),
        "recovered_missed": recovered(missed),
    }


def recovered(rows: list[ShownNudge]) -> str:
    """In how many calls the caller calmed down after the cue."""
    return share(sum(row.recovered_ms is not None for row in rows), len(rows))


def share(part: int, whole: int) -> str:
    """In words that claim nothing from a handful."""
    if whole < ENOUGH:
        return f"{part} of {whole}, too few to say" if whole else "–"
    return f"{part / whole:.0%} of {whole}"
