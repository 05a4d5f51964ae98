"""Which protocols there are: how each proves who calls, what it says, whose legs are whose by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from calls.access import MediaSource
from calls.ingest import audiohook, auth, raw, signatures, stream, twilio
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


def signed_message(source: MediaSource, shake: Handshake) -> Vouched:
    signed = signatures.check(source, shake)
    return Vouched("yes" if signed.fits else "no", signed.nonce)


def _family(name: str) -> Wire:
    """Twilio's shape; only Twilio and SignalWire sign, the others send a password or a ticket."""
    dialect = twilio.DIALECTS[name]
    vouch = signed_by_twilio if name in ("twilio", "signalwire") else with_password_or_ticket
    return Wire(lambda _: twilio.Talk(dialect), vouch, {"inbound": "customer", "outbound": "agent"})


FORKS = ("audio.drachtio.org", "audiostream.drachtio.org")
"""What mod_audio_fork calls itself, by its version."""
WIRES: dict[str, Wire] = {
    **{name: _family(name) for name in twilio.DIALECTS},
    "audiohook": Wire(audiohook.Talk, signed_message, audiohook.ROLES),
    "stream": Wire(stream.Talk, with_password_or_ticket, subprotocols=(stream.SUBPROTOCOL,)),
    "asterisk": Wire(raw.Asterisk, with_password, raw.LEGS, ("media",)),
    "freeswitch": Wire(raw.FreeSwitch, with_password_or_ticket, raw.LEGS, FORKS),
    "vonage": Wire(raw.Vonage, with_password_or_ticket, raw.LEGS),
}
