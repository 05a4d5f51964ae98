"""The recording of a finished call: who may play it, ranges, what is logged, and the player on the page."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from calls import keeping
from calls.choices import CallStatus
from calls.models import Call, Look, Source, User
from calls.views.audio import Range, Unsatisfiable, wanted
from scoring.types import HOP_SAMPLES, RATE_HZ, Channel
from tests import servers
from tests.web.test_pages import violations

pytestmark = pytest.mark.django_db(transaction=True)
browser = pytest.mark.browser
Open = Callable[..., Any]
SECONDS = 240


@pytest.fixture(scope="module")
def audio_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audio")


@pytest.fixture(scope="module")
def web_env(audio_dir: Path) -> dict[str, str]:
    return {"AUDIO_DIR": str(audio_dir), "KEEP_AUDIO": "1"}


@pytest.fixture(autouse=True)
def here_too(settings: Any, audio_dir: Path) -> None:
    settings.AUDIO_DIR, settings.KEEP_AUDIO = audio_dir, True


@pytest.fixture
def over(full_call: Call) -> Call:
    """The full call, ended; its source keeps audio."""
    Source.objects.update(keep_audio=True)
    now = timezone.now()
    full_call.status, full_call.ended_at = CallStatus.ENDED, now
    full_call.tile |= {"status": "ended", "ended_at": now.isoformat(), "risk": "calm"}
    full_call.save()
    return full_call


@pytest.fixture
def played(over: Call) -> Call:
    """With its recording."""
    dice = np.random.default_rng(5)
    for channel in Channel:
        hops = dice.integers(-2000, 2000, (SECONDS * RATE_HZ // HOP_SAMPLES, HOP_SAMPLES)).astype(np.int16)
        keeping.write(str(over.pk), channel, dict(enumerate(hops)))
    keeping.finish(str(over.pk), {})
    return over


@pytest.fixture
def get(web_server: servers.Server, session_of: Callable[[User], str]) -> Callable[..., Any]:
    """A real request to the real server: (status, headers, body)."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> None:
            return None

    def ask(user: User | None, call: Call, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
        request = urllib.request.Request(f"{web_server.http}/calls/{call.pk}/audio", method=method)
        if user:
            request.add_header("Cookie", f"{django_settings.SESSION_COOKIE_NAME}={session_of(user)}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.build_opener(Stay).open(request, timeout=20) as found:
                return found.status, found.headers, found.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    return ask


def data(call: Call) -> bytes:
    found = keeping.find(call.pk)
    assert found
    return found.read_bytes()


# --- who may --------------------------------------------------------------------------------------


def test_alice_and_bob_may_listen(get: Open, alice: User, bob: User, played: Call) -> None:
    for user in (alice, bob):
        status, headers, body = get(user, played, Accept_Encoding="gzip")
        assert status == 200 and body == data(played)
        assert headers["Content-Type"] == "audio/ogg" and headers["Accept-Ranges"] == "bytes"
        assert headers["Cache-Control"] == "private, no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert int(headers["Content-Length"]) == len(body)


def test_carol_may_not_and_learns_nothing(get: Open, carol: User, played: Call) -> None:
    there, _, words = get(carol, played)
    nowhere, _, same = get(carol, Call())
    assert there == nowhere == 404
    assert same_page(words) == same_page(same)
    assert not Look.objects.exists()


def test_another_agent_may_not(get: Open, bob: User, played: Call) -> None:
    other = User.objects.create(username="other", role="agent", team=bob.team)
    assert get(other, played)[0] == 404


def test_a_stranger_is_asked_to_log_in(get: Open, played: Call) -> None:
    status, headers, _ = get(None, played)
    assert status == 302 and "/login/" in headers["Location"]


def test_nothing_is_posted_there(alice: User, played: Call) -> None:
    client = Client()
    client.force_login(alice)
    assert client.post(f"/calls/{played.pk}/audio").status_code == 405


def test_nothing_kept_is_said(get: Open, alice: User, carol: User, over: Call) -> None:
    status, headers, body = get(alice, over)
    assert status == 404 and body == b"No audio is kept of this call."
    assert b"No audio" not in get(carol, over)[2]
    assert not Look.objects.exists()


def same_page(page: bytes) -> bytes:
    return re.sub(rb'value="\w{64}"|[0-9a-f-]{36}', b"", page)  # CSRF token, and what was asked for


# --- ranges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-", 0, -1), ("bytes=0-0", 0, 0), ("bytes=100-299", 100, 299), ("bytes=-500", -500, -1),
     ("bytes=1000-99999999999", 1000, -1), ("bytes=-99999999999", 0, -1), (" bytes=5-6 ", 5, 6)],
)  # fmt: skip
def test_a_range(get: Open, alice: User, played: Call, asked: str, first: int, last: int) -> None:
    whole = data(played)
    first, last = (n + len(whole) if n < 0 else n for n in (first, last))
    status, headers, body = get(alice, played, Range=asked)
    assert status == 206 and body == whole[first : last + 1]
    assert headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"
    assert int(headers["Content-Length"]) == len(body)


@pytest.mark.parametrize("asked", ["bytes=99999999999-", "bytes=99999999999-99999999999", "bytes=-0"])
def test_a_range_that_cannot_be_given(get: Open, alice: User, played: Call, asked: str) -> None:
    status, headers, body = get(alice, played, Range=asked)
    assert status == 416 and not body
    assert headers["Content-Range"] == f"bytes */{len(data(played))}"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=-",
        "bytes=5-4",
        "bytes=a-b",
        "seconds=0-5",
        "bytes=0-1,5-6",
        "bytes",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_what_is_no_range_is_passed_over(get: Open, alice: User, played: Call, asked: str) -> None:
    status, headers, body = get(alice, played, Range=asked)
    assert status == 200 and body == data(played) and "Content-Range" not in headers


def test_the_last_byte() -> None:
    assert wanted("bytes=9-9", 10) == Range(9, 9)
    with pytest.raises(Unsatisfiable):
        wanted("bytes=10-10", 10)


def test_asking_how_long_it_is(get: Open, alice: User, played: Call) -> None:
    status, headers, body = get(alice, played, "HEAD")
    assert status == 200 and not body and int(headers["Content-Length"]) == len(data(played))
    assert not Look.objects.exists(), "nothing was heard"


# --- who listened ---------------------------------------------------------------------------------


def test_listening_is_noted_once_a_look(get: Open, alice: User, bob: User, played: Call) -> None:
    for asked in ("bytes=0-99", "bytes=100-199", "bytes=200-"):
        get(alice, played, Range=asked)
    look = Look.objects.get()
    assert look.user == alice and look.listened_at
    get(bob, played)
    assert Look.objects.count() == 1, "the call is his own"


def test_looking_is_not_listening(alice: User, played: Call) -> None:
    client = Client()
    client.force_login(alice)
    client.get(f"/calls/{played.pk}/")
    assert Look.objects.get().listened_at is None


# --- in a browser ---------------------------------------------------------------------------------

NOW_MS = "() => document.querySelector('audio').currentTime * 1000"
HEARD = '.turn[aria-current="time"]'


def opened(page: Any, call: Call) -> Any:
    page.goto(f"/calls/{call.pk}/")
    page.wait_for_selector('.line-state[data-line="ended"], .line-state[data-line="live"]')
    page.wait_for_selector(".chart .main-svg")
    return page


def from_time(page: Any, place: int) -> tuple[Any, int]:
    """The button at a turn's time, and the turn's start."""
    button = page.locator(".turn [data-play]").nth(place)
    return button, int(button.get_attribute("data-play"))


@browser
def test_opening_the_page_fetches_no_audio(page_for: Open, alice: User, played: Call) -> None:
    page = page_for(alice)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, played)
    assert page.get_by_role("heading", name="Recording").is_visible()
    assert not [url for url in asked if url.endswith("/audio")]
    assert Look.objects.get().listened_at is None
    assert page.locator(HEARD).count() == 0 and page.locator(".chart .cursor").is_hidden()


@browser
def test_a_turns_time_plays_from_there_and_bob_sees_it(
    page_for: Open, alice: User, bob: User, played: Call
) -> None:
    agent = opened(page_for(bob), played)
    page = opened(page_for(alice), played)
    button, start_ms = from_time(page, 4)
    assert button.get_attribute("aria-label") == "Play from 1:15"
    scrolled = page.locator("[data-scroller]").evaluate("node => node.scrollTop")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => ({NOW_MS})() > {start_ms} + 300")
    assert page.evaluate(NOW_MS) < start_ms + 5000
    assert page.locator(HEARD).get_attribute("data-key") == f"agent:{start_ms}"
    assert page.evaluate("document.activeElement.dataset.play") == str(start_ms), "the focus stays"
    assert page.locator("[data-scroller]").evaluate("node => node.scrollTop") == scrolled
    line = page.locator(".chart .cursor")
    assert line.is_visible()
    before = line.bounding_box()["x"]
    other, later_ms = from_time(page, 9)
    other.click()
    page.wait_for_selector(f'{HEARD}[data-key$=":{later_ms}"]')
    assert page.locator(HEARD).count() == 1
    assert line.bounding_box()["x"] > before + 50
    agent.locator("[data-looks] li", has_text="Alice Moreau").get_by_text("listened").wait_for()


@browser
def test_the_transcript_follows_only_when_asked(page_for: Open, alice: User, played: Call) -> None:
    page = opened(page_for(alice, viewport={"width": 1280, "height": 500}), played)
    scrolled = "node => node.scrollTop"
    scroller = page.locator("[data-scroller]")
    assert page.evaluate("document.querySelector('[data-scroller]').scrollHeight > 500")
    button, _ = from_time(page, 0)
    button.click()
    page.wait_for_selector(HEARD)
    scroller.evaluate("node => (node.scrollTop = 0)")
    page.evaluate("document.querySelector('audio').currentTime = 200")
    page.wait_for_function(f"() => !document.querySelector('{HEARD}')?.dataset.key.endsWith(':1500')")
    assert scroller.evaluate(scrolled) == 0
    page.get_by_label("The transcript follows").check()
    page.evaluate("document.querySelector('audio').currentTime = 180")
    page.wait_for_function("() => document.querySelector('[data-scroller]').scrollTop > 0")
    page.reload()
    assert page.get_by_label("The transcript follows").is_checked()


@browser
def test_a_click_on_the_chart_seeks(page_for: Open, alice: User, played: Call) -> None:
    page = opened(page_for(alice), played)
    box = page.locator(".chart .nsewdrag").first.bounding_box()
    x = box["x"] + box["width"] / 2
    page.mouse.click(x, box["y"] + box["height"] / 2)
    page.wait_for_function(f"() => ({NOW_MS})() > 0")
    at_ms = page.evaluate(NOW_MS)
    assert 60_000 < at_ms < 180_000
    assert abs(page.locator(".chart .cursor").bounding_box()["x"] - x) < 4
    assert page.locator("audio").evaluate("audio => audio.paused"), (
        "it goes there; it does not begin by itself"
    )
    page.mouse.move(x, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(x + 80, box["y"] + 20)
    page.mouse.up()
    assert page.evaluate(NOW_MS) == at_ms, "a drag is no click"
    page.evaluate("document.querySelector('[data-theme-toggle]').click()")
    page.wait_for_timeout(300)
    assert abs(page.locator(".chart .cursor").bounding_box()["x"] - x) < 4


@browser
def test_the_recording_is_gone_meanwhile(page_for: Open, alice: User, played: Call) -> None:
    page = opened(page_for(alice), played)
    keeping.forget(played.pk)
    from_time(page, 2)[0].click()
    page.get_by_text("The recording cannot be played.").wait_for()


@browser
@pytest.mark.parametrize(
    ("keeps", "status", "words"),
    [
        (False, CallStatus.ENDED, "No audio is kept for this source."),
        (False, CallStatus.LIVE, "No audio is kept for this source."),
        (True, CallStatus.LIVE, "The recording can be played here after the call."),
        (True, CallStatus.ENDED, "No audio is kept of this call."),
    ],
)
def test_without_a_recording_there_is_no_player(
    page_for: Open, alice: User, over: Call, keeps: bool, status: CallStatus, words: str
) -> None:
    Source.objects.update(keep_audio=keeps)
    Call.objects.update(status=status)
    page = opened(page_for(alice), over)
    assert page.locator("audio, [data-play], [data-recording]").count() == 0
    assert page.locator("[data-kept]").inner_text() == words


@browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 360])
def test_the_player_is_accessible(page_for: Open, alice: User, played: Call, scheme: str, width: int) -> None:
    page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
    opened(page, played)
    from_time(page, 1)[0].click()
    page.wait_for_selector(HEARD)
    page.wait_for_timeout(200)
    assert not violations(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    small = (
        "button => { const box = button.getBoundingClientRect(); return Math.min(box.width, box.height); }"
    )
    for target in (".play-from", "[data-recording] audio", "[data-recording] label"):
        assert page.locator(target).first.evaluate(small) >= 24, target
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/recording-{scheme}-{width}.png", full_page=True)
