"""What people score of a call, what its agent answers, and what becomes of an appeal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from calls.models.calls import Call
from calls.models.people import Team
from calls.models.rubrics import RubricVersion


class Decision(models.TextChoices):
    UPHELD = "upheld", _("The score stays")
    CHANGED = "changed", _("The score is changed")


class CalibrationSession(models.Model):
    """Several reviewers score the same calls; what they gave is shown once all have, or it is closed."""

    name = models.CharField(max_length=120)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    calls = models.ManyToManyField(Call, related_name="+")
    reviewers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.name


class Review(models.Model):
    """One person's score of one call. The database refuses to change it once it is submitted."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reviews")
    rubric_version = models.ForeignKey(RubricVersion, on_delete=models.PROTECT, related_name="+")
    ratings = models.JSONField(default=dict, help_text="Behaviour → 0, 1, 2, or null: no occasion.")
    overall = models.PositiveSmallIntegerField(null=True, help_text="1 to 5")
    comment = models.CharField(max_length=2000, blank=True)
    machine = models.JSONField(
        default=dict, help_text="The machine's values at submission, on the same scale."
    )
    blind = models.BooleanField(default=True, help_text="The reviewer had not opened the call's page before.")
    started_at = models.DateTimeField(auto_now_add=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=2000, blank=True, help_text="What the agent says of it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=("call", "reviewer"), name="one_review_each")]
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return f"Review {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("review", args=[self.pk])


class Appeal(models.Model):
    """An agent asks for a score to be looked at again. Both values are kept."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="appeals")
    review = models.ForeignKey(
        Review,
        on_delete=models.CASCADE,
        null=True,
        related_name="appeals",
        help_text="Empty: the call's score.",
    )
    agent = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="appeals")
    reason = models.CharField(max_length=2000)
    before = models.FloatField(null=True)
    opened_at = models.DateTimeField(auto_now_add=True)
    decision = models.CharField(max_length=8, choices=Decision.choices, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    decided_reason = models.CharField(max_length=2000, blank=True)
    after = models.FloatField(null=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When the agent read the decision.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=("call",), condition=models.Q(decided_at=None), name="one_open_appeal"
            )
        ]
        ordering = ("-opened_at",)

    def __str__(self) -> str:
        return f"Appeal {self.pk}"

    @property
    def highest(self) -> int:
        return 5 if self.review_id else 100


@dataclass(frozen=True)
class Standing:
    """What its appeals make of the machine's score of a call."""

    under_appeal: bool = False
    """Any is open: nothing that was judged of the call is final."""
    decision: str = ""
    """Of the appeal against the machine's score, once it is decided."""
    decided: float | None = None
    """The empathy score that counts instead of the machine's (0-100)."""


def standing_of(appeals: Iterable[Appeal]) -> Standing:
    """From all appeals of one call. The machine's score can be appealed once."""
    found = list(appeals)
    of_machine = next((one for one in found if one.review_id is None and one.decided_at), None)
    changed = of_machine is not None and of_machine.decision == Decision.CHANGED
    return Standing(
        any(one.decided_at is None for one in found),
        of_machine.decision if of_machine else "",
        of_machine.after if of_machine and changed else None,
    )


def appeal_until(since: datetime) -> datetime:
    return since + timedelta(days=settings.APPEAL_DAYS)


def within_window(since: datetime | None) -> bool:
    return since is not None and timezone.now() <= appeal_until(since)
