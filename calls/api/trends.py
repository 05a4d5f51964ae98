"""/api/v1/agents/, /teams/ and /rubrics/: weeks as they are stored, and what calls are scored by."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from calls import access, rollups
from calls.api import shapes
from calls.api.pages import Asked, Pages, only_known
from calls.api.rights import LOCKED, is_locked, person
from calls.choices import Scope
from calls.models import Rubric, RubricVersion, Team, User
from calls.rollups import Felt, Trend

MOST_WEEKS = 52
WEEKS = OpenApiParameter(
    "weeks",
    {"type": "integer", "minimum": 1, "maximum": MOST_WEEKS, "default": 13},  # type: ignore[arg-type]
    description="How many weeks back, this one included.",
)


class AgentFilter(filters.FilterSet):
    team = filters.NumberFilter(min_value=1, max_value=2**31)
    is_active = filters.BooleanFilter()

    class Meta:
        model = User
        fields: list[str] = []


class Agents(ListAPIView):
    """The agents whose calls the token's owner may see."""

    scope = Scope.TRENDS
    serializer_class = shapes.AgentShape
    filter_backends = [Asked]
    filterset_class = AgentFilter

    class pagination_class(Pages):
        ordering = ("username",)

    def get_queryset(self) -> QuerySet[User]:
        if getattr(self, "swagger_fake_view", False):
            return User.objects.none()
        return access.visible_agents(person(self.request))


class AgentTrend(APIView):
    """One agent's weeks. Locked by policy for everybody but the agent."""

    scope = Scope.TRENDS

    @extend_schema(responses=shapes.TrendShape, parameters=[WEEKS], operation_id="agents_trends")
    def get(self, request: Request, pk: int) -> Response:
        agent = get_object_or_404(access.visible_agents(person(request)), pk=pk)
        weeks = weeks_asked(request)
        if is_locked(request, agent.pk):
            raise PermissionDenied(LOCKED)
        return Response(trend_doc(rollups.agent_trend(agent.pk, weeks)))


class Teams(ListAPIView):
    """The teams whose floor the token's owner may watch."""

    scope = Scope.TRENDS
    serializer_class = shapes.TeamShape
    filter_backends = [Asked]

    class pagination_class(Pages):
        ordering = ("name",)

    def get_queryset(self) -> QuerySet[Team]:
        if getattr(self, "swagger_fake_view", False):
            return Team.objects.none()
        return Team.objects.filter(pk__in=[team.pk for team in access.visible_teams(person(self.request))])


class TeamTrend(APIView):
    """A team's weeks, without names, and what its callers felt."""

    scope = Scope.TRENDS

    @extend_schema(responses=shapes.TeamTrendShape, parameters=[WEEKS], operation_id="teams_trends")
    def get(self, request: Request, pk: int) -> Response:
        if pk not in {team.pk for team in access.visible_teams(person(request))}:
            raise Http404
        trend = rollups.team_trend(pk, weeks_asked(request))
        felt = rollups.team_feelings(pk, trend)
        return Response(
            trend_doc(trend)
            | {
                "felt": felt_doc(felt.whole),
                "by_hour": {str(hour): felt_doc(one) for hour, one in sorted(felt.by_hour.items())},
                "by_topic": {topic: felt_doc(one) for topic, one in sorted(felt.by_topic.items())},
            }
        )


def weeks_asked(request: Request) -> int:
    only_known(request.query_params, frozenset({"weeks"}))
    said = request.query_params.get("weeks", "13")
    if not (said.isascii() and said.isdigit() and len(said) < 4 and 1 <= int(said) <= MOST_WEEKS):
        raise ValidationError({"weeks": f"Give a whole number from 1 to {MOST_WEEKS}."})
    return int(said)


def trend_doc(trend: Trend) -> dict[str, Any]:
    def rows(weeks: dict[date, rollups.Quartiles]) -> list[dict[str, Any]]:
        return [
            {
                "week": week.isoformat(),
                "n": told.n,
                "q1": round(told.q1, 4),
                "median": round(told.median, 4),
                "q3": round(told.q3, 4),
                "sum": round(told.total, 4),
            }
            for week, told in sorted(weeks.items())
        ]

    return {
        "synthetic": trend.synthetic,
        "metrics": {metric: rows(weeks) for metric, weeks in sorted(trend.weekly.items())},
    }


def felt_doc(felt: Felt) -> dict[str, Any]:
    return {
        "calls": felt.calls,
        "told": felt.told,
        "patchy": felt.patchy,
        "times": {state: round(share, 4) for state, share in felt.times.items()},
        "needs": dict(felt.needs),
        "missed": dict(felt.missed),
        "outlook": dict(felt.outlook),
    }


# --- rubrics ------------------------------------------------------------------------------------------


class Rubrics(ListAPIView):
    """The rubrics by which the calls that the token's owner may see are scored."""

    scope = Scope.RUBRICS
    serializer_class = shapes.RubricShape
    filter_backends = [Asked]

    class pagination_class(Pages):
        ordering = ("id",)

    def get_queryset(self) -> QuerySet[Rubric]:
        if getattr(self, "swagger_fake_view", False):
            return Rubric.objects.none()
        mine = access.readable_rubrics(person(self.request))
        return Rubric.objects.filter(pk__in=mine).prefetch_related("versions")


class Versions(ListAPIView):
    """Versions of a rubric, the newest first; none ever changes."""

    scope = Scope.RUBRICS
    serializer_class = shapes.VersionShape
    filter_backends = [Asked]

    class pagination_class(Pages):
        ordering = ("-number",)

    def get_queryset(self) -> QuerySet[RubricVersion]:
        if getattr(self, "swagger_fake_view", False):
            return RubricVersion.objects.none()
        return rubric(self.request, self.kwargs["pk"]).versions.select_related("created_by")


class OneVersion(APIView):
    """A version with all that it says: weights, thresholds, phrases, cue and alert rules."""

    scope = Scope.RUBRICS

    @extend_schema(responses=shapes.WholeVersionShape, operation_id="rubrics_version")
    def get(self, request: Request, pk: int, number: int) -> Response:
        only_known(request.query_params, frozenset())
        found = get_object_or_404(rubric(request, pk).versions.select_related("created_by"), number=number)
        return Response(shapes.WholeVersionShape(found).data)


def rubric(request: Request, pk: int) -> Rubric:
    found = access.readable_rubrics(person(request)).get(pk)
    if found is None:
        raise Http404
    return found
