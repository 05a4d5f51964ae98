"""Listening in and stepping in, in the phone system: who may, when, and that the agent is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.utils import timezone

from calls import record
from calls.choices import CallStatus, LookKind, Role
from calls.models import Call, Look, Source, User
from tests import servers

pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Any]
KINDS = [("listen", LookKind.LISTEN), ("barge", LookKind.BARGE)]


@pytest.fixture
def spied(full_call: Call) -> Call:
    Source.objects.update(
        listen_url="https://pbx.example/spy?call={call}&who={agent}",
        barge_url="https://pbx.example/whisper/{call}",
    )
    full_call.refresh_from_db()
    return full_call


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_each_click_is_noted_and_leads_there(spied: Call, alice: User) -> None:
    client = logged_in(alice)
    answer = client.get(f"/calls/{spied.pk}/listen")
    assert (answer.status_code, answer["Location"]) == (302, "https://pbx.example/spy?call=CA-full&who=bob")
    assert client.get(f"/calls/{spied.pk}/barge")["Location"] == "https://pbx.example/whisper/CA-full"
    client.get(f"/calls/{spied.pk}/listen")
    assert list(Look.objects.values_list("user__username", "kind", "open")) == [
        ("alice", LookKind.LISTEN, False), ("alice", LookKind.BARGE, False), ("alice", LookKind.LISTEN, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("path", "kind"), KINDS)
def test_neither_the_agent_nor_outsiders(
    spied: Call, alice: User, bob: User, carol: User, path: str, kind: LookKind
) -> None:
    address = f"/calls/{spied.pk}/{path}"
    assert {logged_in(user).get(address).status_code for user in (bob, carol)} == {404}
    assert Client().get(address).status_code == 302 and "login" in Client().get(address)["Location"]
    assert logged_in(alice).post(address).status_code == 405
    assert logged_in(alice).get(f"/calls/not-one/{path}").status_code == 404
    assert not Look.objects.exists()
    dana = User.objects.create_user("dana", role=Role.ADMIN)
    assert logged_in(dana).get(address).status_code == 302 and Look.objects.get().kind == kind


@pytest.mark.parametrize(("path", "kind"), KINDS)
def test_a_source_without_an_address_and_a_call_that_is_over(
    spied: Call, alice: User, path: str, kind: LookKind
) -> None:
    address = f"/calls/{spied.pk}/{path}"
    Call.objects.update(status=CallStatus.ENDED)
    answer = logged_in(alice).get(address)
    assert answer.status_code == 409 and "nobody left to listen to" in answer.content.decode()
    Source.objects.update(listen_url="", barge_url="")
    assert logged_in(alice).get(address).status_code == 404
    assert not Look.objects.exists()


def test_another_site_makes_nobody_listen(spied: Call, alice: User) -> None:
    answer = logged_in(alice).get(f"/calls/{spied.pk}/listen", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer["Location"] == spied.get_absolute_url() and not Look.objects.exists()


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_alice_listens_in_and_bob_sees_it(
    page_for: Open,
    web_server: servers.Server,
    full_call: Call,
    alice: User,
    bob: User,
    scheme: str,
    width: int,
) -> None:
    here = f"{web_server.http}/health/live?call={{call}}"
    Source.objects.update(listen_url=here, barge_url=here + "&say=hello")
    agent = page_for(bob)
    agent.goto("/me/")
    agent.locator("[data-line=live]").wait_for()
    page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto(f"/calls/{full_call.pk}/")
    page.locator("[data-line=live]").wait_for()
    for name, end in ("Listen", "?call=CA-full"), ("Step in", "?call=CA-full&say=hello"):
        with page.expect_popup() as opened:
            page.get_by_role("link", name=name).click()
        opened.value.wait_for_url(f"**/health/live{end}")
    agent.get_by_text("(listened in live)").wait_for()
    agent.get_by_text("(stepped in live)").wait_for()
    assert not Axe().run(page).violations_count
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert record.close_lost(timezone.now() + timedelta(minutes=1)) == [str(full_call.pk)]
    page.get_by_role("link", name="Listen").wait_for(state="hidden")
    assert page.get_by_role("link", name="Step in").is_visible(), "not from under the focus"
    page.locator("h1").click()
    page.get_by_role("link", name="Step in").wait_for(state="hidden")


@pytest.mark.browser
def test_the_agents_own_page_has_no_such_button(page_for: Open, spied: Call, bob: User) -> None:
    page = page_for(bob)
    page.goto(f"/calls/{spied.pk}/")
    page.locator("[data-line=live]").wait_for()
    assert page.get_by_role("link", name="Listen").count() == 0
