"""Attacked from its own OpenAPI document: nothing breaks, and answers are as documented."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from calls import recordings, tokens
from calls.models import Alert, Call, Recording, RubricVersion, User
from empathy_dash.asgi import django_app


@schemathesis.serializer("application/offset+octet-stream")
def plain(ctx: Any, value: Any) -> bytes:
    """Pieces of recordings are sent as they are."""
    raw = getattr(value, "data", value)
    return raw if isinstance(raw, bytes) else str(raw).encode(errors="replace")


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("who", "mode", "most", "least"),
    [
        ("alice", POSITIVE, 30, 400),
        ("alice", NEGATIVE, 6, 60),
        ("bob", POSITIVE, 4, 70),
        ("bob", NEGATIVE, 3, 30),
        ("carol", POSITIVE, 4, 70),
        ("carol", NEGATIVE, 3, 30),
    ],
)
def test_nothing_breaks(
    who: str,
    mode: Any,
    most: int,
    least: int,
    alice: User,
    bob: User,
    carol: User,
    finished: Call,
    unlocked: Any,
    settings: Any,
) -> None:
    """As the supervisor, as the agent, and as an outsider; with what the document allows and with what not."""
    settings.API_RATE = "1000000/min"
    user = {"alice": alice, "bob": bob, "carol": carol}[who]
    scopes = [scope.value for scope in tokens.scopes_for(user)]
    _, token = tokens.make(user, "schemathesis", scopes, 7)
    headers = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_asgi("/api/v1/schema", django_app, headers=headers)
    real = real_ids(finished)
    asked = 0
    for found in schema.get_all_operations():
        asked += attack(found.ok(), headers, real, mode, most)
    assert asked > least


def real_ids(call: Call) -> dict[str, dict[str, Any]]:
    """So that paths lead to something half of the time."""
    alert = Alert.objects.filter(call=call).first()
    assert alert is not None and call.agent_id
    return {
        "calls": {"call_id": str(call.pk)},
        "alerts": {"pk": alert.pk, "id": alert.pk},
        "agents": {"pk": call.agent_id},
        "teams": {"pk": call.team_id},
        "rubrics": {"pk": RubricVersion.objects.get().rubric_id, "number": 1},
        "export": {"kind": "csv"},
        "recordings": {"recording_id": str(recording_of(call).pk), "part": 0},
    }


def recording_of(call: Call) -> Recording:
    began = timezone.now()
    wanted = recordings.Wanted(call.team, "caller-left", ["a.wav"], [10_000], began)
    return recordings.begin(call.team.supervisors.get(), wanted)[0]


def attack(
    operation: Any, headers: dict[str, str], real: dict[str, dict[str, Any]], mode: Any, most: int
) -> int:
    """How many requests were made; none where nothing can be said wrongly."""
    ids, asked = real.get(operation.path.split("/")[3], {}), 0

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=most,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def one(case: Any) -> None:
        nonlocal asked
        asked += 1
        if asked % 2:
            case.path_parameters = {
                **(case.path_parameters or {}),
                **{k: v for k, v in ids.items() if "{" + k + "}" in operation.path},
            }
        case.call_and_validate(headers=headers, checks=CHECKS)

    with suppress(Unsatisfiable):
        one()
    return asked


@pytest.mark.django_db
@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml", "*/*", "nonsense", "application/json;q=0"]
)
def test_any_accept(alice: User, accept: str) -> None:
    _, token = tokens.make(alice, "x", ["calls"], 7)
    answer = Client(headers={"Authorization": f"Bearer {token}", "Accept": accept}).get("/api/v1/calls/")
    assert answer.status_code in (200, 406)
