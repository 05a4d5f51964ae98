"""What people do about a call: alerts answered, messages, notes; who may, what is refused, and how it looks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.utils import timezone

from calls import helping, push, record
from calls.choices import CallStatus, Verdict
from calls.models import Alert, Call, Look, ShownNudge, User
from scoring.types import Cue
from tests import servers
from tests.calls.pieces import customer, scored

pytestmark = pytest.mark.django_db(transaction=True)
browser = pytest.mark.browser
Open = Callable[..., Any]
Make = Callable[..., Call]
LEAVES = replace(
    customer(0, "I want to cancel"),
    cues=(Cue("escalation", 0.9, 0.9, "I want to cancel", "rule:escalation-leave"),),
)
POSTS: dict[str, dict[str, Any]] = {
    "alerts/distress-high/acknowledge": {},
    "alerts/distress-high/resolve": {"resolution": "called back"},
    "messages": {"text": "I am with you."},
    "notes": {"text": "good repair", "t_ms": 4200},
}
each_post = pytest.mark.parametrize("path", POSTS)


def post(user: User | None, call: Call, path: str, said: Any, **options: Any) -> Any:
    client = Client(**options)
    if user:
        client.force_login(user)
    body = said if isinstance(said, str) else json.dumps(said)
    return client.post(f"/calls/{call.pk}/{path}", body, content_type="application/json")


def untouched(call: Call) -> bool:
    acted = call.alerts.exclude(acknowledged_at=None, resolved_at=None)
    return not acted.exists() and not call.messages.exists() and not call.remarks.exists()


# --- who may ------------------------------------------------------------------------------------


@each_post
def test_alice_may(alice: User, full_call: Call, path: str) -> None:
    assert post(alice, full_call, path, POSTS[path]).status_code == 204
    assert not untouched(full_call)


@each_post
def test_carol_may_not(carol: User, full_call: Call, path: str) -> None:
    assert post(carol, full_call, path, POSTS[path]).status_code == 404
    assert untouched(full_call)


@each_post
def test_a_stranger_is_asked_to_log_in(full_call: Call, path: str) -> None:
    answer = post(None, full_call, path, POSTS[path])
    assert answer.status_code == 302 and settings.LOGIN_URL.split("_")[1] in answer.url
    assert untouched(full_call)


@each_post
def test_nothing_is_done_without_the_token(alice: User, full_call: Call, path: str) -> None:
    assert post(alice, full_call, path, POSTS[path], enforce_csrf_checks=True).status_code == 403
    assert untouched(full_call)


@each_post
def test_looking_does_nothing(alice: User, full_call: Call, path: str) -> None:
    client = Client()
    client.force_login(alice)
    assert client.get(f"/calls/{full_call.pk}/{path}").status_code == 405
    assert untouched(full_call)


@each_post
def test_bob_may_only_note(bob: User, full_call: Call, path: str) -> None:
    expected = 204 if path == "notes" else 404
    assert post(bob, full_call, path, POSTS[path]).status_code == expected
    assert untouched(full_call) == (path != "notes")


def test_another_agent_may_not_note(full_call: Call, bob: User) -> None:
    other = User.objects.create(username="other", role="agent", team=bob.team)
    assert post(other, full_call, "notes", POSTS["notes"]).status_code == 404


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "said", "words"),
    [
        ("messages", {}, "is empty"),
        ("messages", {"text": " \n\t "}, "is empty"),
        ("messages", {"text": "x" * 281}, "281 characters; at most 280"),
        ("messages", {"text": ["x"]}, "must be text"),
        ("messages", '{"text": ', "not JSON"),
        ("messages", "[1]", "JSON object"),
        ("messages", {"text": "x" * 11_000}, "At most 10000 bytes"),
        ("notes", {"text": ""}, "is empty"),
        ("notes", {"text": "x" * 1001}, "1001 characters; at most 1000"),
        ("notes", {"text": "x", "t_ms": -1}, "t_ms must be milliseconds"),
        ("notes", {"text": "x", "t_ms": "4"}, "t_ms must be milliseconds"),
        ("notes", {"text": "x", "t_ms": True}, "t_ms must be milliseconds"),
        ("notes", {"text": "x", "t_ms": 2**60}, "t_ms must be milliseconds"),
        ("notes", "not json at all", "not JSON"),
        ("alerts/distress-high/resolve", {"resolution": "x" * 201}, "201 characters; at most 200"),
        ("alerts/distress-high/resolve", {"resolution": 7}, "must be text"),
        (
            "alerts/distress-high/acknowledge",
            {"episode": "2"},
            "episode must be a whole number from 1, not '2'",
        ),
        ("alerts/distress-high/resolve", {"episode": 2**40}, "episode must be a whole number from 1"),
    ],
)
def test_what_is_wrong_is_said(alice: User, full_call: Call, path: str, said: Any, words: str) -> None:
    answer = post(alice, full_call, path, said)
    assert answer.status_code == 400 and words in answer.json()["error"]
    assert untouched(full_call)


@pytest.mark.parametrize("act", ["acknowledge", "resolve"])
def test_an_alert_that_is_not_there(alice: User, full_call: Call, act: str) -> None:
    assert post(alice, full_call, f"alerts/nothing/{act}", {}).status_code == 404
    assert post(alice, full_call, f"alerts/distress-high/{act}", {"episode": 2}).status_code == 404


@pytest.mark.parametrize("text", ["x" * 280, "é" * 280, "👋" * 280, "a  b\n c"])
def test_words_at_the_limit_are_kept(alice: User, full_call: Call, text: str) -> None:
    assert post(alice, full_call, "messages", {"text": text}).status_code == 204
    assert full_call.messages.get().text == " ".join(text.split())


def test_nobody_reads_a_message_after_the_call(alice: User, full_call: Call) -> None:
    Call.objects.filter(pk=full_call.pk).update(status=CallStatus.ENDED)
    answer = post(alice, full_call, "messages", {"text": "well done"})
    assert answer.status_code == 400 and "write a note instead" in answer.json()["error"]
    assert post(alice, full_call, "notes", {"text": "well done"}).status_code == 204


def test_a_look_that_another_page_closed_is_opened_again(alice: User, full_call: Call) -> None:
    """Two tabs of one person are one look, and its agent is not told that nobody looks on."""
    row = helping.look(full_call, alice)
    assert row is not None
    helping.looked(row.pk)
    helping.still_looking(row.pk)
    assert Look.objects.get().open


def test_the_page_brings_the_token_and_paints_alerts(alice: User, full_call: Call) -> None:
    helping.resolve(full_call.alerts.get(), alice, "called back")
    client = Client()
    client.force_login(alice)
    answer = client.get(f"/calls/{full_call.pk}/")
    assert answer.cookies[settings.CSRF_COOKIE_NAME].value
    page = answer.content.decode()
    assert "Frustrated for 40 s without acknowledgement</strong>" in page
    assert "Resolved by Alice Moreau: “called back”" in page


# --- in a browser -------------------------------------------------------------------------------


@pytest.fixture
def loud_page(
    chromium: Any, web_server: servers.Server, session_of: Callable[[User], str]
) -> Iterator[Callable[[User], Any]]:
    """A page that may log errors: a refused post is one to Chromium."""
    contexts = []

    def open_as(user: User) -> Any:
        context = chromium.new_context(base_url=web_server.http)
        contexts.append(context)
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session_of(user), "url": web_server.http}
        context.add_cookies([cookie])
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    yield open_as
    for context in contexts:
        context.close()


def opened(page: Any, call: Call) -> Any:
    page.goto(f"/calls/{call.pk}/")
    page.wait_for_selector('.line-state[data-line="live"]')
    return page


def spoken(call: Call, start_ms: int, text: str = "something new") -> None:
    turn = {
        "channel": "customer", "start_ms": start_ms, "end_ms": start_ms + 900, "text": text, "confidence": 0.9,
        "states": {}, "behaviours": {}, "redacted": 0, "cues": [],
    }  # fmt: skip
    tile = {"type": "tile", "tile": call.tile | {"media_ms": start_ms, "reason": text}}
    push.publish([(f"call.{call.pk}", {"type": "turn", "turn": turn}), (f"call.{call.pk}", tile)])


FOCUS = "document.activeElement.id || document.activeElement.textContent"


@browser
def test_an_alert_lives_on_two_pages(page_for: Open, alice: User, bob: User, make_call: Make) -> None:
    call = make_call("CA1")
    page, agent = opened(page_for(alice), call), opened(page_for(bob), call)
    assert not page.locator("[data-alerts-section]").is_visible()
    record.record_scores([scored(str(call.pk), LEAVES)])
    alert = page.locator(".alerts li")
    alert.get_by_text("Nobody looks after it yet").wait_for()
    assert "I want to cancel" in alert.inner_text()
    agent.locator(".alerts li[data-open]").wait_for()
    assert agent.locator(".alerts button").count() == 0

    button = alert.get_by_role("button", name="Acknowledge")
    button.click()
    alert.get_by_text("Acknowledged by Alice Moreau").wait_for()
    assert page.evaluate(FOCUS) == "Acknowledge"  # it stays while it has the focus
    agent.get_by_text("Acknowledged by Alice Moreau").wait_for()

    alert.get_by_role("button", name="Resolve …").click()
    button.wait_for(state="hidden")
    page.keyboard.press("Escape")
    assert page.evaluate(FOCUS) == "Resolve …"
    page.keyboard.press("Enter")
    page.keyboard.type("moved to a senior")
    spoken(call, 9000)
    page.get_by_text("something new").first.wait_for()
    assert page.evaluate("document.activeElement.value") == "moved to a senior"
    page.keyboard.press("Enter")
    alert.get_by_text("✓ Resolved by Alice Moreau").wait_for()
    assert "moved to a senior" in alert.locator(".fate").inner_text()
    assert page.evaluate("document.activeElement.tagName") == "INPUT"
    page.keyboard.press("Tab")
    agent.get_by_text("moved to a senior").wait_for()
    row = Alert.objects.get()
    assert (row.acknowledged_by, row.resolved_by, row.resolution) == (alice, alice, "moved to a senior")


@browser
def test_a_key_acknowledges_the_newest_open_alert(page_for: Open, alice: User, full_call: Call) -> None:
    late = Alert.objects.create(
        call=full_call, cause="late", t_ms=200_000, title="Wants to leave", severity="watch"
    )
    page = opened(page_for(alice), full_call)
    page.keyboard.press("a")
    page.get_by_text("Acknowledged: Wants to leave").wait_for()
    late.refresh_from_db()
    assert late.acknowledged_by == alice
    page.locator(".alerts li", has_text="Wants to leave").get_by_text("Acknowledged by").wait_for()
    page.keyboard.press("a")
    page.locator(".alerts [data-open]").wait_for(state="detached")
    page.keyboard.press("a")
    page.get_by_text("No alert is open.").wait_for()
    page.keyboard.press("?")
    assert page.get_by_text("acknowledge the newest open alert").is_visible()


@browser
def test_two_alerts_of_one_cause_are_answered_one_by_one(
    page_for: Open, alice: User, full_call: Call
) -> None:
    Alert.objects.all().delete()
    for episode, t_ms in ((1, 40_000), (2, 200_000)):
        Alert.objects.create(
            call=full_call,
            cause="silence",
            episode=episode,
            t_ms=t_ms,
            title="Half a minute",
            severity="watch",
        )
    page = opened(page_for(alice), full_call)
    earlier = page.locator(".alerts li").nth(1)
    assert "again" in page.locator(".alerts li").first.inner_text() and "again" not in earlier.inner_text()
    earlier.get_by_role("button", name="Acknowledge").click()
    earlier.get_by_text("Acknowledged by Alice Moreau").wait_for()
    assert list(Alert.objects.filter(acknowledged_by=alice).values_list("episode", flat=True)) == [1]


@browser
def test_the_key_is_nothing_to_an_agent(page_for: Open, bob: User, full_call: Call) -> None:
    page = opened(page_for(bob), full_call)
    page.keyboard.press("a")
    page.keyboard.press("?")
    assert page.get_by_text("acknowledge the newest").count() == 0
    assert untouched(full_call)


@browser
def test_a_withdrawn_alert_stays_under_the_focus(page_for: Open, alice: User, full_call: Call) -> None:
    page = opened(page_for(alice), full_call)
    page.get_by_role("button", name="Resolve …").click()
    page.keyboard.type("half a")
    push.publish([(f"call.{full_call.pk}", {"type": "alerts", "alerts": []})])
    page.get_by_text("Withdrawn: what raised it was taken back").wait_for()
    page.keyboard.type(" word")
    assert page.evaluate("document.activeElement.value") == "half a word"
    page.locator("#message-box").focus()
    page.locator("[data-alerts-section]").wait_for(state="hidden")


@browser
def test_a_message_is_written_while_much_happens(
    page_for: Open, alice: User, bob: User, full_call: Call
) -> None:
    page = opened(page_for(alice), full_call)
    box = page.get_by_label("Message to Bob Okafor")
    box.focus()
    for n in range(5):
        page.keyboard.type(f"word{n} ")
        spoken(full_call, 250_000 + n * 2000, f"turn {n}")
        helping.send(full_call, alice, f"earlier {n}")
        page.get_by_text(f"earlier {n}").wait_for()
        assert page.evaluate(FOCUS) == "message-box"
    assert box.input_value() == "word0 word1 word2 word3 word4 "
    assert page.locator("#message-count").inner_text() == "29 / 280"
    page.keyboard.press("Enter")
    page.locator("[data-messages] li", has_text="word0 word1 word2 word3 word4").wait_for()
    assert box.input_value() == ""
    row = page.locator("[data-messages] li").first
    assert "Alice Moreau" in row.inner_text() and "not read yet" in row.inner_text()
    helping.mark_read(full_call.messages.last())
    row.get_by_text("✓ read").wait_for()
    agent = opened(page_for(bob), full_call)
    assert agent.get_by_label("Message to").count() == 0
    assert "earlier 3" in agent.locator("[data-messages]").inner_text()


@browser
def test_refused_and_unsent_words_are_kept(loud_page: Open, alice: User, full_call: Call) -> None:
    page = opened(loud_page(alice), full_call)
    box, said = page.locator("#message-box"), page.locator("#message-said")
    box.fill("x" * 285)
    assert page.locator("#message-count").inner_text() == "285 / 280 · 5 too many"
    page.get_by_role("button", name="Send").click()
    page.get_by_text("has 285 characters; at most 280 are kept").wait_for()
    assert box.input_value() == "x" * 285 and box.get_attribute("aria-invalid") == "true"
    box.fill("now shorter")
    assert said.inner_text() == "" and box.get_attribute("aria-invalid") is None
    page.context.set_offline(True)
    box.press("Enter")
    page.get_by_text("Offline: nothing was sent").wait_for()
    assert box.input_value() == "now shorter"
    page.context.set_offline(False)
    box.press("Enter")
    page.get_by_text("Sent.", exact=True).wait_for()
    Call.objects.filter(pk=full_call.pk).update(status=CallStatus.ENDED)
    box.fill("too late")
    box.press("Enter")
    page.get_by_text("The call is over: write a note instead").wait_for()
    assert box.input_value() == "too late"
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.locator("#note-box").fill("who am I?")
    page.get_by_role("button", name="Add the note").click()
    page.get_by_text("You are logged out").wait_for()
    assert page.locator("#note-box").input_value() == "who am I?"
    assert full_call.messages.get().text == "now shorter"


@browser
def test_begun_words_stay_when_the_call_ends(page_for: Open, alice: User, full_call: Call) -> None:
    page = opened(page_for(alice), full_call)
    page.locator("#message-box").fill("you could")
    tile = full_call.tile | {"status": "ended", "ended_at": timezone.now().isoformat()}
    push.publish([(f"call.{full_call.pk}", {"type": "tile", "tile": tile})])
    page.get_by_text("The call is over: write a note instead").wait_for()
    assert page.locator("#message-box").input_value() == "you could"
    assert page.locator("#note-about").input_value() == "call"


@browser
def test_notes_at_the_second_at_a_turn_and_about_it_all(
    page_for: Open, alice: User, bob: User, full_call: Call
) -> None:
    page, box = opened(page_for(alice), full_call), "#note-box"
    assert page.locator("#note-about option:checked").inner_text() == "now, 4:00"
    page.locator(box).fill("begun here")
    spoken(full_call, 300_000)
    page.get_by_text("something new").first.wait_for()
    assert page.locator("#note-about option:checked").inner_text() == "4:00, when you began to write"
    page.keyboard.press("Control+Enter")
    page.locator("[data-remarks]").get_by_text("begun here").wait_for()
    page.locator(".turn").nth(1).click()
    assert page.locator("#note-about").input_value() == "turn"
    assert page.locator(".turn[aria-current]").count() == 1
    page.locator(box).fill("she said it thrice")
    page.get_by_role("button", name="Add the note").click()
    page.locator("[data-remarks]").get_by_text("she said it thrice").wait_for()
    assert page.locator("#note-about").input_value() == "now"
    page.locator("#note-about").select_option("call")
    page.locator(box).fill("all in all")
    page.keyboard.press("Control+Enter")
    page.locator("[data-remarks]").get_by_text("all in all").wait_for()
    second = full_call.turns.all()[1].start_ms
    assert list(full_call.remarks.values_list("t_ms", flat=True)) == [240_000, second, None]

    agent = opened(page_for(bob), full_call)
    agent.locator(box).fill("I will do better")
    agent.get_by_role("button", name="Add the note").click()
    row = page.locator("[data-remarks] li", has_text="I will do better")
    row.wait_for()
    assert "Bob Okafor" in row.inner_text()
    page.locator("[data-remarks] li", has_text="thrice").get_by_role("link").click()
    assert "third time I call" in page.evaluate("document.activeElement.textContent")
    page.get_by_text("The same as a table").click()
    page.locator("[data-table] td", has_text="note by Bob Okafor: I will do better").wait_for()


@pytest.fixture
def helped_call(full_call: Call, alice: User, bob: User) -> Call:
    """With everything people do about a call."""
    rows = [
        ("anxiety-reassure", "anxiety", "reassure", "Caller sounds anxious — tell them what happens next", 107_500, Verdict.HELPFUL, True, 21_400),
        ("frustration-acknowledge", "frustration", "acknowledge", "Caller sounds frustrated — say what went wrong for them", 61_000, Verdict.NOT_NOW, False, None),
        ("confusion-explore", "confusion", "explore", "Caller seems lost — ask what they see", 150_000, "", None, None),
    ]  # fmt: skip
    for rule, state, missing, cue, t_ms, verdict, taken, recovered_ms in rows:
        ShownNudge.objects.create(
            call=full_call, agent=bob, rule=rule, state=state, missing=missing, cue=cue, t_ms=t_ms, shown_ms=t_ms,
            verdict=verdict, taken=taken, recovered_ms=recovered_ms,
        )  # fmt: skip
    add = lambda **fields: Alert.objects.create(call=full_call, **fields)  # noqa: E731
    add(
        cause="escalation",
        t_ms=170_000,
        title="Wants to leave",
        quote="then I will cancel",
        severity="help",
    )
    done = add(cause="silence", t_ms=30_000, title="Half a minute of silence", severity="watch")
    helping.resolve(done, alice, "Bob was looking up the account")
    helping.acknowledge(full_call.alerts.get(cause="distress-high"), alice)
    helping.mark_read(helping.send(full_call, alice, "You may waive the fee, no need to ask me."))
    helping.send(full_call, alice, "I am listening in, shout if you want me to take over.")
    helping.write_note(full_call, alice, "Good repair after a slow start: he owned the three calls.", 90_000)
    helping.write_note(full_call, bob, "The reversal screen was slow again.", None)
    helping.look(full_call, alice)
    return full_call


@browser
def test_cues_and_looks_are_told_to_both(page_for: Open, alice: User, bob: User, helped_call: Call) -> None:
    for person in (alice, bob):
        page = opened(page_for(person), helped_call)
        cues = page.locator("[data-cues] li")
        assert cues.count() == 3
        first, _, last = cues.nth(0).inner_text(), cues.nth(1), cues.nth(2).inner_text()
        assert "nothing yet" in first and "not settled" in first and "not yet" in first
        assert "not now" in last and "Taken\nno" in last
        assert "after 21 s" in cues.nth(1).inner_text() and "helpful" in cues.nth(1).inner_text()
        looks = page.locator("[data-looks] li", has_text="Alice Moreau")
        looks.get_by_text("now, since").wait_for()
        assert "cue shown" in page.locator(".legend").inner_text()
        assert "3 cues shown, 3 alerts, 2 notes" in page.locator("[data-summary]").inner_text()


@browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page_for: Open, alice: User, bob: User, helped_call: Call, scheme: str) -> None:
    for person in (alice, bob):
        page = opened(page_for(person, color_scheme=scheme), helped_call)
        if person == alice:
            page.get_by_role("button", name="Resolve …").first.click()
            page.locator("#message-box").fill("x" * 300)
        found = [
            (v["id"], [node["html"][:160] for node in v["nodes"][:3]])
            for v in Axe().run(page).response["violations"]
        ]
        assert not found, found


@browser
@pytest.mark.parametrize("width", [390, 720])
def test_narrow_pages_do_not_scroll_sideways(
    page_for: Open, alice: User, helped_call: Call, width: int
) -> None:
    page = opened(page_for(alice, viewport={"width": width, "height": 844}), helped_call)
    page.get_by_role("button", name="Resolve …").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, input, textarea, a.second')].filter(n => n.checkVisibility())"
        ".map(n => n.getBoundingClientRect()).filter(b => b.height < 24 || b.width < 24).length"
    )
    assert small == 0
