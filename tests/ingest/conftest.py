from __future__ import annotations

import base64
import json
import random
import uuid
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from django.conf import settings as django_settings

from calls.access import MediaSource, media_source
from calls.buffer import Ledger
from calls.models import Source, Team
from empathy_dash import embedded
from scoring.audio import decode_mulaw
from scoring.types import HOP_SAMPLES, Channel
from tests.servers import Server, media_server


@pytest.fixture(scope="session")
def door(django_db_setup: None, django_db_blocker: Any) -> Iterator[Server]:
    """A media process for all tests of this room."""
    port, plain = embedded.free_ports(), embedded.free_ports()
    own = {"MEDIA_PUBLIC_URL": f"ws://127.0.0.1:{port}", "AUDIOSOCKET": f"127.0.0.1:{plain}"}
    with django_db_blocker.unblock():
        with media_server(port, **own) as server:
            server.audiosocket = own["AUDIOSOCKET"]
            yield server


@pytest.fixture
def make_source(billing: Team, door: Server, settings: Any) -> Callable[..., MediaSource]:
    """A source as the media process at `door` will see it. Never the same slug: it caches them."""
    settings.MEDIA_URL_BASE, settings.AUDIOSOCKET_PUBLIC = door.ws, door.audiosocket

    def make(**fields: Any) -> MediaSource:
        slug = f"line-{uuid.uuid4().hex[:8]}"
        Source.objects.create(name=slug, slug=slug, team=billing, **fields)
        found = media_source(slug)
        assert found
        return found

    return make


@pytest.fixture
def ledger(clean_redis: redis.Redis) -> Ledger:
    return Ledger(clean_redis)


def audio_of(call_id: str, channel: Channel) -> bytes:
    """All of a channel as it lies in the buffer, raw; hops that never came, or of a pause, are left out."""
    client = redis.Redis.from_url(django_settings.REDIS_URL)
    keys = client.keys(f"audio:{call_id}:{channel}:*")
    found = sorted((int(key.rsplit(b":", 1)[1]), client.get(key)) for key in keys)
    client.close()
    assert all(raw == b"p" or raw[:1] == b"u" and len(raw) == HOP_SAMPLES + 1 for _, raw in found)
    return b"".join(raw[1:] for _, raw in found)


def wav(path: Path, seconds: float, seed: int) -> bytes:
    """Writes noise that mu-law keeps exactly, as 8 kHz PCM; returns its mu-law bytes."""
    rng = random.Random(seed)
    mulaw = bytes(b for b in rng.randbytes(int(seconds * 8000 * 1.1)) if b != 0x7F)[: int(seconds * 8000)]
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(decode_mulaw(mulaw).astype(np.dtype("<i2")).tobytes())
    return mulaw


def message(event: str, **body: Any) -> str:
    return json.dumps({"event": event, "sequenceNumber": "1", **body})


def start(call_sid: str, stream_sid: str, **parameters: str) -> str:
    inner = {
        "streamSid": stream_sid,
        "callSid": call_sid,
        "accountSid": "AC1",
        "tracks": ["inbound", "outbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters,
    }
    return message("start", streamSid=stream_sid, start=inner)


def media(at_ms: int, audio: bytes, track: str = "inbound") -> str:
    inner = {
        "track": track,
        "chunk": "1",
        "timestamp": str(at_ms),
        "payload": base64.b64encode(audio).decode(),
    }
    return message("media", streamSid="MZ1", media=inner)


@pytest.fixture
def genesys(make_source: Callable[..., MediaSource]) -> MediaSource:
    return make_source(protocol="audiohook", previous_secret=base64.b64encode(b"the old one").decode())
