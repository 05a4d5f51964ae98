"""Empties the webhooks' outbox: claims what is due, posts it, notes what came of it, tries again later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import orjson
import structlog
from django.db import connection, transaction
from django.utils import timezone

from calls import metrics, outbound, sealing, webhooks
from calls.models import Delivery, Webhook
from calls.outbound import Answer

log = structlog.get_logger(__name__)
AT_ONCE = 16
LEASE = timedelta(seconds=90)
"""A claim that nobody finished, because the process died, is due again after this."""
WAITS = tuple(timedelta(seconds=s) for s in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""Before each further try, as Standard Webhooks has it: nine more over three and a half days."""
GIVE_UP = timedelta(days=5)
"""Nothing but failures for so long switches a webhook off."""
KEPT = timedelta(days=14)
GONE = 410
_running = threading.Lock()
Post = Callable[[str, bytes, dict[str, str]], Answer]


def start() -> bool:
    """Deliver what is due, in a thread: the other end may be slow. False: one runs already."""
    if not _running.acquire(blocking=False):
        return False
    threading.Thread(target=_run, name="webhooks", daemon=True).start()
    return True


def _run() -> None:
    try:
        while deliver_due():
            pass
    except Exception:
        log.exception("webhooks stopped; the next round goes on")
    finally:
        connection.close()
        _running.release()


def deliver_due(now: datetime | None = None) -> int:
    """One batch, each to the end. Returns how many were tried."""
    claimed = claim(now or timezone.now())
    if not claimed:
        return 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as pool:
        answers = list(pool.map(_send, *zip(*[letter(row) for row in claimed], strict=True)))
    for row, answer in zip(claimed, answers, strict=True):
        note(row, answer)
    return len(claimed)


def claim(now: datetime) -> list[Delivery]:
    """Due ones, oldest first, ours for LEASE."""
    with transaction.atomic():
        due = Delivery.objects.select_for_update(skip_locked=True, of=("self",)).select_related("webhook")
        rows = list(due.filter(next_at__lte=now, webhook__enabled=True).order_by("next_at", "pk")[:AT_ONCE])
        for row in rows:
            row.attempts += 1
            row.next_at = now + LEASE
        Delivery.objects.bulk_update(rows, ["attempts", "next_at"])
    return rows


def letter(row: Delivery) -> tuple[str, bytes, dict[str, str]]:
    """Address, body and headers; signed anew at each try. No headers: the secret cannot be opened."""
    body = orjson.dumps(row.body)
    try:
        return row.webhook.url, body, webhooks.headers(row.webhook, row.event_id, body, timezone.now())
    except sealing.Unreadable:
        return row.webhook.url, body, {}


def _send(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    if not headers:
        return Answer(None, "its secret cannot be read: SECRET_KEY has changed; make a new secret")
    try:
        return outbound.post(url, body, headers)
    except Exception:  # one bad address must not cost the others their answers
        log.exception("webhook post failed")
        return Answer(None, "it could not be sent")


def note(row: Delivery, answer: Answer, now: datetime | None = None) -> None:
    """What came of a try: delivered, again later, or given up; and how its webhook does."""
    now = now or timezone.now()
    row.status, row.trouble = answer.status, answer.trouble
    if answer.ok:
        row.delivered_at, row.next_at = now, None
    else:
        row.next_at = now + WAITS[row.attempts - 1] if row.attempts <= len(WAITS) else None
    metrics.WEBHOOKS.labels("delivered" if answer.ok else "failed").inc()
    with transaction.atomic():
        row.save(update_fields=["status", "trouble", "delivered_at", "next_at"])
        _note_hook(row.webhook_id, answer, now)


def _note_hook(pk: int, answer: Answer, now: datetime) -> None:
    hook = Webhook.objects.select_for_update().filter(pk=pk).first()
    if hook is None:
        return
    if answer.ok:
        hook.failing_since = None
    else:
        hook.failing_since = hook.failing_since or now
        if answer.status == GONE:
            hook.enabled, hook.off_because = False, "It answered 410 Gone."
        elif now - hook.failing_since > GIVE_UP:
            hook.enabled, hook.off_because = False, f"Nothing arrived for {GIVE_UP.days} days."
    if not hook.enabled:
        hook.deliveries.filter(next_at__isnull=False).update(next_at=None)
    hook.save(update_fields=["failing_since", "enabled", "off_because"])


def again(row: Delivery) -> None:
    """Somebody asks for another try, now."""
    Delivery.objects.filter(pk=row.pk, webhook__enabled=True).update(
        next_at=timezone.now(), attempts=0, delivered_at=None, trouble=""
    )


def forget_old(now: datetime | None = None) -> int:
    """Settled deliveries go after KEPT."""
    old = Delivery.objects.filter(next_at=None, created_at__lt=(now or timezone.now()) - KEPT)
    return old.delete()[0]


def waiting(hooks: Sequence[Webhook]) -> dict[int, int]:
    """By webhook: how many are still to be delivered."""
    rows = Delivery.objects.filter(webhook__in=hooks, next_at__isnull=False).values_list("webhook", flat=True)
    found: dict[int, int] = {}
    for pk in rows.order_by():
        found[pk] = found.get(pk, 0) + 1
    return found
