"""What the API says of things: field by field, for programs and for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from calls import tokens, wire
from calls.api.rights import is_locked, person
from calls.choices import RISKS, CallStatus
from calls.models import Alert, Call, Rubric, RubricVersion, Team, User
from calls.models.reviews import Decision, standing_of
from scoring.types import Behaviour, Channel, Loyalty, State


class Shape(serializers.Serializer):
    """Of plain documents; rows have `ModelSerializer`s."""


STATE_VALUES = [str(state) for state in State]


class AgentShape(serializers.ModelSerializer):
    name = serializers.CharField(source="__str__")
    team = serializers.PrimaryKeyRelatedField(read_only=True, allow_null=True)

    class Meta:
        model = User
        fields = ("id", "username", "name", "team", "is_active")


class TeamShape(serializers.ModelSerializer):
    class Meta:
        model = Team
        fields = ("id", "name")


class WhoShape(Shape):
    username = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=["agent", "supervisor", "admin"])
    teams = TeamShape(many=True, help_text="Whose floor the owner may watch.")
    scopes = serializers.ListField(child=serializers.CharField(), help_text="Of the token; all without one.")


class FinalShape(Shape):
    """Scores of a finished call. Empathy is judged only where there was an opportunity."""

    empathy = serializers.FloatField(allow_null=True, help_text="0-100")
    empathy_low = serializers.FloatField(allow_null=True)
    empathy_high = serializers.FloatField(allow_null=True)
    courtesy_only = serializers.BooleanField(help_text="No opportunity: only courtesy is told.")
    courtesy = serializers.FloatField(allow_null=True, help_text="0-1")
    opportunities = serializers.IntegerField()
    met = serializers.IntegerField()
    met_share = serializers.FloatField(allow_null=True)
    recovered_share = serializers.FloatField(allow_null=True)
    median_latency_ms = serializers.IntegerField(allow_null=True)
    outlook = serializers.ChoiceField(choices=[str(x) for x in Loyalty], allow_null=True)
    outlook_score = serializers.FloatField(allow_null=True, help_text="-1 (at risk) to 1 (strengthened)")
    alerts = serializers.IntegerField()
    duration_ms = serializers.IntegerField()
    rubric = serializers.CharField()
    engine = serializers.CharField()


def final_of(call: Call) -> dict[str, Any] | None:
    final = call.final
    if final is None:
        return None
    alignment, outlook = final.get("alignment") or {}, final.get("outlook") or {}
    return {
        "empathy": final.get("empathy"),
        "empathy_low": final.get("empathy_low"),
        "empathy_high": final.get("empathy_high"),
        "courtesy_only": bool(final.get("courtesy_only")),
        "courtesy": final.get("courtesy"),
        "opportunities": final.get("opportunities") or 0,
        "met": final.get("met") or 0,
        "met_share": alignment.get("met_share"),
        "recovered_share": alignment.get("recovered_share"),
        "median_latency_ms": alignment.get("median_latency_ms"),
        "outlook": outlook.get("status"),
        "outlook_score": outlook.get("score"),
        "alerts": final.get("alerts") or 0,
        "duration_ms": final.get("duration_ms") or call.media_ms,
        "rubric": final.get("rubric") or str(call.rubric_version),
        "engine": final.get("engine") or call.engine,
    }


class CallShape(serializers.ModelSerializer):
    """A call. `agent` is empty, and `agent_withheld` true, where the policy locks agents' figures."""

    source = serializers.SlugRelatedField(read_only=True, slug_field="slug")
    team = serializers.PrimaryKeyRelatedField(read_only=True)
    agent = serializers.SerializerMethodField()
    agent_withheld = serializers.SerializerMethodField()
    status = serializers.ChoiceField(choices=CallStatus.choices)
    risk = serializers.SerializerMethodField(help_text="Of a live call, now.")
    state = serializers.SerializerMethodField(help_text="What the caller seems to feel now, or felt last.")
    final = serializers.SerializerMethodField()
    under_appeal = serializers.SerializerMethodField(help_text="While true, the score is not final.")
    appeal_decision = serializers.SerializerMethodField(
        help_text="On the machine's score: upheld, changed, or empty."
    )
    decided_empathy = serializers.SerializerMethodField(
        help_text="Where an appeal changed the score: what counts instead of `final.empathy` (0-100)."
    )
    consent = serializers.ChoiceField(
        choices=["", "asked", "no"], help_text="asked: waiting for a yes; no: the caller objected."
    )
    purged = serializers.DictField(
        child=serializers.CharField(), help_text="Class of data: when it was deleted."
    )

    class Meta:
        model = Call
        fields = (
            "id", "external_ref", "source", "team", "agent", "agent_withheld", "queue", "synthetic", "status",
            "started_at", "ended_at", "end_reason", "media_ms", "risk", "state", "final", "under_appeal",
            "appeal_decision", "decided_empathy", "consent", "purged",
        )  # fmt: skip

    def get_agent_withheld(self, call: Call) -> bool:
        return call.agent_id is not None and is_locked(self.context["request"], call.agent_id)

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_agent(self, call: Call) -> int | None:
        return None if self.get_agent_withheld(call) else call.agent_id

    @extend_schema_field(serializers.ChoiceField(choices=RISKS, allow_null=True))
    def get_risk(self, call: Call) -> str | None:
        return (call.tile or {}).get("risk") if call.is_live else None

    @extend_schema_field(serializers.ChoiceField(choices=STATE_VALUES, allow_null=True))
    def get_state(self, call: Call) -> str | None:
        return None if self.is_blind(call) else (call.tile or {}).get("state")

    @extend_schema_field(FinalShape(allow_null=True))
    def get_final(self, call: Call) -> dict[str, Any] | None:
        """None while a blind review of the one who asks is open."""
        return None if self.is_blind(call) else final_of(call)

    def is_blind(self, call: Call) -> bool:
        return call.pk in self.context.get("reviewing", frozenset())

    def get_under_appeal(self, call: Call) -> bool:
        return standing_of(call.appeals.all()).under_appeal

    @extend_schema_field(serializers.ChoiceField(choices=["", *Decision.values]))
    def get_appeal_decision(self, call: Call) -> str:
        return standing_of(call.appeals.all()).decision

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_decided_empathy(self, call: Call) -> float | None:
        """None, too, while a blind review of the one who asks is open."""
        reviewing = self.context.get("reviewing", frozenset())
        return None if call.pk in reviewing else standing_of(call.appeals.all()).decided


class MomentShape(Shape):
    t_ms = serializers.IntegerField()
    state = serializers.ChoiceField(choices=STATE_VALUES)
    intensity = serializers.FloatField()
    confidence = serializers.FloatField()
    distress = serializers.FloatField()
    empathy = serializers.FloatField(allow_null=True)
    empathy_low = serializers.FloatField(allow_null=True)
    empathy_high = serializers.FloatField(allow_null=True)
    opportunities = serializers.IntegerField()


class OpportunityShape(Shape):
    t_ms = serializers.IntegerField()
    state = serializers.ChoiceField(choices=STATE_VALUES)
    affect = serializers.FloatField()
    response = serializers.FloatField(allow_null=True, help_text="0-1; null while it is not settled")
    met = serializers.ListField(child=serializers.CharField())
    missing = serializers.ListField(child=serializers.CharField())
    latency_ms = serializers.IntegerField(allow_null=True)


class CueShape(Shape):
    t_ms = serializers.IntegerField()
    rule = serializers.CharField()
    state = serializers.ChoiceField(choices=STATE_VALUES)
    missing = serializers.ChoiceField(choices=[str(b) for b in Behaviour])
    cue = serializers.CharField()
    phrases = serializers.ListField(child=serializers.CharField(), help_text="up to two ways to say it")
    solution = serializers.CharField(allow_blank=True, help_text="from the team's playbook")
    link = serializers.CharField(allow_blank=True, help_text="https, where the solution is described")
    verdict = serializers.CharField(allow_blank=True)
    taken = serializers.BooleanField(allow_null=True)
    recovered_ms = serializers.IntegerField(allow_null=True)


class CoverageShape(Shape):
    received_ms = serializers.IntegerField()
    scored_ms = serializers.IntegerField()
    lost_ms = serializers.IntegerField()
    failed_ms = serializers.IntegerField()
    skipped_ms = serializers.IntegerField()
    withheld_ms = serializers.IntegerField()


class TimelineShape(Shape):
    """States and empathy over the call, its needs, the cues shown, and how much of it was scored."""

    moments = MomentShape(many=True)
    opportunities = OpportunityShape(many=True)
    cues = CueShape(many=True)
    coverage = serializers.DictField(child=CoverageShape(), help_text="By channel.")
    notes = serializers.ListField(child=serializers.CharField(), help_text="What was not scored, and why.")


def timeline_of(call: Call) -> dict[str, Any]:
    blocks = call.coverage.order_by("block").values_list("channel", "hops")
    coverage = wire.coverage_doc(blocks, call.counters, call.notes)
    return {
        "moments": [wire.moment_doc(moment) for moment in call.moments.all()],
        "opportunities": (call.view or {}).get("opportunities", []),
        "cues": [wire.shown_doc(row) for row in call.shown_nudges.all()],
        "coverage": coverage["channels"],
        "notes": coverage["notes"],
    }


class TurnShape(Shape):
    """One utterance, card numbers and the like redacted. States are told of callers only."""

    channel = serializers.ChoiceField(choices=[str(c) for c in Channel])
    start_ms = serializers.IntegerField()
    end_ms = serializers.IntegerField()
    text = serializers.CharField(allow_blank=True)
    confidence = serializers.FloatField()
    states = serializers.DictField(child=serializers.FloatField())
    behaviours = serializers.DictField(child=serializers.FloatField())
    redacted = serializers.IntegerField(help_text="How many things were masked.")


class AlertShape(serializers.ModelSerializer):
    call = serializers.PrimaryKeyRelatedField(read_only=True)
    team = serializers.IntegerField(source="call.team_id")
    severity = serializers.ChoiceField(choices=RISKS)
    acknowledged_by = serializers.CharField(read_only=True, allow_null=True, help_text="A name.")
    resolved_by = serializers.CharField(read_only=True, allow_null=True, help_text="A name.")
    quote = serializers.SerializerMethodField(help_text="Empty without the scope `words`.")

    class Meta:
        model = Alert
        fields = (
            "id", "call", "team", "cause", "episode", "title", "quote", "severity", "t_ms", "raised_at",
            "acknowledged_at", "acknowledged_by", "resolved_at", "resolved_by", "resolution",
        )  # fmt: skip

    def get_quote(self, alert: Alert) -> str:
        token = self.context["request"].auth
        return alert.quote if token is None or "words" in token.scopes else ""


class ResolutionShape(Shape):
    resolution = serializers.CharField(
        max_length=200, required=False, allow_blank=True, default="", help_text="What was done about it."
    )


class WeekShape(Shape):
    week = serializers.DateField(help_text="Its Monday, UTC.")
    n = serializers.IntegerField(help_text="Calls that could tell.")
    q1 = serializers.FloatField()
    median = serializers.FloatField()
    q3 = serializers.FloatField()
    sum = serializers.FloatField()


class TrendShape(Shape):
    """By metric, week by week. Shares 0-1, empathy 0-100, times in milliseconds."""

    synthetic = serializers.BooleanField(help_text="Of made-up calls: there are no real ones.")
    metrics = serializers.DictField(child=WeekShape(many=True))


class FeltShape(Shape):
    calls = serializers.IntegerField()
    told = serializers.IntegerField(help_text="Of those, calls of which something about the caller is known.")
    patchy = serializers.IntegerField(help_text="Calls of whose audio much was not scored.")
    times = serializers.DictField(
        child=serializers.FloatField(), help_text="Mean share of a call's time by state."
    )
    needs = serializers.DictField(child=serializers.IntegerField())
    missed = serializers.DictField(child=serializers.IntegerField())
    outlook = serializers.DictField(child=serializers.IntegerField())


class TeamTrendShape(TrendShape):
    felt = FeltShape()
    by_hour = serializers.DictField(child=FeltShape(), help_text="Hours in UTC.")
    by_topic = serializers.DictField(child=FeltShape())


class RubricShape(serializers.ModelSerializer):
    team = serializers.PrimaryKeyRelatedField(read_only=True, allow_null=True)
    newest = serializers.SerializerMethodField(help_text="Number of the version in force.")

    class Meta:
        model = Rubric
        fields = ("id", "name", "team", "newest")

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_newest(self, rubric: Rubric) -> int | None:
        return max((version.number for version in rubric.versions.all()), default=None)


class VersionShape(serializers.ModelSerializer):
    created_by = serializers.CharField(allow_null=True, help_text="A name.")

    class Meta:
        model = RubricVersion
        fields = ("number", "created_at", "created_by", "note")


class WholeVersionShape(VersionShape):
    spec = serializers.DictField(help_text="As in docs/rubrics.md.")

    class Meta(VersionShape.Meta):
        fields = (*VersionShape.Meta.fields, "spec")  # type: ignore[assignment]


def scopes_of(request: Any) -> list[str]:
    """Of the token; a person at the browser has all that their role can."""
    if request.auth is not None:
        return list(request.auth.scopes)
    return [scope.value for scope in tokens.scopes_for(person(request))]
