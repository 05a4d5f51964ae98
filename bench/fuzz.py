"""Rubbish for every parser that a stranger can reach, looked for by coverage (Atheris, libFuzzer).

    python -m bench fuzz [--runs 100000] [--only twilio,audiosocket]

Each parser has its own process and starts from well-formed messages. It fails on an exception that the
parser does not promise, on an input that takes five seconds, and on memory: what the corpus found is then
replayed without the fuzzer, and neither many conversations nor one that never ends may hold on to more.
Exit status 1 if any failed; the input is kept and named.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import functools
import gc
import io
import json
import logging
import os
import re
import struct
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

SESSION = "e160e428-53b2-487c-977d-96989bf5c99d"
CUT = b"\n~\n"
"""Between the parts of an input: the query, then frames, each with a letter before it."""
MOST_HELD = 256 * 1024
"""Bytes that may be held after REPLAYS inputs more than after a few, and by one endless conversation: a
64 KiB frame that waits for its end, and what the interpreter itself keeps."""
REPLAYS = 20_000
UNDER_TEST = ["calls.ingest", "calls.transcripts", "scoring.given", "scoring.redact", "scoring.audio"]
"""What coverage is counted in."""
SLOWEST_S = 5


class Parser:
    """One that strangers reach: how to run it on any bytes, and inputs to begin from."""

    def __init__(self, run: Callable[[bytes], object], seeds: Iterable[bytes], longest: int = 4096) -> None:
        self.run, self.seeds, self.longest = run, list(seeds), longest

    def endless(self) -> Callable[[bytes], object]:
        """One conversation that hears every input; here: nothing is kept between inputs."""
        return self.run


class Conversation(Parser):
    """A `Talk`, with the conversion and the clocks behind it, as the door has them."""

    def __init__(self, make: Callable[[str], Any], seeds: Iterable[bytes], roles: Mapping[str, str]) -> None:
        self.make, self.roles = make, roles
        super().__init__(lambda data: self.hear(self.begin(data), data), seeds)

    def begin(self, data: bytes) -> Heard:
        return Heard(self.make(data.split(CUT, 1)[0].decode("latin-1")), self.roles)

    def endless(self) -> Callable[[bytes], object]:
        one = self.begin(self.seeds[0])
        return lambda data: self.hear(one, data)

    def hear(self, heard: Heard, data: bytes) -> None:
        for part in data.split(CUT)[1:]:
            heard.frame(part)


class Heard:
    def __init__(self, talk: Any, roles: Mapping[str, str]) -> None:
        from calls.ingest.session import Session

        self.talk, self.converter = talk, None
        self.session = Session(roles, now_ms=0)

    def said(self, part: bytes) -> str | bytes:
        kind, body = part[:1], part[1:]
        if kind == b"h":  # an AudioHook message, numbered as it must be to be read on
            return self._numbered(body)
        return body if kind == b"b" else body.decode("utf-8", "replace")

    def frame(self, part: bytes) -> None:
        for said in self.talk.hear(self.said(part)):
            self._take(said)
        for text in (*self.talk.tick(500), *self.talk.refusal(1008, "no")):
            assert isinstance(text, str)

    def _numbered(self, body: bytes) -> str:
        text = body.decode("utf-8", "replace")
        head = f'"version":"2","id":"{SESSION}","seq":{getattr(self.talk, "heard_seq", 0) + 1}'
        return text.replace("{", "{" + head + ",", 1)

    def _take(self, said: Any) -> None:
        from calls.ingest import words
        from calls.ingest.formats import Converter, FormatError

        assert isinstance(said, words.Said), said
        if isinstance(said, words.Begin):
            assert 0 < len(said.call_ref) <= 200 and "\0" not in said.call_ref, said
            assert all(isinstance(text, str) for pair in said.parameters.items() for text in pair), said
            self.converter = Converter(said.format)
        elif isinstance(said, words.Audio) and self.converter is not None:
            with contextlib.suppress(FormatError):
                for at, parts in self.converter.convert(said.payload, said.timestamp_ms):
                    for leg, mulaw in zip(said.legs, parts, strict=False):
                        self.session.media(leg, at, mulaw, 10**7)
        elif isinstance(said, words.Skip):
            self.session.skip(said.ms, 10**7)
        elif isinstance(said, words.Pause) and said.since_ms is not None:
            self.session.cut(said.since_ms)


# --- the parsers -------------------------------------------------------------------------------------


def a_conversation(query: str, *frames: dict[str, Any] | str | bytes, letter: bytes = b"t") -> bytes:
    parts = [query.encode()]
    for frame in frames:
        if isinstance(frame, bytes):
            parts.append(b"b" + frame)
        else:
            parts.append(letter + (frame if isinstance(frame, str) else json.dumps(frame)).encode())
    return CUT.join(parts)


def wire(name: str) -> Parser:
    from calls.ingest.wires import WIRES
    from calls.ingest.words import Handshake

    def make(query: str) -> Any:
        shake = Handshake(f"/media/{name}/x/", query, {"audiohook-session-id": SESSION})
        return WIRES[name].talk(shake)

    return Conversation(make, SEEDS[name](), WIRES[name].roles or {"customer": "customer", "agent": "agent"})


SOUND = bytes(range(160, 240)) * 4


def _twilio(**start: Any) -> list[bytes]:
    began = {"streamSid": "MZ1", "callSid": "CA1", "stream_id": "s", "call_control_id": "v", "callId": "p"}
    began |= {"tracks": ["inbound", "outbound"], "mediaFormat": {"encoding": "audio/x-mulaw", "channels": 1}}
    began |= {"customParameters": {"token": "t", "agent": "bob"}, **start}
    payload = base64.b64encode(SOUND).decode()
    media = [
        {"event": "media", "streamSid": "MZ1", "media": {"track": track, "timestamp": at, "payload": payload}}
        for track, at in (("inbound", "20"), ("outbound", 40), ("inbound", "9000"))
    ]
    rest = [{"event": "dtmf", "dtmf": {"digit": "1"}}, {"event": "mark", "mark": {"name": "m"}}]
    whole = [{"event": "connected", "protocol": "Call"}, {"event": "start", "start": began}, *media, *rest]
    return [a_conversation("", *whole, {"event": "stop", "stop": {"callSid": "CA1"}})]


def _audiohook() -> list[bytes]:
    offer = {"type": "audio", "format": "PCMU", "channels": ["external", "internal"], "rate": 8000}
    found = []
    for kind in (offer, offer | {"format": "L16", "rate": 16000, "channels": ["internal"]}):
        opened = {"conversationId": "c", "media": [kind], "customConfig": {"a": "b", "n": 1}}
        messages: list[tuple[str, dict[str, Any]]] = [
            ("open", opened), ("ping", {}), ("paused", {}), ("discarded", {"discarded": "PT1.5S"}),
            ("resumed", {"discarded": "PT2S"}), ("update", {"language": "en-US"}),
            ("close", {"reason": "end"}),
        ]  # fmt: skip
        texts = [{"type": name, "position": "PT3S", "parameters": said} for name, said in messages]
        found.append(a_conversation("", *texts[:3], letter=b"h") + CUT + b"b" + SOUND + CUT
                     + a_conversation("", *texts[3:], letter=b"h").split(CUT, 1)[1])  # fmt: skip
    return found


def _stream() -> list[bytes]:
    start = {"type": "start", "call_ref": "c", "format": "pcm_s16le", "rate": 16000, "ticket": "t"}
    turn = {
        "type": "turn",
        "channel": "customer",
        "start_ms": 0,
        "end_ms": 900,
        "text": "hello",
        "confidence": 0.9,
    }
    one = a_conversation(
        "", {"type": "ping"}, start | {"channels": ["customer"], "resume_from": 0, "parameters": {"a": 1}},
        SOUND, turn | {"confidence": 0.9}, {"type": "pause", "from": 4}, {"type": "resume", "skipped": 100},
        {"type": "dtmf"}, {"type": "stop"},
    )  # fmt: skip
    return [one, a_conversation("", start | {"format": "pcmu", "rate": 8000}, SOUND)]


def _asterisk() -> list[bytes]:
    words = "MEDIA_START connection_id:abc channel:WebSocket/abc/0x1 channel_id:1.2 format:slin16 ptime:20"
    said = {"event": "MEDIA_START", "connection_id": "abc", "channel_id": "1.2", "format": "ulaw"}
    return [
        a_conversation("call=c&role=customer", words, SOUND, "DTMF_END digit:1 duration:9", "MEDIA_XOFF"),
        a_conversation("call=c&role=agent&x=y", said, SOUND, {"event": "DTMF_END", "digit": "1"}),
    ]


def _freeswitch() -> list[bytes]:
    return [
        a_conversation("call=c&role=customer&rate=16k", SOUND, '{"x": "y"}', SOUND),
        a_conversation("mix=stereo", {"call": "c", "rate": 8000, "token": "t", "agent": "bob"}, SOUND),
    ]


def _vonage() -> list[bytes]:
    said = {
        "event": "websocket:connected",
        "content-type": "audio/l16;rate=16000",
        "call": "c",
        "role": "agent",
    }
    return [
        a_conversation(
            "", said, SOUND, {"event": "websocket:dtmf", "digit": "1"}, {"event": "websocket:hangup"}
        )
    ]


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "twilio": _twilio,
    "signalwire": _twilio,
    "telnyx": lambda: _twilio(media_format={"encoding": "L16", "sample_rate": 16000, "channels": 1}),
    "plivo": lambda: _twilio(extra_headers="agent=bob;token=t") + _twilio(extra_headers='{"agent": "bob"}'),
    "exotel": lambda: [
        *_twilio(stream_sid="s", call_sid="c", media_format={"sample_rate": "8000"}),
        *_twilio(stream_sid="s", call_sid="c", tracks=None, customParameters={"role": "customer"}),
    ],
    "audiohook": _audiohook,
    "stream": _stream,
    "asterisk": _asterisk,
    "freeswitch": _freeswitch,
    "vonage": _vonage,
}


def audiosocket() -> Parser:
    from calls.ingest.audiosocket import Talk
    from calls.reservations import Reserved

    def frame(kind: int, payload: bytes) -> bytes:
        return struct.pack(">BH", kind, len(payload)) + payload

    frames = [frame(0x10, SOUND), frame(0x10, SOUND[:7]), frame(3, b"1"), frame(0xFF, b"\1"), frame(0, b"")]
    seeds = [
        a_conversation("", *frames), a_conversation("", b"".join(frames)[:200], b"".join(frames)[200:]),
        a_conversation("", *(frame(kind, SOUND) for kind in (0x12, 0x13, 0x12))),
    ]  # fmt: skip
    reserved = Reserved("main", "C1", "customer", None)
    return Conversation(lambda _: Talk(reserved), seeds, {"customer": "customer", "agent": "agent"})


def front_door() -> Parser:
    """Whole streams of every protocol through `door.admit` and `door.Line`, up to the hops they write. The
    row and the buffer are stand-ins, which check what they are given."""
    from calls.ingest.wires import WIRES

    seeds, kinds = [], sorted(SEEDS)
    for n, name in enumerate(kinds):
        seeds += [bytes([65 + n]) + seed for seed in SEEDS[name]()]

    def run(data: bytes) -> None:
        name = kinds[data[0] % len(kinds)] if data else kinds[0]
        stream = Streamed(name, WIRES[name], data[1:])
        _loop().run_until_complete(stream.run())

    return Parser(run, seeds)


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One, with a hub that has nowhere to write to."""
    from calls import record
    from calls.ingest import door

    record.open_call = lambda new: record.Opened("call", False, 0)
    record.media_ended = record.paused = lambda *given: None
    door.log.disabled = True
    logging.disable(logging.CRITICAL)
    return asyncio.new_event_loop()


class Nowhere:
    """Takes what the hub writes, and looks whether it can be."""

    class Client:
        async def eval(self, script: str, keys: int, *given: str) -> int:
            assert all(isinstance(one, str) for one in given)
            return (len(given) - 4) // 2

        async def zadd(self, name: str, scores: Mapping[str, float], *, nx: bool) -> int:
            assert all(scores)
            return len(scores)

        def __getattr__(self, name: str) -> Any:
            raise OSError("no Redis here")

    def __init__(self) -> None:
        self.client = self.Client()

    async def once(self, name: str, ttl_s: int) -> bool:
        return len(name) < 500 and ttl_s > 0

    async def join(self, call: str, stream: str, starts: Mapping[Any, int]) -> Mapping[Any, int]:
        return starts

    async def leave(self, *given: object) -> None:
        pass

    async def silence(self, call: str, channel: str, start: int, stop: int, quiet: bytes) -> None:
        assert 0 <= start <= stop

    async def put_many(self, pieces: list[Any]) -> int:
        assert all(len(piece.payload) in (0, 4000) and 0 <= piece.index < 1000 for piece in pieces)
        return len(pieces)


class Streamed:
    def __init__(self, name: str, wire: Any, data: bytes) -> None:
        from calls.access import MediaSource
        from calls.ingest.hub import Hub
        from calls.ingest.words import Handshake

        query, *self.parts = data.split(CUT)
        shake = Handshake(f"/media/{name}/x/", query.decode("latin-1"), {"audiohook-session-id": SESSION})
        self.wire, self.heard = wire, Heard(wire.talk(shake), {})
        self.source = MediaSource(1, "x", 1, name, True, ("s",), "wss://x/", False, {}, False, (), True)
        self.hub = Hub(Nowhere())  # type: ignore[arg-type]
        self.hub.database = self._now  # type: ignore[method-assign, assignment]
        self.hub.wake = lambda hops: None  # type: ignore[method-assign]

    async def _now(self, do: Callable[[], Any]) -> Any:
        return do()

    async def run(self) -> None:
        from calls.ingest import door
        from calls.ingest.hub import Refused
        from calls.ingest.words import Begin, End, Say

        line = None
        with contextlib.suppress(Refused):
            for part in self.parts:
                said = list(self.heard.talk.hear(self.heard.said(part)))
                for one in said:
                    if isinstance(one, Begin) and line is None:
                        line = await door.admit(self.hub, self.source, one, self.wire.roles)
                    elif line and isinstance(one, End):
                        break
                    elif line and not isinstance(one, Say | Begin):
                        line.take(one)
                if line:
                    line.count(said)
                    line.check()
                    await asyncio.sleep(0)
        if line:
            await line.end("The call ended.")
            assert not self.hub.streams
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


def handshake() -> Parser:
    """Path, query and headers, as the server hands them over, up to the verdict of every protocol."""
    from calls.access import MediaSource
    from calls.ingest import asgi, auth, door, signatures
    from calls.ingest.wires import WIRES

    address = "wss://example.test/media/audiohook/main/"
    key = base64.b64encode(b"k" * 32).decode()
    networks = ("10.0.0.0/8", "2001:db8::/32")
    source = MediaSource(1, "main", 1, "audiohook", True, (key, "old"), address, True, {}, False, networks)

    def run(data: bytes) -> None:
        path, query, peer, *lines = data.split(b"\n")
        headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
        scope = {"path": path.decode("latin-1"), "query_string": query, "headers": headers}
        shake = asgi._handshake(scope)
        asgi.PATH.match(scope["path"])
        for one in WIRES.values():
            assert one.vouch(source, shake).state in ("yes", "no", "later")
        door.is_from(source.networks, peer.decode("latin-1"))
        auth.read_token(source, "CA1", query.decode("latin-1"))

    def split(data: bytes) -> None:
        run(data if data.count(b"\n") >= 2 else data + b"\n\n")

    lines = [f"{name}: {value}" for name, value in signatures.sign(source, SESSION).items()]
    lines += ["Authorization: Basic " + base64.b64encode(f"main:{key}".encode()).decode()]
    lines += ["X-Twilio-Signature: " + auth.sign(key, address), f"Authorization: Bearer {key}"]
    head = ["/media/audiohook/main/", auth.mint_token(source, "CA1"), "10.1.2.3"]
    return Parser(split, ["\n".join([*head, *lines]).encode(), "\n".join([*head[:2], "::1"]).encode()])


def transcripts() -> Parser:
    import orjson

    from calls import transcripts as told
    from scoring import given

    def run(data: bytes) -> None:
        try:
            read = told.read(orjson.loads(data))
        except (told.NotATurn, orjson.JSONDecodeError):
            return
        said = given.in_order(read)
        assert len(given.redacted(given.Before(), said)) == len(said)
        orjson.dumps(told.as_json(said))

    turns = [
        {"channel": "customer", "start_ms": 0, "end_ms": 900, "text": "my card is 4111 1111 1111 1111"},
        {"channel": "agent", "start_ms": 900, "end_ms": 1900, "text": "and your e-mail?", "confidence": 0.5},
        {
            "channel": "customer",
            "start_ms": 2000,
            "end_ms": 2900,
            "text": "joe at example dot com, 0151 234",
        },
    ]
    return Parser(run, [json.dumps(turns).encode(), json.dumps({"turns": turns[:1]}).encode()])


def recordings() -> Parser:
    """Files of any kind, into samples."""
    from scoring.audio import AudioError, stream_recording

    def run(data: bytes) -> None:
        with contextlib.suppress(AudioError):
            for chunk in stream_recording(io.BytesIO(data), "x", max_seconds=60):
                assert chunk.ndim == 2

    return Parser(run, _files(), 16_384)


def _files() -> Iterator[bytes]:
    import av
    import numpy as np

    samples = (np.sin(np.arange(1600) / 5) * 9000).astype(np.int16).reshape(1, -1)
    for container, codec in (
        ("wav", "pcm_s16le"), ("wav", "pcm_mulaw"), ("flac", "flac"), ("mp3", "libmp3lame"),
        ("ogg", "libopus"), ("mp4", "aac"), ("webm", "libopus"),
    ):  # fmt: skip
        out = io.BytesIO()
        with av.open(out, "w", format=container) as file:
            track: Any = file.add_stream(codec, rate=48_000 if codec == "libopus" else 16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate = track.rate
            file.mux(track.encode(frame))
            file.mux(track.encode(None))
        yield out.getvalue()


def parsers() -> dict[str, Callable[[], Parser]]:
    return {
        **{name: functools.partial(wire, name) for name in SEEDS},
        "audiosocket": audiosocket,
        "door": front_door,
        "handshake": handshake,
        "transcripts": transcripts,
        "recordings": recordings,
    }


# --- one parser, in a process of its own ---------------------------------------------------------------


def fuzz(name: str, runs: int, corpus: Path) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=UNDER_TEST):
        setup()
        parser = parsers()[name]()
    for n, seed in enumerate(parser.seeds):
        (corpus / f"seed{n}").write_bytes(seed)
    flags = [f"-runs={runs}", f"-max_len={parser.longest}", "-seed=1", f"-timeout={SLOWEST_S}"]
    flags += ["-rss_limit_mb=2000", "-print_final_stats=1", f"-artifact_prefix={corpus.parent}/{name}-"]
    atheris.Setup([name, *flags, str(corpus)], lambda data: parser.run(data) and None)
    atheris.Fuzz()


def replay(name: str, corpus: Path) -> dict[str, int]:
    """Bytes held after many inputs more than after a few, and by one conversation without an end."""
    setup()
    parser, inputs = parsers()[name](), [path.read_bytes() for path in sorted(corpus.iterdir())]
    rounds = max(1, REPLAYS // len(inputs)) if name != "recordings" else 3
    for data in inputs:
        parser.run(data)
    tracemalloc.start()
    before = held()
    for _ in range(rounds):
        for data in inputs:
            parser.run(data)
    grown = held() - before
    one, before = parser.endless(), held()
    for _ in range(rounds):
        for data in inputs:
            one(data)
    return {"inputs": len(inputs), "grown_bytes": grown, "endless_bytes": held() - before}


def held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def setup() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "empathy_dash.settings")
    django.setup()


# --- all of them -------------------------------------------------------------------------------------


def judge(name: str, runs: int, folder: Path) -> dict[str, Any]:
    corpus = folder / name
    corpus.mkdir()
    command = [sys.executable, "-m", "bench.fuzz"]
    ran = subprocess.run(
        [*command, "--one", name, str(runs), str(corpus)], capture_output=True, text=True, errors="replace"
    )
    found: dict[str, Any] = {"parser": name, "inputs": stat(ran.stderr, "number_of_executed_units")}
    covered = re.findall(r"cov: (\d+)", ran.stderr)
    found |= {
        "branches": int(covered[-1]) if covered else 0,
        "slowest_s": stat(ran.stderr, "slowest_unit_time_sec"),
        "peak_mb": stat(ran.stderr, "peak_rss_mb"),
    }
    if ran.returncode or found["inputs"] < runs:
        trace = [line for line in ran.stderr.splitlines() if not line.startswith(("#", "INFO"))]
        return found | {
            "ok": False,
            "kept_in": str(folder),
            "why": [ran.returncode, *trace[-30:], ran.stdout[-3000:]],
        }
    again = subprocess.run([*command, "--replay", name, str(corpus)], capture_output=True, text=True)
    if again.returncode:
        return found | {"ok": False, "why": again.stderr.splitlines()[-20:]}
    memory = json.loads(again.stdout.splitlines()[-1])
    ok = memory["grown_bytes"] < MOST_HELD and memory["endless_bytes"] < MOST_HELD
    return found | {f"corpus_{key}" if key == "inputs" else key: n for key, n in memory.items()} | {"ok": ok}


def stat(text: str, name: str) -> int:
    found = re.search(rf"stat::{name}:\s*(\d+)", text)
    return int(found[1]) if found else 0


def main(argv: list[str]) -> int:
    known = list(parsers())
    parser = argparse.ArgumentParser(
        prog="bench fuzz", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--only", default=",".join(known), help="parsers, separated by commas")
    asked = parser.parse_args(argv)
    names = asked.only.split(",")
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"no parser {', '.join(unknown)}: choose of {', '.join(known)}")
    try:
        import atheris  # noqa: F401
    except ImportError:
        print(
            "Atheris is not installed (it has wheels for Linux on x86-64): nothing was fuzzed.",
            file=sys.stderr,
        )
        return 2
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    results = []
    for name in names:
        results.append(judge(name, asked.runs, folder))
        print(json.dumps(results[-1]), flush=True)
    return 0 if all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        fuzz(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        print(json.dumps(replay(sys.argv[2], Path(sys.argv[3]))))
