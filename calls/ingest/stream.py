"""Our own stream, sub-protocol empathy.v1: for browsers, SDKs and whoever has no dialect yet. Pure.

One JSON `start`, then interleaved audio as binary frames; PROTOCOL in docs/connect/stream.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson

from calls import transcripts
from calls.choices import Said as CallerSaid
from calls.ingest.formats import FormatError, read_format
from calls.ingest.words import (
    Audio,
    Begin,
    Consent,
    Dtmf,
    End,
    Handshake,
    Ignored,
    Malformed,
    Pause,
    Resume,
    Said,
    Say,
    Skip,
    Told,
    Unusable,
    texts,
)

SUBPROTOCOL = "empathy.v1"
MAX_FRAME_BYTES = 65536
MAX_SAMPLES = 48_000 * 4 * 3600
CODES = {
    1002: "out_of_order", 1003: "bad_format", 1007: "bad_data", 1008: "refused", 1009: "frame_too_big",
    1011: "internal_error", 1013: "try_later",
}  # fmt: skip


class Talk:
    lingers = False

    def __init__(self, shake: Handshake) -> None:
        self.session = secrets.token_hex(16)
        self.legs: tuple[str, ...] = ()
        self.rate_hz = 8000
        self.resume_from = 0
        self.begun = self.refused = False

    def hear(self, frame: str | bytes) -> Iterable[Said]:
        if isinstance(frame, bytes):
            if not self.begun:
                return (Unusable("audio before start: send a start message first", 1002),)
            return (Audio(self.legs, None, frame),) if frame else ()
        try:
            message = orjson.loads(frame)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            return (Malformed("not a JSON object"),)
        return self._hear(message.get("type"), message)

    def tick(self, stored_ms: int) -> Iterable[str]:
        yield _json(type="ack", samples=self.resume_from + stored_ms * self.rate_hz // 1000)

    def refusal(self, code: int, reason: str) -> Iterable[str]:
        if self.refused:
            return
        self.refused = True
        yield _json(
            type="error", code=CODES.get(code, "ended"), message=reason, retryable=code in (1011, 1013)
        )

    def farewell(self, reason: str, *, fault: bool) -> Iterable[str]:
        return ()

    def _hear(self, kind: Any, message: dict[str, Any]) -> Iterable[Said]:
        if kind == "ping":
            return (Say(_json(type="pong")),)
        if kind == "start":
            return (
                self._start(message)
                if not self.begun
                else (Unusable("started twice: start comes once", 1002),)
            )
        if not self.begun:
            return (Ignored(),)
        if kind == "pause":
            since = _count(message.get("from"))
            return (Pause(None if since is None else self._ms(max(0, since - self.resume_from))),)
        if kind == "resume":
            skipped = self._ms(_count(message.get("skipped")) or 0)
            return (Resume(), Skip(skipped)) if skipped else (Resume(),)
        if kind == "dtmf":
            return (Dtmf(),)
        if kind == "turn":
            return self._turn(message)
        if kind == "consent":
            return self._consent(message)
        return (End(),) if kind == "stop" else (Ignored(),)

    def _start(self, message: dict[str, Any]) -> Iterable[Said]:
        call, legs = message.get("call_ref"), message.get("channels", ["customer", "agent"])
        if not isinstance(call, str) or not 1 <= len(call) <= 120 or "\0" in call:
            return (Unusable("start: call_ref must be the call's name, 1 to 120 characters", 1007),)
        if not isinstance(legs, list) or not all(isinstance(leg, str) for leg in legs):
            return (Unusable('start: channels must be a list like ["customer", "agent"]', 1007),)
        if len(legs) not in (1, 2) or not set(legs) <= {"customer", "agent"} or len(set(legs)) != len(legs):
            return (Unusable("start: channels are customer, agent or both", 1007),)
        rate, name = message.get("rate", 8000), message.get("format")
        if type(rate) is not int or not isinstance(name, str):
            return (Unusable("start: format is pcm_s16le, pcmu or pcma, rate a number of Hz", 1007),)
        try:
            wire = read_format(name, rate, len(legs))
        except FormatError as error:
            return (Unusable(f"start: {error}"),)
        resume = _count(message.get("resume_from"))
        if message.get("resume_from") is not None and resume is None:
            return (Unusable("start: resume_from is the samples that were acknowledged", 1007),)
        self.begun, self.legs, self.rate_hz = True, tuple(legs), rate
        self.resume_from = resume or 0
        ticket, given = message.get("ticket"), message.get("parameters")
        token = ticket[:300] if isinstance(ticket, str) else ""
        at_ms = None if resume is None else self._ms(resume)
        begin = Begin(call, self.session, self.legs, wire, texts(given), token, at_ms)
        return begin, Say(_json(type="started", session=self.session, max_frame=MAX_FRAME_BYTES))

    def _turn(self, message: dict[str, Any]) -> Iterable[Said]:
        try:
            told = transcripts.turn_of(message)
        except transcripts.NotATurn as wrong:
            return (Malformed(str(wrong)), Say(_json(type="warning", message=str(wrong))))
        before = self._ms(self.resume_from)  # the client's clock began with its first stream of the call
        return (Told(replace(told, start_ms=told.start_ms - before, end_ms=told.end_ms - before)),)

    def _consent(self, message: dict[str, Any]) -> Iterable[Said]:
        said = message.get("said")
        if isinstance(said, str) and said in CallerSaid.values:
            return (Consent(CallerSaid(said)),)
        words = f"consent: said must be one of {', '.join(CallerSaid.values)}, not {str(said)[:40]!r}"
        return (Malformed(words), Say(_json(type="warning", message=words)))

    def _ms(self, samples: int) -> int:
        return samples * 1000 // self.rate_hz


def _json(**message: Any) -> str:
    return orjson.dumps(message).decode()


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_SAMPLES else None
