"""One call of the planted set."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Call:
    family: str
    turns: list[tuple[str, str]]
    """Speaker, text."""
    secrets: list[str] = field(default_factory=list)
    kind: str = ""
    keep: list[str] = field(default_factory=list)
