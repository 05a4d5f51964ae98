"""While somebody scores a call, no page, list or export tells them in passing what the machine made of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from calls import exports, reviewing, tokens, trends
from calls.choices import Role, Scope
from calls.management.commands.seed_rubric import seed_rubric
from calls.models import Alert, Call, Look, Review, User
from tests.api.conftest import finish

pytestmark = pytest.mark.django_db


@pytest.fixture
def finished(make_call: Callable[..., Call], alice: User, bob: User) -> Call:
    call = finish(make_call("CA-done"))
    call.tile = call.tile | {"alerts_open": 3}
    call.save()
    trends.learn(call.pk)
    return call


@pytest.fixture
def scoring(finished: Call, alice: User) -> Review:
    return reviewing.start(finished, alice)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def by_token(user: User, *scopes: Scope) -> Client:
    _, token = tokens.make(user, "tests", list(scopes), 7)
    return Client(headers={"Authorization": f"Bearer {token}"})


def submit(review: Review) -> None:
    reviewing.submit(review, dict.fromkeys(reviewing.BEHAVIOURS, 1), 3, "")


def test_the_list_of_calls_keeps_quiet_until_the_score_is_in(scoring: Review, alice: User) -> None:
    def main() -> str:
        page = logged_in(alice).get("/calls/").content.decode()
        return page[page.index("<tbody>") : page.index("</tbody>")]

    before = main()
    assert "you are scoring it" in before and 'data-state=""' in before and "Frustrated" not in before
    submit(scoring)
    after = main()
    assert "Frustrated" in after and "you are scoring it" not in after


def test_scoring_again_warns_first_and_then_the_review_is_not_blind(
    scoring: Review, finished: Call, alice: User
) -> None:
    address = f"/calls/{finished.pk}/rescored/?version={seed_rubric().pk}"
    client = logged_in(alice)
    warned = client.get(address).content.decode()
    assert (
        "You are scoring this call" in warned and "Possible cues" not in warned and not Look.objects.exists()
    )
    assert f"version={seed_rubric().pk}&amp;anyway=1" in warned
    assert Review.objects.get().blind
    assert "Possible cues" in client.get(address + "&anyway=1").content.decode()
    assert not Review.objects.get().blind


def test_the_callers_copy_warns_first_too(finished: Call) -> None:
    dana = User.objects.create_user("dana", role=Role.ADMIN)
    reviewing.start(finished, dana)
    client = logged_in(dana)
    assert "You are scoring this call" in client.get(f"/calls/{finished.pk}/export.zip").content.decode()
    assert Review.objects.get().blind
    assert client.get(f"/calls/{finished.pk}/export.zip?anyway=1")["Content-Type"] == "application/zip"
    assert not Review.objects.get().blind


def test_an_export_leaves_the_scores_of_such_a_call_empty(scoring: Review, alice: User) -> None:
    client = by_token(alice, Scope.EXPORT)

    def row() -> dict[str, str]:
        text = client.get("/api/v1/export/calls.csv").content.decode()
        [only] = csv.DictReader(io.StringIO(text))
        return only

    hidden = row()
    assert not any(hidden[name] for name in exports.MADE_BY_MACHINE)
    assert hidden["handle_ms"] and hidden["external_ref"] == "CA-done"
    assert client.get("/api/v1/export/calls.parquet").status_code == 200
    assert Review.objects.get().blind
    submit(scoring)
    assert row()["opportunities"] and row()["time_frustration"]


def test_lists_for_programs_tell_neither_state_nor_alerts(
    scoring: Review, finished: Call, alice: User
) -> None:
    client = by_token(alice, Scope.CALLS, Scope.ALERTS)
    assert Alert.objects.filter(call=finished).exists()

    def told() -> tuple[Any, Any, int]:
        [call] = client.get("/api/v1/calls/").json()["results"]
        return call["state"], call["final"], len(client.get("/api/v1/alerts/").json()["results"])

    assert told() == (None, None, 0)
    submit(scoring)
    state, final, alerts = told()
    assert state and final and alerts


def test_somebody_else_who_scores_nothing_is_told_all(scoring: Review, finished: Call) -> None:
    dana = User.objects.create_user("dana", role=Role.ADMIN)
    assert "you are scoring it" not in logged_in(dana).get("/calls/").content.decode()
    assert "Possible cues" in logged_in(dana).get(
        f"/calls/{finished.pk}/rescored/?version={seed_rubric().pk}"
    ).content.decode()  # fmt: skip


def test_the_plain_admin_shows_nothing_that_was_made_of_a_call(finished: Call) -> None:
    dana = User.objects.create_superuser("dana", password="x", role=Role.ADMIN)
    page = logged_in(dana).get(f"/admin/calls/call/{finished.pk}/change/", follow=True).content.decode()
    assert "CA-done" in page and "courtesy_only" not in page and "frustration" not in page
