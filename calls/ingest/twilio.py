"""Twilio Media Streams, one text frame at a time: bytes in, a typed message out; never raises.

Pure, and forgiving where dialects differ (PROTOCOLS §1): camelCase or snake_case, numbers or
strings, unknown events and fields ignored. What cannot be used says why in `Malformed`.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

MAX_FRAME_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 8000
"""One second of mu-law; real frames carry 20 ms."""
MAX_TIMESTAMP_MS = 10**13
"""Twilio counts from the stream's start; some dialects send the time of day."""
MAX_TEXT = 200
MAX_PARAMETERS = 32


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


class Dtmf(NamedTuple):
    """A key was pressed. Which one is not kept: it may be part of a card number."""

    track: str


class Mark(NamedTuple):
    name: str


class Stop(NamedTuple):
    call_sid: str


class Ignored(NamedTuple):
    event: str


class Malformed(NamedTuple):
    reason: str


Message = Connected | Start | Media | Dtmf | Mark | Stop | Ignored | Malformed


def parse(frame: str | bytes) -> Message:
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
    reader = _READERS.get(event)
    return reader(raw) if reader else Ignored(event[:MAX_TEXT])


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


def _start(raw: dict[str, Any]) -> Start | Malformed:
    start = raw.get("start")
    if not isinstance(start, dict):
        return Malformed("start without start")
    stream_sid = _stream_sid(start) or _stream_sid(raw)
    call_sid = _first(start, "callSid", "call_sid", "callId", "call_id", "call_control_id")
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
        encoding=_text(media_format.get("encoding")) or "audio/x-mulaw",
        rate_hz=8000 if rate_hz is None else rate_hz,
        channels=1 if channels is None else channels,
        parameters=_parameters(_either(start, "customParameters", "custom_parameters")),
    )


def _parameters(found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    pairs = list(found.items())[:MAX_PARAMETERS]
    return {_text(name): _text(value) for name, value in pairs if isinstance(value, str | int)}


def _connected(raw: dict[str, Any]) -> Connected:
    return Connected(_text(raw.get("protocol")))


def _dtmf(raw: dict[str, Any]) -> Dtmf:
    dtmf = raw.get("dtmf")
    return Dtmf(_text(dtmf.get("track")) if isinstance(dtmf, dict) else "")


def _mark(raw: dict[str, Any]) -> Mark:
    mark = raw.get("mark")
    return Mark(_text(mark.get("name")) if isinstance(mark, dict) else "")


def _stop(raw: dict[str, Any]) -> Stop:
    stop = raw.get("stop")
    return Stop(_first(stop, "callSid", "call_sid") if isinstance(stop, dict) else "")


_READERS = {
    "connected": _connected,
    "start": _start,
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
