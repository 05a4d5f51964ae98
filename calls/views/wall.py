"""/floor/wall/: the floor for a screen on the wall. No controls, no names, no words of a caller.

`?team=` and a team's number shows that team alone.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from calls import access, live
from calls.buffer import ledger
from calls.views.paint import floor_paint, look

NO_FILTER = {"team": "", "queue": "", "q": ""}


@login_required
@never_cache
def wall(request: HttpRequest) -> HttpResponse:
    if not access.may_see_floor(request.user):
        raise Http404("No floor.")
    wanted = request.GET.get("team", "").strip()
    teams = access.floor_teams(request.user, wanted)
    if wanted and not teams:
        watched = access.visible_teams(request.user)
        return render(request, "floor/no_wall.html", {"wanted": wanted, "teams": watched}, status=404)
    snapshot = live.wall_snapshot(request.user, ledger().lag_ms(), wanted)
    context = {
        "look": look(),
        "snapshot": snapshot,
        "floor": floor_paint(snapshot, NO_FILTER),
        "team": teams[0] if wanted else None,
    }
    return render(request, "floor/wall.html", context)
