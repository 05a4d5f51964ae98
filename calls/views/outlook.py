"""/outcomes/outlook/: what the outlook said beside what came, and fits to that; for admins."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calls import outlooks
from calls.models import OutlookRun
from calls.views.outcomes import WORDS
from calls.views.people import admin_of, for_admins
from calls.views.trends import percent
from scoring.outlook import MAX_ECE, MIN_EACH, MIN_OUTCOMES

RUNS = 10
SIZE = 100
"""Of the drawing, either way."""


@for_admins
def outlook(request: HttpRequest) -> HttpResponse:
    trouble = ""
    if request.method == "POST":
        try:
            messages.success(request, act(request))
            return redirect("outlook")
        except outlooks.Refused as refused:
            trouble = str(refused)
    found = outlooks.examples()
    here = outlooks.progress(found)
    context = {
        "section": "people",
        "trouble": trouble,
        "progress": here,
        "kinds": [(WORDS[kind], n) for kind, n in here.kinds.items()],
        "needed": {"outcomes": MIN_OUTCOMES, "each": MIN_EACH, "error": percent(MAX_ECE)},
        "shipped": judged_doc(gettext_lazy("Shipped"), outlooks.shipped(found)),
        "in_use": outlooks.in_use(),
        "runs": [run_doc(row) for row in OutlookRun.objects.all()[:RUNS]],
    }
    return render(request, "outcomes/outlook.html", context)


def act(request: HttpRequest) -> str:
    """What one button asks for; what was done, in words. Refused says why not."""
    actor, do, reason = admin_of(request), request.POST.get("do", ""), request.POST.get("reason", "")
    if do == "fit":
        return _("Run {run} is fitted. Nothing is switched.").format(run=outlooks.fit(actor).pk)
    if do == "rollback":
        outlooks.roll_back(actor, reason)
    elif do == "switch":
        pk = request.POST.get("run", "")
        known = pk.isascii() and pk.isdigit() and len(pk) < 10
        outlooks.switch(get_object_or_404(OutlookRun, pk=int(pk) if known else 0), actor, reason)
    else:
        raise outlooks.Refused(_("Nothing was asked for."))
    return _("Done. What is scored from now on follows; finished calls keep what they have.")


def run_doc(row: OutlookRun) -> dict[str, Any]:
    return {
        "row": row,
        "judged": judged_doc(gettext_lazy("Held out"), row.figures["held_out"]),
        "before": row.figures["shipped"],
        "since": row.figures["since"],
        "against": outlooks.reasons_against(row),
    }


def judged_doc(title: Any, told: dict[str, Any] | None) -> dict[str, Any] | None:
    """A table of bins, and where they stand in a square: said from left to right, came from below upwards."""
    if told is None:
        return None
    return {
        "title": title,
        "told": told,
        "usual": percent(told["good"] / told["n"]),
        "ece": percent(told["ece"]),
        "bins": [
            {
                "said": f"{percent(row['low'])} – {percent(row['high'])}",
                "predicted": percent(row["predicted"]),
                "observed": percent(row["observed"]),
                "interval": " – ".join(map(percent, row["interval"])),
                "n": row["n"],
                "x": round(SIZE * row["predicted"], 1),
                "y": round(SIZE * (1 - row["observed"]), 1),
                "low": round(SIZE * (1 - row["interval"][0]), 1),
                "high": round(SIZE * (1 - row["interval"][1]), 1),
            }
            for row in told["reliability"]
        ],
    }
