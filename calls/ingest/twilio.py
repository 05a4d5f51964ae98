"""Twilio Media Streams and its family, one text frame at a time: bytes in, what it says out; never raises.

Pure, and forgiving where dialects differ (PROTOCOLS §1): camelCase or snake_case, numbers or
strings, unknown events and fields ignored. What cannot be used says why in `Malformed`.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from calls.ingest.formats import FormatError, read_format
from calls.ingest.words import Audio, Begin, Dtmf, End, Ignored, Malformed, Mute, Said, Unusable

MAX_FRAME_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 48_000
"""One second of mu-law, 0.5 s of the widest linear; real frames carry 20 to 100 ms."""
MAX_TIMESTAMP_MS = 10**13
"""Twilio counts from the stream's start; some dialects send the time of day."""
MAX_TEXT = 200
MAX_PARAMETERS = 32
NO_ROLE = "no role: audio that names no track needs the parameter role=customer or role=agent"


@dataclass(frozen=True)
class Dialect:
    """How a family member differs: names are tried in order, camelCase and snake_case alike."""

    call_names: tuple[str, ...] = ("callSid", "call_sid", "callId", "call_id")
    encoding: str = "audio/x-mulaw"
    """When `start` names none."""
    big_endian: bool = False
    """Of linear samples."""
    parameters: tuple[str, ...] = ("customParameters", "custom_parameters")
    rate_hz: int = 8000


TWILIO = Dialect()
TELNYX = Dialect(("call_session_id", "call_control_id"), big_endian=True)
PLIVO = Dialect(("callId", "call_id"), "audio/x-l16", parameters=("extra_headers", "extraHeaders"))
EXOTEL = Dialect(("call_sid", "callSid"), "audio/x-l16")
DIALECTS = {"twilio": TWILIO, "signalwire": TWILIO, "telnyx": TELNYX, "plivo": PLIVO, "exotel": EXOTEL}


class Connected(NamedTuple):
    protocol: str


class Start(NamedTuple):
    stream_sid: str
    call_sid: str
    tracks: tuple[str, ...]
    encoding: str
    rate_hz: int
    channels: int
    parameters: Mapping[str, str]


class Media(NamedTuple):
    track: str
    timestamp_ms: int | None
    """Since the stream began; None when the dialect sends none."""
    payload: bytes
    stream_sid: str


class Mark(NamedTuple):
    name: str


class Stop(NamedTuple):
    call_sid: str


Message = Connected | Start | Media | Dtmf | Mark | Stop | Ignored | Malformed


class Talk(Mute):
    """One stream of the family. Nothing is ever sent back: Twilio takes a message as an error."""

    def __init__(self, dialect: Dialect = TWILIO) -> None:
        self.dialect = dialect
        self.begun = False
        self._only = ""
        """Whose voice it is where a frame does not say: Exotel names no tracks at all."""
        self._named = False
        """A frame said it."""

    def hear(self, frame: str | bytes) -> Iterable[Said]:
        message = parse(frame, self.dialect)
        if type(message) is Media:
            track = message.track or self._only
            if not track and self.begun:
                return (Malformed("media without a track") if self._named else Unusable(NO_ROLE, 1008),)
            self._named = True
            return (Audio((track,), message.timestamp_ms, message.payload),)
        if isinstance(message, Start):
            return self._begin(message)
        if isinstance(message, Stop):
            return (End(),)
        if isinstance(message, Connected | Mark):
            return ()
        return (message,) if isinstance(message, Dtmf | Ignored | Malformed) else ()

    def _begin(self, start: Start) -> Iterable[Said]:
        if self.begun:
            return (Ignored(),)
        self.begun = True
        try:
            wire = read_format(
                start.encoding, start.rate_hz, start.channels, big_endian=self.dialect.big_endian
            )
        except FormatError as error:
            return (Unusable(f"audio format: {error}"),)
        if wire.channels != 1:
            return (Unusable("audio format: each track must be mono"),)
        legs = tuple(track for track in start.tracks if track)
        parameters = dict(start.parameters)
        token = parameters.pop("token", "")
        if not legs and (role := parameters.pop("role", "")):
            legs = (role,)
        self._only = legs[0] if len(legs) == 1 else ""
        return (Begin(start.call_sid, start.stream_sid, legs, wire, parameters, token),)


def parse(frame: str | bytes, dialect: Dialect = TWILIO) -> Message:
    """The message in one frame."""
    if len(frame) > MAX_FRAME_BYTES:
        return Malformed(f"frame of {len(frame)} bytes")
    try:
        raw = orjson.loads(frame)
    except (ValueError, TypeError):
        return Malformed("not JSON")
    if not isinstance(raw, dict):
        return Malformed("not a JSON object")
    event = raw.get("event")
    if event == "media":
        return _media(raw)
    if not isinstance(event, str):
        return Malformed("no event")
    if event == "start":
        return _start(raw, dialect)
    reader: Callable[[dict[str, Any]], Message] | None = _READERS.get(event)
    return reader(raw) if reader else Ignored()


def _media(raw: dict[str, Any]) -> Media | Malformed:
    media = raw.get("media")
    if not isinstance(media, dict):
        return Malformed("media without media")
    try:
        payload = binascii.a2b_base64(media["payload"], strict_mode=True)
    except (KeyError, TypeError, ValueError):
        return Malformed("media payload is not base64")
    if len(payload) > MAX_PAYLOAD_BYTES:
        return Malformed(f"media payload of {len(payload)} bytes")
    at = media.get("timestamp")
    timestamp_ms = None
    if at is not None:
        timestamp_ms = _whole(at)
        if timestamp_ms is None or timestamp_ms > MAX_TIMESTAMP_MS:
            return Malformed("media timestamp is not a time")
    return Media(_text(media.get("track")), timestamp_ms, payload, _stream_sid(raw))


def _start(raw: dict[str, Any], dialect: Dialect) -> Start | Malformed:
    start = raw.get("start")
    if not isinstance(start, dict):
        return Malformed("start without start")
    stream_sid = _stream_sid(start) or _stream_sid(raw)
    call_sid = _first(start, *dialect.call_names, *TWILIO.call_names)
    if not stream_sid or not call_sid:
        return Malformed("start names no stream or no call")
    media_format = _either(start, "mediaFormat", "media_format")
    media_format = media_format if isinstance(media_format, dict) else {}
    tracks = start.get("tracks")
    rate_hz = _whole(_either(media_format, "sampleRate", "sample_rate"))
    channels = _whole(media_format.get("channels"))
    return Start(
        stream_sid=stream_sid,
        call_sid=call_sid,
        tracks=tuple(_text(t) for t in tracks[:8]) if isinstance(tracks, list) else (),
        encoding=_text(media_format.get("encoding")) or dialect.encoding,
        rate_hz=dialect.rate_hz if rate_hz is None else rate_hz,
        channels=1 if channels is None else channels,
        parameters=_parameters(_named(start, raw, *dialect.parameters, *TWILIO.parameters)),
    )


def _parameters(found: Any) -> dict[str, str]:
    if isinstance(found, str):  # Plivo: JSON, or "name=value;name=value"
        found = _loose(found[:4000])
    if not isinstance(found, dict):
        return {}
    pairs = list(found.items())[:MAX_PARAMETERS]
    return {_text(name): _text(value) for name, value in pairs if isinstance(value, str | int)}


def _loose(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        pairs = (pair.partition("=") for pair in text.replace(",", ";").split(";"))
        return {name.strip().removeprefix("X-PH-"): value.strip() for name, _, value in pairs if name.strip()}


def _named(start: dict[str, Any], raw: dict[str, Any], *names: str) -> Any:
    return next((found[n] for n in names for found in (start, raw) if found.get(n)), None)


def _connected(raw: dict[str, Any]) -> Connected:
    return Connected(_text(raw.get("protocol")))


def _dtmf(raw: dict[str, Any]) -> Dtmf:
    return Dtmf()


def _mark(raw: dict[str, Any]) -> Mark:
    mark = raw.get("mark")
    return Mark(_text(mark.get("name")) if isinstance(mark, dict) else "")


def _stop(raw: dict[str, Any]) -> Stop:
    stop = raw.get("stop")
    return Stop(_first(stop, "callSid", "call_sid") if isinstance(stop, dict) else "")


_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "connected": _connected,
    "dtmf": _dtmf,
    "mark": _mark,
    "stop": _stop,
}


def _stream_sid(found: dict[str, Any]) -> str:
    return _first(found, "streamSid", "stream_sid", "streamId", "stream_id")


def _first(found: dict[str, Any], *names: str) -> str:
    return next((text for name in names if (text := _text(found.get(name)))), "")


def _either(found: dict[str, Any], camel: str, snake: str) -> Any:
    return found[camel] if camel in found else found.get(snake)


def _text(value: Any) -> str:
    """At most MAX_TEXT characters of a string or a number, without NUL; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)[:MAX_TEXT].replace("\0", "")


def _whole(value: Any) -> int | None:
    """A whole number >= 0, given as one or in decimal digits."""
    if isinstance(value, str) and len(value) <= 15 and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
