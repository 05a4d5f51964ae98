"""What a phone system can say, in our words. Each protocol turns its frames into these; the door acts
on them. Pure, and nothing else lives here.

A `Talk` is one connection's half of a protocol: a frame in, what it means out. It never raises,
whatever it is sent, and keeps no audio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from calls.choices import Said as CallerSaid
from calls.ingest.formats import AudioFormat
from scoring import given


class Begin(NamedTuple):
    """Audio is about to come, of this call."""

    call_ref: str
    stream_ref: str
    """Unique to this connection; taken once."""
    legs: tuple[str, ...]
    """Whose voices it carries, by the source's names; () if the protocol does not say beforehand."""
    format: AudioFormat
    parameters: Mapping[str, str] = {}
    token: str = ""
    """A one-time ticket, where one is due."""
    resume_ms: int | None = None
    """Where in its earlier stream this one goes on; None: now."""
    sparse: bool = False
    """While there is nothing to hear it sends nothing, and time passes all the same."""
    continues: tuple[str, ...] = ()
    """Streams that this one says it goes on from."""


class Audio(NamedTuple):
    legs: tuple[str, ...]
    """Whose it is, one for each interleaved channel."""
    timestamp_ms: int | None
    payload: bytes


class Say(NamedTuple):
    """To be sent back at once."""

    text: str


class Pause(NamedTuple):
    """Nothing said from now on may be kept; nor what has come since `since_ms` of the stream."""

    since_ms: int | None = None


class Resume(NamedTuple):
    pass


class Skip(NamedTuple):
    """The stream's clock goes on by so much, for which no audio will come."""

    ms: int


class Dtmf(NamedTuple):
    """A key was pressed. Which one is not kept: it may be part of a card number."""


class Told(NamedTuple):
    """A turn as the phone system transcribed it; times on the stream's own clock."""

    said: given.Said


class Trouble(NamedTuple):
    """The phone system says that something went wrong on its side."""

    code: int
    reason: str
    """Its own words."""


class Consent(NamedTuple):
    """What the caller was told, or answered, about being analysed."""

    said: CallerSaid


class Ignored(NamedTuple):
    """Nothing that concerns us."""


class Malformed(NamedTuple):
    reason: str


class Unusable(NamedTuple):
    """The connection cannot go on: what is wrong, and what to do, in words for the log and the sender."""

    reason: str
    code: int = 1003


class End(NamedTuple):
    reason: str = "The call ended."


Said = (
    Begin
    | Audio
    | Say
    | Pause
    | Resume
    | Skip
    | Dtmf
    | Told
    | Trouble
    | Consent
    | Ignored
    | Malformed
    | Unusable
    | End
)


class Handshake(NamedTuple):
    """What came with the request to connect."""

    path: str
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    subprotocols: Sequence[str] = ()


def texts(given: Any) -> dict[str, str]:
    """A sender's own parameters: at most 32, of texts and whole numbers, of 200 characters, without NUL."""
    pairs = list(given.items())[:32] if isinstance(given, dict) else []
    return {
        str(name)[:200].replace("\0", ""): str(value)[:200].replace("\0", "")
        for name, value in pairs
        if isinstance(value, str | int) and not isinstance(value, bool)
    }


class Talk(Protocol):
    lingers: bool
    """The other side closes the socket, after its own goodbye."""

    def hear(self, frame: str | bytes) -> Iterable[Said]: ...

    def tick(self, stored_ms: int) -> Iterable[str]:
        """About once a second while frames come: what to send. Up to `stored_ms` nothing can get lost."""
        ...

    def refusal(self, code: int, reason: str) -> Iterable[str]:
        """What to send before the socket is closed with `code`; asked twice, once is enough."""
        ...

    def farewell(self, reason: str, *, fault: bool) -> Iterable[str]:
        """What to send when we end a stream that did nothing wrong; `fault`: because we must."""
        ...


class Mute:
    """A talk that sends nothing on its own account."""

    lingers = False

    def tick(self, stored_ms: int) -> Iterable[str]:
        return ()

    def refusal(self, code: int, reason: str) -> Iterable[str]:
        return ()

    def farewell(self, reason: str, *, fault: bool) -> Iterable[str]:
        return ()
