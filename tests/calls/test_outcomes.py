"""What other systems tell of calls: read strictly, taken whole, counted, replaced and purged."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import exports, outcomes, retention, subjects, tasks, trends
from calls.choices import CallStatus, Kept, Role
from calls.models import AgentWeek, Call, CallFact, CallOutcome, Change, OutcomeImport, Source, TeamWeek, User
from tests.calls.test_trends import MONDAY, finished, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


@pytest.fixture
def call(source: Source, bob: User) -> Call:
    return finished(source, bob, MONDAY, external_ref="CA-1")


def take(text: str, actor: User) -> list[uuid.UUID]:
    return outcomes.apply(outcomes.plan_csv(text), actor, "page")


def test_a_file_is_taken_and_counted(call: Call, dana: User, source: Source, bob: User) -> None:
    other = finished(source, bob, MONDAY, external_ref="CA-2")
    text = (
        "external_ref,call,resolved,csat,nps,churned,handle_time_s\n"
        f"CA-1,,yes,4,9,no,312.5\n,{other.pk},no,,3,,\n"
    )
    assert set(take(text, dana)) == {call.pk, other.pk}
    tasks.learn_calls([str(call.pk), str(other.pk)])
    row = CallOutcome.objects.get(call=call)
    assert (row.resolved, row.csat, row.nps, row.churned, row.handle_time_ms) == (True, 4, 9, False, 312_500)
    week = {r.metric: (r.n, r.total) for r in TeamWeek.objects.all()}
    assert week["resolved"] == (2, 1) and week["csat"] == (1, 4) and week["nps"] == (2, 12)
    assert week["churned"] == (1, 0) and week["handle_time_ms"] == (1, 312_500)
    assert AgentWeek.objects.get(metric="csat").median == 4
    [import_] = OutcomeImport.objects.all()
    assert (import_.rows, import_.new, import_.changed, import_.user) == (2, 2, 0, dana)
    change = Change.objects.get(subject_type="outcomeimport")
    assert change.after == {"how": "page", "rows": 2, "new": 2, "changed": 0}
    assert str(call.pk) not in str(change.after), "the log outlasts the call"


def test_named_values_are_replaced_and_others_stay(call: Call, dana: User) -> None:
    take("external_ref,csat,nps\nCA-1,2,3\n", dana)
    before = CallOutcome.objects.get().changed_at
    plan = outcomes.plan_csv("external_ref,csat\nCA-1,5\n")
    assert plan.good[0].changes == (("csat", 2, 5),) and not plan.good[0].is_new
    assert outcomes.apply(plan, dana, "page") == [call.pk]
    row = CallOutcome.objects.get()
    assert (row.csat, row.nps) == (5, 3) and row.changed_at > before
    assert take("external_ref,csat\nCA-1,5\n", dana) == [], "nothing new is no import"
    assert OutcomeImport.objects.count() == 2
    take("external_ref,csat,nps\nCA-1,,\n", dana)
    assert not CallOutcome.objects.exists(), "nothing is known any more"
    assert trends.learn_missing(since=None) >= 0
    trends.recompute()
    assert CallFact.objects.get().csat is None


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("CA-1,,,6,,,", "csat", "1 to 5"),
        ("CA-1,,,0,,,", "csat", "1 to 5"),
        ("CA-1,,,4.5,,,", "csat", "1 to 5"),
        ("CA-1,,,٤,,,", "csat", "1 to 5"),
        ("CA-1,,,,11,,", "nps", "0 to 10"),
        ("CA-1,,,,-1,,", "nps", "0 to 10"),
        ("CA-1,,maybe,,,,", "resolved", "yes or no"),
        ("CA-1,,,,,1,", "churned", "yes or no"),
        ("CA-1,,,,,,-5", "handle_time_s", "seconds"),
        ("CA-1,,,,,,1e9", "handle_time_s", "seconds"),
        ("CA-1,,,,,,nan", "handle_time_s", "seconds"),
        ("CA-1,,,,,,999999999", "handle_time_s", "seconds"),
        ("CA-9,,yes,,,,", "external_ref", "no such call"),
        (",x,yes,,,,", "call", "no id"),
        (",00000000-0000-0000-0000-000000000000,yes,,,,", "call", "no such call"),
        (",,yes,,,,", "", "names no call"),
        ("CA-1,,yes", "", "has 3 cells"),
        ("CA-1,,yes,,,,,,", "", "has 9 cells"),
        ("=cmd(),,yes,,,,", "external_ref", "no such call"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_taken(
    call: Call, dana: User, line: str, column: str, words: str
) -> None:
    plan = outcomes.plan_csv(
        f"external_ref,call,resolved,csat,nps,churned,handle_time_s\nCA-1,,yes,5,,,\n{line}\n"
    )
    [bad] = plan.bad
    assert bad.line == 3 and any(name == column and words in said for name, said in bad.errors), bad.errors
    with pytest.raises(outcomes.Refused, match="nothing was imported"):
        outcomes.apply(plan, dana, "page")
    assert not CallOutcome.objects.exists() and not OutcomeImport.objects.exists()


def test_which_call_is_meant(call: Call, dana: User, source: Source, bob: User) -> None:
    line = Source.objects.create(name="Other", slug="other-line", team=source.team)
    twin = finished(line, bob, MONDAY, external_ref="CA-1")
    [bad] = outcomes.plan_csv("external_ref,csat\nCA-1,5\n").bad
    assert "2 calls have this name" in bad.errors[0][1]
    assert take("external_ref,source,csat\nCA-1,other-line,5\n", dana) == [twin.pk]
    plan = outcomes.plan_csv(f"call,external_ref,csat\n{call.pk},CA-1,5\n{call.pk},,4\n{call.pk},CA-7,4\n")
    assert [row.line for row in plan.bad] == [3, 4]
    assert "same call as line 2" in plan.bad[0].errors[0][1] and "no such call" in plan.bad[1].errors[0][1]
    Call.objects.filter(pk=call.pk).update(status=CallStatus.LIVE)
    [bad] = outcomes.plan_csv(f"call,csat\n{call.pk},5\n").bad
    assert "still running" in bad.errors[0][1]
    Call.objects.filter(pk=call.pk).update(status=CallStatus.ENDED, practice=True)
    [bad] = outcomes.plan_csv(f"call,csat\n{call.pk},5\n").bad
    assert "no such call" in bad.errors[0][1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("csat\n5\n", "no call, external_ref"),
        ("call,mood\n1,2\n", "'mood'"),
        ("call,csat,csat\n1,2,3\n", "'csat'"),
        ("call\0\n", "NUL"),
        ('call,csat\n"x\n', "no CSV"),
        ("", "no call, external_ref"),
    ],
)
def test_a_file_that_is_none(dana: User, text: str, words: str) -> None:
    plan = outcomes.plan_csv(text)
    assert words in plan.trouble
    with pytest.raises(outcomes.Refused):
        outcomes.apply(plan, dana, "page")


def test_a_file_has_an_end() -> None:
    text = "call,csat\n" + "x,1\n" * (outcomes.MOST_ROWS + 1)
    assert str(outcomes.MOST_ROWS) in outcomes.plan_csv(text).trouble


CELLS = st.one_of(st.text(max_size=12), st.sampled_from(["yes", "5", "CA-1", "=1+1", "'-5", ";", '"', ""]))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, max_size=5), max_size=5), st.sampled_from([",", ";"]))
def test_junk_is_refused_in_words(call: Call, rows: list[list[str]], comma: str) -> None:
    text = comma.join(("external_ref", "csat", "resolved")) + "\n" + "\n".join(map(comma.join, rows))
    plan = outcomes.plan_csv(text)
    assert plan.trouble or len(plan.good) + len(plan.bad) <= len(plan.rows)
    assert all(said for row in plan.bad for _, said in row.errors)
    assert all(row.call == call.pk for row in plan.good)


def test_late_outcomes_of_old_calls_are_found_without_a_message(call: Call, dana: User) -> None:
    trends.learn(call.pk)
    take("external_ref,csat\nCA-1,5\n", dana)
    assert trends.learn_missing() == 0, "it is not of the last days"
    assert trends.learn_missing(since=None) == 1
    assert TeamWeek.objects.get(metric="csat").n == 1
    found = told()
    trends.recompute()
    assert found == told()


def test_several_are_learned_as_one_by_one(source: Source, bob: User, dana: User) -> None:
    calls = [finished(source, bob, MONDAY, external_ref=f"CA-{n}") for n in range(7)]
    take("external_ref,nps\n" + "".join(f"CA-{n},{n}\n" for n in range(7)), dana)
    gone = calls.pop()
    trends.learn(gone.pk)
    pk = gone.pk
    gone.delete()
    trends.learn_all([*(call.pk for call in calls), pk, calls[0].pk, uuid.uuid4()])
    found = told()
    trends.recompute()
    assert found == told() and TeamWeek.objects.get(metric="nps").n == 6


def test_it_is_in_the_callers_copy_and_goes_with_the_scores(call: Call, dana: User) -> None:
    take("external_ref,csat,churned\nCA-1,2,yes\n", dana)
    trends.learn(call.pk)
    copy = subjects.document(call)["outcome"]
    assert copy is not None and (copy["csat"], copy["churned"], copy["nps"]) == (2, True, None)
    day = MONDAY.date()
    [row] = exports.rows(exports.Wanted([call.team_id], day, day))
    assert (row["csat"], row["churned"], row["resolved"]) == (2, 1, None)
    [proof] = retention.purge(Kept.SCORES, datetime(2029, 1, 1, tzinfo=UTC))
    assert proof.is_proven and proof.deleted["calloutcome"] == 1
    assert not CallOutcome.objects.exists() and not TeamWeek.objects.exists()


def test_what_a_purge_left_is_found(call: Call, dana: User, monkeypatch: Any) -> None:
    take("external_ref,csat\nCA-1,2\n", dana)
    assert retention.left(Kept.SCORES, [str(call.pk)])["postgresql"] == 2


def test_a_call_that_goes_meanwhile_is_left_out(call: Call, dana: User, source: Source, bob: User) -> None:
    other = finished(source, bob, timezone.now(), external_ref="CA-2")
    plan = outcomes.plan_csv("external_ref,csat\nCA-1,2\nCA-2,3\n")
    call.delete()
    assert outcomes.apply(plan, dana, "page") == [other.pk]
