"""Roll-ups follow their calls, whatever happens to those; and nothing is claimed of a few."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import outcomes, record, reviewing, rollups, trends
from calls.choices import CallStatus, Role
from calls.models import (
    AgentWeek,
    Appeal,
    Call,
    CallFact,
    Moment,
    Review,
    RubricVersion,
    ShownNudge,
    Source,
    Team,
    TeamFelt,
    TeamWeek,
    User,
)
from scoring.types import DISTRESS
from tests.calls.pieces import agent, customer, scored

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
EVERYTHING = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def final(
    empathy: float | None = 70.0, fits: tuple[tuple[str, float | None], ...] = (("frustration", 0.8),)
) -> dict[str, Any]:
    """A finished call's scores, of needs as (state, response fit)."""
    settled = [fit for _, fit in fits if fit is not None]
    events = [
        {"t_ms": 1000 * n, "state": state, "affect": 0.8, "fit": fit, "latency_ms": 900, "recovery_ms": 9000}
        for n, (state, fit) in enumerate(fits, 1)
    ]
    return {
        "empathy": empathy,
        "courtesy": 0.8,
        "components": {"E": 0.7, "C": 0.8, "L": 0.9, "V": 0.6, "P": 0.0},
        "alignment": {
            "events": events,
            "met_share": sum(fit >= 0.5 for fit in settled) / len(settled) if settled else None,
            "recovered_share": 1.0 if settled else None,
        },
        "outlook": {"status": "steady", "score": -0.125},
        "coverage": {
            "channels": {
                name: {"scored_ms": 90_000, "received_ms": 95_000, "lost_ms": 5000}
                for name in ("customer", "agent")
            }
        },
    }


def finished(source: Source, who: User | None, at: datetime, **fields: Any) -> Call:
    return Call.objects.create(
        **{
            "source": source, "team": source.team, "agent": who, "queue": "Fees", "status": CallStatus.ENDED,
            "rubric_version": RubricVersion.objects.get(), "external_ref": str(uuid.uuid4()),
            "started_at": at - timedelta(minutes=5), "ended_at": at, "scored_at": at, "media_ms": 100_000,
            "final": final(), "engine": "engine/1 test",
        } | fields
    )  # fmt: skip


FELT = ("team_id", "week", "synthetic", "kind", "name", *rollups._FELT)


def told() -> tuple[list[Any], ...]:
    """All that trends keep, comparable."""
    agents = AgentWeek.objects.order_by("agent_id", "week", "synthetic", "metric")
    teams = TeamWeek.objects.order_by("team_id", "week", "synthetic", "metric")
    numbers = ("week", "synthetic", "metric", "n", "q1", "median", "q3", "total")
    facts = [trends._values(fact) for fact in CallFact.objects.order_by("pk")]
    return (
        list(agents.values_list("agent_id", *numbers)),
        list(teams.values_list("team_id", *numbers, "bins")),
        list(TeamFelt.objects.order_by("team_id", "week", "synthetic", "kind", "name").values_list(*FELT)),
        facts,
    )


# --- one call ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_call_as_the_product_closes_it(make_call: Callable[..., Call]) -> None:
    call = make_call("CA1")
    record.record_scores([scored(str(call.pk), customer(1000), agent(4000, acknowledge=0.9, own=0.9))])
    trends.learn(call.pk)
    assert not CallFact.objects.exists(), "it is still running"
    record.record_scores([scored(str(call.pk), hops=range(8, 16), close=True)], "engine/1 x")
    ShownNudge.objects.all().delete()
    ShownNudge.objects.create(
        call=call,
        agent=call.agent,
        t_ms=1,
        shown_ms=1,
        rule="r",
        state="frustration",
        missing="own",
        cue="x",
        taken=True,
    )
    ShownNudge.objects.create(
        call=call, agent=call.agent, t_ms=2, shown_ms=2, rule="r", state="frustration", missing="own", cue="x"
    )
    trends.learn(call.pk)
    call.refresh_from_db()
    fact = CallFact.objects.get()
    assert call.final is not None and call.ended_at is not None
    assert fact.empathy == pytest.approx(call.final["empathy"], rel=1e-5)
    assert fact.opportunities == call.final["opportunities"] == fact.needs_frustration
    assert (fact.met, fact.missed) == (call.final["met"], call.final["opportunities"] - call.final["met"])
    assert (fact.cues_shown, fact.cues_settled, fact.cues_taken) == (2, 1, 1)
    assert fact.coverage == 1.0 and fact.topic == "Fees" and fact.handle_ms == call.media_ms
    assert fact.week.weekday() == 0 and fact.hour == call.ended_at.hour
    assert str(fact.engine) == "engine/1 x" and fact.rubric_version_id == call.rubric_version_id
    times = [getattr(fact, f"time_{state}") for state in ("frustration", "calm", "unsure", "satisfaction")]
    assert sum(times) == pytest.approx(1.0, abs=1e-5)
    record.reopen(str(call.pk))
    trends.learn(call.pk)
    assert told() == ([], [], [], [])


def test_time_in_a_state_ends_where_nothing_is_known() -> None:
    found = trends.times_of([(0, "frustration"), (4000, "calm"), (60_000, "calm")], 61_000)
    assert found["time_frustration"] == pytest.approx(4 / 13)
    assert found["time_calm"] == pytest.approx(9 / 13)
    assert trends.times_of([], 1000) == {}


def test_needs_by_state() -> None:
    events = final(fits=(("anxiety", 0.5), ("anxiety", 0.1), ("sadness", None)))["alignment"]["events"]
    found = trends.needs_of(events, 0.5)
    strict = trends.needs_of(events, 0.51)
    assert (strict["met"], strict["missed"], strict["missed_anxiety"]) == (0, 2, 2)
    assert (found["opportunities"], found["met"], found["missed"]) == (3, 1, 1)
    assert (found["needs_anxiety"], found["missed_anxiety"], found["needs_sadness"]) == (2, 1, 0)
    assert found["fit_anxiety"] == pytest.approx(0.3) and found["fit_sadness"] is None


@pytest.mark.django_db
@pytest.mark.parametrize("met", [0.1, 0.5, 0.95])
def test_needs_are_met_as_the_rubric_of_the_call_says(make_call: Callable[..., Call], met: float) -> None:
    """The count, the share and the final scores agree, whatever the threshold is."""
    house = RubricVersion.objects.get()
    spec = house.as_spec().to_dict()
    spec["alignment"]["met"] = met
    RubricVersion.objects.create(rubric=house.rubric, number=2, spec=spec)
    call = make_call("CA1")
    pieces = customer(1000), agent(4000, acknowledge=0.9), agent(8000, courtesy=0.9)
    record.record_scores([scored(str(call.pk), *pieces, hops=range(80))])
    record.record_scores([scored(str(call.pk), hops=range(80, 90), close=True)])
    trends.learn(call.pk)
    call.refresh_from_db()
    fact = CallFact.objects.get()
    assert call.final is not None and call.rubric_version.number == 2
    fits = [event["fit"] for event in call.final["alignment"]["events"]]
    assert len(fits) == 1 and 0.1 <= fits[0] < 0.95
    assert fact.met == call.final["met"] == fact.met_share == sum(fit >= met for fit in fits)
    assert fact.missed == 1 - fact.met


@pytest.mark.django_db
def test_a_call_of_which_nothing_was_scored_only_counts_in_coverage(source: Source, bob: User) -> None:
    lost = {"channels": {"customer": {"scored_ms": 0, "received_ms": 0, "lost_ms": 4000}}}
    call = finished(source, bob, MONDAY, final=final() | {"coverage": lost})
    trends.learn(call.pk)
    fact = CallFact.objects.get()
    assert fact.coverage == 0.0 and fact.empathy is fact.courtesy is fact.opportunities is None
    metrics = set(AgentWeek.objects.values_list("metric", flat=True))
    assert metrics == {"coverage", "cues_settled", "cues_taken", "handle_ms"}


@pytest.mark.parametrize(
    "at, week",
    [
        (datetime(2026, 3, 2, 0, 0, tzinfo=UTC), date(2026, 3, 2)),
        (datetime(2026, 3, 1, 23, 59, tzinfo=UTC), date(2026, 2, 23)),
        (datetime(2027, 1, 1, 12, tzinfo=UTC), date(2026, 12, 28)),
    ],
)
def test_weeks_begin_on_monday(at: datetime, week: date) -> None:
    assert rollups.week_of(at) == week


# --- roll-ups ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_quartiles_and_histogram(source: Source, bob: User) -> None:
    for n, empathy in enumerate((10.0, 20.0, 30.0, 40.0, None)):
        trends.learn(finished(source, bob, MONDAY + timedelta(hours=n), final=final(empathy)).pk)
    row = AgentWeek.objects.get(agent=bob, metric="empathy")
    assert (row.week, row.n, row.q1, row.median, row.q3, row.total) == (
        date(2026, 3, 2),
        4,
        17.5,
        25,
        32.5,
        100,
    )
    team = TeamWeek.objects.get(team=source.team, metric="empathy")
    assert team.bins == {"10": 1, "20": 1, "30": 1, "40": 1}
    assert TeamWeek.objects.get(metric="courtesy").n == 5


@pytest.mark.django_db
def test_made_up_calls_are_kept_apart(source: Source, bob: User) -> None:
    trends.learn(finished(source, bob, MONDAY, synthetic=True).pk)
    now = rollups.weeks_back(1, MONDAY)
    rows = AgentWeek.objects.all()
    assert rollups._trend(now, rows).synthetic and rollups._trend(now, rows).weekly["empathy"]
    trends.learn(finished(source, bob, MONDAY, final=final(10.0)).pk)
    trend = rollups._trend(now, AgentWeek.objects.all())
    assert not trend.synthetic and trend.weekly["empathy"][now[0]].median == 10.0


class World:
    """A few calls to which everything may happen, learned or not learned each time."""

    def __init__(self, source: Source, people: list[User], teams: list[Team]) -> None:
        self.source, self.people, self.teams = source, people, teams
        self.calls: list[uuid.UUID] = []

    def one(self, pick: int) -> Call | None:
        return Call.objects.filter(pk=self.calls[pick % len(self.calls)]).first() if self.calls else None

    def ends(self, pick: int, week: int, empathy: float) -> uuid.UUID:
        who = [*self.people, None][pick % (len(self.people) + 1)]
        call = finished(
            self.source, who, MONDAY + timedelta(weeks=week, hours=pick), final=final(empathy),
            team=self.teams[pick % len(self.teams)], synthetic=pick % 5 == 0,
        )  # fmt: skip
        self.calls.append(call.pk)
        return call.pk

    def scored_again(self, pick: int, week: int, empathy: float) -> uuid.UUID | None:
        if (call := self.one(pick)) is None:
            return None
        state = str(DISTRESS[pick % len(DISTRESS)])
        Moment.objects.get_or_create(
            call=call, t_ms=pick * 1000, defaults={"state": state, "intensity": 1, "confidence": 1, "distress": 1}
        )  # fmt: skip
        call.final = final(empathy, ((state, empathy / 100), (state, None)))
        call.status, call.ended_at = CallStatus.ENDED, MONDAY + timedelta(weeks=week)
        call.scored_at = MONDAY + timedelta(weeks=week, seconds=len(self.calls))
        call.save()
        return call.pk

    def reopens(self, pick: int, week: int, empathy: float) -> uuid.UUID | None:
        if (call := self.one(pick)) is None:
            return None
        call.status, call.final, call.ended_at = CallStatus.LIVE, None, None
        call.save()
        return call.pk

    def moves(self, pick: int, week: int, empathy: float) -> uuid.UUID | None:
        if (call := self.one(pick)) is None:
            return None
        call.agent = self.people[(pick + week) % len(self.people)]
        call.team = self.teams[(pick + week) % len(self.teams)]
        call.save()
        return call.pk

    def turned_out(self, pick: int, week: int, empathy: float) -> uuid.UUID | None:
        """Weeks later another system tells what became of it, or takes that back."""
        if (call := self.one(pick)) is None:
            return None
        values = {
            "csat": pick % 5 + 1,
            "resolved": [True, False, None][week % 3],
            "handle_time_ms": int(empathy * 10_000),
        }
        given = outcomes.Given(1, str(call.pk), "", "", values if pick % 4 else dict.fromkeys(values))
        plan = outcomes.plan([given], Call.objects.all())
        if not plan.bad:  # it runs on
            outcomes.apply(plan, None, "api")
        return call.pk

    def goes(self, pick: int, week: int, empathy: float) -> uuid.UUID | None:
        if (call := self.one(pick)) is None:
            return None
        pk = call.pk
        call.delete()
        return pk

    def appeals(self, pick: int, week: int, empathy: float) -> uuid.UUID | None:
        """Against the machine's score or, at odd picks, a person's."""
        call = self.one(pick)
        if call is None or call.agent is None or call.appeals.filter(decided_at=None).exists():
            return None
        review = None
        if pick % 2:
            version, who = call.rubric_version, User.objects.get_or_create(username=f"reviewer{pick}")[0]
            review, _ = Review.objects.get_or_create(
                call=call, reviewer=who, defaults={"rubric_version": version}
            )
        elif call.appeals.filter(review=None).exists():
            return None
        Appeal.objects.create(call=call, review=review, agent=call.agent, reason="x", before=empathy)
        return call.pk

    def decides(self, pick: int, week: int, empathy: float) -> uuid.UUID | None:
        call = self.one(pick)
        made = call.appeals.filter(decided_at=None).first() if call else None
        if made is None:
            return None
        made.decision, made.after = ("changed", empathy) if pick % 3 else ("upheld", made.before)
        made.decided_at = timezone.now()
        made.save()
        return made.call_id


HAPPENS = st.tuples(
    st.sampled_from(
        [
            "ends",
            "ends",
            "ends",
            "scored_again",
            "turned_out",
            "reopens",
            "moves",
            "goes",
            "appeals",
            "appeals",
            "decides",
        ]
    ),
    st.integers(0, 30),
    st.integers(-6, 3),
    st.sampled_from([0.0, 12.3, 49.99, 70.1, 100.0]),
    st.sampled_from(["learn", "learn", "twice", "not"]),
)


@pytest.fixture
def world(source: Source, billing: Team, travel: Team, bob: User) -> World:
    zoe = User.objects.create_user("zoe", role=Role.AGENT, team=billing)
    return World(source, [bob, zoe], [billing, travel])


@EVERYTHING
@given(st.lists(HAPPENS, max_size=14))
@pytest.mark.django_db
def test_whatever_happens_the_roll_ups_are_those_of_the_calls(world: World, events: list[Any]) -> None:
    Call.objects.all().delete()
    trends.recompute()
    world.calls.clear()
    for what, pick, week, empathy, learned in events:
        pk = getattr(world, what)(pick, week, empathy)
        for _ in range({"learn": 1, "twice": 2, "not": 0}[learned] if pk else 0):
            trends.learn(pk)
    trends.learn_missing(1000, since=None)
    found = told()
    assert trends.learn_missing(1000, since=None) == 0
    trends.recompute()
    assert found == told()


@pytest.mark.django_db
def test_learning_again_changes_nothing(source: Source, bob: User) -> None:
    call = finished(source, bob, MONDAY)
    trends.learn(call.pk)
    before, rows = told(), set(AgentWeek.objects.values_list("pk", flat=True))
    trends.learn(str(call.pk))
    call.queue = "Cards"
    call.save()
    trends.learn(call.pk)
    assert told()[:2] == before[:2] and told()[2] != before[2]
    assert set(AgentWeek.objects.values_list("pk", flat=True)) == rows, "rows that hold are not written again"


@pytest.mark.django_db
def test_a_score_counts_as_its_appeal_left_it(source: Source, bob: User, alice: User) -> None:
    first, second = (finished(source, bob, timezone.now(), final=final(n)) for n in (20.0, 60.0))
    for call in (first, second):
        trends.learn(call.pk)

    def weekly() -> dict[str, tuple[int, float]]:
        return {row.metric: (row.n, row.total) for row in AgentWeek.objects.filter(agent=bob)}

    assert weekly()["empathy"] == (2, 80.0)
    made = reviewing.appeal(first, None, bob, "she agreed")
    assert weekly()["empathy"] == (1, 60.0) and weekly()["courtesy"][0] == weekly()["met"][0] == 1
    assert weekly()["handle_ms"][0] == 2, "what was not judged stays"
    assert TeamFelt.objects.get(kind="all").needs_frustration == 1
    fact = CallFact.objects.get(pk=first.pk)
    assert fact.under_appeal and fact.empathy is None and fact.machine_empathy == 20.0
    assert {name for name in trends.JUDGED if getattr(fact, name) is not None} == set()
    reviewing.decide(made, alice, "changed", "heard again", 55)
    assert weekly()["empathy"] == (2, 115.0) and weekly()["courtesy"][0] == 2
    fact.refresh_from_db()
    assert (fact.empathy, fact.machine_empathy, fact.appeal_decision) == (55.0, 20.0, "changed")
    upheld = reviewing.appeal(second, None, bob, "no")
    reviewing.decide(upheld, alice, "upheld", "heard again", None)
    assert weekly()["empathy"] == (2, 115.0)
    found = told()
    assert trends.learn_missing(since=None) == 0
    trends.recompute()
    assert told() == found


@pytest.mark.django_db
def test_forgetting(source: Source, bob: User) -> None:
    first, second = finished(source, bob, MONDAY), finished(source, bob, MONDAY, final=final(20.0))
    for call in (first, second):
        trends.learn(call.pk)
    trends.forget(first.pk)
    trends.forget(first.pk)
    trends.forget(uuid.uuid4())
    assert AgentWeek.objects.get(metric="empathy").median == 20.0
    second.delete()
    assert trends.learn_missing(since=None) == 2, "one was forgotten too early, one is gone"
    assert AgentWeek.objects.get(metric="empathy").median == 70.0


@pytest.mark.django_db
def test_catching_up_looks_at_the_last_days_and_stops_at_its_limit(source: Source, bob: User) -> None:
    now = timezone.now()
    for n in range(5):
        finished(source, bob, now - timedelta(minutes=n))
    late = finished(source, bob, now - timedelta(days=30))
    assert [trends.learn_missing(3), trends.learn_missing(3), trends.learn_missing(3)] == [3, 2, 0]
    assert not CallFact.objects.filter(pk=late.pk).exists()
    assert trends.learn_missing(3, since=None) == 1
    User.objects.filter(pk=bob.pk).delete()
    assert trends.learn_missing(since=None) == 0, "the calls and their facts both lost their agent"


@pytest.mark.django_db
def test_one_that_cannot_be_learned_holds_up_no_other(
    source: Source, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = finished(source, bob, timezone.now()), finished(source, bob, timezone.now())
    learn = trends.learn
    monkeypatch.setattr(trends, "learn", lambda pk: 1 / 0 if pk == bad.pk else learn(pk))
    assert trends.learn_missing() == 1
    assert CallFact.objects.get().pk == good.pk


@pytest.fixture
def threads(transactional_db: None) -> Iterator[Callable[..., None]]:
    """Runs functions at once, each with a connection of its own, and raises what they raised."""

    def run(*jobs: Callable[[], None]) -> None:
        trouble: list[BaseException] = []
        gate = threading.Barrier(len(jobs))

        def one(job: Callable[[], None]) -> None:
            try:
                gate.wait()
                job()
            except BaseException as error:
                trouble.append(error)
            finally:
                connections.close_all()

        started = [threading.Thread(target=one, args=(job,)) for job in jobs]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join(60)
        assert not trouble, trouble

    yield run


def learner(pks: list[uuid.UUID]) -> Callable[[], None]:
    def job() -> None:
        for pk in pks:
            trends.learn(pk)

    return job


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_lose_nothing(source: Source, bob: User, threads: Callable[..., None]) -> None:
    calls = [finished(source, bob, MONDAY, final=final(float(n))).pk for n in range(40)]
    threads(*(learner(calls[n::4]) for n in range(4)))
    found = told()
    assert AgentWeek.objects.get(metric="empathy").n == 40
    trends.recompute()
    assert found == told()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database "
            "WHERE locktype = 'advisory' AND datname = current_database()"
        )
        assert cursor.fetchone() == (0,)


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() != (0,)


@pytest.mark.django_db(transaction=True)
def test_who_comes_second_counts_what_the_first_has_not_committed_yet(source: Source, bob: User) -> None:
    first, second = (finished(source, bob, MONDAY, final=final(float(n)), engine="").pk for n in range(2))

    def other() -> None:
        try:
            trends.learn(second)
        finally:
            connections.close_all()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        trends.learn(first)
        thread.start()
        until = time.monotonic() + 30
        while not waits_for_a_lock() and time.monotonic() < until:
            time.sleep(0.01)
        assert waits_for_a_lock()
    thread.join(30)
    assert set(AgentWeek.objects.values_list("n", flat=True)) == {2}
    assert TeamFelt.objects.get(kind="all").calls == 2


@pytest.mark.django_db(transaction=True)
def test_the_same_calls_by_all_workers_while_all_is_made_anew(
    source: Source, bob: User, threads: Callable[..., None]
) -> None:
    calls = [
        finished(source, bob, MONDAY + timedelta(weeks=n % 2), final=final(float(n))).pk for n in range(24)
    ]
    threads(learner(calls), learner(calls[::-1]), learner(calls[::2] + calls), trends.recompute)
    found = told()
    trends.recompute()
    assert found == told() and CallFact.objects.count() == 24
