"""Which call comes next, what is kept, who decides."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import ProgrammingError, transaction
from django.utils import timezone

from calls import helping, reviewing, wire
from calls.choices import CallStatus, Role
from calls.models import Appeal, CalibrationSession, Call, Review, Team, Turn, User
from calls.reviewing import BEHAVIOURS, BadReview
from calls.views.paint import turn_paint

RATINGS: dict[str, int | None] = dict.fromkeys(BEHAVIOURS, 1)


@pytest.fixture
def finished(make_call: Callable[..., Call]) -> Callable[..., Call]:
    def make(ref: str = "CA1", risk: str = "calm", empathy: float | None = 60.0) -> Call:
        call = make_call(ref)
        call.status, call.ended_at = CallStatus.ENDED, timezone.now()
        call.final, call.tile = {"empathy": empathy}, {"risk": risk}
        call.save()
        Turn.objects.create(
            call=call, channel="agent", start_ms=0, end_ms=900, text="I am sorry", confidence=0.9,
            behaviours={"own": 0.95, "dismissive": 0.0},
        )  # fmt: skip
        return call

    return make


@pytest.mark.django_db
@pytest.mark.parametrize(("blaming", "level"), [(0.6, 0), (0.9, 2)])
def test_the_machine_says_no_more_of_harm_than_the_score_counts(
    finished: Callable[..., Call], blaming: float, level: int
) -> None:
    call = finished()
    call.turns.update(behaviours={"blaming": blaming})
    assert reviewing.machine_values(call)["blaming"] == level
    marks = turn_paint(wire.turn_doc(call.turns.get()))["marks"]
    assert [mark["label"] for mark in marks] == ["blaming"] * bool(level)


def submitted(call: Call, user: User) -> Review:
    review = reviewing.start(call, user)
    reviewing.submit(review, RATINGS, 3, "fine")
    return review


def test_the_sample_is_not_only_bad_calls() -> None:
    calls = [(uuid.UUID(int=n), n % 2, "help" if n < 80 else "calm") for n in range(100)]
    risk = {call: (agent, risk) for call, agent, risk in calls}
    chosen = reviewing.sample(calls, 20, "seed")
    assert set(Counter(risk[c] for c in chosen).values()) == {5} and len(set(chosen)) == 20
    assert chosen == reviewing.sample(reversed(calls), 20, "seed") != reviewing.sample(calls, 20, "other")
    assert reviewing.sample([], 5, "seed") == [] and len(reviewing.sample(calls, 500, "seed")) == 100


@pytest.mark.django_db
def test_next_is_finished_unseen_and_of_the_own_team(
    finished: Callable[..., Call], make_call: Callable[..., Call], alice: User, bob: User, carol: User
) -> None:
    make_call("CA-live")
    seen, fresh = finished("CA-seen"), finished("CA-fresh")
    helping.look(seen, alice)
    assert reviewing.take_next(carol) is None and reviewing.take_next(bob) is None
    first = reviewing.take_next(alice)
    assert first is not None and first.call == fresh and first.blind
    assert reviewing.take_next(alice) == first
    reviewing.submit(first, RATINGS, 4, "")
    assert reviewing.take_next(alice) is None
    assert not reviewing.start(seen, alice).blind


@pytest.mark.django_db
def test_live_and_own_calls_are_not_scored(make_call: Callable[..., Call], alice: User) -> None:
    call = make_call("CA1")
    with pytest.raises(BadReview, match="still runs"):
        reviewing.start(call, alice)
    Call.objects.filter(pk=call.pk).update(status=CallStatus.ENDED, agent=alice)
    with pytest.raises(BadReview, match="of their own"):
        reviewing.start(Call.objects.get(pk=call.pk), alice)


@pytest.mark.django_db
def test_submitted_never_changes_and_keeps_the_machines_values(
    finished: Callable[..., Call], alice: User
) -> None:
    review = submitted(finished(), alice)
    assert review.machine["own"] == 2 and review.machine["dismissive"] == 0
    assert review.machine["explore"] is None
    with pytest.raises(BadReview, match="never changes"):
        reviewing.submit(review, RATINGS, 5, "")
    with pytest.raises(ProgrammingError, match="never changes"), transaction.atomic():
        Review.objects.filter(pk=review.pk).update(overall=5)
    reviewing.saw_machine(review.call, alice)
    reviewing.answer(review, "thank you")
    review.refresh_from_db()
    assert review.blind and review.overall == 3 and review.answer == "thank you" and review.acknowledged_at


@pytest.mark.django_db
def test_an_appeal_keeps_both_values(finished: Callable[..., Call], alice: User, bob: User) -> None:
    call = finished()
    review = submitted(call, alice)
    made = reviewing.appeal(call, review, bob, "she agreed")
    assert made.before == 3 and reviewing.under_appeal(call)
    with pytest.raises(BadReview):
        reviewing.appeal(call, None, bob, "and this")
    reviewing.decide(made, alice, "changed", "heard again", 4)
    made.refresh_from_db()
    assert (made.before, made.after) == (3, 4) and not reviewing.under_appeal(call)
    assert Review.objects.get(pk=review.pk).overall == 3
    with pytest.raises(BadReview, match="already"):
        reviewing.decide(made, alice, "upheld", "no", None)
    with pytest.raises(BadReview):
        reviewing.appeal(call, review, bob, "once more")
    assert reviewing.appeal(call, None, bob, "the score").before == 60.0


@pytest.mark.django_db
def test_all_that_may_be_appealed_is_found_and_nothing_else(
    finished: Callable[..., Call], alice: User, bob: User
) -> None:
    calls = [finished(f"CA{n}", empathy=None if n % 7 == 0 else 60.0) for n in range(60)]
    for n, call in enumerate(calls):
        ended = timezone.now() - timedelta(hours=8 * n)
        Call.objects.filter(pk=call.pk).update(
            ended_at=ended, practice=n == 4, final=None if n == 5 else call.final
        )
    reviewing.appeal(Call.objects.get(pk=calls[1].pk), None, bob, "open")
    reviewing.appeal(calls[2], submitted(calls[2], alice), bob, "a person's")
    decided = reviewing.appeal(calls[3], submitted(calls[3], alice), bob, "a person's, decided")
    reviewing.decide(decided, alice, "upheld", "no", None)
    found = set(reviewing.appealable(bob).values_list("pk", flat=True))
    assert found == {call.pk for call in bob.calls.all() if reviewing.may_appeal(call, None)}
    assert len(found) > 25 and calls[3].pk in found
    assert not {calls[n].pk for n in (0, 1, 2, 4, 5, 43)} & found


@pytest.mark.django_db
def test_news_are_what_the_agent_has_not_read(finished: Callable[..., Call], alice: User, bob: User) -> None:
    call = finished()
    review = submitted(call, alice)
    made = reviewing.appeal(call, review, bob, "no")
    assert reviewing.news_for(bob) == {"reviews": 1, "decisions": 0}
    reviewing.decide(made, alice, "upheld", "heard again", None)
    reviewing.answer(review, "read")
    assert reviewing.news_for(bob) == {"reviews": 0, "decisions": 1} != reviewing.news_for(alice)
    reviewing.unseen(bob).update(seen_at=timezone.now())
    assert reviewing.news_for(bob) == {"reviews": 0, "decisions": 0}


@pytest.mark.django_db
def test_the_window_closes(finished: Callable[..., Call], alice: User, bob: User, settings: object) -> None:
    call = finished()
    review = submitted(call, alice)
    review.submitted_at = timezone.now() - timedelta(days=15)
    assert not reviewing.may_appeal(call, review)
    settings.APPEAL_DAYS = 20  # type: ignore[attr-defined]
    assert reviewing.may_appeal(call, review)
    assert not reviewing.may_appeal(finished("CA2", empathy=None), None)


@pytest.mark.django_db
def test_the_reviewer_decides_only_when_alone(
    finished: Callable[..., Call], alice: User, bob: User, carol: User, billing: Team
) -> None:
    call = finished()
    made = reviewing.appeal(call, submitted(call, alice), bob, "no")
    assert reviewing.may_decide(made, alice) and not reviewing.may_decide(made, bob)
    dora = User.objects.create_user("dora", role=Role.SUPERVISOR)
    dora.supervises.add(billing)
    assert not reviewing.may_decide(made, alice) and reviewing.may_decide(made, dora)


@pytest.mark.django_db
def test_only_blind_scores_are_compared(finished: Callable[..., Call], alice: User, carol: User) -> None:
    first, second = finished("CA1"), finished("CA2")
    reviews = [submitted(first, alice), submitted(first, carol)]
    helping.look(second, alice)
    reviews.append(submitted(second, alice))
    machine, human = reviewing.compare(reviews)["own"]
    assert (machine.n, human.n) == (2, 1) and machine.few and human.kappa is None


@pytest.mark.django_db
def test_a_session_is_revealed_when_all_have_submitted_or_it_is_closed(
    finished: Callable[..., Call], alice: User, carol: User, billing: Team
) -> None:
    call = finished()
    session = CalibrationSession.objects.create(name="May", team=billing)
    assert not reviewing.is_revealed(session)
    session.calls.add(call)
    session.reviewers.set([alice, carol])
    submitted(call, alice)
    assert not reviewing.is_revealed(session)
    session.closed_at = timezone.now()
    assert reviewing.is_revealed(session)
    session.closed_at = None
    submitted(call, carol)
    assert reviewing.is_revealed(session)
    assert not Appeal.objects.exists()
