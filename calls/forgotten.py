"""A forgotten password: a link by e-mail, good for an hour, where the site sends e-mail at all."""

from __future__ import annotations

import hashlib

import structlog
from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.cache import caches
from django.core.mail import send_mail
from django.urls import reverse
from django.utils import translation
from django.utils.encoding import force_bytes
from django.utils.http import base36_to_int, urlsafe_base64_encode
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from calls.models import User

log = structlog.get_logger(__name__)
GOOD_FOR_S = 3600
PER_HOUR = {"email": 3, "address": 20}
MOST = 5
"""People that share an address, if so they are."""


class ResetTokens(PasswordResetTokenGenerator):
    """Like those of log-in links, but good for GOOD_FOR_S."""

    key_salt = "calls.forgotten.ResetTokens"

    def check_token(self, user: User | None, token: str | None) -> bool:  # type: ignore[override]
        if not super().check_token(user, token):
            return False
        made = base36_to_int(str(token).partition("-")[0])
        return self._num_seconds(self._now()) - made <= GOOD_FOR_S  # type: ignore[attr-defined]


tokens = ResetTokens()


def is_open() -> bool:
    return bool(settings.EMAIL_HOST) and not settings.OIDC_ONLY


def may_ask(email: str, address: str | None) -> bool:
    """At most so often an hour for one e-mail, and from one place. Without Redis nobody may."""
    try:
        return all(
            _counted(f"{kind} {value}") <= PER_HOUR[kind]
            for kind, value in (("email", email.casefold()), ("address", address or ""))
        )
    except (RedisError, OSError) as error:
        log.warning("no reset while it cannot be counted", error=str(error))
        return False


def _counted(key: str) -> int:
    name = "forgotten:" + hashlib.sha256(key.encode()).hexdigest()
    cache = caches["shared"]
    cache.add(name, 0, 3600)
    return int(cache.incr(name))


def send(email: str, language: str) -> int:
    """Write to whoever has this address; returns how many. Called by a worker, so that an answer takes as
    long for an address nobody has."""
    people = list(User.objects.filter(email__iexact=email, is_active=True).exclude(email="")[:MOST])
    with translation.override(language):
        for user in people:
            path = reverse(
                "invited", args=[urlsafe_base64_encode(force_bytes(user.pk)), tokens.make_token(user)]
            )
            words = _(
                "Somebody, you we hope, asked for a new password for {user} in Empathy Dash.\n\n"
                "Set it here, within an hour:\n{link}\n\n"
                "If it was not you, leave this be: your password stays as it is."
            ).format(user=user.username, link=f"{settings.PUBLIC_URL}{path}")
            send_mail(_("A new password for Empathy Dash"), words, None, [user.email])
    return len(people)
