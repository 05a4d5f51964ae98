from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import streamdouble.session
from streamdouble import audio as sd_audio
from streamdouble.session import SessionConfig

from bench.product import Product, product
from calls import demo
from calls.ingest import auth
from scoring import assets
from scoring.audio import read_recording

SOURCE = "phone"


@pytest.fixture(scope="session")
def real_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Everything real, models too."""
    for name in ("whisper-base", "minilm-l6"):
        try:
            assets.path(name)
        except assets.AssetMissing as missing:
            pytest.skip(str(missing))
    with product(tmp_path_factory.mktemp("product")) as running:
        yield running


@pytest.fixture(scope="session")
def call_wavs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, float, float], tuple[Path, Path]]:
    """(customer, agent) wav files of a stretch of a demo call."""

    def cut(slug: str, start_s: float, end_s: float) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp("wavs")
        recording = read_recording(demo.load(slug).audio_path)
        for name, samples in zip(("customer", "agent"), recording.samples, strict=False):
            piece = np.asarray(samples)[int(start_s * 8000) : int(end_s * 8000)]
            soundfile.write(folder / f"{name}.wav", piece, 8000, subtype="PCM_16")
        return folder / "customer.wav", folder / "agent.wav"

    return cut


@pytest.fixture
def config_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SessionConfig]:
    """streamdouble's settings for a forked, two-track call, its handshake signed (it cannot sign)."""
    real = streamdouble.session.websockets.connect

    def make(running: Product, agent_wav: Path, **parameters: str) -> SessionConfig:
        secret = running.sql("select secret from calls_source where slug = %s", SOURCE)[0][0]
        headers = {"X-Twilio-Signature": auth.sign(secret, media_address(running))}

        def connect(url: str, **kw: Any) -> Any:
            return real(url, additional_headers=headers, **kw)

        monkeypatch.setattr(streamdouble.session.websockets, "connect", connect)
        return SessionConfig(
            fork=True,
            tracks=["inbound", "outbound"],
            agent_frames=sd_audio.wav_to_ulaw_frames(agent_wav),
            custom_parameters={"agent": "maya.torres", "queue": "Billing"} | parameters,
            response_timeout_s=0.1,
            quiet_period_s=0.1,
        )

    return make


def media_address(running: Product) -> str:
    return f"{running.media_url}/media/twilio/{SOURCE}/"
