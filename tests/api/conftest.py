"""Tokens of Alice, Bob, Carol and Dana, and a client that shows one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from calls import record, tokens, trends
from calls.choices import Outcome, Role, Scope
from calls.models import Alert, Call, Policy, User
from scoring.types import CallHeard, Channel, Cue, Speech, Turn, VoiceState

As = Callable[..., Client]


@pytest.fixture(autouse=True)
def _nothing_counted(clean_redis: Any) -> Iterator[None]:
    yield
    caches["shared"].clear()


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


@pytest.fixture
def as_token() -> As:
    """A client of a program that has a token of this person."""

    def make(user: User, *scopes: str) -> Client:
        wanted = scopes or [scope.value for scope in tokens.scopes_for(user)]
        _, token = tokens.make(user, f"{user}, tests", list(wanted), 7)
        return Client(headers={"Authorization": f"Bearer {token}"})

    return make


@pytest.fixture
def finished(make_call: Callable[..., Call], alice: User, bob: User) -> Call:
    """A call of Bob's that is over: frustrated, with an alert."""
    return finish(make_call("CA-done"))


@pytest.fixture
def unlocked(db: None) -> Policy:
    """The policy lets agents be named."""
    return Policy.objects.create(region="us", hr_lock=False)


def finish(call: Call) -> Call:
    turns = tuple(
        Turn(
            channel=channel, start_ms=at, end_ms=at + 3000, confidence=0.9, text="this is the third time I call",
            states={"frustration": 0.95} if channel is Channel.CUSTOMER else {},
            behaviours={} if channel is Channel.CUSTOMER else {"courtesy": 0.5},
            cues=(Cue("frustration", 0.8, 0.8, "third time", "phrases"),) if channel is Channel.CUSTOMER else (),
        )
        for at, channel in ((0, Channel.CUSTOMER), (4000, Channel.AGENT), (8000, Channel.CUSTOMER), (30_000, Channel.AGENT))
    )  # fmt: skip
    voice = (
        VoiceState(start_ms=0, end_ms=3000, probs={"anger": 0.9}, confidence=0.8, speech_ms=2500, model="m"),
    )
    heard = CallHeard(str(call.pk), (), turns, voice, (Speech(Channel.CUSTOMER, 0, 3000),), {})
    record.record_scores(
        [
            record.Scored(
                str(call.pk), heard, {(c, 0): Outcome.SCORED for c in Channel}, {Channel.CUSTOMER: 100}
            )
        ],
        "engine 1",
    )
    record.record_scores([record.Scored(str(call.pk), None, {}, {}, close=True)], "engine 1")
    Alert.objects.get_or_create(
        call=call,
        cause="escalation-person",
        defaults={"t_ms": 1, "title": "Asks", "severity": "help", "quote": "a boss"},
    )
    trends.learn(call.pk)
    call.refresh_from_db()
    return call


ALL = [scope.value for scope in Scope]
