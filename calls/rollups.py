"""Roll-ups of calls' facts, written and read: quartiles a week, histograms, and what callers felt.

Always computed from the facts again, never added to. Knows nothing of calls; who may ask is not asked here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper
from django.db.models import Count, F, Min, QuerySet, Sum
from django.utils import timezone

from calls.models import AgentWeek, CallFact, TeamFelt, TeamWeek
from scoring.types import DISTRESS, Loyalty, State

BINS = 100
"""Steps of a histogram from one end of a scale to the other: quartiles of many weeks are read from it."""


@dataclass(frozen=True)
class Metric:
    """One number of a call. `scale`: its lowest and highest value, where a team keeps a histogram."""

    name: str
    scale: tuple[float, float] | None = None


SHARE = (0.0, 1.0)
FITS = tuple(f"fit_{state}" for state in DISTRESS)
METRICS = (
    Metric("empathy", (0.0, 100.0)),
    Metric("courtesy", SHARE),
    Metric("listening", SHARE),
    Metric("recovered", SHARE),
    Metric("met_share", SHARE),
    *(Metric(name) for name in FITS),
    Metric("opportunities"),
    Metric("met"),
    Metric("missed"),
    Metric("cues_settled"),
    Metric("cues_taken"),
    Metric("outlook"),
    Metric("coverage", SHARE),
    Metric("handle_ms"),
    Metric("resolved"),
    Metric("csat"),
    Metric("nps"),
    Metric("churned"),
    Metric("handle_time_ms"),
)


def week_of(at: datetime) -> date:
    day = at.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


@dataclass(frozen=True, order=True)
class Week:
    """One roll-up: whose (a table's rows), which week, of real or of made-up calls."""

    owner: str
    owner_id: int
    week: date
    synthetic: bool

    def __str__(self) -> str:
        return f"{self.owner}.{self.owner_id}.{self.week}.{self.synthetic}"


# --- writing ------------------------------------------------------------------------------------


def roll_up(cursor: CursorWrapper, week: Week) -> None:
    """Make one week's rows of an agent or team what its facts say."""
    for query in _ROLL_UP[week.owner]:
        cursor.execute(query, {"owner": week.owner_id, "week": week.week, "synthetic": week.synthetic})


def roll_up_all(cursor: CursorWrapper) -> None:
    """All rows anew from all facts."""
    for table in _TABLES:
        cursor.execute(f"DELETE FROM {table.name}")
        names = ", ".join((*table.key, *table.numbers))
        cursor.execute(f"INSERT INTO {table.name} ({names}) {table.told('TRUE')}")


@dataclass(frozen=True)
class Table:
    """Roll-up rows, and how facts become them. `told`: SELECT of key and numbers, of facts WHERE …"""

    name: str
    owner: str
    key: tuple[str, ...]
    numbers: tuple[str, ...]
    told: Callable[[str], str]


def _roll_up_sql(table: Table) -> str:
    """Rows that still hold are left alone and those nobody tells any more go: little to vacuum."""
    week = f"{table.owner}_id = %(owner)s AND week = %(week)s AND synthetic = %(synthetic)s"
    key, names = ", ".join(table.key), ", ".join((*table.key, *table.numbers))
    now, new = (", ".join(f"{row}.{name}" for name in table.numbers) for row in ("w", "excluded"))
    return f"""WITH fresh ({names}) AS ({table.told(week)}),
        gone AS (DELETE FROM {table.name} WHERE {week} AND ({key}) NOT IN (SELECT {key} FROM fresh))
        INSERT INTO {table.name} AS w ({names}) SELECT {names} FROM fresh
        ON CONFLICT ({key}) DO UPDATE
        SET {", ".join(f"{name} = excluded.{name}" for name in table.numbers)}
        WHERE ({now}) IS DISTINCT FROM ({new})"""


EXACT = 10_000
"""Added up as whole ten-thousandths: a sum of floats would depend on the order of its calls."""


def _sum(column: str) -> str:
    return f"(coalesce(sum(round({column}::float8 * {EXACT})::bigint), 0) / {EXACT}.0)::float8"


def _weeks_told(owner: str, where: str) -> str:
    """Quartiles of every metric: one row a week with all of them, then a row for each."""
    keys = f"{owner}_id, week, synthetic"
    wide = ", ".join(
        f"count({m.name}) n{i}, {_sum(m.name)} t{i}, "
        f"percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY {m.name}) q{i}"
        for i, m in enumerate(METRICS)
    )
    long = ", ".join(f"('{m.name}', n{i}, q{i}, t{i})" for i, m in enumerate(METRICS))
    quartiles = ", ".join(f"round(q[{i}]::numeric, 5)::float8" for i in (1, 2, 3))
    return f"""SELECT {keys}, metric, n, {quartiles}, total
        FROM (SELECT {keys}, {wide} FROM calls_callfact
              WHERE {owner}_id IS NOT NULL AND {where} GROUP BY {keys}) w
        CROSS JOIN LATERAL (VALUES {long}) m(metric, n, q, total) WHERE n > 0"""


def _team_weeks_told(where: str) -> str:
    """The same with a histogram of those that have a scale."""
    keys = "team_id, week, synthetic"
    values = ", ".join(
        f"('{m.name}', {m.name}::float8, {m.scale[0]}, {m.scale[1]})" for m in METRICS if m.scale
    )
    place = f"least(greatest(round((v - low) / (high - low) * {BINS}), 0), {BINS})::int"
    return f"""SELECT told.*, coalesce(bins, '{{}}') FROM ({_weeks_told("team", where)}) told LEFT JOIN (
            SELECT {keys}, metric, jsonb_object_agg(place, c) bins FROM (
                SELECT {keys}, metric, {place} place, count(*) c FROM calls_callfact
                CROSS JOIN LATERAL (VALUES {values}) m(metric, v, low, high)
                WHERE v IS NOT NULL AND {where} GROUP BY {keys}, metric, place) counted
            GROUP BY {keys}, metric) histogram USING ({keys}, metric)"""


def _felt_told(where: str) -> str:
    """What callers felt and needed: of all calls of a week, by hour and by topic."""
    keys = "team_id, week, synthetic"
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in (*_NEEDS, *_MISSED))
    return f"""SELECT {keys},
            CASE grouping(hour, topic) WHEN 3 THEN 'all' WHEN 1 THEN 'hour' ELSE 'topic' END kind,
            CASE grouping(hour, topic) WHEN 3 THEN '' WHEN 1 THEN hour::text ELSE topic END,
            count(*), count(time_calm), count(*) FILTER (WHERE coverage IS NULL OR coverage < {PATCHY}),
            {", ".join(map(_sum, _TIMES))}, {sums},
            {", ".join(f"count(*) FILTER (WHERE outlook_status = '{status}')" for status in Loyalty)}
        FROM calls_callfact WHERE {where}
        GROUP BY GROUPING SETS (({keys}), ({keys}, hour), ({keys}, topic))"""


PATCHY = 0.9
"""A call of whose audio less was scored is not the whole story."""
_TIMES = tuple(f"time_{state}" for state in State)
_NEEDS = tuple(f"needs_{state}" for state in DISTRESS)
_MISSED = tuple(f"missed_{state}" for state in DISTRESS)
_FELT = ("calls", "told", "patchy", *_TIMES, *_NEEDS, *_MISSED, *map(str, Loyalty))
_WEEK = ("week", "synthetic", "metric")
_QUARTILES = ("n", "q1", "median", "q3", "total")
_TABLES = (
    Table(
        "calls_agentweek",
        "agent",
        ("agent_id", *_WEEK),
        _QUARTILES,
        partial(_weeks_told, "agent"),
    ),
    Table("calls_teamweek", "team", ("team_id", *_WEEK), (*_QUARTILES, "bins"), _team_weeks_told),
    Table("calls_teamfelt", "team", ("team_id", "week", "synthetic", "kind", "name"), _FELT, _felt_told),
)
_ROLL_UP = {
    owner: [_roll_up_sql(table) for table in _TABLES if table.owner == owner] for owner in ("agent", "team")
}


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quartiles:
    """A number over the calls of a week that could tell it."""

    n: int
    q1: float
    median: float
    q3: float
    total: float


Weekly = dict[str, dict[date, Quartiles]]
"""By metric, by week."""


@dataclass(frozen=True)
class Trend:
    weeks: tuple[date, ...]
    """Mondays, oldest first, with this week the last."""
    synthetic: bool
    """Only made-up calls are known; else real ones alone count."""
    weekly: Weekly
    bins: Mapping[str, Mapping[int, int]]
    """A team's: by metric, place → calls of all these weeks."""


def weeks_back(count: int, now: datetime | None = None) -> tuple[date, ...]:
    last = week_of(now or timezone.now())
    return tuple(last - timedelta(weeks=n) for n in reversed(range(count)))


def agent_trend(agent_id: int, count: int) -> Trend:
    weeks = weeks_back(count)
    return _trend(weeks, AgentWeek.objects.filter(agent_id=agent_id, week__range=(weeks[0], weeks[-1])))


def _trend(weeks: tuple[date, ...], rows: Iterable[AgentWeek | TeamWeek]) -> Trend:
    kept = {False: Weekly(), True: Weekly()}
    bins: dict[bool, dict[str, Counter[int]]] = {False: {}, True: {}}
    for row in rows:
        told = Quartiles(row.n, row.q1, row.median, row.q3, row.total)
        kept[row.synthetic].setdefault(row.metric, {})[row.week] = told
        if isinstance(row, TeamWeek) and row.bins:
            places = {int(place): n for place, n in row.bins.items()}
            bins[row.synthetic].setdefault(row.metric, Counter()).update(places)
    synthetic = not kept[False] and bool(kept[True])
    return Trend(weeks, synthetic, kept[synthetic], bins[synthetic])


def rubric_changes(agent_id: int, trend: Trend) -> list[date]:
    """Weeks in which calls were first scored by another rubric version: not alike those before."""
    facts = _facts_of(agent_id, trend).order_by()
    seen = facts.values_list("rubric_version_id").annotate(first=Min("week")).values_list("first", flat=True)
    return sorted(seen)[1:]


def recovered_best(agent_id: int, trend: Trend, teams: Collection[int] | None, limit: int) -> list[UUID]:
    """Calls (of these teams) after whose needs the caller was calm again, the greatest relief first."""
    facts = _facts_of(agent_id, trend, teams).filter(recovered=1, met__gt=0)
    return _pks(facts.order_by(F("relief").desc(nulls_last=True), "-ended_at"), limit)


def needs_missed(agent_id: int, trend: Trend, teams: Collection[int] | None, limit: int) -> list[UUID]:
    """The newest calls (of these teams) with needs that were not met."""
    facts = _facts_of(agent_id, trend, teams).filter(missed__gt=0)
    return _pks(facts.order_by("-ended_at"), limit)


def _facts_of(agent_id: int, trend: Trend, teams: Collection[int] | None = None) -> QuerySet[CallFact]:
    weeks = (trend.weeks[0], trend.weeks[-1])
    facts = CallFact.objects.filter(agent_id=agent_id, week__range=weeks, synthetic=trend.synthetic)
    return facts if teams is None else facts.filter(team__in=teams)


def _pks(facts: QuerySet[CallFact], limit: int) -> list[UUID]:
    return list(facts.values_list("pk", flat=True)[:limit])


def team_trend(team_id: int, count: int) -> Trend:
    weeks = weeks_back(count)
    return _trend(weeks, TeamWeek.objects.filter(team_id=team_id, week__range=(weeks[0], weeks[-1])))


def weeks_of_few(team_id: int, trend: Trend, least: int) -> set[date]:
    """Weeks whose calls are of fewer agents than that. Calls that are nobody's tell of nobody."""
    facts = CallFact.objects.filter(
        team_id=team_id, week__range=(trend.weeks[0], trend.weeks[-1]), synthetic=trend.synthetic
    )
    people = facts.order_by().values("week").annotate(people=Count("agent", distinct=True))
    return set(people.filter(people__gt=0, people__lt=least).values_list("week", flat=True))


@dataclass(frozen=True)
class Felt:
    """What some calls of a team add up to."""

    calls: int
    told: int
    """Of those, calls of which something about the caller is known."""
    patchy: int
    """Calls of whose audio less than PATCHY was scored."""
    times: Mapping[str, float]
    """Mean share of a call's time by state; {} when nothing is told."""
    needs: Mapping[str, int]
    missed: Mapping[str, int]
    outlook: Mapping[str, int]
    """Calls by Loyalty value."""


def felt(numbers: Mapping[str, Any]) -> Felt:
    """From sums by column of TeamFelt."""
    told = numbers["told"]
    return Felt(
        numbers["calls"],
        told,
        numbers["patchy"],
        {str(state): numbers[f"time_{state}"] / told for state in State} if told else {},
        {str(state): numbers[f"needs_{state}"] for state in DISTRESS},
        {str(state): numbers[f"missed_{state}"] for state in DISTRESS},
        {str(status): numbers[status] for status in Loyalty},
    )


NOTHING_FELT = felt(dict.fromkeys(_FELT, 0))


@dataclass(frozen=True)
class Feelings:
    whole: Felt
    by_hour: Mapping[int, Felt]
    """UTC."""
    by_topic: Mapping[str, Felt]
    by_week: Mapping[date, Felt]


def team_feelings(team_id: int, trend: Trend) -> Feelings:
    rows = TeamFelt.objects.filter(
        team_id=team_id, week__range=(trend.weeks[0], trend.weeks[-1]), synthetic=trend.synthetic
    )
    sums = {f"sum_{name}": Sum(name) for name in _FELT}
    found: dict[str, dict[str, Felt]] = {"all": {}, "hour": {}, "topic": {}}
    added: Iterable[Mapping[str, Any]] = rows.order_by().values("kind", "name").annotate(**sums)
    for row in added:
        found[row["kind"]][row["name"]] = felt({name: row[f"sum_{name}"] for name in _FELT})
    return Feelings(
        whole=found["all"].get("", NOTHING_FELT),
        by_hour={int(hour): one for hour, one in found["hour"].items()},
        by_topic=found["topic"],
        by_week={one["week"]: felt(one) for one in rows.filter(kind="all").values("week", *_FELT)},
    )


def quantile(places: Mapping[int, int], share: float) -> float | None:
    """The place, 0 to BINS, that this share of a histogram's calls does not go beyond; None of nothing."""
    total, below = sum(places.values()), 0
    for place, n in sorted(places.items()):
        below += n
        if n and below >= share * total:
            return place
    return None
