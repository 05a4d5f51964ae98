"""Following a call: it stays in sight on the follower's floor, its agent sees who follows, and it is logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from calls import helping, live, record, wire
from calls.choices import CallStatus
from calls.models import Call, Follow, User
from tests.calls.pieces import customer, scored

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr("calls.push.publish", lambda messages: found.extend(messages))
    return found


@pytest.fixture
def call(make_call: Callable[..., Call]) -> Call:
    return make_call("CA1")


def followers(call: Call) -> list[str]:
    return [person["name"] for person in Call.objects.get(pk=call.pk).tile["followers"]]


def test_a_follower_is_on_the_tile_until_it_is_enough(
    call: Call, alice: User, bob: User, sent: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        helping.follow(call, alice, True)
        helping.follow(call, alice, True)
    assert followers(call) == [str(alice)]
    groups = {group for group, event in sent if event["type"] == "tile" and event["tile"]["followers"]}
    assert groups == set(call.groups())
    assert live.agent_snapshot(bob)["calls"][str(call.pk)]["followers"][0]["name"] == str(alice)
    helping.follow(call, alice, False)
    assert followers(call) == []
    [row] = Follow.objects.all()
    assert row.ended_at is not None


def test_what_is_scored_later_keeps_the_followers(call: Call, alice: User) -> None:
    helping.follow(call, alice, True)
    record.record_scores([scored(str(call.pk), customer(1000))])
    assert followers(call) == [str(alice)]


def test_the_wall_names_no_follower(call: Call, alice: User) -> None:
    helping.follow(call, alice, True)
    tile = Call.objects.get(pk=call.pk).tile
    assert wire.wall_tile(tile)["followers"] == [] and tile["followers"]


def test_only_a_running_call_is_followed(call: Call, alice: User) -> None:
    Call.objects.filter(pk=call.pk).update(status=CallStatus.ENDED, ended_at=timezone.now())
    with pytest.raises(helping.BadRequest, match="over"):
        helping.follow(call, alice, True)


@pytest.mark.parametrize("body", ['{"on": "yes"}', "{}", '{"on": 1}'])
def test_junk_is_refused(call: Call, alice: User, client: Client, body: str) -> None:
    client.force_login(alice)
    answer = client.post(f"/calls/{call.pk}/follow", body, content_type="application/json")
    assert answer.status_code == 400 and "true or false" in answer.json()["error"]


def test_outsiders_and_the_agent_cannot_follow(call: Call, bob: User, carol: User, client: Client) -> None:
    for user in (bob, carol):
        client.force_login(user)
        answer = client.post(f"/calls/{call.pk}/follow", '{"on": true}', content_type="application/json")
        assert answer.status_code == 404
    assert not Follow.objects.exists()
