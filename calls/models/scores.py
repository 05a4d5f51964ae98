"""What was heard and what follows from it. Every row has a natural key, so writing twice is once."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from calls.choices import CHANNELS, RISKS, STATES
from calls.models.calls import Call

HOPS_PER_BLOCK = 64


class CoverageBlock(models.Model):
    """The ledger of what became of each hop: one letter a hop (`choices.Outcome`), 64 to a row."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="coverage")
    channel = models.CharField(max_length=8, choices=CHANNELS)
    block = models.PositiveIntegerField()
    hops = models.CharField(max_length=HOPS_PER_BLOCK, default="." * HOPS_PER_BLOCK)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("call", "channel", "block"), name="coverage_key"),
            models.CheckConstraint(
                condition=models.Q(hops__regex=rf"^[slfkpw.]{{{HOPS_PER_BLOCK}}}$"), name="coverage_letters"
            ),
        ]


class Turn(models.Model):
    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="turns")
    channel = models.CharField(max_length=8, choices=CHANNELS)
    start_ms = models.PositiveBigIntegerField()
    end_ms = models.PositiveBigIntegerField()
    text = models.TextField(blank=True)
    confidence = models.FloatField()
    states = models.JSONField(default=dict)
    behaviours = models.JSONField(default=dict)
    cues = models.JSONField(default=list)
    words = models.JSONField(default=list)
    redacted = models.PositiveSmallIntegerField(default=0)
    continued = models.BooleanField(default=False)
    model = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=("call", "channel", "start_ms"), name="turn_key")]
        ordering = ("start_ms", "channel")


class VoiceWindow(models.Model):
    """Three seconds of the customer's voice. There is no channel column: only customers have one."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="voice")
    start_ms = models.PositiveBigIntegerField()
    end_ms = models.PositiveBigIntegerField()
    probs = models.JSONField()
    confidence = models.FloatField()
    speech_ms = models.PositiveIntegerField()
    model = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=("call", "start_ms"), name="voice_key")]
        ordering = ("start_ms",)


class Speech(models.Model):
    """A stretch of voice activity, for talk time, overlaps and dead air."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="speech")
    channel = models.CharField(max_length=8, choices=CHANNELS)
    start_ms = models.PositiveBigIntegerField()
    end_ms = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=("call", "channel", "start_ms"), name="speech_key")]


class Moment(models.Model):
    """One point of the state and empathy timeline; derived from the pieces above."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="moments")
    t_ms = models.PositiveBigIntegerField()
    state = models.CharField(max_length=16, choices=STATES)
    intensity = models.FloatField()
    confidence = models.FloatField()
    distress = models.FloatField()
    empathy = models.FloatField(null=True)
    empathy_low = models.FloatField(null=True)
    empathy_high = models.FloatField(null=True)
    opportunities = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=("call", "t_ms"), name="moment_key")]
        ordering = ("t_ms",)


class Nudge(models.Model):
    """A cue that could have helped at that moment."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="nudges")
    t_ms = models.PositiveBigIntegerField()
    rule = models.CharField(max_length=60)
    state = models.CharField(max_length=16, choices=STATES)
    missing = models.CharField(max_length=16)
    cue = models.CharField(max_length=200)
    phrases = models.JSONField(default=list)
    solution = models.CharField(max_length=200, blank=True, default="")
    link = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=("call", "rule", "t_ms"), name="nudge_key")]
        ordering = ("t_ms",)


class Alert(models.Model):
    """A reason to look, one per cause, episode and call."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="alerts")
    cause = models.CharField(max_length=60)
    episode = models.PositiveSmallIntegerField(
        default=1, help_text="Counts from 1: a cause that has clearly left and comes back is a new one."
    )
    t_ms = models.PositiveBigIntegerField()
    title = models.CharField(max_length=160)
    quote = models.CharField(max_length=300, blank=True)
    severity = models.CharField(max_length=8, choices=RISKS)
    raised_at = models.DateTimeField(auto_now_add=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    resolution = models.CharField(max_length=200, blank=True, help_text="What was done about it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=("call", "cause", "episode"), name="alert_episode")]
        indexes = [
            models.Index(fields=("-raised_at", "-id"), name="alert_newest"),
            models.Index(
                fields=("-raised_at", "-id"),
                condition=models.Q(acknowledged_at=None, resolved_at=None),
                name="alert_waiting",
            ),
        ]
        ordering = ("t_ms",)
