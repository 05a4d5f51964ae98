"""Every address of the product as Carol, who supervises elsewhere: a new one needs a decision here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver
from django.utils import timezone

from calls import recordings
from calls.choices import Role
from calls.models import (
    Alert,
    ApiToken,
    CalibrationSession,
    Call,
    Message,
    Review,
    Rubric,
    RubricVersion,
    Source,
    User,
    Webhook,
)
from calls.models.reviews import Appeal
from tests.api.conftest import finish

HIDDEN = """
calls/<uuid:call_id>/  calls/<uuid:call_id>/audio  calls/<uuid:call_id>/alerts/<str:cause>/acknowledge
calls/<uuid:call_id>/alerts/<str:cause>/resolve  calls/<uuid:call_id>/messages  calls/<uuid:call_id>/follow
calls/<uuid:call_id>/consent  calls/<uuid:call_id>/data/  calls/<uuid:call_id>/export.zip
calls/<uuid:call_id>/erase  calls/<uuid:call_id>/notes  calls/<uuid:call_id>/rescored/
calls/<uuid:call_id>/listen  calls/<uuid:call_id>/barge  alerts/<int:pk>/
calls/<uuid:call_id>/ticket  calls/<uuid:call_id>/labels/  calls/<uuid:call_id>/labels/mark
me/cues/<int:pk>/verdict  me/messages/<int:pk>/read  me/reviews/<uuid:call_id>/appeal
agents/<int:pk>/trends/  agents/<int:pk>/trends.csv  teams/<int:pk>/trends/  teams/<int:pk>/trends.csv
rubrics/<int:pk>/  rubrics/<int:pk>/diff/<int:old>/<int:new>/  rubrics/<int:pk>/draft/
recordings/<uuid:pk>/remove  tokens/<int:pk>/revoke
reviews/sessions/<int:pk>/  reviews/appeals/<int:pk>/  reviews/<int:pk>/  reviews/<int:pk>/answer
"""
"""Something of Billing: 404, as if it were not there."""
ADMINS = """
people/  people/new/  people/<int:pk>/  people/<int:pk>/second-factor  people/<int:pk>/link  people/import/
people/invite/  people/<int:pk>/erase  people/<int:pk>/data.zip  people.csv  teams/  outcomes/  outcomes/outlook/  audit/  sources/  sources/new/  sources/<int:pk>/
sources/<int:pk>/do  webhooks/  webhooks/<int:pk>/  webhooks/<int:pk>/do
webhooks/<int:pk>/deliveries/<int:delivery>/again  policy/purge  reviews/refits/
"""
"""404 for whoever is no admin."""
AGENTS = "me/  me/choices  me/trends/  me/data.zip  me/trends.csv  me/reviews/"
"""404, or led away: she is no agent."""
OWN = """
floor/  floor/wall/  alerts/  calls/  trends/  cues/  rubrics/  practice/  recordings/  recordings/rows  tokens/  policy/
policy/firewall/  reviews/  reviews/next  reviews/labels/  reviews/labels.csv  reviews/agreement/
reviews/sessions/new
"""
"""Her own, in which nothing of Billing's stands."""
ANYBODY = """
health/live  health/ready  language/  language/words.js  forgotten/  account/sso/login/  account/sso/callback/
invited/<str:uid>/<str:token>/
"""
"""Known before anybody has logged in; nothing of anybody's stands there."""
LOCKED = "metrics"
"""For a scraper with its token."""
ELSEWHERE = ("admin/", "account/", "^account/", "api/v1/")
"""Django's and allauth's pages; the API has a Carol test over its document (tests/api/test_carol.py)."""
DECIDED = {
    route: name
    for name, routes in {
        "hidden": HIDDEN, "admins": ADMINS, "agents": AGENTS, "own": OWN, "anybody": ANYBODY, "locked": LOCKED,
    }.items()
    for route in routes.split()
} | {"": "own"}  # fmt: skip
SECRETS = ("Okafor", "CA-done", "Billing", "third time", "billing-line", "billing.wav", "Ito")


def routes(patterns: Any = None, before: str = "") -> Iterator[str]:
    for found in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(found.pattern)
        if isinstance(found, URLResolver):
            yield from routes(found.url_patterns, route)
        else:
            yield route


def paths() -> list[str]:
    return [route for route in routes() if route in DECIDED or not route.startswith(ELSEWHERE)]


def test_every_path_has_a_decision() -> None:
    found = set(paths())
    assert found - DECIDED.keys() == set(), "decide in this file what Carol gets there"
    assert DECIDED.keys() - found == set(), "these are no longer there"
    assert len(found) > 80


@pytest.fixture
def theirs(
    transactional_db: None,
    make_call: Callable[..., Call],
    alice: User,
    bob: User,
    carol: User,
    source: Source,
) -> dict[str, Any]:
    """By parameter of a route, something of Billing's, or a number where it names an admin's row."""
    dana = User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)
    call = finish(make_call("CA-done"))
    rubric = Rubric.objects.create(name="Billing", team=bob.team)
    for number in (1, 2):
        RubricVersion.objects.create(rubric=rubric, number=number, spec=RubricVersion.objects.all()[0].spec)
    wanted = recordings.Wanted(call.team, "caller-left", ["billing.wav"], [5], timezone.now())
    version = call.rubric_version
    review = Review.objects.create(call=call, reviewer=alice, rubric_version=version)
    session = CalibrationSession.objects.create(name="Billing, May", team=bob.team)
    session.calls.add(call)
    session.reviewers.add(alice)
    hook = Webhook.objects.create(url="https://example.com/Billing", events=[], name="Billing", made_by=dana)
    token = ApiToken.objects.create(
        owner=alice,
        name="Billing",
        digest="x" * 64,
        start="ed_x",
        scopes=["calls"],
        expires_at=timezone.now(),
    )
    message = Message.objects.create(call=call, sender=alice, text="third time")
    return {
        "call_id": call.pk, "cause": Alert.objects.filter(call=call)[0].cause, "old": 1, "new": 2,
        "delivery": 1, "uid": "x", "token": "y",
        "agents": bob.pk, "people": bob.pk, "teams": call.team_id, "rubrics": rubric.pk,
        "recordings": recordings.begin(alice, wanted)[0].pk, "sources": source.pk, "tokens": token.pk,
        "webhooks": hook.pk, "reviews": review.pk, "sessions": session.pk, "messages": message.pk,
        "appeals": Appeal.objects.create(call=call, agent=bob, reason="third time").pk,
        "alerts": Alert.objects.filter(call=call)[0].pk,
        "cues": call.shown_nudges.values_list("pk", flat=True).first() or 1,
    }  # fmt: skip


def filled(route: str, theirs: dict[str, Any]) -> str:
    """`pk` is of what stands before it: /reviews/appeals/<int:pk>/ is an appeal."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name == "pk":
            name = route[: match.start()].rstrip("/").rpartition("/")[2]
        return str(theirs[name])

    return "/" + re.sub(r"<\w+:(\w+)>", value, route)


@pytest.mark.usefixtures("clean_redis")
def test_what_carol_gets(theirs: dict[str, Any], carol: User) -> None:
    wrong = []
    for route in paths():
        decision, path = DECIDED[route], filled(route, theirs)
        for method in ("get", "post", "json"):
            client = Client()
            client.force_login(carol)
            answer = asked(client, method, path)
            told = (
                b"".join(answer).decode(errors="replace")
                if answer.streaming
                else answer.content.decode(errors="replace")
            )
            said = [secret for secret in SECRETS if secret in told]
            if not fine(decision, method, answer) or said:
                wrong.append((decision, method, path, answer.status_code, answer.get("Location", ""), said))
            if decision in ("hidden", "admins", "agents", "own"):
                stranger = asked(Client(), method, path)
                if stranger.status_code not in (302, 401, 403, 404, 405) or any(
                    s in stranger.content.decode() for s in SECRETS
                ):
                    wrong.append(("nobody", method, path, stranger.status_code, "", []))
    assert not wrong, "\n".join(map(str, wrong))


def asked(client: Client, method: str, path: str) -> Any:
    if method == "json":
        return client.post(path, BODY, "application/json")
    return getattr(client, method)(path)


BODY = {
    "text": "x", "t_ms": 1, "resolution": "x", "verdict": "helpful", "said": "no", "follow": True, "muted": False,
    "every_s": 60, "per_call": 3, "kinds_off": [], "channel": "customer", "start_ms": 0,
}  # fmt: skip
"""Whatever the pages' scripts send, so that none is refused for its shape before it is asked whose it is."""


def fine(decision: str, method: str, answer: Any) -> bool:
    status = answer.status_code
    if method == "post" and status == 400:
        return True  # a script's address, which takes JSON: that is asked next
    if decision in ("hidden", "admins"):
        return status in (404, 405)
    if decision == "agents":
        return status in (404, 405) or (status == 302 and answer["Location"] in ("/", "/floor/", "/trends/"))
    if decision == "own":
        return status in ((200, 302, 405) if method == "get" else (200, 302, 400, 404, 405))
    return status in (200, 204, 302, 401, 403, 404, 405)


def test_a_number_too_many(carol: User, theirs: dict[str, Any]) -> None:
    """What is not there at all answers as what is hidden does."""
    client = Client()
    client.force_login(carol)
    nowhere = {name: UUID(int=5) if isinstance(value, UUID) else 2**62 for name, value in theirs.items()}
    for route in paths():
        if DECIDED[route] == "hidden":
            assert (
                client.get(filled(route, nowhere)).status_code
                == client.get(filled(route, theirs)).status_code
            ), route
