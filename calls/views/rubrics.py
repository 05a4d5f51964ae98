"""/rubrics/: how calls are scored: readable by all who are, changed by admins through drafts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from calls import access, drafting, helping, replays, reviewing, trying
from calls.choices import LookKind
from calls.models import Call, Rubric, RubricDraft, RubricPlan, RubricVersion, Team, User
from calls.views import rubric_form, rubric_words
from calls.views.call import first
from calls.views.paint import LOOK, look_of_rule
from calls.views.said import said
from scoring.alerts import kind_of
from scoring.rubric import ALERT_CAUSES, RubricSpec, default_rubric
from scoring.types import DISTRESS, HELPING

RECENT = 30
"""Calls that a draft is tried on unless somebody chooses otherwise."""
MOST_PAGES = 10_000
"""More than any list has: the last one is meant."""


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
        wanted = get_object_or_404(Team, pk=_number(team))
        assert isinstance(request.user, User)
        try:
            return redirect("rubric_draft", drafting.own_rubric(request.user, wanted).pk)
        except drafting.Refused as refused:
            messages.error(request, str(refused))
            return redirect("rubrics")
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
        "playbook": [
            asdict(entry) | {"state": look_of_rule(entry.state), "missing": words.get(entry.missing, "")}
            for entry in spec.nudging.playbook
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
    user, place = request.user, Place.of(request)
    assert isinstance(user, User)  # outsiders got a 404
    if request.method != "POST":
        return render(request, "rubrics/draft.html", draft_context(found, user, place))
    text, revision = request.POST.get("text", ""), _number(request.POST.get("revision", ""))
    do = request.POST.get("do", "")
    try:
        if place.part != rubric_form.AS_TEXT:
            text = rubric_form.applied(text, place.part, request.POST, do, place.page)
        return act(request, found, do, text, revision, place)
    except drafting.Stale as stale:
        context = draft_context(found, user, place, text) | {"trouble": str(stale), "theirs": stale.theirs}
        context["apart"] = apart(stale.theirs.text, text)
    except drafting.Refused as refused:
        context = draft_context(found, user, place, text or None) | {"trouble": str(refused)}
    context |= {name: request.POST.get(name, "") for name in ("note", "at", "untried")}
    return render(request, "rubrics/draft.html", context)


@dataclass(frozen=True)
class Place:
    """Which part of the draft is shown, and which page of its long lists."""

    part: str
    page: int = 1
    field: str = ""
    """What to show first."""

    @classmethod
    def of(cls, request: HttpRequest) -> Place:
        """A form sends the whole text as it was: without a part it is the text that was edited."""
        said = request.POST if request.method == "POST" else request.GET
        preset = rubric_form.AS_TEXT if request.method == "POST" else next(iter(rubric_form.parts()))
        part = said.get("part", preset)
        return cls(part if part in rubric_form.parts() else preset, max(1, _number(said.get("page", ""))))

    def then(self, do: str) -> Place:
        """Where a button leads: to another part, page or field."""
        verb, _sep, where = do.partition(":")
        if verb == "go" and where in rubric_form.parts():
            return Place(where)
        if verb == "page":
            return replace(self, page=max(1, _number(where)))
        if verb == "find":
            part = rubric_form.part_of_path(where)
            return Place(part or rubric_form.AS_TEXT, rubric_form.page_of_path(where), where if part else "")
        if verb == "add":
            return replace(self, page=MOST_PAGES, field=f"{where}.new")
        return replace(self, field=where) if verb in ("up", "drop") else self

    def address(self, found: Rubric) -> str:
        query = urlencode({"part": self.part} | ({"page": self.page} if self.page > 1 else {}))
        at = f"#f-{self.field}" if self.field else ""
        return f"{reverse('rubric_draft', args=[found.pk])}?{query}{at}"


def apart(theirs: str, mine: str) -> list[drafting.Change]:
    """What differs between two texts, field by field; nothing where one of them is not readable."""
    try:
        return drafting.diff(rubric_form.read(theirs), rubric_form.read(mine))
    except rubric_form.NoForm:
        return []


def act(request: HttpRequest, found: Rubric, do: str, text: str, revision: int, place: Place) -> HttpResponse:
    """One button of the page. Everything but cancel and discard saves what was typed first."""
    user = request.user
    assert isinstance(user, User)
    if do == "cancel":
        drafting.cancel(found, _number(request.POST.get("plan", "")), user)
        messages.success(request, _("Called off. Its text is the draft again."))
        return redirect("rubric", found.pk)
    if do == "discard":
        drafting.discard(found, user, revision)
        messages.success(request, _("The draft is gone."))
        return redirect("rubric", found.pk)
    saved = drafting.save(found, user, text, revision)
    note = request.POST.get("note", "")
    if do in ("publish", "schedule"):
        untried = trying.must_be_tried(saved, request.POST.get("untried", ""))
    if do == "publish":
        version = drafting.publish(found, user, note, saved.revision, untried)
        messages.success(
            request,
            _("Published: calls that begin from now on are scored by {version}.").format(version=version),
        )
        return redirect("rubric", found.pk)
    if do == "schedule":
        at = _time(request.POST.get("at", ""))
        plan = drafting.schedule(found, user, note, saved.revision, at, untried=untried)
        messages.success(request, _("Planned for {at} UTC.").format(at=f"{plan.starts_at:%Y-%m-%d %H:%M}"))
        return redirect("rubric", found.pk)
    if do == "replay":
        size, days = (_number(request.POST.get(name, "")) for name in ("size", "days"))
        trying.begin(found, user, saved.text, size, days)
        return redirect(place.address(found) + "#trial")
    messages.success(request, _("Saved."))
    return redirect(place.then(do).address(found))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise drafting.Refused(_("Give a day and a time, such as 2027-01-31 08:00.")) from error
    return at.replace(tzinfo=UTC) if timezone.is_naive(at) else at


def draft_context(found: Rubric, user: User, place: Place, text: str | None = None) -> dict[str, Any]:
    """`text`: what somebody typed that is not saved."""
    stored = drafting.start(found)
    shown = stored.text if text is None else text
    checked = drafting.check(shown)
    base = drafting.in_use(found)
    changes = drafting.diff(base.as_spec().to_dict(), checked.spec.to_dict()) if checked.spec and base else []
    context = {
        "section": "rubrics",
        "rubric": found,
        "stored": stored,
        "text": shown,
        "rows": min(40, shown.count("\n") + 3),
        "problems": [(p, rubric_words.problem(p.wrong), "") for p in checked.problems],
        "changes": changes,
        "base": base,
        "parts": rubric_form.parts(),
        "part": place.part,
        **trial_context(found, stored, user),
    }
    if place.part != rubric_form.AS_TEXT:
        try:
            context["form"] = rubric_form.shape(shown, place.part, checked.problems, place.page)
            data = rubric_form.read(shown)
            context["problems"] = [
                (p, words, rubric_form.written(rubric_form.path_of(p.where, data)))
                for p, words, _find in context["problems"]
            ]
        except rubric_form.NoForm as none:
            context |= {"part": rubric_form.AS_TEXT, "no_form": str(none)}
    return context


def trial_context(found: Rubric, stored: RubricDraft, user: User) -> dict[str, Any]:
    """How far the newest trial has come, and what it found, if it is of exactly what is saved; nothing of a
    call that `user` is scoring blind."""
    trial = found.trials.select_related("author").first()
    context: dict[str, Any] = {
        "sizes": trying.SIZES,
        "periods": [(days, ngettext("%d day", "%d days", days) % days) for days in trying.PERIODS],
        "size": RECENT,
        "days": trying.PERIODS[1],
    }
    if trial is None or (mine := trying.of(stored)) is None or mine.pk != trial.pk:
        return context | {"outdated": trial is not None}
    blind = {str(pk) for pk in reviewing.under_way(user)}
    replay = trying.read(trial, without=blind)
    rows = sorted((row for row in replay.rows if row.changed), key=lambda row: -abs(row.change or 0))
    calls = Call.objects.select_related("agent").in_bulk([row.call_id for row in rows])
    kinds = kinds_of(RubricSpec.from_dict(trial.spec), RubricSpec.from_dict(trial.base))
    shown = {str(pk): call for pk, call in calls.items()}
    return context | {
        "trial": trial,
        "done": len(trial.rows),
        "of": len(trial.calls),
        "replay": replay.summary,
        "moved": ngettext("%d call changes", "%d calls change", replay.summary.changed)
        % replay.summary.changed,
        "alerts_come": [(kinds(cause), n) for cause, n in replay.summary.added.items()],
        "alerts_go": [(kinds(cause), n) for cause, n in replay.summary.removed.items()],
        "replayed": [painted_row(shown[row.call_id], row, kinds) for row in rows if row.call_id in shown],
        "agents": trying.by_agent(replay.rows) if trial.ended_at else None,
    }


def painted_row(call: Call, row: replays.Row, kinds: Callable[[str], str]) -> dict[str, Any]:
    return {
        "call": call,
        "row": row,
        "risk": LOOK["risk"][row.before.risk][1],
        "risk_after": LOOK["risk"][row.after.risk][1],
        "come": [kinds(cause) for cause in row.added],
        "go": [kinds(cause) for cause in row.removed],
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
        assert isinstance(request.user, User)  # outsiders got a 404
        if (warning := first(request, call, request.user)) is not None:
            return warning
        helping.look(call, request.user, LookKind.RESCORED)
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
