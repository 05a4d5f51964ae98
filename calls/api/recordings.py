"""/api/v1/recordings/: finished calls taken in as files, in pieces that go on after a broken line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from calls import access, intake, transcripts
from calls import recordings as room
from calls.api.pages import Asked, Pages, only_known
from calls.api.problems import Away, Conflict, TooMuch
from calls.api.rights import person
from calls.choices import Layout, Scope
from calls.models import Recording, User
from scoring.given import Said

OFFSET = "Upload-Offset"
BYTES = "application/offset+octet-stream"
"""As tus (resumable uploads) names it."""
READ = 1 << 18


class FileShape(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    size = serializers.IntegerField(min_value=1, max_value=2**40, help_text="Bytes.")


class PartShape(serializers.Serializer[Any]):
    size = serializers.IntegerField()
    received = serializers.IntegerField(help_text="Bytes that are here: where the upload goes on.")


class NewRecording(serializers.Serializer[Any]):
    team = serializers.IntegerField(min_value=1, max_value=2**31)
    layout = serializers.ChoiceField(choices=Layout.choices)
    files = FileShape(many=True, help_text="One; two for `two-files`, the caller's first.")
    started_at = serializers.DateTimeField(required=False, help_text="When the call began; now without it.")
    agent = serializers.CharField(max_length=150, required=False, help_text="User name, of this team.")
    told = serializers.BooleanField(
        default=False, help_text="The caller was told or agreed, as the policy asks for."
    )
    turns = serializers.ListField(
        child=serializers.JSONField(), max_length=transcripts.MOST_TURNS, required=False,
        help_text="What was said (channel, start_ms, end_ms, text, confidence): we transcribe nothing then.",
    )  # fmt: skip
    mark = serializers.CharField(
        max_length=80,
        required=False,
        help_text="What else tells this file from one of the same name and size.",
    )

    def validate_files(self, files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not 1 <= len(files) <= 2:
            raise ValidationError("Name one file, or two for the layout two-files.")
        return files

    def validate_turns(self, turns: list[Any]) -> list[Said]:
        try:
            return transcripts.read(turns)
        except transcripts.NotATurn as wrong:
            raise ValidationError(str(wrong)) from None

    def validate_started_at(self, at: datetime) -> datetime:
        try:
            if 1970 <= at.astimezone(UTC).year < 9999:
                return at
        except OverflowError:
            pass
        raise ValidationError("Give a time from 1970 on, like 2026-01-31T08:00:00Z.")


class RecordingShape(serializers.ModelSerializer[Recording]):
    parts = serializers.SerializerMethodField()
    percent = serializers.IntegerField(help_text="How much of it has been scored.")
    call = serializers.UUIDField(source="call_id", allow_null=True)
    notes = serializers.SerializerMethodField(help_text="What is not scored, and why.")

    class Meta:
        model = Recording
        fields = (
            "id", "name", "team", "layout", "state", "percent", "reason", "notes", "mixed",
            "given_words", "parts", "call", "started_at", "created_at",
        )  # fmt: skip

    @extend_schema_field(PartShape(many=True))
    def get_parts(self, recording: Recording) -> list[dict[str, int]]:
        return [
            {"size": size, "received": room.received(recording, part)}
            for part, size in enumerate(recording.sizes)
        ]

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_notes(self, recording: Recording) -> list[str]:
        return [str(note) for note in recording.notes]


class Recordings(ListAPIView[Recording]):
    """Recordings of the teams you watch, the newest first."""

    scope = Scope.FEED
    serializer_class = RecordingShape
    filter_backends = [Asked]

    class pagination_class(Pages):
        ordering = ("-created_at", "-id")

    def get_queryset(self) -> QuerySet[Recording]:
        if getattr(self, "swagger_fake_view", False):
            return Recording.objects.none()
        return room.visible(person(self.request)).select_related("call")

    @extend_schema(
        request=NewRecording, responses={200: RecordingShape, 201: RecordingShape},
        operation_id="recordings_create",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Announce one; its bytes follow. The same announced again (200) goes on where it was cut off."""
        only_known(request.query_params, frozenset())
        asked = NewRecording(data=request.data)
        asked.is_valid(raise_exception=True)
        said, user = asked.validated_data, person(request)
        teams = {team.pk: team for team in access.visible_teams(user)}
        if said["team"] not in teams:
            raise ValidationError({"team": f"You watch no team {said['team']}."})
        agent = None
        if said.get("agent"):
            agent = User.objects.filter(username=said["agent"], team=said["team"]).first()
            if agent is None:
                raise ValidationError({"agent": f"{said['agent']!r} is no agent of this team."})
        wanted = room.Wanted(
            team=teams[said["team"]],
            layout=said["layout"],
            names=[one["name"] for one in said["files"]],
            sizes=[one["size"] for one in said["files"]],
            started_at=said.get("started_at") or timezone.now(),
            agent=agent,
            told=said["told"],
            mark=said.get("mark", ""),
            turns=said.get("turns"),
        )
        try:
            recording, new = room.begin(user, wanted)
        except room.Refused as refused:
            raise ValidationError({"recording": str(refused)}) from None
        code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        return Response(RecordingShape(recording).data, status=code)


class OneRecording(APIView):
    scope = Scope.FEED

    @extend_schema(responses=RecordingShape, operation_id="recordings_read")
    def get(self, request: Request, recording_id: UUID) -> Response:
        """How far it is."""
        only_known(request.query_params, frozenset())
        return Response(RecordingShape(found(request, recording_id)).data)

    @extend_schema(responses={204: None}, operation_id="recordings_remove")
    def delete(self, request: Request, recording_id: UUID) -> Response:
        """Off the list, with what was uploaded. A call that came of it stays."""
        only_known(request.query_params, frozenset())
        try:
            room.remove(found(request, recording_id))
        except room.Refused as refused:
            raise Conflict(str(refused)) from None
        except OSError as error:
            raise Away(disk(error)) from None
        return Response(status=status.HTTP_204_NO_CONTENT)


class Bytes(BaseParser):
    """The body as it comes, unread."""

    media_type = BYTES

    def parse(self, stream: IO[bytes], media_type: Any = None, parser_context: Any = None) -> IO[bytes]:
        return stream


class Part(APIView):
    scope = Scope.FEED
    parser_classes = (Bytes,)

    @extend_schema(
        request={BYTES: OpenApiTypes.BINARY},
        parameters=[
            OpenApiParameter(
                OFFSET, OpenApiTypes.INT64, OpenApiParameter.HEADER, required=True,
                description="Where in the file these bytes begin: as many as are here already.",
            )
        ],
        responses=RecordingShape, operation_id="recordings_append",
    )  # fmt: skip
    def patch(self, request: Request, recording_id: UUID, part: int) -> Response:
        """More bytes of file 0 or 1, as many at once as you like. What came before a line broke is kept."""
        only_known(request.query_params, frozenset())
        recording = found(request, recording_id)
        said = request.headers.get(OFFSET, "")
        if not (said.isascii() and said.isdigit() and len(said) < 16):
            raise ValidationError({OFFSET: "Say where these bytes begin: a whole number."})
        if part >= len(recording.sizes):
            raise Http404
        if not isinstance(request.data, dict):  # no body at all is an empty one
            self._append(recording, part, int(said), request.data)
        recording.refresh_from_db()
        return Response(RecordingShape(recording).data)

    def _append(self, recording: Recording, part: int, offset: int, stream: IO[bytes]) -> None:
        try:
            room.receive(recording, part, offset, pieces(stream))
        except intake.WrongOffset as wrong:
            raise Conflict(f"{wrong.expected} bytes are here: go on from there.") from None
        except intake.TooLong as long:
            raise TooMuch(f"This is {long}: announce the file anew.") from None
        except OSError as error:
            raise Away(disk(error)) from None


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(READ):
        yield piece


def found(request: Request, recording_id: UUID) -> Recording:
    recording = room.visible(person(request)).select_related("call").filter(pk=recording_id).first()
    if recording is None:
        raise Http404
    return recording


def disk(error: OSError) -> str:
    return f"The server's disk said: {error.strerror or error}. Try again later."
