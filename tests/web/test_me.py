"""An agent's own page: a cue comes, is judged and taken; messages; who looks on; own choices; and outsiders."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client

from calls import helping, record
from calls.models import Call, Message, NudgeChoices, ShownNudge, User
from tests.calls.pieces import agent, scored
from tests.calls.test_nudging import upset

Open = Callable[..., Any]
browser = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def live(page: Any) -> None:
    page.wait_for_selector('.line-state[data-line="live"]')


@pytest.fixture
def call(make_call: Callable[..., Call], transactional_db: None) -> Call:
    return make_call("CA-me")


def worry(call: Call) -> ShownNudge:
    record.record_scores([scored(str(call.pk), upset(), hops=range(4))])
    return ShownNudge.objects.get(call=call)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_cue_comes_is_judged_and_taken(page_for: Open, bob: User, call: Call) -> None:
    page = page_for(bob, viewport={"width": 380, "height": 760})
    page.goto("/me/")
    live(page)
    row = worry(call)
    cue = page.locator(".cue")
    cue.wait_for()
    assert row.cue in cue.inner_text() and "anxious" in cue.inner_text()
    assert all(phrase in cue.inner_text() for phrase in row.phrases[:2])
    assert page.evaluate("document.activeElement === document.body"), "focus never moves by itself"
    page.get_by_role("button", name="Helpful", exact=True).click()
    cue.wait_for(state="detached")
    assert "you: helpful" in page.locator("[data-earlier]").inner_text()
    row.refresh_from_db()
    assert (row.verdict, row.verdict_at is not None) == ("helpful", True)
    record.record_scores([scored(str(call.pk), agent(3000, **{row.missing: 0.9}), hops=range(4, 8))])
    page.get_by_text("✓ you did").wait_for()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_messages_onlookers_and_choices(page_for: Open, alice: User, bob: User, call: Call) -> None:
    page = page_for(bob)
    page.goto("/me/")
    live(page)
    message = helping.send(call, alice, "Take your time, I am with you.")
    page.get_by_text("I am with you.").wait_for()
    page.get_by_role("button", name="Got it").click()
    page.get_by_role("button", name="Got it").wait_for(state="detached")
    message.refresh_from_db()
    assert message.read_at is not None

    onlooker = page_for(alice)
    onlooker.goto(f"/calls/{call.pk}/")
    page.get_by_text(f"{alice} is watching").wait_for()
    onlooker.close()
    page.get_by_text(f"{alice} looked").wait_for()

    page.get_by_text("How cues come").click()
    page.get_by_label("Seconds between").fill("90")
    page.get_by_label("owning a fault").uncheck()
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("Kept.").wait_for()
    choices = NudgeChoices.objects.get(agent=bob)
    assert (choices.every_s, choices.kinds_off, choices.muted) == (90, ["own"], False)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing(
    page_for: Open, alice: User, bob: User, call: Call, scheme: str, width: int
) -> None:
    worry(call)
    helping.send(call, alice, "Well done.")
    call.refresh_from_db()
    call.tile |= {"scored_at": datetime.now(UTC).isoformat()}
    call.save(update_fields=["tile"])
    page = page_for(bob, color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto("/me/")
    live(page)
    page.locator(".cue").wait_for()
    page.get_by_text("How cues come").click()
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_without_a_call_it_says_what_will_come(page_for: Open, bob: User) -> None:
    page = page_for(bob)
    page.goto("/me/")
    live(page)
    assert page.get_by_text("No call is running").is_visible()
    assert not page.locator("[data-now]").is_visible()


def posts(call: Call, row: ShownNudge, message: Message) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"/me/cues/{row.pk}/verdict", {"verdict": "wrong"}),
        (f"/me/messages/{message.pk}/read", {}),
    ]


@pytest.mark.django_db
def test_outsiders_reach_nothing(call: Call, alice: User, carol: User, client: Client) -> None:
    row, message = worry(call), helping.send(call, alice, "hello")
    other = User.objects.create(username="other-agent", role="agent", team=call.team)
    for person in (alice, carol, other):
        client.force_login(person)
        for path, said in posts(call, row, message):
            answer = client.post(path, json.dumps(said), content_type="application/json")
            assert answer.status_code == 404, (person, path)
        if person is not other and not person.is_agent:
            assert client.get("/me/").status_code == 404
            assert client.post("/me/choices", "{}", content_type="application/json").status_code == 404
    client.force_login(other)
    assert str(call.pk) not in client.get("/me/").content.decode()
    row.refresh_from_db()
    message.refresh_from_db()
    assert row.verdict == "" and message.read_at is None
    client.logout()
    assert client.get("/me/").status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/me/cues/{row}/verdict", '{"verdict": "great"}', "must be one of helpful"),
        ("/me/cues/{row}/verdict", "{", "not JSON"),
        ("/me/cues/{row}/verdict", "[]", "JSON object"),
        ("/me/choices", '{"every_s": 1}', "15 to 600"),
        ("/me/choices", '{"per_call": null}', "0 to 20"),
        ("/me/choices", '{"kinds_off": [[]]}', "kinds_off"),
        ("/me/choices", '{"x": "' + "y" * 20_000 + '"}', "At most"),
    ],
)
def test_bad_input_is_answered_in_words(
    call: Call, bob: User, client: Client, path: str, body: str, says: str
) -> None:
    row = worry(call)
    client.force_login(bob)
    answer = client.post(path.format(row=row.pk), body, content_type="application/json")
    assert answer.status_code == 400
    assert says in answer.json()["error"]
