"""The floor on a wall: initials only, no words of a caller, nothing to press; nothing for outsiders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client

from calls import push, wire
from calls.models import Call, User

Open = Callable[..., Any]


def secrets(call: Call) -> list[str]:
    assert call.agent is not None
    return [str(call.agent), call.agent.username, call.tile["quote"]]


@pytest.mark.django_db(transaction=True)
def test_no_name_and_no_word_is_on_it(
    full_call: Call, alice: User, bob: User, carol: User, client: Client
) -> None:
    client.force_login(alice)
    page = client.get("/floor/wall/").content.decode()
    assert full_call.tile["initials"] in page and full_call.tile["reason"] in page
    assert not [word for word in secrets(full_call) if word in page]
    client.force_login(bob)
    assert client.get("/floor/wall/").status_code == 404
    client.force_login(carol)
    answer = client.get("/floor/wall/")
    assert answer.status_code == 404 or full_call.tile["reason"] not in answer.content.decode()
    client.logout()
    assert client.get("/floor/wall/").status_code == 302


def test_a_wall_tile_keeps_what_a_wall_needs() -> None:
    tile = {
        "agent": "Bob Okafor",
        "initials": "BO",
        "quote": "x",
        "about": "y",
        "risk": "help",
        "spark": [[1, 2]],
    }
    assert wire.wall_tile(tile) == {
        "agent": "", "initials": "BO", "quote": "", "about": "", "risk": "help", "spark": [],
    }  # fmt: skip


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1920])
def test_it_lives_without_names(
    page_for: Open, alice: User, full_call: Call, scheme: str, width: int
) -> None:
    heard: list[str] = []
    page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 1080})
    page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: heard.append(str(frame))))
    page.goto("/floor/wall/")
    page.wait_for_selector('.line-state[data-line="live"]')
    page.locator("[data-help] li").wait_for()
    full_call.tile |= {"risk": "calm", "reason": "", "scored_at": datetime.now(UTC).isoformat()}
    full_call.save(update_fields=["tile"])
    push.publish([(group, {"type": "tile", "tile": full_call.tile}) for group in full_call.groups()])
    page.locator("[data-h=help]", has_text="0").wait_for()
    assert heard and not [word for word in secrets(full_call) if word in "".join(heard)]
    assert page.locator("button, input, a").count() == 0
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
