"""Agent audio must not reach the emotion model, whichever way somebody tries."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from scoring.types import RATE_HZ, WINDOW_SAMPLES, Channel, CustomerWindow, FirewallError
from scoring.voice import StandInVoice, VoiceModel

AGENT_AUDIO = np.full(WINDOW_SAMPLES, 0.1, dtype=np.float32)


@pytest.fixture
def model() -> VoiceModel:
    return StandInVoice()


def test_agent_channel_cannot_become_a_customer_window() -> None:
    with pytest.raises(FirewallError):
        CustomerWindow.from_channel(Channel.AGENT, AGENT_AUDIO, 0)


def test_constructor_refuses_without_the_channel() -> None:
    with pytest.raises(FirewallError):
        CustomerWindow(samples=AGENT_AUDIO, start_ms=0)


def test_a_customers_window_cannot_be_refilled() -> None:
    window = CustomerWindow.from_channel(Channel.CUSTOMER, np.zeros(WINDOW_SAMPLES, np.float32), 0)
    with pytest.raises(FirewallError):
        dataclasses.replace(window, samples=AGENT_AUDIO)
    with pytest.raises(ValueError, match="read-only"):
        window.samples[:] = AGENT_AUDIO
    with pytest.raises(dataclasses.FrozenInstanceError):
        window.samples = AGENT_AUDIO  # type: ignore[misc]


class _Disguise(CustomerWindow):
    """A subclass that skips the check."""

    def __init__(self, samples: Any, start_ms: int) -> None:
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "start_ms", start_ms)


@pytest.mark.parametrize(
    "smuggled",
    [
        AGENT_AUDIO,
        AGENT_AUDIO.tobytes(),
        None,
        (Channel.AGENT, AGENT_AUDIO),
        SimpleNamespace(samples=AGENT_AUDIO, start_ms=0),
        _Disguise(samples=AGENT_AUDIO, start_ms=0),
    ],
    ids=["array", "bytes", "none", "tuple", "look-alike", "subclass"],
)
def test_score_refuses_anything_else(model: VoiceModel, smuggled: object) -> None:
    customer = CustomerWindow.from_channel(Channel.CUSTOMER, AGENT_AUDIO, 0)
    with pytest.raises(TypeError, match="CustomerWindow"):
        model.score([customer, cast(Any, smuggled)])


def test_score_refuses_samples_that_are_not_numbers(model: VoiceModel) -> None:
    broken = np.full(RATE_HZ, np.nan, dtype=np.float32)
    with pytest.raises(ValueError, match="finite"):
        model.score([CustomerWindow.from_channel(Channel.CUSTOMER, broken, 1500)])
