"""Tiles never move under a pointer or the focus, and a call that comes to need help meanwhile is not kept back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from calls.models import Call, User
from tests.web.test_pages import changed, live

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Any]


@pytest.fixture
def calm(make_call: Callable[..., Call]) -> list[Call]:
    return [make_call(f"CA{n}") for n in range(3)]


@pytest.fixture
def floor(page_for: Open, alice: User, calm: list[Call]) -> Any:
    page = page_for(alice, viewport={"width": 1280, "height": 900})
    page.goto("/floor/")
    live(page)
    expect(page.locator("[data-grid] .tile")).to_have_count(3)
    return page


def tile(page: Any, call: Call, place: str = "") -> Any:
    return page.locator(f'{place} .tile[data-id="{call.pk}"]')


def needs_help(page: Any, call: Call) -> None:
    changed(call, risk="help", reason="Dismissive answer")
    expect(tile(page, call)).to_have_attribute("data-risk", "help")


def test_a_pointer_holds_the_order_until_it_has_rested(floor: Any, calm: list[Call]) -> None:
    tile(floor, calm[0]).hover()
    needs_help(floor, calm[2])
    button = floor.get_by_role("button", name="1 call needs help — show it")
    button.wait_for()
    assert tile(floor, calm[2], "[data-grid]").count() == 1, "nothing moves under a pointer"
    expect(tile(floor, calm[2], "[data-band]")).to_have_count(
        1, timeout=16_000
    )  # 10 s of rest, 5 s between moves
    expect(button).to_be_hidden()


def test_the_focus_holds_it_and_a_button_shows_who_waits(floor: Any, calm: list[Call]) -> None:
    floor.keyboard.press("j")
    needs_help(floor, calm[1])
    needs_help(floor, calm[2])
    button = floor.get_by_role("button", name="2 calls need help — show them")
    button.wait_for()
    assert floor.locator("[data-band] .tile").count() == 0
    found = Axe().run(floor)
    assert not found.violations_count, found.generate_report()
    floor.keyboard.press("Shift+Tab")
    expect(button).to_be_focused()
    floor.keyboard.press("Enter")
    expect(floor.locator("[data-band] .tile")).to_have_count(2)
    expect(floor.locator("[data-band] .tile a").first).to_be_focused()
    expect(button).to_be_hidden()


def test_a_key_shows_them_too_and_the_mouse_reaches_the_button(floor: Any, calm: list[Call]) -> None:
    floor.keyboard.press("j")
    needs_help(floor, calm[1])
    floor.get_by_role("button", name="1 call needs help — show it").wait_for()
    floor.keyboard.press("n")
    expect(tile(floor, calm[1], "[data-band]").locator("a")).to_be_focused()
    needs_help(floor, calm[2])
    floor.get_by_role("button", name="1 call needs help — show it").click()
    expect(tile(floor, calm[2], "[data-band]").locator("a")).to_be_focused()
    assert floor.url.endswith("/floor/")
