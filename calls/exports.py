"""Finished calls as a table for other tools, a row a call. Who may have what is not asked here."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import IO, Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from django.db.models import F, QuerySet

from calls.models import CallFact

CHUNK = 5000
MOST_ROWS = 100_000
"""In one answer; more are asked for by shorter spans, or by `manage.py export`."""
MOST_DAYS = 366
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")

TIME = pa.timestamp("ms", tz="UTC")
HEAD = {
    "call": pa.string(),
    "external_ref": pa.string(),
    "source": pa.string(),
    "team": pa.string(),
    "agent": pa.string(),
    "topic": pa.string(),
    "rubric": pa.string(),
    "engine": pa.string(),
    "started_at": TIME,
    "ended_at": TIME,
    "synthetic": pa.bool_(),
    "outlook_status": pa.string(),
    "under_appeal": pa.bool_(),
    "appeal_decision": pa.string(),
}
APPEALS = ("under_appeal", "appeal_decision")
WHOLE = (
    "handle_ms", "opportunities", "met", "missed", "needs_frustration", "needs_anxiety", "needs_confusion",
    "needs_sadness", "missed_frustration", "missed_anxiety", "missed_confusion", "missed_sadness",
    "cues_shown", "cues_settled", "cues_taken", "resolved", "csat", "nps", "churned", "handle_time_ms",
)  # fmt: skip
REAL = (
    "empathy", "machine_empathy", "courtesy", "listening", "relief", "recovered", "met_share",
    "fit_frustration", "fit_anxiety", "fit_confusion", "fit_sadness", "outlook", "coverage",
    "time_calm", "time_satisfaction", "time_frustration", "time_anxiety", "time_confusion", "time_sadness",
    "time_unsure",
)  # fmt: skip
MADE_BY_MACHINE = (
    "outlook_status",
    *(name for name in (*WHOLE, *REAL) if name not in ("handle_ms", "coverage")),
)
SCHEMA = pa.schema(
    [*HEAD.items(), *((name, pa.int32()) for name in WHOLE), *((name, pa.float32()) for name in REAL)]
)


@dataclass(frozen=True)
class Wanted:
    """Which calls: of these teams (or this agent), ended from `first` to `last`, both included, UTC."""

    teams: Sequence[int]
    first: date
    last: date
    agent: int | None = None
    named: bool = False
    """Whether agents are named; with the lock of the policy they are not."""
    unscored: frozenset[UUID] = frozenset()
    """Calls whose scores are left out: who asks is scoring them blind."""


def facts(wanted: Wanted) -> QuerySet[CallFact]:
    day = timedelta(days=1)
    rows = CallFact.objects.filter(
        week__gte=wanted.first - 7 * day,
        week__lte=wanted.last,
        ended_at__gte=_midnight(wanted.first),
        ended_at__lt=_midnight(wanted.last + day),
        call__isnull=False,
    )
    mine = rows.filter(agent=wanted.agent) if wanted.agent is not None else rows.filter(team__in=wanted.teams)
    return mine.order_by("ended_at", "call_id")


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def rows(wanted: Wanted) -> Iterator[dict[str, Any]]:
    """One dict a call, keys as in SCHEMA."""
    found = facts(wanted).annotate(
        call_name=F("call__external_ref"),
        source_name=F("call__source__slug"),
        team_name=F("team__name"),
        agent_name=F("agent__username"),
        rubric_name=F("rubric_version__rubric__name"),
        rubric_number=F("rubric_version__number"),
        engine_name=F("engine__name"),
        began_at=F("call__started_at"),
    )
    plain = ("ended_at", "synthetic", "outlook_status", "topic", *APPEALS, *WHOLE, *REAL)
    extra = (
        "call_id", "call_name", "source_name", "team_name", "agent_name", "rubric_name", "rubric_number",
        "engine_name", "began_at",
    )  # fmt: skip
    for row in found.values(*plain, *extra).iterator(CHUNK):
        if row["call_id"] in wanted.unscored:
            row |= dict.fromkeys(MADE_BY_MACHINE)
        yield {
            "call": str(row["call_id"]),
            "external_ref": row["call_name"],
            "source": row["source_name"],
            "team": row["team_name"],
            "agent": row["agent_name"] if wanted.named else None,
            "rubric": f"{row['rubric_name']} v{row['rubric_number']}",
            "engine": row["engine_name"],
            "started_at": row["began_at"],
            **{name: row[name] for name in plain},
        }


def write_csv(table: Iterable[Mapping[str, Any]], out: IO[str]) -> int:
    """UTF-8 text, one header line. Returns the rows written."""
    writer = csv.writer(out)
    writer.writerow(SCHEMA.names)
    n = 0
    for row in table:
        writer.writerow([cell(row[name]) for name in SCHEMA.names])
        n += 1
    return n


def cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a ' before it."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(DANGEROUS) else value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return value


def write_parquet(table: Iterable[Mapping[str, Any]], out: IO[bytes]) -> int:
    """Row groups of CHUNK, zstd. Returns the rows written."""
    n = 0
    with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        for some in _chunks(table):
            writer.write_batch(pa.RecordBatch.from_pylist(some, schema=SCHEMA))
            n += len(some)
    return n


def _chunks(table: Iterable[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    for row in table:
        some.append(dict(row))
        if len(some) == CHUNK:
            yield some
            some = []
    if some:
        yield some


def as_csv(wanted: Wanted) -> bytes:
    out = io.StringIO(newline="")
    write_csv(rows(wanted), out)
    return out.getvalue().encode()


def as_parquet(wanted: Wanted) -> bytes:
    out = io.BytesIO()
    write_parquet(rows(wanted), out)
    return out.getvalue()
