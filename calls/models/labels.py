"""What people hear in single turns, and what was fitted to it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from calls.choices import CHANNELS
from calls.models.calls import Call


class TurnLabel(models.Model):
    """One person's word on one turn; changed, it is replaced. It goes with the call's transcript."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="labels")
    channel = models.CharField(max_length=8, choices=CHANNELS)
    start_ms = models.PositiveBigIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="labels")
    state = models.CharField(max_length=16, blank=True, help_text="Of a caller's turn.")
    behaviours = models.JSONField(null=True, help_text="Of an agent's turn; [] is none of them.")
    blind = models.BooleanField(help_text="The machine's reading of the call had not been seen.")
    made_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("call", "channel", "start_ms", "user"), name="one_label_each"),
            models.CheckConstraint(
                condition=models.Q(channel="customer", behaviours=None) & ~models.Q(state="")
                | models.Q(channel="agent", behaviours__isnull=False, state=""),
                name="agents_have_no_state",
            ),
        ]
        ordering = ("start_ms", "channel")

    def __str__(self) -> str:
        return f"{self.state or self.behaviours} at {self.start_ms}"


class RefitRun(models.Model):
    """One fit: what it learned from, what it would change, for whom, and whether it was ever in use."""

    made_at = models.DateTimeField(auto_now_add=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the file of weights.")
    counts = models.JSONField()
    fitted = models.JSONField()
    figures = models.JSONField()
    bias = models.JSONField()
    gaps = models.JSONField()
    switched_at = models.DateTimeField(null=True, blank=True)
    left_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-made_at", "-pk")

    def __str__(self) -> str:
        return f"refit {self.pk} ({self.digest[:8]})"

    @property
    def is_in_use(self) -> bool:
        return self.switched_at is not None and self.left_at is None
