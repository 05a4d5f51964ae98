"""Settings from the environment: each `NAME` may also come as `NAME_FILE`, a path to its value."""

from __future__ import annotations

import ipaddress
import math
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict


class EnvError(ValueError):
    """A variable that cannot be used; says which, and what would be."""


def text(name: str, default: str = "") -> str:
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return os.environ.get(name, default)
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise EnvError(f"{name}_FILE={path} cannot be read: {error.strerror}") from error


def flag(name: str, default: bool = False) -> bool:
    value = text(name).lower()
    if value not in ("", "0", "1", "true", "false", "yes", "no", "on", "off"):
        raise EnvError(f"{name}={value!r}: use 1 or 0")
    return value in ("1", "true", "yes", "on") if value else default


def integer(name: str, default: int) -> int:
    value = text(name)
    try:
        return int(value) if value else default
    except ValueError as error:
        raise EnvError(f"{name}={value!r}: use a whole number") from error


def decimal(name: str, default: float) -> float:
    value = text(name)
    try:
        found = float(value) if value else default
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise EnvError(f"{name}={value!r}: use a number, e.g. {default}")
    return found


def address(name: str) -> str:
    """HOST:PORT to listen at, or nothing."""
    value = text(name)
    host, _, port = value.rpartition(":")
    if value and not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise EnvError(f"{name}={value!r}: use HOST:PORT, e.g. 127.0.0.1:9092")
    return value


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def networks(name: str) -> list[str]:
    """CIDRs, separated by commas."""
    found = words(name)
    for word in found:
        try:
            ipaddress.ip_network(word)
        except ValueError as error:
            raise EnvError(f"{name}: {word!r} is not a network like 10.0.0.0/8") from error
    return found


def database(name: str) -> dict[str, Any]:
    """A Django DATABASES entry from a libpq URL; a host may be a percent-encoded socket folder."""
    url = text(name)
    if not url:
        return {"ENGINE": "django.db.backends.postgresql", "NAME": "empathy_dash"}
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:  # its text quotes the URL, password and all
        raise EnvError(
            f"{name} is not a PostgreSQL URL: use postgresql://user:password@host:5432/name"
        ) from None
    host = unquote(str(parts.pop("host", "") or ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", "empathy_dash"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": host,
        "PORT": str(parts.pop("port", "")),
        "OPTIONS": parts,
    }
