"""Tokens for streams, and the forms that a dialplan can send."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from calls.access import media_source
from calls.choices import Scope
from calls.ingest import auth
from calls.models import Source, Team, User
from tests.api.conftest import As

PATH = "/api/v1/stream-tokens"
pytestmark = pytest.mark.django_db


@pytest.fixture
def vonage(billing: Team) -> Source:
    return Source.objects.create(name="Vonage", slug="vonage", team=billing, protocol="vonage")


def test_a_token_is_for_this_call_and_source(vonage: Source, alice: User, as_token: As) -> None:
    answer = as_token(alice).post(PATH, {"source": "vonage", "call_ref": "C1"}, "application/json")
    assert answer.status_code == 201, answer.content
    told, media = answer.json(), media_source("vonage")
    assert media and auth.read_token(media, "C1", told["token"])
    assert auth.read_token(media, "C2", told["token"]) is None
    assert told["address"].endswith("/media/vonage/vonage/") and vonage.secret not in str(told)


def test_outsiders_and_other_scopes_get_none(vonage: Source, alice: User, carol: User, as_token: As) -> None:
    asked = {"source": "vonage", "call_ref": "C1"}
    assert as_token(carol).post(PATH, asked, "application/json").status_code == 404
    assert as_token(alice, Scope.CALLS).post(PATH, asked, "application/json").status_code == 403


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"call_ref": ""}, 400, "call_ref"), ({"call_ref": "x" * 121}, 400, "call_ref"), ({"source": "no"}, 404, "yours"),
        ({"source": None}, 400, "source"), ({"source": "pbx"}, 409, "no streams"), ({"source": "off"}, 409, "takes no calls"),
        ({"source": "hook"}, 409, "no streams"),
    ],
)  # fmt: skip
def test_what_gets_no_token(
    vonage: Source, billing: Team, alice: User, as_token: As, said: dict[str, Any], status: int, words: str
) -> None:
    Source.objects.create(name="P", slug="pbx", team=billing, protocol="audiosocket")
    Source.objects.create(name="H", slug="hook", team=billing, protocol="audiohook")
    Source.objects.create(name="O", slug="off", team=billing, protocol="vonage", enabled=False)
    answer = as_token(alice).post(PATH, {"source": "vonage", "call_ref": "C1"} | said, "application/json")
    assert answer.status_code == status and words in answer.content.decode(), answer.content


def test_a_dialplan_reserves_with_a_form(billing: Team, alice: User, as_token: As, settings: Any) -> None:
    """Asterisk's CURL() posts forms, as docs/connect/asterisk.md has it."""
    settings.AUDIOSOCKET_PUBLIC = "pbx.example:9092"
    Source.objects.create(name="P", slug="pbx", team=billing, protocol="audiosocket")
    form = "source=pbx&call_ref=1700.1&parameters.agent=bob&parameters.queue=Billing"
    answer = as_token(alice).post("/api/v1/reservations", form, "application/x-www-form-urlencoded")
    assert answer.status_code == 201, answer.content
    kept = redis.Redis.from_url(settings.REDIS_URL)
    assert b'"agent": "bob", "queue": "Billing"' in kept.get(f"reserved:leg:{answer.json()['agent_uuid']}")
