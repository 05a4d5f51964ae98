"""The documents a page starts from, and how an event changes them.

`apply(snapshot, event)` here and in static/js must agree: `apply` over a stale snapshot equals a
fresh one.
"""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from calls import access, changes, nudging, policy, wire
from calls.choices import CallStatus, Protocol
from calls.models import Call, Look, Message, NudgeChoices, ShownNudge, User
from calls.wire import Doc

VIEW_PARTS = (
    "opportunities", "nudges", "alerts", "why", "timing", "components", "alignment", "outlook",
)  # fmt: skip
ENDED_STAYS = timedelta(seconds=8)
"""How long an ended call stays on the floor, to be seen leaving."""


def floor_snapshot(user: access.Viewer, lag_ms: int = 0, team: str = "") -> Doc:
    """All that the viewer watches, or one team of it."""
    teams = access.floor_teams(user, team)
    now = timezone.now()
    phoned = Call.objects.filter(team__in=teams, practice=False).exclude(source__protocol=Protocol.RECORDING)
    shown = phoned.filter(Q(status=CallStatus.LIVE) | Q(ended_at__gte=now - ENDED_STAYS))
    tiles = {str(pk): tile for pk, tile in shown.values_list("pk", "tile") if tile}
    return {"now": now.isoformat(), "lag_ms": lag_ms, "calls": tiles}


def wall_snapshot(user: access.Viewer, lag_ms: int = 0, team: str = "") -> Doc:
    """The floor for a screen that everybody in the room sees."""
    floor = floor_snapshot(user, lag_ms, team)
    return floor | {"calls": {pk: wire.wall_tile(tile) for pk, tile in floor["calls"].items()}}


def call_snapshot(call: Call) -> Doc:
    view = call.view or {}
    blocks = call.coverage.order_by("block").values_list("channel", "hops")
    return {
        "tile": call.tile,
        "turns": [wire.turn_doc(turn) for turn in call.turns.all()],
        "moments": [wire.moment_doc(moment) for moment in call.moments.all()],
        "opportunities": view.get("opportunities", []),
        "nudges": wire.nudge_docs(call.nudges.all()),
        "alerts": wire.alert_docs(call.alerts.select_related("acknowledged_by", "resolved_by")),
        "cues": [wire.shown_doc(row) for row in call.shown_nudges.all()],
        "messages": [wire.message_doc(row) for row in call.messages.select_related("sender")],
        "remarks": [wire.note_doc(row) for row in call.remarks.select_related("author")],
        "looks": [wire.look_doc(row) for row in call.looks.select_related("user")],
        "why": view.get("why", []),
        "timing": view.get("timing", {}),
        "components": view.get("components", {}),
        "alignment": view.get("alignment", {}),
        "outlook": view.get("outlook", {}),
        "coverage": wire.coverage_doc(blocks, call.counters, call.notes),
        "final": call.final,
        "versions": {"engine": call.engine, "rubric": str(call.rubric_version)},
    }


def agent_snapshot(agent: User) -> Doc:
    """What an agent's own page starts from: running calls, their cues, messages and who looks on."""
    calls = list(Call.objects.filter(agent=agent).live().select_related("agent", "team", "source"))
    choices = NudgeChoices.objects.filter(agent=agent).select_related("agent").first()
    return {
        "calls": {str(call.pk): call.tile for call in calls if call.tile},
        "cues": [wire.shown_doc(r) for r in ShownNudge.objects.filter(call__in=calls)],
        "messages": [
            wire.message_doc(r) for r in Message.objects.filter(call__in=calls).select_related("sender")
        ],
        "looks": [wire.look_doc(r) for r in Look.objects.filter(call__in=calls).select_related("user")],
        "cues_on": policy.current().cues,
        "choices": nudging.choices_doc(choices or NudgeChoices(agent=agent)),
    }


def apply(doc: Doc, event: dict[str, Any]) -> Doc:
    """A new floor or call document with the event applied; unknown events change nothing."""
    doc = copy.copy(doc)
    kind = event["type"]
    if "choices" in doc:
        return _apply_mine(doc, event)
    if "calls" in doc:
        if kind == "lag":
            doc["lag_ms"] = event["lag_ms"]
        elif tile := changes.told(doc["calls"], event):
            doc["calls"] = doc["calls"] | {tile["id"]: tile}
        return doc
    if kind == "turn":
        turn = event["turn"]
        others = [t for t in doc["turns"] if _turn_key(t) != _turn_key(turn)]
        doc["turns"] = sorted([*others, turn], key=lambda t: (t["start_ms"], t["channel"]))
    elif kind == "view":
        kept = [m for m in doc["moments"] if m["t_ms"] < event["since_ms"]]
        doc["moments"] = kept + event["moments"]
        for name in VIEW_PARTS:
            doc[name] = event[name]
    elif kind in ("tile", "coverage", "final", "alerts"):
        doc[kind] = event[kind]
    elif kind in LISTS:
        doc[LISTS[kind]] = _with(doc[LISTS[kind]], event[kind])
    return doc


def _apply_mine(doc: Doc, event: dict[str, Any]) -> Doc:
    """The same for an agent's own page."""
    kind = event["type"]
    if kind == "tile":
        tile = event["tile"]
        doc["calls"] = {pk: old for pk, old in doc["calls"].items() if pk != tile["id"]}
        if tile["status"] == CallStatus.LIVE:
            doc["calls"][tile["id"]] = tile
    elif kind == "choices":
        doc["choices"] = event["choices"]
    elif kind in LISTS and LISTS[kind] in doc:
        doc[LISTS[kind]] = _with(doc[LISTS[kind]], event[kind])
    return doc


LISTS = {"cue": "cues", "message": "messages", "remark": "remarks", "look": "looks"}
"""Events of one row, and the list it belongs to."""


def _with(rows: list[Doc], row: Doc) -> list[Doc]:
    """The list with the row, new or in place of what it was."""
    known = any(r["id"] == row["id"] for r in rows)
    return [row if r["id"] == row["id"] else r for r in rows] if known else [*rows, row]


def _turn_key(turn: Doc) -> tuple[str, int]:
    return turn["channel"], turn["start_ms"]
