"""Closed lists: value and label once."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _

from scoring.types import HELPING, Channel, Risk, State


class Role(models.TextChoices):
    AGENT = "agent", _("Agent")
    SUPERVISOR = "supervisor", _("Supervisor")
    ADMIN = "admin", _("Admin")


class Protocol(models.TextChoices):
    TWILIO = "twilio", "Twilio Media Streams"
    SIGNALWIRE = "signalwire", "SignalWire"
    TELNYX = "telnyx", "Telnyx"
    PLIVO = "plivo", "Plivo"
    EXOTEL = "exotel", "Exotel"
    VONAGE = "vonage", "Vonage"
    AUDIOHOOK = "audiohook", "Genesys Cloud AudioHook"
    ASTERISK = "asterisk", "Asterisk chan_websocket"
    AUDIOSOCKET = "audiosocket", "Asterisk AudioSocket"
    FREESWITCH = "freeswitch", "FreeSWITCH mod_audio_stream, mod_audio_fork"
    STREAM = "stream", _("Stream of our own (empathy.v1)")
    RECORDING = "recording", _("Uploaded recordings")


class Layout(models.TextChoices):
    """Who is where in an uploaded recording."""

    CALLER_LEFT = "caller-left", _("Caller left, agent right")
    AGENT_LEFT = "agent-left", _("Agent left, caller right")
    TWO_FILES = "two-files", _("Two files: the caller's and the agent's")
    ONE_CHANNEL = "one-channel", _("Both on one channel")


class RecordingState(models.TextChoices):
    UPLOADING = "uploading", _("Uploading")
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Being scored")
    DONE = "done", _("Scored")
    FAILED = "failed", _("Failed")
    DUPLICATE = "duplicate", _("Already here")


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
    PAUSED = "p", "Paused by the phone system"
    WITHHELD = "w", "Not analysed: no consent"
    UNKNOWN = ".", "Not received"


def titled(names: type[StrEnum]) -> list[tuple[str, str]]:
    return [(member.value, member.value.title()) for member in names]


CHANNELS = titled(Channel)
STATES = titled(State)
RISKS = [(Risk.CALM.value, "Calm"), (Risk.WATCH.value, "Watch"), (Risk.HELP.value, "Help now")]
MISSING = [(str(b), str(b).title()) for b in HELPING]


class Region(models.TextChoices):
    EU = "eu", _("European Union (strict)")
    UK = "uk", _("United Kingdom")
    US = "us", _("United States")


class Asked(models.TextChoices):
    """What a call needs before anything in it is analysed."""

    NOTICE = "notice", _("Notice at the beginning; a caller may object at any time")
    CONSENT = "consent", _("The caller's consent; nothing is analysed before it")


class Said(models.TextChoices):
    NOTICE = "notice", _("Notice given")
    YES = "yes", _("Consent given")
    NO = "no", _("Objected")


class Did(models.TextChoices):
    CREATED = "created", _("created")
    CHANGED = "changed", _("changed")
    REMOVED = "removed", _("removed")
    LINKED = "linked", _("made a log-in link for")
    PASSWORD = "password", _("set a password for")
    PUBLISHED = "published", _("published")
    ERASED = "erased", _("erased")
    REVOKED = "revoked", _("revoked")
    LOGGED_IN = "in", _("logged in:")
    LOGIN_FAILED = "failed", _("could not log in:")
    LOGGED_OUT = "out", _("logged out:")
    FACTOR_ADDED = "factor+", _("set up a second factor:")
    FACTOR_REMOVED = "factor-", _("removed the second factor of")
    BOUND = "bound", _("was bound to single sign-on:")
    SCHEDULED = "scheduled", _("scheduled")
    CANCELLED = "cancelled", _("called off")
    DISCARDED = "discarded", _("discarded")
    DECIDED = "decided", _("decided")
    CLOSED = "closed", _("closed")
    PURGED = "purged", _("purged")
    ANONYMISED = "anonymised", _("erased the name of")
    EXPORTED = "exported", _("took out of the system:")


class Scope(models.TextChoices):
    """What a token may be used for; never more than its owner may."""

    CALLS = "calls", _("Calls: who, when, how long, and their final scores")
    TIMELINES = "timelines", _("Timelines: states, empathy, needs and cues by the second")
    WORDS = "words", _("Transcripts")
    ALERTS = "alerts", _("Alerts")
    ACT = "alerts:act", _("Acknowledge and resolve alerts")
    TRENDS = "trends", _("Trends of agents and teams")
    RUBRICS = "rubrics", _("Rubrics")
    EXPORT = "export", _("Exports: CSV and Parquet")
    FEED = "feed", _("Send calls: reservations, recordings, transcripts; and outcomes")
    CONSENT = "consent", _("Note what callers say of being analysed: notice, yes or no")


class HookEvent(models.TextChoices):
    ALERT_RAISED = "alert.raised", _("An alert is raised")
    ALERT_RESOLVED = "alert.resolved", _("An alert is resolved")
    CALL_FINISHED = "call.finished", _("A call is over and scored")
    PING = "ping", _("A test")


class Gender(models.TextChoices):
    """Of a caller, where the caller volunteered it and the phone system passes it on. Never inferred."""

    FEMALE = "female", _("Female")
    MALE = "male", _("Male")
    OTHER = "other", _("Other")


class Kept(models.TextChoices):
    """Classes of data, in the order in which they go."""

    AUDIO = "audio", _("Audio")
    TRANSCRIPT = "transcript", _("Transcript")
    FEATURES = "features", _("Features")
    SCORES = "scores", _("Scores")
    SUBJECT = "subject", _("All of a call, on request")


class LookKind(models.TextChoices):
    """What somebody had of a call, or did with it; the label follows who and when."""

    PAGE = "page", _("the call’s page")
    DATA = "data", _("its data and consent")
    MARKING = "marking", _("to mark turns")
    SCORING = "scoring", _("to score it")
    REVIEW = "review", _("a score that somebody gave it")
    RESCORED = "rescored", _("scored by another version of the rubric")
    COPY = "copy", _("took a copy of all of it")
    PROGRAM = "program", _("by a program")
    PLAYED = "played", _("played the recording")
    LISTEN = "listen", _("listened in live")
    BARGE = "barge", _("stepped in live")


SHOW_MACHINE = frozenset({LookKind.PAGE, LookKind.REVIEW, LookKind.RESCORED, LookKind.COPY, LookKind.PROGRAM})
"""Looks that tell what the machine made of the call: whoever had one no longer scores it blind."""


class Verdict(models.TextChoices):
    """What an agent says of a cue. The first three count for its rule's precision."""

    HELPFUL = "helpful", _("Helpful")
    NOT = "not", _("Not helpful")
    WRONG = "wrong", _("Wrong")
    NOT_NOW = "not_now", _("Not now")
