"""An agent's own page: a cue comes, is judged and taken; messages; who looks on; own choices; and outsiders."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from calls import helping, live, nudging, record
from calls.choices import MISSING, Role, Verdict
from calls.models import Call, NudgeChoices, Policy, ShownNudge, User
from calls.views.me import CUE_STAYS, KINDS, cue_up
from tests import servers
from tests.calls.pieces import agent, scored
from tests.calls.test_nudging import upset
from tests.web.test_pages import changed
from tests.web.test_pages import live as is_live

Open = Callable[..., Any]
NARROW = {"width": 380, "height": 760}


def in_browser(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.browser(pytest.mark.django_db(transaction=True)(test))


@pytest.fixture(autouse=True)
def fresh_precision() -> None:
    nudging._precision.clear()


@pytest.fixture
def loud_page(
    chromium: Any, web_server: servers.Server, session_of: Callable[[User], str]
) -> Iterator[Callable[..., Any]]:
    """A page that may log errors: to Chromium a refused post is one."""
    contexts = []

    def open_as(user: User, **options: Any) -> Any:
        context = chromium.new_context(base_url=web_server.http, **options)
        contexts.append(context)
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session_of(user), "url": web_server.http}
        context.add_cookies([cookie])
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    yield open_as
    for context in contexts:
        context.close()


@pytest.fixture
def call(make_call: Callable[..., Call], request: pytest.FixtureRequest) -> Call:
    if "session_of" in request.fixturenames:
        request.getfixturevalue("transactional_db")
    return make_call("CA-me")


def worry(call: Call) -> ShownNudge:
    record.record_scores([scored(str(call.pk), upset(), hops=range(4))])
    return ShownNudge.objects.get(call=call)


def answer(call: Call, row: ShownNudge) -> None:
    record.record_scores([scored(str(call.pk), agent(3000, **{row.missing: 0.9}), hops=range(4, 8))])


def scored_now(call: Call, **fields: Any) -> None:
    call.refresh_from_db()
    changed(call, scored_at=datetime.now(UTC).isoformat(), **fields)


def opened(page_for: Open, user: User, **options: Any) -> Any:
    page = page_for(user, **{"viewport": NARROW} | options)
    page.goto("/me/")
    is_live(page)
    return page


@in_browser
def test_a_cue_comes_is_judged_and_taken(page_for: Open, bob: User, call: Call) -> None:
    page = opened(page_for, bob)
    row = worry(call)
    cue = page.locator("[data-cue]")
    cue.wait_for()
    assert row.cue in cue.inner_text() and "The caller seems anxious" in cue.inner_text()
    assert 1 <= cue.locator("blockquote").count() <= 2
    assert all(phrase in cue.inner_text() for phrase in row.phrases[:2])
    assert page.locator("[data-announce]").inner_text() == f"Cue: {row.cue}"
    assert page.evaluate("document.activeElement === document.body"), "focus never moves by itself"
    page.get_by_role("button", name="Helpful", exact=True).click()
    cue.wait_for(state="hidden")
    assert page.get_by_text("You said: helpful.").is_visible()
    assert "you said: helpful" in page.locator("[data-earlier]").inner_text()
    row.refresh_from_db()
    assert row.verdict == Verdict.HELPFUL and row.verdict_at is not None
    answer(call, row)
    page.get_by_text("✓ you did it").wait_for()


@in_browser
def test_what_came_of_it_shows_on_the_card_and_keeps_the_focus(page_for: Open, bob: User, call: Call) -> None:
    row = worry(call)
    page = opened(page_for, bob)
    page.get_by_role("button", name="Not now").focus()
    answer(call, row)
    page.locator("[data-cue] [data-came]").get_by_text("✓ you did it").wait_for()
    row.refresh_from_db()
    row.recovered_ms = 9000
    row.save()
    helping._tell(call, {"type": "cue", "cue": live.wire.shown_doc(row)})
    page.locator("[data-cue]").get_by_text("the caller calmed down").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Not now"
    page.keyboard.press("Enter")
    page.locator("[data-cue]").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.textContent") == "You said: not now."


@in_browser
def test_keys_judge_and_a_word_can_be_changed(page_for: Open, bob: User, call: Call) -> None:
    row = worry(call)
    page = opened(page_for, bob)
    page.keyboard.press("w")
    page.get_by_text("You said: wrong.").wait_for()
    page.keyboard.press("h")  # no cue is up: it means nothing
    page.get_by_role("button", name="Change ").click()
    pressed = page.locator("[data-cue] [aria-pressed=true]")
    assert pressed.inner_text() == "Wrong"
    page.keyboard.press("n")
    page.get_by_text("You said: not helpful.").wait_for()
    row.refresh_from_db()
    assert row.verdict == Verdict.NOT
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.locator("[data-help-dialog]").wait_for(state="hidden")
    page.keyboard.press("m")
    assert not page.get_by_label("Mute cues").is_checked()


@in_browser
def test_it_goes_by_itself_after_45_seconds(page_for: Open, bob: User, call: Call) -> None:
    row = worry(call)
    ShownNudge.objects.update(shown_at=timezone.now() - CUE_STAYS + timedelta(seconds=6))
    page = page_for(bob)
    page.goto("/me/")
    cue = page.locator("[data-cue]")
    assert cue.is_visible()
    cue.wait_for(state="hidden")
    assert row.cue in page.locator("[data-earlier]").inner_text()
    page.get_by_role("button", name="Helpful? ").click()
    cue.get_by_text("The caller seemed anxious").wait_for()
    page.get_by_role("button", name="Helpful", exact=True).click()
    page.get_by_text("You said: helpful.").wait_for()


@in_browser
def test_offline_says_so_and_the_cue_stays(loud_page: Open, bob: User, call: Call) -> None:
    row = worry(call)
    page = opened(loud_page, bob)
    page.context.set_offline(True)
    page.get_by_role("button", name="Helpful", exact=True).click()
    page.locator("[data-cue]").get_by_text("Offline: nothing was sent.").wait_for()
    assert page.locator("[data-cue]").is_visible()
    row.refresh_from_db()
    assert row.verdict == ""


@in_browser
def test_a_message_is_read(page_for: Open, alice: User, bob: User, call: Call) -> None:
    page = opened(page_for, bob)
    message = helping.send(call, alice, "Take your time, I am with you.")
    above = page.locator("[data-now] [data-newest]")
    above.get_by_text("I am with you.").wait_for()
    assert str(alice) in above.inner_text() and not page.locator("[data-messages]").is_visible()
    assert page.locator("[data-announce]").inner_text().startswith(f"{alice} writes: Take")
    button = page.get_by_role("button", name="Got it")
    button.click()
    button.wait_for(state="hidden")
    assert page.evaluate("document.activeElement !== document.body"), "the focus is not lost with the button"
    page.evaluate("document.activeElement.blur()")
    page.locator("[data-messages]").get_by_text("I am with you.").wait_for()
    assert "✓ got it" in page.locator("[data-messages]").inner_text()
    message.refresh_from_db()
    assert message.read_at is not None


@in_browser
def test_a_message_that_a_newer_one_displaced_is_not_read(
    page_for: Open, alice: User, bob: User, call: Call
) -> None:
    page = opened(page_for, bob)
    first = helping.send(call, alice, "Take your time.")
    page.get_by_role("button", name="Got it: Take your time.").focus()
    helping.send(call, alice, "You may waive the fee.")
    newest = page.locator("[data-now] [data-newest]")
    newest.get_by_text("You may waive the fee.").wait_for()
    assert "got it" not in newest.inner_text()
    first.refresh_from_db()
    assert first.read_at is None


@in_browser
def test_who_is_watching(page_for: Open, alice: User, bob: User, call: Call) -> None:
    page = opened(page_for, bob)
    onlooker = page_for(alice)
    onlooker.goto(f"/calls/{call.pk}/")
    page.locator("[data-looks]").get_by_text(f"{alice} is watching").wait_for()
    assert page.locator("[data-now] [data-watching]").inner_text() == f"● {alice} is watching"
    is_live(onlooker)  # a page that goes before its socket came is let go of 20 s later
    onlooker.close()
    page.get_by_text(f"{alice} looked").wait_for()
    assert page.get_by_text(f"{alice} is watching").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@in_browser
def test_who_watches_and_what_they_write_is_seen_without_scrolling(
    page_for: Open, alice: User, bob: User, call: Call, scheme: str
) -> None:
    """Beside a phone client: 380 x 760, with a cue up."""
    worry(call)
    scored_now(call)
    helping.look(call, alice)
    helping.send(call, alice, "First one.")
    helping.send(call, alice, "You may waive the fee; " * 10)
    page = opened(page_for, bob, color_scheme=scheme)
    inside = "(node) => { const box = node.getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight }"
    for part in ("[data-watching]", "[data-newest]", "[data-newest] button", "[data-cue-words]"):
        node = page.locator(part)
        node.wait_for()
        assert node.evaluate(inside), part
    assert "and 1 more message below" in page.locator("[data-people]").inner_text()
    assert page.locator("[data-messages]").get_by_text("First one.").is_visible()
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()


@in_browser
def test_pause_holds_caller_and_cue_but_no_message(
    page_for: Open, alice: User, bob: User, call: Call
) -> None:
    scored_now(call, state="calm", confidence=0.9)
    page = opened(page_for, bob)
    now = page.locator("[data-now]")
    now.get_by_text("Calm").wait_for()
    page.keyboard.press("p")
    button = page.get_by_role("button", name="Go on")
    assert button.get_attribute("aria-pressed") == "true"
    row = worry(call)
    helping.send(call, alice, "Still with you?")
    page.locator("[data-newest]").get_by_text("Still with you?").wait_for()
    assert "Calm" in now.inner_text() and "paused · this is as of" in now.inner_text()
    assert "paused" in page.locator(".line-state").inner_text()
    assert not page.locator("[data-cue]").is_visible()
    button.click()
    page.locator("[data-cue]").get_by_text(row.cue).wait_for()
    assert "Anxious" in now.inner_text()


@in_browser
def test_a_cue_brings_what_the_playbook_has_for_its_queue(
    page_for: Open, alice: User, bob: User, make_call: Callable[..., Call]
) -> None:
    call = make_call("CA-fraud", queue="Fraud")
    row = worry(call)
    ShownNudge.objects.update(link="https://desk.example/fraud?a=1")
    scored_now(call)
    page = opened(page_for, bob)
    words = page.locator("[data-cue] [data-solution]")
    assert row.solution and row.solution in words.inner_text()
    link = words.get_by_role("link", name="desk.example")
    assert link.get_attribute("href") == "https://desk.example/fraud?a=1"
    assert link.get_attribute("rel") == "noopener noreferrer" and link.get_attribute("target") == "_blank"
    assert not Axe().run(page).violations_count
    whole = page_for(alice)
    whole.goto(f"/calls/{call.pk}/")
    whole.locator("[data-cues]").get_by_text(row.solution).wait_for()
    assert whole.locator("[data-cues]").get_by_role("link", name="desk.example").is_visible()
    helping._tell(call, {"type": "cue", "cue": live.wire.shown_doc(row) | {"link": "javascript:alert(1)"}})
    link.wait_for(state="hidden")


@pytest.mark.parametrize("why", ["policy", "one side"])
@in_browser
def test_where_no_cues_come_it_says_so(page_for: Open, bob: User, call: Call, why: str) -> None:
    if why == "policy":
        Policy.objects.create(cues=False)
    else:
        call.counters = {"streams": {"customer": 1}}
        call.save()
    record.record_scores([scored(str(call.pk), upset(), hops=range(4))])
    page = opened(page_for, bob)
    said = page.locator("[data-no-cues]")
    said.wait_for()
    assert (
        "switched them off" in said.inner_text() if why == "policy" else "caller’s side" in said.inner_text()
    )
    assert page.get_by_label("Mute cues").is_visible() is (why != "policy")
    assert not ShownNudge.objects.exists() and not page.locator("[data-cue]").is_visible()
    changed(call, status="ended", ended_at=datetime.now(UTC).isoformat())
    page.get_by_text("No call is running").wait_for()
    promised = page.get_by_text("now and then a cue").count()
    assert promised == (0 if why == "policy" else 1)


@in_browser
def test_choices_are_saved(page_for: Open, bob: User, call: Call) -> None:
    page = opened(page_for, bob)
    page.get_by_text("How cues come").click()
    page.get_by_label("Seconds between").fill("90")
    page.get_by_label("owns it").uncheck()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    page.get_by_label("Mute cues").check()
    page.get_by_text("No cue comes until").wait_for()
    choices = NudgeChoices.objects.get(agent=bob)
    assert (choices.every_s, choices.per_call, choices.kinds_off, choices.muted) == (90, 6, ["own"], True)
    helping.choose(bob, {"per_call": 3, "muted": False})  # from another window
    expect(page.locator("#per_call")).to_have_value("3")
    assert not page.get_by_label("Mute cues").is_checked()


@in_browser
def test_what_is_wrong_is_said_beside_it_and_what_was_typed_stays(
    loud_page: Open, bob: User, call: Call
) -> None:
    page = opened(loud_page, bob)
    page.get_by_text("How cues come").click()
    field = page.get_by_label("Cues in a call")
    assert page.get_by_text("Your team’s rubric allows no more than 6.").is_visible()
    for typed in ("7", ""):
        field.fill(typed)
        page.get_by_role("button", name="Save").click()
        page.locator("#per_call-said").get_by_text("Must be 0 to 6 under your team’s rubric.").wait_for()
        assert field.get_attribute("aria-invalid") == "true" and field.input_value() == typed
    field.fill("4")
    page.context.set_offline(True)
    page.get_by_role("button", name="Save").click()
    page.locator("[data-form]").get_by_text("Offline: nothing was sent.").wait_for()
    assert field.input_value() == "4" and field.get_attribute("aria-invalid") is None
    field.blur()
    page.keyboard.press("m")
    page.locator(".mute").get_by_text("Offline: nothing was sent.").wait_for()
    assert not page.get_by_label("Mute cues").is_checked(), "a switch says what is so"


@in_browser
def test_one_number_honest_about_what_it_does_not_know(page_for: Open, bob: User, call: Call) -> None:
    page = opened(page_for, bob)
    now = page.locator("[data-now]")
    assert "Unsure" in now.inner_text() and "no score yet" in now.inner_text().replace(
        "Waiting for the first words", "no score yet"
    )
    assert "not judged" in now.inner_text() and "no need arose yet" in now.inner_text()
    scored_now(call, state="anxiety", confidence=0.3, empathy=61.4, empathy_low=52.0, empathy_high=70.0)
    now.get_by_text("61", exact=True).wait_for()
    assert all(words in now.inner_text() for words in ("Anxious", "not sure", "52–70", "scored"))
    assert now.get_attribute("data-low") is not None
    page.wait_for_selector("[data-now][data-stale]")
    assert "stale: as of" in now.inner_text() and "61" in now.inner_text()


@in_browser
def test_a_lost_line_is_said(loud_page: Open, bob: User, call: Call) -> None:
    scored_now(call)
    page = loud_page(bob)
    lines: list[Any] = []
    page.route_web_socket("**/ws/me/", lambda line: lines.append(line) if lines else join(line, lines))
    page.goto("/me/")
    is_live(page)
    lines[0].close()
    page.locator("[data-now]").get_by_text("reconnecting · this is as of").wait_for()
    assert "reconnecting" in page.locator(".line-state").inner_text()


def join(line: Any, lines: list[Any]) -> None:
    """The first line goes through; later ones are never answered."""
    line.connect_to_server()
    lines.append(line)


@in_browser
def test_two_calls_have_a_switch_and_the_newest_is_first(
    page_for: Open, bob: User, call: Call, make_call: Callable[..., Call]
) -> None:
    page = opened(page_for, bob)
    assert not page.locator("[data-pick]").is_visible()
    make_call("CA-two", started_at=timezone.now() + timedelta(seconds=1), queue="Cards")
    page.locator("[data-f=where]").get_by_text("Cards").wait_for()
    other = page.get_by_role("group", name="Which call").get_by_role("button", name="Fees")
    other.click()
    page.locator("[data-f=where]").get_by_text("Fees").wait_for()
    assert other.get_attribute("aria-pressed") == "true"
    assert other.evaluate("(node) => node === document.activeElement")


@in_browser
def test_without_a_call_it_says_what_will_come(page_for: Open, bob: User, call: Call) -> None:
    page = opened(page_for, bob)
    assert not page.get_by_text("No call is running").is_visible()
    changed(call, status="ended", ended_at=datetime.now(UTC).isoformat())
    page.get_by_text("No call is running").wait_for()
    assert not page.locator("[data-now]").is_visible()
    assert page.get_by_text("Your last call has ended.").is_visible()
    assert str(call.pk) in page.get_by_role("link", name="See all of it").get_attribute("href")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
@in_browser
def test_axe_finds_nothing(
    loud_page: Open, alice: User, bob: User, call: Call, scheme: str, width: int
) -> None:
    worry(call)
    helping.send(call, alice, "Well done.")
    helping.look(call, alice)
    scored_now(call)
    page = opened(loud_page, bob, color_scheme=scheme, viewport={"width": width, "height": 800})
    page.get_by_text("How cues come").click()
    page.get_by_label("Cues in a call").fill("99")
    page.get_by_role("button", name="Save").click()
    page.locator("#per_call-said").wait_for()
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()
    # 320 px is 640 px at 200 % zoom.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = "(nodes) => nodes.filter((n) => n.offsetParent && Math.min(n.offsetWidth, n.offsetHeight) < 24).length"
    assert page.locator("main :is(button, input, summary)").evaluate_all(small) == 0


# --- the first paint, outsiders, bad input: no browser ----------------------------------------------


@pytest.mark.django_db
def test_the_first_paint_has_state_and_cue(call: Call, bob: User, client: Client) -> None:
    row = worry(call)
    client.force_login(bob)
    answered = client.get("/me/")
    assert answered.context["cue"]["id"] == row.pk and answered.context["tile"]["id"] == str(call.pk)
    html = answered.content.decode().split('<script id="look"')[0]
    assert row.cue in html and "The caller seems anxious" in html


def test_every_kind_has_words() -> None:
    assert set(KINDS) == {name for name, _ in MISSING}


@pytest.mark.parametrize(
    ("changes", "shown"),
    [({}, True), ({"verdict": "wrong"}, False), ({"age": 45}, False), ({"call": "other"}, False)],
)
def test_which_cue_is_up(changes: dict[str, Any], shown: bool) -> None:
    now = timezone.now()
    at = (now - timedelta(seconds=changes.pop("age", 44))).isoformat()
    cue = {"id": 1, "call": "c", "state": "anxiety", "phrases": [], "link": "", "shown_at": at}
    cue = cue | {"verdict": ""} | changes
    assert bool(cue_up([cue], "c", now)) is shown


@pytest.mark.django_db
def test_outsiders_reach_nothing(call: Call, alice: User, carol: User, client: Client) -> None:
    row, message = worry(call), helping.send(call, alice, "hello")
    other = User.objects.create(username="other-agent", role=Role.AGENT, team=call.team)
    posts = [(f"/me/cues/{row.pk}/verdict", {"verdict": "wrong"}), (f"/me/messages/{message.pk}/read", {})]
    for person in (alice, carol, other):
        client.force_login(person)
        for path, said in posts:
            answered = client.post(path, json.dumps(said), content_type="application/json")
            assert answered.status_code == 404, (person, path)
    for person in (alice, carol):
        client.force_login(person)
        assert client.get("/me/").status_code == 404
        assert client.post("/me/choices", "{}", content_type="application/json").status_code == 404
    client.force_login(other)
    html = client.get("/me/").content.decode()
    assert str(call.pk) not in html and row.cue not in html and "hello" not in html
    assert live.agent_snapshot(other) | {"choices": {}} == {
        "calls": {}, "cues": [], "messages": [], "looks": [], "cues_on": True, "choices": {},
    }  # fmt: skip
    row.refresh_from_db()
    message.refresh_from_db()
    assert row.verdict == "" and message.read_at is None
    client.logout()
    assert client.get("/me/").status_code == 302
    assert client.post(*posts[0], content_type="application/json").status_code == 302


@in_browser
@pytest.mark.parametrize("who", ["alice", "carol"])
def test_supervisors_get_no_socket(
    loud_page: Open, call: Call, request: pytest.FixtureRequest, who: str
) -> None:
    page = loud_page(request.getfixturevalue(who))
    page.goto("/floor/")
    opens = """() => new Promise((done) => {
        const socket = new WebSocket(`ws://${location.host}/ws/me/`);
        socket.onopen = () => done("opened");
        socket.onerror = () => done("refused");
    })"""
    assert page.evaluate(opens) == "refused"


@in_browser
def test_the_socket_of_another_agent_hears_nothing(
    page_for: Open, alice: User, bob: User, call: Call
) -> None:
    other = User.objects.create(username="other-agent", role=Role.AGENT, team=call.team)
    page = page_for(other)
    heard: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: heard.append(str(frame))))
    page.goto("/me/")
    is_live(page)
    helping.judge(worry(call), "helpful")
    helping.mark_read(helping.send(call, alice, "only for Bob"))
    helping.look(call, alice)
    helping.choose(bob, {"every_s": 99})
    # What is meant for this page comes after all that, on the same line.
    helping.choose(other, {"per_call": 3})
    expect(page.locator("#per_call")).to_have_value("3")
    said = "".join(heard)
    assert '"per_call":3' in said
    assert not [secret for secret in (str(call.pk), "only for Bob", '"every_s":99') if secret in said]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/me/cues/{row}/verdict", '{"verdict": "great"}', "must be one of helpful"),
        ("/me/cues/{row}/verdict", "{}", "must be one of helpful"),
        ("/me/cues/{row}/verdict", "{", "not JSON"),
        ("/me/cues/{row}/verdict", "[]", "JSON object"),
        ("/me/choices", '{"every_s": 44}', "45 to 600 under your team's rubric"),
        ("/me/choices", '{"every_s": 1e9}', "45 to 600"),
        ("/me/choices", '{"per_call": null}', "0 to 6"),
        ("/me/choices", '{"per_call": true}', "0 to 6"),
        ("/me/choices", '{"muted": "yes"}', "true or false"),
        ("/me/choices", '{"kinds_off": [[]]}', "kinds_off"),
        ("/me/choices", '{"kinds_off": {"own": 1}}', "kinds_off"),
        ("/me/choices", '{"colour": 1}', "no choice 'colour'"),
        ("/me/choices", '{"x": "' + "y" * 20_000 + '"}', "At most"),
    ],
)
def test_bad_input_is_answered_in_words(
    call: Call, bob: User, client: Client, path: str, body: str, says: str
) -> None:
    row = worry(call)
    client.force_login(bob)
    answered = client.post(path.format(row=row.pk), body, content_type="application/json")
    assert answered.status_code == 400
    assert says in answered.json()["error"]
    assert not NudgeChoices.objects.exists()


@pytest.mark.django_db
def test_a_post_without_the_token_is_refused(call: Call, bob: User) -> None:
    row = worry(call)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(bob)
    path = f"/me/cues/{row.pk}/verdict"
    said = {"data": json.dumps({"verdict": "helpful"}), "content_type": "application/json"}
    assert strict.post(path, **said).status_code == 403
    token = strict.get("/me/").cookies["csrftoken"].value
    assert strict.post(path, **said, headers={"X-CSRFToken": token}).status_code == 204
