"""/alerts/: who sees which, what is asked for, and answering one there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.utils import timezone

from calls import helping
from calls.choices import CallStatus, Role
from calls.models import Alert, Call, Review, RubricVersion, Source, Team, User
from tests.web.test_languages import english_in

pytestmark = pytest.mark.django_db
browser = pytest.mark.browser
Open = Callable[..., Any]
Make = Callable[..., Call]


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


def raised(call: Call, cause: str = "silence", *, days_ago: float = 0, **fields: Any) -> Alert:
    defaults = {"t_ms": 83_000, "title": "Over 30 s of unexplained silence", "severity": "watch"}
    row = Alert.objects.create(call=call, cause=cause, **(defaults | fields))
    Alert.objects.filter(pk=row.pk).update(raised_at=timezone.now() - timedelta(days=days_ago))
    return row


@pytest.fixture
def call(make_call: Make) -> Call:
    """It is over: its alerts left the floor with it."""
    made = make_call("CA-over", queue="Refunds")
    made.status, made.ended_at = CallStatus.ENDED, timezone.now()
    made.save()
    return made


def shown(user: User | None, query: str = "") -> str:
    client = Client()
    if user:
        client.force_login(user)
    answer = client.get(f"/alerts/{query}")
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def listed(user: User, query: str = "") -> list[int]:
    """The ids of the alerts on the page, in its order."""
    parts = shown(user, query).split('data-alert="')[1:]
    return [int(part[: part.index('"')]) for part in parts]


def test_alices_alerts_stay_when_the_call_is_over(alice: User, dana: User, call: Call) -> None:
    row = raised(call, quote="are you still there")
    page = shown(alice)
    assert "Over 30 s of unexplained silence" in page and "are you still there" in page
    assert f'href="/calls/{call.pk}/#at-83000"' in page and "Bob Okafor, at 1:23" in page
    assert "Nobody looks after 1 alert yet." in page
    assert listed(dana) == listed(alice) == [row.pk]


def test_carol_sees_none_of_them_and_agents_no_list(carol: User, bob: User, call: Call) -> None:
    row = raised(call)
    assert listed(carol) == [] and "No alert was raised yet." in shown(carol)
    for user, paths in ((carol, [f"/alerts/{row.pk}/"]), (bob, ["/alerts/", f"/alerts/{row.pk}/"])):
        client = Client()
        client.force_login(user)
        assert [client.get(path).status_code for path in paths] == [404] * len(paths)
    assert Client().get("/alerts/").status_code == 302
    assert Client().get(f"/alerts/{row.pk}/").status_code == 302


def test_only_looking_is_done_there(alice: User, call: Call) -> None:
    client = Client()
    client.force_login(alice)
    row = raised(call)
    assert client.post("/alerts/").status_code == client.post(f"/alerts/{row.pk}/").status_code == 405


def test_those_that_nobody_looks_after_come_first_then_the_newest(alice: User, call: Call) -> None:
    old = raised(call, "silence", days_ago=3)
    taken = raised(call, "dismissive", days_ago=1)
    done = raised(call, "blaming", days_ago=2)
    new = raised(call, "unanswered")
    helping.acknowledge(taken, alice)
    helping.resolve(done, alice, "called back")
    assert listed(alice) == [new.pk, old.pk, taken.pk, done.pk]
    assert listed(alice, "?status=open") == [new.pk, old.pk]
    assert listed(alice, "?status=acknowledged") == [taken.pk]
    assert listed(alice, "?status=resolved") == [done.pk]
    assert listed(alice, "?cause=blaming") == [done.pk]
    day = f"{timezone.now() - timedelta(days=3):%Y-%m-%d}"
    assert listed(alice, f"?last={day}") == [old.pk]
    assert listed(alice, f"?first={day}&last={day}&status=resolved") == []
    assert "Resolved by Alice Moreau" in shown(alice) and "“called back”" in shown(alice)


def test_of_one_team(dana: User, call: Call, travel: Team, rubric: RubricVersion) -> None:
    source = Source.objects.create(name="T", slug="t", team=travel, protocol="twilio")
    other = Call.objects.create(source=source, team=travel, rubric_version=rubric, external_ref="CA-t")
    here, there = raised(call, days_ago=1), raised(other)
    assert listed(dana) == [there.pk, here.pk]
    assert listed(dana, f"?team={call.team_id}") == [here.pk]


def test_pages_keep_what_was_asked(alice: User, call: Call) -> None:
    for n in range(27):
        raised(call, "silence", episode=n + 1, days_ago=n / 100)
    raised(call, "blaming")
    first, second = listed(alice, "?cause=silence"), listed(alice, "?cause=silence&page=2")
    assert (len(first), len(second), len({*first, *second})) == (25, 2, 27)
    assert "?cause=silence&amp;page=2" in shown(alice, "?cause=silence")
    assert "again" in shown(alice, "?cause=silence")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?status=loud", "There is no status “loud”; choose one of the list."),
        ("?team=99999", "There is no such team among yours."),
        ("?team=x%27--", "There is no such team among yours."),
        ("?first=yesterday", "Give days like 2026-01-31."),
        ("?last=0000-01-01", "Give days like 2026-01-31."),
        ("?first=2026-02-01&last=2026-01-01", "The first day is after the last"),
    ],
)
def test_what_makes_no_sense_is_said(alice: User, call: Call, query: str, says: str) -> None:
    raised(call)
    assert says in shown(alice, query)


@pytest.mark.parametrize("query", ["?page=x", "?page=-1", "?page=99", "?cause=%00", "?cause=" + "x" * 500])
def test_odd_questions_are_no_trouble(alice: User, call: Call, query: str) -> None:
    raised(call)
    assert shown(alice, query)


def test_another_teams_name_tells_nothing(carol: User, alice: User, call: Call) -> None:
    raised(call)
    assert listed(carol, f"?team={call.team_id}") == []
    assert "There is no such team among yours." in shown(carol, f"?team={call.team_id}")


def test_who_scores_a_call_blind_is_not_told_in_passing(alice: User, call: Call) -> None:
    row = raised(call)
    Review.objects.create(call=call, reviewer=alice, rubric_version=call.rubric_version)
    assert listed(alice) == []
    assert "come when you have scored them" in shown(alice)
    client = Client()
    client.force_login(alice)
    assert client.get(f"/alerts/{row.pk}/").status_code == 404


def test_rubrics_own_rules_can_be_chosen(alice: User, call: Call) -> None:
    page = shown(alice)
    rule = (
        '<option value="frustration-unanswered">Frustrated for 40 s, and nobody has acknowledged it</option>'
    )
    assert rule in page and '<option value="escalation-leave">Wants to cancel or leave</option>' in page


# --- in a browser -------------------------------------------------------------------------------


@browser
@pytest.mark.django_db(transaction=True)
def test_one_is_answered_in_the_list(page_for: Open, alice: User, full_call: Call) -> None:
    late = raised(full_call, "silence", quote="hello?")
    page = page_for(alice, loud=True)  # a refused request is an error to Chromium
    page.goto("/floor/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Alerts").click()
    row = page.locator(f"#row-{late.pk}")
    row.get_by_role("button", name="Acknowledge").click()
    row.get_by_text("Acknowledged by Alice Moreau").wait_for()
    assert row.get_attribute("data-open") is None
    other = User.objects.create(username="other", role="supervisor")
    helping.resolve(late, other, "rang them back")
    row.get_by_role("button", name="Resolve …").click()
    row.get_by_label("What was done").fill("too late")
    page.keyboard.press("Enter")
    row.get_by_text("other has resolved it already").wait_for()  # who was first stays …
    assert row.get_by_label("What was done").input_value() == "too late"  # … and nobody's words are lost
    page.reload()
    assert "rang them back" in row.inner_text() and row.get_attribute("data-resolved") is not None
    late.refresh_from_db()
    assert (late.acknowledged_by, late.resolved_by) == (alice, other)
    row.get_by_role("link", name="Bob Okafor, at 1:23").click()
    turn = page.locator(".turn:focus")
    turn.wait_for()
    starts = full_call.turns.filter(start_ms__lte=83_000).order_by("-start_ms").values_list("text", flat=True)
    assert starts[0][:20] in turn.inner_text()


@browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_reads_well(page_for: Open, alice: User, full_call: Call, scheme: str, width: int) -> None:
    raised(full_call, "silence")
    helping.resolve(
        raised(full_call, "blaming", episode=2, quote="well, you should have"), alice, "talked to Bob"
    )
    page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/alerts/?status=loud")
    page.get_by_role("button", name="Resolve …").first.click()
    found = [
        (v["id"], [n["html"][:160] for n in v["nodes"][:3]]) for v in Axe().run(page).response["violations"]
    ]
    assert not found, found
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        "[...document.querySelectorAll('main :is(button, select, input, a)')].filter(n => n.checkVisibility())"
        ".map(n => n.getBoundingClientRect()).filter(b => b.height < 24 || b.width < 24).length"
    )
    assert small == 0


@browser
@pytest.mark.django_db(transaction=True)
def test_it_is_german_too(page_for: Open, alice: User, full_call: Call) -> None:
    raised(full_call, "unanswered", title="Anxious for 40 s, and nobody has reassured the caller")
    page = page_for(alice, locale="de-DE")
    page.goto("/alerts/")
    page.get_by_role("button", name="Annehmen").first.wait_for()
    titles = page.locator(".alerts strong").all_inner_texts()
    assert "Ängstlich seit 40 s, und niemand hat beruhigt" in titles
    assert english_in(page, full_call) == []
