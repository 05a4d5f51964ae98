"""/calls/ and /calls/<id>/: the calls a person may see, and one of them, live or ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie

from calls import access, helping, keeping, live, reviewing
from calls.choices import Verdict
from calls.models import Call, User
from calls.models.reviews import appeal_until, standing_of
from calls.views.paint import LOOK, clock, elapsed_ms, look, tile_paint, turn_paint

PER_PAGE = 25


@login_required
@never_cache
def calls(request: HttpRequest) -> HttpResponse:
    page = Paginator(access.visible_calls(request.user).listed(), PER_PAGE).get_page(request.GET.get("page"))
    now = timezone.now()
    rows = [row(item, now) for item in page]
    context = {"section": "calls", "page": page, "rows": rows}
    return render(request, "call/calls.html", context)


def row(call: Call, now: datetime) -> dict[str, Any]:
    tile = call.tile | call.tile_base()
    painted = tile_paint(tile, now) if "risk" in tile else {"elapsed": clock(elapsed_ms(tile, now))}
    return {"call": call, "tile": tile | painted, "standing": standing_of(call.appeals.all())}


@login_required
@never_cache
@ensure_csrf_cookie
def call(request: HttpRequest, call_id: UUID) -> HttpResponse:
    found = access.get_call_or_404(request.user, call_id)
    assert isinstance(request.user, User)  # outsiders got a 404
    if reviewing.open_review(found, request.user):
        if "anyway" not in request.GET:
            return render(request, "reviews/first.html", {"section": "reviews", "call": found})
        reviewing.saw_machine(found, request.user)
    helping.look(found, request.user)
    return page(request, found)


def page(request: HttpRequest, found: Call, trouble: str = "", typed: str = "") -> HttpResponse:
    """`trouble`: why what its agent `typed` is no appeal."""
    helps = access.may_see_floor(request.user)
    messages = helps and found.is_live and found.agent_id is not None
    context = call_context(live.call_snapshot(found), timezone.now(), helps=helps, messages=messages)
    context["recording"] = recording(found)
    context["purged"] = found.purged
    context["under_appeal"] = reviewing.under_appeal(found)
    context["appeals"] = found.appeals.exclude(decided_at=None)
    context["own_reviews"] = not helps
    own = found.agent_id == request.user.pk
    context["may_appeal"] = own and reviewing.may_appeal(found, None)
    context["appeal_until"] = appeal_until(found.ended_at) if found.ended_at else None
    context["appeal_trouble"], context["typed"] = trouble, typed
    if found.practice and found.is_live:
        context["practice"], context["practice_ref"] = found.source.media_url, found.external_ref
    if helps and found.is_live:
        who = found.agent.username if found.agent else ""
        context["listen"] = found.source.listen_address(found.external_ref, who)
    return render(request, "call/call.html", context, status=400 if trouble else 200)


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
    snapshot: dict[str, Any], now: datetime, *, helps: bool = False, messages: bool = False
) -> dict[str, Any]:
    """What the call page shows before any script runs. `helps`: the viewer may answer alerts;
    `messages`: and there is an agent to write to."""
    return {
        "section": "calls",
        "look": look(verdict=dict(Verdict.choices)),
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
