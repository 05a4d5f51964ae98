"""Errors as RFC 9457 problem documents: what was wrong, by field, and what to do."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

TYPE = "application/problem+json"


class Conflict(exceptions.APIException):
    status_code = 409
    default_detail = "That cannot be done now."
    default_code = "conflict"


class Away(exceptions.APIException):
    status_code = 503
    default_detail = "What this needs does not answer: try again in a few seconds."
    default_code = "away"


class TooMuch(exceptions.APIException):
    status_code = 422
    default_detail = "That is more than can be given at once."
    default_code = "too_much"


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """What DRF answers, in our shape; None lets an unforeseen one become a 500 in the log."""
    if isinstance(error, Http404):
        error = exceptions.NotFound("Nothing is here, or it is not yours to see.")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    answer = exception_handler(error, context)
    if answer is None:
        return None
    set_rollback()
    answer.data = document(answer.status_code, answer.data, error)
    answer.content_type = TYPE
    return answer


def document(status: int, data: Any, error: Exception) -> dict[str, Any]:
    title = str(getattr(error, "default_detail", "Error")).rstrip(".")
    found: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if isinstance(data, dict) and set(data) == {"detail"}:
        return found | {"detail": str(data["detail"])}
    errors = {str(name): _texts(value) for name, value in data.items()} if isinstance(data, dict) else {}
    first = next((f"{name}: {texts[0]}" for name, texts in errors.items() if texts), title)
    return found | {"detail": first, "errors": errors or {"": _texts(data)}}


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}: {text}" for name, inner in value.items() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [str(value)]
