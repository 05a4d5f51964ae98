"""/policy/: what this site may do with calls, readable by all it concerns; and the data of one call."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from calls import access, auditing, consent, firewall_kept, helping, keeping, retention, subjects
from calls import policy as policies
from calls.choices import Did, Kept, LookKind, Region, Role
from calls.models import Call, Policy, Purge, Turn, User, VoiceWindow
from calls.views.call import first
from scoring.firewall import self_test
from scoring.types import Channel

SHOWN = 20
WHAT = {
    Kept.AUDIO: gettext_lazy("what was said, where a source keeps it; masked parts are silent"),
    Kept.TRANSCRIPT: gettext_lazy("words, quotes, messages and notes"),
    Kept.FEATURES: gettext_lazy("feelings and behaviours over time, voice readings, speech times, coverage"),
    Kept.SCORES: gettext_lazy("the call itself, its final score, and its share in all trends"),
}


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Policy
        fields = (
            "region", "asked", "voice", "cues", "hr_lock", "second_factor",
            "audio_days", "transcript_days", "features_days", "scores_days", "note",
        )  # fmt: skip
        labels = {
            "region": gettext_lazy("Region"),
            "asked": gettext_lazy("Before a call is analysed"),
            "voice": gettext_lazy("Read the caller’s voice for feelings, not only the words"),
            "cues": gettext_lazy("Show cues to agents during calls"),
            "hr_lock": gettext_lazy("Nobody but the agent takes an agent’s figures out of the system"),
            "second_factor": gettext_lazy("Who must have a second factor to log in"),
            "audio_days": gettext_lazy("Audio, days"),
            "transcript_days": gettext_lazy("Transcript, days"),
            "features_days": gettext_lazy("Features, days"),
            "scores_days": gettext_lazy("Scores, days"),
            "note": gettext_lazy("Why, for those who read this later"),
        }
        widgets = {"region": forms.RadioSelect, "asked": forms.RadioSelect}

    second_factor = forms.MultipleChoiceField(
        choices=Role.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("Who must have a second factor to log in"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["note"].required = True

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        if not self.errors:
            for name, words in policies.problems(Policy(**found)).items():
                self.add_error(name, words)
        return found


@login_required
@never_cache
def policy(request: HttpRequest) -> HttpResponse:
    user = request.user
    assert isinstance(user, User)
    now = policies.current()
    if request.method == "POST" and not user.is_admin:
        raise Http404
    loaded = policies.profile(request.POST.get("region", "")) if "load" in request.POST else {}
    given = None if loaded else request.POST or None
    form = PolicyForm(given, initial=_initial(now) | loaded) if user.is_admin else None
    if form is not None and given is not None and form.is_valid():
        made = form.save(commit=False)
        made.author = user
        with transaction.atomic():
            made.save()
            auditing.record(user, Did.CHANGED, made, _initial(now), _initial(made))
        messages.success(request, _("The new policy is in force."))
        return redirect("policy")
    context = {
        "section": "policy",
        "policy": now,
        "factor": [str(Role(role).label) for role in now.second_factor if role in Role.values],
        "form": form,
        "loaded": Region(loaded["region"]).label if loaded else "",
        "profiles": policies.PROFILES,
        "kept": [(kind.label, WHAT[kind], policies.in_days(now.days(kind))) for kind in policies.LADDER],
        "limits": _limits(),
        "caller": policies.caller_notice(now),
        "agent": policies.agent_notice(now),
        "history": Policy.objects.select_related("author")[:SHOWN],
        "purges": _purges() if access.may_see_floor(user) else None,
        "due": [(kind.label, retention.due(kind).count()) for kind in policies.LADDER]
        if user.is_admin
        else [],
    }
    return render(request, "policy/policy.html", context)


def _initial(now: Policy) -> dict[str, Any]:
    return {name: getattr(now, name) for name in PolicyForm.Meta.fields if name != "note"}


def _limits() -> list[tuple[str, list[int]]]:
    return [
        (str(Region(region).label), [limits.days(kind) for kind in policies.LADDER])
        for region, limits in policies.LIMITS.items()
    ]


def _purges() -> list[dict[str, Any]]:
    return [
        {
            "row": row,
            "what": row.get_kind_display(),
            "calls": ngettext("%d call", "%d calls", row.calls) % row.calls,
            "deleted": ", ".join(f"{n} {place}" for place, n in sorted(row.deleted.items())) or "–",
            "left": ", ".join(f"{n} {place}" for place, n in sorted(row.left.items()) if n),
        }
        for row in Purge.objects.all()[:SHOWN]
    ]


@login_required
@require_POST
def purge_now(request: HttpRequest) -> HttpResponseRedirect:
    if not (isinstance(request.user, User) and request.user.is_admin):
        raise Http404
    done = retention.purge_due(user=request.user)
    total = sum(row.calls for row in done)
    messages.success(
        request,
        ngettext("Purged: %d call.", "Purged: %d calls.", total) % total if done else _("Nothing is due."),
    )
    return redirect("policy")


@login_required
@never_cache
@require_safe
def firewall(request: HttpRequest) -> HttpResponse:
    """As a worker tried it on its model; the database is looked into anew at each look."""
    judged = Turn.objects.filter(channel=Channel.AGENT).exclude(states={}).count()
    columns = sorted(field.name for field in VoiceWindow._meta.concrete_fields)
    kept = firewall_kept.last()
    tried = kept.tried if kept else tuple(self_test())
    holds = all(one.right for one in tried) and not judged and "channel" not in columns
    context = {
        "section": "policy",
        "kept": kept,
        "tried": tried,
        "judged": judged,
        "columns": ", ".join(columns),
        "channelless": "channel" not in columns,
        "holds": holds,
        "unsure": holds and not (kept and kept.is_fresh),
    }
    return render(request, "policy/firewall.html", context)


# --- the data of one call -----------------------------------------------------------------------------


@login_required
@never_cache
def call_data(request: HttpRequest, call_id: UUID) -> HttpResponse:
    """What is stored of a call; POST notes what its caller says of being analysed."""
    call = access.get_call_or_404(request.user, call_id)
    assert isinstance(request.user, User)  # outsiders got a 404
    trouble = ""
    if request.method == "POST":
        try:
            consent.note(call, request.user, request.POST.get("said"))
            return redirect("call_data", call_id)
        except helping.BadRequest as bad:
            trouble = str(bad)
    helping.look(call, request.user, LookKind.DATA)
    return render(request, "policy/call_data.html", data_context(call, request.user) | {"unsaid": trouble})


def data_context(call: Call, user: Any, trouble: str = "", reason: str = "") -> dict[str, Any]:
    counts = [
        (_("turns with words"), call.turns.exclude(text="").count()),
        (_("voice readings"), call.voice.count()),
    ]
    counts.append((_("points of the timeline"), call.moments.count()))
    return {
        "section": "calls",
        "call": call,
        "consents": call.consents.select_related("user"),
        "counts": counts,
        "audio": keeping.find(call.pk) is not None,
        "purged": [(Kept(kind).label, at) for kind, at in sorted(call.purged.items())],
        "may_erase": isinstance(user, User) and user.is_admin,
        "trouble": trouble,
        "reason": reason,
    }


def _admins_call(request: HttpRequest, call_id: UUID) -> tuple[User, Call]:
    call = access.get_call_or_404(request.user, call_id)
    if not (isinstance(request.user, User) and request.user.is_admin):
        raise Http404
    return request.user, call


@login_required
@never_cache
@require_safe
def export_call(request: HttpRequest, call_id: UUID) -> HttpResponse:
    user, call = _admins_call(request, call_id)
    if (warning := first(request, call, user)) is not None:
        return warning
    helping.look(call, user, LookKind.COPY)
    digest = hashlib.sha256(str(call.pk).encode()).hexdigest()  # as in the log of deletions
    auditing.exported(user, "call.zip", digest=digest)
    name = f"call-{call.pk}.zip"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(subjects.copy(call), content_type="application/zip", headers=disposition)


@login_required
@never_cache
@require_POST
def erase_call(request: HttpRequest, call_id: UUID) -> HttpResponse:
    user, call = _admins_call(request, call_id)
    reason = " ".join(request.POST.get("reason", "").replace("\0", "").split())
    trouble = ""
    if call.is_live:
        trouble = _(
            "The call is running: it can be deleted when it is over. Note the objection to stop its analysis."
        )
    elif not reason:
        trouble = _("Say why: it stays in the log of deletions, which does not name the call.")
    elif len(reason) > 200:
        trouble = _("Say why in at most 200 characters.")
    if trouble:
        context = data_context(call, user, trouble, reason)
        return render(request, "policy/call_data.html", context)
    proof = retention.erase(call, user, reason)
    auditing.record(user, Did.ERASED, proof, {}, {"reason": reason})
    messages.success(
        request,
        _("Deleted, and looked for afterwards: nothing is left.")
        if proof.is_proven
        else _("Deleted, but something was found afterwards: see the log of deletions."),
    )
    return redirect("policy")
