"""/me/: an agent's own page, made to stand narrow beside a phone."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie

from calls import access, live
from calls.choices import MISSING
from calls.views.paint import LOOK, tile_paint

KINDS = {
    "acknowledge": "acknowledging what the caller feels",
    "understand": "showing that you understood",
    "explore": "asking what is wrong",
    "own": "owning a fault",
    "reassure": "saying what happens next",
}


@login_required
@never_cache
@ensure_csrf_cookie
def me(request: HttpRequest) -> HttpResponse:
    if not access.is_agent(request.user):
        raise Http404("Only agents have this page.")
    snapshot = live.agent_snapshot(request.user)
    now = timezone.now()
    newest = max(snapshot["calls"].values(), key=lambda tile: tile["started_at"], default=None)
    off = snapshot["choices"]["kinds_off"]
    context: dict[str, Any] = {
        "section": "me",
        "look": LOOK,
        "snapshot": snapshot,
        "tile": tile_paint(newest, now) if newest else None,
        "kinds": [{"name": name, "words": KINDS[name], "on": name not in off} for name, _ in MISSING],
        "now": now.isoformat(),
    }
    return render(request, "me/me.html", context)
