"""/floor/: every live call of the teams a supervisor watches."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from calls import access, live
from calls.buffer import ledger
from calls.views.paint import floor_paint, look


@login_required
@never_cache
def floor(request: HttpRequest) -> HttpResponse:
    if not access.may_see_floor(request.user):
        raise Http404("No floor.")
    snapshot = live.floor_snapshot(request.user, ledger().lag_ms())
    wanted = {name: request.GET.get(name, "").strip() for name in ("team", "queue", "q")}
    queues = sorted({tile["queue"] for tile in snapshot["calls"].values() if tile["queue"]})
    context = {
        "section": "floor",
        "look": look(),
        "snapshot": snapshot,
        "floor": floor_paint(snapshot, wanted),
        "wanted": wanted,
        "teams": access.visible_teams(request.user),
        "queues": queues,
        "first_run": not snapshot["calls"] and not access.visible_calls(request.user).exists(),
    }
    return render(request, "floor/floor.html", context)
