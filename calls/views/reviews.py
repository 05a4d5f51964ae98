"""/reviews/: scoring calls without the machine's score in sight, what agents answer, appeals, agreement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from calls import access, helping, reviewing
from calls.choices import LookKind
from calls.models import Appeal, CalibrationSession, Call, CallQuerySet, Review, RubricVersion, User
from calls.models.reviews import Decision, appeal_until
from calls.views.call import page as call_page
from calls.views.call import recording
from calls.views.paint import clock
from scoring.agreement import ENOUGH_CALLS, Agreement

MOST = 100
PER_PAGE = 25
NAMES = {
    "acknowledge": gettext_lazy("Names the feeling"),
    "understand": gettext_lazy("Sums up what was meant"),
    "explore": gettext_lazy("Asks about the problem"),
    "own": gettext_lazy("Owns it, apologises"),
    "reassure": gettext_lazy("Reassures with a next step"),
    "courtesy": gettext_lazy("Courteous"),
    "dismissive": gettext_lazy("Dismissive"),
    "blaming": gettext_lazy("Blames the caller"),
}
HARM = ("dismissive", "blaming")
LEVEL_WORDS = {
    0: gettext_lazy("Missing"),
    1: gettext_lazy("Partly"),
    2: gettext_lazy("Clear"),
    None: gettext_lazy("No occasion"),
}
HARM_WORDS = {
    0: gettext_lazy("None heard"),
    1: gettext_lazy("A little"),
    2: gettext_lazy("Clear"),
    None: gettext_lazy("No occasion"),
}


def words_for(name: str) -> dict[int | None, Any]:
    return HARM_WORDS if name in HARM else LEVEL_WORDS


def watcher(request: HttpRequest) -> User:
    if not access.may_see_floor(request.user):
        raise Http404
    assert isinstance(request.user, User)
    return request.user


@login_required
@never_cache
def reviews(request: HttpRequest, trouble: str = "") -> HttpResponse:
    user = watcher(request)
    calls = access.visible_calls(user)
    found = Review.objects.filter(call__in=calls).select_related("call__agent", "reviewer")
    sessions = CalibrationSession.objects.filter(team__in=access.visible_teams(user))
    context = {
        "section": "reviews",
        "todo": found.filter(reviewer=user, submitted_at=None)[:MOST],
        "done": found.filter(submitted_at__isnull=False).order_by("-submitted_at")[:MOST],
        "decided": Appeal.objects.filter(call__in=calls)
        .exclude(decided_at=None)
        .select_related("agent", "decided_by", "call")
        .order_by("-decided_at")[:MOST],
        "appeals": open_appeals(calls),
        "sessions": sessions[:MOST],
        "teams": access.visible_teams(user),
        "left": reviewing.count_unscored(user),
        "many": reviewing.MANY,
        "trouble": trouble,
    }
    return render(request, "reviews/reviews.html", context, status=400 if trouble else 200)


def open_appeals(calls: CallQuerySet) -> list[dict[str, Any]]:
    """The oldest first, each with the days it waits."""
    waiting = Appeal.objects.filter(call__in=calls, decided_at=None).select_related("agent")
    now = timezone.now()
    found = waiting.order_by("opened_at")[:MOST]
    return [{"appeal": made, "days": (now - made.opened_at).days} for made in found]


@login_required
@require_POST
def next_review(request: HttpRequest) -> HttpResponse:
    found = reviewing.take_next(watcher(request))
    if found is None:
        return reviews_again(
            request, gettext("No call waits: you have seen or scored all of the last weeks.")
        )
    return redirect(found)


def reviews_again(request: HttpRequest, trouble: str) -> HttpResponse:
    return reviews(request, trouble=trouble)


def get_review(user: User, pk: int) -> Review:
    """Unfinished: only its reviewer. Submitted: whoever sees the call, its agent too."""
    visible = Review.objects.select_related("call__agent", "reviewer", "rubric_version__rubric")
    visible = visible.filter(call__in=access.visible_calls(user))
    mine = Q(reviewer=user) if access.may_see_floor(user) else Q(pk__in=())
    return get_object_or_404(visible.filter(mine | Q(submitted_at__isnull=False)), pk=pk)


@login_required
@never_cache
def review(request: HttpRequest, pk: int) -> HttpResponse:
    assert isinstance(request.user, User)
    found = get_review(request.user, pk)
    if found.submitted_at is None:
        return score(request, found)
    if found.reviewer_id != request.user.pk and reviewing.open_review(found.call, request.user):
        return render(request, "reviews/first.html", {"section": "reviews", "call": found.call})
    return compared(request, found)


def score(request: HttpRequest, found: Review) -> HttpResponse:
    said = request.POST if request.method == "POST" else {}
    trouble = ""
    if request.method == "POST":
        try:
            ratings = reviewing.read_ratings(request.POST)
            overall = reviewing.read_whole(request.POST.get("overall", ""), 1, 5, gettext("Overall"))
            comment = reviewing.read_words(request.POST.get("comment", ""), needed=False)
            reviewing.submit(found, ratings, overall, comment)
            return redirect(found)
        except reviewing.BadReview as error:
            trouble = str(error)
    helping.look(found.call, found.reviewer, LookKind.SCORING)
    context = {
        "section": "reviews",
        "review": found,
        "turns": heard(found.call),
        "recording": recording(found.call),
        "questions": [question(name, said.get(name, "")) for name in reviewing.BEHAVIOURS],
        "marks": [(str(n), said.get("overall") == str(n)) for n in range(1, 6)],
        "comment": said.get("comment", ""),
        "trouble": trouble,
    }
    return render(request, "reviews/score.html", context, status=400 if trouble else 200)


def heard(call: Call) -> list[dict[str, str]]:
    """Words and times, and nothing that a model made of them."""
    rows = call.turns.values_list("channel", "start_ms", "text")
    who = {"customer": gettext("Caller"), "agent": gettext("Agent")}
    return [{"channel": c, "who": who[c], "at": clock(ms), "text": text} for c, ms, text in rows]


def question(name: str, said: str) -> dict[str, Any]:
    words = words_for(name)
    levels = [(value, words[level], value == said) for value, level in reviewing.LEVELS.items()]
    return {"name": name, "title": NAMES[name], "levels": levels}


def compared(request: HttpRequest, found: Review, trouble: str = "", typed: str = "") -> HttpResponse:
    assert isinstance(request.user, User)
    own = found.call.agent_id == request.user.pk
    helping.look(found.call, request.user, LookKind.REVIEW)
    rows = [side_by_side(found, name) for name in reviewing.BEHAVIOURS]
    context = {
        "section": "reviews",
        "review": found,
        "rows": rows,
        "own": own,
        "appeals": found.call.appeals.filter(Q(review=found) | Q(review=None)).select_related("decided_by"),
        "open_appeal": reviewing.under_appeal(found.call),
        "may_appeal": own and reviewing.may_appeal(found.call, found),
        "trouble": trouble,
        "typed": typed,
    }
    return render(request, "reviews/compared.html", context, status=400 if trouble else 200)


def side_by_side(found: Review, name: str) -> dict[str, Any]:
    human, machine, words = found.ratings.get(name), found.machine.get(name), words_for(name)
    return {"title": NAMES[name], "human": words[human], "machine": words[machine], "same": human == machine}


@login_required
@require_POST
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    assert isinstance(request.user, User)
    found = get_object_or_404(Review, pk=pk, call__agent=request.user, submitted_at__isnull=False)
    typed = request.POST.get("words", "")
    try:
        if request.POST.get("do") == "appeal":
            reviewing.appeal(found.call, found, request.user, reviewing.read_words(typed, needed=True))
        else:
            reviewing.answer(found, reviewing.read_words(typed, needed=False))
    except reviewing.BadReview as error:
        return compared(request, found, str(error), typed)
    return redirect(found)


@login_required
@never_cache
def my_reviews(request: HttpRequest) -> HttpResponse:
    if not access.is_agent(request.user):
        raise Http404
    user = request.user
    if request.method == "POST":
        reviewing.unseen(user).update(seen_at=timezone.now())
        return redirect("my_reviews")
    found = Review.objects.filter(call__agent=user, submitted_at__isnull=False).select_related(
        "call", "reviewer"
    )
    page = Paginator(reviewing.appealable(user), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "section": "my_reviews",
        "reviews": found.order_by("-submitted_at")[:MOST],
        "appeals": user.appeals.select_related("call", "decided_by")[:MOST],
        "unseen": reviewing.unseen(user).count(),
        "page": page,
        "scores": [(c, reviewing.empathy(c), appeal_until(c.ended_at)) for c in page if c.ended_at],
    }
    return render(request, "reviews/mine.html", context)


@login_required
@require_POST
def appeal_score(request: HttpRequest, call_id: UUID) -> HttpResponse:
    """Against the machine's score of one's own call."""
    assert isinstance(request.user, User)
    found = access.get_call_or_404(request.user, call_id)
    if found.agent_id != request.user.pk:
        raise Http404
    typed = request.POST.get("words", "")
    try:
        reviewing.appeal(found, None, request.user, reviewing.read_words(typed, needed=True))
    except reviewing.BadReview as error:
        return call_page(request, found, str(error), typed)
    return redirect(found)


@login_required
@never_cache
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    user = watcher(request)
    asked = Appeal.objects.select_related("call__agent", "review__reviewer", "agent", "decided_by")
    made = get_object_or_404(asked, pk=pk, call__in=access.visible_calls(user))
    if reviewing.open_review(made.call, user):
        return render(request, "reviews/first.html", {"section": "reviews", "call": made.call})
    helping.look(made.call, user, LookKind.REVIEW)
    may, trouble = reviewing.may_decide(made, user), ""
    if request.method == "POST":
        try:
            decided(made, user, request, may)
            return redirect("decide", pk=pk)
        except reviewing.BadReview as error:
            trouble = str(error)
    context = {
        "section": "reviews",
        "appeal": made,
        "may": may,
        "alone": bool(made.review and made.review.reviewer_id == user.pk and may),
        "decisions": [(v, w, request.POST.get("decision") == v) for v, w in Decision.choices],
        "said": request.POST,
        "trouble": trouble,
    }
    return render(request, "reviews/decide.html", context, status=400 if trouble else 200)


def decided(made: Appeal, user: User, request: HttpRequest, may: bool) -> None:
    if not may:
        raise reviewing.BadReview(gettext("You gave this score: another supervisor decides."))
    decision, after = request.POST.get("decision", ""), None
    if decision == Decision.CHANGED:
        low = 1 if made.review_id else 0
        after = reviewing.read_whole(
            request.POST.get("after", ""), low, made.highest, gettext("The new value")
        )
    reason = reviewing.read_words(request.POST.get("reason", ""), needed=True)
    reviewing.decide(made, user, decision, reason, after)


@login_required
@never_cache
def agreement(request: HttpRequest) -> HttpResponse:
    user = watcher(request)
    found = Review.objects.filter(call__in=access.visible_calls(user), submitted_at__isnull=False)
    versions = RubricVersion.objects.filter(pk__in=found.values("rubric_version")).select_related("rubric")
    trouble = ""
    try:
        found = narrowed(found, request.GET, {str(version.pk) for version in versions})
    except reviewing.BadReview as error:
        trouble = str(error)
    rows = [
        {"title": NAMES[name], "pairs": [said_of(machine), said_of(human)]}
        for name, (machine, human) in reviewing.compare(list(found)).items()
    ]
    context = {
        "section": "reviews",
        "rows": rows,
        "enough": ENOUGH_CALLS,
        "versions": [(v, str(v.pk) == request.GET.get("version")) for v in versions],
        "asked": request.GET,
        "trouble": trouble,
    }
    return render(request, "reviews/agreement.html", context, status=400 if trouble else 200)


def narrowed(found: QuerySet[Review], asked: Mapping[str, str], versions: set[str]) -> QuerySet[Review]:
    """Of one rubric's version, submitted from one day to another, both within."""
    if version := asked.get("version", ""):
        if version not in versions:
            raise reviewing.BadReview(gettext("No review was given under that version: choose another."))
        found = found.filter(rubric_version=int(version))
    first, last = day(asked.get("from", "")), day(asked.get("to", ""))
    if first and last and first > last:
        raise reviewing.BadReview(gettext("The first day is after the last: swap them."))
    found = found.filter(submitted_at__date__gte=first) if first else found
    return found.filter(submitted_at__date__lte=last) if last else found


def day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise reviewing.BadReview(gettext("Give days as 2027-01-31.")) from error


def said_of(found: Agreement) -> dict[str, Any]:
    """Kappa in words, and its place on a bar from -1 to 1 that is 200 wide."""
    if found.kappa is None or found.low is None or found.high is None:
        words = gettext("too few to say") if found.few else gettext("no kappa: all ratings alike")
        return {"words": words, "n": found.n}
    low, high = 100 + 100 * found.low, 100 + 100 * found.high
    return {
        "words": f"{found.kappa:.2f} ({found.low:.2f} – {found.high:.2f})",
        "n": found.n,
        "x": f"{low:.1f}",
        "width": f"{max(1, high - low):.1f}",
        "at": f"{100 + 100 * found.kappa:.1f}",
    }


@login_required
@require_POST
def new_session(request: HttpRequest) -> HttpResponse:
    """Calls are sampled from what whoever starts it has not seen; all supervisors of the team take part."""
    user = watcher(request)
    team = next((t for t in access.visible_teams(user) if str(t.pk) == request.POST.get("team")), None)
    if team is None:
        raise Http404
    name = request.POST.get("name", "").strip()
    if not 1 <= len(name) <= 120:
        return reviews_again(request, gettext("Give the session a name of at most 120 characters."))
    chosen = reviewing.sample(reviewing.candidates(user, team), 5, name)
    if not chosen:
        return reviews_again(
            request, gettext("No finished call of this team is left that you have not seen.")
        )
    made = reviewing.open_session(user, team, name, chosen)
    return redirect("session", pk=made.pk)


@login_required
@never_cache
def session(request: HttpRequest, pk: int) -> HttpResponse:
    user = watcher(request)
    mine = CalibrationSession.objects.filter(team__in=access.visible_teams(user))
    found = get_object_or_404(mine, pk=pk)
    takes_part = found.reviewers.filter(pk=user.pk).exists()
    trouble = ""
    if request.method == "POST" and request.POST.get("do") == "close":
        reviewing.close_session(user, found)
        return redirect("session", pk=pk)
    if request.method == "POST" and takes_part:
        call = found.calls.filter(pk=request.POST.get("call", "")).first() if is_uuid(request) else None
        if call is None:
            raise Http404
        try:
            return redirect(reviewing.start(call, user))
        except reviewing.BadReview as error:
            trouble = str(error)
    context = session_context(found, user) | {"takes_part": takes_part, "trouble": trouble}
    return render(request, "reviews/session.html", context, status=400 if trouble else 200)


def is_uuid(request: HttpRequest) -> bool:
    try:
        UUID(request.POST.get("call", ""))
    except ValueError:
        return False
    return True


def session_context(found: CalibrationSession, user: User) -> dict[str, Any]:
    """Others' ratings stay out until all have submitted, and out of a viewer's sight who still scores."""
    given = list(reviewing.session_reviews(found).select_related("reviewer"))
    still = Review.objects.filter(reviewer=user, submitted_at=None, call__in=found.calls.all()).exists()
    own = {r.call_id for r in given if r.reviewer_id == user.pk}
    revealed = reviewing.is_revealed(found) and not still
    calls = list(found.calls.select_related("agent").order_by("started_at"))
    return {
        "section": "reviews",
        "session": found,
        "people": [(p, sum(r.reviewer_id == p.pk for r in given)) for p in found.reviewers.all()],
        "calls": [
            {"call": c, "mine": c.pk in own, "rows": table(c, given) if revealed else []} for c in calls
        ],
        "revealed": revealed,
    }


def table(call: Call, given: list[Review]) -> list[dict[str, Any]]:
    here = [r for r in given if r.call_id == call.pk]
    return [
        {"title": NAMES[b], "given": [(r.reviewer, words_for(b)[r.ratings.get(b)]) for r in here]}
        for b in reviewing.BEHAVIOURS
    ]
