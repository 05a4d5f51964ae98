"""/tokens/: everybody's own keys for programs; admins see all of them, and may revoke any."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from calls import tokens as keys
from calls.models import ApiToken, User


@login_required
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    trouble, made, secret = "", None, ""
    asked: dict[str, Any] = {
        "name": request.POST.get("name", ""),
        "scopes": request.POST.getlist("scopes"),
        "days": request.POST.get("days", ""),
    }
    if request.method == "POST":
        days = int(asked["days"]) if asked["days"] in map(str, keys.DAYS) else 0
        try:
            made, secret = keys.make(user, asked["name"], asked["scopes"], days)
            asked = {"name": "", "scopes": [], "days": ""}
        except keys.Refused as refused:
            trouble = str(refused)
    context = {
        "section": "tokens",
        "mine": user.api_tokens.all(),
        "others": ApiToken.objects.exclude(owner=user).select_related("owner") if user.is_admin else [],
        "scopes": keys.scopes_for(user),
        "days": keys.DAYS,
        "asked": asked,
        "trouble": trouble,
        "made": made,
        "secret": secret,
    }
    return render(request, "api/tokens.html", context)


@login_required
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    user = _user(request)
    found = ApiToken.objects.all() if user.is_admin else user.api_tokens.all()
    token = get_object_or_404(found, pk=pk)
    keys.revoke(token, user)
    messages.success(request, _("{token} no longer works.").format(token=token))
    return redirect("tokens")


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise Http404
    return request.user
