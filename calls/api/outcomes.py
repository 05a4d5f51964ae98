"""What became of calls, sent in by other systems: taken whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from calls import access, outcomes, tasks
from calls.api.pages import only_known
from calls.api.rights import person
from calls.choices import Scope

MOST_AT_ONCE = 500


class OutcomeIn(serializers.Serializer[Any]):
    """A field that is left out stays as it was; null says that it is not known any more."""

    call = serializers.UUIDField(required=False, help_text="Our id of the call. This or external_ref.")
    external_ref = serializers.CharField(
        required=False, max_length=120, help_text="The phone system's name for the call."
    )
    source = serializers.SlugField(
        required=False, max_length=60, help_text="Where several sources use the same names."
    )
    resolved = serializers.BooleanField(required=False, allow_null=True)
    csat = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=5)
    nps = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=10)
    churned = serializers.BooleanField(required=False, allow_null=True)
    handle_time_s = serializers.FloatField(
        required=False, allow_null=True, min_value=0, max_value=outcomes.MOST_HANDLE_S
    )


class Telling(serializers.Serializer[Any]):
    outcomes = serializers.ListField(child=OutcomeIn(), min_length=1, max_length=MOST_AT_ONCE)


class Told(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    changed = serializers.IntegerField(help_text="Calls of which something else is known now.")


class Outcomes(APIView):
    """What became of finished calls: resolved, CSAT, NPS, churn, handle time. One wrong row, and nothing is
    taken."""

    scope = Scope.FEED

    @extend_schema(request=Telling, responses={200: Told}, operation_id="outcomes_tell")
    def post(self, request: Request) -> Response:
        only_known(request.query_params, frozenset())
        asked = Telling(data=request.data)
        asked.is_valid(raise_exception=True)
        rows = [given(n, row) for n, row in enumerate(asked.validated_data["outcomes"], 1)]
        user = person(request)
        mine = access.visible_calls(user).filter(team__in=access.visible_teams(user))
        made = outcomes.plan(rows, mine)
        if made.bad:
            raise ValidationError({"outcomes": [words(row) for row in made.bad]})
        changed = outcomes.apply(made, user, "api")
        tasks.learn_these(changed)
        return Response({"rows": len(rows), "changed": len(changed)}, status=status.HTTP_200_OK)


def given(number: int, row: Mapping[str, Any]) -> outcomes.Given:
    values = {outcomes.kind_of(name): row[name] for name in outcomes.TOLD if name in row}
    if values.get("handle_time_ms") is not None:
        values["handle_time_ms"] = round(values["handle_time_ms"] * 1000)
    call = str(row["call"]) if "call" in row else ""
    return outcomes.Given(number, call, row.get("external_ref", ""), row.get("source", ""), values)


def words(row: outcomes.Row) -> str:
    return f"row {row.line}: " + "; ".join(f"{name} {said}".strip() for name, said in row.errors)
