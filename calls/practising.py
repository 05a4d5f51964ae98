"""Practice: a call somebody makes with their own microphone. Nobody else sees it, it counts nowhere, and it
is gone within a day.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.utils import timezone

from calls import access, record
from calls.access import MediaSource, media_source
from calls.buffer import ledger
from calls.choices import Protocol
from calls.ingest import auth
from calls.models import Call, Source, Team, User

STAYS = timedelta(days=1)
MOST_A_DAY = 50


class Refused(ValueError):
    """Cannot be; the text says why and what to do."""


def team_of(user: User) -> Team | None:
    """By whose rubric they practise."""
    return user.team or next(iter(access.visible_teams(user)), None)


def begin(user: User) -> Call:
    """A call that waits for its microphone. Refused."""
    team = team_of(user)
    if team is None:
        raise Refused("Nobody has put you in a team yet, so there is no rubric to practise by.")
    if Call.objects.filter(agent=user, practice=True).count() >= MOST_A_DAY:
        raise Refused(f"That were {MOST_A_DAY} practice calls in a day: try again tomorrow.")
    ref = f"practice-{uuid.uuid4()}"
    opened = record.open_call(
        record.OpenCall(
            source_id=source_of(team).pk,
            protocol=Protocol.STREAM,
            external_ref=ref,
            stream_ref=ref,
            started_at=timezone.now(),
            channels=(),
            practice_of=user.pk,
        )
    )
    return Call.objects.get(pk=opened.call_id)


def source_of(team: Team) -> Source:
    words = {
        "slug": f"practice-{team.pk}",
        "name": f"Practice of {team}"[:80],
        "protocol": Protocol.STREAM,
        "token_required": True,
        "roles": {"customer": "customer", "agent": "agent"},
    }
    return Source.objects.get_or_create(team=team, practice=True, defaults=words)[0]


def ticket(call: Call) -> str:
    """For one connection, soon. Refused when the call is over or its source was switched off."""
    source: MediaSource | None = media_source(call.source.slug)
    if not call.is_live or source is None or not source.enabled:
        raise Refused("This practice is over. Begin a new one.")
    return auth.mint_token(source, call.external_ref)


def forget_old(now: datetime | None = None) -> int:
    """How many went."""
    old = Call.objects.filter(practice=True, started_at__lt=(now or timezone.now()) - STAYS)
    gone = [str(pk) for pk in old.values_list("pk", flat=True)]
    for pk in gone:
        ledger().forget(pk)
    Call.objects.filter(pk__in=gone).delete()
    return len(gone)
