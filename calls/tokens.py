"""Tokens for programs: made once, shown once, known by their digest. A token never outranks its owner."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import access, auditing
from calls.choices import Did, Scope
from calls.models import ApiToken, User

PREFIX = "ed_"
DAYS = (7, 30, 90, 365)
"""For how long a token may be made."""
MOST_EACH = 20
USED_EVERY = timedelta(minutes=1)


class Refused(ValueError):
    """What was asked for cannot be; the text says why and what to do."""


def scopes_for(user: User) -> list[Scope]:
    """Agents answer no alerts, send no calls, speak for no callers; each sees what they may anyway."""
    not_agents = (Scope.ACT, Scope.FEED, Scope.CONSENT)
    return [scope for scope in Scope if scope not in not_agents or access.may_see_floor(user)]


def make(owner: User, name: str, scopes: Sequence[str], days: int) -> tuple[ApiToken, str]:
    """The row, and the token itself, which nobody can read again. Refused says what to change."""
    name = " ".join(name.replace("\0", "").split())
    if not name or len(name) > 80:
        raise Refused(_("Give it a name of 1 to 80 characters: what uses it, and where."))
    wanted = [scope for scope in scopes_for(owner) if scope in scopes]
    if not wanted or len(wanted) != len(set(scopes)):
        raise Refused(_("Choose what it may be used for: at least one of the list."))
    if days not in DAYS:
        raise Refused(_("Choose for how long it is good."))
    good = owner.api_tokens.filter(revoked_at=None, expires_at__gt=timezone.now())
    if good.count() >= MOST_EACH:
        raise Refused(_("You have {n} tokens: revoke one that is not used.").format(n=MOST_EACH))
    token = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        row = ApiToken.objects.create(
            owner=owner,
            name=name,
            digest=digest(token),
            start=token[:10],
            scopes=[scope.value for scope in wanted],
            expires_at=timezone.now() + timedelta(days=days),
        )
        auditing.record(owner, Did.CREATED, row, {}, {"scopes": row.scopes, "days": days})
    return row, token


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def find(token: str) -> ApiToken | None:
    """The good token of an active person, or None. Notes that it was used, once a minute."""
    if not token.startswith(PREFIX) or len(token) > 100:
        return None
    row = ApiToken.objects.select_related("owner").filter(digest=digest(token)).first()
    now = timezone.now()
    if row is None or not row.is_good(now) or not row.owner.is_active:
        return None
    if row.used_at is None or now - row.used_at > USED_EVERY:
        ApiToken.objects.filter(pk=row.pk).update(used_at=now)
    return row


def revoke(token: ApiToken, actor: User) -> None:
    """For good. Said twice, the first stays."""
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
            auditing.record(actor, Did.REVOKED, token)
