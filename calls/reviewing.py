"""People's scores of calls: which call comes next, blind scoring, answers, appeals, decisions.

Nothing here writes the machine's score: it is copied at submission, and both values are kept. What counts
in trends follows an appeal in its own transaction.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import combinations
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from calls import access, auditing, trends
from calls.choices import SHOW_MACHINE, CallStatus, Did, Role
from calls.models import Appeal, CalibrationSession, Call, CallQuerySet, Look, Review, Team, User
from calls.models.reviews import Decision, within_window
from scoring.agreement import Agreement, Pair, agreement
from scoring.types import HARMFUL, HELPING, Behaviour

BEHAVIOURS = tuple(str(b) for b in Behaviour)
NO_OCCASION = "none"
LEVELS = {"0": 0, "1": 1, "2": 2, NO_OCCASION: None}
PARTLY = 0.5
"""This share of the rubric's `opportunity.met` is rated 1."""
SAMPLE_DAYS = 60
MANY = 1000
"""Of so many calls to choose from it is not told how many more there are: counting them takes longer."""
Candidate = tuple[UUID, int | None, str]
"""A call, its agent, and its risk at the end."""


class BadReview(ValueError):
    """What was wrong with what was sent, in words for the person."""


# --- which calls -------------------------------------------------------------------------------


def sample(candidates: Iterable[Candidate], size: int, seed: str) -> list[UUID]:
    """One call of each (agent, risk) in turn, so that neither busy agents nor bad calls crowd it."""
    strata: dict[tuple[int | None, str], list[UUID]] = defaultdict(list)
    for call, agent, risk in sorted(candidates, key=str):
        strata[agent, risk].append(call)
    rng = random.Random(seed)
    order = sorted(strata, key=str)
    rng.shuffle(order)
    for stratum in order:
        rng.shuffle(strata[stratum])
    longest = max(map(len, strata.values()), default=0)
    turns = (strata[s][n] for n in range(longest) for s in order if n < len(strata[s]))
    return [call for call, _ in zip(turns, range(size), strict=False)]


def candidates(user: User, team: Team | None = None) -> list[Candidate]:
    found = unscored(user) if team is None else unscored(user).filter(team=team)
    return list(found.values_list("pk", "agent_id", "tile__risk"))


def count_unscored(user: User) -> int:
    """As many as there are, or MANY."""
    return unscored(user).order_by()[:MANY].count()


def unscored(user: User) -> CallQuerySet:
    """Finished calls of the user's teams that they neither took, nor scored, nor saw scored."""
    seen = Look.objects.filter(user=user, kind__in=SHOW_MACHINE)
    if not access.may_see_floor(user):
        return Call.objects.none()
    return (
        access.visible_calls(user)
        .exclude(status=CallStatus.LIVE)
        .exclude(agent=None)
        .exclude(agent=user)
        .filter(practice=False)
        .exclude(pk__in=seen.values("call"))
        .exclude(reviews__reviewer=user)
        .exclude(purged__has_key="transcript")
        .filter(final__isnull=False, ended_at__gte=timezone.now() - timedelta(days=SAMPLE_DAYS))
    )


def take_next(user: User) -> Review | None:
    """The next sampled call, or the one still open; None when there is none."""
    waiting = Review.objects.filter(reviewer=user, submitted_at=None, call__in=access.visible_calls(user))
    if (opened := waiting.first()) is not None:
        return opened
    chosen = sample(candidates(user), 1, f"{user.pk}:{user.reviews.count()}")
    return start(Call.objects.get(pk=chosen[0]), user) if chosen else None


def start(call: Call, user: User) -> Review:
    if call.is_live:
        raise BadReview(gettext("This call still runs. Score it once it has ended."))
    if call.agent_id == user.pk:
        raise BadReview(gettext("Nobody scores a call of their own."))
    seen = Look.objects.filter(call=call, user=user, kind__in=SHOW_MACHINE).exists()
    review, _ = Review.objects.get_or_create(
        call=call, reviewer=user, defaults={"rubric_version": call.rubric_version, "blind": not seen}
    )
    return review


def open_review(call: Call, user: User) -> Review | None:
    """The user's unfinished score of this call."""
    return Review.objects.filter(call=call, reviewer=user, submitted_at=None).first()


def under_way(user: User) -> frozenset[UUID]:
    """Calls that the user is scoring now: what the machine made of them is not told in passing."""
    return frozenset(
        Review.objects.filter(reviewer=user, submitted_at=None).values_list("call_id", flat=True)
    )


def saw_machine(call: Call, user: User) -> None:
    """The user was given the machine's score of a call they are still scoring."""
    Review.objects.filter(call=call, reviewer=user, submitted_at=None).update(blind=False)


# --- scoring -----------------------------------------------------------------------------------


def read_ratings(said: Mapping[str, str]) -> dict[str, int | None]:
    missing = [b for b in BEHAVIOURS if said.get(b) not in LEVELS]
    if missing:
        raise BadReview(gettext("Choose a value for each behaviour. Still open: %s.") % ", ".join(missing))
    return {b: LEVELS[said[b]] for b in BEHAVIOURS}


def read_whole(said: str, low: int, high: int, name: str) -> int:
    if not (said.isascii() and said.isdigit() and len(said) <= 3 and low <= int(said) <= high):
        words = gettext("%(name)s must be a whole number from %(low)s to %(high)s.")
        raise BadReview(words % {"name": name, "low": low, "high": high})
    return int(said)


def read_words(said: str, *, needed: bool) -> str:
    words = said.strip().replace("\x00", "")
    if needed and not words:
        raise BadReview(gettext("Say why, in a few words."))
    if len(words) > 2000:
        raise BadReview(gettext("At most 2000 characters are kept; this has %s.") % len(words))
    return words


def submit(review: Review, ratings: dict[str, int | None], overall: int, comment: str) -> None:
    """Once. The machine's values are copied as they are now."""
    done = Review.objects.filter(pk=review.pk, submitted_at=None).update(
        ratings=ratings,
        overall=overall,
        comment=comment,
        machine=machine_values(review.call),
        submitted_at=timezone.now(),
    )
    if not done:
        raise BadReview(gettext("This score is submitted already and never changes."))
    review.refresh_from_db()


def machine_values(call: Call) -> dict[str, int | None]:
    """The strongest showing of each behaviour, on the reviewer's scale; {} where it was purged meanwhile."""
    if "features" in call.purged:
        return {}
    spec = call.rubric_version.as_spec()
    turns = list(call.turns.filter(channel="agent").values_list("behaviours", flat=True))
    needed = bool((call.view or {}).get("opportunities"))
    values: dict[str, int | None] = {}
    for name in BEHAVIOURS:
        best = max((found.get(name, 0.0) for found in turns), default=0.0)
        met = spec.penalties.harm_strength if name in HARMFUL else spec.opportunity.met
        level = 2 if best >= met else 1 if best >= met * PARTLY and name not in HARMFUL else 0
        values[name] = None if name in HELPING and not needed and not level else level
    return values


# --- the agent's answer ------------------------------------------------------------------------


def answer(review: Review, words: str) -> None:
    Review.objects.filter(pk=review.pk).update(
        acknowledged_at=review.acknowledged_at or timezone.now(), answer=words or review.answer
    )


def may_appeal(call: Call, review: Review | None) -> bool:
    """Within the window, nothing open on the call, and this value not decided before."""
    if call.is_live or call.practice or not within_window(review.submitted_at if review else call.ended_at):
        return False
    if review is None and empathy(call) is None:
        return False
    return not call.appeals.filter(Q(decided_at=None) | Q(review=review)).exists()


def appeal(call: Call, review: Review | None, agent: User, reason: str) -> Appeal:
    if not may_appeal(call, review):
        raise BadReview(gettext("This cannot be appealed: the time is over, or an appeal was made before."))
    before = review.overall if review else empathy(call)
    try:
        with transaction.atomic():
            made = Appeal.objects.create(call=call, review=review, agent=agent, reason=reason, before=before)
            auditing.record(agent, Did.CREATED, made, {}, {"value": before})
            trends.learn(call.pk)
    except IntegrityError as error:
        raise BadReview(gettext("An appeal is open on this call. Wait for its decision.")) from error
    return made


def appealable(agent: User) -> QuerySet[Call]:
    """The agent's calls whose machine's score may be appealed now; those whose time ends first come first."""
    made = Appeal.objects.filter(Q(decided_at=None) | Q(review=None), call=OuterRef("pk"))
    since = timezone.now() - timedelta(days=settings.APPEAL_DAYS)
    calls = agent.calls.filter(practice=False, ended_at__gte=since, final__has_key="empathy")
    closed = Q(status=CallStatus.LIVE) | Q(final__empathy=None) | Exists(made)
    return calls.exclude(closed).order_by("ended_at")


def news_for(agent: User) -> dict[str, int]:
    """What the agent has not read yet: `reviews` of own calls, and `decisions` on own appeals."""
    unread = Review.objects.filter(call__agent=agent, submitted_at__isnull=False, acknowledged_at=None)
    return {"reviews": unread.count(), "decisions": unseen(agent).count()}


def unseen(agent: User) -> QuerySet[Appeal]:
    return agent.appeals.filter(decided_at__isnull=False, seen_at=None)


def empathy(call: Call) -> float | None:
    value = (call.final or {}).get("empathy")
    return float(value) if isinstance(value, int | float) else None


def under_appeal(call: Call) -> bool:
    return call.appeals.filter(decided_at=None).exists()


# --- decisions ---------------------------------------------------------------------------------


def others_who_decide(made: Appeal) -> bool:
    """Is there anybody but the reviewer who could?"""
    could = Q(role=Role.ADMIN) | Q(role=Role.SUPERVISOR, supervises=made.call.team_id)
    apart = [made.agent_id, *([made.review.reviewer_id] if made.review else [])]
    return User.objects.filter(could, is_active=True).exclude(pk__in=apart).exists()


def may_decide(made: Appeal, user: User) -> bool:
    if made.agent_id == user.pk or not access.may_see_floor(user):
        return False
    own = made.review is not None and made.review.reviewer_id == user.pk
    return not own or not others_who_decide(made)


def decide(made: Appeal, user: User, decision: str, reason: str, after: float | None) -> None:
    if decision not in Decision.values:
        raise BadReview(gettext("Choose whether the score stays or is changed."))
    value = after if decision == Decision.CHANGED else made.before
    with transaction.atomic():
        done = Appeal.objects.filter(pk=made.pk, decided_at=None).update(
            decision=decision, decided_by=user, decided_reason=reason, after=value, decided_at=timezone.now()
        )
        if not done:
            raise BadReview(gettext("Somebody has decided this appeal already."))
        auditing.record(
            user, Did.DECIDED, made, {"value": made.before}, {"value": value, "decision": decision}
        )
        trends.learn(made.call_id)


# --- agreement ---------------------------------------------------------------------------------


def compare(reviews: Sequence[Review]) -> dict[str, tuple[Agreement, Agreement]]:
    """Per behaviour: human and machine, human and human. Only scores given blind count."""
    blind = [r for r in reviews if r.blind and r.submitted_at]
    by_call: dict[UUID, list[Review]] = defaultdict(list)
    for review in sorted(blind, key=lambda r: r.reviewer_id):
        by_call[review.call_id].append(review)
    return {
        name: (agreement(with_machine(blind, name)), agreement(with_each_other(by_call, name)))
        for name in BEHAVIOURS
    }


def with_machine(reviews: Sequence[Review], name: str) -> list[Pair]:
    pairs = ((r.call_id, r.ratings.get(name), r.machine.get(name)) for r in reviews)
    return [Pair(call, a, b) for call, a, b in pairs if a is not None and b is not None]


def with_each_other(by_call: Mapping[UUID, Sequence[Review]], name: str) -> list[Pair]:
    pairs = (
        (call, a.ratings.get(name), b.ratings.get(name))
        for call, found in by_call.items()
        for a, b in combinations(found, 2)
    )
    return [Pair(call, a, b) for call, a, b in pairs if a is not None and b is not None]


# --- calibration -------------------------------------------------------------------------------


def open_session(actor: User, team: Team, name: str, calls: Iterable[UUID]) -> CalibrationSession:
    """All supervisors of the team score these calls, and whoever opens it."""
    with transaction.atomic():
        made = CalibrationSession.objects.create(name=name, team=team)
        made.calls.set(Call.objects.filter(pk__in=calls))
        made.reviewers.set({*team.supervisors.filter(is_active=True), actor})
        auditing.record(actor, Did.CREATED, made, {}, {"team": team.name, "calls": made.calls.count()})
    return made


def close_session(actor: User, session: CalibrationSession) -> None:
    """Once; what everybody gave is shown from then on."""
    with transaction.atomic():
        open_still = CalibrationSession.objects.filter(pk=session.pk, closed_at=None)
        if open_still.update(closed_at=timezone.now()):
            auditing.record(actor, Did.CLOSED, session)


def is_revealed(session: CalibrationSession) -> bool:
    if session.closed_at:
        return True
    reviewers = session.reviewers.count()
    return reviewers > 0 and session_reviews(session).count() == reviewers * session.calls.count()


def session_reviews(session: CalibrationSession) -> QuerySet[Review]:
    return Review.objects.filter(
        call__in=session.calls.all(), reviewer__in=session.reviewers.all(), submitted_at__isnull=False
    )
