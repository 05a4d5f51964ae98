"""The outlook held against outcomes: what counts, what may be switched to, and what is scored by it then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from calls import outlooks, record
from calls.choices import Role
from calls.models import Call, CallOutcome, Change, OutlookRun, Source, User
from scoring.outlook import FEATURES
from tests.calls.pieces import agent, customer, scored
from tests.calls.test_trends import final, finished

pytestmark = pytest.mark.django_db


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


@pytest.fixture
def tell(source: Source, bob: User) -> Callable[..., list[Call]]:
    """So many calls whose outcome follows from their features as `signal` says, the last of them now."""

    def make(n: int, signal: float = 2.5, seed: int = 3, usual: float = 1.0, **fields: Any) -> list[Call]:
        dice, now, made = np.random.default_rng(seed), timezone.now(), []
        for k in range(n):
            features = {
                name: round(float(v), 4)
                for name, v in zip(FEATURES, dice.uniform(-1, 1, len(FEATURES)), strict=True)
            }
            told = final() | {"outlook": {"status": "steady", "score": 0.0, "features": features}}
            at = now - timedelta(minutes=n - k)
            call = finished(source, bob, at, final=told, **fields)
            x = usual + signal * (features["end"] + features["peak"] - features["leave"])
            good = dice.uniform() < 1 / (1 + np.exp(-x))
            CallOutcome.objects.create(call=call, churned=not good, changed_at=now)
            made.append(call)
        return made

    return make


@pytest.mark.parametrize(
    ("told", "good"),
    [
        ({"churned": True, "nps": 10, "csat": 5}, False),
        ({"churned": False, "nps": 0}, True),
        ({"nps": 9, "csat": 1}, True),
        ({"nps": 6}, False),
        ({"nps": 7, "csat": 5}, None),
        ({"csat": 4}, True),
        ({"csat": 2}, False),
        ({"csat": 3}, None),
        ({"resolved": True, "handle_time_ms": 1}, None),
        ({}, None),
    ],
)
def test_what_a_good_outcome_is(told: dict[str, Any], good: bool | None) -> None:
    assert outlooks.is_good(CallOutcome(**told)) is good


def test_made_up_and_unheard_calls_are_left_out(tell: Callable[..., list[Call]]) -> None:
    [kept, unheard, live] = tell(3)
    tell(2, synthetic=True)
    tell(2, practice=True)
    unheard.final = final()
    unheard.save()
    Call.objects.filter(pk=live.pk).update(status="live")
    [found] = outlooks.examples()
    assert found.ended_at == kept.ended_at and found.kind == "churned"


def test_too_few_say_how_many_are_lacking(tell: Callable[..., list[Call]], dana: User) -> None:
    tell(20)
    with pytest.raises(outlooks.Refused, match=r"40 more, and \d+ more of the rarer"):
        outlooks.fit(dana)
    assert outlooks.shipped(outlooks.examples()) is None and not OutlookRun.objects.exists()


def test_a_fit_is_switched_to_scored_by_and_taken_back(
    tell: Callable[..., list[Call]], dana: User, make_call: Callable[..., Call]
) -> None:
    tell(300)
    row = outlooks.fit(dana)
    told = row.figures["held_out"]
    assert row.calibrated and told["n"] == 300 and told["brier"] < row.figures["shipped"]["brier"]
    assert sum(b["n"] for b in told["reliability"]) == 300 and row.counts == {
        "churned": 300,
        "nps": 0,
        "csat": 0,
    }
    assert not outlook_of(make_call("CA-before"))["calibrated"], "it is fitted, not switched"
    with pytest.raises(outlooks.Refused, match="Say why"):
        outlooks.switch(row, dana, " ")
    outlooks.switch(row, dana, "good figures")
    after = outlook_of(make_call("CA-after"))
    assert after["calibrated"] and after["fit"] == str(row)
    assert after["chance"] == pytest.approx(outlooks.fit_of(row).probability(after["features"]), abs=0.001)
    row.refresh_from_db()
    with pytest.raises(outlooks.Refused, match="already"):
        outlooks.switch(row, dana, "again")
    assert outlooks.roll_back(dana, "not so good") is None
    assert not outlook_of(make_call("CA-back"))["calibrated"]
    with pytest.raises(outlooks.Refused, match="nothing to take back"):
        outlooks.roll_back(dana, "again")
    changes = Change.objects.filter(subject_type="outlookrun").order_by("pk")
    assert [change.after.get("in use") for change in changes] == [None, str(row), "shipped"]


def outlook_of(call: Call) -> dict[str, Any]:
    pk = str(call.pk)
    record.record_scores(
        [scored(pk, customer(1000), agent(4000), customer(8000), agent(12_000), hops=range(30))]
    )
    record.record_scores([scored(pk, hops=range(30, 32), close=True)])
    call.refresh_from_db()
    assert call.final is not None
    found: dict[str, Any] = call.final["outlook"]
    return found


def test_noise_is_not_switched_to(tell: Callable[..., list[Call]], dana: User) -> None:
    tell(80, signal=0.0, seed=2, usual=0.0)
    row = outlooks.fit(dana)
    assert not row.calibrated
    with pytest.raises(outlooks.Refused, match="not calibrated"):
        outlooks.switch(row, dana, "let us see")
    assert outlooks.in_use() is None


def test_a_fit_worse_than_the_one_in_use_is_refused(tell: Callable[..., list[Call]], dana: User) -> None:
    """Both held against calls that neither has seen: made after the first was."""
    tell(400)
    first = outlooks.fit(dana)
    outlooks.switch(first, dana, "the first")
    CallOutcome.objects.all().delete()
    OutlookRun.objects.update(made_at=timezone.now() - timedelta(days=1))
    tell(70, seed=8)
    second = outlooks.fit(dana)
    since = second.figures["since"]
    assert since["run"] == first.pk and since["n"] == 70
    assert since["held_out"]["brier"] > since["used"]["brier"], "few calls make a worse fit than many"
    with pytest.raises(outlooks.Refused, match=f"run {first.pk}"):
        outlooks.switch(second, dana, "newer")
    assert outlooks.in_use() == first


def test_back_to_the_one_before(tell: Callable[..., list[Call]], dana: User) -> None:
    tell(300)
    first, second = outlooks.fit(dana), outlooks.fit(dana)
    outlooks.switch(first, dana, "one")
    outlooks.switch(second, dana, "two")
    assert outlooks.roll_back(dana, "back") == first
    assert outlooks.roll_back(dana, "back") is None


# --- the page -------------------------------------------------------------------------------------


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_page_is_for_admins(alice: User, bob: User, carol: User, dana: User) -> None:
    assert Client().get("/outcomes/outlook/").status_code == 302
    for user in (alice, bob, carol):
        assert logged_in(user).get("/outcomes/outlook/").status_code == 404
        assert logged_in(user).post("/outcomes/outlook/", {"do": "fit"}).status_code == 404
    page = logged_in(dana).get("/outcomes/outlook/").content.decode()
    assert "60 are lacking, and 15 of the rarer kind" in page and "labelled uncalibrated" in page


@pytest.mark.parametrize("said", [{}, {"do": "x"}, {"do": "fit"}, {"do": "rollback", "reason": "x"}])
def test_what_cannot_be_done_is_said(dana: User, said: dict[str, str]) -> None:
    answer = logged_in(dana).post("/outcomes/outlook/", said)
    assert answer.status_code == 200 and 'role="alert"' in answer.content.decode()


@pytest.mark.parametrize("run", ["", "0", "x", "9" * 30, "\0"])
def test_a_run_that_is_not_there(dana: User, run: str) -> None:
    assert logged_in(dana).post("/outcomes/outlook/", {"do": "switch", "run": run}).status_code == 404


def test_fitting_and_switching_on_the_page(tell: Callable[..., list[Call]], dana: User, alice: User) -> None:
    tell(200)
    client = logged_in(dana)
    assert client.post("/outcomes/outlook/", {"do": "fit"}).status_code == 302
    row = OutlookRun.objects.get()
    page = client.get("/outcomes/outlook/").content.decode()
    assert f"Run {row.pk} is fitted" in page and page.count('class="square"') == 2
    assert (
        client.post("/outcomes/outlook/", {"do": "switch", "run": row.pk, "reason": "ok"}).status_code == 302
    )
    assert f"Run {row.pk} is in use" in client.get("/outcomes/outlook/").content.decode()
    assert client.post("/outcomes/outlook/", {"do": "rollback", "reason": "no"}).status_code == 302
    assert outlooks.in_use() is None
