"""How programs get in, and what is told to them: tokens, webhooks, and what was or is to be delivered."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from calls.models.calls import Call
from calls.models.people import Team


class ApiToken(models.Model):
    """A program's key. It may do what its owner may, and of that only what its scopes say.

    Only the SHA-256 of the key is kept.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    start = models.CharField(max_length=12, help_text="Its first characters, to recognise it by.")
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} ({self.start}…)"

    def is_good(self, now: datetime | None = None) -> bool:
        return self.revoked_at is None and (now or timezone.now()) < self.expires_at


class Webhook(models.Model):
    """An address that is told of events. Its signing secrets are sealed."""

    name = models.CharField(max_length=80)
    url = models.URLField(max_length=300)
    events = models.JSONField(default=list)
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="+", help_text="Empty: all."
    )
    enabled = models.BooleanField(default=True)
    off_because = models.CharField(max_length=200, blank=True)
    secret = models.TextField()
    previous_secret = models.TextField(blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    failing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name", "pk")

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One event for one webhook: the outbox. Written with what it tells of, in one transaction."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    call = models.ForeignKey(Call, on_delete=models.CASCADE, null=True, related_name="deliveries")
    event_id = models.UUIDField(default=uuid.uuid4)
    kind = models.CharField(max_length=30)
    body = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, default=timezone.now, help_text="Empty: nothing more is tried.")
    delivered_at = models.DateTimeField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status of the last answer.")
    trouble = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = [models.UniqueConstraint(fields=("webhook", "event_id"), name="delivery_once")]
        indexes = [
            models.Index(fields=("next_at",), name="delivery_due", condition=models.Q(next_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.trouble = self.trouble[:200]
        super().save(*args, **kwargs)
