"""What people do about a call: cues shown and judged, messages, notes, who looked and who follows."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from calls.choices import MISSING, STATES, LookKind, Verdict
from calls.models.calls import Call


class ShownNudge(models.Model):
    """A cue that was on the agent's screen, what the agent said of it and what came of it.

    `Nudge` rows are candidates and follow the view of the call; this stays as it was shown.
    """

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="shown_nudges")
    agent = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shown_nudges")
    t_ms = models.PositiveBigIntegerField()
    rule = models.CharField(max_length=60)
    state = models.CharField(max_length=16, choices=STATES)
    missing = models.CharField(max_length=16, choices=MISSING)
    cue = models.CharField(max_length=200)
    phrases = models.JSONField(default=list)
    solution = models.CharField(max_length=200, blank=True, default="")
    link = models.CharField(max_length=300, blank=True, default="")
    shown_ms = models.PositiveBigIntegerField(help_text="Into the call, when it came to the screen.")
    shown_at = models.DateTimeField(auto_now_add=True)
    verdict = models.CharField(max_length=12, choices=Verdict.choices, blank=True)
    verdict_at = models.DateTimeField(null=True, blank=True)
    taken = models.BooleanField(null=True, help_text="Heard in the next agent turns; empty: not settled.")
    recovered_ms = models.PositiveBigIntegerField(
        null=True, help_text="From the cue to the caller being calm again; empty: not yet, or never."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=("call", "rule", "t_ms"), name="shown_nudge_key")]
        ordering = ("t_ms",)
        indexes = [
            models.Index(fields=("verdict_at", "rule", "verdict"), name="shown_nudge_verdicts"),
            models.Index(
                fields=("shown_at",),
                include=("call", "rule", "verdict", "taken", "recovered_ms"),
                name="shown_nudge_lately",
            ),
        ]


class NudgeChoices(models.Model):
    """How an agent wants to be helped. Nobody else changes it, and nobody is judged by it."""

    agent = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="nudge_choices", primary_key=True
    )
    muted = models.BooleanField(default=False)
    every_s = models.PositiveSmallIntegerField(default=45, help_text="Seconds between two cues, at least.")
    per_call = models.PositiveSmallIntegerField(default=6)
    kinds_off = models.JSONField(default=list, help_text="Behaviours the agent wants no cue about.")


class Message(models.Model):
    """A line from a supervisor to the agent of a running call."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="messages")
    sender = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    text = models.CharField(max_length=280)
    sent_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("sent_at", "pk")


class Note(models.Model):
    """Words kept with a call, at a second of it or about all of it. Its agent reads them too."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="remarks")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    t_ms = models.PositiveBigIntegerField(null=True, blank=True)
    text = models.CharField(max_length=1000)
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("written_at", "pk")


class Look(models.Model):
    """Somebody other than its agent saw or heard something of the call. The agent sees these.

    Only the call's page stays `open`: its socket says when it is closed.
    """

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="looks")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="looks")
    kind = models.CharField(max_length=10, choices=LookKind.choices, default=LookKind.PAGE)
    began_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField(default=timezone.now, help_text="When the page was last heard of.")
    open = models.BooleanField(default=True)
    listened_at = models.DateTimeField(null=True, blank=True, help_text="When they began to play the call.")

    class Meta:
        ordering = ("began_at", "pk")
        indexes = [models.Index(fields=("call", "user", "-began_at"), name="look_call_user")]


class Follow(models.Model):
    """A supervisor keeps a running call in sight on the floor. Its agent sees who does."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="follows")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="follows")
    began_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=("call", "user"), condition=models.Q(ended_at=None), name="one_open_follow"
            )
        ]
        ordering = ("began_at", "pk")
