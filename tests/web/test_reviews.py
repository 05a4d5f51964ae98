"""Blind until submitted; both values seen; nothing for outsiders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.utils import timezone

from calls import reviewing
from calls.choices import CallStatus, LookKind, Role
from calls.models import Appeal, CalibrationSession, Call, Look, Review, Team, User
from calls.reviewing import BEHAVIOURS

Open = Callable[..., Any]
SCORE = re.compile(r"\b41\b")
GIVEN = dict.fromkeys(BEHAVIOURS, "1") | {"overall": "3", "comment": "Well begun."}


@pytest.fixture
def ended(full_call: Call) -> Call:
    full_call.status, full_call.ended_at = CallStatus.ENDED, timezone.now()
    full_call.final = {"empathy": 41.0}
    full_call.save()
    return full_call


@pytest.fixture
def given(ended: Call, alice: User) -> Review:
    review = reviewing.start(ended, alice)
    reviewing.submit(review, dict.fromkeys(BEHAVIOURS, 1), 3, "Well begun.")
    return review


@pytest.mark.django_db(transaction=True)
def test_blind_html_holds_nothing_of_the_machine(ended: Call, alice: User, client: Client) -> None:
    client.force_login(alice)
    address = client.post("/reviews/next").headers["Location"]
    page = client.get(address).content.decode()
    body = re.sub(r'value="\w{64}"', "", page[page.index("<main") :])  # the form's token may hold any digits
    body = body.replace(str(ended.pk), "")  # and so may the call's name
    assert ended.turns.exclude(text="").exists() and "What was said" in body
    for part in (
        "<mark",
        "data-state",
        "data-risk",
        "<script",
        "Empathy",
        "mpathy is",
        "41",
        "percent",
        "%<",
    ):
        assert part not in body, part
    assert not SCORE.search(body)
    assert str(ended.pk) not in page.replace(f"/calls/{ended.pk}/labels/", "")
    assert Look.objects.get().kind == LookKind.SCORING and Review.objects.get().blind


@pytest.mark.django_db(transaction=True)
def test_opening_the_call_first_warns_and_is_remembered(ended: Call, alice: User, client: Client) -> None:
    review = reviewing.start(ended, alice)
    client.force_login(alice)
    page = client.get(f"/calls/{ended.pk}/").content.decode()
    assert "not blind" in page and not SCORE.search(page) and not Look.objects.exists()
    review.refresh_from_db()
    assert review.blind
    assert "Final score" in client.get(f"/calls/{ended.pk}/?anyway=1").content.decode()
    review.refresh_from_db()
    assert not review.blind and Look.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_others_scores_stay_hidden_while_scoring(given: Review, client: Client, billing: Team) -> None:
    dora = User.objects.create_user("dora", role=Role.SUPERVISOR)
    dora.supervises.add(billing)
    client.force_login(dora)
    reviewing.start(given.call, dora)
    assert "Well begun" not in client.get(f"/reviews/{given.pk}/").content.decode()
    reviewing.submit(Review.objects.get(reviewer=dora), dict.fromkeys(BEHAVIOURS, 2), 4, "")
    assert "Well begun" in client.get(f"/reviews/{given.pk}/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_outsiders_get_404(
    given: Review, alice: User, bob: User, carol: User, billing: Team, client: Client
) -> None:
    appeal = Appeal.objects.create(call=given.call, review=given, agent=bob, reason="x", before=3)
    session = CalibrationSession.objects.create(name="May", team=billing)
    own = f"/reviews/{given.pk}/"
    inside = [f"/reviews/appeals/{appeal.pk}/", f"/reviews/sessions/{session.pk}/"]
    posts = [f"{own}answer", f"/me/reviews/{given.call_id}/appeal"]
    client.force_login(carol)
    assert {client.get(a).status_code for a in [own, *inside, "/me/reviews/"]} == {404}
    assert {client.post(a, {"words": "x"}).status_code for a in [*posts, *inside]} == {404}
    assert client.post("/reviews/sessions/new", {"team": billing.pk, "name": "x"}).status_code == 404
    assert "Bob" not in client.get("/reviews/").content.decode()
    assert "Human and human" in client.get("/reviews/agreement/").content.decode()
    client.force_login(bob)
    hidden = [*inside, "/reviews/", "/reviews/agreement/"]
    assert {client.get(a).status_code for a in hidden} == {404}
    assert client.get(own).status_code == client.get("/me/reviews/").status_code == 200
    client.force_login(User.objects.create_user("eve", role=Role.AGENT, team=billing))
    assert client.get(own).status_code == 404
    assert {client.post(a, {"words": "x"}).status_code for a in posts} == {404}
    client.logout()
    assert client.get(own).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_bad_input_is_named_and_nothing_typed_is_lost(
    ended: Call, alice: User, bob: User, client: Client
) -> None:
    client.force_login(alice)
    own = reviewing.start(ended, alice).get_absolute_url()
    for wrong, said in ({"own": "7"}, "own"), ({"overall": "6"}, "1 to 5"), ({"overall": "²"}, "1 to 5"):
        answer = client.post(own, GIVEN | wrong)
        assert answer.status_code == 400 and said in answer.content.decode()
        assert "Well begun." in answer.content.decode()
    assert client.post(own, GIVEN | {"comment": "x" * 2001}).status_code == 400
    assert client.post(own, GIVEN).status_code == 302
    made = reviewing.appeal(ended, Review.objects.get(), bob, "no")
    decide = f"/reviews/appeals/{made.pk}/"
    for bad in ({}, {"decision": "changed", "after": "9", "reason": "kept"}, {"decision": "upheld"}):
        assert client.post(decide, bad).status_code == 400
    assert "kept" in client.post(decide, {"decision": "x", "reason": "kept"}).content.decode()
    assert client.post("/reviews/sessions/new", {"team": "x"}).status_code == 404
    client.force_login(bob)
    assert client.post(own + "answer", {"do": "appeal", "words": " "}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_a_week_of_calls_can_be_appealed(
    ended: Call, make_call: Callable[..., Call], bob: User, client: Client
) -> None:
    for n in range(60):
        call = make_call(f"CA-many{n}")
        Call.objects.filter(pk=call.pk).update(
            status=CallStatus.ENDED, ended_at=timezone.now(), final={"empathy": 50.0}
        )
    client.force_login(bob)
    pages = [client.get(f"/me/reviews/?page={n}").content.decode() for n in (1, 2, 3)]
    found = {pk for page in pages for pk in re.findall(r"/calls/([0-9a-f-]{36})/#appeal", page)}
    assert found == {str(pk) for pk in bob.calls.values_list("pk", flat=True)} and len(found) == 61


@pytest.mark.django_db(transaction=True)
def test_only_its_agent_appeals_and_why_not_is_said(
    ended: Call, alice: User, bob: User, carol: User, client: Client
) -> None:
    post = f"/me/reviews/{ended.pk}/appeal"
    client.force_login(alice)
    assert "appeal-words" not in client.get(f"/calls/{ended.pk}/").content.decode()
    assert client.post(post, {"words": "x"}).status_code == 404
    client.force_login(carol)
    assert client.post(post, {"words": "x"}).status_code == 404
    client.force_login(bob)
    empty = client.post(post, {"words": " "})
    assert empty.status_code == 400 and "Say why" in empty.content.decode()
    long = client.post(post, {"words": "she said yes" + "x" * 2000})
    assert long.status_code == 400 and "she said yes" in long.content.decode()
    assert client.post(post, {"words": "she said yes"}).headers["Location"] == f"/calls/{ended.pk}/"
    again = client.post(post, {"words": "again"})
    assert again.status_code == 400 and "cannot be appealed" in again.content.decode()
    page = client.get(f"/calls/{ended.pk}/").content.decode()
    assert "appeal-words" not in page and "under appeal" in page
    assert "under appeal" in client.get("/calls/").content.decode()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_an_appeal_from_the_calls_page_and_the_mark_on_the_agents(
    page_for: Open, ended: Call, alice: User, bob: User, scheme: str, width: int
) -> None:
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    theirs = page_for(bob, **options)
    theirs.goto("/me/reviews/")
    check(theirs, "My reviews")
    theirs.get_by_role("link", name="Call of").click()
    theirs.get_by_text("Appeal this score").click()
    theirs.get_by_label("Why it should be looked at again").fill("I did say it.")
    assert theirs.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(theirs, f"appeal-{scheme}")
    assert not Axe().run(theirs).violations_count
    theirs.get_by_role("button", name="Appeal, for this reason").click()
    theirs.get_by_role("heading", name="Score, under appeal and not final").wait_for()
    made = Appeal.objects.get()
    Appeal.objects.update(opened_at=timezone.now() - timedelta(days=3))
    page = page_for(alice, **options)
    page.goto("/reviews/")
    page.get_by_text("waits 3 days").wait_for()
    check(page, "Reviews")
    shot(page, f"reviews-{scheme}")
    reviewing.decide(made, alice, "changed", "Heard again.", 70)
    theirs.goto("/me/")
    theirs.get_by_role("link", name="1 decision on your appeals").wait_for()
    shot(theirs, f"me-{scheme}")
    found = Axe().run(theirs)
    assert not found.violations_count, found.generate_report()
    theirs.get_by_role("link", name="1 decision on your appeals").click()
    theirs.get_by_text("before 41, after 70").wait_for()
    check(theirs, "My reviews")
    theirs.get_by_role("button", name="I have read the decisions").click()
    theirs.get_by_role("button", name="I have read the decisions").wait_for(state="detached")
    theirs.goto("/me/")
    theirs.get_by_role("heading", name="Your call now").wait_for()
    assert theirs.get_by_role("link", name="decision on your appeals").count() == 0


def shot(page: Any, name: str) -> None:
    """For who looks at it: into the folder that SHOTS names."""
    page.wait_for_load_state()
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_from_blind_score_to_decided_appeal(
    page_for: Open, ended: Call, alice: User, bob: User, scheme: str, width: int
) -> None:
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    page = page_for(alice, **options)
    page.goto("/reviews/")
    check(page, "Reviews")
    page.get_by_role("button", name="Score the next call").click()
    check(page, "Score a call of")
    for name in BEHAVIOURS:
        page.locator(f'[name="{name}"][value="1"]').check()
    page.locator('[name="overall"][value="2"]').check()
    page.get_by_label("Comment to the agent").fill("Say what comes next.")
    page.get_by_role("button", name="Submit and compare").click()
    page.get_by_role("heading", name="Human and machine").wait_for()
    check(page, "Review of a call")
    theirs = page_for(bob, **options)
    theirs.goto("/me/reviews/")
    check(theirs, "My reviews")
    theirs.get_by_role("link", name="Call of").first.click()
    theirs.wait_for_url(re.compile(r"/reviews/\d+/$"))
    theirs.get_by_label("Your words").fill("I did say it.")
    theirs.get_by_role("button", name="Appeal").click()
    theirs.get_by_text("under appeal, not final").first.wait_for()
    page.goto(f"/calls/{ended.pk}/")
    assert page.get_by_text("Score, under appeal and not final").count() == 1
    page.goto("/reviews/")
    page.get_by_role("link", name="Appeal of").click()
    check(page, "Appeal of")
    page.get_by_label("The score is changed").check()
    page.get_by_label("New value").fill("4")
    page.get_by_label("Reason, for the agent").fill("Heard again.")
    page.get_by_role("button", name="Decide").click()
    page.get_by_text("before 2, after 4").wait_for()
    theirs.reload()
    theirs.get_by_text("before 2, after 4").first.wait_for()
    page.goto("/reviews/")
    page.get_by_text("Heard again.").wait_for()
    check(page, "Reviews")
    page.goto("/reviews/agreement/")
    check(page, "Agreement")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_calls_socket_is_remembered_too(page_for: Open, ended: Call, alice: User) -> None:
    review = reviewing.start(ended, alice)
    page = page_for(alice)
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(review.get_absolute_url())
    page.wait_for_load_state("networkidle")
    assert not sockets
    page.evaluate(
        "(id) => new Promise((done) => { const ws = new WebSocket(`ws://${location.host}/ws/calls/${id}/`);"
        " ws.onmessage = () => done(ws.close()); })", str(ended.pk)
    )  # fmt: skip
    review.refresh_from_db()
    assert not review.blind


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_session_by_browser(page_for: Open, ended: Call, alice: User) -> None:
    page = page_for(alice)
    page.goto("/reviews/")
    page.get_by_label("New session of Billing").fill("May")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("once all have submitted").wait_for()
    page.get_by_role("button", name="Close the session").click()
    page.get_by_text("Here is what everybody gave").wait_for()
    check(page, "May")


def check(page: Any, name: str) -> None:
    """The page of this name: no finding of axe and no sideways scroll."""
    page.get_by_role("heading", level=1, name=name).wait_for()
    page.wait_for_load_state()
    found = Axe().run(page)
    assert not found.violations_count, (name, found.generate_report())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


@pytest.mark.django_db(transaction=True)
def test_an_admin_starts_a_session(ended: Call, alice: User, client: Client) -> None:
    dana = User.objects.create_user("dana", first_name="Dana", role=Role.ADMIN)
    client.force_login(dana)
    assert "New session of Billing" in client.get("/reviews/").content.decode()
    answer = client.post("/reviews/sessions/new", {"team": ended.team_id, "name": "June"})
    assert client.get(answer["Location"]).status_code == 200
    assert set(CalibrationSession.objects.get().reviewers.all()) == {alice, dana}


@pytest.mark.django_db(transaction=True)
def test_agreement_by_version_and_period(given: Review, alice: User, carol: User, client: Client) -> None:
    client.force_login(alice)
    today = given.submitted_at.date().isoformat()  # type: ignore[union-attr]

    def pairs(**asked: str) -> int:
        return sum(row["pairs"][0]["n"] for row in client.get("/reviews/agreement/", asked).context["rows"])

    all_of_them, version = pairs(), str(given.rubric_version_id)
    assert all_of_them > 0
    assert pairs(version=version, **{"from": today, "to": today}) == all_of_them
    assert pairs(to="2001-01-31") == 0 and pairs(**{"from": "2999-01-31"}) == 0
    for asked, words in (
        ({"version": "99999999999999999999"}, "choose another"),
        ({"version": "x"}, "choose another"),
        ({"from": "soon"}, "Give days as"),
        ({"from": today, "to": "2001-01-31"}, "swap them"),
    ):
        answer = client.get("/reviews/agreement/", asked)
        assert answer.status_code == 400 and words in answer.content.decode()
    client.force_login(carol)
    assert client.get("/reviews/agreement/", {"version": version}).status_code == 400, "not hers to know of"


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_with_something_to_show(
    page_for: Open,
    ended: Call,
    make_call: Callable[..., Call],
    alice: User,
    scheme: str,
    width: int,
) -> None:
    """Bars of agreement, a session with everybody's rows, and the page that asks to score first."""
    dana = User.objects.create_user("dana", first_name="Dana", role=Role.ADMIN)
    calls = [make_call(f"CA{n}") for n in range(22)]
    Call.objects.filter(pk__in=[call.pk for call in calls]).update(
        status=CallStatus.ENDED, ended_at=timezone.now(), final={"empathy": 50.0}
    )
    for n, call in enumerate(calls):
        for m, person in enumerate((alice, dana)):
            given = dict.fromkeys(BEHAVIOURS, (n + m * (n % 3 == 0)) % 3)
            machine = dict.fromkeys(BEHAVIOURS, n % 3)
            Review.objects.create(
                call=call, reviewer=person, rubric_version=call.rubric_version, ratings=given, overall=3,
                machine=machine, submitted_at=timezone.now(),
            )  # fmt: skip
    session = CalibrationSession.objects.create(name="May", team=ended.team)
    session.calls.set(calls[:2])
    session.reviewers.set([alice, dana])
    reviewing.start(ended, alice)
    page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/reviews/agreement/")
    assert page.locator("svg.bar").count() == 2 * len(BEHAVIOURS)
    check(page, "Agreement")
    page.goto(f"/reviews/sessions/{session.pk}/")
    assert page.locator("dd").count() == 2 * 2 * len(BEHAVIOURS)
    check(page, "May")
    page.goto(f"/calls/{ended.pk}/")
    check(page, "You are scoring this call")
