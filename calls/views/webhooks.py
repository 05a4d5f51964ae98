"""/webhooks/: which systems are told of what, and what arrived; admins only."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from calls import delivering
from calls import webhooks as hooks
from calls.models import Delivery, Team, Webhook
from calls.views.people import admin_of, for_admins

PER_PAGE = 50


@for_admins
def webhooks(request: HttpRequest) -> HttpResponse:
    """All of them; POST makes one."""
    context: dict[str, Any] = {"section": "webhooks", **_choices(), "asked": {"events": []}, "trouble": ""}
    if request.method == "POST":
        asked = _asked(request)
        try:
            hook, _secret = hooks.make(admin_of(request), **asked)
        except hooks.Refused as refused:
            context |= {"asked": asked, "trouble": str(refused)}
        else:
            request.session[f"hook {hook.pk}"] = True
            return redirect("webhook", hook.pk)
    rows = list(Webhook.objects.select_related("team"))
    waiting = delivering.waiting(rows)
    context["rows"] = [(row, waiting.get(row.pk, 0)) for row in rows]
    return render(request, "api/webhooks.html", context)


@for_admins
def webhook(request: HttpRequest, pk: int) -> HttpResponse:
    """One of them with what was delivered; POST changes it."""
    hook = get_object_or_404(Webhook.objects.select_related("team"), pk=pk)
    asked, trouble = {"name": hook.name, "url": hook.url, "events": hook.events, "team": hook.team}, ""
    if request.method == "POST":
        asked = _asked(request)
        try:
            hooks.change(admin_of(request), hook, **asked)
        except hooks.Refused as refused:
            trouble = str(refused)
            hook = get_object_or_404(Webhook, pk=pk)
        else:
            messages.success(request, _("Saved."))
            return redirect("webhook", pk)
    context = {
        "section": "webhooks",
        **_choices(),
        "hook": hook,
        "asked": asked,
        "trouble": trouble,
        "secret": hooks.secrets_of(hook)[0] if request.session.pop(f"hook {pk}", False) else "",
        "page": Paginator(hook.deliveries.all(), PER_PAGE).get_page(request.GET.get("page")),
        "query": "",
    }
    return render(request, "api/webhook.html", context)


@for_admins
@require_POST
def act(request: HttpRequest, pk: int) -> HttpResponse:
    """A test, a new secret, on, off, away."""
    hook, actor = get_object_or_404(Webhook, pk=pk), admin_of(request)
    do = request.POST.get("do", "")
    if do == "ping":
        hooks.ping(hook)
        messages.success(request, _("A test is on its way: load the page again to see what came of it."))
    elif do == "rotate":
        hooks.rotate(actor, hook)
        request.session[f"hook {pk}"] = True
    elif do in ("on", "off"):
        hooks.switch(actor, hook, do == "on")
    elif do == "remove":
        hooks.remove(actor, hook)
        messages.success(request, _("{team} is gone.").format(team=hook))
        return redirect("webhooks")
    else:
        messages.error(request, _("Nothing was asked for."))
    return redirect("webhook", pk)


@for_admins
@require_POST
def again(request: HttpRequest, pk: int, delivery: int) -> HttpResponse:
    row = get_object_or_404(Delivery, pk=delivery, webhook=pk)
    delivering.again(row)
    return redirect("webhook", pk)


def _choices() -> dict[str, Any]:
    return {"events": hooks.CHOSEN, "teams": Team.objects.all()}


def _asked(request: HttpRequest) -> dict[str, Any]:
    team = request.POST.get("team", "")
    known = team.isascii() and team.isdigit() and len(team) < 10
    return {
        "name": request.POST.get("name", ""),
        "url": request.POST.get("url", ""),
        "events": request.POST.getlist("events"),
        "team": get_object_or_404(Team, pk=int(team)) if known else None,
    }
