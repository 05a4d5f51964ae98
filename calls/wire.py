"""The JSON shapes of docs/contracts.md: rows and views in, plain documents out. No queries here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from calls.choices import Outcome
from calls.models import Alert, Call, Look, Message, Moment, Note, Nudge, NudgeChoices, ShownNudge, Turn, User
from scoring.types import HOP_MS, Alignment, CallView, Channel, Contribution, NudgeCandidate, Outlook
from scoring.types import Moment as MomentPoint
from scoring.types import Turn as HeardTurn

Doc = dict[str, Any]
SPARK_POINTS = 60
WHY_LINES = 5
OUTLOOK_LINES = 4


def turn_doc(turn: Turn | HeardTurn) -> Doc:
    cues = [cue if isinstance(cue, dict) else asdict(cue) for cue in turn.cues]
    return {
        "channel": str(turn.channel),
        "start_ms": turn.start_ms,
        "end_ms": turn.end_ms,
        "text": turn.text,
        "confidence": round(turn.confidence, 3),
        "states": rounded(turn.states),
        "behaviours": rounded(turn.behaviours),
        "cues": cues,
        "redacted": turn.redacted,
    }


def moment_doc(moment: Moment | MomentPoint) -> Doc:
    return {
        "t_ms": moment.t_ms,
        "state": str(moment.state),
        "intensity": round(moment.intensity, 3),
        "confidence": round(moment.confidence, 3),
        "distress": round(moment.distress, 3),
        "empathy": one_decimal(moment.empathy),
        "empathy_low": one_decimal(moment.empathy_low),
        "empathy_high": one_decimal(moment.empathy_high),
        "opportunities": moment.opportunities,
    }


def alert_doc(alert: Alert) -> Doc:
    return {
        "cause": alert.cause,
        "episode": alert.episode,
        "t_ms": alert.t_ms,
        "title": alert.title,
        "quote": alert.quote,
        "severity": alert.severity,
        "acknowledged_at": iso(alert.acknowledged_at),
        "acknowledged_by": person(alert.acknowledged_by),
        "resolved_at": iso(alert.resolved_at),
        "resolved_by": person(alert.resolved_by),
        "resolution": alert.resolution,
    }


def alert_docs(alerts: Iterable[Alert]) -> list[Doc]:
    """In the order of time; in one order, so that an event and a snapshot say the same."""
    return [alert_doc(alert) for alert in sorted(alerts, key=lambda a: (a.t_ms, a.cause, a.episode))]


def alert_marks(docs: Sequence[Doc]) -> Doc:
    """What a tile says of alerts: how many are open, the newest of those, who looks after others."""
    pending = [doc for doc in docs if not doc["acknowledged_at"] and not doc["resolved_at"]]
    kept = [doc for doc in docs if doc["acknowledged_at"] and not doc["resolved_at"]]
    newest = {"cause": pending[-1]["cause"], "title": pending[-1]["title"]} if pending else None
    names = dict.fromkeys(doc["acknowledged_by"] for doc in kept if doc["acknowledged_by"])
    return {"alerts_open": len(pending), "alert": newest, "helpers": list(names)}


def nudge_doc(nudge: Nudge | NudgeCandidate) -> Doc:
    return {
        "t_ms": nudge.t_ms,
        "rule": nudge.rule,
        "state": str(nudge.state),
        "missing": str(nudge.missing),
        "cue": nudge.cue,
        "phrases": list(nudge.phrases),
        "solution": nudge.solution,
        "link": nudge.link,
    }


def nudge_docs(nudges: Iterable[Nudge | NudgeCandidate]) -> list[Doc]:
    """One per rule and time, in the order of time: as they are stored."""
    unique = {(nudge.t_ms, nudge.rule): nudge for nudge in nudges}
    return [nudge_doc(unique[key]) for key in sorted(unique)]


def shown_doc(row: ShownNudge) -> Doc:
    """A cue as the agent saw it, what was said of it and what came of it."""
    return {
        "id": row.pk,
        "call": str(row.call_id),
        "t_ms": row.t_ms,
        "rule": row.rule,
        "state": row.state,
        "missing": row.missing,
        "cue": row.cue,
        "phrases": list(row.phrases),
        "solution": row.solution,
        "link": row.link,
        "shown_at": iso(row.shown_at),
        "verdict": row.verdict,
        "taken": row.taken,
        "recovered_ms": row.recovered_ms,
    }


def message_doc(row: Message) -> Doc:
    return {
        "id": row.pk,
        "call": str(row.call_id),
        "sender": person(row.sender),
        "text": row.text,
        "sent_at": iso(row.sent_at),
        "read_at": iso(row.read_at),
    }


def note_doc(row: Note) -> Doc:
    return {
        "id": row.pk,
        "author": person(row.author),
        "t_ms": row.t_ms,
        "text": row.text,
        "written_at": iso(row.written_at),
    }


def look_doc(row: Look) -> Doc:
    return {
        "id": row.pk,
        "call": str(row.call_id),
        "who": person(row.user),
        "kind": row.kind,
        "began_at": iso(row.began_at),
        "open": row.open,
        "listened_at": iso(row.listened_at),
    }


def choices_doc(row: NudgeChoices, chosen: Mapping[str, int], limits: Mapping[str, tuple[int, int]]) -> Doc:
    """`chosen`: what holds of the numbers under the rubric in force, whose `limits` are (least, most)."""
    return {
        "muted": row.muted,
        **chosen,
        "kinds_off": list(row.kinds_off),
        "limits": {name: list(pair) for name, pair in limits.items()},
    }


def iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def person(user: User | None) -> str:
    """A name, or "" for nobody (or somebody who is gone)."""
    return str(user) if user else ""


def alignment_doc(alignment: Alignment) -> Doc:
    return asdict(alignment) | {"events": [asdict(event) for event in alignment.events]}


def outlook_doc(outlook: Outlook) -> Doc:
    return asdict(outlook) | {
        "reasons": [asdict(line) for line in outlook.reasons[:OUTLOOK_LINES]],
        "features": dict(outlook.features),
    }


def why_docs(why: Sequence[Contribution], *, closed: bool) -> list[Doc]:
    """Of a call that runs its last lines; of one that is over the heaviest, the heaviest first: what moved
    empathy (in points) before what moved a state (in shares). static/js/panels.js knows this order."""
    if not closed:
        return [asdict(line) for line in why[-WHY_LINES:]]
    heaviest = sorted(why, key=lambda line: (line.target != "empathy", -abs(line.amount)))
    return [asdict(line) for line in heaviest[:WHY_LINES]]


def view_doc(view: CallView, *, closed: bool = False) -> Doc:
    """What the call page shows besides turns, moments and alerts; stored on the call."""
    return {
        "opportunities": [asdict(item) for item in view.opportunities],
        "why": why_docs(view.why, closed=closed),
        "timing": asdict(view.timing),
        "components": dict(view.components),
        "courtesy": view.courtesy,
        "alignment": alignment_doc(view.alignment),
        "outlook": outlook_doc(view.outlook),
    }


def tile_doc(call: Call, view: CallView, threshold: float) -> Doc:
    """What the floor shows of a call."""
    last = view.moments[-1] if view.moments else None
    return call.tile_base() | {
        "not_scored": call.withheld_words() or ("" if last else "Waiting for the first words"),
        "risk": str(view.risk),
        "reason": view.reason,
        "state": str(last.state) if last else "unsure",
        "intensity": round(last.intensity, 3) if last else 0.0,
        "confidence": round(last.confidence, 3) if last else 0.0,
        "distress": round(last.distress, 3) if last else 0.0,
        "spark": [[m.t_ms, round(m.distress, 3)] for m in view.moments[-SPARK_POINTS:]],
        "threshold": threshold,
        "empathy": one_decimal(view.empathy),
        "empathy_low": one_decimal(view.empathy_low),
        "empathy_high": one_decimal(view.empathy_high),
        "change_60s": change(view.moments, call.media_ms, 60_000),
        "opportunities": len(view.opportunities),
        "courtesy": view.courtesy,
        "quote": view.quote,
        "about": view.about,
        "standing": view.standing,
    }


WALL_LEAVES_OUT = ("agent", "quote", "about", "standing", "spark", "label", "followers", "helpers")


def wall_tile(tile: Doc) -> Doc:
    """A tile for a wall: initials instead of the name, and nothing the caller said."""
    return tile | {
        name: [] if isinstance(tile[name], list) else "" for name in WALL_LEAVES_OUT if name in tile
    }


def change(moments: Sequence[MomentPoint], now_ms: int, span_ms: int) -> float | None:
    """Empathy now less empathy `span_ms` ago, in points; None while either is unknown."""
    known = [m for m in moments if m.empathy is not None]
    earlier = [m for m in known if m.t_ms <= now_ms - span_ms]
    if not earlier:
        return None
    newest, oldest = known[-1].empathy, earlier[-1].empathy
    return None if newest is None or oldest is None else round(newest - oldest, 1)


def final_doc(call: Call, view: CallView, alerts: int, coverage: Doc, met_from: float) -> Doc:
    """`alerts` counts the stored ones: those acted on stay, whatever the view says now.

    `met_from`: the response from which the rubric calls a need met.
    """
    met = [item for item in view.opportunities if item.response is not None and item.response >= met_from]
    return {
        "empathy": one_decimal(view.empathy),
        "empathy_low": one_decimal(view.empathy_low),
        "empathy_high": one_decimal(view.empathy_high),
        "courtesy_only": not view.opportunities,
        "courtesy": view.courtesy,
        "components": dict(view.components),
        "opportunities": len(view.opportunities),
        "met": len(met),
        "nudges": len(nudge_docs(view.nudges)),
        "alerts": alerts,
        "timing": asdict(view.timing),
        "alignment": alignment_doc(view.alignment),
        "outlook": outlook_doc(view.outlook),
        "duration_ms": call.media_ms,
        "coverage": coverage,
        "rubric": str(call.rubric_version),
        "engine": call.engine,
    }


def coverage_doc(rows: Iterable[tuple[str, str]], counters: Mapping[str, Any], notes: Sequence[str]) -> Doc:
    """`rows` are (channel, letters) of a call's coverage blocks; times in milliseconds."""
    letters = {str(channel): "" for channel in Channel}
    for channel, hops in rows:
        letters[channel] += hops
    channels = {
        channel: {
            "received_ms": HOP_MS * sum(hops.count(o) for o in _RECEIVED),
            "scored_ms": HOP_MS * hops.count(Outcome.SCORED),
            "lost_ms": HOP_MS * hops.count(Outcome.LOST),
            "failed_ms": HOP_MS * hops.count(Outcome.FAILED),
            "skipped_ms": HOP_MS * hops.count(Outcome.SKIPPED),
            "paused_ms": HOP_MS * hops.count(Outcome.PAUSED),
            "withheld_ms": HOP_MS * hops.count(Outcome.WITHHELD),
        }
        for channel, hops in letters.items()
    }
    return {"channels": channels, "counters": dict(counters), "notes": list(notes)}


_RECEIVED = (Outcome.SCORED, Outcome.FAILED, Outcome.SKIPPED, Outcome.WITHHELD)


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {str(name): round(value, 3) for name, value in values.items()}


def one_decimal(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
