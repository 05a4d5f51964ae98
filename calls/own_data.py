"""All that is kept about an agent, for that agent to take away; other people's words are left out."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F, Q

from calls import exports
from calls.models import Change, Look, Message, Note, NudgeChoices, Review, ShownNudge, Turn, User
from calls.models.reviews import Appeal
from scoring.types import Channel

MOST = 50_000
"""Rows of one kind."""

ABOUT = """What Empathy Dash keeps about {who}, as of {day}.

person.json    the account, and how you want to be helped
calls.csv      your finished calls with their numbers, a row a call
turns.csv      what you said in them, as far as it is still kept, with the behaviours read in it
cues.csv       the cues you were shown, what you said of them, and whether they were taken
messages.csv   what supervisors wrote to you during calls
notes.csv      notes on your calls
looks.csv      who looked at your calls, when, and at what of them
reviews.csv    how people scored your calls, and your answers
appeals.csv    your appeals and what was decided
changes.csv    what was changed about your account

Nothing was ever read from your voice but when you spoke and which words. Times are UTC.
"""


def archive(agent: User, today: date) -> bytes:
    """A zip; texts that a spreadsheet would take for a formula are quoted."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("README.txt", ABOUT.format(who=agent, day=today.isoformat()))
        out.writestr("person.json", json.dumps(person(agent), cls=DjangoJSONEncoder, indent=1))
        wanted = exports.Wanted([], date(1970, 1, 2), today, agent.pk, named=True)
        out.writestr("calls.csv", exports.as_csv(wanted))
        for name, rows in tables(agent).items():
            out.writestr(f"{name}.csv", as_csv(rows))
    return made.getvalue()


def person(agent: User) -> dict[str, Any]:
    choices: Mapping[str, Any] = NudgeChoices.objects.filter(agent=agent).values().first() or {}
    account = (
        "username",
        "first_name",
        "last_name",
        "email",
        "role",
        "is_active",
        "date_joined",
        "last_login",
    )
    return {
        **{name: getattr(agent, name) for name in account},
        "team": agent.team.name if agent.team else None,
        "cues": {name: value for name, value in choices.items() if name != "agent_id"},
        "tokens": list(agent.api_tokens.values("name", "scopes", "created_at", "expires_at", "used_at")),
    }


def tables(agent: User) -> dict[str, Iterable[Mapping[str, Any]]]:
    mine = {"call__agent": agent}
    turns = Turn.objects.filter(**mine, channel=Channel.AGENT).order_by("call__started_at", "start_ms")
    looks = Look.objects.filter(**mine).annotate(who=F("user__username"))
    reviews = Review.objects.filter(**mine).exclude(submitted_at=None).annotate(who=F("reviewer__username"))
    found: dict[str, Any] = {
        "turns": turns.values("call", "start_ms", "end_ms", "text", "behaviours"),
        "cues": ShownNudge.objects.filter(agent=agent).values(
            "call", "t_ms", "rule", "cue", "solution", "shown_at", "verdict", "taken", "recovered_ms"
        ),
        "messages": Message.objects.filter(**mine).values("call", "sent_at", "read_at", "text"),
        "notes": Note.objects.filter(**mine).values("call", "t_ms", "written_at", "text"),
        "looks": looks.values("call", "who", "kind", "began_at", "last_at", "listened_at"),
        "reviews": reviews.values(
            "call", "who", "submitted_at", "ratings", "overall", "comment", "acknowledged_at", "answer"
        ),
        "appeals": Appeal.objects.filter(agent=agent).values(
            "call", "opened_at", "reason", "before", "decided_at", "decision", "decided_reason", "after"
        ),
        "changes": Change.objects.filter(
            Q(subject_type="user", subject_id=str(agent.pk)) | Q(actor_id=agent.pk)
        ).values("at", "actor", "did", "subject", "before", "after"),
    }
    return {name: rows[:MOST] for name, rows in found.items()}


def as_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for n, row in enumerate(rows):
        if not n:
            writer.writerow(row)
        writer.writerow([exports.cell(_flat(value)) for value in row.values()])
    return out.getvalue().encode()


def _flat(value: Any) -> Any:
    return json.dumps(value, cls=DjangoJSONEncoder) if isinstance(value, dict | list) else value
