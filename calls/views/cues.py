"""/cues/: each rule's ledger: shown, judged, taken, and whether callers recovered after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.cache import never_cache

from calls import access, nudging
from calls.choices import Verdict
from calls.models import RubricVersion, ShownNudge
from calls.views.paint import look_of_rule
from scoring.nudges import RulePrecision
from scoring.rubric import NudgeRule

ENOUGH = 5
"""From so many on a share is told."""
MOMENT_WORDS = {
    "caller-stops": "",
    "silence": gettext_lazy("after a long silence"),
    "interrupted": gettext_lazy("after cutting in"),
}
MISSING_WORDS = {
    "acknowledge": gettext_lazy("the feeling not named yet"),
    "understand": gettext_lazy("not summed up yet"),
    "explore": gettext_lazy("nobody asked yet"),
    "own": gettext_lazy("no apology yet"),
    "reassure": gettext_lazy("no next step yet"),
}


@login_required
@never_cache
def cues(request: HttpRequest) -> HttpResponse:
    if not access.may_see_floor(request.user):
        raise Http404("No ledger.")
    teams = access.visible_teams(request.user)
    ledgers = [ledger(version, [team.pk for team in teams]) for version in access.in_force(teams)]
    return render(request, "cues/cues.html", {"section": "cues", "ledgers": ledgers, "teams": teams})


def ledger(version: RubricVersion, teams: list[int]) -> dict[str, Any]:
    """Rows per rule of a rubric, over what was shown in these teams' calls of the time that precision looks
    at; precision is over all who use the rubric."""
    shown: dict[str, list[Sum]] = defaultdict(list)
    cues = ShownNudge.objects.filter(
        shown_at__gte=timezone.now() - nudging.VERDICTS_COUNT_FOR,
        call__rubric_version__rubric_id=version.rubric_id,
        call__team__in=teams,
        call__practice=False,
    )
    alike = cues.order_by().values("rule", "verdict", "taken")
    summed: Iterable[Mapping[str, Any]] = alike.annotate(n=Count("pk"), calmed=Count("recovered_ms"))
    for row in summed:
        shown[row["rule"]].append(Sum(row["verdict"], row["taken"], row["n"], row["calmed"]))
    known = nudging.precision(version, fresh=True)
    rules = version.as_spec().nudging
    rows = [rule_row(rule, shown[rule.id], known[rule.id]) for rule in rules.rules]
    total = sum(map(count, shown.values()))
    return {
        "rubric": str(version),
        "shown": total,
        "days": nudging.VERDICTS_COUNT_FOR.days,
        "elsewhere": total - sum(row["shown"] for row in rows),
        "rows": rows,
        "off": sum(row["switched_off"] for row in rows),
        "floor": f"{rules.precision_floor:.0%}",
        "min_verdicts": rules.min_verdicts,
    }


@dataclass(frozen=True)
class Sum:
    """Cues of a rule of which the same was said and came; there may be very many."""

    verdict: str
    taken: bool | None
    n: int
    calmed: int
    """After so many of them the caller was calm again."""


def count(rows: Iterable[Sum]) -> int:
    return sum(row.n for row in rows)


def rule_row(rule: NudgeRule, rows: list[Sum], known: RulePrecision) -> dict[str, Any]:
    taken = [row for row in rows if row.taken]
    missed = [row for row in rows if row.taken is False]
    verdicts = known.helpful + known.not_helpful + known.wrong
    return {
        "rule": rule.id,
        "state": rule.state,
        "look": look_of_rule(rule.state),
        "missing": MISSING_WORDS[rule.missing],
        "moment": MOMENT_WORDS[rule.moment],
        "cue": rule.cue,
        "shown": count(rows),
        "taken_words": share(count(taken), count(taken) + count(missed)),
        "verdicts": [
            (Verdict(name).label, count(row for row in rows if row.verdict == name))
            for name in Verdict.values
        ],
        "precision_words": f"{known.precision:.0%}, {counted(verdicts)}"
        if verdicts
        else gettext("no verdict yet"),
        "recovered_taken": recovered(taken),
        "recovered_missed": recovered(missed),
        "switched_off": known.switched_off,
        "reason": known.reason,
    }


def recovered(rows: list[Sum]) -> str:
    """In how many calls the caller calmed down after the cue."""
    return share(sum(row.calmed for row in rows), count(rows))


def counted(verdicts: int) -> str:
    return ngettext("%s verdict", "%s verdicts", verdicts) % verdicts


def share(part: int, whole: int) -> str:
    """In words that claim nothing from a handful."""
    if whole < ENOUGH:
        few = gettext("{part} of {whole}, too few to say").format(part=part, whole=whole)
        return few if whole else gettext("none yet")
    return gettext("{share} of {whole}").format(share=f"{part / whole:.0%}", whole=whole)
