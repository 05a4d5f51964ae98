"""/teams/<id>/trends/: a team's calls without names or ranks, and what callers feel, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from calls import access, auditing, outlooks, policy, rollups
from calls.choices import Role
from calls.models import Team, User
from calls.rollups import Felt, Quartiles, Trend
from calls.views.paint import LOOK, Doc, clock
from calls.views.small_multiples import ENOUGH_CALLS, calls_drawing, column_words, columns, day, strip
from calls.views.trends import (
    PERIODS,
    Panel,
    Told,
    csv_of,
    percent,
    period,
    periods,
    value_words,
    watches,
    weekly_rows,
)
from scoring.types import DISTRESS, FELT, State

LEAST_PEOPLE = 3
"""A week of fewer agents tells of each: with two, either knows the other's figures."""
TOPICS = 12
"""As many topics are told, those with most calls."""
FEELINGS = tuple(map(str, (State.CALM, *reversed(FELT), State.UNSURE)))
SPREADS = (
    Panel("empathy", _("Empathy"), _("Calls in which callers needed empathy."), 0, factor=1.0),
    Panel("met_share", _("Needs met"), _("Share of a call’s needs that were met."), 0),
    Panel("recovered", _("Recovery"), _("Share of a call’s needs after which the caller was calm again."), 0),
    Panel("listening", _("Listening"), _("Without cutting in on the caller."), 0),
    Panel("courtesy", _("Courtesy"), _("Politeness, thanks, greeting and close."), 0),
    Panel("coverage", _("Coverage"), _("Share of a call’s audio that was scored."), 0),
)


@login_required
@never_cache
def trends_home(request: HttpRequest) -> HttpResponse:
    """/trends/ leads to one's own trends, or those of the first team one watches."""
    if access.is_agent(request.user):
        return redirect("my_trends")
    teams = access.visible_teams(request.user)
    return redirect("team_trends", teams[0].pk) if teams else redirect("home")


@login_required
@never_cache
def team_trends(request: HttpRequest, pk: int) -> HttpResponse:
    if not watches(request, pk):
        raise Http404("No such team.")
    team = get_object_or_404(Team, pk=pk)
    trend = rollups.team_trend(team.pk, period(request, 13))
    felt = rollups.team_feelings(team.pk, trend)
    context: Doc = {
        "section": "trends",
        "team": team,
        "teams": [other for other in access.visible_teams(request.user) if other.pk != pk],
        "trend": trend,
        "spreads": [spread_doc(panel, trend) for panel in SPREADS],
        "coverage": coverage_doc(trend, felt.whole),
        "needs": [need_doc(state, felt.whole) for state in map(str, DISTRESS)],
        "states": [(state, LOOK["state"][state]) for state in FEELINGS],
        "hours": [felt_doc(f"{hour:02d}:00", one) for hour, one in sorted(felt.by_hour.items())],
        "topics": topics(felt.by_topic),
        "beside": beside(trend, felt.by_week),
        "outlook_fit": outlooks.in_use(),
        "imported": any(metric in trend.weekly for metric, _words in COUNTED),
        "upset": [LOOK["state"][state] for state in UPSET],
        "people": User.objects.filter(team=team, role=Role.AGENT, is_active=True).order_by(
            "first_name", "last_name", "username"
        ),
        **periods(len(trend.weeks)),
    }  # fmt: skip
    return render(request, "trends/team.html", context)


@login_required
@never_cache
@require_safe
def team_trends_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """A year of the team's weeks. Under the lock of the policy, without weeks that tell of single people."""
    if not watches(request, pk):
        raise Http404("No such team.")
    team = get_object_or_404(Team, pk=pk)
    trend = rollups.team_trend(team.pk, max(PERIODS))
    weeks = set(trend.weeks)
    if policy.current().hr_lock:
        weeks -= rollups.weeks_of_few(team.pk, trend, LEAST_PEOPLE)
    told = [row for row in (*weekly_rows(trend), *felt_rows(team.pk, trend)) if row[0] in weeks]
    if trend.weekly and not told:
        words = gettext(
            "The policy locks agents’ figures, and each week here is of fewer than {n} agents."
        ).format(n=LEAST_PEOPLE)
        return HttpResponseForbidden(words, content_type="text/plain; charset=utf-8")
    assert isinstance(request.user, User)  # outsiders got a 404
    auditing.exported(request.user, "team-trends.csv", team=team.name)
    return csv_of("team", team.name, trend, told)


def felt_rows(team_id: int, trend: Trend) -> Iterator[Told]:
    """What callers felt and needed, week by week, as sums: shares of time over the calls that told."""
    by_week = rollups.team_feelings(team_id, trend).by_week
    for week, felt in sorted(by_week.items()):
        for state, share in felt.times.items():
            yield week, f"time_{state}", (felt.told, "", "", "", round(share * felt.told, 4))
        sums = {f"needs_{state}": n for state, n in felt.needs.items()}
        sums |= {f"missed_{state}": n for state, n in felt.missed.items()} | dict(felt.outlook)
        for name, n in sums.items():
            yield week, name, (felt.calls, "", "", "", n)


def spread_doc(panel: Panel, trend: Trend) -> Doc:
    places = trend.bins.get(panel.metric, {})
    n = sum(places.values())
    q1, middle, q3 = (rollups.quantile(places, share) or 0.0 for share in (0.25, 0.5, 0.75))
    enough = n >= ENOUGH_CALLS
    shown = {
        "n": n,
        "q1": value_words(panel, q1),
        "q3": value_words(panel, q3),
        "middle": value_words(panel, middle),
    }
    return {
        "metric": panel.metric,
        "title": panel.title,
        "about": panel.about,
        "n": n,
        "words": spread_words(n) % shown,
        "drawing": calls_drawing(places, (q1, middle, q3) if enough else None),
        "rows": [
            {"words": column_words(at), "n": count} for at, count in enumerate(columns(places)) if count
        ],
        "percent": panel.factor != 1.0,
    }


def spread_words(n: int) -> str:
    if n >= ENOUGH_CALLS:
        return gettext("Half of the %(n)s calls lie between %(q1)s and %(q3)s, the middle one at %(middle)s.")
    if n:
        return ngettext(
            "Only %(n)s call could tell: too few to describe.",
            "Only %(n)s calls could tell: too few to describe.",
            n,
        )
    return gettext("No call of these weeks could tell.")


def coverage_doc(trend: Trend, whole: Felt) -> Doc:
    told = trend.weekly.get("coverage", {}).values()
    n = sum(week.n for week in told)
    mean = sum(week.total for week in told) / n if n else None
    return {
        "calls": whole.calls,
        "share": None if mean is None else percent(mean),
        "patchy": whole.patchy,
        "below": percent(rollups.PATCHY),
    }


def need_doc(state: str, whole: Felt) -> Doc:
    needs, missed = whole.needs[state], whole.missed[state]
    return {
        "state": state,
        "look": LOOK["state"][state],
        "needs": needs,
        "missed": missed,
        "share": share_words(missed, needs),
        "drawing": strip({state: missed / needs}, [state]) if needs >= ENOUGH_CALLS else [],
    }


def share_words(part: float, whole: int) -> str:
    if whole < ENOUGH_CALLS:
        return gettext("too few to say") if whole else "–"
    return percent(part / whole)


def felt_doc(name: str, felt: Felt) -> Doc:
    """A row of what callers felt: shares only where enough calls tell."""
    enough = felt.told >= ENOUGH_CALLS
    return {
        "name": name,
        "n": felt.told,
        "enough": enough,
        "shares": [(state, percent(felt.times[state] or 0)) for state in FEELINGS] if enough else [],
        "drawing": strip(felt.times, FEELINGS) if enough else [],
    }


def topics(by_topic: Mapping[str, Felt]) -> list[Doc]:
    """Topics with most calls first; those past TOPICS are only counted."""
    ordered = sorted(by_topic.items(), key=lambda item: (-item[1].told, item[0]))
    return [felt_doc(name or gettext("no queue named"), felt) for name, felt in ordered[:TOPICS]]


UPSET = tuple(map(str, DISTRESS))
"""States told one by one beside what phone systems count."""


def beside(trend: Trend, by_week: Mapping[date, Felt]) -> list[Doc]:
    """What other systems count beside what callers met, week by week, newest first."""
    weekly = trend.weekly
    return [
        {
            "week": week,
            "day": day(week),
            "last": day(week + timedelta(days=6)),
            "n": by_week[week].calls,
            "few": by_week[week].calls < ENOUGH_CALLS,
            "audio": median_words(weekly, "handle_ms", week, clock),
            "counted": [told_doc(weekly, week, *column) for column in COUNTED],
            "empathy": median_words(weekly, "empathy", week, lambda value: str(round(value))),
            "met": met_words(weekly, week),
            "states": [state_words(by_week[week], state) for state in UPSET],
            "at_risk": share_words(by_week[week].outlook["at_risk"], sum(by_week[week].outlook.values())),
        }
        for week in reversed(trend.weeks)
        if week in by_week
    ]


def mean(words: Callable[[float], str]) -> Callable[[Quartiles], str]:
    return lambda told: words(told.total / told.n)


COUNTED: tuple[tuple[str, Callable[[Quartiles], str]], ...] = (
    ("handle_time_ms", lambda told: clock(round(told.median))),
    ("resolved", mean(percent)),
    ("csat", mean(lambda value: f"{value:.1f}")),
    ("nps", mean(lambda value: f"{value:.1f}")),
    ("churned", mean(percent)),
)
"""Imported numbers (docs/outcomes.md), and how a week of them is said."""


def told_doc(weekly: rollups.Weekly, week: date, metric: str, words: Callable[[Quartiles], str]) -> Doc:
    """What was imported of a week's calls, and of how many; few are not described."""
    told = weekly.get(metric, {}).get(week)
    if told is None:
        return {"n": 0, "words": ""}
    return {"n": told.n, "words": words(told) if told.n >= ENOUGH_CALLS else ""}


def state_words(felt: Felt, state: str) -> str:
    """Mean share of a call that the caller spent so."""
    return percent(felt.times[state] or 0) if felt.times else "–"


def median_words(weekly: rollups.Weekly, metric: str, week: date, words: Callable[[float], str]) -> str:
    told = weekly.get(metric, {}).get(week)
    return words(told.median) if told else "–"


def met_words(weekly: rollups.Weekly, week: date) -> str:
    met, missed = (weekly.get(name, {}).get(week) for name in ("met", "missed"))
    if met is None or missed is None:
        return "–"
    return share_words(met.total, round(met.total + missed.total))
