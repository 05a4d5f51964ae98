"""Alerts answered, lines sent, notes written, looks seen: rows, events, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from calls import helping, live, record
from calls.choices import CallStatus
from calls.models import Alert, Call, Look, User
from tests.calls.pieces import customer, scored

pytestmark = pytest.mark.django_db
Make = Callable[..., Call]
Sent = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    found: Sent = []
    monkeypatch.setattr("calls.push.publish", lambda messages: found.extend(messages))
    return found


@pytest.fixture
def call(make_call: Make) -> Call:
    return make_call("CA1")


def page_after(call: Call, before: dict[str, Any], sent: Sent) -> tuple[dict[str, Any], dict[str, Any]]:
    for group, event in sent:
        if group == f"call.{call.pk}":
            before = live.apply(before, event)
    return before, live.call_snapshot(Call.objects.get(pk=call.pk))


def test_an_alert_is_acknowledged_once_and_resolved_with_words(
    call: Call, alice: User, sent: Sent, django_capture_on_commit_callbacks: Any
) -> None:
    alert = Alert.objects.create(
        call=call, cause="escalation", t_ms=1000, title="Wants to leave", severity="help"
    )
    page = live.call_snapshot(call)
    other = User.objects.create(username="other", role="supervisor")
    with django_capture_on_commit_callbacks(execute=True):
        helping.acknowledge(alert, alice)
        helping.acknowledge(alert, other)
        helping.resolve(alert, other, "  called   back ")
    page, fresh = page_after(call, page, sent)
    assert page == fresh
    [doc] = fresh["alerts"]
    assert (doc["acknowledged_by"], doc["resolved_by"], doc["resolution"]) == (
        str(alice),
        "other",
        "called back",
    )


def test_of_two_who_resolve_the_second_keeps_their_words(call: Call, alice: User) -> None:
    alert = Alert.objects.create(call=call, cause="escalation", t_ms=1000, title="x", severity="help")
    other = User.objects.create(username="other", role="supervisor")
    helping.resolve(alert, alice, "called back")
    with pytest.raises(helping.BadRequest, match="Alice Moreau has resolved it already"):
        helping.resolve(alert, other, "sent a letter")
    helping.resolve(alert, other)
    alert.refresh_from_db()
    assert (alert.resolved_by, alert.resolution) == (alice, "called back")


def test_nothing_is_written_about_a_call_whose_words_are_gone(call: Call, alice: User) -> None:
    """It would stay behind: of a call that was purged nobody looks for words again."""
    alert = Alert.objects.create(call=call, cause="escalation", t_ms=1000, title="x", severity="help")
    Call.objects.update(purged={"transcript": "2026-01-01T00:00:00+00:00"})
    with pytest.raises(helping.BadRequest, match="were deleted"):
        helping.write_note(call, alice, "He said 4111")
    with pytest.raises(helping.BadRequest, match="were deleted.* without words"):
        helping.resolve(alert, alice, "He said 4111")
    alert.refresh_from_db()
    assert not call.remarks.exists() and alert.acknowledged_at is None
    helping.resolve(alert, alice)
    alert.refresh_from_db()
    assert alert.resolved_by == alice and not alert.resolution


def test_an_alert_acted_on_stays_when_its_cause_goes(call: Call, alice: User) -> None:
    alert = Alert.objects.create(call=call, cause="made-up", t_ms=1000, title="x", severity="help")
    helping.acknowledge(alert, alice)
    record.record_scores([scored(str(call.pk), customer(0))])
    assert Alert.objects.filter(pk=alert.pk).exists()


def test_messages_notes_and_looks_reach_open_pages(
    call: Call, alice: User, sent: Sent, django_capture_on_commit_callbacks: Any
) -> None:
    page = live.call_snapshot(call)
    with django_capture_on_commit_callbacks(execute=True):
        message = helping.send(call, alice, "I am with you.")
        helping.mark_read(message)
        helping.write_note(call, alice, "good repair", 4200)
        row = helping.look(call, alice)
        assert row is not None
        helping.looked(row.pk)
    page, fresh = page_after(call, page, sent)
    assert page == fresh
    assert fresh["messages"][0]["read_at"] and fresh["remarks"][0]["t_ms"] == 4200
    assert fresh["looks"] == [page["looks"][0] | {"open": False, "who": str(alice)}]
    to_agent = {event["type"] for group, event in sent if group == f"agent.{call.agent_id}"}
    assert to_agent == {"message", "look"}


def test_the_agent_is_no_onlooker_and_a_reload_is_the_same_look(call: Call, alice: User) -> None:
    assert call.agent is not None
    assert helping.look(call, call.agent) is None
    first, again = helping.look(call, alice), helping.look(call, alice)
    assert first == again
    Look.objects.update(last_at=timezone.now() - timedelta(seconds=90))
    assert helping.close_lapsed_looks() == 1
    assert helping.look(call, alice) != first


@pytest.mark.parametrize(
    ("words", "says"),
    [("", "is empty"), ("  \x00 ", "is empty"), ("x" * 281, "281 characters"), (5, "must be text")],
)
def test_a_bad_message_is_refused_in_words(call: Call, alice: User, words: Any, says: str) -> None:
    with pytest.raises(helping.BadRequest, match=says):
        helping.send(call, alice, words)
    assert not call.messages.exists()


def test_nobody_is_there_to_read(call: Call, alice: User) -> None:
    call.agent = None
    with pytest.raises(helping.BadRequest, match="no one to read"):
        helping.send(call, alice, "hello")
    call.status = CallStatus.ENDED
    with pytest.raises(helping.BadRequest, match="write a note"):
        helping.send(call, alice, "hello")


@pytest.mark.parametrize("t_ms", [-1, "4", True, 1.5, 2**60])
def test_a_bad_second_is_refused(call: Call, alice: User, t_ms: Any) -> None:
    with pytest.raises(helping.BadRequest, match="t_ms"):
        helping.write_note(call, alice, "x", t_ms)


@pytest.mark.parametrize(
    "wanted",
    [
        {"muted": "yes"},
        {"every_s": 5},
        {"per_call": True},
        {"kinds_off": "own"},
        {"kinds_off": ["x"]},
        {"speed": 1},
    ],
)
def test_bad_choices_change_nothing(call: Call, wanted: dict[str, Any]) -> None:
    assert call.agent is not None
    with pytest.raises(helping.BadRequest):
        helping.choose(call.agent, wanted)
    assert live.agent_snapshot(call.agent)["choices"]["every_s"] == 45
