"""/calls/<id>/listen and /barge: into the phone system's own page for a running call. Each time is a look.

They are links: after a form, a browser's `form-action` would not follow to another host.
"""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from calls import access, helping
from calls.choices import LookKind
from calls.models import Call, User
from calls.views.errors import in_words


@login_required
@never_cache
@require_GET
def listen(request: HttpRequest, call_id: UUID) -> HttpResponse:
    return into_phone_system(request, call_id, LookKind.LISTEN)


@login_required
@never_cache
@require_GET
def barge(request: HttpRequest, call_id: UUID) -> HttpResponse:
    return into_phone_system(request, call_id, LookKind.BARGE)


def into_phone_system(request: HttpRequest, call_id: UUID, kind: LookKind) -> HttpResponse:
    """There and noted, or in words why not; agents, outsiders and sources without an address get 404."""
    call = access.get_call_or_404(request.user, call_id)
    address = address_of(call, kind)
    if not access.may_see_floor(request.user) or not address:
        raise Http404
    if not call.is_live:
        words = _("The call is over: there is nobody left to listen to.")
        return in_words(request, 409, _("The call is over"), words)
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return redirect(call)  # another site must not make somebody listen, nor say that they did
    assert isinstance(request.user, User)  # outsiders got a 404
    helping.look(call, request.user, kind)
    return redirect(address)


def address_of(call: Call, kind: LookKind) -> str:
    """The phone system's page, or "" where its source names none."""
    template = call.source.listen_url if kind == LookKind.LISTEN else call.source.barge_url
    return call.source.phone_address(template, call.external_ref, call.agent.username if call.agent else "")
