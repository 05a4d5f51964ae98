"""/alerts/: what was raised in the calls a supervisor watches, during a call and long after it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Case, Q, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from calls import access, reviewing, wire
from calls.models import Alert, User
from calls.views.call import alert_paint
from calls.views.people import day
from scoring.alerts import kind_of
from scoring.rubric import ALERT_CAUSES

PER_PAGE = 25
WAITING = Q(acknowledged_at=None, resolved_at=None)
STATUSES = {
    "open": (gettext_lazy("nobody looks after it"), WAITING),
    "acknowledged": (gettext_lazy("acknowledged"), Q(acknowledged_at__isnull=False, resolved_at=None)),
    "resolved": (gettext_lazy("resolved"), Q(resolved_at__isnull=False)),
}
FILTERS = ("team", "status", "cause", "first", "last")


@login_required
@never_cache
@ensure_csrf_cookie
@require_safe
def alerts(request: HttpRequest) -> HttpResponse:
    user = watcher(request)
    asked = {name: request.GET.get(name, "").replace("\0", "").strip()[:80] for name in FILTERS}
    mine = visible(user)
    found, troubles = fitting(mine, asked, user)
    newest = found.order_by(Case(When(WAITING, then=0), default=1), "-raised_at", "-pk")
    page = Paginator(newest, PER_PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "section": "alerts",
        "page": page,
        "rows": [row(alert) for alert in page],
        "waiting": mine.filter(WAITING).count(),
        "asked": asked,
        "troubles": troubles,
        "query": query.urlencode(),
        "teams": access.visible_teams(user),
        "statuses": [(name, words) for name, (words, _which) in STATUSES.items()],
        "causes": causes_for(user, asked["cause"]),
        "hidden": access.visible_alerts(user).filter(call__in=reviewing.under_way(user)).exists(),
    }
    return render(request, "alerts/alerts.html", context)


@login_required
@never_cache
@require_safe
def alert(request: HttpRequest, pk: int) -> HttpResponse:
    """One line of the list, as it is now: a page takes it in after it has changed it."""
    found = get_object_or_404(visible(watcher(request)), pk=pk)
    return render(request, "alerts/_row.html", {"alert": row(found)})


def watcher(request: HttpRequest) -> User:
    if not access.may_see_floor(request.user):
        raise Http404("No alerts.")
    assert isinstance(request.user, User)
    return request.user


def visible(user: User) -> QuerySet[Alert]:
    """Less those of calls that the user is still scoring: what the machine found is not told in passing."""
    seen = access.visible_alerts(user).exclude(call__in=reviewing.under_way(user))
    return seen.select_related("call__agent", "call__team", "acknowledged_by", "resolved_by")


def fitting(
    found: QuerySet[Alert], asked: Mapping[str, str], user: User
) -> tuple[QuerySet[Alert], list[str]]:
    """The alerts that were asked for; a part of the question that makes no sense is left out, and said."""
    troubles = []
    if asked["team"]:
        team = next((t.pk for t in access.visible_teams(user) if str(t.pk) == asked["team"]), None)
        if team is None:
            troubles.append(_("There is no such team among yours. Those of all teams are shown."))
        else:
            found = found.filter(call__team=team)
    if asked["status"] in STATUSES:
        found = found.filter(STATUSES[asked["status"]][1])
    elif asked["status"]:
        troubles.append(
            _("There is no status “{said}”; choose one of the list. All are shown.").format(
                said=asked["status"]
            )
        )
    if asked["cause"]:
        found = found.filter(cause=asked["cause"])
    try:
        if asked["first"]:
            found = found.filter(raised_at__gte=day(asked["first"]))
        if asked["last"]:
            found = found.filter(raised_at__lt=day(asked["last"]) + timedelta(days=1))
    except ValueError:
        troubles.append(_("Give days like 2026-01-31. All days are shown."))
    else:
        if asked["first"] and asked["last"] and day(asked["first"]) > day(asked["last"]):
            troubles.append(_("The first day is after the last: nothing lies between. Swap them."))
    return found, troubles


def causes_for(user: User, asked: str) -> list[tuple[str, str]]:
    """(cause, kind in words) that the rubrics of the user's teams can raise now, and the one asked for."""
    causes: dict[str, str] = {}
    for version in access.in_force(access.visible_teams(user)):
        spec = version.as_spec()
        for cause in (*ALERT_CAUSES, *(rule.id for rule in spec.alerting.lasting)):
            causes.setdefault(cause, kind_of(cause, spec))
    if asked:
        causes.setdefault(asked, asked)
    return list(causes.items())


def row(found: Alert) -> dict[str, Any]:
    call = found.call
    return alert_paint(wire.alert_doc(found)) | {
        "pk": found.pk,
        "raised_at": found.raised_at,
        "done_at": found.resolved_at or found.acknowledged_at,
        "call": call,
        "who": str(call.agent) if call.agent else _("Unassigned"),
    }
