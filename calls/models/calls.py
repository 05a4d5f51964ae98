from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.urls import reverse
from django.utils import timezone

from calls import keeping
from calls.choices import CallStatus, Gender, Protocol
from calls.models.people import Team
from calls.models.rubrics import RubricVersion
from calls.models.sources import Source


class CallQuerySet(models.QuerySet["Call"]):
    def live(self) -> CallQuerySet:
        """Running now, on a phone: a recording that is being scored is not."""
        return self.filter(status=CallStatus.LIVE).exclude(source__protocol=Protocol.RECORDING)

    def listed(self) -> CallQuerySet:
        """Live first, then the newest."""
        is_live = models.Case(models.When(status=CallStatus.LIVE, then=0), default=1)
        found = self.select_related("agent", "team", "source").prefetch_related("appeals")
        return found.order_by(is_live, "-started_at")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Kept audio goes too, once that is certain. (Housekeeping looks for what a crash left behind.)"""
        gone = list(self.values_list("pk", flat=True))
        deleted = super().delete()
        transaction.on_commit(lambda: _forget(gone), robust=True)
        return deleted

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


def _forget(gone: list[uuid.UUID]) -> None:
    for pk in gone:
        keeping.forget(pk)


class Call(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="calls")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="calls")
    agent = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="calls"
    )
    rubric_version = models.ForeignKey(RubricVersion, on_delete=models.PROTECT, related_name="calls")
    external_ref = models.CharField(max_length=120, help_text="The phone system's name for it.")
    stream_ref = models.CharField(max_length=120, blank=True)
    queue = models.CharField(max_length=80, blank=True)
    label = models.CharField(max_length=120, blank=True)
    synthetic = models.BooleanField(default=False)
    status = models.CharField(max_length=8, choices=CallStatus.choices, default=CallStatus.LIVE)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=200, blank=True)
    media_ms = models.PositiveBigIntegerField(default=0, help_text="Heard up to here.")
    scored_at = models.DateTimeField(null=True, blank=True)
    counters = models.JSONField(default=dict, help_text="What the media session counted.")
    notes = models.JSONField(default=list, help_text="What was not scored, and why, in words.")
    pauses = models.JSONField(
        default=list,
        help_text="Spans nothing may be kept of: since and until, in ms of the call (null: it goes on), and "
        "channels.",
    )
    tile = models.JSONField(default=dict, help_text="What the floor shows; derived.")
    view = models.JSONField(default=dict, help_text="What the call page shows; derived.")
    final = models.JSONField(null=True, blank=True, help_text="Scores of the finished call.")
    engine = models.CharField(max_length=200, blank=True)
    given_words = models.BooleanField(
        default=False, help_text="What is said is told by the platform; we transcribe nothing."
    )
    practice = models.BooleanField(
        default=False, help_text="Somebody practises: theirs alone, counted nowhere, gone within a day."
    )
    asks_consent = models.BooleanField(
        default=False, help_text="Nothing is analysed before the caller agrees."
    )
    caller_gender = models.CharField(
        max_length=8, blank=True, choices=Gender.choices, help_text="Volunteered, never inferred."
    )
    opted_in_at = models.DateTimeField(null=True, blank=True)
    opted_out_at = models.DateTimeField(null=True, blank=True)
    purged = models.JSONField(default=dict, help_text="Class of data: when it was deleted.")

    objects = CallQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=("team", "status", "-started_at"), name="call_team_status"),
            models.Index(fields=("agent", "-started_at"), name="call_agent"),
            models.Index(fields=("source", "external_ref", "-started_at"), name="call_external"),
            # The list of calls (calls/finding.py): the newest, the live ones, a reference by its beginning.
            models.Index(fields=("-started_at", "-id"), name="call_newest"),
            models.Index(
                fields=("-started_at", "-id"), name="call_live", condition=models.Q(status=CallStatus.LIVE)
            ),
            models.Index(fields=("external_ref",), name="call_reference", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return f"{self.external_ref} ({self.status})"

    def get_absolute_url(self) -> str:
        return reverse("call", args=[self.pk])

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        gone = [self.pk]
        deleted = super().delete(*args, **kwargs)
        transaction.on_commit(lambda: _forget(gone), robust=True)
        return deleted

    @property
    def is_live(self) -> bool:
        return self.status == CallStatus.LIVE

    @property
    def is_recording(self) -> bool:
        """Somebody uploaded it: no floor and no agent hears of it while it is scored."""
        return self.source.protocol == Protocol.RECORDING

    @property
    def is_withheld(self) -> bool:
        """Whether its audio must not be analysed now."""
        return self.opted_out_at is not None or (self.asks_consent and self.opted_in_at is None)

    @property
    def consent(self) -> str:
        """What a tile says: "no" after an objection, "asked" while waiting for a yes, else ""."""
        return "no" if self.opted_out_at else "asked" if self.is_withheld else ""

    @property
    def is_one_sided(self) -> bool:
        """The agent's voice has never reached us: nobody knows what they say. (A practice is alone.)"""
        streams = self.counters.get("streams", {})
        return bool(streams) and "agent" not in streams and not self.practice

    def withheld_words(self) -> str:
        if self.opted_out_at is not None:
            return "The caller objected: nothing more is analysed"
        return "Waiting for the caller’s consent" if self.is_withheld else ""

    def groups(self) -> list[str]:
        if self.is_recording:
            return [f"call.{self.pk}"]
        if self.practice:
            return [f"call.{self.pk}", f"agent.{self.agent_id}"]
        names = [f"team.{self.team_id}", f"call.{self.pk}"]
        return [*names, f"agent.{self.agent_id}"] if self.agent_id else names

    def tile_base(self) -> dict[str, Any]:
        """The part of a tile that the call row itself knows."""
        return {
            "id": str(self.pk),
            "agent": str(self.agent) if self.agent else "Unassigned",
            "initials": self.agent.initials if self.agent else "?",
            "queue": self.queue,
            "source": self.source.name,
            "team": self.team_id,
            "team_name": self.team.name,
            "synthetic": self.synthetic,
            "label": self.label,
            "recording": self.is_recording,
            "practice": self.practice,
            "status": self.status,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "media_ms": self.media_ms,
            "consent": self.consent,
            "one_sided": self.is_one_sided,
            "alerts_open": self.tile.get("alerts_open", 0) if self.tile else 0,
            "alert": self.tile.get("alert") if self.tile else None,
            "helpers": self.tile.get("helpers", []) if self.tile else [],
            "followers": self.tile.get("followers", []) if self.tile else [],
            "scored_at": self.scored_at.isoformat() if self.scored_at else None,
        }
