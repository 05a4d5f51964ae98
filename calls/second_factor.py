"""Who must have a second factor, and who lacks it. The policy names roles; the issuer's own factor counts."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from calls import auditing, policy
from calls.choices import Did
from calls.models import User

BY_ISSUER = "second factor by issuer"
AMR = frozenset({"mfa", "otp", "hwk", "swk", "fpt", "face", "sc", "ngcmfa"})
"""Values of RFC 8176 (and one of Entra) that say more than a password was asked for."""


def is_missing(user: User | AnonymousUser | Any, session: SessionBase | Any) -> bool:
    """Whether this person must set one up before anything else."""
    if not isinstance(user, User) or user.role not in policy.current().second_factor:
        return False
    return not given_by_issuer(user, session) and not is_mfa_enabled(user)


def given_by_issuer(user: User, session: SessionBase | Any) -> bool:
    return bool(session.get(BY_ISSUER) == user.pk)


def remove(actor: User, person: User, reason: str) -> None:
    """Take away somebody's second factor, lost or stolen; all their sessions end."""
    with transaction.atomic():
        person = User.objects.select_for_update().get(pk=person.pk)
        Authenticator.objects.filter(user=person).delete()
        person.end_sessions()
        auditing.record(actor, Did.FACTOR_REMOVED, person, {}, {"reason": reason})
