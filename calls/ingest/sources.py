"""The sources as the media door sees them: all of them at once, so that asking for one that is not there
costs nothing, and kept while the database is away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

import structlog

from calls.access import MediaSource, media_sources

log = structlog.get_logger(__name__)

FRESH_S = 5.0
"""So long an admin's change may take to reach the door."""
NEW_S = 0.2
"""At most so often is it looked whether an unknown one was made meanwhile: five queries a second, whatever
comes in. One under way may have begun too early, so two of them must fit into door.REFUSAL_DELAY_S."""
PATIENCE_S = 1.0
"""So long a known source waits for the database; then it is taken as it was."""
LOOK_S = 5.0
"""So long one that is not known waits for it."""

Ask = Callable[[Callable[[], Mapping[str, MediaSource]]], Awaitable[Mapping[str, MediaSource]]]


class Unknowable(RuntimeError):
    """The database has not answered once, so nobody can tell who is known."""


class Sources:
    """One event loop's."""

    def __init__(self, database: Ask) -> None:
        self._database = database
        self._known: Mapping[str, MediaSource] | None = None
        self._tried = self._loaded = self._failed = -1e9
        """When the last look began, the last that came back began, and the last that did not ended."""
        self._looking: asyncio.Task[None] | None = None

    async def find(self, slug: str) -> MediaSource | None:
        """Unknowable."""
        known = await self.all()
        return known.get(slug) or (await self.newer()).get(slug)

    async def newer(self) -> Mapping[str, MediaSource]:
        """As they were at this moment or later, for who misses one that may just have been made; while the
        database is away, as they last were."""
        asked = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                while self._loaded < asked and self._failed < asked:
                    if self._looking is None or self._looking.done():
                        await asyncio.sleep(max(0.0, self._tried + NEW_S - time.monotonic()))
                    await self._look(LOOK_S)
        return self._known or {}

    async def all(self) -> Mapping[str, MediaSource]:
        """By slug, as they were at most FRESH_S ago, or when the database last answered. Unknowable."""
        age = time.monotonic() - max(self._loaded, self._tried)
        if age > FRESH_S or self._known is None:
            await self._look(PATIENCE_S if self._known is not None else None)
        elif age > FRESH_S / 2:
            self._begin()  # before anybody would have to wait for it
        if self._known is None:
            raise Unknowable
        return self._known

    async def _look(self, seconds: float | None) -> None:
        """One look for all who wait; without an answer what was known stays."""
        await asyncio.wait({self._begin()}, timeout=seconds)

    def _begin(self) -> asyncio.Task[None]:
        if self._looking is None or self._looking.done():
            self._tried = time.monotonic()
            self._looking = asyncio.create_task(self._load(self._tried))
        return self._looking

    async def _load(self, began: float) -> None:
        try:
            self._known, self._loaded = await self._database(media_sources), began
        except Exception as error:
            self._failed = time.monotonic()
            log.error("could not read the sources; going by what was known", error=str(error)[:200])


def networks_of(sources: Iterable[MediaSource], protocol: str) -> tuple[str, ...] | None:
    """Where connections of a protocol may come from, whichever source they will name; () from anywhere,
    None from nowhere."""
    found = [source for source in sources if source.enabled and source.protocol == protocol]
    if not found:
        return None
    if any(not source.networks for source in found):
        return ()
    return tuple({network for source in found for network in source.networks})
