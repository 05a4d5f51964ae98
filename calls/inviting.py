"""Log-in links for people without a password: by e-mail where there is a mail server, else to hand over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _

from calls import auditing
from calls.choices import Did
from calls.models import User

log = structlog.get_logger(__name__)
MOST = 500
"""At once."""
WITHIN_S = 20.0
"""Whom the mail server has not taken by then gets a link to be handed over: nobody waits for it longer."""


@dataclass(frozen=True)
class Invited:
    user: User
    link: str
    sent: bool
    trouble: str = ""
    """Why no e-mail was sent."""


def waiting() -> QuerySet[User]:
    """Active people who cannot log in yet."""
    return User.objects.filter(is_active=True, password__startswith="!").order_by("last_name", "username")


def path_of(user: User) -> str:
    uid, token = urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)
    return reverse("invited", args=[uid, token])


def invite(people: Sequence[User], actor: User, absolute: Callable[[str], str]) -> list[Invited]:
    """A link for each, sent where that can be done. A mail server that fails stops nothing."""
    made = [(user, absolute(path_of(user))) for user in people[:MOST]]
    for user, _link in made:
        auditing.record(actor, Did.LINKED, user)
    if not settings.EMAIL_HOST:
        return [Invited(user, link, False, _("no mail server is set (EMAIL_HOST)")) for user, link in made]
    server = get_connection()
    if down := _opened(server):
        return [Invited(user, link, False, down) for user, link in made]
    until = time.monotonic() + WITHIN_S
    try:
        return [_sent(server, user, link, until) for user, link in made]
    finally:
        _close(server)


def _opened(server: BaseEmailBackend) -> str:
    """Why the mail server cannot be used, or ""."""
    try:
        server.open()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors
        log.warning("the mail server cannot be reached", error=str(error))
        return _("the mail server does not answer: {error}").format(error=str(error)[:120])
    return ""


def _sent(server: BaseEmailBackend, user: User, link: str, until: float) -> Invited:
    if not user.email:
        return Invited(user, link, False, _("no address is known"))
    if time.monotonic() > until:
        return Invited(user, link, False, _("the mail server was too slow"))
    words = _(
        "You have an account in Empathy Dash. Your user name: {user}\n\n"
        "Set your password here, within three days:\n{link}\n\n"
        "The link works once. If it is too old, ask your administrator for a new one."
    ).format(user=user.username, link=link)
    mail = EmailMessage(_("Your account in Empathy Dash"), words, None, [user.email], connection=server)
    try:
        mail.send()
    except (OSError, ValueError) as error:
        log.warning("an invitation was not sent", user=user.pk, error=str(error))
        return Invited(user, link, False, str(error)[:120])
    return Invited(user, link, True)


def _close(server: BaseEmailBackend) -> None:
    try:
        server.close()
    except OSError as error:
        log.warning("the mail server did not say goodbye", error=str(error))
