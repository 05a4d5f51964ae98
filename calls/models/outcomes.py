"""What became of a call, as other systems know it, and the outlook fitted to that."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from calls.models.calls import Call


class OutcomeImport(models.Model):
    """One file or request that brought outcomes. It names no call, so that it may outlast them."""

    made_at = models.DateTimeField(auto_now_add=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    how = models.CharField(max_length=4, choices=[("page", "page"), ("api", "api")])
    rows = models.PositiveIntegerField()
    new = models.PositiveIntegerField(help_text="Calls of which nothing was known before.")
    changed = models.PositiveIntegerField(help_text="Calls of which something else was known.")

    class Meta:
        ordering = ("-made_at", "-pk")

    def __str__(self) -> str:
        return f"outcomes, import {self.pk}"


class CallOutcome(models.Model):
    """Of one call; empty where nobody said. It goes with the call's scores."""

    call = models.OneToOneField(Call, on_delete=models.CASCADE, primary_key=True, related_name="outcome")
    resolved = models.BooleanField(null=True)
    csat = models.PositiveSmallIntegerField(null=True, help_text="1 to 5")
    nps = models.PositiveSmallIntegerField(null=True, help_text="Would recommend, 0 to 10")
    churned = models.BooleanField(null=True, help_text="The customer left.")
    handle_time_ms = models.PositiveIntegerField(null=True, help_text="As the phone system counts it.")
    came_with = models.ForeignKey(OutcomeImport, on_delete=models.SET_NULL, null=True, related_name="+")
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(csat=None) | models.Q(csat__range=(1, 5)), name="csat_1_5"
            ),
            models.CheckConstraint(
                condition=models.Q(nps=None) | models.Q(nps__range=(0, 10)), name="nps_0_10"
            ),
        ]

    def __str__(self) -> str:
        return f"outcome of {self.call_id}"


class OutlookRun(models.Model):
    """One fit of the outlook to outcomes: what it learned, how far it can be believed, when it was in use."""

    made_at = models.DateTimeField(auto_now_add=True)
    weights = models.JSONField()
    bias = models.FloatField()
    figures = models.JSONField(help_text="outlooks.figures: held out, shipped, and in use before.")
    counts = models.JSONField(help_text="Outcomes by kind that told.")
    calibrated = models.BooleanField()
    reason = models.CharField(max_length=200, help_text="Why it is, or is not, called calibrated.")
    switched_at = models.DateTimeField(null=True, blank=True)
    left_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-made_at", "-pk")

    def __str__(self) -> str:
        return f"outlook {self.pk}"

    @property
    def is_in_use(self) -> bool:
        return self.switched_at is not None and self.left_at is None
