"""Who may send us a call: Twilio's signature over the address, and one-time tokens of our own.

Twilio signs no nonce and no time (PROTOCOLS §1), so a signature can be replayed: a token, minted
when the TwiML is written, binds the stream to one call, once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from typing import NamedTuple

from calls.access import MediaSource

TOKEN_TTL_S = 120


def sign(secret: str, url: str) -> str:
    """X-Twilio-Signature of a WebSocket upgrade: no form fields, only the address."""
    return base64.b64encode(hmac.digest(secret.encode(), url.encode(), hashlib.sha1)).decode()


def signed(source: MediaSource, signature: str) -> bool:
    """Whether a secret of the source, current or previous, made it over the configured address.

    Twilio is not of one mind about the last slash, so both forms are tried; each in constant time.
    """
    url = source.public_url
    toggled = url.removesuffix("/") if url.endswith("/") else f"{url}/"
    return _any_equal((sign(s, u) for s in source.secrets for u in (url, toggled)), signature)


def authorized(source: MediaSource, header: str) -> bool:
    """Whether an Authorization header holds a secret of the source: Bearer, or Basic after its slug."""
    scheme, _, given = header.strip().partition(" ")
    given, kind = given.strip(), scheme.lower()
    made = [
        *source.secrets,
        *(base64.b64encode(f"{source.slug}:{s}".encode()).decode() for s in source.secrets),
    ]
    count = len(source.secrets)
    fits = [hmac.compare_digest(m.encode(), given.encode()) for m in made]
    return (kind == "bearer" and any(fits[:count])) or (kind == "basic" and any(fits[count:]))


class Token(NamedTuple):
    nonce: str
    expires_s: int


def mint_token(source: MediaSource, call_ref: str, *, ttl_s: int = TOKEN_TTL_S) -> str:
    """For `<Parameter name="token" value="…"/>`: good once, soon, and for this call only."""
    if not source.secrets:
        raise ValueError(f"source {source.slug!r} has no secret")
    expires, nonce = int(time.time()) + ttl_s, secrets.token_urlsafe(12)
    return f"{expires}.{nonce}.{_seal(source.secrets[0], source.slug, call_ref, expires, nonce)}"


def read_token(source: MediaSource, call_ref: str, token: str) -> Token | None:
    """What is in a token that we minted for this call and that still lives. It may be used up."""
    expires, _, rest = token.partition(".")
    nonce, _, seal = rest.partition(".")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 12 and nonce):
        return None
    made = (_seal(s, source.slug, call_ref, int(expires), nonce) for s in source.secrets)
    if not _any_equal(made, seal) or int(expires) < time.time():
        return None
    return Token(nonce, int(expires))


def _seal(secret: str, slug: str, call_ref: str, expires: int, nonce: str) -> str:
    text = "\n".join(("empathy stream token 1", slug, call_ref, str(expires), nonce))
    digest = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _any_equal(candidates: Iterable[str], given: str) -> bool:
    """Compares with all of them, whichever fits."""
    return sum(hmac.compare_digest(c.encode(), given.encode()) for c in candidates) > 0
