"""A real server, a real browser, and people already logged in."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlparse

import pytest
from django.conf import settings
from django.test import Client

from calls.models import Alert, Call, CoverageBlock, Moment, Nudge, Turn, User
from empathy_dash import embedded
from tests import servers
from tests.web import made_up

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MAP_STYLES = "ji27qzEtxXZW"
"""The one thing our CSP refuses: styles for maps, which plotly.min.js carries and we never draw."""


@pytest.fixture
def session_of(transactional_db: None) -> Callable[[User], str]:
    def make(user: User) -> str:
        client = Client()
        client.force_login(user)
        return client.cookies[settings.SESSION_COOKIE_NAME].value

    return make


@pytest.fixture(scope="module")
def web_env() -> dict[str, str]:
    """What a module's web process is to be told besides."""
    return {}


@pytest.fixture(scope="session")
def web_servers(django_db_setup: None) -> Iterator[Callable[[dict[str, str]], servers.Server]]:
    """Web processes by what they were told: most modules share one, whose start costs seconds."""
    running: dict[tuple[tuple[str, str], ...], servers.Server] = {}
    with ExitStack() as stack:

        def get(env: dict[str, str]) -> servers.Server:
            key = tuple(sorted(env.items()))
            if key not in running or running[key].process.poll() is not None:
                running[key] = stack.enter_context(_web_server(env))
            return running[key]

        yield get


@contextmanager
def _web_server(env: dict[str, str]) -> Iterator[servers.Server]:
    """As production starts it, on the test database."""
    port = embedded.free_ports()
    command = [
        sys.executable, "-m", "uvicorn", "empathy_dash.asgi:application", "--host", "127.0.0.1",
        "--port", str(port), "--no-access-log",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    own = {"PUBLIC_URL": address, "PORT": str(port), "MEDIA_PUBLIC_URL": f"ws://127.0.0.1:{port}"}
    with servers.started("web", command, f"{address}/health/live", **own, **env) as (process, log):
        yield servers.Server(process, port, log)


@pytest.fixture(scope="module")
def web_server(
    web_servers: Callable[[dict[str, str]], servers.Server], web_env: dict[str, str]
) -> servers.Server:
    return web_servers(web_env)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    # Playwright's sync API keeps a loop in this thread, which Django takes for an async view.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page_for(
    chromium: Any, web_server: servers.Server, session_of: Callable[[User], str]
) -> Iterator[Callable[..., Any]]:
    """Opens a page as somebody. Every test fails if a page talks to another origin or, unless it is `loud`
    (to Chromium a refused request is an error), logs one."""
    contexts, trouble = [], []

    def open_as(user: User | None, loud: bool = False, **options: Any) -> Any:
        context = chromium.new_context(base_url=web_server.http, **options)
        contexts.append(context)
        if user:
            cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session_of(user), "url": web_server.http}
            context.add_cookies([cookie])
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda request: _same_origin(request.url, web_server.port, trouble))
        page.on("websocket", lambda socket: _same_origin(socket.url, web_server.port, trouble))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        if not loud:
            page.on("console", lambda message: _quiet(message, trouble))
        return page

    yield open_as
    for context in contexts:
        context.close()
    assert not trouble, trouble


def _same_origin(url: str, port: int, trouble: list[str]) -> None:
    parts = urlparse(url)
    if parts.scheme not in ("data", "blob") and (parts.hostname, parts.port) != ("127.0.0.1", port):
        trouble.append(f"left the origin: {url}")


def _quiet(message: Any, trouble: list[str]) -> None:
    expected = MAP_STYLES in message.text or "404 (Not Found)" in message.text
    if message.type == "error" and not expected:
        trouble.append(message.text)


@pytest.fixture
def full_call(make_call: Callable[..., Call], transactional_db: None) -> Call:
    """A live call of Bob's that needs help, four minutes in, with everything a page can show."""
    call = make_call("CA-full")
    doc = made_up.call()
    turns = [Turn(call=call, **turn) for turn in doc["turns"]]
    Turn.objects.bulk_create(turns)
    Moment.objects.bulk_create([Moment(call=call, **moment) for moment in doc["moments"]])
    Nudge.objects.bulk_create([Nudge(call=call, **nudge) for nudge in doc["nudges"]])
    Alert.objects.bulk_create([Alert(call=call, **alert) for alert in doc["alerts"]])
    for channel in ("customer", "agent"):
        CoverageBlock.objects.create(call=call, channel=channel, block=0, hops="s" * 60 + "l" * 4)
    parts = ("opportunities", "why", "timing", "components", "alignment", "outlook")
    call.view = {name: doc[name] for name in parts}
    own = call.tile_base()
    call.tile = (
        doc["tile"] | own | {"risk": "help", "reason": "Frustrated, not acknowledged", "media_ms": 240_000}
    )
    call.tile |= {"scored_at": made_up.datetime.now(made_up.UTC).isoformat(), "quote": "third time I call"}
    call.media_ms = 240_000
    call.save()
    return call
