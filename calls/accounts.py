"""Who may open an account: nobody by themselves; admins create people. And how second factors are kept."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from calls import sealing


class ClosedAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


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
