"""The call's page when the call is over: all of it is drawn and listed, and what made the score is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone

from calls import push, wire
from calls.choices import CallStatus
from calls.models import Call, Moment, User
from scoring.types import Contribution

Open = Callable[..., Any]


def line(t_ms: int, target: str, amount: float) -> Contribution:
    return Contribution(t_ms, target, amount, 0.7, "words", f"said “{t_ms}”")


def test_the_why_list_of_a_call_that_is_over_holds_what_weighed_most() -> None:
    made = [
        line(1, "frustration", 0.9), line(2, "empathy", -9.0), line(3, "empathy", 6.0), line(4, "empathy", 0.5),
        line(5, "calm", 0.2), line(6, "empathy", 7.0), line(7, "satisfaction", 0.4), line(8, "satisfaction", 0.3),
    ]  # fmt: skip
    assert [doc["t_ms"] for doc in wire.why_docs(made, closed=False)] == [4, 5, 6, 7, 8]
    assert [doc["t_ms"] for doc in wire.why_docs(made, closed=True)] == [2, 6, 3, 4, 1]
    assert wire.why_docs([], closed=True) == []


@pytest.fixture
def long_call(full_call: Call) -> Call:
    """An hour and a half, a score a second, with a silence, a deep fall of one score, and turns of state."""
    full_call.moments.all().delete()
    Moment.objects.bulk_create(
        Moment(
            call=full_call, t_ms=t * 1000, state="frustration" if t // 600 % 2 else "calm", intensity=0.5,
            confidence=0.8, distress=0.4, empathy=3.0 if t == 2222 else 60.0 + t % 7, empathy_low=50.0,
            empathy_high=80.0, opportunities=0,
        )
        for t in range(1, 5400)
        if not 3000 < t < 3060
    )  # fmt: skip
    full_call.media_ms = 5_400_000
    heaviest = [line(700_000, "empathy", 8.4), line(60_000, "frustration", 0.4)]
    full_call.view = full_call.view | {"why": wire.why_docs(heaviest, closed=True)}
    full_call.save()
    return full_call


def over(call: Call) -> Call:
    call.status, call.ended_at = CallStatus.ENDED, timezone.now()
    call.tile = call.tile | call.tile_base()
    call.final = {"empathy": 61.0, "empathy_low": 55.0, "empathy_high": 67.0, "met": 3, "opportunities": 4}
    call.save()
    return call


DRAWN = "() => { const t = document.querySelector('.chart').data[2]; return [t.x.length, t.x[0], Math.min(...t.y.filter((y) => y !== null))]; }"
FIRST = 946_684_800_000 + 1000
"""The first second, on an axis that begins at a midnight."""


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_long_call_keeps_its_beginning(page_for: Open, long_call: Call, alice: User) -> None:
    page = page_for(alice)
    page.goto(f"/calls/{long_call.pk}/")
    page.locator("[data-line=live]").wait_for()
    page.wait_for_selector(".chart .main-svg")
    assert page.evaluate(DRAWN)[0] <= 700
    assert page.locator("[data-drawn]").inner_text() == "Drawn from 1:20:00 on; all of it after the call."
    page.locator("[data-table] summary").click()
    page.get_by_text("The newest 200 of 5340 scores; all of them after the call.").wait_for()

    over(long_call)
    page.reload()
    page.wait_for_selector(".chart .main-svg")
    points, first, lowest = page.evaluate(DRAWN)
    assert first <= FIRST and lowest == 3, "its beginning, and the one deep fall"
    assert 2000 < points < 3600
    assert (
        "scores are drawn: in each stretch the lowest and the highest"
        in page.locator("[data-drawn]").inner_text()
    )
    page.locator("[data-table] summary").click()
    page.wait_for_function("() => document.querySelectorAll('[data-table] tbody tr').length > 5340")
    assert page.locator("[data-listed]").is_hidden()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_what_is_over_has_no_new_words_and_nothing_to_pause(
    page_for: Open, full_call: Call, alice: User
) -> None:
    page = page_for(alice)
    page.goto(f"/calls/{full_call.pk}/")
    page.locator("[data-line=live]").wait_for()
    scroller, below = page.locator("[data-scroller]"), page.locator("[data-jump]")
    at_end = "(list) => list.scrollHeight - list.scrollTop - list.clientHeight < 48"
    assert scroller.evaluate("(list) => list.scrollHeight > list.clientHeight + 100"), "more than fits"
    assert scroller.evaluate(at_end), "live, it begins at what is said now"
    assert page.locator("[data-pause]").is_visible()

    over(full_call)
    page.reload()
    page.locator("[data-line=ended]").wait_for()
    assert scroller.evaluate("(list) => list.scrollTop") == 0, "over, it is read from its beginning"
    assert below.is_hidden() and page.locator("[data-pause]").is_hidden()
    page.keyboard.press("p")
    assert page.locator("[data-line=ended]").is_visible()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_thinning_keeps_silences_and_invents_none(page_for: Open, long_call: Call, alice: User) -> None:
    over(long_call)
    page = page_for(alice)
    page.goto(f"/calls/{long_call.pk}/")
    page.wait_for_selector(".chart .main-svg")
    gaps, wide = page.evaluate(
        """() => {
            const [line, bars] = [document.querySelector('.chart').data[2], document.querySelector('.chart').data[4]];
            const spans = bars.x.map((x, i) => [x - bars.width[i] / 2, x + bars.width[i] / 2]);
            const holes = spans.slice(1).filter(([from], i) => from - spans[i][1] > 1500);
            return [line.y.filter((y, i) => y === null && i > 2).length, holes.map(([from]) => from - 946684800000)];
        }"""
    )
    assert gaps == 2, "one break: its end and the new beginning"
    assert wide == [3_057_000.0], "the ribbon is whole but for the one silence"


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_times_lead_into_the_transcript_and_needs_say_whether_they_were_met(
    page_for: Open, full_call: Call, alice: User, scheme: str, width: int
) -> None:
    over(full_call)
    page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto(f"/calls/{full_call.pk}/")
    page.wait_for_selector(".chart .main-svg")
    for place in "[data-why]", "[data-alignment]", "[data-outlook-reasons]":
        link = page.locator(f"{place} a.second").first
        link.click()
        start = page.evaluate("Number(document.activeElement.dataset.key.split(':')[1])")
        minutes, seconds = link.inner_text().split(":")
        assert start // 1000 <= int(minutes) * 60 + int(seconds), place
    symbols = page.evaluate(
        "() => document.querySelector('.chart').data.filter((t) => t.marker?.symbol?.startsWith?.('triangle-up'))"
        ".map((t) => [t.marker.symbol, t.x.length, t.hovertext[0]])"
    )
    assert [(s, n) for s, n, _ in symbols] == [("triangle-up", 3), ("triangle-up-open", 1)]
    assert ", met (answered 66%)" in symbols[0][2] and ", not met (answered 21%)" in symbols[1][2]
    assert "4:00, talk and hold from start to end" in page.locator("[data-timing]").inner_text()
    page.locator("[data-table] summary").click()
    page.get_by_text("not met: answered 21%").first.wait_for()
    assert not Axe().run(page).violations_count
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_end_comes_to_an_open_page(page_for: Open, long_call: Call, alice: User) -> None:
    """Without loading it again: what was cut off while it ran is drawn, and the list says what it is now."""
    page = page_for(alice)
    page.goto(f"/calls/{long_call.pk}/")
    page.locator("[data-line=live]").wait_for()
    page.wait_for_selector(".chart .main-svg")
    page.get_by_text("The last five things that moved a number").wait_for()
    over(long_call)
    tile = {"type": "tile", "tile": long_call.tile}
    push.publish(
        [
            (f"call.{long_call.pk}", tile),
            (f"call.{long_call.pk}", {"type": "final", "final": long_call.final}),
        ]
    )
    page.get_by_text("What moved the score most, the largest first").wait_for()
    page.wait_for_function(f"() => document.querySelector('.chart').data[2].x[0] <= {FIRST}")
    assert page.locator("[data-why] li").first.inner_text().startswith("11:40")
