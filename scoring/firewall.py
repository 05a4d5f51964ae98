"""The channel firewall, tried out: a voice model must refuse every way to hand it an agent's audio, and take
a caller's, or its refusals would say nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from scoring.types import WINDOW_SAMPLES, Channel, CustomerWindow, FirewallError
from scoring.voice import StandInVoice, VoiceModel


@dataclass(frozen=True)
class Tried:
    attempt: str
    refused: bool
    answer: str
    """What the firewall said, or what got through."""
    allowed: bool = False
    """A caller's audio: to be refused would be wrong."""

    @property
    def right(self) -> bool:
        return self.refused != self.allowed


class _Disguised(CustomerWindow):
    """Looks like a customer's window, and skips the check."""

    def __init__(self, samples: Any) -> None:
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "start_ms", 0)


def self_test(model: VoiceModel | None = None) -> list[Tried]:
    """Try it on `model` (default: the stand-in, which has the same door as every model)."""
    model = model or StandInVoice()
    audio = np.full(WINDOW_SAMPLES, 0.1, dtype=np.float32)
    window = CustomerWindow.from_channel(Channel.CUSTOMER, np.zeros(WINDOW_SAMPLES, np.float32), 0)
    attempts: dict[str, Callable[[], object]] = {
        "Make a window of the agent's channel": lambda: CustomerWindow.from_channel(Channel.AGENT, audio, 0),
        "Make a window of no channel": lambda: CustomerWindow(samples=audio, start_ms=0),
        "Refill a caller's window": lambda: dataclasses.replace(window, samples=audio),
        "Hand plain audio to the model": lambda: model.score(cast(Any, [audio]), cast(Any, [None])),
        "Hand a disguised window to the model": lambda: model.score([_Disguised(audio)], cast(Any, [None])),
    }
    refusals = [_tried(name, attempt) for name, attempt in attempts.items()]
    return [*refusals, _taken(model, window)]


def _tried(name: str, attempt: Callable[[], object]) -> Tried:
    try:
        return Tried(name, False, f"got through: {type(attempt()).__name__}")
    except FirewallError as error:
        return Tried(name, True, str(error))
    except Exception as error:  # a model that breaks down has not refused
        return Tried(name, False, f"{type(error).__name__}: {error}"[:200])


def _taken(model: VoiceModel, window: CustomerWindow) -> Tried:
    """Anything but a score for the window counts as refused, also a model that does not run."""
    name = "Hand a caller's window to the model"
    try:
        [score] = model.score([window])
    except Exception as error:  # a model is somebody's code: whatever it raises is the answer
        return Tried(name, True, f"{type(error).__name__}: {error}"[:200], allowed=True)
    return Tried(name, False, f"read by {score.model}"[:200], allowed=True)
