"""Alice and Bob see; Carol sees nothing, not even that it exists."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import Http404

from calls import access, live
from calls.choices import Role
from calls.models import Call, Source, User

pytestmark = pytest.mark.django_db
MakeCall = Callable[..., Call]


def test_who_sees_a_call(make_call: MakeCall, alice: User, bob: User, carol: User) -> None:
    call = make_call()
    assert access.get_call_or_404(alice, call.pk) == call
    assert access.get_call_or_404(bob, call.pk) == call
    for outsider in (carol, AnonymousUser()):
        with pytest.raises(Http404):
            access.get_call_or_404(outsider, call.pk)
    with pytest.raises(Http404):
        access.get_call_or_404(alice, uuid4())


def test_agents_of_the_team_see_only_their_own(make_call: MakeCall, bob: User, billing: object) -> None:
    mate = User.objects.create_user("mate", role=Role.AGENT, team=bob.team)
    make_call()
    assert not access.visible_calls(mate).exists()


def test_floor_is_for_supervisors_and_admins(
    alice: User, bob: User, carol: User, make_call: MakeCall
) -> None:
    make_call()
    admin = User.objects.create_user("root", role=Role.ADMIN)
    assert [access.may_see_floor(user) for user in (alice, carol, admin)] == [True] * 3
    assert not access.may_see_floor(bob) and not access.may_see_floor(AnonymousUser())
    assert len(live.floor_snapshot(alice)["calls"]) == 1
    assert len(live.floor_snapshot(admin)["calls"]) == 1
    assert live.floor_snapshot(carol)["calls"] == {}
    assert live.floor_snapshot(bob)["calls"] == {}


def test_someone_who_left_sees_nothing(make_call: MakeCall, alice: User) -> None:
    make_call()
    alice.is_active = False
    assert not access.visible_calls(alice).exists() and access.floor_groups(alice) == []


def test_media_source_has_both_secrets_during_rotation(source: Source) -> None:
    source.previous_secret = "old"
    source.save()
    found = access.media_source(source.slug)
    assert found and found.secrets == (source.secret, "old")
    assert found.public_url.endswith(f"/media/twilio/{source.slug}/")
    assert access.media_source("nowhere") is None
