"""Who may see what, for pages, sockets and API alike. An outsider gets 404: not even that it exists."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeGuard
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.http import Http404

from calls.choices import Role
from calls.models import Alert, Call, CallQuerySet, Rubric, RubricVersion, Source, Team, User
from calls.models.rubrics import rubric_version_for

Viewer = User | AnonymousUser


def visible_teams(user: Viewer) -> list[Team]:
    """Teams whose floor the viewer may watch."""
    if not isinstance(user, User) or not user.is_active:
        return []
    if user.is_admin:
        return list(Team.objects.all())
    return list(user.supervises.all()) if user.is_supervisor else []


def visible_calls(user: Viewer) -> CallQuerySet:
    """Supervisors: their teams' calls. Agents: their own. Admins: all. Practice is its owner's alone."""
    if not isinstance(user, User) or not user.is_active:
        return Call.objects.none()
    theirs = Q(practice=False) | Q(agent=user)
    if user.is_admin:
        return Call.objects.filter(theirs)
    if user.is_supervisor:
        return Call.objects.filter(theirs, Q(team__in=user.supervises.all()))
    return Call.objects.filter(agent=user)


def get_call_or_404(user: Viewer, call_id: UUID | str) -> Call:
    call = visible_calls(user).select_related("agent", "team", "source", "rubric_version__rubric")
    found = call.filter(pk=call_id).first()
    if found is None:
        raise Http404("No such call.")
    return found


def may_see_floor(user: Viewer) -> bool:
    return isinstance(user, User) and user.is_active and (user.is_supervisor or user.is_admin)


def is_agent(user: Viewer) -> TypeGuard[User]:
    return isinstance(user, User) and user.is_active and user.is_agent


def floor_teams(user: Viewer, team: str = "") -> list[Team]:
    """The watched teams; of them the one whose number `team` is, or none."""
    return [watched for watched in visible_teams(user) if team in ("", str(watched.pk))]


def floor_groups(user: Viewer, team: str = "") -> list[str]:
    return [f"team.{watched.pk}" for watched in floor_teams(user, team)]


def visible_agents(user: Viewer) -> QuerySet[User]:
    """Agents whose trends the viewer may read: those of watched teams, or oneself."""
    agents = User.objects.filter(role=Role.AGENT)
    if is_agent(user):
        return agents.filter(pk=user.pk)
    return agents.filter(team__in=visible_teams(user))


def visible_alerts(user: Viewer) -> QuerySet[Alert]:
    return Alert.objects.filter(call__in=visible_calls(user))


def readable_rubrics(user: Viewer) -> dict[int, Rubric]:
    """Admins: all. Others: those that score the teams they watch, or their own team."""
    if not isinstance(user, User) or not user.is_active:
        return {}
    if user.is_admin:
        return {rubric.pk: rubric for rubric in Rubric.objects.select_related("team")}
    teams = visible_teams(user) or ([user.team] if user.is_agent and user.team else [])
    return {version.rubric_id: version.rubric for version in in_force(teams)}


def in_force(teams: Iterable[Team]) -> list[RubricVersion]:
    """The rubrics that score these teams now, each once; none before the first was ever published."""
    found: dict[int, RubricVersion] = {}
    for team in teams:
        with suppress(LookupError):
            version = rubric_version_for(team.pk)
            found[version.pk] = version
    return list(found.values())


@dataclass(frozen=True)
class MediaSource:
    """What the media door needs to know of a Source; no model instance crosses over."""

    id: int
    slug: str
    team_id: int
    protocol: str
    enabled: bool
    secrets: tuple[str, ...] = field(repr=False)
    public_url: str
    one_time_tokens_required: bool
    roles: dict[str, str]
    synthetic: bool
    networks: tuple[str, ...] = ()
    """CIDRs its connections may come from; none: from anywhere."""
    given_words: bool = False
    """The platform tells what is said."""


def media_source(slug: str) -> MediaSource | None:
    """The source of that slug, or None. One query; call it off the event loop."""
    source = Source.objects.filter(slug=slug).first()
    return None if source is None else _as_media(source)


def media_sources() -> dict[str, MediaSource]:
    """All of them, by slug. One query; call it off the event loop."""
    return {source.slug: _as_media(source) for source in Source.objects.all()}


def _as_media(source: Source) -> MediaSource:
    return MediaSource(
        id=source.pk,
        slug=source.slug,
        team_id=source.team_id,
        protocol=source.protocol,
        enabled=source.enabled,
        secrets=tuple(s for s in (source.secret, source.previous_secret) if s),
        public_url=source.media_url,
        one_time_tokens_required=source.token_required,
        roles=source.roles,
        synthetic=source.synthetic,
        networks=tuple(source.networks),
        given_words=source.given_words,
    )
