"""Which protocols there are: how each proves who calls, what it says, whose legs are whose by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from calls.access import MediaSource
from calls.ingest import auth, twilio
from calls.ingest.words import Handshake, Talk


class Vouched(NamedTuple):
    """Whether a handshake proves who calls."""

    state: Literal["yes", "no", "later"]
    """later: a ticket in the first message must."""
    nonce: str = ""
    """Good once, across all processes."""


@dataclass(frozen=True)
class Wire:
    """One protocol."""

    talk: Callable[[Handshake], Talk]
    vouch: Callable[[MediaSource, Handshake], Vouched]
    roles: Mapping[str, str] = field(default_factory=dict)
    """Its names of the legs → ours; a source's own map goes over it."""
    subprotocols: tuple[str, ...] = ()


def signed_by_twilio(source: MediaSource, shake: Handshake) -> Vouched:
    return Vouched("yes" if auth.signed(source, shake.headers.get("x-twilio-signature", "")) else "no")


def with_password(source: MediaSource, shake: Handshake) -> Vouched:
    """Basic (the slug and a secret) or Bearer (a secret) in the handshake, and nothing else."""
    return Vouched("yes" if auth.authorized(source, shake.headers.get("authorization", "")) else "no")


def with_password_or_ticket(source: MediaSource, shake: Handshake) -> Vouched:
    """As above; who cannot set headers brings a ticket in the first message."""
    return with_password(source, shake) if "authorization" in shake.headers else Vouched("later")


PHONE_LEGS = {"inbound": "customer", "outbound": "agent"}
WIRES: dict[str, Wire] = {
    "twilio": Wire(lambda _: twilio.Talk(twilio.TWILIO), signed_by_twilio, PHONE_LEGS),
}
