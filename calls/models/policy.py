"""What a site may do with calls, what callers said to it, and what was deleted."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from calls.choices import Asked, Kept, Region, Said
from calls.models.calls import Call


class Policy(models.Model):
    """One row a change; the newest is in force, and none is ever altered."""

    region = models.CharField(max_length=4, choices=Region.choices, default=Region.EU)
    asked = models.CharField(max_length=8, choices=Asked.choices, default=Asked.NOTICE)
    voice = models.BooleanField(default=True, help_text="Read the caller's voice for feelings.")
    cues = models.BooleanField(default=True, help_text="Show cues to agents during a call.")
    hr_lock = models.BooleanField(
        default=True, help_text="Nobody takes one agent's figures away but the agent."
    )
    second_factor = models.JSONField(default=list, blank=True, help_text="Roles that must have one.")
    audio_days = models.PositiveIntegerField(default=7)
    transcript_days = models.PositiveIntegerField(default=30)
    features_days = models.PositiveIntegerField(default=90)
    scores_days = models.PositiveIntegerField(default=365)
    note = models.CharField(max_length=200, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return f"{self.get_region_display()} since {self.made_at:%Y-%m-%d}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk:
            raise ValidationError("A policy never changes; make a new one.")
        super().save(*args, **kwargs)

    def days(self, kind: str) -> int:
        found: int = getattr(self, f"{kind}_days")
        return found


class ConsentEvent(models.Model):
    """What a caller was told, or said, about the analysis of the call."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="consents")
    said = models.CharField(max_length=8, choices=Said.choices)
    how = models.CharField(
        max_length=20, help_text="source: from the phone system; person, api: noted by `user`."
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.call_id}: {self.said}"


class Purge(models.Model):
    """What was deleted, and what a search afterwards still found. It names no call."""

    kind = models.CharField(max_length=12, choices=Kept.choices)
    at = models.DateTimeField(auto_now_add=True)
    before = models.DateTimeField(null=True, help_text="Calls that ended before this.")
    calls = models.PositiveIntegerField()
    deleted = models.JSONField(default=dict, help_text="Place: how many.")
    left = models.JSONField(default=dict, help_text="Place: how many were found afterwards; all 0 is proof.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the calls' ids, sorted, one a line.")
    reason = models.CharField(max_length=200, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("-at", "-pk")

    def __str__(self) -> str:
        return f"{self.kind}, {self.calls} calls, {self.at:%Y-%m-%d %H:%M}"

    @property
    def is_proven(self) -> bool:
        return not any(self.left.values())
