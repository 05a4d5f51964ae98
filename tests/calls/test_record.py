"""Written exactly once, whatever the order and however often; and the page can follow."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from calls import live, push, record
from calls.choices import CallStatus, Outcome
from calls.models import Call, RubricVersion
from scoring.types import Channel, Turn, VoiceState
from tests.calls.pieces import agent, customer, scored, window

pytestmark = pytest.mark.django_db
MakeCall = Callable[..., Call]
SCRIPT: list[Turn | VoiceState] = [
    customer(1000, frustration=0.95),
    window(1000),
    agent(4000),
    customer(8000, "I still do not see my money", 0.7),
    window(8000),
    agent(12000, "I will refund it today, you will have it tomorrow", reassure=0.9, own=0.7),
    customer(16000, "oh thank you", 0.05),
]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What went out, as a page gets it: after JSON."""
    sent: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(push, "publish", lambda messages: sent.extend(json.loads(json.dumps(messages))))
    return sent


def derived(call_id: str) -> tuple[Any, ...]:
    call = Call.objects.get(pk=call_id)
    doc = live.call_snapshot(call)
    tile = {k: v for k, v in doc["tile"].items() if k not in ("scored_at", "ended_at", "started_at", "id")}
    return (
        tile,
        doc["turns"],
        doc["moments"],
        doc["opportunities"],
        doc["nudges"],
        doc["why"],
        doc["coverage"],
    )


def test_order_and_repetition_change_nothing(make_call: MakeCall, published: list[Any]) -> None:
    in_order = str(make_call("CA1").pk)
    for n, piece in enumerate(SCRIPT):
        record.record_scores([scored(in_order, piece, hops=range(n * 5, n * 5 + 5))])
    shuffled = str(make_call("CA2").pk)
    batches = [scored(shuffled, piece, hops=range(n * 5, n * 5 + 5)) for n, piece in enumerate(SCRIPT)]
    again = batches * 2
    random.Random(7).shuffle(again)
    for batch in again:
        record.record_scores([batch])
    assert derived(shuffled) == derived(in_order)
    call = Call.objects.get(pk=shuffled)
    assert call.turns.count() == 5 and call.voice.count() == 2


def test_events_over_a_stale_snapshot_equal_a_fresh_one(
    make_call: MakeCall, published: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    call = make_call()
    stale = live.call_snapshot(call)
    with django_capture_on_commit_callbacks(execute=True):
        for n, piece in enumerate(SCRIPT):
            last = n == len(SCRIPT) - 1
            record.record_scores([scored(str(call.pk), piece, hops=range(n * 5, n * 5 + 5))])
            if last:
                record.record_scores([scored(str(call.pk), hops=range(0), close=True)])
    for group, event in published:
        if group == f"call.{call.pk}":
            stale = live.apply(stale, event)
    fresh = live.call_snapshot(Call.objects.get(pk=call.pk))
    versions = fresh.pop("versions"), stale.pop("versions")
    assert versions
    assert stale == fresh


def test_floor_events_equal_a_fresh_floor(
    make_call: MakeCall, published: list[Any], alice: Any, django_capture_on_commit_callbacks: Any
) -> None:
    calls = [make_call(f"CA{n}") for n in range(3)]
    stale = live.floor_snapshot(alice)
    with django_capture_on_commit_callbacks(execute=True):
        record.record_scores([scored(str(call.pk), customer(1000)) for call in calls])
    for group, event in published:
        if group.startswith("team."):
            stale = live.apply(stale, event)
    assert stale["calls"] == live.floor_snapshot(alice)["calls"]


def test_scored_hop_is_never_lowered(make_call: MakeCall) -> None:
    call_id = str(make_call().pk)
    record.record_scores([scored(call_id, hops=range(0, 4))])
    failed = record.Scored(
        call_id, None, {(Channel.AGENT, n): Outcome.FAILED for n in (3, 4)}, {Channel.AGENT: 5}
    )
    record.record_scores([failed])
    block = Call.objects.get(pk=call_id).coverage.get(channel="agent", block=0)
    assert block.hops[:6] == "ssssf."


def test_coverage_names_what_was_lost(make_call: MakeCall) -> None:
    call_id = str(make_call().pk)
    item = scored(call_id, hops=range(0, 10))
    lost = {(Channel.CUSTOMER, n): Outcome.LOST for n in (4, 5)}
    record.record_scores([record.Scored(call_id, item.heard, dict(item.outcomes) | lost, item.next_index)])
    coverage = live.call_snapshot(Call.objects.get(pk=call_id))["coverage"]["channels"]
    assert coverage["customer"]["lost_ms"] == 1000
    assert coverage["customer"]["received_ms"] == coverage["customer"]["scored_ms"] == 4000
    assert coverage["agent"]["scored_ms"] == 5000


def test_close_gives_a_final_score(make_call: MakeCall) -> None:
    call_id = str(make_call().pk)
    record.record_scores([scored(call_id, *SCRIPT, hops=range(0, 40))])
    record.record_scores([scored(call_id, hops=range(0), close=True)])
    call = Call.objects.get(pk=call_id)
    assert call.status == CallStatus.ENDED and call.ended_at
    assert call.final and call.final["opportunities"] >= 1 and call.final["empathy"] is not None
    assert call.final["coverage"]["channels"]["customer"]["scored_ms"] == 20_000


def test_stream_that_comes_back_goes_on_in_the_same_call(make_call: MakeCall) -> None:
    began = timezone.now() - timedelta(seconds=40)
    first = make_call("CA9", started_at=began)
    record.media_ended(str(first.pk), "cut", {"received_ms": 5000, "malformed": 1})
    back = record.open_call(
        record.OpenCall(first.source_id, "twilio", "CA9", "MZ-second", began + timedelta(seconds=30), {})
    )
    record.media_ended(str(first.pk), "stop", {"received_ms": 7000, "malformed": 0})
    call = Call.objects.get(pk=first.pk)
    assert back.call_id == str(first.pk) and back.resumed and back.offset_ms == 30_000
    assert call.counters.pop("streams") == {"agent": 2, "customer": 2}
    assert call.counters == {"received_ms": 12_000, "malformed": 1}
    assert any("came back" in note for note in call.notes)


def test_silent_live_call_is_closed_as_lost_and_says_so(make_call: MakeCall) -> None:
    call = make_call(started_at=timezone.now() - timedelta(minutes=5))
    record.record_scores([scored(str(call.pk), customer(1000), hops=range(0, 20))])
    Call.objects.filter(pk=call.pk).update(scored_at=timezone.now() - timedelta(minutes=2))
    assert record.close_lost(timezone.now() - timedelta(minutes=1)) == [str(call.pk)]
    call.refresh_from_db()
    assert call.status == CallStatus.LOST and "after 0:10" in call.notes[-1]
    assert call.tile["status"] == "lost" and call.final


def test_unknown_agent_is_noted_not_dropped(make_call: MakeCall) -> None:
    call = make_call(agent="mallory")
    assert call.agent is None and "mallory" in call.notes[0]


def test_rubric_version_refuses_change_in_python_and_in_the_database(rubric: RubricVersion) -> None:
    with pytest.raises(ValidationError):
        rubric.save()
    with pytest.raises(DatabaseError), transaction.atomic():
        RubricVersion.objects.filter(pk=rubric.pk).update(note="changed")
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from calls_rubricversion where note = 'changed'")
        assert cursor.fetchone() == (0,)


def test_alignment_outlook_and_playbook_reach_the_page(
    make_call: MakeCall, published: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    call_id = str(make_call("CA1").pk)
    with django_capture_on_commit_callbacks(execute=True):
        for piece in SCRIPT:
            record.record_scores([scored(call_id, piece)])
    doc = json.loads(json.dumps(live.call_snapshot(Call.objects.get(pk=call_id))))
    event = doc["alignment"]["events"][0]
    assert set(event) == {"t_ms", "state", "affect", "fit", "latency_ms", "recovery_ms"}
    assert doc["outlook"]["status"] in ("at_risk", "steady", "strengthened")
    assert doc["outlook"]["calibrated"] is False
    assert doc["timing"]["response_ms"] is not None
    assert doc["nudges"][0]["phrases"]
    pushed = [e for _, e in published if e["type"] == "view"][-1]
    assert all(pushed[name] == doc[name] for name in ("alignment", "outlook", "timing", "nudges"))
