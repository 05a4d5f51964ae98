"""/api/v1/: what each may read by token, pages of it, filters, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from calls import reviewing, tokens
from calls.choices import Scope
from calls.models import Alert, ApiToken, Call, Change, Look, Policy, RubricVersion, User
from tests.api.conftest import As

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"


def test_a_supervisor_reads_calls_timeline_words_and_alerts(
    as_token: As, alice: User, finished: Call
) -> None:
    client = as_token(alice)
    page = client.get("/api/v1/calls/").json()
    assert page["next"] is None and [row["id"] for row in page["results"]] == [str(finished.pk)]
    row = page["results"][0]
    assert row["final"]["opportunities"] >= 1 and row["final"]["rubric"].endswith("v1")
    assert (row["agent"], row["agent_withheld"]) == (None, True), "the policy locks agents' figures"
    assert client.get(f"/api/v1/calls/{finished.pk}/").json() == row
    timeline = client.get(f"/api/v1/calls/{finished.pk}/timeline").json()
    assert (
        timeline["moments"]
        and timeline["opportunities"]
        and set(timeline["coverage"]) == {"customer", "agent"}
    )
    turns = client.get(f"/api/v1/calls/{finished.pk}/turns/?limit=3").json()
    assert len(turns["results"]) == 3 and turns["next"]
    rest = client.get(turns["next"]).json()
    assert [t["start_ms"] for t in turns["results"] + rest["results"]] == [0, 4000, 8000, 30_000]
    assert not any(t["states"] for t in turns["results"] if t["channel"] == "agent")
    assert client.get("/api/v1/alerts/?open=true").json()["results"][0]["call"] == str(finished.pk)
    assert Look.objects.filter(call=finished, user=alice).count() == 1, "its agent sees who looked"


def test_an_agent_reads_own_calls_and_is_named(as_token: As, bob: User, finished: Call) -> None:
    client = as_token(bob)
    assert client.get("/api/v1/calls/").json()["results"][0]["agent"] == bob.pk
    assert client.get(f"/api/v1/agents/{bob.pk}/trends").json()["metrics"]["handle_ms"][0]["n"] == 1
    assert client.get("/api/v1/teams/").json()["results"] == []
    assert not Look.objects.exists()


def test_the_lock_holds_until_the_policy_lifts_it(
    as_token: As, alice: User, bob: User, finished: Call
) -> None:
    client = as_token(alice)
    for path in (f"/api/v1/agents/{bob.pk}/trends", f"/api/v1/calls/?agent={bob.pk}"):
        answer = client.get(path)
        assert answer.status_code == 403 and "locks" in answer.json()["detail"], path
    assert "bob" not in client.get("/api/v1/export/calls.csv").content.decode()
    Policy.objects.create(region="us", hr_lock=False)
    assert client.get(f"/api/v1/agents/{bob.pk}/trends").status_code == 200
    assert client.get(f"/api/v1/calls/?agent={bob.pk}").json()["results"][0]["agent"] == bob.pk
    assert "bob" in client.get("/api/v1/export/calls.csv").content.decode()


def test_each_scope_opens_its_own_door_only(as_token: As, alice: User, bob: User, finished: Call) -> None:
    alert, version = Alert.objects.first(), RubricVersion.objects.get()
    assert alert is not None
    doors = {
        Scope.CALLS: ["calls/", f"calls/{finished.pk}/"],
        Scope.TIMELINES: [f"calls/{finished.pk}/timeline"],
        Scope.WORDS: [f"calls/{finished.pk}/turns/"],
        Scope.ALERTS: ["alerts/"],
        Scope.TRENDS: ["agents/", "teams/", f"teams/{finished.team_id}/trends"],
        Scope.RUBRICS: [
            "rubrics/",
            f"rubrics/{version.rubric_id}/versions/",
            f"rubrics/{version.rubric_id}/versions/1/",
        ],
        Scope.EXPORT: ["export/calls.csv", "export/calls.parquet"],
    }
    for scope in doors:
        client = as_token(alice, scope.value)
        for other, paths in doors.items():
            for path in paths:
                answer = client.get(f"/api/v1/{path}")
                assert answer.status_code == (200 if other is scope else 403), (
                    scope,
                    path,
                    answer.content[:200],
                )
                if other is not scope:
                    assert repr(other.value) in answer.json()["detail"]
        assert client.get("/api/v1/who").json()["scopes"] == [scope.value]
        assert client.post(f"/api/v1/alerts/{alert.pk}/acknowledge").status_code == 403
    assert as_token(alice, "alerts").get("/api/v1/alerts/").json()["results"][0]["quote"] == ""
    assert (
        as_token(alice, "alerts", "words")
        .get("/api/v1/alerts/?cause=escalation-person")
        .json()["results"][0]["quote"]
    )


def test_an_alert_is_taken_and_resolved(as_token: As, alice: User, bob: User, finished: Call) -> None:
    alert = Alert.objects.get(call=finished, cause="escalation-person")
    client = as_token(alice)
    taken = client.post(f"/api/v1/alerts/{alert.pk}/acknowledge").json()
    assert taken["acknowledged_by"] == "Alice Moreau" and not taken["resolved_at"]
    done = client.post(
        f"/api/v1/alerts/{alert.pk}/resolve", {"resolution": "called back"}, "application/json"
    ).json()
    assert done["resolution"] == "called back" and done["resolved_by"] == "Alice Moreau"
    assert client.get("/api/v1/alerts/?open=false").json()["results"]
    bad = client.post(f"/api/v1/alerts/{alert.pk}/resolve", {"resolution": "x" * 201}, "application/json")
    assert bad.status_code == 400 and "resolution" in bad.json()["errors"]
    assert client.post(f"/api/v1/alerts/{alert.pk}/resolve", "{", "application/json").status_code == 400
    late = client.post(f"/api/v1/alerts/{alert.pk}/resolve", {"resolution": "by letter"}, "application/json")
    assert late.status_code == 409 and "Alice Moreau has resolved it already" in late.json()["detail"]
    assert as_token(bob).post(f"/api/v1/alerts/{alert.pk}/resolve").status_code == 403


def test_pages_neither_skip_nor_repeat_while_calls_come_in(
    as_token: As, alice: User, make_call: Callable[..., Call]
) -> None:
    now = timezone.now()
    made = [make_call(f"CA{n}", started_at=now - timedelta(minutes=n // 2)) for n in range(9)]
    client, seen, path = as_token(alice), [], "/api/v1/calls/?limit=2"
    while path:
        page = client.get(path).json()
        seen += [row["id"] for row in page["results"]]
        path = page["next"]
        make_call(f"CB{len(seen)}", started_at=now + timedelta(minutes=len(seen)))
    assert sorted(seen) == sorted(str(call.pk) for call in made)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("status=gone", "status"), ("limit=0", "1 to 200"), ("limit=x", "1 to 200"), ("limit=999999999999", "1 to 200"),
        ("started_after=0090-12-21T21:08:37-21:11", "1970"), ("ended_after=9999-12-31T23:59:59-10:00", "1970"),
        ("statsu=live", "no such parameter"), ("started_after=yesterday", "started_after"), ("team=x", "team"),
        ("status=live&status=ended", "once"), ("source=%00", "source"), ("team=99999999999999999999", "team"),
        ("synthetic=maybe", None), ("agent=0", "agent"),
    ],
)  # fmt: skip
def test_a_question_nobody_understands(as_token: As, alice: User, query: str, words: str | None) -> None:
    answer = as_token(alice).get(f"/api/v1/calls/?{query}")
    if words is None:
        assert answer.status_code in (200, 400)
        return
    assert answer.status_code == 400 and answer["content-type"] == PROBLEM
    assert words in answer.content.decode() and answer.json()["detail"]


def test_a_cursor_that_is_none_and_a_weeks_that_is_none(as_token: As, alice: User, finished: Call) -> None:
    client = as_token(alice)
    assert client.get("/api/v1/calls/?cursor=%ff%00").status_code == 404
    for weeks in ("0", "53", "x", "1.5", ""):
        answer = client.get(f"/api/v1/teams/{finished.team_id}/trends?weeks={weeks}")
        assert answer.status_code == 400 and "weeks" in answer.json()["errors"], weeks
    for first in ("2026-13-01", "today", "1960-01-01", "9999-12-31"):
        assert client.get(f"/api/v1/export/calls.csv?first={first}").status_code == 400, first
    assert client.get("/api/v1/export/calls.csv?first=2026-01-02&last=2026-01-01").status_code == 400
    assert client.get("/api/v1/export/calls.csv?first=2024-01-01&last=2026-01-01").status_code == 400


# --- tokens --------------------------------------------------------------------------------------------


def test_tokens_that_are_not_good(as_token: As, alice: User) -> None:
    good, token = tokens.make(alice, "wallboard", ["calls"], 7)
    asked = Client(headers={"Authorization": f"Bearer {token}"})
    assert asked.get("/api/v1/calls/").status_code == 200
    for header in (
        "",
        "Bearer",
        "Bearer ed_nope",
        f"Bearer {token}x",
        f"Basic {token}",
        "Bearer " + "e" * 5000,
    ):
        answer = Client(headers={"Authorization": header}).get("/api/v1/calls/")
        assert answer.status_code == 401 and answer["www-authenticate"].startswith("Bearer"), header
    ApiToken.objects.filter(pk=good.pk).update(expires_at=timezone.now())
    assert asked.get("/api/v1/calls/").status_code == 401
    ApiToken.objects.filter(pk=good.pk).update(expires_at=timezone.now() + timedelta(days=1))
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert asked.get("/api/v1/calls/").status_code == 401
    User.objects.filter(pk=alice.pk).update(is_active=True)
    tokens.revoke(good, alice)
    assert asked.get("/api/v1/calls/").status_code == 401
    assert token not in str(list(ApiToken.objects.values())) + str(list(Change.objects.values()))
    assert list(Change.objects.order_by("pk").values_list("did", flat=True)) == ["created", "revoked"]


def test_a_token_follows_its_owner(as_token: As, alice: User, finished: Call) -> None:
    client = as_token(alice)
    assert client.get(f"/api/v1/calls/{finished.pk}/").status_code == 200
    alice.supervises.clear()
    assert client.get(f"/api/v1/calls/{finished.pk}/").status_code == 404
    assert client.get("/api/v1/calls/").json()["results"] == []


def test_what_tokens_are_not_made(alice: User, bob: User) -> None:
    for user, name, scopes, days in (
        (alice, " ", ["calls"], 7), (alice, "x" * 81, ["calls"], 7), (alice, "x", [], 7), (alice, "x", ["all"], 7),
        (alice, "x", ["calls"], 8), (bob, "x", ["alerts:act"], 7), (alice, "x", ["calls", "calls"], 7),
    ):  # fmt: skip
        if scopes == ["calls", "calls"]:
            assert tokens.make(user, name, scopes, days)[0].scopes == ["calls"]
            continue
        with pytest.raises(tokens.Refused):
            tokens.make(user, name, scopes, days)
    for n in range(tokens.MOST_EACH - 1):
        tokens.make(alice, f"x{n}", ["calls"], 7)
    with pytest.raises(tokens.Refused, match="revoke"):
        tokens.make(alice, "one more", ["calls"], 7)


def test_too_many_requests(as_token: As, alice: User, bob: User, settings: Any) -> None:
    settings.API_RATE = "5/min"
    client, other = as_token(alice), as_token(bob)
    answers = [client.get("/api/v1/who") for _ in range(7)]
    assert [a.status_code for a in answers] == [200] * 5 + [429] * 2
    assert int(answers[-1]["Retry-After"]) > 0 and answers[-1]["content-type"] == PROBLEM
    assert other.get("/api/v1/who").status_code == 200


def test_without_redis_the_api_still_answers(as_token: As, alice: User, settings: Any) -> None:
    client = as_token(alice)
    settings.CACHES = settings.CACHES | {
        "shared": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    assert client.get("/api/v1/who").status_code == 200


def test_a_browser_reads_but_changes_nothing_without_its_token(alice: User, finished: Call) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.get("/api/v1/calls/").status_code == 200
    alert = Alert.objects.filter(call=finished).first()
    assert alert is not None
    assert client.post(f"/api/v1/alerts/{alert.pk}/acknowledge").status_code == 403


def test_a_blind_review_is_not_told_the_score_in_passing(as_token: As, alice: User, finished: Call) -> None:
    review = reviewing.start(finished, alice)
    client = as_token(alice)
    assert client.get("/api/v1/calls/").json()["results"][0]["final"] is None
    review.refresh_from_db()
    assert review.blind
    assert client.get(f"/api/v1/calls/{finished.pk}/timeline").status_code == 200
    review.refresh_from_db()
    assert not review.blind
