"""People mark what they hear in turns: states of callers, behaviours of agents. Never a state of an agent."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from calls import exports, helping
from calls.choices import SHOW_MACHINE, Kept
from calls.models import Call, Look, Turn, TurnLabel, User
from calls.models.reviews import Review
from scoring.agreement import Agreement, Pair, agreement
from scoring.types import Behaviour, Channel, State

STATES = tuple(str(state) for state in State)
BEHAVIOURS = tuple(str(behaviour) for behaviour in Behaviour)
NONE = "none"


def mark(call: Call, user: User, channel: str, start_ms: object, said: object) -> TurnLabel | None:
    """Keep one person's word on a turn; None takes it back. BadRequest names what cannot be."""
    if call.is_live:
        raise helping.BadRequest(_("The call still runs: turns are marked when it is over."))
    if Kept.TRANSCRIPT in call.purged:
        raise helping.BadRequest(
            _("The words of this call were deleted by the policy: nothing is left to mark.")
        )
    if isinstance(start_ms, bool) or not isinstance(start_ms, int) or not 0 <= start_ms < 2**53:
        raise helping.BadRequest(_("There is no such turn."))
    if not Turn.objects.filter(call=call, channel=channel, start_ms=start_ms).exists():
        raise helping.BadRequest(_("There is no such turn any more. Load the page again."))
    key: dict[str, Any] = {"call": call, "channel": channel, "start_ms": start_ms, "user": user}
    if said is None:
        TurnLabel.objects.filter(**key).delete()
        return None
    fields = _read(channel, said) | {"blind": not has_seen_machine(call, user)}
    with transaction.atomic():
        row, _made = TurnLabel.objects.update_or_create(**key, defaults=fields)
    return row


def _read(channel: str, said: object) -> dict[str, Any]:
    if channel == Channel.CUSTOMER:
        if said not in STATES:
            raise helping.BadRequest(
                _("A caller's turn takes one of: {states}.").format(states=", ".join(STATES))
            )
        return {"state": said, "behaviours": None}
    known = isinstance(said, list) and all(isinstance(one, str) and one in BEHAVIOURS for one in said)
    if not known:
        raise helping.BadRequest(
            _("An agent's turn takes a list of: {behaviours}. Feelings are marked of callers only.").format(
                behaviours=", ".join(BEHAVIOURS)
            )
        )
    assert isinstance(said, list)
    return {"state": "", "behaviours": [name for name in BEHAVIOURS if name in said]}


def has_seen_machine(call: Call, user: User) -> bool:
    """Had a look that shows what the machine made of it, or scored it not blind."""
    if Look.objects.filter(call=call, user=user, kind__in=SHOW_MACHINE).exists():
        return True
    return Review.objects.filter(call=call, reviewer=user, blind=False).exists()


# --- what there is --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sums:
    """Of some labels. Each Counter: name → turns."""

    labels: int
    calls: int
    blind: int
    states: Counter[str]
    behaviours: Counter[str]
    people: Counter[str]
    sources: Counter[str]


def sums(rows: QuerySet[TurnLabel]) -> Sums:
    states, behaviours, people, sources = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    calls, blind, total = set(), 0, 0
    for row in rows.select_related("user", "call__source"):
        total += 1
        calls.add(row.call_id)
        blind += row.blind
        people[str(row.user)] += 1
        sources[row.call.source.name] += 1
        if row.state:
            states[row.state] += 1
        for name in row.behaviours or ([NONE] if row.behaviours is not None else []):
            behaviours[name] += 1
    return Sums(total, len(calls), blind, states, behaviours, people, sources)


def agreements(rows: Iterable[TurnLabel]) -> dict[str, Agreement]:
    """Per label, between each two people who marked one turn: there or not."""
    turns: dict[tuple[Any, str, int], list[TurnLabel]] = defaultdict(list)
    for row in rows:
        turns[row.call_id, row.channel, row.start_ms].append(row)
    pairs: dict[str, list[Pair]] = {name: [] for name in (*STATES, *BEHAVIOURS)}
    for (call, channel, _start), marked in turns.items():
        for name in STATES if channel == Channel.CUSTOMER else BEHAVIOURS:
            pairs[name] += _pairs(call, [has(row, name) for row in marked])
    return {name: agreement(found) for name, found in pairs.items() if found}


def _pairs(call: Any, given: Sequence[bool]) -> list[Pair]:
    """Ends of the reviewers' scale: there 2, not there 0."""
    return [Pair(call, 2 * a, 2 * b) for n, a in enumerate(given) for b in given[n + 1 :]]


def has(row: TurnLabel, name: str) -> bool:
    return row.state == name or name in (row.behaviours or ())


def pseudonym(call_id: Any) -> str:
    """The same for the same call on this site, and no way back without its secret."""
    return salted_hmac("calls.labelling.pseudonym", str(call_id), algorithm="sha256").hexdigest()[:16]


COLUMNS = (
    "call",
    "source",
    "channel",
    "start_ms",
    "text",
    "state",
    "behaviours",
    "person",
    "blind",
    "made_at",
)


def as_csv(rows: QuerySet[TurnLabel], locked: bool) -> str:
    """Words as they are kept, redacted. Agents are not named.

    `locked`: the policy's lock. Calls have made-up names then, by which nobody finds their agent, and what
    agents said is left out.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    rows = rows.select_related("user", "call__source").order_by("call_id", "start_ms", "channel")
    calls = {row.call_id for row in rows}
    texts = {
        (call, channel, start): text
        for call, channel, start, text in Turn.objects.filter(call__in=calls).values_list(
            "call_id", "channel", "start_ms", "text"
        )
    }
    for row in rows:
        text = texts.get((row.call_id, row.channel, row.start_ms), "")
        if locked and row.channel == Channel.AGENT:
            text = ""
        behaviours = "|".join(row.behaviours) if row.behaviours is not None else ""
        call = pseudonym(row.call_id) if locked else row.call_id
        cells = (call, row.call.source.slug, row.channel, row.start_ms, text, row.state,
                 behaviours, row.user.username, row.blind, row.made_at)  # fmt: skip
        writer.writerow([exports.cell(value) for value in cells])
    return out.getvalue()
