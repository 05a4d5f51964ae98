"""What is over, hidden or paused: no tile lives on, no title and no header tells what nobody knows any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from calls import wire
from calls.choices import CallStatus
from calls.models import Alert, Call, User
from tests.web.test_pages import changed, live

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Any]
HIDE = """(on) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => on });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
STOPS = "[...document.querySelectorAll('.tile:not([hidden]) a')].filter((link) => link.tabIndex === 0).length"


def over(call: Call) -> None:
    """It ended a while ago, and nothing was told of it until now."""
    ended_at = datetime.now(UTC) - timedelta(minutes=1)
    Call.objects.filter(pk=call.pk).update(status=CallStatus.ENDED, ended_at=ended_at)
    call.refresh_from_db()
    changed(call, status="ended", ended_at=ended_at.isoformat(), risk="calm")


def tile(page: Any, call: Call) -> Any:
    return page.locator(f'.tile[data-id="{call.pk}"]')


def cut(page: Any) -> Callable[[], None]:
    """To be called before the page opens; what it returns cuts its line for good."""
    lines: list[Any] = []
    down: list[bool] = []

    def on(route: Any) -> None:
        if down:
            route.close()
            return
        lines.append(route)
        route.connect_to_server()

    page.route_web_socket("**/ws/**", on)

    def now() -> None:
        down.append(True)
        for line in lines:
            line.close()

    return now


def test_a_call_that_is_gone_does_not_live_on_while_tiles_may_not_leave(
    page_for: Open, alice: User, make_call: Callable[..., Call]
) -> None:
    stays, goes = make_call("CA-stays"), make_call("CA-goes")
    page = page_for(alice)
    page.goto("/floor/")
    live(page)
    tile(page, stays).locator("a").focus()
    changed(goes, risk="help", reason="Dismissive answer")
    expect(tile(page, goes)).to_have_attribute("data-risk", "help")
    over(goes)
    expect(tile(page, goes)).to_have_attribute("data-status", "ended")
    assert "ended" in tile(page, goes).inner_text() and page.locator("[data-h=live]").inner_text() == "1"
    page.evaluate("document.activeElement.blur()")
    expect(tile(page, goes)).to_have_count(0)


def test_one_tile_is_in_the_tab_order_whoever_comes_and_goes(
    page_for: Open, alice: User, make_call: Callable[..., Call]
) -> None:
    first, _ = make_call("CA-1"), make_call("CA-2")
    page = page_for(alice)
    page.goto("/floor/")
    live(page)
    page.keyboard.press("j")
    page.evaluate("document.activeElement.blur()")
    assert page.evaluate(STOPS) == 1
    over(first)
    expect(tile(page, first)).to_have_count(0)
    assert page.evaluate(STOPS) == 1
    new = make_call("CA-3")
    changed(new)
    tile(page, new).wait_for()
    assert page.evaluate(STOPS) == 1


def test_a_hidden_page_says_in_its_title_that_it_no_longer_knows(
    page_for: Open, alice: User, full_call: Call
) -> None:
    page = page_for(alice, loud=True)  # to Chromium a line that breaks is an error
    cut_line = cut(page)
    page.goto("/floor/")
    live(page)
    expect(page).to_have_title("(1) Live floor · Empathy Dash")
    page.evaluate(HIDE, True)
    cut_line()
    expect(page).to_have_title("(?) Live floor · Empathy Dash", timeout=12_000)


def test_a_call_that_is_over_says_when_its_line_is_lost(page_for: Open, alice: User, full_call: Call) -> None:
    full_call.final = {"empathy": None, "opportunities": 0, "met": 0, "alerts": 0}
    full_call.status, full_call.ended_at = CallStatus.ENDED, datetime.now(UTC)
    full_call.tile |= full_call.tile_base()
    full_call.save()
    page = page_for(alice, loud=True)
    cut_line = cut(page)
    page.goto(f"/calls/{full_call.pk}/")
    page.locator(".line-state[data-line=ended]").wait_for()
    cut_line()
    page.locator(".line-state[data-line=reconnecting]").wait_for()


def test_on_a_paused_floor_nobody_answers_what_they_have_not_seen(
    page_for: Open, alice: User, make_call: Callable[..., Call]
) -> None:
    call = make_call("CA-1")
    page = page_for(alice)
    page.goto("/floor/")
    live(page)
    page.keyboard.press("p")
    page.locator(".line-state[data-line=paused]").wait_for()
    alert = Alert.objects.create(
        call=call, cause="silence", t_ms=1, title="Over 30 s of silence", severity="help"
    )
    changed(call, **wire.alert_marks(wire.alert_docs([alert])))
    page.wait_for_timeout(1500)  # it has reached the page, which draws nothing
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(page.locator("[data-announce]")).to_contain_text("No alert is open")
    alert.refresh_from_db()
    assert alert.acknowledged_at is None
    page.keyboard.press("p")
    expect(tile(page, call).locator("[data-f=alarms]")).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator("[data-announce]")).to_contain_text("Acknowledged: ")
    alert.refresh_from_db()
    assert alert.acknowledged_by == alice


def test_following_keeps_the_focus(page_for: Open, alice: User, full_call: Call) -> None:
    page = page_for(alice)
    page.goto(f"/calls/{full_call.pk}/")
    live(page)
    button = page.get_by_role("button", name="Follow")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "false")


def test_a_call_without_an_agent_has_no_english_name_in_german(
    page_for: Open, alice: User, make_call: Callable[..., Call]
) -> None:
    call = make_call("CA-1")
    Call.objects.update(agent=None)
    call.refresh_from_db()
    changed(call, **call.tile_base())
    page = page_for(alice, locale="de-DE")
    page.goto("/floor/?q=zugeordnet")
    live(page)
    changed(call, risk="watch")
    expect(tile(page, call)).to_have_attribute("data-risk", "watch")
    assert tile(page, call).locator("[data-f=agent]").inner_text() == "Nicht zugeordnet"
    page.goto(f"/calls/{call.pk}/")
    assert page.get_by_role("heading", level=1).inner_text() == "Nicht zugeordnet"
