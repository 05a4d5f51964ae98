"""Alice supervises Billing, Bob is her agent, Carol supervises elsewhere and must see nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from calls.choices import Role
from calls.management.commands.seed_rubric import seed_rubric
from calls.models import Call, RubricVersion, Source, Team, User

PASSWORD = "correct horse battery"


@pytest.fixture
def rubric(db: None) -> RubricVersion:
    return seed_rubric()


@pytest.fixture
def billing(rubric: RubricVersion) -> Team:
    return Team.objects.create(name="Billing")


@pytest.fixture
def travel(rubric: RubricVersion) -> Team:
    return Team.objects.create(name="Travel")


def _person(username: str, name: str, role: Role, team: Team | None = None) -> User:
    first, _, last = name.partition(" ")
    return User.objects.create_user(
        username, password=PASSWORD, first_name=first, last_name=last, role=role, team=team
    )


@pytest.fixture
def alice(billing: Team) -> User:
    user = _person("alice", "Alice Moreau", Role.SUPERVISOR)
    user.supervises.add(billing)
    return user


@pytest.fixture
def bob(billing: Team) -> User:
    return _person("bob", "Bob Okafor", Role.AGENT, billing)


@pytest.fixture
def carol(travel: Team) -> User:
    user = _person("carol", "Carol Jensen", Role.SUPERVISOR)
    user.supervises.add(travel)
    return user


@pytest.fixture
def source(billing: Team) -> Source:
    return Source.objects.create(name="Billing line", slug="billing-line", team=billing)


@pytest.fixture
def clean_redis() -> Iterator[redis.Redis]:
    """The test Valkey, emptied before and after."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@pytest.fixture
def make_call(source: Source, bob: User) -> Callable[..., Call]:
    """Opens a call as a media session would; keyword arguments become stream parameters."""

    def make(ref: str = "CA1", started_at: datetime | None = None, **parameters: Any) -> Call:
        from calls import record

        opened = record.open_call(
            record.OpenCall(
                source_id=source.pk,
                protocol="twilio",
                external_ref=ref,
                stream_ref=f"MZ{ref}",
                started_at=started_at or timezone.now(),
                parameters={"agent": "bob", "queue": "Fees"} | parameters,
            )
        )
        return Call.objects.get(pk=opened.call_id)

    return make
