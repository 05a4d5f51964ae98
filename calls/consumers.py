"""Dashboard sockets: a snapshot, then what happened since (docs/contracts.md): at most once a second,
sooner when a caller has just finished a turn.

Handlers only store; one ticker per socket sends. The channel layer may lose messages and never says
so: a gap in `seq`, or falling behind Redis' own counters, leads to a fresh snapshot.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib import import_module
from time import monotonic
from types import SimpleNamespace
from typing import Any

import orjson
import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.http import Http404, QueryDict
from django.utils import timezone

from calls import access, helping, live, push, reviewing, second_factor, wire
from calls.buffer import ledger
from calls.changes import Held
from calls.mailbox import Mailbox, Seqs

log = structlog.get_logger(__name__)
FLUSH_S = 1.0
URGENT_S = 0.4
"""The same for what should not wait: a caller has just finished a turn, a state or a risk changed."""
TICK_S = 5.0
"""How often a socket looks around: is it still allowed, has it missed something."""
PULSE_S = 2.0
"""And how often it says that the line lives: a page that hears nothing for 5 s dates what it shows."""
NOT_YOURS = 4404


class LiveConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    watched: list[str]

    # -- what a page differs in

    def find_groups(self) -> list[str]:
        """Groups to listen to; Http404 for an outsider."""
        raise NotImplementedError

    def snapshot(self) -> dict[str, Any]:
        """The document the page starts from; Http404 once it is no longer theirs to see."""
        raise NotImplementedError

    def numbered(self, seq: Seqs) -> Any:
        return seq

    def shortened(self, event: dict[str, Any]) -> dict[str, Any]:
        """An event as it goes out, in the order they do."""
        return event

    def local_events(self) -> list[dict[str, Any]]:
        """What this process itself knows to tell at each tick."""
        return []

    def opened(self) -> None:
        """The page is there; may write."""

    def closed(self) -> None:
        """The page is gone; may write."""

    # -- the socket

    async def connect(self) -> None:
        self.watched, self.ticker, self.there = [], None, False
        try:
            groups = await database_sync_to_async(self._allowed_groups)()
        except Http404:
            await self.close(NOT_YOURS)
            return
        self.mail, self.counters = Mailbox(), Seqs()
        self.woken, self.hurried = asyncio.Event(), asyncio.Event()
        for group in groups:
            await self.channel_layer.group_add(group, self.channel_name)
        self.watched = groups
        await self.accept()
        await database_sync_to_async(self.opened)()
        self.there = True
        self.woken.set()
        self.ticker = asyncio.create_task(self.keep_sending())

    async def disconnect(self, code: int) -> None:
        if self.ticker:
            self.ticker.cancel()
        for group in self.watched:
            await self.channel_layer.group_discard(group, self.channel_name)
        if self.there:
            await database_sync_to_async(self.closed)()

    async def push(self, message: dict[str, Any]) -> None:
        self.mail.put(message["group"], message["seq"], message["event"], monotonic())
        self.woken.set()
        if self.mail.urgent:
            self.hurried.set()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if isinstance(content, dict) and content.get("type") == "refetch":
            self.mail.wants_snapshot = True
            self.woken.set()

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        try:
            return orjson.loads(text_data)
        except orjson.JSONDecodeError:
            return None

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        return orjson.dumps(content, default=str).decode()

    # -- the ticker

    async def keep_sending(self) -> None:
        try:
            await self._send_for_ever()
        except asyncio.CancelledError:
            raise
        except Http404:
            await self.close(NOT_YOURS)
        except Exception:  # The page must not wait on a dead ticker: it reconnects.
            log.exception("dashboard socket failed")
            await self.close(1011)

    async def _send_for_ever(self) -> None:
        flushed, next_tick, next_pulse = -FLUSH_S, monotonic() + TICK_S, monotonic() + PULSE_S
        while True:
            try:
                until = min(next_tick, next_pulse)
                await asyncio.wait_for(self.woken.wait(), max(0.0, until - monotonic()))
            except TimeoutError:
                if monotonic() >= next_tick:
                    await self.look_around()
                    next_tick = monotonic() + TICK_S
                await self.pulse()
                next_pulse = monotonic() + PULSE_S
                continue
            await asyncio.sleep(max(0.0, flushed + URGENT_S - monotonic()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self.hurried.wait(), max(0.0, flushed + FLUSH_S - monotonic()))
            self.woken.clear()
            self.hurried.clear()
            flushed = monotonic()
            await self.flush()

    async def flush(self) -> None:
        if self.mail.wants_snapshot:
            return await self.send_fresh()
        urgent = self.mail.urgent
        before, after, events = self.mail.take()
        if events:
            ends = {"from": self.numbered(before), "seq": self.numbered(after), "urgent": urgent}
            await self.send_json({"type": "events", **ends, "events": [self.shortened(e) for e in events]})

    async def send_fresh(self) -> None:
        """Numbers first, then the snapshot: what comes between is applied twice, never missed."""
        await self.join(await database_sync_to_async(self.check)())
        seq = await database_sync_to_async(push.current_seqs)(self.watched)
        self.mail.begin(seq, monotonic())
        document = await database_sync_to_async(self.snapshot)()
        await self.send_json({"type": "snapshot", "seq": self.numbered(seq), **document})

    async def join(self, groups: list[str]) -> None:
        """Listen to these too: there is more for the viewer to see than when the page was opened."""
        for group in groups:
            await self.channel_layer.group_add(group, self.channel_name)
        self.watched = [*self.watched, *groups]

    async def look_around(self) -> None:
        more, counters, events = await database_sync_to_async(self._look_around)()
        if more:
            self.mail.wants_snapshot = True  # which joins them
        if any(self.mail.seq.get(group, 0) < seq for group, seq in self.counters.items()):
            self.mail.wants_snapshot = True
        self.counters = counters
        for event in events:
            self.mail.add(event)
        if events or self.mail.wants_snapshot:
            self.woken.set()

    async def pulse(self) -> None:
        await self.send_json({"type": "tick", "now": timezone.now().isoformat()})

    def check(self) -> list[str]:
        """Groups that came to be the viewer's since. Http404 once they are logged out, switched off, or may
        not hear all of this any more."""
        session = import_module(settings.SESSION_ENGINE).SessionStore(self.scope["session"].session_key)
        self.scope["user"] = get_user(SimpleNamespace(session=session))  # type: ignore[arg-type]
        allowed = self._allowed_groups()
        if not set(self.watched) <= set(allowed):
            raise Http404
        return [group for group in allowed if group not in self.watched]

    def _allowed_groups(self) -> list[str]:
        if second_factor.is_missing(self.scope["user"], self.scope["session"]):
            raise Http404
        return self.find_groups()

    def _look_around(self) -> tuple[list[str], Seqs, list[dict[str, Any]]]:
        more = self.check()
        return more, push.current_seqs(self.watched), self.local_events()


class FloorConsumer(LiveConsumer):
    def find_groups(self) -> list[str]:
        if not access.may_see_floor(self.scope["user"]):
            raise Http404
        groups = access.floor_groups(self.scope["user"], self.team)
        if self.team and not groups:
            raise Http404
        return groups

    @property
    def wall(self) -> bool:
        """A page for a wall gets neither names nor words."""
        return b"wall=1" in self.scope["query_string"].split(b"&")

    @property
    def team(self) -> str:
        """The number of the one team that the page shows; "": all."""
        return QueryDict(self.scope["query_string"]).get("team") or ""

    def snapshot(self) -> dict[str, Any]:
        self.find_groups()
        of = live.wall_snapshot if self.wall else live.floor_snapshot
        floor = of(self.scope["user"], ledger().lag_ms(), self.team)
        self.held = Held(floor["calls"].values())
        return {"floor": floor}

    def shortened(self, event: dict[str, Any]) -> dict[str, Any]:
        return self.held.shortened(event)

    async def push(self, message: dict[str, Any]) -> None:
        event = message["event"]
        if self.wall and "tile" in event:
            message = message | {"event": event | {"tile": wire.wall_tile(event["tile"])}}
        await super().push(message)

    def local_events(self) -> list[dict[str, Any]]:
        return [{"type": "lag", "lag_ms": ledger().lag_ms()}]


class CallConsumer(LiveConsumer):
    def _call(self) -> Any:
        return access.get_call_or_404(self.scope["user"], self.scope["url_route"]["kwargs"]["call_id"])

    def find_groups(self) -> list[str]:
        return [f"call.{self._call().pk}"]

    def snapshot(self) -> dict[str, Any]:
        return {"call": live.call_snapshot(self._call()), "now": timezone.now().isoformat()}

    def numbered(self, seq: Seqs) -> Any:
        return next(iter(seq.values()), 0)

    def opened(self) -> None:
        call = self._call()
        reviewing.saw_machine(call, self.scope["user"])
        row = helping.look(call, self.scope["user"])
        self.look = row.pk if row else None

    def closed(self) -> None:
        if self.look is not None:
            helping.looked(self.look)

    def local_events(self) -> list[dict[str, Any]]:
        if self.look is not None:
            helping.still_looking(self.look)
        return []


class AgentConsumer(LiveConsumer):
    """An agent's own page: their running calls, cues, messages, and who looks on."""

    def find_groups(self) -> list[str]:
        user = self.scope["user"]
        if not access.is_agent(user):
            raise Http404
        return [f"agent.{user.pk}"]

    def snapshot(self) -> dict[str, Any]:
        return {"me": live.agent_snapshot(self.scope["user"]), "now": timezone.now().isoformat()}

    def numbered(self, seq: Seqs) -> Any:
        return next(iter(seq.values()), 0)


async def no_such_socket(scope: Any, receive: Any, send: Any) -> None:
    """Any other address: refused before it is accepted."""
    await receive()
    await send({"type": "websocket.close", "code": NOT_YOURS})
