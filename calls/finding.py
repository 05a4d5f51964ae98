"""Finding calls: what was asked of the list, checked and in words, and one page of what fits.

Pages go by the place of their last row: a late one costs what the first does, and new calls shift nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from calls import access, reviewing
from calls.choices import RISKS, CallStatus
from calls.models import Alert, Call, CallQuerySet, Source, User

PER_PAGE = 25
MOST = 120
"""Characters of a word that is looked for; a reference has no more."""
NAMES = ("ref", "team", "agent", "source", "queue", "status", "risk", "first", "last", "alert")
"""What can be asked, in the order of the form."""


@dataclass(frozen=True)
class Asked:
    """What a reader wants to see; `said` is what they typed, `troubles` what was wrong with it, by name."""

    said: Mapping[str, str]
    which: Q
    troubles: Mapping[str, str]

    @property
    def anything(self) -> bool:
        return any(self.said.values())


def read(given: Mapping[str, str], user: User) -> Asked:
    said = {name: given.get(name, "").replace("\0", "").strip() for name in NAMES}
    which, troubles = Q(), {}
    for name, words in said.items():
        if words:
            try:
                which &= READERS[name](words, user)
            except ValueError as error:
                troubles[name] = str(error)
    both = said["first"] and said["last"] and not {"first", "last"} & set(troubles)
    if both and day(said["first"]) > day(said["last"]):
        troubles["last"] = _("It lies before the first day.")
    if said["risk"] or said["alert"]:
        # What the machine made of a call is not told to who scores it, not even by its being in a list.
        which &= ~Q(pk__in=reviewing.under_way(user))
    return Asked(said, which, troubles)


def _ref(words: str, user: User) -> Q:
    if len(words) > MOST:
        raise ValueError(_("A reference has at most {n} characters.").format(n=MOST))
    found = Q(external_ref__startswith=words)
    try:
        return found | Q(pk=UUID(words))
    except ValueError:
        return found


def _queue(words: str, user: User) -> Q:
    if len(words) > MOST:
        raise ValueError(_("A queue has at most {n} characters.").format(n=MOST))
    return Q(queue__iexact=words)


def _team(words: str, user: User) -> Q:
    if words not in {str(team.pk) for team in access.visible_teams(user)}:
        raise ValueError(_("There is no such team, or you do not watch it: choose one of the list."))
    return Q(team=int(words))


def _agent(words: str, user: User) -> Q:
    known = access.visible_agents(user)
    if not (_is_number(words) and known.filter(pk=int(words)).exists()):
        raise ValueError(_("There is no such agent, or you do not watch their team: choose one of the list."))
    return Q(agent=int(words))


def _source(words: str, user: User) -> Q:
    if not (_is_number(words) and sources(user).filter(pk=int(words)).exists()):
        raise ValueError(_("There is no such source, or it is not of your teams: choose one of the list."))
    return Q(source=int(words))


def _status(words: str, user: User) -> Q:
    if words not in CallStatus.values:
        raise ValueError(_("A call is live, ended or lost: choose one of the list."))
    return Q(status=words)


def _risk(words: str, user: User) -> Q:
    if words not in dict(RISKS):
        raise ValueError(_("Risk is calm, watch or help: choose one of the list."))
    return Q(tile__risk=words)


def _alert(words: str, user: User) -> Q:
    if words != "open":
        raise ValueError(_("Alerts are open or not asked for."))
    waiting = Alert.objects.filter(call=OuterRef("pk"), acknowledged_at=None, resolved_at=None)
    return Q(Exists(waiting))


def _first(words: str, user: User) -> Q:
    return Q(started_at__gte=day(words))


def _last(words: str, user: User) -> Q:
    return Q(started_at__lt=day(words) + timedelta(days=1))


READERS = {
    "ref": _ref, "team": _team, "agent": _agent, "source": _source, "queue": _queue, "status": _status,
    "risk": _risk, "first": _first, "last": _last, "alert": _alert,
}  # fmt: skip


def day(words: str) -> datetime:
    """Its beginning, UTC. ValueError in words when it is none."""
    try:
        found = date.fromisoformat(words)
    except ValueError:
        found = None
    if found is None or not 1970 <= found.year < 9999:
        raise ValueError(_("Give a day like 2026-01-31."))
    return datetime.combine(found, time(), UTC)


def _is_number(words: str) -> bool:
    return words.isascii() and words.isdigit() and len(words) < 10


def sources(user: User) -> QuerySet[Source]:
    """Whose calls the reader may find."""
    return Source.objects.filter(team__in=access.visible_teams(user))


# --- one page -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a row stands in the list: live ones first, then the newest."""

    live: bool
    started_at: datetime
    pk: UUID

    def __str__(self) -> str:
        return f"{int(self.live)}~{self.started_at.astimezone(UTC).isoformat()}~{self.pk}"

    @classmethod
    def of(cls, call: Call) -> Place:
        return cls(call.is_live, call.started_at, call.pk)

    @classmethod
    def read(cls, words: str) -> Place:
        """ValueError when it is none of ours."""
        live, at, pk = words.split("~")
        place = cls(live == "1", datetime.fromisoformat(at), UUID(pk))
        if str(place) != words or place.started_at.tzinfo != UTC:
            raise ValueError(words)
        return place


@dataclass(frozen=True)
class Page:
    rows: list[Call]
    newer: Place | None
    older: Place | None
    """Where the pages beside it begin; None at an end."""


def page(calls: CallQuerySet, *, older: Place | None = None, newer: Place | None = None) -> Page:
    """The rows after `older`, or before `newer`; with neither, the first."""
    if newer is not None:
        rows, more = _walk(calls, newer, up=True)
        if more:
            rows.reverse()
            return Page(rows, Place.of(rows[0]), Place.of(rows[-1]))
        older = None  # the first page, whole
    rows, more = _walk(calls, older, up=False)
    return Page(rows, Place.of(rows[0]) if older and rows else None, Place.of(rows[-1]) if more else None)


def _walk(calls: CallQuerySet, start: Place | None, *, up: bool) -> tuple[list[Call], bool]:
    """PER_PAGE rows from a place on, and whether there are more. Live ones and others are read apart: each is
    then in the order of an index."""
    found: list[Call] = []
    for live in (False, True) if up else (True, False):
        if start is not None and live != start.live and live != up:
            continue  # all of that part lies behind
        part = calls.filter(status=CallStatus.LIVE) if live else calls.exclude(status=CallStatus.LIVE)
        if start is not None and start.live == live:
            part = part.filter(_beyond(start, up=up))
        order = ("started_at", "pk") if up else ("-started_at", "-pk")
        part = part.select_related("agent", "team", "source").prefetch_related("appeals").order_by(*order)
        found += part[: PER_PAGE + 1 - len(found)]
        if len(found) > PER_PAGE:
            return found[:PER_PAGE], True
    return found, False


def _beyond(start: Place, *, up: bool) -> Q:
    if up:
        return Q(started_at__gte=start.started_at) & (Q(started_at__gt=start.started_at) | Q(pk__gt=start.pk))
    return Q(started_at__lte=start.started_at) & (Q(started_at__lt=start.started_at) | Q(pk__lt=start.pk))
