"""What finished calls add up to: a narrow row per call, and per week what its calls' numbers were.

Only `calls/trends.py` and `calls/rollups.py` write these; `trends.recompute` makes all of it again.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from calls.models.calls import Call
from calls.models.people import Team
from calls.models.rubrics import RubricVersion
from scoring.types import Loyalty


class RealField(models.FloatField):  # type: ignore[type-arg]
    """Four bytes: six digits are more than a score has."""

    def db_type(self, connection: Any) -> str:
        return "real"


class EngineVersion(models.Model):
    """Its name is long and the same on thousands of calls."""

    name = models.CharField(max_length=200, unique=True)

    def __str__(self) -> str:
        return self.name


class CallFact(models.Model):
    """The numbers of one finished call; empty where the call cannot tell.

    It outlives its call for a moment (no constraint, nothing cascades), so that what the call was counted
    in is still known when it is forgotten.
    """

    call = models.OneToOneField(
        Call, on_delete=models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="fact"
    )
    agent = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, db_index=False, related_name="+"
    )
    team = models.ForeignKey(Team, on_delete=models.CASCADE, db_index=False, related_name="+")
    rubric_version = models.ForeignKey(
        RubricVersion, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    engine = models.ForeignKey(
        EngineVersion, on_delete=models.PROTECT, null=True, db_index=False, related_name="+"
    )
    ended_at = models.DateTimeField()
    scored_at = models.DateTimeField(null=True)
    week = models.DateField(help_text="The Monday, UTC, of the week in which the call ended.")
    hour = models.PositiveSmallIntegerField(help_text="UTC.")
    synthetic = models.BooleanField()
    topic = models.CharField(max_length=80, blank=True)
    outlook_status = models.CharField(
        max_length=12, blank=True, choices=[(str(status), str(status)) for status in Loyalty]
    )
    handle_ms = models.PositiveIntegerField()
    opportunities = models.PositiveSmallIntegerField(null=True)
    met = models.PositiveSmallIntegerField(null=True)
    missed = models.PositiveSmallIntegerField(null=True, help_text="Settled and not met.")
    needs_frustration = models.PositiveSmallIntegerField(null=True, help_text="Settled ones, met or not.")
    needs_anxiety = models.PositiveSmallIntegerField(null=True)
    needs_confusion = models.PositiveSmallIntegerField(null=True)
    needs_sadness = models.PositiveSmallIntegerField(null=True)
    missed_frustration = models.PositiveSmallIntegerField(null=True)
    missed_anxiety = models.PositiveSmallIntegerField(null=True)
    missed_confusion = models.PositiveSmallIntegerField(null=True)
    missed_sadness = models.PositiveSmallIntegerField(null=True)
    cues_shown = models.PositiveSmallIntegerField(default=0)
    cues_settled = models.PositiveSmallIntegerField(default=0, help_text="Known to be taken or not.")
    cues_taken = models.PositiveSmallIntegerField(default=0)
    under_appeal = models.BooleanField(default=False, help_text="Nothing that was judged is told.")
    appeal_decision = models.CharField(max_length=8, blank=True, help_text="On the machine's score.")
    machine_empathy = RealField(null=True, help_text="What the machine gave, 0-100, whatever became of it.")
    empathy = RealField(null=True, help_text="0-100, as an appeal left it; empty while one is open.")
    courtesy = RealField(null=True, help_text="C of SCIENCE §4, 0-1")
    listening = RealField(null=True, help_text="L, 0-1")
    relief = RealField(null=True, help_text="V, 0-1")
    recovered = RealField(null=True, help_text="Share of needs after which the caller was calm again.")
    met_share = RealField(null=True)
    fit_frustration = RealField(null=True, help_text="Mean response fit of settled needs of this state.")
    fit_anxiety = RealField(null=True)
    fit_confusion = RealField(null=True)
    fit_sadness = RealField(null=True)
    outlook = RealField(null=True, help_text="-1 at risk to 1 strengthened")
    coverage = RealField(null=True, help_text="Share of the call's audio that was scored.")
    time_calm = RealField(null=True, help_text="Share of the time that anything was known.")
    time_satisfaction = RealField(null=True)
    time_frustration = RealField(null=True)
    time_anxiety = RealField(null=True)
    time_confusion = RealField(null=True)
    time_sadness = RealField(null=True)
    time_unsure = RealField(null=True)
    resolved = models.PositiveSmallIntegerField(null=True, help_text="Imported, as are those below: 0 or 1.")
    csat = models.PositiveSmallIntegerField(null=True, help_text="1 to 5")
    nps = models.PositiveSmallIntegerField(null=True, help_text="0 to 10")
    churned = models.PositiveSmallIntegerField(null=True, help_text="0 or 1")
    handle_time_ms = models.PositiveIntegerField(
        null=True, help_text="As the phone system counts it; handle_ms is the length of the audio."
    )
    outcome_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=("agent", "week"), name="fact_agent_week"),
            models.Index(fields=("team", "week"), name="fact_team_week"),
        ]

    def __str__(self) -> str:
        return f"{self.call_id} ({self.week})"


class WeekRow(models.Model):
    """One number of one week's calls, over those that could tell it."""

    week = models.DateField()
    synthetic = models.BooleanField()
    metric = models.CharField(max_length=20)
    n = models.PositiveIntegerField()
    q1 = models.FloatField()
    median = models.FloatField()
    q3 = models.FloatField()
    total = models.FloatField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.metric}, week of {self.week}: {self.median} ({self.n})"


class AgentWeek(WeekRow):
    agent = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("agent", "week", "synthetic", "metric"), name="agent_week_key")
        ]


class TeamWeek(WeekRow):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, db_index=False, related_name="+")
    bins = models.JSONField(help_text="Histogram: place (0 to rollups.BINS, over the scale) → calls.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("team", "week", "synthetic", "metric"), name="team_week_key")
        ]


class TeamFelt(models.Model):
    """Sums over a team's calls of one week, of all of them or by hour or topic."""

    KINDS = (("all", "all"), ("hour", "hour"), ("topic", "topic"))

    team = models.ForeignKey(Team, on_delete=models.CASCADE, db_index=False, related_name="+")
    week = models.DateField()
    synthetic = models.BooleanField()
    kind = models.CharField(max_length=5, choices=KINDS)
    name = models.CharField(max_length=80, blank=True, help_text="An hour (UTC) or a topic.")
    calls = models.PositiveIntegerField()
    told = models.PositiveIntegerField(help_text="Calls of which something about the caller is known.")
    patchy = models.PositiveIntegerField(help_text="Calls of whose audio much was not scored.")
    time_calm = models.FloatField(help_text="Shares of calls' time, added up.")
    time_satisfaction = models.FloatField()
    time_frustration = models.FloatField()
    time_anxiety = models.FloatField()
    time_confusion = models.FloatField()
    time_sadness = models.FloatField()
    time_unsure = models.FloatField()
    needs_frustration = models.PositiveIntegerField()
    needs_anxiety = models.PositiveIntegerField()
    needs_confusion = models.PositiveIntegerField()
    needs_sadness = models.PositiveIntegerField()
    missed_frustration = models.PositiveIntegerField()
    missed_anxiety = models.PositiveIntegerField()
    missed_confusion = models.PositiveIntegerField()
    missed_sadness = models.PositiveIntegerField()
    at_risk = models.PositiveIntegerField(help_text="Calls by outlook.")
    steady = models.PositiveIntegerField()
    strengthened = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=("team", "week", "synthetic", "kind", "name"), name="team_felt_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}, week of {self.week} ({self.calls})"
