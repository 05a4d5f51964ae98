"""/outcomes/: what other systems know of calls, taken from a file; for admins."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from calls import outcomes as known
from calls import sheets, tasks
from calls.models import Call, CallOutcome, OutcomeImport
from calls.views.people import admin_of, for_admins

SHOWN = 200
"""Rows of a file that are shown; all that are wrong come first."""
WORDS: dict[str, str | Promise] = {
    "resolved": gettext_lazy("Resolved"),
    "csat": gettext_lazy("Satisfaction (CSAT), 1 to 5"),
    "nps": gettext_lazy("Would recommend (NPS), 0 to 10"),
    "churned": gettext_lazy("Left"),
    "handle_time_ms": gettext_lazy("Handle time"),
}


@for_admins
def outcomes(request: HttpRequest) -> HttpResponse:
    """First what a file would do; then, asked again, doing it."""
    context: dict[str, Any] = {}
    if request.method == "POST":
        try:
            if take(request, context):
                return redirect("outcomes")
        except sheets.Refused as refused:
            context["trouble"] = str(refused)
    counts = CallOutcome.objects.aggregate(**{kind: Count(kind) for kind in known.KINDS})
    context |= {
        "section": "people",
        "columns": ", ".join(known.COLUMNS),
        "counts": [(words, counts[kind]) for kind, words in WORDS.items()],
        "calls": CallOutcome.objects.count(),
        "imports": OutcomeImport.objects.select_related("user")[:10],
    }
    return render(request, "outcomes/outcomes.html", context)


def take(request: HttpRequest, context: dict[str, Any]) -> bool:
    """Whether it is done; if not, `context` has what the file would do. Refused with what is wrong."""
    upload = request.FILES.get("file")
    raw = upload.read(sheets.MOST_BYTES + 1) if upload else request.POST.get("text", "").encode()
    if not raw.strip():
        raise sheets.Refused(_("Choose a file first."))
    made = known.plan_csv(sheets.decoded(raw))
    if made.trouble:
        raise sheets.Refused(made.trouble)
    context["plan"] = made
    context["shown"] = [row_doc(row) for row in (*made.bad, *made.good)[:SHOWN]]
    sure = request.POST.get("sure", "")
    if made.bad:
        raise sheets.Refused(
            ngettext(
                "%d row has errors. Nothing is imported before they are mended.",
                "%d rows have errors. Nothing is imported before they are mended.",
                len(made.bad),
            )
            % len(made.bad)
        )
    if not sure:
        return False
    if sure != made.digest:
        raise sheets.Refused(
            _("Something about these calls changed meanwhile. This is what the file would do now.")
        )
    changed = known.apply(made, admin_of(request), "page")
    tasks.learn_these(changed)
    messages.success(
        request, ngettext("%d call has news.", "%d calls have news.", len(changed)) % len(changed)
    )
    return True


def row_doc(row: known.Row) -> dict[str, Any]:
    changes = [(WORDS[kind], value(kind, before), value(kind, after)) for kind, before, after in row.changes]
    return {"line": row.line, "name": row.name, "errors": row.errors, "changes": changes}


def told_of(call: Call) -> list[tuple[str | Promise, str]]:
    """What other systems said of a call, and nothing of what they did not."""
    told = CallOutcome.objects.filter(pk=call.pk).first()
    found = [(kind, getattr(told, kind, None)) for kind in known.KINDS]
    return [(WORDS[kind], value(kind, said)) for kind, said in found if said is not None]


def value(kind: str, told: Any) -> str:
    if told is None:
        return "–"
    if isinstance(told, bool):
        return _("yes") if told else _("no")
    return f"{told / 1000:g} s" if kind == "handle_time_ms" else str(told)
