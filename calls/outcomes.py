"""What became of calls (resolved, CSAT, NPS, churn, handle time), as other systems tell it: by CSV or by API.

All of a file or request is taken, or nothing. What it names replaces what was known, an empty value too;
what it does not name stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import auditing, sheets
from calls.choices import Did
from calls.models import Call, CallOutcome, CallQuerySet, OutcomeImport, Source, User
from calls.sheets import Plan
from calls.sheets import Refused as Refused

KINDS = ("resolved", "csat", "nps", "churned", "handle_time_ms")
COLUMNS = ("call", "external_ref", "source", "resolved", "csat", "nps", "churned", "handle_time_s")
TOLD = COLUMNS[3:]
RANGES = {"csat": (1, 5), "nps": (0, 10)}
MOST_ROWS = 5000
MOST_HANDLE_S = 7 * 24 * 3600
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """What one line says: which call, and values by KINDS (None: no longer known), or what is wrong."""

    line: int
    call: str
    external_ref: str
    source: str
    values: Values
    errors: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return self.external_ref or self.call


@dataclass(frozen=True)
class Row(sheets.Row):
    call: UUID | None = None


# --- reading a file ---------------------------------------------------------------------------------------


def plan_csv(text: str) -> Plan[Row]:
    """What a CSV would do, line by line; nothing is written."""
    try:
        return plan(list(_given(text)), Call.objects.all(), text)
    except Refused as refused:
        return Plan(trouble=str(refused), text=text)


def _given(text: str) -> Iterator[Given]:
    for line, cells, wrong in sheets.rows(text, COLUMNS, ("call", "external_ref"), MOST_ROWS):
        cells = {name: sheets.uncell(cell) for name, cell in cells.items()}
        values: dict[str, Any] = {}
        errors = [("", wrong)] if wrong else []
        for name in TOLD:
            if name in cells and not wrong:
                try:
                    values[kind_of(name)] = _value(name, cells[name])
                except Refused as refused:
                    errors.append((name, str(refused)))
        call, ref, source = (cells.get(name, "") for name in COLUMNS[:3])
        yield Given(line, call, ref, source, values, tuple(errors))


def kind_of(column: str) -> str:
    return "handle_time_ms" if column == "handle_time_s" else column


def _value(name: str, cell: str) -> bool | int | None:
    if not cell:
        return None
    if name in ("resolved", "churned"):
        if cell.lower() not in ("yes", "no"):
            raise Refused(_("must be yes or no, or empty"))
        return cell.lower() == "yes"
    if name in RANGES:
        low, high = RANGES[name]
        if not (cell.isascii() and cell.isdigit() and len(cell) < 4 and low <= int(cell) <= high):
            raise Refused(
                _("must be a whole number from {low} to {high}, or empty").format(low=low, high=high)
            )
        return int(cell)
    whole, _dot, part = cell.partition(".")
    digits = whole.isascii() and whole.isdigit() and (not part or (part.isascii() and part.isdigit()))
    if not digits or len(cell) > 12 or float(cell) > MOST_HANDLE_S:
        raise Refused(_("must be seconds, from 0 to {most}, or empty").format(most=MOST_HANDLE_S))
    return round(float(cell) * 1000)


# --- what it would do -------------------------------------------------------------------------------------


def plan(given: Sequence[Given], calls: CallQuerySet, text: str = "") -> Plan[Row]:
    """Each of these beside what is known, of those calls."""
    found = _calls(given, calls)
    known = {row.call_id: row for row in CallOutcome.objects.filter(call__in=_ids(found))}
    seen: dict[UUID, int] = {}
    return Plan(tuple(_row(one, found, known, seen) for one in given), text=text)


def _ids(found: Mapping[str, Sequence[Call]]) -> set[UUID]:
    return {call.pk for calls in found.values() for call in calls}


def _calls(given: Sequence[Given], calls: CallQuerySet) -> dict[str, list[Call]]:
    """By id and by external reference. Sources are named so that the index on (source, reference) serves."""
    ids = {one.call.lower() for one in given if _is_id(one.call)}
    refs = {one.external_ref for one in given if one.external_ref}
    named = Q(pk__in=ids) | Q(
        source__in=list(Source.objects.values_list("pk", flat=True)), external_ref__in=refs
    )
    found: dict[str, list[Call]] = defaultdict(list)
    rows = calls.filter(named, practice=False).select_related("source")
    for call in rows.only("id", "external_ref", "status", "source__slug"):
        found[str(call.pk)].append(call)
        found[f"ref {call.external_ref}"].append(call)
    return found


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _row(
    given: Given,
    found: Mapping[str, Sequence[Call]],
    known: Mapping[UUID, CallOutcome],
    seen: dict[UUID, int],
) -> Row:
    errors = list(given.errors)
    call, wrong = _call(given, found)
    if wrong:
        errors.append(wrong)
    if call is not None and call.pk in seen:
        errors.append(("", _("names the same call as line {n}").format(n=seen[call.pk])))
    if not given.values and not errors:
        errors.append(("", _("says nothing: give at least one of {columns}").format(columns=", ".join(TOLD))))
    if errors or call is None:
        return Row(given.line, given.name, tuple(errors))
    seen[call.pk] = given.line
    before = known.get(call.pk)
    changes = tuple(
        (kind, getattr(before, kind, None), value)
        for kind, value in given.values.items()
        if getattr(before, kind, None) != value
    )
    return Row(given.line, given.name, changes=changes, is_new=before is None, call=call.pk)


def _call(given: Given, found: Mapping[str, Sequence[Call]]) -> tuple[Call | None, tuple[str, str] | None]:
    """The call that is meant, or (column, what is wrong)."""
    if not given.call and not given.external_ref:
        return None, ("", _("names no call: give call or external_ref"))
    column = "call" if given.call else "external_ref"
    if given.call and not _is_id(given.call):
        return None, ("call", _("is no id of a call, such as those in exports"))
    key = given.call.lower() if given.call else f"ref {given.external_ref}"
    meant = [call for call in found.get(key, ()) if given.source in ("", call.source.slug)]
    if given.call and given.external_ref:
        meant = [call for call in meant if call.external_ref == given.external_ref]
    if not meant:
        return None, (column, _("there is no such call"))
    if len(meant) > 1:
        return None, (column, _("{n} calls have this name: give call, or source").format(n=len(meant)))
    if meant[0].is_live:
        return None, (column, _("this call is still running"))
    return meant[0], None


# --- doing it ---------------------------------------------------------------------------------------------


def apply(made: Plan[Row], actor: User | None, how: str) -> list[UUID]:
    """All of it or, with Refused, nothing. Returns the calls of which something else is known now."""
    if made.trouble or made.bad:
        raise Refused(made.trouble or _("There are rows with errors: nothing was imported."))
    good = {row.call: row for row in made.good if row.call is not None}
    if not good:
        return []
    with transaction.atomic():
        here = _lock(good)
        came = OutcomeImport.objects.create(
            user=actor,
            how=how,
            rows=len(made.rows),
            new=sum(row.is_new for row in good.values()),
            changed=sum(not row.is_new for row in good.values()),
        )
        known = CallOutcome.objects.in_bulk(list(here))
        rows = [_told(pk, known.get(pk), good[pk], came) for pk in sorted(here)]
        CallOutcome.objects.bulk_create(
            [row for row in rows if _says(row)],
            update_conflicts=True,
            unique_fields=["call"],
            update_fields=[*KINDS, "came_with", "changed_at"],
        )
        CallOutcome.objects.filter(pk__in=[row.pk for row in rows if not _says(row)]).delete()
        auditing.record(
            actor,
            Did.CREATED,
            came,
            {},
            {"how": how, "rows": came.rows, "new": came.new, "changed": came.changed},
        )
    return sorted(here)


def _lock(pks: Iterable[UUID]) -> set[UUID]:
    """Those that are still there: a purge may be at them. Two imports of a call wait for each other."""
    rows = Call.objects.select_for_update(of=("self",)).filter(pk__in=list(pks)).order_by("pk")
    return set(rows.values_list("pk", flat=True))


def _told(pk: UUID, known: CallOutcome | None, row: Row, came: OutcomeImport) -> CallOutcome:
    made = known or CallOutcome(call_id=pk)
    for kind, _before, after in row.changes:
        setattr(made, kind, after)
    made.came_with, made.changed_at = came, timezone.now()
    return made


def _says(row: CallOutcome) -> bool:
    return any(getattr(row, kind) is not None for kind in KINDS)
