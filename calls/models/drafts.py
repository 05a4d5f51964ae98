from __future__ import annotations

from django.conf import settings
from django.db import models

from calls.models.rubrics import Rubric, RubricVersion


class RubricDraft(models.Model):
    """The one draft of a rubric, shared by all who may edit it; kept as typed, right or wrong."""

    rubric = models.OneToOneField(Rubric, on_delete=models.CASCADE, related_name="draft")
    text = models.TextField(help_text="YAML.")
    based_on = models.ForeignKey(
        RubricVersion, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    revision = models.PositiveIntegerField(
        default=0, help_text="Counts savings: who saves names the one read."
    )
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.rubric}, draft {self.revision}"


class RubricPlan(models.Model):
    """A checked rubric that becomes the next version at `starts_at`."""

    rubric = models.ForeignKey(Rubric, on_delete=models.CASCADE, related_name="plans")
    spec = models.JSONField()
    note = models.CharField(max_length=200)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    starts_at = models.DateTimeField()
    untried = models.CharField(max_length=200, blank=True, help_text="Why it was planned without a trial.")
    trouble = models.TextField(blank=True, help_text="Why it could not be published at its time.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("starts_at", "pk")

    def __str__(self) -> str:
        return f"{self.rubric} from {self.starts_at:%Y-%m-%d %H:%M}"


class RubricTrial(models.Model):
    """A draft on finished calls, beside the version in use; worked off by housekeeping, bit by bit."""

    rubric = models.ForeignKey(Rubric, on_delete=models.CASCADE, related_name="trials")
    base = models.JSONField(help_text="The rubric it is compared with.")
    spec = models.JSONField()
    calls = models.JSONField(help_text="Ids of the calls, newest first.")
    rows = models.JSONField(default=list, help_text="What was seen of each, in that order.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    began_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-began_at", "-pk")

    def __str__(self) -> str:
        return f"{self.rubric}, trial of {self.began_at:%Y-%m-%d %H:%M}"
