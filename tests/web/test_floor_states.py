"""Every state the floor and the wall can be in: nothing for axe in either theme; without motion and in forced
colours nothing moves, and what is said by colour is said by glyph and word as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from calls.models import Call, User
from tests.web.test_line_lost import score
from tests.web.test_pages import live

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Any]
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Line:
    """What lies between page and server: it may be cut for good, or fall silent while it stays open."""

    def __init__(self, page: Any) -> None:
        self.sockets: list[Any] = []
        self.is_cut = self.is_silent = False
        page.route_web_socket("**/ws/**", self.pass_on)

    def pass_on(self, socket: Any) -> None:
        if self.is_cut:
            socket.close()
            return
        self.sockets.append(socket)
        server = socket.connect_to_server()
        server.on_message(lambda message: None if self.is_silent else socket.send(message))

    def cut(self, page: Any) -> None:
        self.is_cut = True
        self.sockets[-1].close()
        page.wait_for_selector('.line-state[data-line="reconnecting"]')
        page.wait_for_selector(".headline[data-old]")

    def fall_silent(self, page: Any) -> None:
        self.is_silent = True
        page.wait_for_selector('.line-state[data-line="stale"]')
        page.wait_for_selector(".headline[data-old]")


def pause(page: Any) -> None:
    page.keyboard.press("p")
    page.wait_for_selector('.line-state[data-line="paused"]')


@dataclass(frozen=True)
class State:
    address: str
    calls: str
    """On the floor: "none" ever, "over" (all of them), or "help" (one that needs it)."""
    shows: str
    cut: bool = False
    silent: bool = False
    then: Callable[[Any], object] = lambda page: None


STATES = {
    "first run": State("/floor/", "none", "No call has ever reached this floor"),
    "empty": State("/floor/", "over", "All quiet"),
    "empty and cut off": State("/floor/", "over", "Not known since", cut=True),
    "filtered to nothing": State("/floor/?q=nobody", "help", "No live call fits this filter"),
    "reconnecting": State("/floor/", "help", "as of", cut=True),
    "stale": State("/floor/", "help", "stale since", silent=True),
    "paused": State("/floor/", "help", "scored at", then=pause),
    "help open": State(
        "/floor/", "help", "next and previous call", then=lambda page: page.keyboard.press("?")
    ),
    "wall, empty": State("/floor/wall/", "over", "All quiet"),
    "wall, empty and cut off": State("/floor/wall/", "over", "Not known since", cut=True),
    "wall, stale": State("/floor/wall/", "help", "as of", silent=True),
}
MOVES = """[...document.querySelectorAll("*")].map((node) => getComputedStyle(node)).filter((style) =>
  style.animationName !== "none" || style.transitionDuration.split(", ").some((time) => parseFloat(time) > 0)).length
  + document.getAnimations().length"""
MARKS = """[...document.querySelectorAll(".tile .risk, .tile .state, .line-state, .wall-help .how > span:first-child")]
  .filter((mark) => mark.checkVisibility())"""
UNSAID = f"""{MARKS}.filter((mark) => {{
  const [glyph] = mark.getElementsByClassName("glyph");
  const seen = glyph.getBoundingClientRect().width > 4 && !/^rgba.*, 0\\)$/.test(getComputedStyle(glyph).color);
  const word = mark.innerText.replace(glyph.innerText, "");
  return !(seen && glyph.innerText.trim() && /\\p{{L}}{{3}}/u.test(word));
}}).map((mark) => mark.outerHTML)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_state(page_for: Open, alice: User, request: Any, scheme: str, state: State) -> None:
    if state.calls != "none":
        call: Call = request.getfixturevalue("full_call")
        score(call)
        if state.calls == "over":
            Call.objects.filter(pk=call.pk).update(status="ended", ended_at=LONG_AGO)
    page = page_for(alice, color_scheme=scheme, viewport={"width": 1280, "height": 800})
    line = Line(page)
    page.goto(state.address)
    live(page)
    if state.cut:
        line.cut(page)
    if state.silent:
        line.fall_silent(page)
    state.then(page)
    page.get_by_text(state.shows).locator("visible=true").first.wait_for()

    found = Axe().run(page).response["violations"]
    assert not found, [(v["id"], [node["html"][:160] for node in v["nodes"][:3]]) for v in found]
    page.emulate_media(reduced_motion="reduce", forced_colors="active", color_scheme=scheme)
    assert page.evaluate(MOVES) == 0
    assert page.evaluate(f"{MARKS}.length") > 0 and page.evaluate(UNSAID) == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_at_a_slow_rate_ages_are_dated_and_what_is_old_says_so_in_time(
    page_for: Open, alice: User, full_call: Call
) -> None:
    page = page_for(alice)
    page.add_init_script("localStorage.setItem('rate', '15000')")
    score(full_call)
    page.goto("/floor/")
    live(page)
    page.locator("[data-band] .tile [data-f=age]", has_text="scored at").wait_for(timeout=4000)
    page.wait_for_selector("[data-band] .tile[data-stale]", timeout=11_000)
    assert "stale since" in page.locator("[data-band] .tile [data-f=age]").inner_text()


def test_a_tile_out_of_sight_is_dated_and_goes_stale_in_time(
    page_for: Open, alice: User, make_call: Callable[..., Call]
) -> None:
    calls = [make_call(f"CA{n:02}") for n in range(20)]
    page = page_for(alice, viewport={"width": 390, "height": 700})
    for call in calls:
        score(call)
    page.goto("/floor/")
    live(page)
    last = page.locator("[data-grid] .tile").last
    assert not last.evaluate("tile => tile.getBoundingClientRect().top < innerHeight + 100")
    last.locator("[data-f=age]", has_text="scored at").wait_for(state="attached")
    page.wait_for_selector("[data-grid] .tile:last-child[data-stale]", state="attached", timeout=11_000)
