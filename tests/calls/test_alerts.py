"""A turn may be told twice. What only its first telling said is taken back, on open pages too."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from calls import helping, live, push, record
from calls.models import Call, User
from scoring.types import Cue, Turn
from tests.calls.pieces import agent, customer, scored, window

pytestmark = pytest.mark.django_db
MINUTE = 60_000
LEAVES = replace(
    customer(0, "I want to cancel"),
    cues=(Cue("escalation", 0.9, 0.9, "I want to cancel", "rule:escalation-leave"),),
)
STAYS = replace(
    customer(0, "I want to cancel nothing, I am happy", 0.02), end_ms=4500, cues=()
)  # the same turn, told again
LEAVES_AT_LENGTH = replace(
    LEAVES,
    end_ms=5000,
    text="I want to cancel all of it today",
    cues=(Cue("escalation", 0.9, 0.9, "cancel all of it", "rule:escalation-leave"),),
)
BRUSHES_OFF = replace(
    agent(3000, "That's not my problem", dismissive=0.9),
    cues=(Cue("dismissive", 0.9, 0.9, "not my problem", "rule:not-my-problem"),),
)
OWNS = replace(
    agent(3000, "That's not my problem to pass on, it is ours and we will fix it", own=0.9), end_ms=7500
)


class Page:
    """An open call page: what it started from, and every event since."""

    def __init__(self, call: Call, sent: list[Any], on_commit: Any) -> None:
        self.id, self.sent, self.on_commit = str(call.pk), sent, on_commit
        self.doc = live.call_snapshot(call)

    def record(self, *pieces: Any, **how: Any) -> list[str]:
        """The causes of the alerts that the page shows then."""
        self.sent.clear()
        with self.on_commit(execute=True):
            record.record_scores([scored(self.id, *pieces, **how)])
        for group, event in self.sent:
            if group == f"call.{self.id}":
                self.doc = live.apply(self.doc, event)
        return [alert["cause"] for alert in self.doc["alerts"]]

    def fresh(self) -> dict[str, Any]:
        doc: dict[str, Any] = json.loads(json.dumps(live.call_snapshot(Call.objects.get(pk=self.id))))
        return doc

    def is_current(self) -> None:
        """Less what no event tells (versions) and what one tells every ten seconds (coverage)."""
        told, fresh = json.loads(json.dumps(self.doc)), self.fresh()
        for late in ("versions", "coverage"):
            del told[late], fresh[late]
        assert told == fresh


@pytest.fixture
def page(
    make_call: Callable[..., Call],
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> Page:
    sent: list[Any] = []
    monkeypatch.setattr(push, "publish", lambda messages: sent.extend(json.loads(json.dumps(messages))))
    return Page(make_call(), sent, django_capture_on_commit_callbacks)


def act_on(page: Page, cause: str) -> None:
    Call.objects.get(pk=page.id).alerts.filter(cause=cause).update(acknowledged_at=timezone.now())


def test_an_alert_is_withdrawn_when_its_cause_is_taken_back(page: Page) -> None:
    assert page.record(LEAVES) == ["escalation-leave"]
    assert page.record(STAYS, hops=range(8, 12)) == []
    assert not Call.objects.get(pk=page.id).alerts.exists()
    page.is_current()


def test_the_final_score_counts_the_alerts_that_are_there(page: Page) -> None:
    assert page.record(customer(0), BRUSHES_OFF) == ["dismissive"]
    page.record(OWNS, hops=range(8, 16))
    page.record(hops=range(16, 17), close=True)
    assert page.doc["final"]["alerts"] == Call.objects.get(pk=page.id).alerts.count() == 0
    page.is_current()


def test_an_alert_that_somebody_acted_on_stays_as_it_was(page: Page) -> None:
    page.record(LEAVES)
    act_on(page, "escalation-leave")
    assert page.record(LEAVES_AT_LENGTH, hops=range(8, 12)) == ["escalation-leave"]
    assert page.record(STAYS, hops=range(12, 16)) == ["escalation-leave"]
    assert page.doc["alerts"][0]["quote"] == "I want to cancel"
    assert page.doc["alerts"][0]["acknowledged_at"]
    page.record(hops=range(16, 17), close=True)
    assert page.doc["final"]["alerts"] == 1
    page.is_current()


def test_an_open_alert_quotes_the_turn_as_told_last_and_stays_the_same_alert(page: Page) -> None:
    page.record(LEAVES)
    before = Call.objects.get(pk=page.id).alerts.get()
    page.record(LEAVES_AT_LENGTH, hops=range(8, 12))
    after = Call.objects.get(pk=page.id).alerts.get()
    assert (after.pk, after.raised_at) == (before.pk, before.raised_at)
    assert (after.quote, after.t_ms) == ("cancel all of it", 5000)
    page.is_current()


def test_an_alert_withdrawn_once_can_be_raised_again(page: Page) -> None:
    page.record(LEAVES)
    page.record(STAYS, hops=range(8, 12))
    again = replace(LEAVES, start_ms=9000, end_ms=11_000)
    assert page.record(again, hops=range(12, 24)) == ["escalation-leave"]
    page.is_current()


def leaves_at(minute: int) -> Turn:
    start_ms = minute * MINUTE
    return replace(LEAVES, start_ms=start_ms, end_ms=start_ms + 2500)


def rows_of(page: Page) -> list[tuple[int, int, bool]]:
    """(episode, minute, open) of those who leave, in the order of time."""
    return [
        (a["episode"], a["t_ms"] // MINUTE, not a["acknowledged_at"])
        for a in page.doc["alerts"]
        if a["cause"] == "escalation-leave"
    ]


def test_what_comes_again_long_after_is_a_new_alert_though_the_first_was_answered(page: Page) -> None:
    page.record(LEAVES)
    act_on(page, "escalation-leave")
    page.record(leaves_at(1), hops=range(8, 120))
    assert rows_of(page) == [(1, 0, False)]
    page.record(leaves_at(16), hops=range(120, 2000))
    assert rows_of(page) == [(1, 0, False), (2, 16, True)]
    waiting = [a["cause"] for a in page.doc["alerts"] if not a["acknowledged_at"]]
    assert Call.objects.get(pk=page.id).tile["alerts_open"] == len(waiting) and "escalation-leave" in waiting
    page.is_current()
    page.record(leaves_at(17), hops=range(2000, 2100))
    page.record(leaves_at(17), hops=range(2000, 2100))
    assert rows_of(page) == [(1, 0, False), (2, 16, True)]
    page.record(hops=range(2100, 2101), close=True)
    assert page.doc["final"]["alerts"] == len(page.doc["alerts"])
    page.is_current()


def test_an_earlier_one_that_is_heard_late_does_not_raise_the_answered_one_again(page: Page) -> None:
    page.record(leaves_at(16), hops=range(8, 2000))
    act_on(page, "escalation-leave")
    page.record(LEAVES, hops=range(0, 8))
    assert rows_of(page) == [(2, 0, True), (1, 16, False)]
    page.is_current()


def test_each_episode_is_answered_by_itself(page: Page, alice: User) -> None:
    page.record(LEAVES, leaves_at(16), hops=range(2000))
    first, second = Call.objects.get(pk=page.id).alerts.filter(cause="escalation-leave").order_by("episode")
    helping.resolve(second, alice, "called back")
    first.refresh_from_db()
    assert (first.acknowledged_at, first.resolved_at) == (None, None)
    helping.acknowledge(first, alice)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.resolved_at, first.acknowledged_by) == (None, alice) and second.resolved_at


SCRIPT = [
    piece
    for minute in (0, 1, 6, 14)
    for piece in (
        leaves_at(minute),
        customer(minute * MINUTE + 6000, f"this is minute {minute} of it all and I am sick of it", 0.95),
        replace(BRUSHES_OFF, start_ms=minute * MINUTE + 9000, end_ms=minute * MINUTE + 12_000),
        customer(minute * MINUTE + 30_000, f"still minute {minute} and still the same nonsense", 0.95),
        agent(minute * MINUTE + 33_000, f"what is number {minute} of the account", explore=0.2),
        customer(minute * MINUTE + 36_000, f"thank you for minute {minute}", 0.02),
    )
]


@pytest.mark.parametrize("seed", range(5))
def test_alerts_are_the_same_in_whatever_order_and_however_often_it_is_told(
    make_call: Callable[..., Call], seed: int
) -> None:
    """An alert is raised once an episode: first as it happens, then shuffled, in batches, some of them twice."""
    told = []
    for ref, dice in (("in order", None), ("shuffled", random.Random(seed))):
        call_id = str(make_call(ref).pk)
        batches = [
            scored(call_id, *SCRIPT[n : n + 2], hops=range(n * 80, n * 80 + 160))
            for n in range(0, len(SCRIPT), 2)
        ]
        if dice:
            batches += dice.sample(batches, 6)
            dice.shuffle(batches)
        for batch in batches:
            record.record_scores([batch])
        kept = Call.objects.get(pk=call_id).alerts.order_by("t_ms", "cause", "episode")
        told.append(list(kept.values_list("cause", "episode", "t_ms", "title", "quote", "severity")))
    assert told[0] == told[1]
    assert {episode for _, episode, *_ in told[0]} == {1, 2, 3}


def test_alerts_of_a_view_stored_before_it_counted_them_are_withdrawn_too(page: Page) -> None:
    page.record(LEAVES)
    call = Call.objects.get(pk=page.id)
    del call.view["alerts"]
    call.save(update_fields=["view"])
    assert page.record(STAYS, hops=range(8, 12)) == []
    assert not call.alerts.exists()


def test_a_call_without_alerts_asks_nothing_about_them(
    page: Page, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    page.record(customer(0))
    with django_assert_max_num_queries(100) as seen:
        page.record(agent(3000), hops=range(8, 12))
    assert not [query for query in seen.captured_queries if "calls_alert" in query["sql"]]


def test_another_cue_at_the_same_moment_replaces_the_first(page: Page) -> None:
    page.record(customer(10_000))
    anxious = {"frustration": 0.05, "anxiety": 0.9, "confusion": 0.0, "sadness": 0.0, "satisfaction": 0.0}
    page.record(replace(customer(10_000), states=anxious, cues=()), hops=range(8, 30))
    call = Call.objects.get(pk=page.id)
    assert [n["rule"] for n in call.view["nudges"]] == list(call.nudges.values_list("rule", flat=True))
    assert len(call.view["nudges"]) == 1
    page.is_current()


def test_a_call_that_goes_on_after_its_end_has_no_final_score(page: Page) -> None:
    page.record(LEAVES)
    page.record(hops=range(8, 9), close=True)
    assert page.doc["final"]
    page.record(agent(5000), hops=range(9, 16))
    assert page.doc["final"] is None
    page.is_current()


def tellings(dice: random.Random) -> list[Turn]:
    """Turns at three places, each told anew in one of several ways, and so longer than before."""
    told: list[Turn] = []
    for n in range(14):
        turn = dice.choice([LEAVES, STAYS, LEAVES_AT_LENGTH, BRUSHES_OFF, OWNS, customer(0), agent(3000)])
        start_ms = turn.start_ms + dice.choice([0, 10_000, 20_000])
        told.append(replace(turn, start_ms=start_ms, end_ms=start_ms + 2500 + 100 * n))
    return told


@pytest.mark.parametrize("seed", range(6))
def test_events_equal_a_fresh_page_whatever_is_told_again(page: Page, seed: int) -> None:
    dice = random.Random(seed)
    for n, turn in enumerate(tellings(dice)):
        if dice.random() < 0.2 and page.doc["alerts"]:
            act_on(page, dice.choice(page.doc["alerts"])["cause"])
        voice = [window(turn.start_ms)] if dice.random() < 0.3 else []
        page.record(turn, *voice, hops=range(n * 4, n * 4 + 4))
        page.is_current()
        if dice.random() < 0.15:
            page.record(hops=range(0), close=True)
            page.is_current()
    page.record(hops=range(0), close=True)
    page.is_current()
    assert page.doc["coverage"] == page.fresh()["coverage"]
    final = page.fresh()["final"]
    assert final["alerts"] == len(page.doc["alerts"])
    assert final["nudges"] == len(page.doc["nudges"])
