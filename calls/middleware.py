"""Whoever must have a second factor and has none sees nothing but the page where it is set up."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from calls import second_factor

OPEN = (
    "/account/2fa/", "/account/reauthenticate/", "/account/logout/", "/account/login/", "/language/",
    "/static/", "/health/", "/metrics",
)  # fmt: skip


def required_second_factor(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[..., HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(OPEN) and second_factor.is_missing(request.user, request.session):
            if request.path.startswith("/api/"):
                words = "Set up your second factor first: log in to the pages."
                return JsonResponse(
                    {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": words}, status=403
                )
            return redirect("mfa_activate_totp")
        return get_response(request)

    return middleware
