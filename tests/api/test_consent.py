"""An IVR or CRM says what a caller answered: by the call's id or its own name for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from calls.choices import CallStatus
from calls.models import Call, ConsentEvent, Policy, User
from tests.api.conftest import As

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def live(make_call: Callable[..., Call]) -> Call:
    return make_call("CA-live")


def by_id(call: Call) -> tuple[str, dict[str, Any]]:
    return f"/api/v1/calls/{call.pk}/consent", {}


def by_ref(call: Call) -> tuple[str, dict[str, Any]]:
    return "/api/v1/consent", {"source": call.source.slug, "call_ref": call.external_ref}


@pytest.mark.parametrize("way", [by_id, by_ref])
def test_it_is_noted_and_in_force(
    as_token: As, alice: User, make_call: Callable[..., Call], way: Any
) -> None:
    Policy.objects.create(asked="consent")
    live = make_call("CA-live")
    address, named = way(live)
    client = as_token(alice, "consent")

    def say(said: str) -> Any:
        return client.post(address, named | {"said": said}, content_type=JSON)

    assert say("notice").json() == {"call": str(live.pk), "consent": "asked"}
    assert say("yes").json()["consent"] == ""
    live.refresh_from_db()
    assert not live.is_withheld and live.opted_in_at
    assert say("no").json()["consent"] == "no"
    live.refresh_from_db()
    assert live.is_withheld and live.tile["consent"] == "no"
    told = list(ConsentEvent.objects.filter(call=live).values_list("said", "how", "user"))
    assert told == [(said, "api", alice.pk) for said in ("notice", "yes", "no")]
    again = say("yes")
    assert again.status_code == 409 and "until the next one" in again.json()["detail"]
    Call.objects.filter(pk=live.pk).update(status=CallStatus.ENDED, ended_at=timezone.now())
    over = say("no")
    assert over.status_code == 409 and "over" in over.json()["detail"]


@pytest.mark.parametrize("way", [by_id, by_ref])
def test_outsiders_find_no_call(as_token: As, carol: User, live: Call, way: Any) -> None:
    address, named = way(live)
    assert as_token(carol).post(address, named | {"said": "no"}, content_type=JSON).status_code == 404
    assert Client().post(address, named | {"said": "no"}, content_type=JSON).status_code == 401
    assert not ConsentEvent.objects.exists()


def test_it_takes_the_scope_and_agents_have_none(as_token: As, alice: User, bob: User, live: Call) -> None:
    address, _ = by_id(live)
    refused = as_token(alice, "feed").post(address, {"said": "no"}, content_type=JSON)
    assert refused.status_code == 403 and "consent" in refused.json()["detail"]
    assert as_token(bob).post(address, {"said": "no"}, content_type=JSON).status_code == 403
    assert not ConsentEvent.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "said"), ({"said": "maybe"}, "said"), ({"said": None}, "said"), ({"said": ["no"]}, "said")],
)
def test_bad_input_is_named(as_token: As, alice: User, live: Call, body: dict[str, Any], field: str) -> None:
    client = as_token(alice, "consent")
    for address, named in (by_id(live), by_ref(live)):
        answer = client.post(address, named | body, content_type=JSON)
        assert answer.status_code == 400 and field in answer.content.decode()
    missing = client.post("/api/v1/consent", {"said": "no"}, content_type=JSON)
    assert missing.status_code == 400 and "call_ref" in missing.content.decode()
    unknown = client.post(
        "/api/v1/consent", {"source": "x", "call_ref": "y", "said": "no"}, content_type=JSON
    )
    assert unknown.status_code == 404
    assert not ConsentEvent.objects.exists()


def test_of_several_calls_of_one_name_the_newest_is_meant(
    as_token: As, alice: User, make_call: Callable[..., Call]
) -> None:
    old = make_call("CA-same")
    Call.objects.filter(pk=old.pk).update(
        status=CallStatus.ENDED, started_at=timezone.now() - timedelta(days=1), ended_at=timezone.now()
    )
    new = Call.objects.create(
        source=old.source, team=old.team, rubric_version=old.rubric_version, external_ref="CA-same"
    )
    address, named = by_ref(new)
    answer = as_token(alice, "consent").post(address, named | {"said": "no"}, content_type=JSON)
    assert answer.json() == {"call": str(new.pk), "consent": "no"}
