"""The nouns of the product, as stored. Behaviour that needs only a row lives on the row."""

from calls.models.api import ApiToken, Delivery, Webhook
from calls.models.audit import Change
from calls.models.calls import Call, CallQuerySet
from calls.models.drafts import RubricDraft, RubricPlan, RubricTrial
from calls.models.help import Follow, Look, Message, Note, NudgeChoices, ShownNudge
from calls.models.labels import RefitRun, TurnLabel
from calls.models.outcomes import CallOutcome, OutcomeImport, OutlookRun
from calls.models.people import Team, User
from calls.models.policy import ConsentEvent, Policy, Purge
from calls.models.recordings import Recording, RecordingQuerySet
from calls.models.reviews import Appeal, CalibrationSession, Review
from calls.models.rubrics import Rubric, RubricVersion
from calls.models.scores import (
    HOPS_PER_BLOCK,
    Alert,
    CoverageBlock,
    Moment,
    Nudge,
    Speech,
    Turn,
    VoiceWindow,
)
from calls.models.sources import Source
from calls.models.trends import AgentWeek, CallFact, EngineVersion, TeamFelt, TeamWeek

__all__ = [
    "HOPS_PER_BLOCK",
    "AgentWeek",
    "Alert",
    "ApiToken",
    "Appeal",
    "CalibrationSession",
    "Call",
    "CallFact",
    "CallOutcome",
    "CallQuerySet",
    "Change",
    "ConsentEvent",
    "CoverageBlock",
    "Delivery",
    "EngineVersion",
    "Follow",
    "Look",
    "Message",
    "Moment",
    "Note",
    "Nudge",
    "NudgeChoices",
    "OutcomeImport",
    "OutlookRun",
    "Policy",
    "Purge",
    "RefitRun",
    "Recording",
    "RecordingQuerySet",
    "Review",
    "Rubric",
    "RubricDraft",
    "RubricPlan",
    "RubricTrial",
    "RubricVersion",
    "Source",
    "ShownNudge",
    "Speech",
    "Team",
    "TeamFelt",
    "TeamWeek",
    "Turn",
    "TurnLabel",
    "User",
    "VoiceWindow",
    "Webhook",
]
