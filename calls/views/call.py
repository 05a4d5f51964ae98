"""/calls/ and /calls/<id>/: the calls a person may see, and one of them, live or ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache

from calls import access, live
from calls.models import Call
from calls.views.paint import LOOK, clock, elapsed_ms, tile_paint, turn_paint

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
    return {"call": call, "tile": tile | painted}


@login_required
@never_cache
def call(request: HttpRequest, call_id: UUID) -> HttpResponse:
    found = access.get_call_or_404(request.user, call_id)
    return render(request, "call/call.html", call_context(live.call_snapshot(found), timezone.now()))


def call_context(snapshot: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What the call page shows before any script runs."""
    return {
        "section": "calls",
        "look": LOOK,
        "call": snapshot,
        "now": now.isoformat(),
        "tile": tile_paint(snapshot["tile"], now),
        "turns": [turn_paint(turn) for turn in snapshot["turns"]],
    }
