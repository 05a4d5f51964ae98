"""Getting in: nobody opens an account, admins create people. And how second factors are kept."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.stages import AuthenticateStage
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from calls import sealing, second_factor, sso


class ClosedAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_login_stages(self) -> list[str]:
        ours = {"allauth.mfa.stages.AuthenticateStage": "calls.accounts.SecondFactor"}
        return [ours.get(stage, stage) for stage in super().get_login_stages()]

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> Any:
        """With OIDC_ONLY a password lets in admins alone, who must be able to mend it."""
        methods = {record.get("method") for record in get_authentication_records(request, user)}
        if settings.OIDC_ONLY and not user.is_admin and "socialaccount" not in methods:
            words = _("Passwords are switched off here: log in with {name}.").format(name=settings.OIDC_NAME)
            return sso.page(request, words, 403)
        return super().pre_login(request, user, **kwargs)


class SecondFactor(AuthenticateStage):  # type: ignore[misc]
    """Not asked for again of whom the issuer has just asked for one."""

    def _should_handle(self, request: HttpRequest) -> bool:
        user = self.login.user
        if user is not None and second_factor.given_by_issuer(user, request.session):
            return False
        return bool(super()._should_handle(request))


class SealedSecrets(DefaultMFAAdapter):  # type: ignore[misc]
    """Second factors are stored under a key made from SECRET_KEY: a copy of the database logs nobody in."""

    def encrypt(self, text: str) -> str:
        return sealing.sealed(text, "second factors")

    def decrypt(self, encrypted_text: str) -> str:
        """ValueError when neither SECRET_KEY nor a fallback opens it."""
        try:
            return sealing.opened(encrypted_text, "second factors")
        except sealing.Unreadable as error:
            raise ValueError(
                "SECRET_KEY has changed since this second factor was set up: add the old one to "
                "SECRET_KEY_FALLBACKS, or let an administrator remove the second factor."
            ) from error
