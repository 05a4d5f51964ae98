"""The simulated phone system against the real door."""

from __future__ import annotations

import io
import signal
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from calls.access import MediaSource
from calls.ingest.wires import WIRES
from calls.models import Call, User
from scoring.audio import decode_mulaw
from scoring.types import Channel
from tests.ingest.conftest import audio_of, wav
from tests.servers import ROOT, Server, started

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real]
MakeSource = Callable[..., MediaSource]


def send(source: str, door: Server | None, **options: Any) -> str:
    out = io.StringIO()
    url = {"url": door.ws} if door else {}
    call_command("send_call", source=source, stdout=out, stderr=out, **url, **options)
    return out.getvalue()


def same(found: bytes, sent: bytes) -> bool:
    """As sound: mu-law has two zeros."""
    return bool(np.array_equal(decode_mulaw(found)[: len(sent)], decode_mulaw(sent)))


def ended() -> Call:
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        if call := Call.objects.exclude(end_reason="").first():
            return call
        time.sleep(0.05)
    raise AssertionError("no call has ended")


def received_ms(call: Call) -> tuple[int, int]:
    customer, agent = (call.counters.get(name, {}).get("received_ms", 0) for name in ("customer", "agent"))
    return customer, agent


def test_two_files(
    door: Server, make_source: MakeSource, bob: User, clean_redis: Any, tmp_path: Path
) -> None:
    source = make_source(token_required=True)
    customer, agent = wav(tmp_path / "c.wav", 1.2, 1), wav(tmp_path / "a.wav", 0.8, 2)
    files = {"customer": str(tmp_path / "c.wav"), "agent": str(tmp_path / "a.wav")}
    said = send(source.slug, door, speed=2.0, agent_user="bob", queue="Fees", label="a try", **files)
    call = ended()
    assert str(call.pk) in said and f"/calls/{call.pk}/" in said and "Played 1.2 s" in said
    assert (call.agent, call.queue, call.label, call.end_reason) == (bob, "Fees", "a try", "The call ended.")
    assert same(audio_of(str(call.pk), Channel.CUSTOMER), customer)
    assert same(audio_of(str(call.pk), Channel.AGENT), agent)


def test_one_stereo_file_through_reversed_roles(
    door: Server, make_source: MakeSource, clean_redis: Any, tmp_path: Path
) -> None:
    source = make_source(roles={"inbound": "agent", "outbound": "customer"})
    left, right = wav(tmp_path / "l.wav", 0.6, 1), wav(tmp_path / "r.wav", 0.6, 2)
    both = np.stack([decode_mulaw(left), decode_mulaw(right)], axis=1).astype("<i2")
    with wave.open(str(tmp_path / "both.wav"), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(both.tobytes())
    send(source.slug, door, stereo=str(tmp_path / "both.wav"))
    call = ended()
    assert same(audio_of(str(call.pk), Channel.CUSTOMER), left)
    assert same(audio_of(str(call.pk), Channel.AGENT), right)


@pytest.mark.parametrize("protocol", sorted(set(WIRES) - {"twilio"}))
def test_every_protocol(
    door: Server, make_source: MakeSource, bob: User, clean_redis: Any, tmp_path: Path, protocol: str
) -> None:
    source = make_source(protocol=protocol)
    customer, agent = wav(tmp_path / "c.wav", 1.2, 1), wav(tmp_path / "a.wav", 1.2, 2)
    files = {"customer": str(tmp_path / "c.wav"), "agent": str(tmp_path / "a.wav")}
    send(source.slug, door, protocol=protocol, speed=2.0, agent_user="bob", **files)
    limit = time.monotonic() + 10
    while min(received := received_ms(call := ended())) < 1200:  # two streams may carry it, and end apart
        assert time.monotonic() < limit, call.counters
        time.sleep(0.05)
    assert received == (1200, 1200)
    assert call.agent == bob and Call.objects.count() == 1
    for channel, sent in ((Channel.CUSTOMER, customer), (Channel.AGENT, agent)):
        heard = decode_mulaw(audio_of(str(call.pk), channel)).astype(int)
        assert (
            max((heard[at : at + 9600] == decode_mulaw(sent)).mean() for at in range(0, len(heard) - 9599))
            == 1
        )


def test_a_protocol_that_is_not_the_sources(make_source: MakeSource, tmp_path: Path) -> None:
    source = make_source(protocol="stream")
    wav(tmp_path / "a.wav", 0.1, 1)
    two = {"customer": str(tmp_path / "a.wav"), "agent": str(tmp_path / "a.wav")}
    with pytest.raises(CommandError, match="speaks stream, not twilio"):
        send(source.slug, None, protocol="twilio", **two)
    with pytest.raises(CommandError, match="no source that speaks asterisk"):
        send("", None, protocol="asterisk", **two)


def test_what_goes_wrong_is_said_plainly(
    door: Server, make_source: MakeSource, settings: Any, tmp_path: Path
) -> None:
    source, off = make_source(), make_source(enabled=False)
    wav(tmp_path / "a.wav", 0.1, 1)
    one = str(tmp_path / "a.wav")
    two = {"customer": one, "agent": one}
    cases: list[tuple[str, dict, str]] = [
        (source.slug, {}, "Give either"),
        (source.slug, {"customer": one}, "Give either"),
        (source.slug, two | {"stereo": one}, "Give either"),
        (source.slug, {"stereo": one}, "not two"),
        (source.slug, {"stereo": "nowhere.wav"}, "not a file"),
        (source.slug, two | {"speed": 9.0}, "--speed"),
        ("no-such", two, "There is no source 'no-such'"),
        (off.slug, two, "disabled"),
    ]
    for slug, options, said in cases:
        with pytest.raises(CommandError, match=said):
            send(slug, door, **options)
    with pytest.raises(CommandError, match="Is the media process running"):
        call_command("send_call", source=source.slug, url="ws://127.0.0.1:9", **two)
    settings.MEDIA_URL_BASE = "wss://elsewhere.example"
    with pytest.raises(CommandError, match="403"):
        send(source.slug, door, **two)


def test_a_floor_runs_until_it_is_told_to_stop(
    door: Server, clean_redis: Any, rubric: Any, monkeypatch: Any
) -> None:
    call_command("seed_demo", stdout=io.StringIO())
    command = [sys.executable, str(ROOT / "manage.py"), "simulate_floor", "--calls", "3", "--stagger", "0.1"]
    with started("floor", [*command, "--url", door.ws], MEDIA_PUBLIC_URL=door.ws) as (process, log):
        limit = time.monotonic() + 40
        while Call.objects.live().count() < 3:
            assert process.poll() is None and time.monotonic() < limit, log.read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0, log.read_text()
    calls = list(Call.objects.all())
    assert len({call.agent_id for call in calls}) == 3 and all(c.agent and c.queue and c.label for c in calls)
    limit = time.monotonic() + 10
    while Call.objects.filter(end_reason="The call ended.").count() < 3:
        assert time.monotonic() < limit
        time.sleep(0.05)
