"""Whatever somebody has of a call is a look, of its kind; its agent is told; only some end a blind score."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from calls import helping, labelling, reviewing, tokens
from calls.choices import SHOW_MACHINE, CallStatus, LookKind, Role, Scope
from calls.management.commands.seed_rubric import seed_rubric
from calls.models import Call, Look, Review, User

pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Any]


@pytest.fixture
def ended(full_call: Call) -> Call:
    full_call.status, full_call.ended_at = CallStatus.ENDED, timezone.now()
    full_call.final = {"empathy": 41.0}
    full_call.save()
    return full_call


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def kinds(user: User) -> list[str]:
    return list(Look.objects.filter(user=user).values_list("kind", flat=True))


def test_each_page_that_tells_of_a_call_is_a_look(ended: Call, alice: User, bob: User, carol: User) -> None:
    version = seed_rubric()
    review = reviewing.start(ended, carol)
    reviewing.submit(review, dict.fromkeys(reviewing.BEHAVIOURS, 1), 3, "")
    pages = {
        f"/calls/{ended.pk}/labels/": LookKind.MARKING,
        f"/calls/{ended.pk}/data/": LookKind.DATA,
        f"/calls/{ended.pk}/rescored/?version={version.pk}": LookKind.RESCORED,
        f"/reviews/{review.pk}/": LookKind.REVIEW,
        f"/calls/{ended.pk}/": LookKind.PAGE,
    }
    for address, kind in pages.items():
        for person in (alice, bob, carol):
            logged_in(person).get(address)
            logged_in(person).get(address)
        assert kinds(alice).count(kind) == 1, (address, "once, however often it is loaded")
    assert sorted(kinds(alice)) == sorted(pages.values())
    assert not kinds(bob) and not kinds(carol), "the agent's own, and somebody who got 404"
    assert set(Look.objects.filter(open=True).values_list("kind", flat=True)) == {LookKind.PAGE}


def test_choosing_a_version_is_no_look_yet(ended: Call, alice: User) -> None:
    assert logged_in(alice).get(f"/calls/{ended.pk}/rescored/").status_code == 200
    assert not Look.objects.exists()


def test_programs_and_copies_are_told_apart(ended: Call, alice: User, dana: User) -> None:
    _row, token = tokens.make(alice, "warehouse", [Scope.WORDS], 30)
    Client().get(f"/api/v1/calls/{ended.pk}/turns/", headers={"Authorization": f"Bearer {token}"})
    assert kinds(alice) == [LookKind.PROGRAM]
    assert logged_in(dana).get(f"/calls/{ended.pk}/export.zip").status_code == 200
    assert kinds(dana) == [LookKind.COPY]


def test_a_page_without_a_socket_is_another_look_after_a_while(ended: Call, alice: User) -> None:
    first = helping.look(ended, alice, LookKind.MARKING)
    Look.objects.update(last_at=timezone.now() - timedelta(minutes=9))
    assert helping.look(ended, alice, LookKind.MARKING) == first
    Look.objects.update(last_at=timezone.now() - timedelta(minutes=11))
    assert helping.look(ended, alice, LookKind.MARKING) != first


@pytest.mark.parametrize("kind", LookKind)
def test_only_what_shows_the_machines_score_ends_blindness(ended: Call, alice: User, kind: LookKind) -> None:
    helping.look(ended, alice, kind)
    shows = kind in SHOW_MACHINE
    assert labelling.has_seen_machine(ended, alice) is shows
    assert [c[0] for c in reviewing.candidates(alice)] == ([] if shows else [ended.pk])
    assert reviewing.start(ended, alice).blind is not shows


def test_playing_from_the_marking_page_is_on_its_look(ended: Call, alice: User, bob: User) -> None:
    look = helping.look(ended, alice, LookKind.MARKING)
    helping.listened(ended, alice)
    assert look is not None and Look.objects.get().pk == look.pk and Look.objects.get().listened_at
    Look.objects.update(last_at=timezone.now() - timedelta(minutes=5))
    helping.listened(ended, alice)
    helping.listened(ended, bob)
    assert kinds(alice) == [LookKind.MARKING, LookKind.PLAYED] and not kinds(bob)


def test_scoring_a_call_keeps_its_review_blind(ended: Call, alice: User) -> None:
    review = reviewing.start(ended, alice)
    client = logged_in(alice)
    client.get(review.get_absolute_url())
    client.get(f"/calls/{ended.pk}/labels/")
    client.get(f"/calls/{ended.pk}/data/")
    assert Review.objects.get().blind
    assert sorted(kinds(alice)) == [LookKind.DATA, LookKind.MARKING, LookKind.SCORING]


@pytest.mark.browser
def test_the_agent_reads_who_looked_at_what(page_for: Open, ended: Call, alice: User, bob: User) -> None:
    logged_in(alice).get(f"/calls/{ended.pk}/labels/")
    for locale, words in ("en-GB", "(to mark turns)"), ("de-DE", "(um Äußerungen zu markieren)"):
        page = page_for(bob, locale=locale)
        page.goto(f"/calls/{ended.pk}/")
        page.locator("[data-looks] li", has_text="Alice Moreau").get_by_text(words).wait_for()


@pytest.mark.browser
def test_the_agents_live_page_is_told_at_once(
    page_for: Open, full_call: Call, alice: User, bob: User
) -> None:
    page = page_for(bob)
    page.goto("/me/")
    page.locator("[data-line=live]").wait_for()
    logged_in(alice).get(f"/calls/{full_call.pk}/data/")
    page.get_by_text("(its data and consent)").wait_for()
