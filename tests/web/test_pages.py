"""What Alice, Bob and Carol see in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from calls import push
from calls.models import Call, User
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Any]


def live(page: Any) -> None:
    page.wait_for_selector('.line-state[data-line="live"]')


def changed(call: Call, **fields: Any) -> None:
    """As `record` would say it."""
    call.tile = call.tile | fields
    call.save(update_fields=["tile"])
    push.publish([(group, {"type": "tile", "tile": call.tile}) for group in call.groups()])


def test_log_in_leads_to_the_floor(page_for: Open, alice: User) -> None:
    # Tests hash passwords cheaply; the server is not a test.
    User.objects.filter(pk=alice.pk).update(password=PBKDF2PasswordHasher().encode(PASSWORD, "salt"))
    page = page_for(None)
    page.goto("/")
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/floor/")
    assert page.get_by_text("No call has ever reached this floor").is_visible()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/account/login/**")


def test_alice_sees_the_tile_and_opens_the_call(page_for: Open, alice: User, full_call: Call) -> None:
    page = page_for(alice)
    page.goto("/floor/")
    live(page)
    tile = page.locator("[data-band] .tile")
    assert "Help now" in tile.inner_text()
    assert "Frustrated, not acknowledged" in tile.inner_text()
    assert "third time I call" in tile.inner_text()
    tile.locator("a").click()
    page.wait_for_url(f"**/calls/{full_call.pk}/")
    live(page)
    page.wait_for_selector(".chart .main-svg")
    assert "Frustrated" in page.locator("mark", has_text="third time I call").inner_text()
    assert page.locator(".why li").count() == 5
    assert "lost on the way" in page.locator("[data-coverage]").inner_text()
    page.get_by_text("The same as a table").click()
    page.locator("[data-table] tbody tr").nth(50).wait_for(state="attached")


def test_alignment_outlook_and_timing_are_the_same_for_agent_and_supervisor(
    page_for: Open, alice: User, bob: User, full_call: Call
) -> None:
    for person in (alice, bob):
        page = page_for(person)
        page.goto(f"/calls/{full_call.pk}/")
        live(page)
        events = page.locator("[data-alignment] li")
        assert events.count() == 4
        assert "fit 66%" in events.nth(1).inner_text()
        assert "first fitting answer after 0.9 s · recovered after 22.5 s" in events.nth(1).inner_text()
        assert "no fitting answer yet · not recovered yet" in events.nth(3).inner_text()
        assert "2 of 3" in page.locator("[data-alignment-sum]").inner_text()
        outlook = page.locator("[data-outlook]").inner_text()
        assert "At risk" in outlook and "uncalibrated" in outlook
        assert "make a complaint" in page.locator("[data-outlook-reasons]").inner_text()
        timing = page.locator("[data-timing]").inner_text()
        assert "0.6 s" in timing and "181 words/min" in timing


def test_a_call_appears_changes_and_leaves_without_reload(
    page_for: Open, alice: User, make_call: Callable[..., Call]
) -> None:
    page = page_for(alice)
    page.goto("/floor/")
    live(page)
    call = make_call("CA2")
    tile = page.locator(f'.tile[data-id="{call.pk}"]')
    tile.wait_for()
    assert "no score yet" in tile.inner_text()
    changed(call, risk="help", reason="Dismissive answer")
    page.locator(f'[data-band] .tile[data-id="{call.pk}"]').wait_for()
    assert "Bob Okafor needs help: Dismissive answer" in page.locator("[data-announce]").inner_text()
    ended = "2020-01-01T00:00:00+00:00"
    changed(call, risk="calm", status="ended", ended_at=ended)
    tile.wait_for(state="detached")
    assert page.get_by_text("All quiet — no live calls").is_visible()


def test_words_arrive_live_on_the_call_page(page_for: Open, bob: User, full_call: Call) -> None:
    page = page_for(bob)
    page.goto(f"/calls/{full_call.pk}/")
    live(page)
    turn = {
        "channel": "customer", "start_ms": 500_000, "end_ms": 501_000, "text": "Now that really helps me.",
        "confidence": 0.9, "states": {"satisfaction": 0.8}, "behaviours": {}, "redacted": 0,
        "cues": [{"label": "satisfaction", "strength": 0.8, "confidence": 0.7, "quote": "really helps", "source": "heads"}],
    }  # fmt: skip
    push.publish([(f"call.{full_call.pk}", {"type": "turn", "turn": turn})])
    mark = page.locator("mark", has_text="really helps")
    mark.wait_for()
    assert "Satisfied" in mark.inner_text()


def test_bob_sees_his_call_and_no_floor(page_for: Open, bob: User, full_call: Call) -> None:
    page = page_for(bob)
    page.goto("/")
    assert page.url.endswith("/me/")
    page.get_by_role("link", name="My calls").click()
    page.get_by_role("link", name="Bob Okafor", exact=True).click()
    live(page)
    assert page.goto("/floor/").status == 404
    assert page.get_by_role("heading", name="Not found").is_visible()


def test_carol_sees_nothing(page_for: Open, carol: User, full_call: Call) -> None:
    page = page_for(carol)
    assert page.goto(f"/calls/{full_call.pk}/").status == 404
    page.goto("/floor/")
    live(page)
    assert page.locator(".tile").count() == 0
    assert "Bob" not in page.content()
    page.goto("/calls/")
    assert "Bob" not in page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page_for: Open, alice: User, full_call: Call, scheme: str) -> None:
    page = page_for(alice, color_scheme=scheme)
    found = {}
    for address in ("/floor/", f"/calls/{full_call.pk}/", "/calls/", "/nowhere/"):
        page.goto(address)
        if "/calls/" != address != "/nowhere/":
            live(page)
        found[address] = violations(page)
    stranger = page_for(None, color_scheme=scheme)
    stranger.goto("/account/login/")
    found["login"] = violations(stranger)
    assert not any(found.values()), found


def violations(page: Any) -> list[Any]:
    return [
        (v["id"], [node["html"][:160] for node in v["nodes"][:3]])
        for v in Axe().run(page).response["violations"]
    ]


def test_the_first_paint_needs_no_script(page_for: Open, alice: User, full_call: Call) -> None:
    page = page_for(alice, java_script_enabled=False)
    page.goto("/floor/")
    assert "Frustrated, not acknowledged" in page.locator(".tile").inner_text()
    page.get_by_label("Agent, queue or team").fill("nobody")
    page.get_by_role("button", name="Filter").click()
    page.get_by_text("No live call fits this filter").wait_for()
    page.goto(f"/calls/{full_call.pk}/")
    assert "third time I call" in page.locator(".transcript").inner_text()


def test_keyboard(page_for: Open, alice: User, full_call: Call) -> None:
    page = page_for(alice)
    page.goto("/floor/")
    live(page)
    page.keyboard.press("p")
    page.wait_for_selector('.line-state[data-line="paused"]')
    changed(full_call, agent="Somebody Else")
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    assert page.locator(".line-state").get_attribute("data-line") == "paused"
    assert "Bob Okafor" in page.locator(".tile").inner_text()
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Somebody Else").wait_for()
    page.keyboard.press("?")
    page.get_by_role("button", name="Keyboard help").click()
    page.get_by_label("Single-key shortcuts are on").check()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("nobody")
    page.get_by_text("No live call fits this filter").wait_for()
    assert "q=nobody" in page.url
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.locator(".tile").wait_for()  # shown again in the next frame
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/calls/.+/"))


def test_a_paused_call_page_holds_still(page_for: Open, bob: User, full_call: Call) -> None:
    page = page_for(bob)
    page.goto(f"/calls/{full_call.pk}/")
    live(page)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector('.line-state[data-line="paused"]')
    changed(full_call, reason="Something new")
    page.wait_for_timeout(2500)
    assert not page.get_by_text("Something new").is_visible()
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Something new").wait_for()


def test_an_old_number_is_dated_and_a_lost_line_is_said(page_for: Open, alice: User, full_call: Call) -> None:
    page = page_for(alice)
    sockets: list[Any] = []

    def pass_on(socket: Any) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    page.route_web_socket("**/ws/floor/", pass_on)
    page.goto("/floor/")
    live(page)
    page.wait_for_selector(".tile[data-stale]", timeout=9000)
    assert "stale since" in page.locator(".tile").inner_text()
    assert page.locator('.tile [data-f="empathy"]').inner_text().isdigit()
    sockets[0].close()
    page.wait_for_selector('.line-state[data-line="reconnecting"]')
    live(page)
    assert len(sockets) == 2


@pytest.mark.parametrize("width", [390, 720])
def test_narrow_and_zoomed_pages_do_not_scroll_sideways(
    page_for: Open, alice: User, full_call: Call, width: int
) -> None:
    """720 CSS pixels is a 1440-pixel screen at 200 %."""
    page = page_for(alice, viewport={"width": width, "height": 844})
    for address in ("/floor/", f"/calls/{full_call.pk}/"):
        page.goto(address)
        live(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        small = page.evaluate(
            "[...document.querySelectorAll('button, select, input, summary, .tile a, nav a')].filter(n => n.checkVisibility())"
            ".map(n => n.getBoundingClientRect()).filter(b => b.height < 24 || b.width < 24).length"
        )
        assert small == 0
