"""/ leads to where a person's work is."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from calls import access


@login_required
def home(request: HttpRequest) -> HttpResponse:
    if access.may_see_floor(request.user):
        return redirect("floor")
    return redirect("me" if access.is_agent(request.user) else "calls")
