"""Outcomes by API: all of a request or nothing, of own calls only."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from calls.models import Call, CallOutcome, OutcomeImport, User
from tests.api.conftest import As

pytestmark = pytest.mark.django_db
PATH = "/api/v1/outcomes/"


def post(client: Client, *rows: Any) -> Any:
    return client.post(PATH, {"outcomes": list(rows)}, "application/json")


def test_outcomes_are_taken(as_token: As, alice: User, finished: Call) -> None:
    client = as_token(alice)
    answer = post(client, {"call": str(finished.pk), "csat": 4, "resolved": True, "handle_time_s": 61.25})
    assert (answer.status_code, answer.json()) == (200, {"rows": 1, "changed": 1})
    assert post(client, {"external_ref": "CA-done", "csat": None, "churned": False}).json()["changed"] == 1
    row = CallOutcome.objects.get()
    assert (row.csat, row.resolved, row.churned, row.handle_time_ms) == (None, True, False, 61_250)
    assert post(client, {"external_ref": "CA-done", "churned": False}).json() == {"rows": 1, "changed": 0}
    assert [one.how for one in OutcomeImport.objects.all()] == ["api", "api"]


@pytest.mark.parametrize(
    "row",
    [
        {"csat": 6}, {"csat": "x"}, {"nps": -1}, {"resolved": "perhaps"}, {"handle_time_s": -1}, {"handle_time_s": 1e12},
        {"call": "x", "csat": 1}, {"external_ref": "CA-none", "csat": 1}, {"csat": 1}, {"external_ref": "CA-done"}, {}, [], 5, None,
    ],
)  # fmt: skip
def test_one_bad_row_and_nothing_is_taken(as_token: As, alice: User, finished: Call, row: Any) -> None:
    good = {"call": str(finished.pk), "csat": 4}
    if isinstance(row, dict) and not {"call", "external_ref"} & set(row) and row and row != {"csat": 1}:
        row = {"external_ref": "CA-done", **row}
    answer = post(as_token(alice), good, row)
    assert answer.status_code == 400 and "outcomes" in answer.json()["errors"], answer.content
    assert not CallOutcome.objects.exists()


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"outcomes": []}', '{"outcomes": {}}', "\x00", '{"outcomes": [NaN]}']
)
def test_a_body_that_is_none(as_token: As, alice: User, body: str) -> None:
    answer = as_token(alice).post(PATH, body, "application/json")
    assert answer.status_code == 400 and answer["Content-Type"].startswith("application/problem+json")


def test_not_more_than_are_read_at_once(as_token: As, alice: User) -> None:
    assert post(as_token(alice), *[{"external_ref": "x", "csat": 1}] * 501).status_code == 400


def test_outsiders_cannot_tell_and_learn_nothing(
    as_token: As, carol: User, bob: User, finished: Call
) -> None:
    rows = {"call": str(finished.pk), "csat": 1}, {"external_ref": "CA-done", "csat": 1}
    for row in rows:
        answer = post(as_token(carol), row)
        assert answer.status_code == 400 and "there is no such call" in answer.content.decode()
    assert post(as_token(bob), rows[0]).status_code == 403, (
        "agents cannot say how satisfied their callers were"
    )
    assert post(Client(), rows[0]).status_code == 401
    assert post(as_token(carol, "calls"), rows[0]).status_code == 403
    assert not CallOutcome.objects.exists()
