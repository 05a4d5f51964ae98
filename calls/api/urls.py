from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest
from django.urls import path, register_converter
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from calls.api import calls, export, feeding, outcomes, recordings, reference, trends


@extend_schema(exclude=True)
class Nowhere(APIView):
    """Programs get a document, not a page, where nothing is."""

    permission_classes = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        request.method = "GET"
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: Request, rest: str = "") -> Response:
        raise Http404


class Kind:
    regex = "csv|parquet"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(Kind, "kind")

urlpatterns = [
    path("who", calls.Who.as_view()),
    path("calls/", calls.Calls.as_view()),
    path("calls/<uuid:call_id>/", calls.OneCall.as_view()),
    path("calls/<uuid:call_id>/timeline", calls.Timeline.as_view()),
    path("calls/<uuid:call_id>/turns/", calls.Turns.as_view()),
    path("calls/<uuid:call_id>/consent", feeding.Consent.as_view()),
    path("consent", feeding.ConsentByRef.as_view()),
    path("alerts/", calls.Alerts.as_view()),
    path("alerts/<int:pk>/acknowledge", calls.Acknowledge.as_view()),
    path("alerts/<int:pk>/resolve", calls.Resolve.as_view()),
    path("agents/", trends.Agents.as_view()),
    path("agents/<int:pk>/trends", trends.AgentTrend.as_view()),
    path("teams/", trends.Teams.as_view()),
    path("teams/<int:pk>/trends", trends.TeamTrend.as_view()),
    path("rubrics/", trends.Rubrics.as_view()),
    path("rubrics/<int:pk>/versions/", trends.Versions.as_view()),
    path("rubrics/<int:pk>/versions/<int:number>/", trends.OneVersion.as_view()),
    path("export/calls.<kind:kind>", export.Export.as_view()),
    path("recordings/", recordings.Recordings.as_view()),
    path("recordings/<uuid:recording_id>/", recordings.OneRecording.as_view()),
    path("recordings/<uuid:recording_id>/parts/<int:part>", recordings.Part.as_view()),
    path("transcripts", feeding.Transcripts.as_view()),
    path("outcomes/", outcomes.Outcomes.as_view()),
    path("reservations", feeding.Reservations.as_view()),
    path("stream-tokens", feeding.StreamTokens.as_view()),
    path("schema", SpectacularAPIView.as_view(), name="api_schema"),
    path("docs", reference.reference, name="api_docs"),
    path("", Nowhere.as_view()),
    path("<path:rest>", Nowhere.as_view()),
]
