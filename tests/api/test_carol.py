"""An outsider sees nothing: over every operation of the OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from calls import recordings
from calls.models import Alert, Call, RubricVersion, User
from tests.api.conftest import As

pytestmark = pytest.mark.django_db


def operations() -> list[tuple[str, str]]:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return [(path, method) for path, methods in document["paths"].items() for method in methods]


def test_carol_over_every_operation(
    as_token: As, carol: User, alice: User, bob: User, finished: Call
) -> None:
    client, alert = as_token(carol), Alert.objects.filter(call=finished).first()
    rubric = RubricVersion.objects.get()
    assert alert is not None
    uploaded, _ = recordings.begin(
        alice, recordings.Wanted(finished.team, "caller-left", ["billing.wav"], [5], timezone.now())
    )
    secrets = {
        "billing.wav",
        str(uploaded.pk),
        str(finished.pk),
        "CA-done",
        "bob",
        "Billing",
        "third time",
        "billing-line",
    }
    asked = operations()
    assert len(asked) >= 15
    for path, method in asked:
        pk = {
            "calls": finished.pk,
            "alerts": alert.pk,
            "agents": bob.pk,
            "teams": finished.team_id,
            "rubrics": rubric.rubric_id,
            "recordings": uploaded.pk,
        }
        kind = path.split("/")[3]
        filled = (
            re.sub(r"\{(call_id|recording_id|pk|id)\}", str(pk.get(kind, 1)), path)
            .replace("{number}", "1")
            .replace("{part}", "0")
            .replace("{kind}", "csv")
        )
        answer = getattr(client, method)(filled)
        assert answer.status_code < 500, (method, filled)
        told = answer.content.decode()
        assert not [secret for secret in secrets if secret in told], (method, filled, told[:300])
        if kind in ("calls", "alerts", "agents", "teams", "recordings") and "{" in path:
            assert answer.status_code == 404, (method, filled)
        assert Client().generic(method.upper(), filled).status_code == 401, (method, filled)


def test_the_reference_is_for_those_who_are_in(alice: User) -> None:
    assert Client().get("/api/v1/docs").status_code == 302
    assert Client().get("/api/v1/schema").status_code == 401
    client = Client()
    client.force_login(alice)
    assert client.get("/api/v1/docs").status_code == 200
    assert b"openapi: 3" in client.get("/api/v1/schema").content
