"""The audit log of getting in: what allauth and Django signal, a line each, with the address it came from."""

from __future__ import annotations

import hashlib
from typing import Any

import structlog
from allauth.account import signals as account
from allauth.account.adapter import get_adapter
from allauth.mfa import signals as mfa
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest
from redis.exceptions import RedisError

from calls.choices import Did
from calls.models import Change, User

log = structlog.get_logger(__name__)
FAILED_EVERY_S = 60
"""A name tried from an address is noted once in so long, with how often it was tried before that."""


def address_of(request: HttpRequest | None) -> str | None:
    """Where it came from: see TRUSTED_PROXIES."""
    if request is None:
        return None
    try:
        return str(get_adapter().get_client_ip(request))
    except (PermissionDenied, ImproperlyConfigured):
        return None


def note(did: Did, user: User | None, request: HttpRequest | None, **after: Any) -> None:
    name = str(user)[:200] if user else ""
    Change.objects.create(
        actor_id=user.pk if user else None,
        actor=name,
        did=did,
        subject_type="user",
        subject_id=str(user.pk) if user else "",
        subject=name or str(after.pop("tried", "")).replace("\0", "")[:200],
        after=after,
        address=address_of(request),
    )


@receiver(user_logged_in)
def logged_in(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    methods = request.session.get("account_authentication_methods", []) if hasattr(request, "session") else []
    how = ", ".join(dict.fromkeys(str(one.get("method", "")) for one in methods if isinstance(one, dict)))
    note(Did.LOGGED_IN, user, request, **({"how": how} if how else {}))


@receiver(user_logged_out)
def logged_out(sender: Any, request: HttpRequest, user: User | None, **_: Any) -> None:
    if isinstance(user, User):
        note(Did.LOGGED_OUT, user, request)


@receiver(user_login_failed)
def failed(sender: Any, credentials: Any, request: HttpRequest | None = None, **_: Any) -> None:
    tried = str(credentials.get("username") or credentials.get("login") or "").replace("\0", "")[:150]
    count = _counted(f"{address_of(request)} {tried.casefold()}")
    if count is not None:
        note(Did.LOGIN_FAILED, None, request, tried=tried, **({"times before": count} if count else {}))


def _counted(key: str) -> int | None:
    """None: noted just now. Else how many went by since the last note. Without Redis all are noted."""
    name = "login-failed:" + hashlib.sha256(key.encode()).hexdigest()
    try:
        cache = caches["shared"]
        if cache.add(name, 1, FAILED_EVERY_S):
            since = cache.get(f"{name}:since", 0)
            cache.delete(f"{name}:since")
            return int(since)
        cache.set(f"{name}:since", cache.get(f"{name}:since", 0) + 1, 3600)
        return None
    except (RedisError, OSError) as error:
        log.warning("failed log-ins are not counted", error=str(error))
        return 0


@receiver(mfa.authentication_failed)
def second_failed(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    if _counted(f"{address_of(request)} second {user.pk}") is not None:
        note(Did.LOGIN_FAILED, user, request, how="second factor")


@receiver(mfa.authenticator_added)
def factor_added(sender: Any, request: HttpRequest, user: User, authenticator: Any, **_: Any) -> None:
    note(Did.FACTOR_ADDED, user, request, kind=str(authenticator.type))


@receiver(mfa.authenticator_removed)
def factor_removed(sender: Any, request: HttpRequest, user: User, authenticator: Any, **_: Any) -> None:
    note(Did.FACTOR_REMOVED, user, request, kind=str(authenticator.type))


@receiver(mfa.authenticator_reset)
def codes_made(sender: Any, request: HttpRequest, user: User, authenticator: Any, **_: Any) -> None:
    note(Did.FACTOR_ADDED, user, request, kind=str(authenticator.type))


@receiver(account.password_changed)
@receiver(account.password_set)
def password_changed(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    note(Did.PASSWORD, user, request)
