"""/rubrics/: how calls are scored: readable by all who are, changed by admins through drafts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from calls import access, drafting, replays
from calls.models import Rubric, RubricPlan, RubricVersion, Team, User
from calls.views.paint import LOOK, look_of_rule
from calls.views.said import said
from scoring.alerts import kind_of
from scoring.rubric import ALERT_CAUSES, RubricSpec, default_rubric
from scoring.types import DISTRESS, HELPING

RECENT = 30
"""Calls that a draft is tried on."""


def rubric_or_404(request: HttpRequest, pk: int, *, to_change: bool = False) -> Rubric:
    found = access.readable_rubrics(request.user).get(pk)
    if found is None or (to_change and not _is_admin(request)):
        raise Http404("No such rubric.")
    return found


def _is_admin(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_admin


@login_required
@never_cache
def rubrics(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        if not _is_admin(request):
            raise Http404
        team = request.POST.get("team", "")
        wanted = get_object_or_404(Team, pk=_number(team), rubric=None)
        made = Rubric.objects.create(name=wanted.name, team=wanted)
        return redirect("rubric_draft", made.pk)
    rows = [
        {
            "rubric": item,
            "version": drafting.newest(item),
            "teams": ", ".join(team.name for team in drafting.teams_of(item)),
            "draft": hasattr(item, "draft"),
            "plan": RubricPlan.objects.filter(rubric=item).first(),
        }
        for item in sorted(
            access.readable_rubrics(request.user).values(),
            key=lambda item: (item.team_id is not None, item.name),
        )
    ]
    without = Team.objects.filter(rubric=None) if _is_admin(request) else []
    return render(request, "rubrics/rubrics.html", {"section": "rubrics", "rows": rows, "without": without})


@login_required
@never_cache
@require_safe
def rubric(request: HttpRequest, pk: int) -> HttpResponse:
    found = rubric_or_404(request, pk)
    versions = list(found.versions.select_related("created_by").order_by("-number"))
    spec = versions[0].as_spec() if versions else default_rubric()
    context = {
        "section": "rubrics",
        "rubric": found,
        "versions": list(zip_longest(versions, versions[1:])),
        "teams": drafting.teams_of(found),
        "plans": RubricPlan.objects.filter(rubric=found).select_related("author"),
        "draft": hasattr(found, "draft"),
        "changes": _is_admin(request),
        **painted(spec),
        "text": drafting.as_text(versions[0].spec if versions else spec.to_dict()),
    }
    return render(request, "rubrics/rubric.html", context)


def painted(spec: RubricSpec) -> dict[str, Any]:
    """Weights, alerts and cues in words."""
    words = {str(b): LOOK["behaviour"][str(b)][1] for b in HELPING}
    kinds = kinds_of(spec)
    return {
        "behaviours": list(words.values()),
        "weights": [
            (LOOK["state"][str(state)], [f"{spec.weights[state].get(b, 0):.0%}" for b in HELPING])
            for state in DISTRESS
        ],
        "alerts": [
            {"kind": kinds(cause), "cause": cause, "off": cause in spec.alerting.switched_off}
            for cause in (*ALERT_CAUSES, *(rule.id for rule in spec.alerting.lasting))
        ],
        "cues": [
            {
                "state": look_of_rule(rule.state),
                "missing": words[str(rule.missing)],
                "cue": rule.cue,
                "phrases": rule.phrases,
            }
            for rule in spec.nudging.rules
        ],
    }


@login_required
@never_cache
@require_safe
def diff(request: HttpRequest, pk: int, old: int, new: int) -> HttpResponse:
    found = rubric_or_404(request, pk)
    before, after = (get_object_or_404(found.versions, number=number) for number in (old, new))
    changes = drafting.diff(before.as_spec().to_dict(), after.as_spec().to_dict())
    context = {"section": "rubrics", "rubric": found, "old": before, "new": after, "changes": changes}
    return render(request, "rubrics/diff.html", context)


# --- the draft ------------------------------------------------------------------------------------------


@login_required
@never_cache
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    found = rubric_or_404(request, pk, to_change=True)
    if request.method != "POST":
        return render(request, "rubrics/draft.html", draft_context(found))
    text, revision = request.POST.get("text", ""), _number(request.POST.get("revision", ""))
    try:
        return act(request, found, request.POST.get("do", ""), text, revision)
    except drafting.Stale as stale:
        context = draft_context(found, text) | {"trouble": str(stale), "theirs": stale.theirs}
    except drafting.Refused as refused:
        context = draft_context(found, text or None) | {"trouble": str(refused)}
    context |= {"note": request.POST.get("note", ""), "at": request.POST.get("at", "")}
    return render(request, "rubrics/draft.html", context)


def act(request: HttpRequest, found: Rubric, do: str, text: str, revision: int) -> HttpResponse:
    """One button of the page. Everything but cancel and discard saves what was typed first."""
    user = request.user
    assert isinstance(user, User)
    if do == "cancel":
        drafting.cancel(found, _number(request.POST.get("plan", "")), user)
        messages.success(request, _("Called off. Its text is the draft again."))
        return redirect("rubric", found.pk)
    if do == "discard":
        drafting.discard(found, revision)
        messages.success(request, _("The draft is gone."))
        return redirect("rubric", found.pk)
    saved = drafting.save(found, user, text, revision)
    note = request.POST.get("note", "")
    if do == "publish":
        version = drafting.publish(found, user, note, saved.revision)
        messages.success(
            request,
            _("Published: calls that begin from now on are scored by {version}.").format(version=version),
        )
        return redirect("rubric", found.pk)
    if do == "schedule":
        plan = drafting.schedule(found, user, note, saved.revision, _time(request.POST.get("at", "")))
        messages.success(request, _("Planned for {at} UTC.").format(at=f"{plan.starts_at:%Y-%m-%d %H:%M}"))
        return redirect("rubric", found.pk)
    if do == "replay":
        return render(request, "rubrics/draft.html", draft_context(found) | tried(found, saved.text))
    messages.success(request, _("Saved."))
    return redirect("rubric_draft", found.pk)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise drafting.Refused(_("Give a day and a time, such as 2027-01-31 08:00.")) from error
    return at.replace(tzinfo=UTC) if timezone.is_naive(at) else at


def draft_context(found: Rubric, text: str | None = None) -> dict[str, Any]:
    """`text`: what somebody typed that is not saved."""
    stored = drafting.start(found)
    shown = stored.text if text is None else text
    checked = drafting.check(shown)
    base = drafting.in_use(found)
    changes = drafting.diff(base.as_spec().to_dict(), checked.spec.to_dict()) if checked.spec and base else []
    return {
        "section": "rubrics",
        "rubric": found,
        "stored": stored,
        "text": shown,
        "rows": min(40, shown.count("\n") + 3),
        "problems": checked.problems,
        "changes": changes,
        "base": base,
        "recent": RECENT,
    }


def tried(found: Rubric, text: str) -> dict[str, Any]:
    """The draft on recent calls, beside the version in use."""
    spec, base = drafting.check(text).spec, drafting.in_use(found)
    if spec is None:
        raise drafting.Refused(_("A draft with problems cannot be tried: correct those listed first."))
    calls = {str(call.pk): call for call in replays.recent(found, RECENT)}
    before = base.as_spec() if base else default_rubric()
    replay = replays.replay(replays.heard(list(calls.values())), before, spec)
    rows = sorted(replay.rows, key=lambda row: -abs(row.change or 0))
    kinds = kinds_of(spec, before)
    return {
        "replay": replay.summary,
        "added": [(kinds(cause), n) for cause, n in replay.summary.added.items()],
        "removed": [(kinds(cause), n) for cause, n in replay.summary.removed.items()],
        "moved": ngettext("%d call changes", "%d calls change", replay.summary.changed)
        % replay.summary.changed,
        "replayed": [
            {
                "call": calls[row.call_id],
                "row": row,
                "risk": LOOK["risk"][row.before.risk][1],
                "risk_after": LOOK["risk"][row.after.risk][1],
                "alerts": [
                    *(("+", kinds(cause)) for cause in row.added),
                    *(("−", kinds(cause)) for cause in row.removed),
                ],
            }
            for row in rows
            if row.changed
        ],
    }


def kinds_of(*specs: RubricSpec) -> Callable[[str], str]:
    """What a cause of an alert is called, in the reader's language, by the first rubric that knows it."""
    return lambda cause: next(
        (said(kind) for spec in specs if (kind := kind_of(cause, spec)) != cause), cause
    )


# --- one call, two versions -----------------------------------------------------------------------------


@login_required
@never_cache
@require_safe
def rescored(request: HttpRequest, call_id: UUID) -> HttpResponse:
    """A finished call by its own version and by another; nothing is stored."""
    call = access.get_call_or_404(request.user, call_id)
    versions = list(
        RubricVersion.objects.filter(rubric__in=access.readable_rubrics(request.user))
        .select_related("rubric")
        .order_by("rubric", "-number")
    )
    asked = _number(request.GET.get("version", ""))
    other = next((version for version in versions if version.pk == asked), None)
    if request.GET.get("version") and other is None:
        raise Http404("No such version.")
    context: dict[str, Any] = {"section": "calls", "call": call, "versions": versions, "other": other}
    if call.is_live:
        context["trouble"] = _("The call is running: it can be scored again when it is over.")
    elif "features" in call.purged or "transcript" in call.purged:
        context["trouble"] = _(
            "What was heard in this call was deleted by the policy, so it cannot be scored again."
        )
    elif other is not None:
        [row] = replays.replay(replays.heard([call]), call.rubric_version.as_spec(), other.as_spec()).rows
        context["sides"] = [
            side_paint(version, side)
            for version, side in ((call.rubric_version, row.before), (other, row.after))
        ]
        context["change"] = row.change
    return render(request, "rubrics/rescored.html", context)


def side_paint(version: RubricVersion, side: replays.Seen) -> tuple[RubricVersion, dict[str, Any]]:
    kinds = kinds_of(version.as_spec())
    words = {"risk": LOOK["risk"][side.risk][1], "alerts": [kinds(cause) for cause in side.alerts]}
    return version, asdict(side) | words
