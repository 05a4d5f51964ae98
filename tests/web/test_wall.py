"""The floor on a wall: initials only, no words of a caller, nothing to press; nothing for outsiders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.sessions.models import Session
from django.test import Client
from playwright.sync_api import expect

from calls import push, wire
from calls.models import Call, Team, User

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


@pytest.mark.django_db(transaction=True)
def test_a_wall_of_one_team(full_call: Call, alice: User, carol: User, travel: Team, client: Client) -> None:
    alice.supervises.add(travel)
    client.force_login(alice)
    page = client.get(f"/floor/wall/?team={full_call.team_id}").content.decode()
    assert full_call.tile["reason"] in page and full_call.team.name in page
    assert full_call.tile["reason"] not in client.get(f"/floor/wall/?team={travel.pk}").content.decode()
    for wrong in ("9999", "x", "-1", "1%00"):
        answer = client.get(f"/floor/wall/?team={wrong}")
        assert answer.status_code == 404
        assert (
            "You watch no team" in answer.content.decode() and full_call.team.name in answer.content.decode()
        )
    client.force_login(carol)
    answer = client.get(f"/floor/wall/?team={full_call.team_id}")
    assert answer.status_code == 404 and full_call.team.name not in answer.content.decode()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_wall_of_one_team_hears_of_no_other(
    page_for: Open, alice: User, full_call: Call, travel: Team
) -> None:
    alice.supervises.add(travel)
    page = page_for(alice, viewport={"width": 1920, "height": 1080})
    page.goto(f"/floor/wall/?team={travel.pk}")
    page.wait_for_selector('.line-state[data-line="live"]')
    push.publish([(group, {"type": "tile", "tile": full_call.tile}) for group in full_call.groups()])
    one = {"team": travel.pk, "id": str(uuid4()), "initials": "XY", "reason": "Of this team"}
    push.publish([(f"team.{travel.pk}", {"type": "tile", "tile": full_call.tile | one})])
    page.get_by_text("Of this team").wait_for()
    assert page.locator("[data-help] li").count() == 1
    page.goto("/floor/?team=" + str(travel.pk))
    assert page.get_by_role("link", name="Wall").get_attribute("href") == f"/floor/wall/?team={travel.pk}"
    page.locator("[name=team]").select_option("")
    assert (
        page.get_by_role("link", name="Wall").evaluate("link => link.pathname + link.search")
        == "/floor/wall/"
    )


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_wall_that_was_logged_out_comes_back_after_log_in(
    page_for: Open, alice: User, full_call: Call, session_of: Callable[[User], str]
) -> None:
    page = page_for(alice, loud=True, viewport={"width": 1920, "height": 1080})
    [cookie] = page.context.cookies()
    page.add_init_script("const wait = setTimeout; setTimeout = (act, ms) => wait(act, Math.min(ms, 1000));")
    page.goto("/floor/wall/")
    page.wait_for_selector('.line-state[data-line="live"]')
    Session.objects.all().delete()
    page.wait_for_selector('.line-state[data-line="out"]', timeout=30_000)
    page.wait_for_selector(".headline[data-old]")
    assert "logged out" in page.locator(".line-state").inner_text()
    page.context.add_cookies([cookie | {"value": session_of(alice)}])
    page.wait_for_selector('.line-state[data-line="live"]')
    page.locator("[data-help] li").wait_for()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_more_calls_than_there_is_room_for_are_counted(page_for: Open, alice: User, full_call: Call) -> None:
    page = page_for(alice, viewport={"width": 1920, "height": 1080})
    page.goto("/floor/wall/")
    page.wait_for_selector('.line-state[data-line="live"]')
    [group, *_] = full_call.groups()
    many = [full_call.tile | {"id": str(uuid4()), "risk": "calm"} for _ in range(250)]
    push.publish([(group, {"type": "tile", "tile": tile}) for tile in many])
    page.get_by_text("more, calmer ones").wait_for()
    expect(page.locator("[data-h=live]")).to_have_text("251")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    shown = page.locator("[data-all] li").count()
    assert f"and {250 - shown} more, calmer ones" in page.locator("[data-rest]").inner_text()


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
