"""Every address and every command that changes the site or takes data out of it leaves a line in the audit log.

A new address fails `test_every_address_is_classified` until it is said here what it leaves behind.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import ProgrammingError, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from calls import drafting, labelling, reviewing, tokens, trends
from calls.choices import CallStatus, Did, Role
from calls.models import (
    Alert,
    Call,
    Change,
    Policy,
    Rubric,
    RubricPlan,
    RubricVersion,
    Source,
    Team,
    Turn,
    TurnLabel,
    User,
)
from calls.urls import urlpatterns
from scoring.rubric import default_rubric

pytestmark = pytest.mark.django_db
DRAFT = drafting.as_text(default_rubric().to_dict() | {"name": "tried"})


@dataclass
class World:
    dana: User
    alice: User
    bob: User
    team: Team
    call: Call

    def as_(self, user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client


@pytest.fixture
def world(make_call: Callable[..., Call], alice: User, bob: User, billing: Team) -> World:
    dana = User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)
    call = make_call("CA-audit")
    call.status, call.ended_at, call.final = CallStatus.ENDED, timezone.now(), {"empathy": 41.0}
    call.save()
    Turn.objects.create(call=call, channel="agent", start_ms=0, end_ms=900, text="I see", confidence=0.9)
    return World(dana, alice, bob, billing, call)


Does = Callable[[World], HttpResponse]


def post(who: str, name: str, data: dict[str, Any] | None = None, *args: str) -> Does:
    """`args`: names of what the address is about."""

    def do(world: World) -> HttpResponse:
        of = {
            "team": world.team.pk,
            "call": world.call.pk,
            "bob": world.bob.pk,
            "rubric": Rubric.objects.get().pk,
        }
        given = {key: value.format(**of) if isinstance(value, str) and "\n" not in value else value
                 for key, value in (data or {}).items()}  # fmt: skip
        return world.as_(getattr(world, who)).post(reverse(name, args=[of[arg] for arg in args]), given)

    return do


def get(who: str, name: str, *args: str) -> Does:
    def do(world: World) -> HttpResponse:
        of = {"call": world.call.pk, "bob": world.bob.pk, "team": world.team.pk}
        return world.as_(getattr(world, who)).get(reverse(name, args=[of[arg] for arg in args]))

    return do


def with_draft(do: str, **more: str) -> Does:
    """Published without a trial, which needs its own reason."""

    def run(world: World) -> HttpResponse:
        house = Rubric.objects.get()
        saved = drafting.save(house, world.dana, DRAFT, 0)
        data = {
            "do": do,
            "text": DRAFT,
            "revision": str(saved.revision),
            "note": "why",
            "untried": "new",
        } | more
        return world.as_(world.dana).post(reverse("rubric_draft", args=[house.pk]), data)

    return run


def call_off(world: World) -> HttpResponse:
    at = (timezone.now() + timedelta(hours=1)).isoformat()
    with_draft("schedule", at=at)(world)
    plan = RubricPlan.objects.get()
    return world.as_(world.dana).post(
        reverse("rubric_draft", args=[plan.rubric_id]), {"do": "cancel", "plan": str(plan.pk)}
    )


def purge(world: World) -> HttpResponse:
    Call.objects.update(ended_at=timezone.now() - timedelta(days=9))
    return post("dana", "purge_now")(world)


def decide(world: World) -> HttpResponse:
    made = reviewing.appeal(world.call, None, world.bob, "she agreed")
    data = {"decision": "changed", "after": "60", "reason": "heard again"}
    return world.as_(world.alice).post(reverse("decide", args=[made.pk]), data)


def appeal_review(world: World) -> HttpResponse:
    review = reviewing.start(world.call, world.alice)
    reviewing.submit(review, dict.fromkeys(reviewing.BEHAVIOURS, 1), 3, "")
    data = {"do": "appeal", "words": "she agreed"}
    return world.as_(world.bob).post(reverse("answer_review", args=[review.pk]), data)


def close_session(world: World) -> HttpResponse:
    made = reviewing.open_session(world.alice, world.team, "May", [world.call.pk])
    return world.as_(world.alice).post(reverse("session", args=[made.pk]), {"do": "close"})


def unlocked(world: World) -> HttpResponse:
    Policy.objects.create(region="us", hr_lock=False)
    return get("alice", "agent_trends_csv", "bob")(world)


def new_policy(world: World) -> HttpResponse:
    data = {
        "region": "eu", "asked": "notice", "cues": "on", "hr_lock": "on", "audio_days": 7, "transcript_days": 30,
        "features_days": 90, "scores_days": 365, "note": "no voices",
    }  # fmt: skip
    return world.as_(world.dana).post(reverse("policy"), data)


def erase_bob(world: World) -> HttpResponse:
    User.objects.filter(pk=world.bob.pk).update(is_active=False)
    return post("dana", "erase_person", {"typed": "bob"}, "bob")(world)


def data_of_bob(world: World) -> HttpResponse:
    User.objects.filter(pk=world.bob.pk).update(is_active=False)
    return post("dana", "person_data", {"reason": "asked by letter"}, "bob")(world)


def revoke(world: World) -> HttpResponse:
    row, _ = tokens.make(world.alice, "x", ["calls"], 7)
    return world.as_(world.alice).post(reverse("revoke_token", args=[row.pk]))


LEAVES: dict[str, tuple[str, Did, Does]] = {
    "a team's rubric": ("rubrics", Did.CREATED, post("dana", "rubrics", {"team": "{team}"})),
    "a draft saved": (
        "rubric_draft", Did.CHANGED, post("dana", "rubric_draft", {"do": "save", "text": DRAFT, "revision": "0"}, "rubric"),
    ),
    "a draft published": ("rubric_draft", Did.PUBLISHED, with_draft("publish")),
    "a draft scheduled": (
        "rubric_draft", Did.SCHEDULED, with_draft("schedule", at=(timezone.now() + timedelta(hours=2)).isoformat()),
    ),
    "a draft discarded": ("rubric_draft", Did.DISCARDED, with_draft("discard")),
    "a plan called off": ("rubric_draft", Did.CANCELLED, call_off),
    "a team": ("teams", Did.CREATED, post("dana", "teams", {"do": "add", "name": "Cards"})),
    "a team renamed": ("teams", Did.CHANGED, post("dana", "teams", {"do": "rename", "team": "{team}", "name": "Bills"})),
    "a log-in link": ("person_link", Did.LINKED, post("dana", "person_link", {}, "bob")),
    "a name erased": ("erase_person", Did.ANONYMISED, erase_bob),
    "somebody's data": ("person_data", Did.EXPORTED, data_of_bob),
    "a policy": ("policy", Did.CHANGED, new_policy),
    "a purge by hand": ("purge_now", Did.PURGED, purge),
    "an erased call": ("erase_call", Did.ERASED, post("dana", "erase_call", {"reason": "asked"}, "call")),
    "an appeal": ("appeal_score", Did.CREATED, post("bob", "appeal_score", {"words": "she agreed"}, "call")),
    "an appeal of a review": ("answer_review", Did.CREATED, appeal_review),
    "a decision": ("decide", Did.DECIDED, decide),
    "a session": ("new_session", Did.CREATED, post("alice", "new_session", {"team": "{team}", "name": "May"})),
    "a session closed": ("session", Did.CLOSED, close_session),
    "a token": ("tokens", Did.CREATED, post("alice", "tokens", {"name": "x", "scopes": ["calls"], "days": "7"})),
    "a token revoked": ("revoke_token", Did.REVOKED, revoke),
    "a caller's copy": ("export_call", Did.EXPORTED, get("dana", "export_call", "call")),
    "people.csv": ("export_people", Did.EXPORTED, get("dana", "export_people")),
    "labels.csv": ("labels_csv", Did.EXPORTED, get("alice", "labels_csv")),
    "own trends": ("my_trends_csv", Did.EXPORTED, get("bob", "my_trends_csv")),
    "own data": ("my_data", Did.EXPORTED, get("bob", "my_data")),
    "an agent's trends": ("agent_trends_csv", Did.EXPORTED, unlocked),
    "a team's trends": ("team_trends_csv", Did.EXPORTED, get("alice", "team_trends_csv", "team")),
}  # fmt: skip
ELSEWHERE = {
    "new_person": "test_people", "person": "test_people", "import_people": "test_people", "invited": "test_people",
    "remove_factor": "test_second_factor", "sources": "test_sources", "new_source": "test_sources",
    "source": "test_sources", "act_source": "test_sources", "webhooks": "test_webhooks", "webhook": "test_webhooks",
    "act_webhook": "test_webhooks", "redeliver": "test_webhooks", "refits": "test_refitting",
    "forgotten": "test_logging_in", "openid_connect_login": "test_logging_in",
    "openid_connect_callback": "test_logging_in", "invite": "test_inviting", "outcomes": "test_outcomes",
    "outlook": "test_outlooks",
}  # fmt: skip
"""Audited too, and held to it there."""
OWN_ROW = {
    "acknowledge": "Alert", "resolve": "Alert", "send": "Message", "follow": "Follow", "consent": "ConsentEvent",
    "call_data": "ConsentEvent", "note": "Note", "judge": "ShownNudge", "read_message": "Message",
    "choose": "NudgeChoices: an agent's own, and nobody else's business", "next_review": "Review", "review": "Review",
    "my_reviews": "Appeal.seen_at", "mark_turns": "TurnLabel", "mark": "TurnLabel", "recordings": "Recording",
    "remove_recording": "Recording", "practice": "practice: gone within a day", "practice_ticket": "practice",
    "listen": "Look", "barge": "Look",
}  # fmt: skip
"""What people do about one call stands in a row of its own that says who and when, beside the call."""
READS = {
    "home", "floor", "wall", "calls", "call", "audio", "me", "trends", "my_trends", "agent_trends", "team_trends",
    "cues", "rubric", "rubric_diff", "rescored", "people", "audit", "recording_rows", "firewall", "reviews",
    "labels", "agreement", "alerts", "alert",
}  # fmt: skip


def test_every_address_is_classified() -> None:
    known = {name for name, _, _ in LEAVES.values()} | ELSEWHERE.keys() | OWN_ROW.keys() | READS
    assert {str(pattern.name) for pattern in urlpatterns} == known


@pytest.mark.parametrize("what", LEAVES)
def test_it_leaves_a_line(world: World, what: str) -> None:
    _, did, do = LEAVES[what]
    before = Change.objects.filter(did=did).count()
    answer = do(world)
    assert answer.status_code in (200, 302), answer.content[:300]
    row = Change.objects.filter(did=did).first()
    assert row is not None and Change.objects.filter(did=did).count() == before + 1
    assert row.actor in (str(world.dana), str(world.alice), str(world.bob))
    told = f"{row.subject} {row.before} {row.after}"
    assert str(world.call.pk) not in told and "she agreed" not in told and "heard again" not in told


def test_what_is_refused_leaves_none(world: World, carol: User) -> None:
    lines = Change.objects.exclude(did="in").count()
    for name, data in (
        ("purge_now", {}),
        ("rubrics", {"team": world.team.pk}),
        ("new_session", {"team": "1", "name": "x"}),
    ):
        assert world.as_(carol).post(reverse(name), data).status_code == 404
    assert world.as_(carol).get(reverse("export_call", args=[world.call.pk])).status_code == 404
    assert world.as_(world.alice).get(reverse("agent_trends_csv", args=[world.bob.pk])).status_code == 403, (
        "locked"
    )
    assert Change.objects.exclude(did="in").count() == lines


def test_programs_and_commands_too(world: World, tmp_path: Path, clean_redis: Any) -> None:
    trends.learn(world.call.pk)
    _, key = tokens.make(world.alice, "warehouse", ["export"], 7)
    client = Client(headers={"Authorization": f"Bearer {key}"})
    for kind in ("csv", "parquet"):
        assert client.get(f"/api/v1/export/calls.{kind}").status_code == 200
        row = Change.objects.get(subject=f"calls.{kind}")
        assert (row.actor, row.did, row.after["rows"], row.after["named"]) == (
            "Alice Moreau",
            "exported",
            1,
            False,
        )
    call_command("export", tmp_path / "calls.csv", stdout=io.StringIO())
    assert Change.objects.filter(subject="calls.csv", actor="").get().after["by"] == "command line"


# --- the plain admin --------------------------------------------------------------------------------------


@pytest.fixture
def root(world: World) -> Client:
    world.dana.is_staff = world.dana.is_superuser = True
    world.dana.save()
    return world.as_(world.dana)


def test_every_plain_admin_of_ours_is_audited() -> None:
    from calls.admin import Audited

    ours = {m: a for m, a in admin.site._registry.items() if m._meta.app_label == "calls"}
    assert ours and all(isinstance(one, Audited) for one in ours.values())


def test_the_plain_admin_deletes_none_of_these(root: Client, world: World) -> None:
    alert = Alert.objects.create(call=world.call, cause="x", t_ms=1, title="Asks", severity="help")
    version = RubricVersion.objects.get()
    for row in (world.call, version, version.rubric, world.team, alert, world.bob):
        name = row._meta.model_name
        assert root.post(f"/admin/calls/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403, name
        many = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        root.post(f"/admin/calls/{name}/", many)
        assert type(row).objects.filter(pk=row.pk).exists(), name
    assert root.post(f"/admin/calls/call/{world.call.pk}/change/", {"queue": "x"}).status_code == 403
    assert root.post(f"/admin/calls/alert/{alert.pk}/change/", {"title": "x"}).status_code == 403


def test_what_the_plain_admin_does_leaves_a_line(root: Client, world: World) -> None:
    assert root.post("/admin/calls/rubric/add/", {"name": "Spare", "team": ""}).status_code == 302
    assert Change.objects.get(subject_type="rubric").did == Did.CREATED
    source = Source.objects.create(name="Old", slug="old", team=world.team)
    assert root.post(f"/admin/calls/source/{source.pk}/delete/", {"post": "yes"}).status_code == 302
    assert Change.objects.get(subject_type="source").did == Did.REMOVED


def test_the_database_keeps_published_versions(world: World) -> None:
    other = Rubric.objects.create(name="Spare")
    unused = other.versions.create(number=1, spec=default_rubric().to_dict())
    for gone in (unused, other):
        with pytest.raises(ProgrammingError, match="stays"), transaction.atomic():
            gone.delete()
    assert RubricVersion.objects.filter(pk=unused.pk).exists()


# --- labels and the lock ----------------------------------------------------------------------------------


def test_marked_turns_leave_without_agents_words_while_the_lock_is_on(world: World) -> None:
    Turn.objects.create(
        call=world.call, channel="customer", start_ms=2000, end_ms=2900, text="third time", confidence=1
    )
    labelling.mark(world.call, world.alice, "agent", 0, ["acknowledge"])
    labelling.mark(world.call, world.alice, "customer", 2000, "frustration")

    def table() -> str:
        return world.as_(world.alice).get(reverse("labels_csv")).content.decode()

    locked = table()
    assert "I see" not in locked and str(world.call.pk) not in locked and "third time" in locked
    rows = locked.splitlines()[1:]
    names = {row.split(",")[0] for row in rows}
    assert len(rows) == TurnLabel.objects.count() == 2 and names == {labelling.pseudonym(world.call.pk)}
    Policy.objects.create(region="us", hr_lock=False)
    assert "I see" in table() and str(world.call.pk) in table()
