"""/practice/: a call with one's own microphone, on the page of a call."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from calls import access, practising
from calls.models import User


@login_required
@never_cache
def practice(request: HttpRequest) -> HttpResponse:
    """What it is; POST begins one."""
    assert isinstance(request.user, User)
    if request.method == "POST":
        try:
            return redirect(practising.begin(request.user))
        except practising.Refused as refused:
            messages.error(request, str(refused))
    context = {"section": "calls", "possible": practising.team_of(request.user) is not None}
    return render(request, "call/practice.html", context)


@require_POST
@login_required
@never_cache
def ticket(request: HttpRequest, call_id: UUID) -> JsonResponse:
    """For the microphone to connect with, once."""
    found = get_object_or_404(access.visible_calls(request.user), pk=call_id, practice=True)
    try:
        return JsonResponse({"ticket": practising.ticket(found)})
    except practising.Refused as refused:
        return JsonResponse({"error": str(refused)}, status=400)
