"""Tokens, webhooks and the API's reference by hand: a secret is shown once, and nobody's but one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client

from calls import tokens, webhooks
from calls.choices import Role
from calls.models import ApiToken, User, Webhook

Open = Callable[..., Any]


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.django_db
def test_nobody_sees_or_revokes_anothers(alice: User, bob: User, carol: User, dana: User) -> None:
    token, _ = tokens.make(bob, "spreadsheet", ["calls"], 7)
    for user in (alice, carol):
        assert "spreadsheet" not in logged_in(user).get("/tokens/").content.decode()
        assert logged_in(user).post(f"/tokens/{token.pk}/revoke").status_code == 404
    assert Client().get("/tokens/").status_code == 302
    assert "spreadsheet" in logged_in(dana).get("/tokens/").content.decode()
    assert logged_in(dana).post(f"/tokens/{token.pk}/revoke").status_code == 302
    token.refresh_from_db()
    assert token.revoked_at


@pytest.mark.django_db
@pytest.mark.parametrize(
    "said", [{}, {"name": "x"}, {"name": "x", "scopes": "calls"}, {"name": "x", "scopes": "all", "days": "7"}, {"name": "x\0", "scopes": "calls", "days": "9"}]
)  # fmt: skip
def test_a_token_that_cannot_be(alice: User, said: dict[str, str]) -> None:
    page = logged_in(alice).post("/tokens/", said)
    assert page.status_code == 200 and b'role="alert"' in page.content
    assert not ApiToken.objects.exists()


@pytest.mark.django_db
def test_webhooks_are_for_admins(alice: User, bob: User, carol: User, dana: User) -> None:
    hook, _ = webhooks.make(dana, "CRM", "https://example.com/hooks", ["call.finished"], None)
    row = webhooks.ping(hook)
    paths = [
        "/webhooks/",
        f"/webhooks/{hook.pk}/",
        f"/webhooks/{hook.pk}/do",
        f"/webhooks/{hook.pk}/deliveries/{row.pk}/again",
    ]
    for path in paths:
        assert Client().get(path).status_code == 302, path
        for user in (alice, bob, carol):
            assert logged_in(user).get(path).status_code == 404, path
            assert logged_in(user).post(path, {"do": "remove"}).status_code == 404, path
    assert logged_in(dana).get(f"/webhooks/{hook.pk}/?page=x").status_code == 200
    assert Webhook.objects.get() == hook


@pytest.mark.django_db
@pytest.mark.parametrize("said", [{}, {"name": "x"}, {"name": "x", "url": "http://x/", "events": "call.finished"}, {"name": "x", "url": "https://x/", "events": "ping"}])  # fmt: skip
def test_a_webhook_that_cannot_be(dana: User, said: dict[str, str]) -> None:
    client = logged_in(dana)
    page = client.post("/webhooks/", said)
    assert page.status_code == 200 and b'role="alert"' in page.content and not Webhook.objects.exists()
    hook, _ = webhooks.make(dana, "CRM", "https://example.com/hooks", ["call.finished"], None)
    page = client.post(f"/webhooks/{hook.pk}/", said)
    assert page.status_code == 200 and b'role="alert"' in page.content
    hook.refresh_from_db()
    assert (hook.name, hook.url) == ("CRM", "https://example.com/hooks")
    assert client.post("/webhooks/", {"team": "99"}).status_code == 404
    assert client.post(f"/webhooks/{hook.pk}/do", {"do": "dance"}).status_code == 302


@pytest.mark.browser
def test_a_token_and_a_webhook_by_hand(page_for: Open, dana: User, alice: User) -> None:
    hook, _ = webhooks.make(dana, "CRM", "https://example.com/hooks", ["call.finished"], None)
    webhooks.ping(hook)
    for scheme, width in (("dark", 390), ("light", 1280)):
        page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
        for path in ("/tokens/", "/webhooks/", f"/webhooks/{hook.pk}/"):
            page.goto(path)
            assert Axe().run(page).response["violations"] == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.goto("/tokens/")
    page.get_by_label("What uses it").fill("Wallboard")
    page.get_by_role("button", name="Make it").click()
    page.get_by_text("at least one of the list").wait_for()
    page.get_by_label("Alerts", exact=False).first.check()
    page.get_by_role("button", name="Make it").click()
    token = page.get_by_label("Token", exact=True).input_value()
    told = page.request.get("/api/v1/who", headers={"Authorization": f"Bearer {token}"}).json()
    assert told["username"] == "dana" and told["scopes"] == ["alerts"]
    page.goto("/tokens/")
    assert token not in page.content()
    page.get_by_role("button", name="Revoke Wallboard").click()
    page.get_by_text("no longer works").wait_for()
    page.goto("/webhooks/")
    page.get_by_label("Name").fill("Helpdesk")
    page.get_by_label("Address").fill("https://helpdesk.example/in")
    page.get_by_label("A call is over and scored").check()
    page.get_by_role("button", name="Make it").click()
    assert page.get_by_role("textbox", name="Signing secret").input_value().startswith("whsec_")
    page.get_by_role("button", name="Send a test").click()
    page.get_by_text("A test is on its way").wait_for()
    page.get_by_role("button", name="Switch off").click()
    page.get_by_role("button", name="Switch on").wait_for()


@pytest.mark.browser
def test_the_reference_by_keyboard(page_for: Open, alice: User) -> None:
    for scheme, width in (("light", 1280), ("dark", 390)):
        page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
        page.goto("/api/v1/docs")
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="/api/v1/calls/{call_id}/timeline").click()
    page.wait_for_url("**#calls_timeline")
    page.locator("#calls_timeline").get_by_text("moments").wait_for()
