"""Phone systems that send bare audio as binary frames and say the rest in the address or one message:
Asterisk chan_websocket, FreeSWITCH mod_audio_stream and mod_audio_fork, Vonage. Pure.

Each has its class; they share how a call, its legs and its format are named.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from calls.ingest.formats import AudioFormat, FormatError, read_format
from calls.ingest.words import (
    Audio,
    Begin,
    Dtmf,
    End,
    Handshake,
    Ignored,
    Malformed,
    Mute,
    Said,
    Unusable,
    texts,
)

LEGS = {"caller": "customer", "callee": "agent"}
NO_CALL = "no call: name it, as in ?call=<id>&role=customer (letters, figures, at most 120)"
NO_ROLE = "no role: one voice needs role=customer or role=agent; both need mix=stereo"
MIXED = "no role: mixed audio has both voices in one; send mix=stereo, or each voice alone with its role"
NO_RATE = "no rate: say rate=8000 or rate=16000, as the phone system sends it"


def asked(shake: Handshake) -> dict[str, str]:
    """What the address says."""
    pairs = parse_qsl(shake.query[:4000], max_num_fields=32) if shake.query.count("&") < 32 else []
    return {name[:200]: value[:200].replace("\0", "") for name, value in pairs}


class Raw(Mute):
    """What they have in common."""

    def __init__(self, shake: Handshake) -> None:
        self.said = asked(shake)
        self.legs: tuple[str, ...] = ()

    def hear(self, frame: str | bytes) -> Iterable[Said]:
        if isinstance(frame, bytes):
            if not self.legs:
                return self.unannounced(frame)
            return (Audio(self.legs, None, frame),) if frame else ()
        return self.text(frame)

    def unannounced(self, frame: bytes) -> Iterable[Said]:
        return (Unusable("audio before its announcement", 1002),)

    def text(self, frame: str) -> Iterable[Said]:
        raise NotImplementedError

    def begin(self, said: Mapping[str, str], wire: AudioFormat, stream_ref: str = "") -> Iterable[Said]:
        call, role = said.get("call", ""), said.get("role", "")
        if not 1 <= len(call) <= 120:
            return (Unusable(NO_CALL, 1008),)
        if wire.channels == 2:
            self.legs = ("customer", "agent") if role != "agent" else ("agent", "customer")
        elif role:
            self.legs = (role,)
        else:
            return (Unusable(NO_ROLE, 1008),)
        more = {k: v for k, v in said.items() if k not in ("call", "role", "rate", "mix", "token", "format")}
        ref = stream_ref or secrets.token_hex(16)
        return (Begin(call, ref, self.legs, wire, more, said.get("token", "")),)


class Asterisk(Raw):
    """Signed in by password; MEDIA_START in words or JSON, then the codec's own bytes."""

    RATES = {"": 8000, "12": 12000, "16": 16000, "24": 24000, "32": 32000, "44": 44100, "48": 48000}

    def text(self, frame: str) -> Iterable[Said]:
        event, said = self._read(frame)
        if event == "MEDIA_START":
            return self._start(said) if not self.legs else (Ignored(),)
        if event == "DTMF_END":
            return (Dtmf(),)
        return (Ignored(),) if event else (Malformed("no control message"),)

    def _start(self, said: dict[str, str]) -> Iterable[Said]:
        codec = said.get("format", "ulaw")
        try:
            if codec.startswith("slin"):
                wire = read_format("slin", self.RATES.get(codec.removeprefix("slin"), 0))
            else:
                wire = read_format(codec, 8000)
        except FormatError as error:
            return (Unusable(f"audio format: {error}; dial with c(ulaw), c(alaw) or c(slin16)"),)
        # `connection_id` is a section of websocket_client.conf, the same for all calls, and `channel` ends in
        # an address that the next channel may get again: neither can be good once.
        return self.begin(self.said, wire, said.get("channel_id", ""))

    def _read(self, frame: str) -> tuple[str, dict[str, str]]:
        if frame.lstrip().startswith("{"):
            said = _object(frame)
            return said.get("event", said.get("command", "")), said
        event, _, rest = frame[:4000].strip().partition(" ")
        pairs = (word.partition(":") for word in rest.split())
        return event if event.isupper() else "", {name: value for name, _, value in pairs}


class FreeSwitch(Raw):
    """16-bit linear, little endian. What the address leaves open, a first JSON message may say."""

    def unannounced(self, frame: bytes) -> Iterable[Said]:
        begun = tuple(self._start())
        return (*begun, Audio(self.legs, None, frame)) if self.legs and frame else begun

    def text(self, frame: str) -> Iterable[Said]:
        said = _object(frame)
        if self.legs or not said:
            return (Ignored(),)  # later texts are the dialplan's own, and so may a first one be
        self.said = {**said, **self.said}
        return self._start()

    def _start(self) -> Iterable[Said]:
        rate = self.said.get("rate", "").lower().replace("k", "000")
        if not rate.isdecimal() or len(rate) > 6:
            return (Unusable(NO_RATE, 1008),)
        mix = self.said.get("mix", "").lower()
        if mix not in (
            "",
            "mono",
            "stereo",
        ):  # whatever role it has: an agent's voice would be read as a caller's
            return (Unusable(MIXED, 1008),)
        try:
            wire = read_format("L16", int(rate), 2 if mix == "stereo" else 1)
        except FormatError as error:
            return (Unusable(f"audio format: {error}"),)
        return self.begin(self.said, wire)


class Vonage(Raw):
    """One socket a leg; the first message carries the format and the headers of its endpoint."""

    def text(self, frame: str) -> Iterable[Said]:
        said = _object(frame)
        event = said.pop("event", "")
        if event == "websocket:connected" and not self.legs:
            kind = said.pop("content-type", "audio/l16;rate=16000")
            try:
                wire = read_format(kind, None)
            except FormatError as error:
                return (Unusable(f"audio format: {error}"),)
            return self.begin({**said, **self.said}, wire)
        if event == "websocket:dtmf":
            return (Dtmf(),)
        if event in ("websocket:disconnected", "websocket:hangup"):
            return (End(),)
        return (Ignored(),) if event else (Malformed("no event"),)


def _object(frame: str) -> dict[str, str]:
    """The texts and numbers of a JSON object, {} for anything else."""
    try:
        found: Any = orjson.loads(frame)
    except ValueError:
        return {}
    return texts(found)
