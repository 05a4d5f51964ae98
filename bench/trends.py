"""What trends cost: the pages, a call's share of the roll-ups, and the room they take.

    python -m bench trends [--agents 20] [--calls 40000] [--learn 200] [--requests 40] [--whole 300]
    python -m bench trends --agents 50 --calls 500000

First `--whole` calls like the demo's are written with all their rows, to see what room they take
(bench/whole_calls.py).

A year of made-up facts goes straight into a database of its own (COPY), ten agents to a team; then the
roll-ups are made once from all, single calls with all their rows are learned one by one, and the pages are
asked for through Django's test client. CPU is that of this process and of all of PostgreSQL's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PER_TEAM = 10
TOPICS = ("Fees", "Cards", "Refunds", "Address", "Loans", "Travel", "Fraud", "")
NO_NEED = 0.35
"""Share of calls in which nobody needs empathy."""
TARGET_MS = 300


def main(arguments: list[str]) -> int:
    """On servers of its own, in a process that knows only those."""
    from empathy_dash import embedded

    with tempfile.TemporaryDirectory(prefix="empathy-bench-") as folder:
        with embedded.servers(Path(folder)) as urls:
            found = {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis, "LOG_LEVEL": "ERROR"}
            return subprocess.run(
                [sys.executable, "-m", "bench.trends", *arguments], cwd=ROOT, env=os.environ | found
            ).returncode


def measure(options: argparse.Namespace) -> dict[str, Any]:
    from django.core.management import call_command
    from django.db import connection

    from bench import whole_calls
    from calls import rollups

    call_command("migrate", verbosity=0)
    site = Site(options.agents, options.seed)
    whole = whole_calls.measure(site, options.whole) if options.whole else None
    with cost() as writing:
        write_facts(site, options.calls)
    with cost() as rolling, connection.cursor() as cursor:
        rollups.roll_up_all(cursor)
    write_calls(site)
    write_cues(site)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return {
        "cores": os.cpu_count(),
        "agents": options.agents,
        "calls": options.calls,
        "copy_s": round(writing["wall_ms"] / 1000, 1),
        "roll_up_all_s": round(rolling["wall_ms"] / 1000, 1),
        "room": room(options.calls),
        "room_of_whole_calls": whole,
        "learn": learn(site, options.learn),
        "catch_up": catch_up(),
        "pages": pages(site, options.requests),
        "target_p95_ms": TARGET_MS,
    }


class Site:
    """Teams, agents and a supervisor of all, each agent with a level of skill of their own."""

    def __init__(self, agents: int, seed: int) -> None:
        from calls.choices import Role
        from calls.management.commands.seed_rubric import seed_rubric
        from calls.models import EngineVersion, Policy, Source, Team, User

        self.dice, self.plain = np.random.default_rng(seed), random.Random(seed)
        self.rubric = seed_rubric()
        Policy.objects.create(region="us", hr_lock=False)  # or nobody gets an agent's CSV
        self.engine = EngineVersion.objects.create(name="engine/1 bench")
        count = -(-agents // PER_TEAM)
        self.teams = [Team.objects.create(name=f"Team {n}") for n in range(count)]
        self.sources = [Source.objects.create(name=t.name, slug=f"line-{t.pk}", team=t) for t in self.teams]
        self.agents = [
            User.objects.create(username=f"agent{n}", role=Role.AGENT, team=self.teams[n // PER_TEAM])
            for n in range(agents)
        ]
        self.boss = User.objects.create(username="boss", role=Role.SUPERVISOR)
        self.boss.supervises.set(self.teams)
        self.levels = self.dice.normal(0, 8, agents)


def write_facts(site: Site, count: int) -> None:
    from django.db import connection

    from calls.models import CallFact

    fields = list(CallFact._meta.concrete_fields)
    columns = ", ".join(field.column for field in fields)
    made = facts(site, count)
    made |= {
        "under_appeal": ["f"] * count,
        "appeal_decision": [""] * count,
        "machine_empathy": made["empathy"],
    }
    rows = zip(*(made[field.column] for field in fields), strict=True)
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY calls_callfact ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write("\t".join(row) + "\n")


def write_calls(site: Site) -> None:
    """A call for each fact, without words: what pages link to, and what catching up looks through."""
    from django.db import connection
    from psycopg.types.json import Jsonb

    from calls.models import Call

    copied = {
        "id": "call_id", "source_id": "s.id", "team_id": "f.team_id", "agent_id": "agent_id",
        "rubric_version_id": "rubric_version_id", "external_ref": "call_id::text", "queue": "topic",
        "started_at": "ended_at - interval '5 minutes'", "ended_at": "ended_at", "scored_at": "scored_at",
        "media_ms": "handle_ms", "status": "'ended'",
    }  # fmt: skip
    given: list[Any] = []
    values = []
    for field in Call._meta.concrete_fields:
        if field.column not in copied:
            value = final(site) if field.column == "final" else field.get_default()
            given.append(Jsonb(value) if isinstance(value, dict | list) else value)
        values.append(copied.get(field.column, "%s"))
    columns = ", ".join(field.column for field in Call._meta.concrete_fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO calls_call ({columns}) SELECT {', '.join(values)} FROM calls_callfact f "
            "JOIN calls_source s ON s.team_id = f.team_id",
            given,
        )


def write_cues(site: Site) -> None:
    """As many cues as facts say were shown, each first one judged, and each thousandth call reviewed."""
    from django.db import connection

    rules = "ARRAY['frustration-own', 'anxiety-reassure', 'confusion-understand', 'sadness-acknowledge']"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO calls_shownnudge
                (call_id, agent_id, t_ms, shown_ms, rule, state, missing, cue, phrases, solution, link,
                shown_at, verdict, verdict_at, taken)
            SELECT call_id, agent_id, n * 60000, n * 60000, ({rules})[1 + (hour + n) % 4], 'frustration',
                'own', 'Say sorry', '[]'::jsonb, '', '', ended_at, CASE WHEN n = 1 THEN 'helpful' ELSE '' END,
                CASE WHEN n = 1 THEN ended_at END, n % 2 = 0
            FROM calls_callfact, generate_series(1, cues_shown) n"""
        )
        cursor.execute(
            """INSERT INTO calls_review (call_id, reviewer_id, rubric_version_id, ratings, overall, comment,
                machine, blind, started_at, submitted_at, answer)
            SELECT call_id, %s, rubric_version_id, '{"own": 1, "acknowledge": 2}'::jsonb, 3, '',
                '{"own": 2, "acknowledge": 2}'::jsonb, true, ended_at, ended_at, ''
            FROM (SELECT *, row_number() OVER (ORDER BY call_id) r FROM calls_callfact) f
            WHERE r %% 1000 = 0""",
            [site.boss.pk],
        )


def facts(site: Site, count: int) -> dict[str, list[str]]:
    """By column, as COPY reads it: a year of calls by day and hour, `\\N` for what a call cannot tell."""
    dice = site.dice
    agent = dice.integers(0, len(site.agents), count)
    ended, week, hour = times(dice, count)
    state = dice.choice(4, count, p=[0.4, 0.25, 0.25, 0.1])
    needs = np.where(dice.random(count) < NO_NEED, 0, dice.integers(1, 4, count))
    fit = np.clip(dice.normal(0.55, 0.2, count) + site.levels[agent] / 100, 0, 1)
    met = dice.binomial(needs, fit)
    some = needs > 0
    cues = dice.integers(0, 4, count)
    shares = dice.dirichlet([8, 2, 2, 1.5, 1.5, 0.7, 2], count)
    outlook = np.clip(dice.normal(0.1, 0.4, count), -1, 1)
    everywhere = np.ones(count, dtype=bool)
    pk = np.array([team.pk for team in site.teams])

    def real(values: Any, known: Any = everywhere) -> list[str]:
        told = np.char.mod("%.4f", values)
        return np.where(known, told, "\\N").tolist()

    made = {
        "call_id": [str(uuid.UUID(int=site.plain.getrandbits(128))) for _ in range(count)],
        "agent_id": np.array([str(user.pk) for user in site.agents])[agent].tolist(),
        "team_id": pk[agent // PER_TEAM].astype(str).tolist(),
        "rubric_version_id": [str(site.rubric.pk)] * count,
        "engine_id": [str(site.engine.pk)] * count,
        "ended_at": ended,
        "scored_at": ended,
        "week": week,
        "hour": hour.astype(str).tolist(),
        "synthetic": ["f"] * count,
        "topic": np.array(TOPICS)[dice.integers(0, len(TOPICS), count)].tolist(),
        "outlook_status": np.select(
            [outlook < -0.3, outlook > 0.4], ["at_risk", "strengthened"], "steady"
        ).tolist(),
        "handle_ms": dice.lognormal(12.5, 0.5, count).astype(int).astype(str).tolist(),
        "opportunities": needs.astype(str).tolist(),
        "met": met.astype(str).tolist(),
        "missed": (needs - met).astype(str).tolist(),
        "cues_shown": cues.astype(str).tolist(),
        "cues_settled": cues.astype(str).tolist(),
        "cues_taken": dice.binomial(cues, 0.5).astype(str).tolist(),
        "empathy": real(np.clip(62 + site.levels[agent] + dice.normal(0, 12, count), 0, 100), some),
        "courtesy": real(dice.beta(8, 2, count)),
        "listening": real(dice.beta(9, 2, count)),
        "relief": real(dice.beta(5, 4, count), some),
        "recovered": real(dice.binomial(np.maximum(needs, 1), 0.6) / np.maximum(needs, 1), some),
        "met_share": real(met / np.maximum(needs, 1), some),
        "outlook": real(outlook),
        "coverage": real(1 - dice.beta(1, 40, count)),
        **imported(dice, count, ended),
    }  # fmt: skip
    for n, name in enumerate(("frustration", "anxiety", "confusion", "sadness")):
        here = (state == n) & some
        made[f"fit_{name}"] = real(fit, here)
        made[f"needs_{name}"] = np.where(here, needs, 0).astype(str).tolist()
        made[f"missed_{name}"] = np.where(here, needs - met, 0).astype(str).tolist()
    names = ("calm", "satisfaction", "frustration", "anxiety", "confusion", "sadness", "unsure")
    return made | {f"time_{name}": real(shares[:, n]) for n, name in enumerate(names)}


def imported(dice: np.random.Generator, count: int, ended: list[str]) -> dict[str, list[str]]:
    """A quarter of the calls has an answered survey, all a handle time."""
    asked = dice.random(count) < 0.25

    def told(values: Any, known: Any) -> list[str]:
        found: list[str] = np.where(known, values.astype(int).astype(str), "\\N").tolist()
        return found

    everywhere = np.ones(count, dtype=bool)
    return {
        "resolved": told(dice.random(count) < 0.8, asked),
        "csat": told(dice.integers(1, 6, count), asked),
        "nps": told(dice.integers(0, 11, count), asked),
        "churned": told(dice.random(count) < 0.05, asked),
        "handle_time_ms": told(dice.lognormal(12.7, 0.5, count), everywhere),
        "outcome_at": ended,
    }


def times(dice: np.random.Generator, count: int) -> tuple[list[str], list[str], Any]:
    """When calls ended: the last 52 weeks, working days mostly, most of them around noon."""
    from calls.rollups import weeks_back

    weeks = weeks_back(52)
    place = dice.integers(0, 52, count)
    day = dice.choice(7, count, p=[0.2, 0.19, 0.18, 0.18, 0.15, 0.06, 0.04])
    hour = np.clip(dice.normal(13, 3, count), 6, 21).astype(int)
    seconds = dice.integers(0, 3600, count)
    first = datetime(weeks[0].year, weeks[0].month, weeks[0].day, tzinfo=UTC)
    ended = [
        (first + timedelta(weeks=w, days=d, hours=h, seconds=s)).isoformat()
        for w, d, h, s in zip(place.tolist(), day.tolist(), hour.tolist(), seconds.tolist(), strict=True)
    ]
    mondays = np.array([week.isoformat() for week in weeks])
    return ended, mondays[place].tolist(), hour


def room(calls: int) -> dict[str, float]:
    """Megabytes a hundred thousand calls take, indexes included."""
    from django.db import connection

    per = {}
    with connection.cursor() as cursor:
        for table in ("callfact", "agentweek", "teamweek", "teamfelt"):
            cursor.execute("SELECT pg_total_relation_size(%s)", [f"calls_{table}"])
            per[f"{table}_mb_per_100k_calls"] = round(cursor.fetchone()[0] / 1e6 / calls * 100_000, 2)
    return per | {"mb_per_100k_calls": round(sum(per.values()), 2)}


# --- one call ------------------------------------------------------------------------------------


def learn(site: Site, count: int) -> dict[str, Any]:
    """Whole calls in the newest and in random old weeks: learned, learned again, and scored again."""
    from calls import trends
    from calls.models import Call

    made = [whole_call(site, n) for n in range(count)]
    found: dict[str, Any] = {"first": each([lambda pk=pk: trends.learn(pk) for pk in made])}
    found["unchanged"] = each([lambda pk=pk: trends.learn(pk) for pk in made])
    for call in Call.objects.filter(pk__in=made):
        call.final = final(site)
        call.save(update_fields=["final"])
    return found | {"scored_again": each([lambda pk=pk: trends.learn(pk) for pk in made])}


def each(jobs: list[Callable[[], None]]) -> dict[str, Any]:
    walls = []
    with cost() as spent:
        for job in jobs:
            began = time.perf_counter()
            job()
            walls.append((time.perf_counter() - began) * 1000)
    n = len(jobs)
    return {
        "python_cpu_ms": round(spent["python_ms"] / n, 2),
        "postgres_cpu_ms": round(spent["postgres_ms"] / n, 2),
        "wall_ms": {"p50": percentile(walls, 50), "p95": percentile(walls, 95)},
    }


def whole_call(site: Site, n: int) -> uuid.UUID:
    from calls.models import Call, Moment, ShownNudge

    dice = site.plain
    agent = dice.choice(site.agents)
    ended = datetime.now(UTC) - timedelta(
        weeks=dice.choice((0, dice.randrange(52))), minutes=dice.randrange(600)
    )
    source = site.sources[site.teams.index(agent.team)]
    call = Call.objects.create(
        source=source, team=agent.team, agent=agent, rubric_version=site.rubric, external_ref=f"CA{n}",
        queue=dice.choice(TOPICS), status="ended", started_at=ended - timedelta(minutes=5), ended_at=ended,
        scored_at=ended, media_ms=300_000, final=final(site), engine="engine/1 bench",
    )  # fmt: skip
    states = ("calm", "frustration", "anxiety", "unsure")
    Moment.objects.bulk_create(
        Moment(
            call=call, t_ms=at * 5000, state=dice.choice(states), intensity=0.5, confidence=0.5, distress=0.5
        )
        for at in range(60)
    )
    ShownNudge.objects.create(
        call=call,
        agent=agent,
        t_ms=9000,
        shown_ms=9000,
        rule="r",
        state="anxiety",
        missing="own",
        cue="x",
        taken=True,
    )
    return call.pk


def final(site: Site) -> dict[str, Any]:
    dice = site.plain
    events = [
        {
            "t_ms": 9000 * n, "state": dice.choice(("frustration", "anxiety", "confusion")), "affect": 0.7,
            "fit": round(dice.random(), 3), "latency_ms": 900, "recovery_ms": dice.choice((None, 9000)),
        }
        for n in range(3)
    ]  # fmt: skip
    channel = {"received_ms": 300_000, "scored_ms": 299_000, "lost_ms": 500}
    return {
        "empathy": round(dice.uniform(30, 90), 1),
        "courtesy": 0.8,
        "components": {"E": 0.7, "C": 0.8, "L": round(dice.random(), 3), "V": 0.6, "P": 0.1},
        "alignment": {"events": events, "met_share": 0.667, "recovered_share": 0.333},
        "outlook": {"status": "steady", "score": 0.1},
        "coverage": {"channels": {"customer": channel, "agent": channel}},
    }


def catch_up() -> dict[str, Any]:
    """Looking for what was not learned: as each minute, and as once a day."""
    from calls import trends

    recent = each([lambda: trends._found(trends._UNLEARNED, trends.RECENT, 200)] * 5)
    return {"recent": recent, "all": each([lambda: trends._found(trends._UNLEARNED, None, 200)] * 2)}


# --- pages ---------------------------------------------------------------------------------------


def pages(site: Site, requests: int) -> dict[str, Any]:
    from django.test import Client

    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(site.boss)
    found = {}
    for name, path, owners in (
        ("calls", "/calls/", [site.boss]),
        ("calls_page_400", "/calls/?page=400", [site.boss]),
        ("reviews", "/reviews/", [site.boss]),
        ("cues", "/cues/", [site.boss]),
        ("agent_26_weeks", "/agents/{}/trends/", site.agents),
        ("agent_52_weeks", "/agents/{}/trends/?weeks=52", site.agents),
        ("agent_csv", "/agents/{}/trends.csv", site.agents),
        ("team_13_weeks", "/teams/{}/trends/", site.teams),
        ("team_26_weeks", "/teams/{}/trends/?weeks=26", site.teams),
        ("team_52_weeks", "/teams/{}/trends/?weeks=52", site.teams),
    ):
        client.get(path.format(owners[0].pk))
        walls, size = [], 0
        for _ in range(requests):
            address = path.format(site.plain.choice(owners).pk)
            began = time.perf_counter()
            answer = client.get(address)
            walls.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, (address, answer.status_code)
            size = len(answer.content)
        found[name] = {
            "p50_ms": percentile(walls, 50),
            "p95_ms": percentile(walls, 95),
            "kb": round(size / 1000),
        }
    return found


def percentile(values: list[float], share: int) -> float:
    return round(float(np.percentile(values, share)), 1)


@contextmanager
def cost() -> Iterator[dict[str, float]]:
    """Wall time, and CPU of this process and of all PostgreSQL processes, in the block."""
    spent: dict[str, float] = {}
    began, python, postgres = time.perf_counter(), time.process_time(), postgres_cpu_s()
    yield spent
    spent["wall_ms"] = (time.perf_counter() - began) * 1000
    spent["python_ms"] = (time.process_time() - python) * 1000
    spent["postgres_ms"] = (postgres_cpu_s() - postgres) * 1000


def postgres_cpu_s() -> float:
    import psutil
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(cursor.fetchone()[0]).parent()
    assert server is not None
    used = 0.0
    for process in (server, *server.children()):
        try:
            used += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return used


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "empathy_dash.settings")
    import django

    django.setup()
    parser = argparse.ArgumentParser(prog="python -m bench trends", description=__doc__)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--learn", type=int, default=200)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whole", type=int, default=300)
    print(json.dumps(measure(parser.parse_args()), indent=2))
