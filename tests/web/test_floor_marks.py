"""What people do about calls shows on the floor's tiles: alerts nobody looks after, calls the viewer follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import transaction
from django.test import Client
from django.urls import reverse
from playwright.sync_api import expect

from calls import helping, record, wire
from calls.choices import Role
from calls.models import Alert, Call, User
from tests.calls.pieces import customer, scored
from tests.web.test_pages import changed

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


def test_a_tile_says_who_looks_after_it(full_call: Call, alice: User, client: Client) -> None:
    raised(full_call, "one", "two")
    newest = full_call.alerts.get(cause="two")
    helping.acknowledge(full_call.alerts.get(cause="one"), alice)
    tile = Call.objects.get(pk=full_call.pk).tile
    assert tile["helpers"] == [str(alice)]
    assert tile["alert"] is not None and tile["alert"]["cause"] != "one"
    client.force_login(alice)
    assert f"{alice} looks after it" in client.get("/floor/").content.decode()
    assert str(alice) not in str(wire.wall_tile(tile)["helpers"])
    helping.resolve(full_call.alerts.get(cause="one"), alice)
    for alert in full_call.alerts.filter(acknowledged_at=None):
        helping.acknowledge(alert, alice)
    helping.resolve(newest, alice)
    helping.resolve(full_call.alerts.exclude(cause__in=("one", "two")).get(), alice)
    tile = Call.objects.get(pk=full_call.pk).tile
    assert (tile["helpers"], tile["alert"], tile["alerts_open"]) == ([], None, 0)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_alice_acts_from_the_floor_and_dora_sees_it(
    page_for: Open, full_call: Call, make_call: Callable[..., Call], alice: User
) -> None:
    dora = User.objects.create_user("dora", first_name="Dora", last_name="Ray", role=alice.role)
    dora.supervises.set(alice.supervises.all())
    with transaction.atomic():
        marks = wire.alert_marks(wire.alert_docs(full_call.alerts.all()))
        helping.retile(helping.locked_call(full_call), **marks)
    floor, other = (page_for(person, viewport={"width": 1280, "height": 900}) for person in (alice, dora))
    for page in (floor, other):
        page.goto("/floor/")
        page.locator(".line-state[data-line=live]").wait_for()
    said = floor.locator("[data-announce]")
    floor.keyboard.press("a")
    expect(said).to_contain_text("Choose a call first")
    assert not full_call.alerts.exclude(acknowledged_at=None).exists()

    floor.keyboard.press("j")
    floor.keyboard.press("a")
    expect(said).to_contain_text("Acknowledged: Bob Okafor")
    assert full_call.alerts.get().acknowledged_by == alice
    expect(other.locator("[data-band] .tile [data-f=people]")).to_have_text(f"✓ {alice} looks after it")
    expect(floor.locator("[data-band] .tile [data-f=alarms]")).to_be_hidden()
    floor.keyboard.press("a")
    expect(said).to_contain_text("No alert is open")

    floor.keyboard.press("f")
    expect(said).to_contain_text("You follow the call of Bob Okafor")
    expect(other.locator("[data-band] .tile [data-f=people]")).to_contain_text(f"{alice} follows")
    expect(floor.locator("[data-band] .tile [data-f=people]")).not_to_contain_text("follows")
    expect(floor.locator("[data-band] .tile [data-f=mine]")).to_be_visible()
    floor.keyboard.press("f")
    expect(said).to_contain_text("You no longer follow")
    expect(other.locator("[data-band] .tile [data-f=people]")).not_to_contain_text("follows")
    floor.keyboard.press("?")
    assert "acknowledge the newest open alert" in floor.locator("dialog").inner_text()
    found = Axe().run(other)
    assert not found.violations_count, found.generate_report()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_tile_is_called_by_agent_queue_and_risk_and_the_tab_counts(
    page_for: Open, full_call: Call, make_call: Callable[..., Call], alice: User
) -> None:
    other = make_call("CA2", queue="Cards")
    page = page_for(alice)
    page.goto("/floor/?queue=Fees")
    page.locator(".line-state[data-line=live]").wait_for()
    link = page.get_by_role(
        "link", name=f"Bob Okafor {full_call.tile['team_name']} · Fees Help now", exact=True
    )
    expect(link).to_have_count(1)
    expect(page).to_have_title("(1) Live floor · Empathy Dash")
    now = Call.objects.get(pk=other.pk)
    changed(now, risk="help", reason="Not of this queue")
    changed(full_call, risk="help", reason="Of this queue", media_ms=full_call.media_ms + 1)
    page.get_by_text("Of this queue", exact=True).wait_for()
    assert page.locator("[data-announce]").inner_text() == "", "nothing is said of calls outside the filter"
    page.locator("[name=queue]").select_option("")
    expect(page).to_have_title("(2) Live floor · Empathy Dash")
    expect(page.locator("[data-band] .tile:visible")).to_have_count(2)
    assert page.locator("[data-announce]").inner_text() == "", "nor when the filter is taken away"


@pytest.mark.parametrize("admin", [False, True])
def test_an_admin_is_led_to_where_a_source_is_made(alice: User, client: Client, admin: bool) -> None:
    if admin:
        alice.role = Role.ADMIN
        alice.save()
    client.force_login(alice)
    page = client.get("/floor/").content.decode()
    assert "No call has ever reached this floor" in page
    assert (reverse("new_source") in page) is admin


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_agent_sees_who_follows(page_for: Open, full_call: Call, alice: User, bob: User) -> None:
    page = page_for(bob)
    page.goto("/me/")
    page.locator(".line-state[data-line=live]").wait_for()
    helping.follow(full_call, alice, True)
    page.get_by_text(f"{alice} follows this call").wait_for()
