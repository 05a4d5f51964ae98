"""What one dashboard socket owes its page: pure bookkeeping, no sockets and no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
Seqs = dict[str, int]
MAX_EVENTS = 500
SETTLE_S = 5.0
"""For so long after a snapshot an old number is an echo of what the snapshot already holds; later
it means that the counters began again (Redis was emptied)."""


@dataclass
class Mailbox:
    seq: Seqs = field(default_factory=dict)
    """The newest number per group that is in the snapshot or among the events."""
    sent: Seqs = field(default_factory=dict)
    """The same, as last told to the page."""
    events: dict[tuple[Any, ...], Event] = field(default_factory=dict)
    wants_snapshot: bool = True
    snapshot_at: float = 0.0
    count: int = 0
    urgent: bool = False

    def put(self, group: str, seq: int, event: Event, now: float) -> None:
        known = self.seq.get(group, 0)
        if seq <= known:
            self.wants_snapshot |= now - self.snapshot_at > SETTLE_S
        elif seq > known + 1 or len(self.events) >= MAX_EVENTS:
            self.wants_snapshot = True
        else:
            self.seq[group] = seq
            self.add(event)

    def add(self, event: Event) -> None:
        """A later tile of a call replaces an earlier one; everything else is kept in order."""
        self.count += 1
        self.urgent |= event.get("urgent", False)
        key: tuple[Any, ...] = (self.count,)
        if event["type"] == "tile":
            key = ("tile", event["tile"]["id"])
        elif event["type"] == "lag":
            key = ("lag",)
        self.events.pop(key, None)
        self.events[key] = event

    def begin(self, seq: Seqs, now: float) -> None:
        """A snapshot that holds everything up to `seq` is about to be sent."""
        self.seq, self.sent = dict(seq), dict(seq)
        self.events.clear()
        self.urgent = False
        self.wants_snapshot, self.snapshot_at = False, now

    def take(self) -> tuple[Seqs, Seqs, list[Event]]:
        """Numbers before, numbers after, and the events between; the box is empty then."""
        before, self.sent = self.sent, dict(self.seq)
        events = list(self.events.values())
        self.events.clear()
        self.urgent = False
        return before, dict(self.sent), events
