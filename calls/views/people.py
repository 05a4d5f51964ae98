"""/people/, /teams/, /audit/: admins only. And /invited/, where a new person sets a password."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import wraps
from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.tokens import default_token_generator
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, Q, TextField
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import urlsafe_base64_decode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from calls import auditing, forgotten, inviting, leaving, logins, own_data, policy, second_factor
from calls import people as persons
from calls.choices import Did, Role
from calls.models import Change, Team, User

PER_PAGE = 50
LOGINS = (Did.LOGGED_IN, Did.LOGGED_OUT, Did.LOGIN_FAILED, Did.FACTOR_ADDED, Did.BOUND)
"""Done by those they are said of."""
View = Callable[..., HttpResponse]


def for_admins(view: View) -> View:
    """Others get a 404."""

    @wraps(view)
    @login_required
    @never_cache
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not (isinstance(request.user, User) and request.user.is_admin):
            raise Http404
        return view(request, *args, **kwargs)

    return wrapped


def admin_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


# --- people -----------------------------------------------------------------------------------------------


@for_admins
@require_safe
def people(request: HttpRequest) -> HttpResponse:
    asked = {name: request.GET.get(name, "").replace("\0", "")[:80] for name in ("q", "team", "role", "off")}
    found = (
        User.objects.select_related("team").prefetch_related("supervises").order_by("last_name", "username")
    )
    for word in asked["q"].split():
        found = found.filter(
            Q(username__icontains=word)
            | Q(first_name__icontains=word)
            | Q(last_name__icontains=word)
            | Q(email__icontains=word)
        )
    if asked["team"]:
        found = found.filter(Q(team__name=asked["team"]) | Q(supervises__name=asked["team"])).distinct()
    if asked["role"]:
        found = found.filter(role=asked["role"])
    if not asked["off"]:
        found = found.filter(is_active=True)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "section": "people",
        "page": page,
        "asked": asked,
        "query": query.urlencode(),
        "teams": Team.objects.all(),
        "roles": Role.choices,
    }
    return render(request, "people/people.html", context)


@for_admins
def person(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Edit somebody; without `pk`, make somebody new."""
    actor = admin_of(request)
    user = get_object_or_404(User, pk=pk) if pk is not None else User()
    if request.method == "POST" and user.erased_at is not None:
        raise Http404("Erased people stay as they are.")
    form = persons.PersonForm(request.POST or None, instance=user, actor=actor)
    if request.method == "POST" and form.is_valid():
        try:
            made = persons.save(form)
        except persons.Refused as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, _("Saved."))
            return redirect("person", made.pk)
    shown = get_object_or_404(User, pk=pk) if pk is not None else None
    history = Change.objects.filter(subject_type="user", subject_id=str(pk))[:10] if pk is not None else []
    context = {
        "section": "people",
        "form": form,
        "person": shown,
        "history": [painted(change) for change in history],
        "factor": shown is not None and shown != actor and is_mfa_enabled(shown),
        "link": request.session.pop(f"link {pk}", "") if request.method == "GET" else "",
    }
    return render(request, "people/person.html", context)


@for_admins
@require_POST
def erase(request: HttpRequest, pk: int) -> HttpResponse:
    """The name of somebody who has left, for good; what their calls add up to stays."""
    user = get_object_or_404(User, pk=pk)
    try:
        leaving.erase(admin_of(request), user, request.POST.get("typed", ""))
    except leaving.Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("The name is gone. It cannot be brought back."))
    return redirect("person", pk)


@for_admins
@require_POST
def data(request: HttpRequest, pk: int) -> HttpResponse:
    """All that is kept about somebody who cannot log in to take it, to be handed over to that person."""
    actor, user = admin_of(request), get_object_or_404(User, pk=pk)
    reason = " ".join(request.POST.get("reason", "").replace("\0", "").split())[:200]
    if user.is_active and policy.current().hr_lock:
        messages.error(request, _("{user} can log in and take it from the policy page.").format(user=user))
    elif not reason:
        messages.error(request, _("Say who asked for it and why: it stays in the audit log."))
    else:
        auditing.exported(actor, "data.zip", agent=str(user), reason=reason)
        content = own_data.archive(user, timezone.now().date())
        headers = {"Content-Disposition": f'attachment; filename="person-{user.pk}.zip"'}
        return HttpResponse(content, content_type="application/zip", headers=headers)
    return redirect("person", pk)


@for_admins
@require_POST
def link(request: HttpRequest, pk: int) -> HttpResponse:
    """A link with which that person sets a password; shown once, to be handed over."""
    user = get_object_or_404(User, pk=pk, is_active=True)
    request.session[f"link {pk}"] = request.build_absolute_uri(inviting.path_of(user))
    auditing.record(admin_of(request), Did.LINKED, user)
    return redirect("person", pk)


@for_admins
def invite(request: HttpRequest) -> HttpResponse:
    """Everybody who cannot log in yet, all at once; links that no e-mail took are shown once."""
    made: list[inviting.Invited] = []
    trouble = ""
    if request.method == "POST":
        wanted = [
            int(pk) for pk in request.POST.getlist("who") if pk.isascii() and pk.isdigit() and len(pk) < 10
        ]
        people = list(inviting.waiting().filter(pk__in=wanted)[: inviting.MOST])
        if people:
            made = inviting.invite(people, admin_of(request), request.build_absolute_uri)
        else:
            trouble = _("Choose at least one person who has no password yet.")
    waiting = inviting.waiting()
    context = {
        "section": "people",
        "mails": bool(settings.EMAIL_HOST),
        "waiting": waiting[: inviting.MOST],
        "more": max(0, waiting.count() - inviting.MOST),
        "made": made,
        "sent": sum(one.sent for one in made),
        "by_hand": [one for one in made if not one.sent],
        "trouble": trouble,
    }
    return render(request, "people/invite.html", context, status=400 if trouble else 200)


@never_cache
@sensitive_post_parameters()
def invited(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    user = _user_of(uid)
    good = default_token_generator.check_token(user, token) or forgotten.tokens.check_token(user, token)
    if user is None or not good:
        return render(request, "people/invited.html", status=404)
    form = SetPasswordForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            logins.note(Did.PASSWORD, user, request)
        return redirect("account_login")
    return render(request, "people/invited.html", {"form": form, "person": user})


@for_admins
@require_POST
def remove_factor(request: HttpRequest, pk: int) -> HttpResponse:
    """Of somebody else: one's own is removed where it was set up."""
    actor, user = admin_of(request), get_object_or_404(User, pk=pk)
    reason = " ".join(request.POST.get("reason", "").replace("\0", "").split())[:200]
    if user.pk == actor.pk:
        messages.error(request, _("Remove your own second factor on your log-in page."))
    elif not reason:
        messages.error(request, _("Say why the second factor is removed: it stays in the audit log."))
    else:
        second_factor.remove(actor, user, reason)
        messages.success(request, _("{user} has no second factor now, and is logged out.").format(user=user))
    return redirect("person", pk)


def _user_of(uid: str) -> User | None:
    try:
        pk = int(urlsafe_base64_decode(uid))
    except ValueError:
        return None
    return User.objects.filter(pk=pk, is_active=True).first() if 0 < pk < 2**63 else None


# --- CSV --------------------------------------------------------------------------------------------------


@for_admins
def import_csv(request: HttpRequest) -> HttpResponse:
    """First what a file would do; then, asked again, doing it."""
    context: dict[str, Any] = {"section": "people", "columns": ", ".join(persons.COLUMNS)}
    if request.method == "POST":
        try:
            upload = request.FILES.get("file")
            raw = upload.read(persons.MOST_BYTES + 1) if upload else request.POST.get("text", "").encode()
            if not raw.strip():
                raise persons.Refused(_("Choose a file first."))
            made = persons.plan(persons.decoded(raw), admin_of(request))
            context["plan"] = made
            if made.trouble:
                raise persons.Refused(made.trouble)
            if request.POST.get("sure") and request.POST["sure"] != made.digest:
                raise persons.Refused(
                    _("Somebody changed these people meanwhile. This is what the file would do now.")
                )
            if request.POST.get("sure"):
                n = persons.apply(made)
                messages.success(
                    request, ngettext("%d person made or changed.", "%d people made or changed.", n) % n
                )
                return redirect("invite" if any(row.is_new for row in made.rows) else "people")
        except persons.Refused as refused:
            context["trouble"] = str(refused)
    return render(request, "people/import.html", context)


@for_admins
@require_safe
def export_csv(request: HttpRequest) -> HttpResponse:
    auditing.exported(admin_of(request), "people.csv")
    headers = {"Content-Disposition": 'attachment; filename="people.csv"'}
    return HttpResponse(persons.exported(), content_type="text/csv; charset=utf-8", headers=headers)


# --- teams ------------------------------------------------------------------------------------------------


@for_admins
def teams(request: HttpRequest) -> HttpResponse:
    trouble = ""
    if request.method == "POST":
        try:
            messages.success(request, change_team(request))
            return redirect("teams")
        except persons.Refused as refused:
            trouble = str(refused)
    rows = Team.objects.annotate(people=Count("agents", filter=Q(agents__is_active=True))).prefetch_related(
        "supervisors"
    )
    context = {"section": "people", "teams": rows, "trouble": trouble, "typed": request.POST.get("name", "")}
    return render(request, "people/teams.html", context)


def change_team(request: HttpRequest) -> str:
    actor, name, do = admin_of(request), request.POST.get("name", ""), request.POST.get("do", "")
    if do == "add":
        return _("{team} is there now.").format(team=persons.add_team(actor, name))
    pk = request.POST.get("team", "")
    team = get_object_or_404(Team, pk=int(pk) if pk.isascii() and pk.isdigit() and len(pk) < 10 else 0)
    if do == "rename":
        persons.rename_team(actor, team, name)
        return _("Saved.")
    if do == "remove":
        persons.remove_team(actor, team)
        return _("{team} is gone.").format(team=team)
    raise persons.Refused(_("Nothing was asked for."))


# --- the audit log ------------------------------------------------------------------------------------------


@for_admins
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    names = ("q", "did", "first", "last", "address")
    asked = {name: request.GET.get(name, "").replace("\0", "").strip()[:80] for name in names}
    found, trouble = Change.objects.all(), ""
    try:
        if asked["first"]:
            found = found.filter(at__gte=day(asked["first"]))
        if asked["last"]:
            found = found.filter(at__lt=day(asked["last"]) + timedelta(days=1))
    except ValueError:
        trouble = _("Give days like 2026-01-31. All days are shown.")
    if asked["address"]:
        found = found.annotate(where=Cast("address", TextField())).filter(where__startswith=asked["address"])
    if asked["q"]:
        found = found.filter(Q(actor__icontains=asked["q"]) | Q(subject__icontains=asked["q"]))
    if asked["did"]:
        found = found.filter(did=asked["did"])
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "section": "people",
        "page": page,
        "rows": [painted(change) for change in page],
        "asked": asked,
        "trouble": trouble,
        "query": query.urlencode(),
        "kinds": Did.choices,
    }
    return render(request, "people/audit.html", context)


def day(said: str) -> datetime:
    """Its beginning, UTC. ValueError when it is none."""
    found = date.fromisoformat(said)
    if not 1970 <= found.year < 9999:
        raise ValueError(said)
    return datetime.combine(found, time(), UTC)


def painted(change: Change) -> dict[str, Any]:
    names = dict.fromkeys([*change.before, *change.after])
    return {
        "row": change,
        "did": change.get_did_display(),
        "login": change.did in LOGINS,
        "fields": [(name, _value(change.before.get(name)), _value(change.after.get(name))) for name in names],
    }


def _value(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
