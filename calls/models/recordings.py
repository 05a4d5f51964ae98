from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from calls.choices import Layout, RecordingState
from calls.models.calls import Call
from calls.models.people import Team


class RecordingQuerySet(models.QuerySet["Recording"]):
    def listed(self) -> RecordingQuerySet:
        return self.select_related("team", "agent", "uploaded_by", "call").order_by("-created_at")

    def waiting(self) -> RecordingQuerySet:
        """To be decoded, the oldest first."""
        return self.filter(state=RecordingState.QUEUED).order_by("created_at")

    def running(self) -> RecordingQuerySet:
        return self.filter(state=RecordingState.RUNNING).select_related("call").order_by("created_at")


class Recording(models.Model):
    """A finished call somebody uploads. Its files are on disk until they are scored (calls/intake.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="recordings")
    agent = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="recordings"
    )
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="uploads"
    )
    call = models.ForeignKey(Call, on_delete=models.CASCADE, null=True, related_name="recordings")
    name = models.CharField(max_length=200, blank=True)
    key = models.CharField(max_length=64, help_text="The same for the same upload tried again.")
    sizes = models.JSONField(default=list, help_text="Bytes of each of its one or two files.")
    layout = models.CharField(max_length=12, choices=Layout.choices)
    told = models.BooleanField(
        default=False, help_text="The uploader says that the caller was told or agreed."
    )
    mixed = models.BooleanField(default=False, help_text="Both speakers are on one channel.")
    given_words = models.BooleanField(default=False, help_text="A transcript came with it.")
    notes = models.JSONField(default=list)
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of what was uploaded.")
    state = models.CharField(max_length=10, choices=RecordingState.choices, default=RecordingState.UPLOADING)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it failed and what to do.")
    attempts = models.PositiveSmallIntegerField(default=0)
    samples = models.JSONField(default=dict, help_text="Channel: samples at 8 kHz.")
    started_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RecordingQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=("team", "-created_at"), name="recording_team")]
        constraints = [
            models.UniqueConstraint(
                fields=("team", "digest"),
                condition=Q(state__in=("queued", "running", "done")),
                name="recording_once_in_a_team",
            ),
        ]

    def __str__(self) -> str:
        return self.name or str(self.pk)

    @property
    def duration_ms(self) -> int:
        return max(self.samples.values(), default=0) // 8

    @property
    def percent(self) -> int:
        """How much of it has been scored."""
        if self.state == RecordingState.DONE:
            return 100
        heard = self.call.media_ms if self.call else 0
        return min(99, heard * 100 // max(1, self.duration_ms))

    @property
    def open_parts(self) -> range:
        return range(len(self.sizes))

    def address(self) -> str:
        return reverse("call", args=[self.call_id]) if self.call_id else ""
