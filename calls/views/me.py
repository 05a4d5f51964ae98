"""/me/: an agent's own page, made to stand narrow beside a phone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie

from calls import access, live, reviewing
from calls.choices import MISSING, LookKind, Verdict
from calls.views.paint import LOOK, Doc, look, tile_paint

CUE_STAYS = timedelta(seconds=45)
"""A cue that nobody judged leaves the screen after so long: the talk has gone on."""
KINDS = {
    "acknowledge": gettext_lazy("names what the caller feels"),
    "understand": gettext_lazy("shows that you understood"),
    "explore": gettext_lazy("asks what is wrong"),
    "own": gettext_lazy("says so when something was our fault"),
    "reassure": gettext_lazy("says what happens next"),
}
KEYS = {"helpful": "h", "not": "n", "wrong": "w", "not_now": "x"}


@login_required
@never_cache
@ensure_csrf_cookie
def me(request: HttpRequest) -> HttpResponse:
    if not access.is_agent(request.user):
        raise Http404("Only agents have this page.")
    context = me_context(live.agent_snapshot(request.user), timezone.now())
    return render(request, "me/me.html", context | {"news": reviewing.news_for(request.user)})


def me_context(snapshot: Doc, now: datetime) -> dict[str, Any]:
    """What the page shows before any script runs."""
    newest = max(snapshot["calls"].values(), key=lambda tile: tile["started_at"], default=None)
    return {
        "section": "me",
        "look": look(
            verdict=dict(Verdict.choices),
            looked=dict(LookKind.choices),
            cue_stays_ms=CUE_STAYS.total_seconds() * 1000,
        ),
        "snapshot": snapshot,
        "tile": tile_paint(newest, now) if newest else None,
        "cue": cue_up(snapshot["cues"], newest["id"], now) if newest else None,
        "no_cues": no_cues(snapshot["cues_on"], newest),
        "verdicts": [{"name": v.value, "words": v.label, "key": KEYS[v]} for v in Verdict],
        "kinds": kinds(snapshot["choices"]["kinds_off"]),
        "now": now.isoformat(),
    }


def cue_up(cues: list[Doc], call_id: str, now: datetime) -> Doc | None:
    """The call's newest cue while it is fresh and not judged, as static/js/me-cue.js shows it."""
    cue = next((cue for cue in reversed(cues) if cue["call"] == call_id), None)
    if cue is None or cue["verdict"] or now - datetime.fromisoformat(cue["shown_at"]) >= CUE_STAYS:
        return None
    host = urlsplit(cue["link"]).hostname or ""
    return cue | {"state_look": LOOK["state"][cue["state"]], "phrases": cue["phrases"][:2], "host": host}


def no_cues(cues_on: bool, tile: Doc | None) -> str:
    """Why none will come in this call, as static/js/me-now.js says it; "" where they may."""
    if not cues_on:
        return gettext("No cues come: your organisation has switched them off.")
    if tile and tile.get("one_sided"):
        return gettext("No cues come in this call: only the caller’s side reaches us.")
    return ""


def kinds(off: list[str]) -> list[Doc]:
    return [
        {"name": name, "word": LOOK["behaviour"][name][1], "words": KINDS[name], "on": name not in off}
        for name, _ in MISSING
    ]
