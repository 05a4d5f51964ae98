"""Error pages in plain words. A 404 never says whether the thing exists."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    words = _("Nothing is here, or it is not yours to see.")
    return in_words(request, 404, _("Not found"), words)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    words = _(
        "What was sent is too large or not readable, so nothing was changed. Go back: what you typed is "
        "still there. A rubric of that size is changed as text."
    )
    return in_words(request, 400, _("Not understood"), words)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    words = _("This action was refused. If you had the page open for long, go back, reload and try again.")
    return in_words(request, 403, _("Not allowed"), words)


def server_error(request: HttpRequest) -> HttpResponse:
    """Needs neither the database nor a session: either may be what broke."""
    return render(None, "errors/500.html", status=500)  # type: ignore[arg-type]


def in_words(request: HttpRequest, status: int, heading: str, words: str) -> HttpResponse:
    context = {"heading": heading, "words": words}
    return render(request, "errors/page.html", context, status=status)


def closed(request: HttpRequest) -> HttpResponse:
    """Account pages nobody needs: administrators make people and set their passwords."""
    raise Http404
