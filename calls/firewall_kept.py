"""What the firewall said when a worker tried it on the model it scores with, kept for the page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from django.core.cache import caches
from django.utils import timezone
from redis.exceptions import RedisError

from scoring.firewall import Tried

log = structlog.get_logger(__name__)
KEY = "firewall"
FRESH = timedelta(minutes=15)
"""Workers try it each five minutes."""


@dataclass(frozen=True)
class Kept:
    at: datetime
    model: str
    """Version of the voice model."""
    tried: tuple[Tried, ...]

    @property
    def is_fresh(self) -> bool:
        return timezone.now() - self.at < FRESH


def keep(model: str, tried: list[Tried]) -> Kept:
    made = Kept(timezone.now(), model, tuple(tried))
    rows = [asdict(one) for one in tried]
    try:
        caches["shared"].set(KEY, {"at": made.at.isoformat(), "model": model, "tried": rows}, None)
    except (RedisError, OSError) as error:
        log.warning("the firewall's test could not be kept", error=str(error))
    return made


def last() -> Kept | None:
    """None where no worker has tried, or what it said cannot be read."""
    try:
        found = caches["shared"].get(KEY)
        rows = tuple(Tried(**row) for row in found["tried"]) if found else ()
        return Kept(datetime.fromisoformat(found["at"]), found["model"], rows) if found else None
    except (RedisError, OSError, KeyError, TypeError, ValueError) as error:
        log.warning("the firewall's test could not be read", error=str(error))
        return None
