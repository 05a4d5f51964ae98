"""What other systems send in, and what they need for it: places for phone legs, tokens for streams."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import redis
from django.conf import settings
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from calls import access, consent, helping, reservations, transcripts
from calls.api.pages import only_known
from calls.api.problems import Away, Conflict
from calls.api.rights import person
from calls.choices import Protocol, Said, Scope
from calls.ingest import auth
from calls.ingest.audiosocket import RATES_HZ
from calls.ingest.wires import WIRES
from calls.ingest.words import texts
from calls.models import Call, Source
from scoring.types import Channel

WITH_FORMS = (JSONParser, FormParser)
"""A dialplan can post a form, and often nothing else."""


class Asking(serializers.Serializer[Any]):
    source = serializers.SlugField(max_length=60, help_text="Slug of an enabled AudioSocket source.")
    call_ref = serializers.CharField(max_length=120, help_text="The phone system's name for the call.")
    rate = serializers.ChoiceField(
        choices=RATES_HZ,
        required=False,
        help_text="Hz of what comes as kind 0x10, for Asterisks that name every rate so.",
    )
    parameters = serializers.DictField(
        required=False,
        help_text="agent (user name), queue, label: texts of at most 200 characters, 32 of them.",
    )


class Answer(serializers.Serializer[Any]):
    customer_uuid = serializers.UUIDField()
    agent_uuid = serializers.UUIDField()
    address = serializers.CharField(help_text="HOST:PORT where AudioSocket is heard.")
    expires_at = serializers.DateTimeField()


class TurnIn(serializers.Serializer[Any]):
    channel = serializers.ChoiceField(choices=[str(channel) for channel in Channel])
    start_ms = serializers.IntegerField(
        min_value=0, max_value=transcripts.LAST_MS, help_text="Of the call's audio."
    )
    end_ms = serializers.IntegerField(min_value=1, max_value=transcripts.LAST_MS)
    text = serializers.CharField(
        max_length=transcripts.MOST_TEXT,
        allow_blank=True,
        help_text="We mask it. Empty: nothing was said after all.",
    )
    confidence = serializers.FloatField(min_value=0, max_value=1, required=False)


class Telling(serializers.Serializer[Any]):
    source = serializers.SlugField(max_length=60)
    call_ref = serializers.CharField(max_length=120, help_text="The phone system's name for the call.")
    turns = serializers.ListField(
        child=TurnIn(), min_length=1, max_length=transcripts.MOST_AT_ONCE,
        help_text="In any order; a turn told again under the same channel and start_ms replaces it.",
    )  # fmt: skip


class Taken(serializers.Serializer[Any]):
    call = serializers.UUIDField()
    taken = serializers.IntegerField()


class Saying(serializers.Serializer[Any]):
    said = serializers.ChoiceField(
        choices=Said.choices, help_text="notice: the caller was told; yes: agreed; no: objected, for good."
    )


class SayingOf(Saying):
    source = serializers.SlugField(max_length=60)
    call_ref = serializers.CharField(max_length=120, help_text="The phone system's name for the call.")


class Noted(serializers.Serializer[Any]):
    call = serializers.UUIDField()
    consent = serializers.ChoiceField(choices=["", "asked", "no"], help_text="As in the call, from now on.")


def _note(request: Request, call: Call, said: Any) -> Response:
    try:
        consent.note(call, person(request), said, how="api")
    except helping.BadRequest as wrong:
        raise Conflict(str(wrong)) from None
    call.refresh_from_db()
    return Response({"call": call.pk, "consent": call.consent})


class Consent(APIView):
    """What a call's caller was told or said of being analysed; in force from the next half second on."""

    scope = Scope.CONSENT

    @extend_schema(request=Saying, responses=Noted, operation_id="calls_consent")
    def post(self, request: Request, call_id: Any) -> Response:
        only_known(request.query_params, frozenset())
        call = access.get_call_or_404(person(request), call_id)
        asked = Saying(data=request.data)
        asked.is_valid(raise_exception=True)
        return _note(request, call, asked.validated_data["said"])


class ConsentByRef(APIView):
    """The same by the phone system's own name for the call: of several, the newest."""

    scope = Scope.CONSENT

    @extend_schema(request=SayingOf, responses=Noted, operation_id="consent_tell")
    def post(self, request: Request) -> Response:
        only_known(request.query_params, frozenset())
        asked = SayingOf(data=request.data)
        asked.is_valid(raise_exception=True)
        call = _call_of(request, asked.validated_data)
        return _note(request, call, asked.validated_data["said"])


def _call_of(request: Request, said: Mapping[str, Any]) -> Call:
    """The newest call of that name, of a team that who asks watches; else 404."""
    calls = access.visible_calls(person(request)).filter(
        source__slug=said["source"],
        external_ref=said["call_ref"],
        team__in=access.visible_teams(person(request)),
    )
    call = calls.order_by("-started_at").first()
    if call is None:
        raise Http404
    return call


class Transcripts(APIView):
    """What the platform transcribed, in place of our own ears, while the call runs or after it."""

    scope = Scope.FEED

    @extend_schema(request=Telling, responses={202: Taken}, operation_id="transcripts_tell")
    def post(self, request: Request) -> Response:
        only_known(request.query_params, frozenset())
        asked = Telling(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        try:
            turns = [transcripts.turn_of(turn, f"turn {n}") for n, turn in enumerate(said["turns"], 1)]
        except transcripts.NotATurn as wrong:
            raise ValidationError({"turns": str(wrong)}) from None
        call = _call_of(request, said)
        if not call.given_words:
            raise Conflict(
                "We transcribe this call ourselves: its source must say beforehand that it sends its own."
            )
        if "transcript" in call.purged:
            raise Conflict("The transcript of this call was deleted under the policy.")
        turns = transcripts.outside(turns, call.pauses)
        try:
            client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2)
            if transcripts.count(client, str(call.pk)) + len(turns) > transcripts.MOST_TURNS:
                raise Conflict(f"A call has at most {transcripts.MOST_TURNS} turns.")
            if turns:
                transcripts.put(client, str(call.pk), turns)
        except (redis.RedisError, OSError):
            raise Away("Redis does not answer: try again in a few seconds.") from None
        return Response({"call": call.pk, "taken": len(turns)}, status=status.HTTP_202_ACCEPTED)


class AskingToken(serializers.Serializer[Any]):
    source = serializers.SlugField(max_length=60, help_text="Slug of an enabled WebSocket source.")
    call_ref = serializers.CharField(
        max_length=120, help_text="The phone system's name for the call, exactly as the stream will say it."
    )


class StreamToken(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Goes into the stream's parameters as `token` (or `ticket`).")
    address = serializers.CharField(help_text="Where the phone system connects.")
    expires_at = serializers.DateTimeField()


class StreamTokens(APIView):
    """A one-time token for a stream: good once, for one call, for two minutes. One for each connection."""

    scope, parser_classes = Scope.FEED, WITH_FORMS

    @extend_schema(request=AskingToken, responses={201: StreamToken}, operation_id="stream_tokens_create")
    def post(self, request: Request) -> Response:
        only_known(request.query_params, frozenset())
        asked = AskingToken(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        source = _source_of(request, said["source"])
        if source.protocol not in WIRES or source.protocol == Protocol.AUDIOHOOK or not source.enabled:
            raise Conflict(
                f"Source {source.slug!r} has no streams that bring a token, or takes no calls now."
            )
        media = access.media_source(source.slug)
        if media is None:
            raise Http404
        told = {
            "token": auth.mint_token(media, said["call_ref"]),
            "address": source.media_url,
            "expires_at": datetime.fromtimestamp(time.time() + auth.TOKEN_TTL_S, UTC),
        }
        return Response(StreamToken(told).data, status=status.HTTP_201_CREATED)


def _source_of(request: Request, slug: str) -> Source:
    """One of the person's own teams; 404 for any other."""
    found = Source.objects.filter(slug=slug, team__in=access.visible_teams(person(request))).first()
    if found is None:
        raise Http404
    return found


class Reservations(APIView):
    """A UUID for each leg of one call, good once and for two minutes."""

    scope, parser_classes = Scope.FEED, WITH_FORMS

    @extend_schema(request=Asking, responses={201: Answer}, operation_id="reservations_create")
    def post(self, request: Request) -> Response:
        only_known(request.query_params, frozenset())
        asked = Asking(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        source = _source_of(request, said["source"])
        if source.protocol != Protocol.AUDIOSOCKET or not source.enabled:
            raise Conflict(f"Source {source.slug!r} is no AudioSocket source, or takes no calls now.")
        if not settings.AUDIOSOCKET_PUBLIC:
            raise Conflict(
                "No media process listens for AudioSocket: set AUDIOSOCKET (docs/connect/asterisk.md)."
            )
        try:
            client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2)
            pair = reservations.reserve(
                client, source.slug, said["call_ref"], rate_hz=said.get("rate"),
                parameters=texts(said.get("parameters", {})),
            )  # fmt: skip
        except reservations.TooMany as error:
            raise Conflict(str(error)) from None
        except (redis.RedisError, OSError):
            raise Away("Redis does not answer: try again in a few seconds.") from None
        told = {
            "customer_uuid": pair.customer,
            "agent_uuid": pair.agent,
            "address": settings.AUDIOSOCKET_PUBLIC,
            "expires_at": datetime.fromtimestamp(pair.expires_at, UTC),
        }
        return Response(Answer(told).data, status=status.HTTP_201_CREATED)
