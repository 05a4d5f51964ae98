"""Words that somebody else heard: turns of a platform's own transcript, masked in the order they were said.

What is masked depends on the turns before (a number that goes on, a kind that was asked for), so turns that
come late or again are read anew with those around them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scoring import redact
from scoring.types import Channel

MODEL = "given"
SAID_TURNS = 2
"""Earlier texts of the same speaker that the language model gets."""


@dataclass(frozen=True)
class Said:
    channel: Channel
    start_ms: int
    end_ms: int
    text: str
    """As it was told, unmasked."""
    confidence: float = 1.0


@dataclass(frozen=True)
class Before:
    """What the turns before left behind, for each channel. Holds no digit."""

    carries: Mapping[Channel, redact.Carry] = field(default_factory=dict)
    said: Mapping[Channel, tuple[str, ...]] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        return {
            "carries": {str(channel): carry.dump() for channel, carry in self.carries.items()},
            "said": {str(channel): list(texts) for channel, texts in self.said.items()},
        }

    @classmethod
    def load(cls, detail: Mapping[str, Any]) -> Before:
        carries = {Channel(c): redact.Carry.load(carry) for c, carry in detail.get("carries", {}).items()}
        return cls(carries, {Channel(c): tuple(texts) for c, texts in detail.get("said", {}).items()})


@dataclass(frozen=True)
class Clean:
    """A turn as it may be kept."""

    said: Said
    text: str
    masks: int
    previous: tuple[str, ...]
    after: Before
    """What it leaves behind for the next."""


def in_order(said: Iterable[Said]) -> list[Said]:
    return sorted(said, key=lambda one: (one.start_ms, one.channel))


def redacted(before: Before, said: Sequence[Said]) -> list[Clean]:
    """Each turn masked, knowing what came before it on both sides."""
    found: list[Clean] = []
    for one in said:
        previous = before.said.get(one.channel, ())
        others = [carry for channel, carry in before.carries.items() if channel is not one.channel]
        masked = redact.redact(one.text, before.carries.get(one.channel), others)
        before = replace(before, carries={**before.carries, one.channel: masked.carry})
        if masked.text:
            texts = (*previous, masked.text)[-SAID_TURNS:]
            before = replace(before, said={**before.said, one.channel: texts})
        found.append(Clean(one, masked.text, len(masked.masks), previous, before))
    return found
