"""The parser: the wire of PROTOCOLS §1, its dialects, and any rubbish at all."""

from __future__ import annotations

import base64
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.ingest import twilio
from calls.ingest.twilio import Connected, Mark, Media, Start, Stop, parse
from calls.ingest.words import Dtmf, Ignored, Malformed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=6),
    max_leaves=20,
)
KEYS = st.sampled_from(
    [
        "event",
        "media",
        "start",
        "stop",
        "dtmf",
        "mark",
        "track",
        "timestamp",
        "payload",
        "chunk",
        "streamSid",
        "stream_sid",
        "callSid",
        "call_sid",
        "tracks",
        "mediaFormat",
        "media_format",
        "encoding",
        "sampleRate",
        "channels",
        "customParameters",
        "custom_parameters",
        "name",
        "digit",
    ]
)
NEAR = st.recursive(
    JSON
    | st.sampled_from(["media", "start", "stop", "inbound", "20", "/w==", "audio/x-mulaw", "MZ1", "CA1"]),
    lambda inner: st.dictionaries(KEYS, inner, max_size=8) | st.lists(inner, max_size=3),
    max_leaves=30,
)


def media(**changes: object) -> str:
    inner = {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": "/////w=="} | changes
    return json.dumps({"event": "media", "sequenceNumber": "3", "streamSid": "MZ1", "media": inner})


def test_the_messages_of_a_call() -> None:
    assert parse('{"event":"connected","protocol":"Call","version":"1.0.0"}') == Connected("Call")
    start = {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ1",
        "start": {
            "streamSid": "MZ1",
            "accountSid": "AC1",
            "callSid": "CA1",
            "tracks": ["inbound", "outbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"agent": "bob", "queue": "Fees"},
        },
    }
    expected = Start(
        "MZ1", "CA1", ("inbound", "outbound"), "audio/x-mulaw", 8000, 1, {"agent": "bob", "queue": "Fees"}
    )
    assert parse(json.dumps(start)) == parse(json.dumps(start).encode()) == expected
    assert parse(media()) == Media("inbound", 20, b"\xff" * 4, "MZ1")
    assert parse('{"event":"dtmf","dtmf":{"track":"inbound_track","digit":"5"}}') == Dtmf()
    assert parse('{"event":"mark","mark":{"name":"m"}}') == Mark("m")
    assert parse('{"event":"stop","stop":{"accountSid":"AC1","callSid":"CA1"}}') == Stop("CA1")
    assert parse('{"event":"weather","rain":true}') == Ignored()


def test_snake_case_and_numbers() -> None:
    start = {
        "event": "start",
        "stream_sid": "S1",
        "start": {
            "call_sid": "C1",
            "custom_parameters": {"n": 5, "no": None, "deep": {}},
            "media_format": {"encoding": "PCMU", "sample_rate": "8000"},
        },
    }
    assert parse(json.dumps(start)) == Start("S1", "C1", (), "PCMU", 8000, 1, {"n": "5"})
    assert parse(media(timestamp=40)).timestamp_ms == 40  # type: ignore[union-attr]
    assert parse(media(timestamp=None)).timestamp_ms is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "frame",
    [
        "", "{", "[]", "1", "null", b"\xff\xfe", '{"event":5}', '{"event":"media"}', '{"event":"media","media":7}',
        '{"event":"media","media":{}}', media(payload="not base64!"), media(payload=5), media(payload="é"),
        media(payload="/w"), media(timestamp="soon"), media(timestamp=-1), media(timestamp="-1"), media(timestamp=1.5),
        media(timestamp=True), media(timestamp="9" * 14), media(timestamp="²"), '{"event":"start"}',
        '{"event":"start","start":{"callSid":"CA1"}}', '{"event":"start","start":{"streamSid":"MZ1"}}',
        media(payload=base64.b64encode(bytes(twilio.MAX_PAYLOAD_BYTES + 1)).decode()), " " * 70_000,
        "[" * 5000, '{"event":"start","start":{"callSid":true,"streamSid":[]}}',
    ],
)  # fmt: skip
def test_what_cannot_be_used_says_why(frame: str | bytes) -> None:
    found = parse(frame)
    assert isinstance(found, Malformed) and found.reason


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_no_bytes_make_it_raise(frame: bytes | str) -> None:
    assert isinstance(parse(frame), twilio.Message)


@given(
    st.sampled_from(["media", "start", "stop", "dtmf", "mark", "connected", "x"]),
    st.dictionaries(KEYS, NEAR, max_size=8),
)
def test_no_json_makes_it_raise(event: str, body: dict) -> None:
    try:
        frame = orjson.dumps(body | {"event": event})
    except TypeError:  # integers beyond 64 bits, which JSON allows and orjson will not write
        frame = json.dumps(body | {"event": event}).encode()
    found = parse(frame)
    assert isinstance(found, twilio.Message)
    if isinstance(found, Media):
        assert len(found.payload) <= twilio.MAX_PAYLOAD_BYTES and len(found.track) <= twilio.MAX_TEXT
    if isinstance(found, Start):
        assert found.call_sid and found.stream_sid and "\0" not in found.call_sid
        assert all(isinstance(text, str) for pair in found.parameters.items() for text in pair)
