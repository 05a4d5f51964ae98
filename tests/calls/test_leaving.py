"""Erasing a person: the name is nowhere in the database, the numbers stay, and only what must be is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import ProgrammingError, transaction
from django.test import Client
from django.utils import timezone

from calls import auditing, helping, leaving, people, policy, reviewing, tokens, trends
from calls.choices import Did, Role
from calls.models import AgentWeek, Alert, Call, Change, Delivery, NudgeChoices, Policy, User, Webhook
from tests.calls.test_policy import everywhere, tell

pytestmark = pytest.mark.django_db
NAMES = ("quillon", "Quillon", "Featherstonehaugh", "quillon@example.com")


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


@pytest.fixture
def quillon(bob: User) -> User:
    """Bob under a name that stands nowhere else."""
    bob.username, bob.first_name, bob.last_name, bob.email = NAMES
    bob.save()
    return bob


def lived(call: Call, person: User, dana: User, alice: User) -> None:
    """Everything that leaves a name behind."""
    Call.objects.filter(pk=call.pk).update(agent=person)
    call.refresh_from_db()
    tell(call)
    call.tile = call.tile | {
        "agent": str(person),
        "initials": "QF",
        "followers": [{"id": str(person.pk), "name": str(person)}],
        "helpers": [str(alice), str(person)],
    }
    call.notes = [*call.notes, f"The source named agent {person.username!r}, who is not on this team."]
    call.final = (call.final or {}) | {"empathy": 40.0}
    call.save()
    for n, helper in enumerate((alice, person)):
        alert = Alert.objects.create(call=call, cause=f"x{n}", t_ms=n, title="x", severity="help")
        helping.acknowledge(alert, helper)
    trends.learn(call.pk)
    form = people.PersonForm(
        {**people.values(person), "team": person.team_id, "supervises": [], "last_name": "Quillon-F"},
        instance=person,
        actor=dana,
    )
    assert form.is_valid(), form.errors
    people.save(form)
    reviewing.appeal(call, None, person, "no")
    auditing.exported(dana, "data.zip", agent=str(person))
    tokens.make(person, "x", ["calls"], 7)
    EmailAddress.objects.create(user=person, email=person.email, primary=True)
    NudgeChoices.objects.create(agent=person, muted=True)
    hook = Webhook.objects.create(name="x", url="https://x.example", secret="s")
    Delivery.objects.create(
        webhook=hook, call=call, kind="call.finished", body={"data": {"agent": person.username}}
    )
    Client().login(username=person.username, password="correct horse battery")
    helping.look(call, alice)


def test_no_name_is_left_and_the_numbers_stay(
    make_call: Callable[..., Call], quillon: User, dana: User, alice: User
) -> None:
    call = make_call("CA-left")
    lived(call, quillon, dana, alice)
    quillon.refresh_from_db()
    assert {"calls_user", "calls_call", "calls_change", "calls_delivery", "account_emailaddress"} <= {
        table for name in NAMES for table in everywhere(name)
    }
    lines, weeks = (
        Change.objects.count(),
        list(AgentWeek.objects.values_list("agent", "metric", "n", "total")),
    )
    User.objects.filter(pk=quillon.pk).update(is_active=False)
    leaving.erase(dana, quillon, quillon.username)
    assert [place for name in (*NAMES, "Quillon-F") for place in everywhere(name)] == []
    quillon.refresh_from_db()
    assert str(quillon) == f"Former agent {quillon.pk}" and quillon.erased_at and not quillon.is_active
    assert not quillon.has_usable_password() and not quillon.api_tokens.filter(revoked_at=None).exists()
    assert weeks and list(AgentWeek.objects.values_list("agent", "metric", "n", "total")) == weeks
    call.refresh_from_db()
    assert call.agent == quillon and call.tile["agent"] == str(quillon)
    assert call.tile["helpers"] == [str(alice), str(quillon)]
    assert Change.objects.count() == lines + 1
    last = Change.objects.first()
    assert last is not None and (last.did, last.actor, last.subject) == (
        Did.ANONYMISED,
        "Dana Ito",
        str(quillon),
    )
    assert Change.objects.filter(actor=str(quillon), did="created").exists(), "what they did stays in the log"


def test_what_is_refused(quillon: User, dana: User) -> None:
    with pytest.raises(leaving.Refused, match="Switch the person off"):
        leaving.erase(dana, quillon, "quillon")
    User.objects.filter(pk=quillon.pk).update(is_active=False)
    with pytest.raises(leaving.Refused, match="Type the user name"):
        leaving.erase(dana, quillon, "Quillon")
    leaving.erase(dana, quillon, " quillon ")
    with pytest.raises(leaving.Refused, match="already"):
        leaving.erase(dana, quillon, f"former-{quillon.pk}")


def test_the_log_lets_nothing_else_through(quillon: User, dana: User) -> None:
    User.objects.filter(pk=quillon.pk).update(is_active=False)
    leaving.erase(dana, quillon, "quillon")
    for touch in (lambda: Change.objects.update(actor="x"), lambda: Change.objects.all().delete()):
        with pytest.raises(ProgrammingError, match="only ever added"), transaction.atomic():
            touch()


# --- the page ---------------------------------------------------------------------------------------------


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_admins_alone_erase_and_once_erased_nobody_edits(
    quillon: User, dana: User, alice: User, carol: User
) -> None:
    User.objects.filter(pk=quillon.pk).update(is_active=False)
    page = f"/people/{quillon.pk}/"
    for user in (alice, carol):
        assert as_(user).post(f"{page}erase", {"typed": "quillon"}).status_code == 404
        assert as_(user).post(f"{page}data.zip", {"reason": "x"}).status_code == 404
    assert as_(dana).get(f"{page}erase").status_code == 405
    answer = as_(dana).post(f"{page}erase", {"typed": "wrong"}, follow=True)
    assert "Type the user name" in answer.content.decode()
    quillon.refresh_from_db()
    assert quillon.username == "quillon"
    answer = as_(dana).post(f"{page}erase", {"typed": "quillon"}, follow=True).content.decode()
    assert "was erased on" in answer and 'name="first_name"' not in answer and "Erase the name" not in answer
    assert as_(dana).post(page, {"username": "back"}).status_code == 404


def test_data_is_made_for_who_cannot_take_it(
    make_call: Callable[..., Call], quillon: User, dana: User, settings: Any
) -> None:
    address = f"/people/{quillon.pk}/data.zip"
    refused = as_(dana).post(address, {"reason": "asked"}, follow=True).content.decode()
    assert policy.current().hr_lock and "can log in and take it" in refused
    User.objects.filter(pk=quillon.pk).update(is_active=False)
    assert "Say who asked" in as_(dana).post(address, {"reason": " "}, follow=True).content.decode()
    made = as_(dana).post(address, {"reason": "a letter of May"})
    assert made.status_code == 200 and made["content-type"] == "application/zip"
    row = Change.objects.get(did=Did.EXPORTED)
    assert row.subject == "data.zip" and row.after == {"agent": str(quillon), "reason": "a letter of May"}
    Policy.objects.create(region="us", hr_lock=False)
    User.objects.filter(pk=quillon.pk).update(is_active=True, last_login=timezone.now() - timedelta(days=1))
    assert as_(dana).post(address, {"reason": "asked"}).status_code == 200
