"""Genesys Cloud AudioHook, version 2, monitor mode: one connection's half of the talk. Pure.

Sequence numbers are exact in both directions, each message answers at once, and it is the client
that closes the socket. Keys pressed, numbers and names of callers are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

from calls.ingest.formats import RATES_HZ, AudioFormat, Encoding
from calls.ingest.words import (
    Audio,
    Begin,
    End,
    Handshake,
    Ignored,
    Malformed,
    Pause,
    Resume,
    Said,
    Say,
    Skip,
    Trouble,
    Unusable,
    texts,
)

ROLES = {"external": "customer", "internal": "agent"}
NIL = "00000000-0000-0000-0000-000000000000"
FORMATS = {"PCMU": Encoding.PCMU, "L16": Encoding.S16LE}
ENDS = {
    "end": "The call ended.",
    "error": "The phone system reported an error.",
    "disconnect": "The stream was disconnected.",
    "reconnect": "The phone system reconnects.",
}
_DURATION = re.compile(r"^PT(\d{1,7}(?:\.\d{1,9})?)S$")


class Talk:
    lingers = True

    def __init__(self, shake: Handshake) -> None:
        self.session = shake.headers.get("audiohook-session-id", "")[:80]
        self.heard_seq = 0
        """The client's last."""
        self.seq = 0
        """Our last."""
        self.legs: tuple[str, ...] = ()
        self.opened = self.ended = self.disconnected = False
        self.begun = False
        """False still for a probe, which has opened but is no call."""

    def hear(self, frame: str | bytes) -> Iterable[Said]:
        if isinstance(frame, bytes):
            if not self.begun or self.ended:
                return (Ignored(),)
            return (Audio(self.legs, None, frame),) if frame else ()
        message = _read(frame)
        if message is None:
            return (Malformed("not an AudioHook message"),)
        if message.get("version") != "2" or message.get("id") != self.session:
            return (Unusable("another session: version must be 2 and id the Audiohook-Session-Id"),)
        seq = message.get("seq")
        if (
            type(seq) is not int
            or seq != self.heard_seq + 1
            or not _up_to(message.get("serverseq", 0), self.seq)
        ):
            return (Unusable("out of sequence: seq counts each message from 1, serverseq ours", 1002),)
        self.heard_seq += 1
        given = message.get("parameters")
        return self._hear(message, given if isinstance(given, dict) else {})

    def tick(self, stored_ms: int) -> Iterable[str]:
        return ()

    def refusal(self, code: int, reason: str) -> Iterable[str]:
        return self._disconnect("error", reason)

    def farewell(self, reason: str, *, fault: bool) -> Iterable[str]:
        return self._disconnect("error" if fault else "completed", reason)

    def _disconnect(self, why: str, info: str) -> Iterable[str]:
        """Once, and then the client closes."""
        if not self.ended and not self.disconnected:
            self.disconnected = True
            yield self._say("disconnect", {"reason": why, "info": info[:200]}).text

    def _hear(self, message: dict[str, Any], given: dict[str, Any]) -> Iterable[Said]:
        kind = message["type"]
        if kind == "ping":
            return (self._say("pong"),)
        if kind == "close":
            self.ended = True
            reason = given.get("reason")
            return self._say("closed"), End(ENDS.get(reason if isinstance(reason, str) else "", ENDS["end"]))
        if kind == "open":
            return self._open(given) if not self.opened else (Unusable("opened twice: open comes once"),)
        if kind == "update":
            return (self._say("updated"),)
        if kind == "error":
            return (_trouble(given),)
        if not self.begun:
            return (Ignored(),)
        if kind == "paused":
            return (Pause(_ms(message.get("position"))),)
        if kind == "resumed":
            return Resume(), *_skip(given)
        return _skip(given) if kind == "discarded" else (Ignored(),)

    def _open(self, given: dict[str, Any]) -> Iterable[Said]:
        conversation, offered = given.get("conversationId"), given.get("media")
        if not isinstance(conversation, str) or not 1 <= len(conversation) <= 80 or "\0" in conversation:
            return (Unusable("no conversationId: open names its conversation", 1007),)
        chosen = _choose(offered if isinstance(offered, list) else [])
        if chosen is None:
            return (Unusable("no media: offer PCMU or L16, external and internal channels"),)
        self.opened = True
        answer = self._say("opened", {"startPaused": False, "media": [chosen]})
        if conversation == NIL:
            return (answer,)
        self.begun, self.legs = True, tuple(chosen["channels"])
        wire = AudioFormat(FORMATS[chosen["format"]], chosen["rate"], len(self.legs))
        more = texts(given.get("customConfig"))
        before = _sessions(given.get("continuedSessions"))
        return Begin(conversation, self.session, self.legs, wire, more, continues=before), answer

    def _say(self, kind: str, parameters: dict[str, Any] | None = None) -> Say:
        self.seq += 1
        message = {
            "version": "2",
            "id": self.session,
            "type": kind,
            "seq": self.seq,
            "clientseq": self.heard_seq,
            "parameters": parameters or {},
        }
        return Say(orjson.dumps(message).decode())


def _trouble(given: dict[str, Any]) -> Trouble:
    code, words = given.get("code"), given.get("message")
    text = " ".join(words[:200].replace("\0", "").split()) if isinstance(words, str) else ""
    return Trouble(code if type(code) is int and 0 <= code < 1000 else 0, text)


def _sessions(continued: Any) -> tuple[str, ...]:
    """Ids of the sessions that this one goes on from."""
    some = continued[:32] if isinstance(continued, list) else []
    found = (one.get("id") for one in some if isinstance(one, dict))
    return tuple(name[:80] for name in found if isinstance(name, str) and name and "\0" not in name)


def _read(frame: str) -> dict[str, Any] | None:
    try:
        found = orjson.loads(frame)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("type"), str) else None


def _up_to(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _choose(offered: list[Any]) -> dict[str, Any] | None:
    """The first offer with both channels, or else with one; unchanged, as the protocol wants it."""
    usable = [one for one in offered[:32] if isinstance(one, dict) and _usable(one)]
    return max(usable, key=lambda one: (len(one["channels"]), one["format"] == "PCMU"), default=None)


def _usable(one: dict[str, Any]) -> bool:
    channels = one.get("channels")
    if not isinstance(channels, list) or not all(isinstance(c, str) and c in ROLES for c in channels):
        return False
    distinct = len(channels) == len(set(channels)) and len(channels) in (1, 2)
    known = isinstance(one.get("format"), str) and one["format"] in FORMATS
    rate = one.get("rate")
    return bool(one.get("type") == "audio" and known and type(rate) is int and rate in RATES_HZ and distinct)


def _ms(duration: Any) -> int | None:
    found = _DURATION.match(duration) if isinstance(duration, str) else None
    return round(float(found[1]) * 1000) if found else None


def _skip(given: dict[str, Any]) -> tuple[Skip, ...]:
    skipped = _ms(given.get("discarded"))
    return (Skip(skipped),) if skipped else ()
