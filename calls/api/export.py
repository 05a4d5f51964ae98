"""/api/v1/export/: a row a finished call, as CSV or Parquet."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from calls import access, auditing, exports, policy, reviewing
from calls.api.pages import only_known
from calls.api.problems import TooMuch
from calls.api.rights import person
from calls.choices import Scope
from calls.exports import MOST_DAYS, MOST_ROWS, Wanted

SPAN = [
    OpenApiParameter(
        "first", OpenApiTypes.DATE, description="From calls that ended on this day (UTC); a month ago."
    ),
    OpenApiParameter("last", OpenApiTypes.DATE, description="To this day, included; today."),
]
KINDS = {
    "csv": ("text/csv", exports.as_csv),
    "parquet": ("application/vnd.apache.parquet", exports.as_parquet),
}


class _Any(BaseRenderer):
    """So that whoever says in `Accept` what they want of a file is not turned away."""

    media_type = "*/*"
    format = "file"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        return JSONRenderer().render(data)


class Export(APIView):
    """Finished calls with their numbers, without words. Agents are named where the policy allows it, and
    in an agent's own."""

    scope = Scope.EXPORT
    renderer_classes = [JSONRenderer, _Any]

    @extend_schema(
        parameters=SPAN,
        operation_id="export_calls",
        responses={
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description="UTF-8, one header line."),
            (200, "application/vnd.apache.parquet"): OpenApiResponse(OpenApiTypes.BINARY),
        },
    )
    def get(self, request: Request, kind: str) -> HttpResponse:
        wanted = wanted_by(request)
        n = exports.facts(wanted).count()
        if n > MOST_ROWS:
            raise TooMuch(f"These are {n} calls; at most {MOST_ROWS} at once: ask for a shorter span.")
        auditing.exported(
            person(request), f"calls.{kind}", first=str(wanted.first), last=str(wanted.last), rows=n,
            named=wanted.named, by="API",
        )  # fmt: skip
        content_type, write = KINDS[kind]
        name = f"calls-{wanted.first}-{wanted.last}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return HttpResponse(write(wanted), content_type=content_type, headers=headers)


def wanted_by(request: Request) -> Wanted:
    only_known(request.query_params, frozenset({"first", "last"}))
    user = person(request)
    today = timezone.now().date()
    last = _day(request, "last", today)
    first = _day(request, "first", last - timedelta(days=30) if last > date(1970, 2, 1) else last)
    if first > last:
        raise ValidationError({"first": "It comes after `last`."})
    if (last - first).days > MOST_DAYS:
        raise ValidationError({"first": f"At most {MOST_DAYS} days at once."})
    agent = user.pk if access.is_agent(user) else None
    teams = [team.pk for team in access.visible_teams(user)]
    named = agent is not None or not policy.current().hr_lock
    return Wanted(teams, first, last, agent, named, reviewing.under_way(user))


def _day(request: Request, name: str, default: date) -> date:
    said = request.query_params.get(name)
    if said is None:
        return default
    try:
        day = date.fromisoformat(said)
    except ValueError:
        day = None
    if day is None or not 1970 <= day.year < 9999:
        raise ValidationError({name: "Give a day like 2026-01-31, from 1970 on."})
    return day
