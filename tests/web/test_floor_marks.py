"""What people do about calls shows on the floor's tiles: alerts nobody looks after, calls the viewer follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client

from calls import helping, record
from calls.models import Alert, Call, User
from tests.calls.pieces import customer, scored

pytestmark = pytest.mark.django_db
Open = Callable[..., Any]


def raised(call: Call, *causes: str) -> None:
    for cause in causes:
        Alert.objects.create(call=call, cause=cause, t_ms=1000, title=f"About {cause}", severity="help")


def test_the_first_paint_counts_open_alerts(full_call: Call, alice: User, client: Client) -> None:
    raised(full_call, "one", "two")
    helping.acknowledge(Alert.objects.get(call=full_call, cause="one"), alice)
    client.force_login(alice)
    open_now = Call.objects.get(pk=full_call.pk).alerts.filter(acknowledged_at=None, resolved_at=None).count()
    assert open_now > 1
    assert f"{open_now} open alerts" in client.get("/floor/").content.decode()


def test_a_batch_keeps_the_count(make_call: Callable[..., Call], alice: User) -> None:
    call = make_call("CA1")
    record.record_scores([scored(str(call.pk), customer(1000))])
    raised(call, "one")
    helping.acknowledge(Alert.objects.get(call=call), alice)
    assert Call.objects.get(pk=call.pk).tile["alerts_open"] == 0


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_alerts_and_followed_calls_on_open_pages(
    page_for: Open, full_call: Call, make_call: Callable[..., Call], alice: User
) -> None:
    other = make_call("CA2")
    record.record_scores([scored(str(other.pk), customer(1000, frustration=0.0))])
    floor = page_for(alice, viewport={"width": 1280, "height": 900})
    floor.goto("/floor/")
    floor.locator(".line-state[data-line=live]").wait_for()
    tile = floor.locator(f'.tile[data-id="{full_call.pk}"]')
    before = Alert.objects.filter(call=full_call, acknowledged_at=None, resolved_at=None).count()
    helping.acknowledge(Alert.objects.filter(call=full_call, acknowledged_at=None).first(), alice)  # type: ignore[arg-type]
    if before > 1:
        tile.get_by_text(f"{before - 1} open alert").wait_for(state="attached")
    else:
        tile.locator("[data-f=alarms]").wait_for(state="hidden")

    call = page_for(alice, viewport={"width": 1280, "height": 900})
    call.goto(f"/calls/{other.pk}/")
    call.get_by_role("button", name="Follow").click()
    call.get_by_role("button", name="Following").wait_for()
    followed = floor.locator(f'.tile[data-id="{other.pk}"]')
    followed.get_by_text("you follow this call").wait_for(state="attached")
    assert not tile.locator("[data-f=mine]").is_visible()
    found = Axe().run(floor)
    assert not found.violations_count, found.generate_report()
    call.keyboard.press("f")
    followed.locator("[data-f=mine]").wait_for(state="hidden")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_agent_sees_who_follows(page_for: Open, full_call: Call, alice: User, bob: User) -> None:
    page = page_for(bob)
    page.goto("/me/")
    page.locator(".line-state[data-line=live]").wait_for()
    helping.follow(full_call, alice, True)
    page.get_by_text(f"{alice} follows this call").wait_for()
