"""Trials: a draft on calls that are over, beside the version in use, some calls at a time.

What a rubric makes of a call is `replays`; this keeps how far a trial has come, and what it found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from calls import drafting, policy, replays
from calls.drafting import LONGEST_NOTE, Refused
from calls.models import Call, Rubric, RubricDraft, RubricTrial, User
from calls.replays import Replay, Row, Seen
from scoring.rubric import RubricSpec, default_rubric

SIZES = (10, 30, 100, 200)
PERIODS = (7, 30, 90, 365)
"""Days."""
AT_ONCE = 10
"""Calls between two looks at other work; a call takes some 20 to 120 ms for both."""
KEPT = 5
"""Trials of a rubric; older ones are forgotten."""


def begin(rubric: Rubric, author: User, text: str, size: int, days: int) -> RubricTrial:
    """A trial of this text; without a call to try it on it is over at once."""
    if size not in SIZES or days not in PERIODS:
        raise Refused(gettext("Choose how many calls, and of how many days, from those offered."))
    spec, base = drafting.check(text).spec, drafting.in_use(rubric)
    if spec is None:
        raise Refused(gettext("A draft with problems cannot be tried: correct those listed first."))
    since = timezone.now() - timedelta(days=days)
    chosen = [str(call.pk) for call in replays.recent(rubric, size, since)]
    before = (base.as_spec() if base else default_rubric()).to_dict()
    made = RubricTrial.objects.create(
        rubric=rubric, base=before, spec=spec.to_dict(), calls=chosen, author=author,
        ended_at=None if chosen else timezone.now(),
    )  # fmt: skip
    old = rubric.trials.values_list("pk", flat=True)[KEPT:]
    RubricTrial.objects.filter(pk__in=list(old)).delete()
    return made


def go_on() -> int:
    """The next calls of the oldest trial that is not over; how many, 0 when none is."""
    with transaction.atomic():
        trials = RubricTrial.objects.select_for_update(skip_locked=True).filter(ended_at=None)
        trial = trials.order_by("began_at", "pk").first()
        if trial is None:
            return 0
        wanted = trial.calls[len(trial.rows) :][:AT_ONCE]
        found = Call.objects.exclude(purged__has_key="transcript").in_bulk(wanted)
        calls = {str(pk): call for pk, call in found.items()}
        before, after = RubricSpec.from_dict(trial.base), RubricSpec.from_dict(trial.spec)
        made = replays.replay(replays.heard(list(calls.values())), before, after)
        rows = {row.call_id: row for row in made.rows}
        # A call that was deleted meanwhile has no row, and still counts as done.
        trial.rows += [_kept(rows[pk]) if pk in rows else None for pk in wanted]
        if len(trial.rows) >= len(trial.calls):
            trial.ended_at = timezone.now()
        trial.save(update_fields=["rows", "ended_at"])
    return len(wanted)


def _kept(row: Row) -> dict[str, Any]:
    return {"call": row.call_id, "before": _seen(row.before), "after": _seen(row.after)}


def _seen(seen: Seen) -> dict[str, Any]:
    return {"empathy": seen.empathy, "risk": seen.risk, "alerts": list(seen.alerts), "cues": list(seen.cues)}


def read(trial: RubricTrial, without: Collection[str] = ()) -> Replay:
    """What it found; `without` calls that the reader is not to see yet, by their ids."""
    told = (row for row in trial.rows if row and row["call"] not in without)
    rows = tuple(Row(r["call"], _read(r["before"]), _read(r["after"])) for r in told)
    return Replay(rows, replays.summary(rows))


def _read(seen: dict[str, Any]) -> Seen:
    cues = tuple((int(ms), str(rule)) for ms, rule in seen["cues"])
    return Seen(seen["empathy"], seen["risk"], tuple(sorted(seen["alerts"])), cues)


def of(draft: RubricDraft) -> RubricTrial | None:
    """The newest trial of exactly what the draft says, against exactly what is in use."""
    spec, base = drafting.check(draft.text).spec, drafting.in_use(draft.rubric)
    if spec is None:
        return None
    against = (base.as_spec() if base else default_rubric()).to_dict()
    return RubricTrial.objects.filter(rubric=draft.rubric, spec=spec.to_dict(), base=against).first()


def must_be_tried(draft: RubricDraft, untried: str) -> str:
    """ "" for a draft whose trial is over, else the reason why it goes without. Refused without either."""
    untried = " ".join(untried.replace("\0", "").split())
    if drafting.check(draft.text).spec is None:
        return ""  # publishing says what is wrong
    found = of(draft)
    if found is not None and found.ended_at is not None:
        return ""
    if not untried:
        raise Refused(
            gettext("Its trial is still running: wait until it is over, or say why it goes without.")
            if found
            else gettext("This text has not been tried on calls: try it first, or say why it goes without.")
        )
    if len(untried) > LONGEST_NOTE:
        raise Refused(gettext("Say why in at most {most} characters.").format(most=LONGEST_NOTE))
    return untried


@dataclass(frozen=True)
class OfAgent:
    name: str
    calls: int
    changed: int
    median_change: float | None
    """Points of empathy, with its sign; None where no call is judged by both."""


def by_agent(rows: tuple[Row, ...]) -> list[OfAgent] | None:
    """By name, never by rank; None where the policy lets nobody take an agent's figures away."""
    if policy.current().hr_lock:
        return None
    calls = Call.objects.select_related("agent").in_bulk([row.call_id for row in rows])
    agents = {str(pk): str(call.agent) for pk, call in calls.items() if call.agent}
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.call_id in agents:
            grouped[agents[row.call_id]].append(row)
    return [_of_agent(name, grouped[name]) for name in sorted(grouped, key=str.casefold)]


def _of_agent(name: str, rows: list[Row]) -> OfAgent:
    changes = [row.change for row in rows if row.change is not None]
    middle = round(median(changes), 1) if changes else None
    return OfAgent(name, len(rows), sum(row.changed for row in rows), middle)
