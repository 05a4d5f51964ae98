"""/me/trends/ and /agents/<id>/trends/: an agent's weeks against own past, the very same page for both."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from calls import access, auditing, own_data, policy, reviewing, rollups, trends
from calls.choices import Role
from calls.models import Call, User
from calls.rollups import Quartiles, Trend
from calls.views.paint import LOOK, Doc, clock
from calls.views.small_multiples import (
    ENOUGH_CALLS,
    ENOUGH_WEEKS,
    Claim,
    Line,
    Point,
    claim,
    day,
    share_point,
    spread_point,
    weeks_drawing,
)
from scoring.types import DISTRESS

PERIODS = (13, 26, 52)
"""Weeks that can be looked at."""
STRENGTHS = 3
"""As many are named at the top."""
REPLAYS = 3

Words = str | Promise


@dataclass(frozen=True)
class Panel:
    """One number. `good`: from here on (0-100) it is a strength; `step`: what is too little to name."""

    metric: str
    title: Words
    about: Words
    good: float
    step: float = 3.0
    factor: float = 100.0
    state: str = ""


PANELS = (
    Panel(
        "empathy",
        _("Empathy"),
        _("The score of a call, 0 to 100, where callers needed empathy."),
        good=LOOK["target"]["empathy"],
        step=2.0,
        factor=1.0,
    ),
    *(
        Panel(
            f"fit_{state}",
            _("Response fit"),
            _("How well answers to this feeling fitted it; the rubric says from where on a need is met."),
            good=50.0,
            state=state,
        )
        for state in map(str, DISTRESS)
    ),
    Panel("listening", _("Listening"), _("Without cutting in on the caller."), good=80.0),
    Panel("recovered", _("Recovery"), _("Needs after which the caller was calm again."), good=50.0),
    Panel(
        "cues",
        _("Cues taken"),
        _("Of the cues shown in a week, those that were heard soon after."),
        good=50.0,
    ),
)


# --- an agent's page -----------------------------------------------------------------------------


@login_required
@never_cache
def my_trends(request: HttpRequest) -> HttpResponse:
    return agent_page(request, own_account(request))


@login_required
@never_cache
def agent_trends(request: HttpRequest, pk: int) -> HttpResponse:
    return agent_page(request, visible_agent(request, pk))


@login_required
@never_cache
def my_csv(request: HttpRequest) -> HttpResponse:
    agent = own_account(request)
    auditing.exported(agent, "trends.csv")
    return agent_csv(agent)


@login_required
@never_cache
def agent_trends_csv(request: HttpRequest, pk: int) -> HttpResponse:
    agent = visible_agent(request, pk)
    if is_locked(request, agent):
        words = gettext("The policy locks agents’ figures: only the agent can take them out of the system.")
        return HttpResponseForbidden(words, content_type="text/plain; charset=utf-8")
    assert isinstance(request.user, User)  # outsiders got a 404
    auditing.exported(request.user, "trends.csv", agent=str(agent))
    return agent_csv(agent)


@login_required
@never_cache
@require_safe
def my_data(request: HttpRequest) -> HttpResponse:
    """All that is kept about the agent who asks, as a zip."""
    agent = own_account(request)
    headers = {"Content-Disposition": f'attachment; filename="{agent.get_username()}.zip"'}
    auditing.exported(agent, "data.zip")
    content = own_data.archive(agent, timezone.now().date())
    return HttpResponse(content, content_type="application/zip", headers=headers)


def is_locked(request: HttpRequest, agent: User) -> bool:
    return agent.pk != request.user.pk and policy.current().hr_lock


def own_account(request: HttpRequest) -> User:
    if not access.is_agent(request.user):
        raise Http404("Only agents have this page.")
    return request.user


def visible_agent(request: HttpRequest, pk: int) -> User:
    """The agent, where the viewer is that agent or watches the agent's team now."""
    agent = User.objects.filter(pk=pk, role=Role.AGENT).first()
    if agent is None or not (agent.pk == request.user.pk or watches(request, agent.team_id)):
        raise Http404("No such agent.")
    return agent


def watches(request: HttpRequest, team_id: int | None) -> bool:
    return team_id is not None and team_id in {team.pk for team in access.visible_teams(request.user)}


def agent_page(request: HttpRequest, agent: User) -> HttpResponse:
    trend = rollups.agent_trend(agent.pk, period(request, 26))
    changes = rollups.rubric_changes(agent.pk, trend) if trend.weekly else []
    panels = in_order([panel_doc(panel, trend, changes) for panel in PANELS]) if trend.weekly else []
    context: Doc = {
        "section": "trends",
        "agent": agent,
        "own": agent.pk == request.user.pk,
        "locked": is_locked(request, agent),
        "csv": "my_trends_csv" if agent.pk == request.user.pk else "agent_trends_csv",
        "trend": trend,
        "panels": panels,
        "strengths": [panel for panel in panels if panel["strong"]][:STRENGTHS],
        "changes": [day(week) for week in changes],
        "replays": replays(request, agent, trend) if trend.weekly else {},
        **periods(len(trend.weeks)),
        "appealed": agent.appeals.filter(decided_at=None).count(),
    }
    return render(request, "trends/agent.html", context)


def period(request: HttpRequest, default: int) -> int:
    """How many weeks; what nobody offered is as if nothing was asked."""
    asked = request.GET.get("weeks", "")
    return next((weeks for weeks in PERIODS if str(weeks) == asked), default)


def periods(weeks: int) -> Doc:
    return {
        "weeks": weeks,
        "periods": PERIODS,
        "enough_calls": ENOUGH_CALLS,
        "enough_weeks": ENOUGH_WEEKS,
    }


def line_of(panel: Panel, trend: Trend) -> Line:
    if panel.metric == "cues":
        taken, settled = trend.weekly.get("cues_taken", {}), trend.weekly.get("cues_settled", {})
        return [
            (week, share_point(taken[week].total, settled[week].total) if week in settled else None)
            for week in trend.weeks
        ]
    told = trend.weekly.get(panel.metric, {})
    return [(week, spread_point(told[week], panel.factor) if week in told else None) for week in trend.weeks]


def panel_doc(panel: Panel, trend: Trend, changes: Sequence[date]) -> Doc:
    line = line_of(panel, trend)
    found = claim(line, panel.step)
    rows = [row_doc(panel, week, point) for week, point in line]
    level = found.now.middle if found.now else 0.0
    return {
        "metric": panel.metric,
        "title": panel.title,
        "about": panel.about,
        "state": panel.state,
        "look": LOOK["state"][panel.state] if panel.state else None,
        "tone": found.tone,
        "words": claim_words(panel, found),
        "strong": found.tone == "up" or (found.tone == "same" and level >= panel.good),
        "drawing": weeks_drawing(line, [row["words"] for row in rows], changes),
        "rows": [row for row in reversed(rows) if row["n"]],
    }


TONES = ("up", "same", "down", "few", "none")


def in_order(panels: Sequence[Doc]) -> list[Doc]:
    """Own strengths first; what cannot be told yet last. Within that as PANELS has them."""
    return sorted(panels, key=lambda panel: (not panel["strong"], TONES.index(panel["tone"])))


def claim_words(panel: Panel, found: Claim) -> str:
    if found.tone == "none":
        return gettext("No call of these weeks could tell.")
    if found.now is None or found.before is None or found.week is None:
        words = gettext(
            "Too few to say: it takes %(weeks)s weeks with %(calls)s each, so far there are %(have)s."
        )
        return words % {"have": found.weeks, "weeks": ENOUGH_WEEKS, "calls": ENOUGH_CALLS}
    shown = {
        "week": day(found.week),
        "now": value_words(panel, found.now.middle),
        "before": value_words(panel, found.before),
        "n": found.now.n,
    }
    return CLAIMS[panel.metric == "cues", found.tone] % shown


CLAIMS: Mapping[tuple[bool, str], Words] = {
    (False, "up"): _("Week of %(week)s: median %(now)s (%(n)s calls), above own earlier weeks (%(before)s)."),
    (False, "same"): _(
        "Week of %(week)s: median %(now)s (%(n)s calls), no clear change from own earlier weeks (%(before)s)."
    ),
    (False, "down"): _(
        "Week of %(week)s: median %(now)s (%(n)s calls), below own earlier weeks (%(before)s)."
    ),
    (True, "up"): _("Week of %(week)s: %(now)s of %(n)s cues, above own earlier weeks (%(before)s)."),
    (True, "same"): _(
        "Week of %(week)s: %(now)s of %(n)s cues, no clear change from own earlier weeks (%(before)s)."
    ),
    (True, "down"): _("Week of %(week)s: %(now)s of %(n)s cues, below own earlier weeks (%(before)s)."),
}


def value_words(panel: Panel, value: float | None) -> str:
    if value is None:
        return "–"
    return str(round(value)) if panel.factor == 1.0 else percent(value / 100)


def percent(share: float) -> str:
    return gettext("%s %%") % round(100 * share)


def row_doc(panel: Panel, week: date, point: Point | None) -> Doc:
    """A week in a table, and in words to be read out where it is pointed at."""
    low = value_words(panel, point.low) if point else "–"
    high = value_words(panel, point.high) if point else "–"
    middle = value_words(panel, point.middle) if point else "–"
    n = point.n if point else 0
    shown = {"week": day(week), "middle": middle, "low": low, "high": high, "n": n}
    if point is None:
        words = gettext("%(week)s: nothing to tell") % shown
    elif point.low is None:
        words = ngettext("%(week)s: %(middle)s of %(n)s cue", "%(week)s: %(middle)s of %(n)s cues", n) % shown
    else:
        words = (
            ngettext(
                "%(week)s: median %(middle)s, half between %(low)s and %(high)s, %(n)s call",
                "%(week)s: median %(middle)s, half between %(low)s and %(high)s, %(n)s calls",
                n,
            )
            % shown
        )
    return shown | {"words": words, "spread": bool(point and point.low is not None)}


# --- moments to replay ---------------------------------------------------------------------------


def replays(request: HttpRequest, agent: User, trend: Trend) -> Doc:
    """The best recoveries and the newest missed needs, of calls the viewer may open."""
    own = agent.pk == request.user.pk
    teams = None if own else [team.pk for team in access.visible_teams(request.user)]
    best = rollups.recovered_best(agent.pk, trend, teams, REPLAYS)
    missed = rollups.needs_missed(agent.pk, trend, teams, REPLAYS)
    visible = access.visible_calls(request.user)
    if isinstance(request.user, User):
        visible = visible.exclude(pk__in=reviewing.under_way(request.user))
    calls = {
        call.pk: call
        for call in visible.filter(pk__in={*best, *missed}).only(
            "ended_at", "queue", "synthetic", "final", "rubric_version_id"
        )
    }
    return {
        "best": list(replayed(best, calls, recovered_event)),
        "missed": list(replayed(missed, calls, missed_event)),
    }


def replayed(
    pks: Sequence[UUID], calls: Mapping[UUID, Call], find: Callable[[Sequence[Doc], float], Doc | None]
) -> Iterator[Doc]:
    for call in (calls[pk] for pk in pks if pk in calls):
        events = (call.final or {}).get("alignment", {}).get("events", ())
        if event := find(events, trends.met_from(call)):
            yield {
                "call": call,
                "at": clock(event["t_ms"]),
                "look": LOOK["state"][event["state"]],
                "state": event["state"],
                "recovery_s": round((event["recovery_ms"] or 0) / 1000),
                "fit": percent(event["fit"] or 0),
            }


def recovered_event(events: Sequence[Doc], met: float) -> Doc | None:
    """The strongest feeling that was answered well and passed."""
    found = [e for e in events if e["recovery_ms"] is not None and (e["fit"] or 0) >= met]
    return max(found, key=lambda e: e["affect"], default=None)


def missed_event(events: Sequence[Doc], met: float) -> Doc | None:
    found = [e for e in events if e["fit"] is not None and e["fit"] < met]
    return max(found, key=lambda e: e["affect"], default=None)


# --- CSV -----------------------------------------------------------------------------------------

CSV_COLUMNS = ("week", "metric", "calls", "q1", "median", "q3", "sum", "synthetic")
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def agent_csv(agent: User) -> HttpResponse:
    """A year of weeks as they are stored: shares 0-1, times in milliseconds."""
    trend = rollups.agent_trend(agent.pk, max(PERIODS))
    return csv_of("agent", str(agent), trend, weekly_rows(trend))


Told = tuple[date, str, Sequence[object]]
"""A week, a number's name, and calls, quartiles and sum."""


def weekly_rows(trend: Trend) -> Iterator[Told]:
    for metric in (metric.name for metric in rollups.METRICS):
        for week, told in sorted(trend.weekly.get(metric, {}).items()):
            yield week, metric, numbers(told)


def csv_of(whose: str, name: str, trend: Trend, told: Iterable[Told]) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="trends.csv"'
    rows = csv.writer(response)
    rows.writerow((whose, *CSV_COLUMNS))
    for week, metric, cells in told:
        rows.writerow(harmless([name, week.isoformat(), metric, *cells, trend.synthetic]))
    return response


def numbers(told: Quartiles) -> list[float]:
    return [told.n, *(round(value, 4) for value in (told.q1, told.median, told.q3, told.total))]


def harmless(cells: Sequence[object]) -> list[object]:
    """Text that a spreadsheet would take for a formula gets a ' before it. Numbers are none, minus or not."""
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(DANGEROUS) else cell for cell in cells]
