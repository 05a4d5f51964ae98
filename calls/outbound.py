"""The one place from which anything leaves: a POST to an address an admin gave, and nowhere near our own net.

The name is resolved once, every address it has must be public (or in WEBHOOK_PRIVATE), and the connection
goes to the address that was checked, so that a second answer of the name server changes nothing.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from django.conf import settings

TIMEOUT_S = 5.0
DEADLINE_S = 15.0
"""For all of it: an answer that comes byte by byte is cut off."""
AGENT = "empathy-dash-webhooks/1"
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(ValueError):
    """It was not even tried; the text says why."""


@dataclass(frozen=True)
class Answer:
    status: int | None
    """None: there was none."""
    trouble: str = ""

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Deliver it, or say what was in the way. Redirects are not followed; only the status is read."""
    parts = urlsplit(url)
    host, https = parts.hostname or "", parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = _connect(host, parts.port or (443 if https else 80), https)
        with _cut_off(connection):
            try:
                sent = {**headers, "User-Agent": AGENT, "Content-Type": "application/json"}
                connection.request("POST", path, body, sent)
                status = connection.getresponse().status
            finally:
                connection.close()
    except Refused as refused:
        return Answer(None, str(refused))
    except TimeoutError:
        return Answer(None, "no answer in time")
    except ssl.SSLError:
        return Answer(None, "its certificate cannot be trusted")
    except ConnectionRefusedError:
        return Answer(None, "nobody answers there")
    except (OSError, http.client.HTTPException):
        return Answer(None, "the connection broke off")
    return Answer(status, "" if status < 300 else f"answered {status}")


def _connect(host: str, port: int, https: bool) -> http.client.HTTPConnection:
    """Connected to an address that was checked, whatever the name may lead to by now."""
    address = checked_address(host, port)
    wire: socket.socket = socket.create_connection((address, port), TIMEOUT_S)
    try:
        wire = _trust().wrap_socket(wire, server_hostname=host) if https else wire
    except BaseException:
        wire.close()
        raise
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    connection = kind(host, port, timeout=TIMEOUT_S)
    connection.sock = wire
    connection.auto_open = 0
    return connection


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class _cut_off:
    """Ends the connection at the deadline, in whatever it waits for."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.wire: socket.socket = connection.sock
        self.late = threading.Event()
        self.timer = threading.Timer(DEADLINE_S, self._end)

    def _end(self) -> None:
        self.late.set()
        with suppress(OSError):
            self.wire.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> None:
        self.timer.start()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.timer.cancel()
        if self.late.is_set():
            raise TimeoutError


def checked_address(host: str, port: int) -> str:
    """An address of the host to connect to. Refused unless all that it has are allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused("the name is not known") from None
    addresses = [str(where[0]) for _, _, _, _, where in found]
    for address in addresses:
        if not is_allowed(address):
            raise Refused(f"{address} is not a public address")
    if not addresses:
        raise Refused("the name has no address")
    return addresses[0]


def is_allowed(address: str) -> bool:
    """Public, or within a network of WEBHOOK_PRIVATE."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if any(ip in ipaddress.ip_network(net) for net in settings.WEBHOOK_PRIVATE):
        return True
    tunnelled = isinstance(ip, ipaddress.IPv6Address) and bool(ip.sixtofour or ip.teredo or ip in NAT64)
    return ip.is_global and not ip.is_multicast and not tunnelled
