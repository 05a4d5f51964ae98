"""Secrets we must be able to read again are stored under a key made from SECRET_KEY, one a purpose."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_str


class Unreadable(ValueError):
    """Neither SECRET_KEY nor a fallback opens it."""


def sealed(text: str, purpose: str) -> str:
    return _keys(purpose).encrypt(text.encode()).decode()


def opened(token: str, purpose: str) -> str:
    """Unreadable when SECRET_KEY has changed."""
    try:
        return _keys(purpose).decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise Unreadable("SECRET_KEY has changed: add the old one to SECRET_KEY_FALLBACKS.") from error


def _keys(purpose: str) -> MultiFernet:
    """The newest key seals; older ones still open (HKDF, RFC 5869)."""
    keys = [settings.SECRET_KEY, *map(force_str, settings.SECRET_KEY_FALLBACKS)]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key, purpose))) for key in keys])


def _derived(key: str, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"empathy-dash {purpose}".encode()).derive(key.encode())
