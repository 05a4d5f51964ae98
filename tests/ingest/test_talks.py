"""Each protocol's half of the talk, pure: what it means, what it answers, and any rubbish at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.choices import Said as CallerSaid
from calls.ingest import audiohook, raw, stream
from calls.ingest.formats import AudioFormat, Encoding
from calls.ingest.wires import WIRES
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
    Trouble,
    Unusable,
)

SESSION = "e160e428-53b2-487c-977d-96989bf5c99d"
HEADERS = {"audiohook-session-id": SESSION}
PCMU = {"type": "audio", "format": "PCMU", "channels": ["external", "internal"], "rate": 8000}
MONO = PCMU | {"channels": ["external"]}


def shake(query: str = "") -> Handshake:
    return Handshake("/media/x/y/", query, HEADERS)


class Client:
    """A counting AudioHook client, without a socket."""

    def __init__(self) -> None:
        self.talk, self.seq, self.heard = audiohook.Talk(shake()), 0, 0

    def say(self, kind: str, position: str = "PT0S", **parameters: Any) -> list[Said]:
        self.seq += 1
        message = {"version": "2", "id": SESSION, "type": kind, "seq": self.seq, "serverseq": self.heard}
        said = list(self.talk.hear(json.dumps(message | {"position": position, "parameters": parameters})))
        for one in said:
            if isinstance(one, Say):
                answer = json.loads(one.text)
                self.heard += 1
                assert (answer["seq"], answer["clientseq"]) == (self.heard, self.seq)
                assert answer["version"] == "2" and answer["id"] == SESSION
        return said


def answers(said: list[Said]) -> list[tuple[str, dict]]:
    found = [json.loads(one.text) for one in said if isinstance(one, Say)]
    return [(one["type"], one["parameters"]) for one in found]


def test_audiohook_a_whole_call() -> None:
    client = Client()
    said = client.say(
        "open", conversationId="conv", media=[MONO, PCMU], customConfig={"agent": "bob", "n": [1]}
    )
    assert said[0] == Begin(
        "conv", SESSION, ("external", "internal"), AudioFormat(channels=2), {"agent": "bob"}
    )
    assert answers(said) == [("opened", {"startPaused": False, "media": [PCMU]})]
    assert list(client.talk.hear(b"ab")) == [Audio(("external", "internal"), None, b"ab")]
    assert list(client.talk.hear(b"")) == []
    assert answers(client.say("ping", rtt="PT0.1S")) == [("pong", {})]
    assert client.say("paused", position="PT1.2S") == [Pause(1200)]
    assert client.say("resumed", start="PT1.2S", discarded="PT3.5S") == [Resume(), Skip(3500)]
    assert client.say("discarded", start="PT1S", discarded="PT0.25S") == [Skip(250)]
    assert answers(client.say("update", language="de")) == [("updated", {})]
    assert client.say("error", code=408, message="no  pong\0") == [Trouble(408, "no pong")]
    said = client.say("close", reason="reconnect")
    assert answers(said) == [("closed", {})] and said[-1] == End("The phone system reconnects.")
    assert not list(client.talk.refusal(1008, "late"))


def test_audiohook_either_order_mono_and_l16() -> None:
    swapped = PCMU | {"channels": ["internal", "external"]}
    assert Client().say("open", conversationId="c", media=[swapped])[0].legs == ("internal", "external")  # type: ignore[union-attr]
    assert Client().say("open", conversationId="c", media=[MONO])[0].legs == ("external",)  # type: ignore[union-attr]
    wide = PCMU | {"format": "L16", "rate": 16000}
    begun = Client().say("open", conversationId="c", media=[{"type": "video"}, wide])[0]
    assert begun.format == AudioFormat(Encoding.S16LE, 16000, 2)  # type: ignore[union-attr]


def test_audiohook_a_probe_is_answered_and_is_no_call() -> None:
    client = Client()
    said = client.say("open", conversationId=audiohook.NIL, media=[PCMU])
    assert answers(said)[0][0] == "opened" and not any(isinstance(one, Begin) for one in said)
    assert list(client.talk.hear(b"")) == [Ignored()]
    assert answers(client.say("close", reason="end")) == [("closed", {})]


def test_audiohook_is_told_once_that_we_end_it() -> None:
    for fault, reason in ((False, "completed"), (True, "error")):
        client = Client()
        client.say("open", conversationId="c", media=[PCMU])
        (text,) = client.talk.farewell("No audio for 30 s.", fault=fault)
        told = json.loads(text)
        assert (told["type"], told["seq"]) == ("disconnect", 2)
        assert told["parameters"] == {"reason": reason, "info": "No audio for 30 s."}
        assert not list(client.talk.farewell("x", fault=True)) and not list(client.talk.refusal(1011, "x"))
        client.heard += 1
        assert answers(client.say("close", reason="disconnect")) == [("closed", {})]


def test_audiohook_says_what_it_goes_on_from() -> None:
    before = [{"id": "one", "serverseq": 4, "clientseq": 9}, {"id": 5}, "two", {"id": "three\0"}, {"id": ""}]
    (begin, _) = Client().say("open", conversationId="c", media=[PCMU], continuedSessions=before)
    assert begin.continues == ("one",)  # type: ignore[union-attr]
    (begin, _) = Client().say("open", conversationId="c", media=[PCMU], continuedSessions="one")
    assert begin.continues == ()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "given", [{}, {"code": "408"}, {"code": True, "message": 5}, {"code": -1}, {"code": 10**9}]
)
def test_audiohook_an_error_of_any_kind(given: dict) -> None:
    client = Client()
    assert client.say("error", **given) == [Trouble(0, "")]


@pytest.mark.parametrize(
    "changes,why",
    [({"seq": 7}, "sequence"), ({"seq": True}, "sequence"), ({"serverseq": 3}, "sequence"), ({"id": "other"}, "session"),
     ({"version": "3"}, "session"), ({"parameters": {"media": [PCMU]}}, "conversationId"),
     ({"parameters": {"conversationId": "c", "media": [PCMU | {"format": "OPUS"}]}}, "media"),
     ({"parameters": {"conversationId": "c", "media": 5}}, "media")],
)  # fmt: skip
def test_audiohook_what_is_wrong_is_named(changes: dict, why: str) -> None:
    talk = audiohook.Talk(shake())
    good = {
        "version": "2",
        "id": SESSION,
        "type": "open",
        "seq": 1,
        "parameters": {"conversationId": "c", "media": [PCMU]},
    }
    (found,) = talk.hear(json.dumps(good | changes))
    assert isinstance(found, Unusable) and why in found.reason
    (goodbye,) = talk.refusal(found.code, found.reason)
    assert json.loads(goodbye)["type"] == "disconnect" and why in json.loads(goodbye)["parameters"]["info"]


def test_our_stream() -> None:
    talk = stream.Talk(shake())
    start = {
        "type": "start",
        "call_ref": "C1",
        "format": "pcm_s16le",
        "rate": 16000,
        "channels": ["agent"],
        "ticket": "t",
        "resume_from": 16000,
        "parameters": {"agent": "bob"},
    }
    begin, started = talk.hear(json.dumps(start))
    assert begin == Begin(
        "C1", talk.session, ("agent",), AudioFormat(Encoding.S16LE, 16000), {"agent": "bob"}, "t", 1000
    )
    assert json.loads(started.text) == {"type": "started", "session": talk.session, "max_frame": 65536}  # type: ignore[union-attr]
    assert list(talk.hear(b"1234")) == [Audio(("agent",), None, b"1234")]
    assert json.loads(next(iter(talk.tick(500)))) == {"type": "ack", "samples": 24000}
    assert list(talk.hear('{"type":"pause","from":24000}')) == [Pause(500)]
    turn = {"type": "turn", "channel": "agent", "start_ms": 800, "end_ms": 3000, "text": "hi"}
    (told,) = talk.hear(json.dumps(turn))
    assert isinstance(told, Told) and (told.said.start_ms, told.said.end_ms) == (-200, 2000)
    assert list(talk.hear('{"type":"resume","skipped":1600}')) == [Resume(), Skip(100)]
    assert list(talk.hear('{"type":"dtmf","digit":"4"}')) == [Dtmf()] and list(
        talk.hear('{"type":"stop"}')
    ) == [End()]
    assert json.loads(next(iter(talk.refusal(1013, "full")))) == {
        "type": "error",
        "code": "try_later",
        "message": "full",
        "retryable": True,
    }


def test_our_stream_tells_of_consent() -> None:
    talk = stream.Talk(shake())
    assert list(talk.hear('{"type":"consent","said":"no"}')) == [Ignored()], "before its start it is nobody's"
    talk.hear(json.dumps({"type": "start", "call_ref": "C", "format": "pcmu"}))
    for said in CallerSaid:
        assert list(talk.hear(json.dumps({"type": "consent", "said": said}))) == [Consent(said)]
    for bad in ("NO", "", None, ["no"], 7, "x" * 900):
        wrong, warning = talk.hear(json.dumps({"type": "consent", "said": bad}))
        assert isinstance(wrong, Malformed) and isinstance(warning, Say)
        told = json.loads(warning.text)
        assert (
            told["type"] == "warning" and "notice, yes, no" in told["message"] and len(told["message"]) < 200
        )


@pytest.mark.parametrize(
    "changes,why",
    [({"call_ref": ""}, "call_ref"), ({"call_ref": 5}, "call_ref"), ({"format": "opus"}, "PCMU"), ({"rate": 7}, "7 Hz"), ({"rate": "8k"}, "rate"),
     ({"channels": ["x"]}, "channels"), ({"channels": []}, "channels"), ({"channels": [[]]}, "channels"), ({"resume_from": -1}, "resume_from")],
)  # fmt: skip
def test_our_stream_says_what_is_wrong(changes: dict, why: str) -> None:
    (found,) = stream.Talk(shake()).hear(
        json.dumps({"type": "start", "call_ref": "C", "format": "pcmu"} | changes)
    )
    assert isinstance(found, Unusable) and why in found.reason


@pytest.mark.parametrize("form", ["text", "json"])
def test_asterisk(form: str) -> None:
    talk = raw.Asterisk(shake("call=C1&role=agent&queue=Fees"))
    text = "MEDIA_START connection_id:k1 channel:WebSocket/x channel_id:1.2 format:slin16 optimal_frame_size:640 ptime:20"
    if form == "json":
        text = json.dumps(
            {
                "event": "MEDIA_START",
                "connection_id": "k1",
                "channel_id": "1.2",
                "format": "slin16",
                "ptime": 20,
            }
        )
    assert list(talk.hear(text)) == [
        Begin("C1", "1.2", ("agent",), AudioFormat(Encoding.S16LE, 16000), {"queue": "Fees"})
    ]
    assert list(talk.hear(b"12")) == [Audio(("agent",), None, b"12")]
    assert list(talk.hear("DTMF_END digit:5")) == [Dtmf()] and list(talk.hear("MEDIA_XOFF")) == [Ignored()]
    assert isinstance(next(iter(talk.hear("hello"))), Malformed)


def test_freeswitch() -> None:
    talk = raw.FreeSwitch(shake("call=C1&rate=16k&mix=stereo"))
    begin, audio = talk.hear(b"1234")
    assert begin.legs == audio.legs == ("customer", "agent") and begin.format == AudioFormat(
        Encoding.S16LE, 16000, 2
    )  # type: ignore[union-attr]
    talk = raw.FreeSwitch(shake("rate=8000"))
    (begin,) = talk.hear('{"call":"C2","role":"callee","agent":"bob"}')
    assert begin.call_ref == "C2" and begin.legs == ("callee",) and begin.parameters == {"agent": "bob"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "query,why",
    [
        ("call=C&role=agent", "rate"),
        ("rate=8000&role=agent", "call"),
        ("rate=8000&call=C", "role"),
        ("rate=7000&call=C&role=agent", "7000 Hz"),
        ("rate=8000&call=C&role=customer&mix=mixed", "both voices in one"),
        ("rate=8000&call=C&role=agent&mix=Mixed", "both voices in one"),
        ("rate=8000&call=C&role=customer&mix=both", "both voices in one"),
    ],
)
def test_freeswitch_says_what_is_missing(query: str, why: str) -> None:
    (found,) = raw.FreeSwitch(shake(query)).hear(b"12")
    assert isinstance(found, Unusable) and why in found.reason


def test_vonage() -> None:
    talk = raw.Vonage(shake())
    (begin,) = talk.hear(
        '{"event":"websocket:connected","content-type":"audio/l16;rate=16000","call":"C1","role":"customer","token":"t"}'
    )
    assert begin == Begin("C1", begin.stream_ref, ("customer",), AudioFormat(Encoding.S16LE, 16000), {}, "t")  # type: ignore[union-attr]
    assert list(talk.hear('{"event":"websocket:dtmf","digit":"5"}')) == [Dtmf()]


@pytest.mark.parametrize(
    "name,start,expected",
    [
        ("telnyx", {"stream_id": "S", "start": {"call_session_id": "C", "media_format": {"encoding": "L16", "sample_rate": 16000, "channels": 1}}}, AudioFormat(Encoding.S16BE, 16000)),
        ("telnyx", {"stream_id": "S", "start": {"call_control_id": "C", "media_format": {"encoding": "PCMA"}}}, AudioFormat(Encoding.PCMA)),
        ("plivo", {"start": {"streamId": "S", "callId": "C", "tracks": ["inbound"], "mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 8000}}}, AudioFormat(Encoding.S16LE)),
        ("exotel", {"stream_sid": "S", "start": {"call_sid": "C", "media_format": {"encoding": "base64", "sample_rate": "8000"}}}, AudioFormat(Encoding.S16LE)),
        ("signalwire", {"streamSid": "S", "start": {"callSid": "C"}}, AudioFormat()),
    ],
)  # fmt: skip
def test_the_family(name: str, start: dict, expected: AudioFormat) -> None:
    (begin,) = WIRES[name].talk(shake()).hear(json.dumps({"event": "start"} | start))
    assert isinstance(begin, Begin) and (begin.call_ref, begin.stream_ref, begin.format) == (
        "C",
        "S",
        expected,
    )


EXOTEL = {
    "stream_sid": "S", "call_sid": "C", "account_sid": "A", "from": "+911", "to": "+912",
    "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
}  # fmt: skip
SOUND = {"event": "media", "stream_sid": "S", "media": {"chunk": "2", "timestamp": "200", "payload": "AAA="}}


def test_exotel_names_no_track_so_a_parameter_must() -> None:
    talk = WIRES["exotel"].talk(shake())
    told = EXOTEL | {"custom_parameters": {"role": "agent", "agent": "bob"}}
    (begin,) = talk.hear(json.dumps({"event": "start", "start": told}))
    assert begin.legs == ("agent",) and begin.parameters == {"agent": "bob"}  # type: ignore[union-attr]
    assert list(talk.hear(json.dumps(SOUND))) == [Audio(("agent",), 200, b"\0\0")]


def test_a_voice_without_a_name_is_refused_in_words() -> None:
    talk = WIRES["exotel"].talk(shake())
    assert isinstance(next(iter(talk.hear(json.dumps({"event": "start", "start": EXOTEL})))), Begin)
    (found,) = talk.hear(json.dumps(SOUND))
    assert isinstance(found, Unusable) and "role=customer" in found.reason and found.code == 1008


def test_a_frame_that_forgot_its_track_ends_no_stream() -> None:
    talk = WIRES["telnyx"].talk(shake())
    list(talk.hear(json.dumps({"event": "start", "stream_id": "S", "start": {"call_session_id": "C"}})))
    named = SOUND | {"media": SOUND["media"] | {"track": "inbound"}}  # type: ignore[operator]
    assert list(talk.hear(json.dumps(named))) == [Audio(("inbound",), 200, b"\0\0")]
    assert [type(one) for one in talk.hear(json.dumps(SOUND))] == [Malformed]


def test_plivo_headers_are_parameters() -> None:
    start = {
        "event": "start",
        "extra_headers": "X-PH-agent=bob;X-PH-token=t1",
        "start": {"streamId": "S", "callId": "C"},
    }
    (begin,) = WIRES["plivo"].talk(shake()).hear(json.dumps(start))
    assert begin.parameters == {"agent": "bob"} and begin.token == "t1"  # type: ignore[union-attr]


KEYS = st.sampled_from(
    [
        "event",
        "type",
        "seq",
        "id",
        "version",
        "parameters",
        "media",
        "conversationId",
        "channels",
        "format",
        "rate",
        "call_ref",
        "start",
        "from",
        "resume_from",
        "discarded",
        "position",
        "streamId",
        "callId",
        "customConfig",
        "content-type",
        "call",
        "role",
        "payload",
        "track",
        "mediaFormat",
        "encoding",
    ]
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(
        [
            "open",
            "start",
            "paused",
            "resumed",
            "close",
            "media",
            "MEDIA_START",
            "websocket:connected",
            "audio",
            "PCMU",
            "external",
            SESSION,
            "2",
            "PT1S",
            "C",
            "consent",
            "said",
            "no",
            1,
            2,
            8000,
            "8000",
            "agent",
            "L16",
        ]
    )
)
NEAR = st.recursive(
    VALUES,
    lambda inner: st.dictionaries(KEYS, inner, max_size=6) | st.lists(inner, max_size=3),
    max_leaves=15,
)


@pytest.mark.parametrize("name", sorted(WIRES))
@given(
    query=st.text(max_size=40),
    frames=st.lists(
        st.binary(max_size=40) | st.text(max_size=40) | st.dictionaries(KEYS, NEAR, max_size=7), max_size=6
    ),
)
def test_nothing_makes_a_talk_raise(name: str, query: str, frames: list) -> None:
    talk = WIRES[name].talk(shake(query))
    for frame in frames:
        sent = json.dumps(frame) if isinstance(frame, dict) else frame
        if name == "audiohook" and isinstance(frame, dict):
            sent = json.dumps({"version": "2", "id": SESSION, "seq": talk.heard_seq + 1} | frame)  # type: ignore[attr-defined]
        for said in talk.hear(sent):
            assert isinstance(said, Said)
            if isinstance(said, Begin):
                assert 0 < len(said.call_ref) <= 200 and said.stream_ref is not None
                assert all(isinstance(text, str) for pair in said.parameters.items() for text in pair)
    assert all(isinstance(text, str) for text in [*talk.tick(500), *talk.refusal(1008, "no")])
