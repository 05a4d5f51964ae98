"""/api/v1/calls/ and alerts: what is on the floor and what was, as the token's owner may see it."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from calls import access, helping, reviewing, wire
from calls.api import shapes
from calls.api.pages import Asked, Pages, Time, only_known
from calls.api.problems import Conflict
from calls.api.rights import LOCKED, is_locked, person
from calls.choices import RISKS, CallStatus, LookKind, Scope
from calls.models import Alert, Call, Turn, User


class Who(APIView):
    """Whose token this is, and what it may be used for."""

    @extend_schema(responses=shapes.WhoShape, operation_id="who")
    def get(self, request: Request) -> Response:
        only_known(request.query_params, frozenset())
        user = person(request)
        teams = [{"id": team.pk, "name": team.name} for team in access.visible_teams(user)]
        told = {"username": user.username, "name": str(user), "role": user.role, "teams": teams}
        return Response(told | {"scopes": shapes.scopes_of(request)})


# --- calls --------------------------------------------------------------------------------------------


class CallFilter(filters.FilterSet):
    status = filters.ChoiceFilter(choices=CallStatus.choices)
    team = filters.NumberFilter(min_value=1, max_value=2**31)
    agent = filters.NumberFilter(method="of_agent", min_value=1, max_value=2**31)
    source = filters.CharFilter(field_name="source__slug")
    queue = filters.CharFilter()
    external_ref = filters.CharFilter()
    synthetic = filters.BooleanFilter()
    started_after = Time(field_name="started_at", lookup_expr="gte")
    started_before = Time(field_name="started_at", lookup_expr="lt")
    ended_after = Time(field_name="ended_at", lookup_expr="gte")

    class Meta:
        model = Call
        fields: list[str] = []

    def of_agent(self, calls: QuerySet[Call], name: str, value: Any) -> QuerySet[Call]:
        if is_locked(self.request, int(value)):
            raise PermissionDenied(LOCKED)
        return calls.filter(agent=int(value))


class Calls(ListAPIView):
    """Calls, the newest first."""

    scope = Scope.CALLS
    serializer_class = shapes.CallShape
    filter_backends = [Asked]
    filterset_class = CallFilter

    class pagination_class(Pages):
        ordering = ("-started_at", "-id")

    def get_queryset(self) -> QuerySet[Call]:
        if getattr(self, "swagger_fake_view", False):
            return Call.objects.none()
        calls = access.visible_calls(person(self.request))
        return calls.select_related("source", "rubric_version__rubric").prefetch_related("appeals")

    def get_serializer_context(self) -> dict[str, Any]:
        return super().get_serializer_context() | {"reviewing": under_way(self.request)}


def under_way(request: Request) -> frozenset[Any]:
    return reviewing.under_way(request.user) if isinstance(request.user, User) else frozenset()


class OneCall(RetrieveAPIView):
    """One call. Reading it is a look: its agent sees who looked."""

    scope = Scope.CALLS
    serializer_class = shapes.CallShape
    queryset = Call.objects.none()

    def get_object(self) -> Call:
        only_known(self.request.query_params, frozenset())
        return looked_at(self.request, self.kwargs["call_id"])


class Timeline(APIView):
    """States and empathy over a call, its needs, the cues shown, and how much was scored. A look."""

    scope = Scope.TIMELINES

    @extend_schema(responses=shapes.TimelineShape, operation_id="calls_timeline")
    def get(self, request: Request, call_id: Any) -> Response:
        only_known(request.query_params, frozenset())
        return Response(shapes.timeline_of(looked_at(request, call_id)))


class Turns(GenericAPIView):
    """What was said, in order, redacted. A look."""

    scope = Scope.WORDS
    serializer_class = shapes.TurnShape
    queryset = Turn.objects.none()
    filter_backends = [Asked]

    class pagination_class(Pages):
        ordering = ("start_ms", "id")

    @extend_schema(responses=shapes.TurnShape(many=True), operation_id="calls_turns")
    def get(self, request: Request, call_id: Any) -> Response:
        rows = self.filter_queryset(looked_at(request, call_id).turns.all())
        page = self.paginate_queryset(rows) or []
        return self.get_paginated_response([wire.turn_doc(turn) for turn in page])


def looked_at(request: Request, call_id: Any) -> Call:
    """The call, where its owner may see it; noted as a look, as on its page."""
    user = person(request)
    call = access.get_call_or_404(user, call_id)
    helping.look(call, user, LookKind.PROGRAM)
    reviewing.saw_machine(call, user)
    return call


# --- alerts -------------------------------------------------------------------------------------------


class AlertFilter(filters.FilterSet):
    call = filters.UUIDFilter(field_name="call_id")
    team = filters.NumberFilter(field_name="call__team_id", min_value=1, max_value=2**31)
    cause = filters.CharFilter()
    severity = filters.ChoiceFilter(choices=RISKS)
    open = filters.BooleanFilter(method="nobody_has_it")
    raised_after = Time(field_name="raised_at", lookup_expr="gte")

    class Meta:
        model = Alert
        fields: list[str] = []

    def nobody_has_it(self, alerts: QuerySet[Alert], name: str, value: bool) -> QuerySet[Alert]:
        waiting = models.Q(acknowledged_at=None, resolved_at=None)
        return alerts.filter(waiting if value else ~waiting)


class Alerts(ListAPIView):
    """Alerts, the newest first. `open=true`: those nobody looks after yet.

    Those of a call that who asks is scoring blind are left out until the score is submitted.
    """

    scope = Scope.ALERTS
    serializer_class = shapes.AlertShape
    filter_backends = [Asked]
    filterset_class = AlertFilter

    class pagination_class(Pages):
        ordering = ("-raised_at", "-id")

    def get_queryset(self) -> QuerySet[Alert]:
        return visible_alerts(self).exclude(call__in=under_way(self.request))


def visible_alerts(view: GenericAPIView) -> QuerySet[Alert]:
    if getattr(view, "swagger_fake_view", False):
        return Alert.objects.none()
    alerts = access.visible_alerts(person(view.request))
    return alerts.select_related("call", "acknowledged_by", "resolved_by")


class _Act(GenericAPIView):
    scope = Scope.ACT
    serializer_class = shapes.AlertShape
    lookup_url_kwarg = "pk"

    def get_queryset(self) -> QuerySet[Alert]:
        return visible_alerts(self)

    def answerable(self) -> Alert:
        only_known(self.request.query_params, frozenset())
        alert = self.get_object()
        if not access.may_see_floor(person(self.request)):
            raise PermissionDenied("Only supervisors and admins answer alerts.")
        return alert


class Acknowledge(_Act):
    """Say that somebody is looking after it. Said twice, the first stays."""

    @extend_schema(request=None, operation_id="alerts_acknowledge")
    def post(self, request: Request, pk: int) -> Response:
        helping.acknowledge(self.answerable(), person(request))
        return Response(self.get_serializer(self.get_object()).data)


class Resolve(_Act):
    """Say that it is dealt with, and how."""

    @extend_schema(request=shapes.ResolutionShape, operation_id="alerts_resolve")
    def post(self, request: Request, pk: int) -> Response:
        alert = self.answerable()
        said = shapes.ResolutionShape(data=request.data)
        said.is_valid(raise_exception=True)
        try:
            helping.resolve(alert, person(request), said.validated_data["resolution"])
        except helping.BadRequest as wrong:
            raise Conflict(str(wrong)) from None
        return Response(self.get_serializer(self.get_object()).data)
