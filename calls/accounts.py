"""Who may open an account: nobody by themselves; admins create people. And how second factors are kept."""

from __future__ import annotations

import base64

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.http import HttpRequest
from django.utils.encoding import force_str


class ClosedAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


class SealedSecrets(DefaultMFAAdapter):  # type: ignore[misc]
    """Second factors are stored under a key made from SECRET_KEY: a copy of the database logs nobody in."""

    def encrypt(self, text: str) -> str:
        return seal().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """ValueError when neither SECRET_KEY nor a fallback opens it."""
        try:
            return seal().decrypt(encrypted_text.encode()).decode()
        except InvalidToken as error:
            raise ValueError(
                "SECRET_KEY has changed since this second factor was set up: add the old one to "
                "SECRET_KEY_FALLBACKS, or let an administrator remove the second factor."
            ) from error


def seal() -> MultiFernet:
    """The newest key seals; older ones still open (HKDF, RFC 5869)."""
    keys = [settings.SECRET_KEY, *map(force_str, settings.SECRET_KEY_FALLBACKS)]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(derived(key))) for key in keys])


def derived(key: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"empathy-dash second factors").derive(key.encode())
