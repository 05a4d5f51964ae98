"""Events for other systems: who is told what, in an outbox written with the change itself, and signatures.

A body carries numbers, causes and an address, never anybody's words. Sending is `delivering`'s.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import auditing, policy, sealing
from calls.choices import Did, HookEvent
from calls.models import Alert, Call, Delivery, Team, User, Webhook

CHOSEN = (HookEvent.ALERT_RAISED, HookEvent.ALERT_RESOLVED, HookEvent.CALL_FINISHED)
BOTH_SIGN = timedelta(days=1)
"""After a rotation the old secret signs too, for so long."""
PURPOSE = "webhooks"


class Refused(ValueError):
    """What was asked for cannot be; the text says why and what to do."""


# --- who is told --------------------------------------------------------------------------------------


def alerts_raised(call: Call, alerts: Sequence[Alert]) -> None:
    """Inside the transaction that wrote them. What is raised once is told once, however often it is written;
    what is raised again after it was withdrawn, for something said later, is told again."""
    for hook in _hooks(call, HookEvent.ALERT_RAISED) if alerts else ():
        bodies = {f"{a.cause}@{a.t_ms}": alert_body(call, a) for a in alerts}
        _put(hook, call, HookEvent.ALERT_RAISED, bodies)


def alert_resolved(call: Call, alert: Alert) -> None:
    for hook in _hooks(call, HookEvent.ALERT_RESOLVED):
        # A first episode's key is its cause alone, as it was before there were others.
        key = alert.cause if alert.episode == 1 else f"{alert.cause}#{alert.episode}"
        _put(hook, call, HookEvent.ALERT_RESOLVED, {key: alert_body(call, alert)})


def call_finished(call: Call) -> None:
    """Each end is told: a call that was cut off and went on ends twice."""
    for hook in _hooks(call, HookEvent.CALL_FINISHED):
        ended = call.ended_at.isoformat() if call.ended_at else ""
        _put(hook, call, HookEvent.CALL_FINISHED, {ended: finished_body(call)})


def ping(hook: Webhook) -> Delivery:
    body = {
        "type": HookEvent.PING.value,
        "timestamp": timezone.now().isoformat(),
        "data": {"name": hook.name},
    }
    return Delivery.objects.create(webhook=hook, kind=HookEvent.PING, body=body)


def _hooks(call: Call, kind: HookEvent) -> list[Webhook]:
    if call.practice:
        return []
    of_team = Q(team=None) | Q(team=call.team_id)
    return list(Webhook.objects.filter(of_team, enabled=True, events__contains=[kind.value]))


def _put(hook: Webhook, call: Call, kind: HookEvent, bodies: dict[str, dict[str, Any]]) -> None:
    now = timezone.now().isoformat()
    rows = [
        Delivery(
            webhook=hook,
            call=call,
            event_id=event_id(call.pk, kind, key),
            kind=kind,
            body={"type": kind.value, "timestamp": now, "data": body},
        )
        for key, body in bodies.items()
    ]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)


def event_id(call_id: UUID, kind: str, key: str) -> UUID:
    """The same event has the same id, so that writing it twice is once."""
    return uuid5(NAMESPACE_URL, f"empathy-dash:{call_id}:{kind}:{key}")


# --- what is told -------------------------------------------------------------------------------------


def alert_body(call: Call, alert: Alert) -> dict[str, Any]:
    return call_body(call) | {
        "alert": {
            "cause": alert.cause,
            "episode": alert.episode,
            "severity": alert.severity,
            "t_ms": alert.t_ms,
            "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        }
    }


def finished_body(call: Call) -> dict[str, Any]:
    final = call.final or {}
    return call_body(call) | {
        "ended_at": call.ended_at.isoformat() if call.ended_at else None,
        "status": call.status,
        "duration_ms": call.media_ms,
        "empathy": final.get("empathy"),
        "empathy_low": final.get("empathy_low"),
        "empathy_high": final.get("empathy_high"),
        "opportunities": final.get("opportunities"),
        "met": final.get("met"),
        "outlook": (final.get("outlook") or {}).get("status"),
        "rubric": final.get("rubric"),
        "engine": final.get("engine"),
    }


def call_body(call: Call) -> dict[str, Any]:
    """Without the agent where the policy locks agents' figures."""
    agent = None if policy.current().hr_lock or call.agent is None else call.agent.username
    return {
        "call": str(call.pk),
        "external_ref": call.external_ref,
        "source": call.source.slug,
        "team": call.team.name,
        "agent": agent,
        "queue": call.queue,
        "synthetic": call.synthetic,
        "started_at": call.started_at.isoformat(),
        "url": f"{settings.PUBLIC_URL}{call.get_absolute_url()}",
    }


# --- signatures (Standard Webhooks, HMAC-SHA256 over id.timestamp.body) -------------------------------


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def secrets_of(hook: Webhook, now: datetime | None = None) -> list[str]:
    """The newest first; the one before it for a day after a rotation."""
    found = [sealing.opened(hook.secret, PURPOSE)]
    if hook.previous_secret and hook.rotated_at and (now or timezone.now()) - hook.rotated_at < BOTH_SIGN:
        found.append(sealing.opened(hook.previous_secret, PURPOSE))
    return found


def headers(hook: Webhook, event: UUID, body: bytes, now: datetime) -> dict[str, str]:
    name, at = f"evt_{event.hex}", str(int(now.timestamp()))
    said = b".".join((name.encode(), at.encode(), body))
    signed = [_signature(secret, said) for secret in secrets_of(hook, now)]
    return {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": " ".join(signed)}


def _signature(secret: str, said: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()


# --- changing them ------------------------------------------------------------------------------------


def make(actor: User, name: str, url: str, events: Sequence[str], team: Team | None) -> tuple[Webhook, str]:
    """The row, and its secret, shown once."""
    secret = new_secret()
    hook = Webhook(made_by=actor, secret=sealing.sealed(secret, PURPOSE))
    _fill(hook, name, url, events, team)
    with transaction.atomic():
        hook.save()
        auditing.record(actor, Did.CREATED, hook, {}, values(hook))
    return hook, secret


def change(actor: User, hook: Webhook, name: str, url: str, events: Sequence[str], team: Team | None) -> None:
    before = values(hook)
    _fill(hook, name, url, events, team)
    with transaction.atomic():
        hook.save()
        auditing.record(actor, Did.CHANGED, hook, before, values(hook))


def switch(actor: User, hook: Webhook, on: bool) -> None:
    """On again, it begins with what happens from now: what it missed stays in the list of deliveries."""
    before = values(hook)
    hook.enabled, hook.off_because, hook.failing_since = on, "", None
    with transaction.atomic():
        hook.save()
        if not on:
            hook.deliveries.filter(next_at__isnull=False).update(next_at=None, trouble="switched off")
        auditing.record(actor, Did.CHANGED, hook, before, values(hook))


def rotate(actor: User, hook: Webhook) -> str:
    """A new secret, shown once; the old one signs beside it for a day."""
    secret = new_secret()
    hook.previous_secret, hook.secret = hook.secret, sealing.sealed(secret, PURPOSE)
    hook.rotated_at = timezone.now()
    with transaction.atomic():
        hook.save()
        auditing.record(actor, Did.CHANGED, hook, {"secret": "before"}, {"secret": "rotated"})
    return secret


def remove(actor: User, hook: Webhook) -> None:
    with transaction.atomic():
        auditing.record(actor, Did.REMOVED, hook)
        hook.delete()


def values(hook: Webhook) -> dict[str, Any]:
    """What the audit log keeps. The address without its query, where people put keys."""
    return {
        "name": hook.name,
        "url": hook.url.partition("?")[0],
        "events": list(hook.events),
        "team": hook.team.name if hook.team else "",
        "enabled": hook.enabled,
    }


def _fill(hook: Webhook, name: str, url: str, events: Sequence[str], team: Team | None) -> None:
    name = " ".join(name.replace("\0", "").split())
    if not name or len(name) > 80:
        raise Refused(_("Give it a name of 1 to 80 characters."))
    known = [event.value for event in CHOSEN if event.value in events]
    if not known or len(known) != len(set(events)):
        raise Refused(_("Choose what it is told: at least one of the list."))
    hook.name, hook.url, hook.events, hook.team = name, checked_url(url), known, team


def checked_url(url: str) -> str:
    """Refused unless https, or http to an address that WEBHOOK_PRIVATE allows. Where it really leads is
    looked at again at each delivery."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused(_("This is no address: give one like https://example.com/hooks.")) from None
    if len(url) > 300 or not url.isascii() or not url.isprintable() or " " in url:
        raise Refused(_("An address has at most 300 characters, all of them ASCII and no space."))
    allowed = ("https", "http") if settings.WEBHOOK_PRIVATE else ("https",)
    if parts.scheme not in allowed or not parts.hostname or port == 0:
        raise Refused(_("Give an address that begins with https://."))
    if parts.username or parts.password or parts.fragment:
        raise Refused(_("No user name, password or # in the address: what arrives is signed instead."))
    return url
