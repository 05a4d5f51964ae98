"""Marking turns, what was marked, and what was fitted to it. Where turns are marked no machine is shown."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from calls import access, auditing, helping, labelling, policy, refitting
from calls.choices import Kept, LookKind
from calls.models import Call, RefitRun, TurnLabel, User
from calls.views.act import act
from calls.views.call import recording
from calls.views.paint import LOOK, clock
from calls.views.people import admin_of, for_admins
from scoring.refit import LEAST_CALLS, LEAST_TURNS
from scoring.types import Channel


def state_word(state: str) -> str:
    return str(LOOK["state"][state][1])


def behaviour_word(name: str) -> str:
    return _("None of these") if name == labelling.NONE else str(LOOK["behaviour"][name][1])


# --- marking ---------------------------------------------------------------------------------------------


@login_required
@never_cache
@ensure_csrf_cookie
def mark_turns(request: HttpRequest, call_id: UUID) -> HttpResponse:
    """Supervisors and admins mark; the call's agent reads what was marked."""
    user, call = _marked_call(request, call_id)
    may = access.may_see_floor(user)
    if request.method == "POST" and not may:
        raise Http404
    trouble = ""
    if request.method == "POST":
        try:
            channel, _sep, start = request.POST.get("turn", "").partition(" ")
            at = int(start) if start.isascii() and start.isdigit() and len(start) < 16 else -1
            labelling.mark(call, user, channel, at, _said(request, channel))
            return redirect(f"{request.path}#t-{channel}-{at}")
        except helping.BadRequest as bad:
            trouble = str(bad)
    helping.look(call, user, LookKind.MARKING)
    context = {
        "section": "reviews",
        "call": call,
        "may": may,
        "trouble": trouble,
        "turns": _turns(call, user, may),
        "recording": recording(call),
        "states": [(state, state_word(state)) for state in labelling.STATES],
        "behaviours": [(name, behaviour_word(name)) for name in labelling.BEHAVIOURS],
        "purged": Kept.TRANSCRIPT in call.purged,
    }
    return render(request, "reviews/labels_call.html", context, status=400 if trouble else 200)


def _marked_call(request: HttpRequest, call_id: UUID) -> tuple[User, Call]:
    call = access.get_call_or_404(request.user, call_id)
    assert isinstance(request.user, User)  # outsiders got a 404
    if call.is_live:
        raise Http404("Turns are marked when the call is over.")
    return request.user, call


def _said(request: HttpRequest, channel: str) -> object:
    """What a form says without a script: a state, or the behaviours that are ticked."""
    if "clear" in request.POST:
        return None
    return (
        request.POST.get("state", "") if channel == Channel.CUSTOMER else request.POST.getlist("behaviours")
    )


def _turns(call: Call, user: User, may: bool) -> list[dict[str, Any]]:
    marked: dict[tuple[str, int], list[TurnLabel]] = {}
    for row in call.labels.select_related("user"):
        marked.setdefault((row.channel, row.start_ms), []).append(row)
    who = {"customer": _("Caller"), "agent": _("Agent")}
    turns = []
    for channel, start_ms, text in call.turns.values_list("channel", "start_ms", "text"):
        rows = marked.get((channel, start_ms), [])
        mine = next((row for row in rows if row.user_id == user.pk), None)
        turns.append(
            {
                "channel": channel,
                "who": who[channel],
                "start_ms": start_ms,
                "at": clock(start_ms),
                "text": text,
                "mine": mine,
                "state": mine.state if mine else "",
                "behaviours": (mine.behaviours or []) if mine else [],
                "others": [] if may else [(str(row.user), _label_words(row)) for row in rows],
            }
        )
    return turns


def _label_words(row: TurnLabel) -> str:
    if row.state:
        return state_word(row.state)
    return ", ".join(map(behaviour_word, row.behaviours or [labelling.NONE]))


@act
def mark(user: User, said: dict[str, Any], call_id: UUID) -> None:
    if not access.may_see_floor(user):
        raise Http404
    call = access.get_call_or_404(user, call_id)
    labelling.mark(call, user, str(said.get("channel")), said.get("start_ms"), said.get("said"))


# --- what was marked -------------------------------------------------------------------------------------


def _visible(request: HttpRequest) -> QuerySet[TurnLabel]:
    if not access.may_see_floor(request.user):
        raise Http404
    return TurnLabel.objects.filter(call__in=access.visible_calls(request.user))


@login_required
@never_cache
@require_safe
def labels(request: HttpRequest) -> HttpResponse:
    rows = _visible(request)
    sums = labelling.sums(rows)
    agreed = labelling.agreements(rows)
    context = {
        "section": "reviews",
        "sums": sums,
        "titles": (_("Callers’ states"), _("Agents’ behaviours")),
        "least_calls": LEAST_CALLS,
        "least_turns": LEAST_TURNS,
        "states": [(state_word(name), sums.states[name], agreed.get(name)) for name in labelling.STATES],
        "behaviours": [
            (behaviour_word(name), sums.behaviours[name], agreed.get(name))
            for name in (*labelling.BEHAVIOURS, labelling.NONE)
        ],
        "people": sorted(sums.people.items()),
        "sources": sorted(sums.sources.items()),
        "runs": isinstance(request.user, User) and request.user.is_admin,
    }
    return render(request, "reviews/labels.html", context)


@login_required
@never_cache
@require_safe
def labels_csv(request: HttpRequest) -> HttpResponse:
    headers = {"Content-Disposition": 'attachment; filename="labels.csv"'}
    rows, locked = _visible(request), policy.current().hr_lock
    assert isinstance(request.user, User)
    auditing.exported(request.user, "labels.csv", rows=rows.count(), locked=locked)
    content = labelling.as_csv(rows, locked)
    return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)


# --- what was fitted -------------------------------------------------------------------------------------

FIGURES = ("uar", "macro_f1", "log_loss", "ece")


@for_admins
def refits(request: HttpRequest) -> HttpResponse:
    """Runs, old beside new; POST puts one into use or takes it back."""
    trouble = ""
    if request.method == "POST":
        reason = request.POST.get("reason", "")
        try:
            if request.POST.get("do") == "rollback":
                refitting.roll_back(admin_of(request), reason)
            else:
                pk = request.POST.get("run", "")
                known = pk.isascii() and pk.isdigit() and len(pk) < 10
                refitting.switch(
                    get_object_or_404(RefitRun, pk=int(pk) if known else 0),
                    admin_of(request),
                    reason,
                    request.POST.get("knows_few") == "yes",
                )
            messages.success(request, _("Done. Workers follow within half a minute."))
            return redirect("refits")
        except refitting.Refused as refused:
            trouble = str(refused)
    runs = [run_doc(row) for row in RefitRun.objects.all()[:20]]
    context = {"section": "reviews", "runs": runs, "trouble": trouble, "in_use": refitting.in_use()}
    return render(request, "reviews/refits.html", context)


def run_doc(row: RefitRun) -> dict[str, Any]:
    figures = [
        (family, name, told["old"][name], told.get("used", {}).get(name), told["new"][name], told["turns"])
        for family, told in row.figures.items()
        for name in FIGURES
    ]
    return {
        "row": row,
        "figures": figures,
        "used": bool(row.counts.get("used")),
        "against": [] if row.is_in_use else refitting.reasons_against(row),
        "few": refitting.too_few_to_say(row),
    }
