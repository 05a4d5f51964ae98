"""Closed lists: value and label once."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _

from scoring.types import HELPING, Channel, Risk, State


class Role(models.TextChoices):
    AGENT = "agent", "Agent"
    SUPERVISOR = "supervisor", "Supervisor"
    ADMIN = "admin", "Admin"


class Protocol(models.TextChoices):
    TWILIO = "twilio", "Twilio Media Streams"


class CallStatus(models.TextChoices):
    LIVE = "live", "Live"
    ENDED = "ended", "Ended"
    LOST = "lost", "Lost"


class Outcome(models.TextChoices):
    """What became of one hop of audio: one letter in the coverage ledger."""

    SCORED = "s", "Scored"
    LOST = "l", "Lost before it reached us"
    FAILED = "f", "Could not be scored after three tries"
    SKIPPED = "k", "Skipped under load"
    UNKNOWN = ".", "Not received"


def titled(names: type[StrEnum]) -> list[tuple[str, str]]:
    return [(member.value, member.value.title()) for member in names]


CHANNELS = titled(Channel)
STATES = titled(State)
RISKS = [(Risk.CALM.value, "Calm"), (Risk.WATCH.value, "Watch"), (Risk.HELP.value, "Help now")]
MISSING = [(str(b), str(b).title()) for b in HELPING]


class Verdict(models.TextChoices):
    """What an agent says of a cue. The first three count for its rule's precision."""

    HELPFUL = "helpful", _("Helpful")
    NOT = "not", _("Not helpful")
    WRONG = "wrong", _("Wrong")
    NOT_NOW = "not_now", _("Not now")
