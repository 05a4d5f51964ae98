"""Drafts of rubrics: any text is safe to check, nobody's words are lost, and a replay says the same twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import yaml
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calls import drafting, replays
from calls.models import Call, Rubric, RubricDraft, RubricPlan, RubricVersion, User
from calls.models.rubrics import rubric_version_for
from scoring.rubric import DEFAULT_FILE, default_rubric
from tests.calls.test_policy import tell

GOOD = DEFAULT_FILE.read_text("utf-8")


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


STRICT = changed("fit: .60, courtesy: .15", "fit: .50, courtesy: .25")


@pytest.fixture
def house(db: None) -> Rubric:
    from django.core.management import call_command

    call_command("seed_rubric")
    return Rubric.objects.get(team=None)


# --- any text -----------------------------------------------------------------------------------------


@given(st.text(max_size=400) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
@example("a: &a [*a]")
@example("a: !!python/object/apply:os.system [true]")
@example("[" * 3000)
@example("{a: 1, a: 2}")
@example("weights: 0o9\n")
@example("2001-99-99")
@example("a: \ud800")
@settings(max_examples=150, deadline=2000)
def test_any_text_is_checked_and_no_text_is_a_rubric_by_chance(text: str) -> None:
    checked = drafting.check(text)
    assert checked.spec is None and checked.problems
    assert all(problem.wrong and problem.todo for problem in checked.problems)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 40), st.text(max_size=6))
@settings(max_examples=150, deadline=3000)
def test_a_rubric_with_a_typo_is_right_or_named(at: int, length: int, instead: str) -> None:
    checked = drafting.check(GOOD[:at] + instead + GOOD[at + length :])
    assert (checked.spec is None) == bool(checked.problems)


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        ("acknowledge: .30, understand: .20", "acknowledge: .90, understand: .20", "weights.frustration", "add up to 1"),
        ("met: .4\n", "met: forty\n", "opportunity.met", ""),
        ("met: .4\n", "met: .4\n  met: .5\n", "opportunity.met", "given twice"),
        ("met: .4\n", "met: .4\n  mett: .4\n", "opportunity.mett", "unknown"),
    ],
)  # fmt: skip
def test_a_problem_names_field_and_line(old: str, new: str, where: str, words: str) -> None:
    [problem, *_] = drafting.check(changed(old, new)).problems
    assert problem.where.startswith(where) and words in problem.wrong and problem.line
    near = "".join(
        (changed(old, new)).splitlines(keepends=True)[max(0, problem.line - 2) : problem.line + 14]
    )
    assert where.rpartition(".")[2] in near


def test_what_is_shown_to_edit_reads_back_as_it_was() -> None:
    spec = default_rubric()
    assert drafting.check(drafting.as_text(spec.to_dict())).spec == spec
    other = replace(spec, name="x/2").to_dict()
    assert drafting.check(drafting.as_text(other)).spec.to_dict() == other  # type: ignore[union-attr]
    assert drafting.diff(spec.to_dict(), other) == [drafting.Change("name", spec.name, "x/2")]


# --- saving and publishing ------------------------------------------------------------------------------


def test_two_people_lose_nothing(house: Rubric, alice: User, bob: User) -> None:
    first = drafting.save(house, alice, STRICT, 0)
    with pytest.raises(drafting.Stale) as caught:
        drafting.save(house, bob, "mine", 0)
    assert caught.value.theirs.text == STRICT and "Alice" in str(caught.value)
    again = drafting.save(house, bob, "mine", first.revision)
    assert (again.revision, again.author, RubricDraft.objects.get().text) == (2, bob, "mine")
    assert drafting.save(house, alice, "mine", 0).revision == 2, "the same text is no conflict"


def test_a_published_draft_scores_the_next_call_and_no_earlier_one(
    house: Rubric, alice: User, make_call: Callable[..., Call]
) -> None:
    before = make_call("CA-before")
    saved = drafting.save(house, alice, STRICT, 0)
    with pytest.raises(drafting.Refused, match="why"):
        drafting.publish(house, alice, "  ", saved.revision)
    version = drafting.publish(house, alice, "courtesy counts more", saved.revision)
    assert version.as_spec().score.courtesy == 0.25 and not RubricDraft.objects.exists()
    assert make_call("CA-after").rubric_version == version
    before.refresh_from_db()
    assert before.rubric_version.number == version.number - 1
    with pytest.raises(drafting.Refused, match="no saved draft"):
        drafting.publish(house, alice, "again", saved.revision)


@pytest.mark.parametrize("text", ["", "nonsense: 1", GOOD])
def test_what_cannot_be_published_stays_a_draft(house: Rubric, alice: User, text: str) -> None:
    saved = drafting.save(house, alice, text, 0)
    with pytest.raises(drafting.Refused):
        drafting.publish(house, alice, "why", saved.revision)
    assert RubricDraft.objects.get().text == text and house.versions.count() == 1


def test_a_plan_is_published_once_at_its_time(house: Rubric, alice: User) -> None:
    at = timezone.now() + timedelta(hours=1)
    revision = drafting.save(house, alice, STRICT, 0).revision
    with pytest.raises(drafting.Refused, match="within a year"):
        drafting.schedule(house, alice, "why", revision, timezone.now() - timedelta(minutes=1))
    drafting.schedule(house, alice, "why", revision, at)
    assert drafting.publish_due() == [] and not RubricDraft.objects.exists()
    [made] = drafting.publish_due(at)
    assert made.note == "why" and made.created_by == alice
    assert drafting.publish_due(at) == [] and RubricVersion.objects.count() == 2


def test_a_plan_called_off_is_the_draft_again(house: Rubric, alice: User) -> None:
    revision = drafting.save(house, alice, STRICT, 0).revision
    plan = drafting.schedule(house, alice, "why", revision, timezone.now() + timedelta(hours=1))
    drafting.cancel(house, plan.pk, alice)
    assert not RubricPlan.objects.exists()
    assert drafting.check(RubricDraft.objects.get().text).spec == drafting.check(STRICT).spec
    with pytest.raises(drafting.Refused, match="called off"):
        drafting.cancel(house, plan.pk, alice)


def test_a_teams_own_rubric_needs_a_version_to_count(house: Rubric, alice: User, bob: User) -> None:
    team = bob.team
    assert team is not None
    own = Rubric.objects.create(name="Own", team=team)
    assert rubric_version_for(team.pk).rubric == house and team in drafting.teams_of(house)
    saved = drafting.save(own, alice, GOOD, 0)
    drafting.publish(own, alice, "a start", saved.revision)
    assert rubric_version_for(team.pk).rubric == own and team not in drafting.teams_of(house)


# --- replay ---------------------------------------------------------------------------------------------


def test_a_replay_is_the_same_twice_in_any_order_and_stores_nothing(
    house: Rubric, alice: User, make_call: Callable[..., Call]
) -> None:
    calls = [tell(make_call(f"CA{n}")) for n in range(3)]
    make_call("CA-live")
    spec = drafting.check(STRICT).spec
    assert spec is not None
    found = replays.heard(replays.recent(house, 50))
    assert {one.call_id for one in found} == {str(call.pk) for call in calls}
    first = replays.replay(found, default_rubric(), spec)
    shuffled = random.Random(4).sample(found, len(found))
    again = replays.replay(shuffled, default_rubric(), spec)
    assert again.summary == first.summary and sorted(again.rows, key=str) == sorted(first.rows, key=str)
    assert {row.call_id: row.before.empathy for row in first.rows} == {
        str(call.pk): round(call.final["empathy"], 1) if call.final else None for call in calls
    } or all(abs((row.before.empathy or 0) - (calls[0].final or {})["empathy"]) < 0.1 for row in first.rows)
    assert first.summary.changed == 3 and first.summary.largest_change
    same = replays.replay(found, spec, spec).summary
    assert (same.changed, same.largest_change, same.added, same.removed) == (0, 0.0, {}, {})
    before = [call.final for call in calls]
    assert before == [Call.objects.get(pk=call.pk).final for call in calls]


def test_alerts_that_would_have_come_are_named(
    house: Rubric, alice: User, make_call: Callable[..., Call]
) -> None:
    call = tell(make_call("CA1"))
    found = replays.heard([call])
    data = yaml.safe_load(GOOD)
    [row] = replays.replay(found, default_rubric(), default_rubric()).rows
    assert not row.changed and row.added == row.removed == ()
    data["risk"] |= {"help": 0.995, "help_leave": 0.99, "watch": 0.98, "watch_leave": 0.97}
    data["alerting"] |= {"lasting": [], "switched_off": ["unanswered"]}
    deaf = drafting.check(yaml.safe_dump(data))
    assert deaf.spec is not None, deaf.problems
    [row] = replays.replay(found, default_rubric(), deaf.spec).rows
    assert row.removed == ("distress-high",) and row.before.risk != row.after.risk
    summary = replays.replay(found, deaf.spec, default_rubric()).summary
    assert (summary.added, summary.removed, summary.risk_changed) == ({"distress-high": 1}, {}, 1)
