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

from calls import access, wire
from calls.choices import CallStatus
from calls.models import Call
from calls.wire import Doc

VIEW_PARTS = (
    "opportunities", "nudges", "alerts", "why", "timing", "components", "alignment", "outlook",
)  # fmt: skip
ENDED_STAYS = timedelta(seconds=8)
"""How long an ended call stays on the floor, to be seen leaving."""


def floor_snapshot(user: access.Viewer, lag_ms: int = 0) -> Doc:
    teams = access.visible_teams(user)
    now = timezone.now()
    shown = Call.objects.filter(team__in=teams).filter(
        Q(status=CallStatus.LIVE) | Q(ended_at__gte=now - ENDED_STAYS)
    )
    tiles = {str(pk): tile for pk, tile in shown.values_list("pk", "tile") if tile}
    return {"now": now.isoformat(), "lag_ms": lag_ms, "calls": tiles}


def call_snapshot(call: Call) -> Doc:
    view = call.view or {}
    blocks = call.coverage.order_by("block").values_list("channel", "hops")
    return {
        "tile": call.tile,
        "turns": [wire.turn_doc(turn) for turn in call.turns.all()],
        "moments": [wire.moment_doc(moment) for moment in call.moments.all()],
        "opportunities": view.get("opportunities", []),
        "nudges": wire.nudge_docs(call.nudges.all()),
        "alerts": wire.alert_docs(call.alerts.all()),
        "why": view.get("why", []),
        "timing": view.get("timing", {}),
        "components": view.get("components", {}),
        "alignment": view.get("alignment", {}),
        "outlook": view.get("outlook", {}),
        "coverage": wire.coverage_doc(blocks, call.counters, call.notes),
        "final": call.final,
        "versions": {"engine": call.engine, "rubric": str(call.rubric_version)},
    }


def apply(doc: Doc, event: dict[str, Any]) -> Doc:
    """A new floor or call document with the event applied; unknown events change nothing."""
    doc = copy.copy(doc)
    kind = event["type"]
    if "calls" in doc:
        if kind == "tile":
            doc["calls"] = doc["calls"] | {event["tile"]["id"]: event["tile"]}
        elif kind == "lag":
            doc["lag_ms"] = event["lag_ms"]
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
    elif kind in ("tile", "coverage", "final"):
        doc[kind] = event[kind]
    return doc


def _turn_key(turn: Doc) -> tuple[str, int]:
    return turn["channel"], turn["start_ms"]
