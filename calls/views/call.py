"""/calls/ and /calls/<id>/: the calls a person may see, and one of them, live or ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie

from calls import access, finding, helping, keeping, live, reviewing
from calls.choices import CallStatus, LookKind, Verdict
from calls.models import Call, User
from calls.models.reviews import appeal_until, standing_of
from calls.models.rubrics import spec_of
from calls.views import outcomes
from calls.views.paint import LOOK, clock, elapsed_ms, look, tile_paint, turn_paint


@login_required
@never_cache
def calls(request: HttpRequest) -> HttpResponse:
    user = request.user
    assert isinstance(user, User)
    asked = finding.read(request.GET.dict(), user)
    troubles = [(str(FIELDS[name]), words) for name, words in asked.troubles.items()]
    places: dict[str, finding.Place] = {}
    for name in ("older", "newer"):
        try:
            if name in request.GET:
                places[name] = finding.Place.read(request.GET[name])
        except (ValueError, OverflowError):  # the first of all days, in a zone where it is the day before
            troubles.append(
                (gettext("Page"), gettext("This address names no page of the list: begin at its first."))
            )
    found = access.visible_calls(user).none() if troubles else access.visible_calls(user).filter(asked.which)
    page = finding.page(found, **places)
    now, unscored = timezone.now(), reviewing.under_way(user)
    query = urlencode({name: words for name, words in asked.said.items() if words})
    context = {
        "section": "calls",
        "page": page,
        "rows": [row(item, now, blind=item.pk in unscored) for item in page.rows],
        "asked": asked,
        "troubles": troubles,
        "query": query and f"{query}&",
        "choices": choices_for(user),
    }
    return render(request, "call/calls.html", context, status=400 if troubles else 200)


FIELDS = {
    "ref": gettext_lazy("Reference"),
    "team": gettext_lazy("Team"),
    "agent": gettext_lazy("Agent"),
    "source": gettext_lazy("Source"),
    "queue": gettext_lazy("Queue"),
    "status": gettext_lazy("Status"),
    "risk": gettext_lazy("Risk"),
    "first": gettext_lazy("From"),
    "last": gettext_lazy("To"),
    "alert": gettext_lazy("Alerts"),
}
STATUSES = {
    CallStatus.LIVE: gettext_lazy("Live"),
    CallStatus.ENDED: gettext_lazy("Ended"),
    CallStatus.LOST: gettext_lazy("Stream lost"),
}


def choices_for(user: User) -> dict[str, Any]:
    """What the form offers; agents have one team and one agent, so they are not asked."""
    offered: dict[str, Any] = {
        "status": list(STATUSES.items()),
        "risk": [(name, look[1]) for name, look in LOOK["risk"].items()],
    }
    if access.may_see_floor(user):
        offered["team"] = [(str(team.pk), team.name) for team in access.visible_teams(user)]
        agents = access.visible_agents(user).order_by("first_name", "last_name", "username")
        offered["agent"] = [(str(agent.pk), str(agent)) for agent in agents]
        offered["source"] = [(str(source.pk), source.name) for source in finding.sources(user)]
    return offered


def row(call: Call, now: datetime, *, blind: bool = False) -> dict[str, Any]:
    """`blind`: the reader is scoring it, so what the machine made of it stays out."""
    tile = call.tile_base() | {"alerts_open": 0} if blind else call.tile | call.tile_base()
    painted = tile_paint(tile, now) if "risk" in tile else {"elapsed": clock(elapsed_ms(tile, now))}
    return {
        "call": call, "tile": tile | painted, "blind": blind, "standing": standing_of(call.appeals.all())
    }  # fmt: skip


@login_required
@never_cache
@ensure_csrf_cookie
def call(request: HttpRequest, call_id: UUID) -> HttpResponse:
    found = access.get_call_or_404(request.user, call_id)
    assert isinstance(request.user, User)  # outsiders got a 404
    if (warning := first(request, found, request.user)) is not None:
        return warning
    helping.look(found, request.user)
    return page(request, found)


def page(request: HttpRequest, found: Call, trouble: str = "", typed: str = "") -> HttpResponse:
    """`trouble`: why what its agent `typed` is no appeal."""
    helps = access.may_see_floor(request.user)
    messages = helps and found.is_live and found.agent_id is not None
    met = spec_of(found.rubric_version_id).alignment.met
    context = call_context(live.call_snapshot(found), timezone.now(), helps=helps, messages=messages, met=met)
    context["recording"] = recording(found)
    context["purged"] = found.purged
    context["outcome"] = outcomes.told_of(found)
    context["under_appeal"] = reviewing.under_appeal(found)
    context["appeals"] = found.appeals.exclude(decided_at=None)
    context["own_reviews"] = not helps
    own = found.agent_id == request.user.pk
    context["may_appeal"] = own and reviewing.may_appeal(found, None)
    context["appeal_until"] = appeal_until(found.ended_at) if found.ended_at else None
    context["appeal_trouble"], context["typed"] = trouble, typed
    if found.practice and found.is_live:
        context["practice"], context["practice_ref"] = found.source.media_url, found.external_ref
    if helps:
        context["listens"], context["barges"] = found.source.listen_url, found.source.barge_url
    return render(request, "call/call.html", context, status=400 if trouble else 200)


def first(request: HttpRequest, call: Call, user: User) -> HttpResponse | None:
    """A warning, before somebody who is scoring a call is shown what the machine made of it. None when they
    are not, or go on (`anyway`), which ends the blindness of their review."""
    if not reviewing.open_review(call, user):
        return None
    if "anyway" not in request.GET:
        asked = request.GET.copy()
        asked["anyway"] = "1"
        context = {"section": "reviews", "call": call, "anyway": asked.urlencode()}
        return render(request, "reviews/first.html", context)
    reviewing.saw_machine(call, user)
    return None


def recording(call: Call) -> dict[str, str]:
    """Where it can be played; else, in words, why it cannot."""
    if not call.is_live and keeping.find(call.pk):
        return {"address": reverse("audio", args=[call.pk]), "length": clock(call.media_ms)}
    if not call.is_live and keeping.is_waiting(call.pk):
        return {"words": gettext("The recording is being made. Load the page again in a minute.")}
    if not (keeping.is_on() and call.source.keep_audio):
        return {"words": gettext("No audio is kept for this source.")}
    if call.is_live:
        return {"words": gettext("The recording can be played here after the call.")}
    return {"words": gettext("No audio is kept of this call.")}


def call_context(
    snapshot: dict[str, Any], now: datetime, *, helps: bool = False, messages: bool = False, **rubric: float
) -> dict[str, Any]:
    """What the call page shows before any script runs. `helps`: the viewer may answer alerts;
    `messages`: and there is an agent to write to. `rubric`: `met`, where it is not the shipped one."""
    return {
        "section": "calls",
        "look": look(verdict=dict(Verdict.choices), looked=dict(LookKind.choices), **rubric),
        "call": snapshot,
        "helps": helps,
        "may_message": messages,
        "alerts": [alert_paint(alert) for alert in reversed(snapshot["alerts"])],
        "now": now.isoformat(),
        "tile": tile_paint(snapshot["tile"], now),
        "turns": [turn_paint(turn) for turn in snapshot["turns"]],
    }


def alert_paint(alert: dict[str, Any]) -> dict[str, Any]:
    """Times stay ISO here: only the browser knows what is local."""
    resolved, taken = alert.get("resolved_at"), alert.get("acknowledged_at")
    by = alert.get("resolved_by") if resolved else alert.get("acknowledged_by")
    return alert | {
        "risk_look": LOOK["risk"][alert["severity"]],
        "at": clock(alert["t_ms"]),
        "fate": fate(bool(resolved), bool(taken), by or ""),
        "open": not resolved and not taken,
    }


def fate(resolved: bool, taken: bool, by: str) -> str:
    if resolved:
        return gettext("Resolved by %(by)s") % {"by": by} if by else gettext("Resolved")
    if taken:
        return gettext("Acknowledged by %(by)s") % {"by": by} if by else gettext("Acknowledged")
    return gettext("Nobody looks after it yet.")
