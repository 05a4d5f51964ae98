"""HTTP message signatures as Genesys AudioHook makes them (RFC 9421, hmac-sha256): does one fit?

Knows headers and secrets, nothing of sockets. Nonces are only read here: who keeps them is the door.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
import time
import uuid
from typing import NamedTuple
from urllib.parse import urlsplit

from calls.access import MediaSource
from calls.ingest.words import Handshake

COVERED = {
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
}
SKEW_S = 3
MAX_AGE_S = 10
MIN_NONCE = 22
_COMPONENTS = r'\(((?:"[^"\\]{1,60}" ?)*)\)'
_TAIL = r'((?:;[a-z]+=(?:"[^"\\]{0,300}"|\d{1,15}))*)'
_INPUT = re.compile(rf"^\s*([a-z*][\w.*-]{{0,40}})=({_COMPONENTS}{_TAIL})\s*$")
_PARAMETER = re.compile(r';([a-z]+)=(?:"([^"]*)"|(\d+))')


class Signed(NamedTuple):
    fits: bool
    nonce: str = ""


def check(source: MediaSource, shake: Handshake, now_s: float | None = None) -> Signed:
    """Whether a secret of the source signed this handshake just now, for its configured address.

    Every way to be wrong costs the same: the sum is made over whatever was sent, with a secret that
    nobody has where the source is unknown. The API key is the source's slug.
    """
    now_s = time.time() if now_s is None else now_s
    found = _INPUT.match(shake.headers.get("signature-input", "")[:2000])
    label, covered, inside, tail = (
        (found[1], found[3], found[2], found[4]) if found else ("sig1", "", "()", "")
    )
    names = re.findall(r'"([^"]+)"', covered)
    said = {name: text or number for name, text, number in _PARAMETER.findall(tail)}
    given = _given(shake.headers.get("signature", ""), label)
    fits = 0
    for path in _paths(source, shake):
        base = _base(source, shake, names, inside, path)
        for secret in source.secrets:
            fits += hmac.compare_digest(hmac.digest(_key(secret), base, "sha256"), given)
    timely = _timely(said, now_s)
    key = hmac.compare_digest(said.get("keyid", "").encode(), source.slug.encode())
    same = hmac.compare_digest(shake.headers.get("x-api-key", "").encode(), source.slug.encode())
    whole = set(names) >= COVERED and len(set(names)) == len(names)
    nonce = said.get("nonce", "")
    method = said.get("alg", "hmac-sha256") == "hmac-sha256" and len(nonce) >= MIN_NONCE
    return Signed(bool(found and fits and timely and key and same and whole and method), nonce)


def _timely(said: dict[str, str], now_s: float) -> bool:
    try:
        created, expires = int(said["created"]), int(said["expires"])
    except (KeyError, ValueError):
        return False
    return created <= now_s + SKEW_S and expires >= now_s - SKEW_S and now_s - created <= MAX_AGE_S + SKEW_S


def _paths(source: MediaSource, shake: Handshake) -> set[str]:
    """The request target as signed: the configured address's path, with or without the last slash."""
    path = urlsplit(source.public_url).path.rstrip("/")
    query = f"?{shake.query}" if shake.query else ""
    return {f"{path}/{query}", f"{path}{query}"}


def _base(source: MediaSource, shake: Handshake, names: list[str], inside: str, target: str) -> bytes:
    parts = urlsplit(source.public_url)
    default = {"wss": 443, "ws": 80}.get(parts.scheme)
    host = parts.hostname or ""
    authority = host if parts.port in (None, default) else f"{host}:{parts.port}"
    derived = {"@request-target": target, "@authority": authority}
    lines = [f'"{name}": {derived.get(name, shake.headers.get(name, "").strip())}' for name in names]
    return "\n".join([*lines, f'"@signature-params": {inside}']).encode("latin-1", "replace")


def _given(header: str, label: str) -> bytes:
    found = re.match(rf"^\s*{re.escape(label)}=:([A-Za-z0-9+/=]{{1,100}}):\s*$", header)
    try:
        return binascii.a2b_base64(found[1], strict_mode=True) if found else b""
    except ValueError:
        return b""


def _key(secret: str) -> bytes:
    """The client secret is base64 by Genesys's rule; one that is not can sign nothing."""
    try:
        return base64.b64decode(secret, validate=True) or b"\0"
    except ValueError:
        return b"\0" + secret.encode()


def sign(source: MediaSource, session: str) -> dict[str, str]:
    """The headers of a handshake as Genesys would send them, for trying a source without Genesys."""
    headers = {
        "Audiohook-Organization-Id": str(uuid.uuid4()),
        "Audiohook-Session-Id": session,
        "Audiohook-Correlation-Id": str(uuid.uuid4()),
        "X-API-KEY": source.slug,
    }
    names, now = sorted(COVERED), int(time.time())
    inside = _listed(names)
    inside += f';keyid="{source.slug}";nonce="{secrets.token_urlsafe(24)}";alg="hmac-sha256"'
    inside += f";created={now};expires={now + MAX_AGE_S}"
    path = urlsplit(source.public_url).path
    shake = Handshake(path, "", {name.lower(): value for name, value in headers.items()})
    digest = hmac.digest(_key(source.secrets[0]), _base(source, shake, names, inside, path), "sha256")
    given = base64.b64encode(digest).decode()
    return headers | {"Signature-Input": f"sig1={inside}", "Signature": f"sig1=:{given}:"}


def _listed(names: list[str]) -> str:
    return "(" + " ".join(f'"{name}"' for name in names) + ")"
