"""Practice: one's own microphone in, the page of the call reacts, and nobody else learns of it."""

from __future__ import annotations

import time
import wave
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as site
from django.test import Client
from django.utils import timezone

from calls import access, live, practising, reviewing, tasks, trends
from calls.buffer import ledger
from calls.choices import CallStatus, Role
from calls.models import Call, CallFact, CoverageBlock, Delivery, Source, Team, User, VoiceWindow, Webhook
from tests.calls.test_tasks import close, put
from tests.web.conftest import CHROMIUM
from tests.web.test_recordings import aside

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


def begun(user: User) -> Call:
    answer = logged_in(user).post("/practice/")
    assert answer.status_code == 302
    return Call.objects.get(pk=answer["Location"].split("/")[2])


def test_nobody_else_sees_it(alice: User, bob: User, carol: User, dana: User) -> None:
    call = begun(bob)
    assert call.practice and call.agent == bob and call.team == bob.team and call.is_live
    assert logged_in(bob).get(f"/calls/{call.pk}/").status_code == 200
    for user in (alice, carol, dana):
        client = logged_in(user)
        assert client.get(f"/calls/{call.pk}/").status_code == 404
        assert client.post(f"/calls/{call.pk}/ticket").status_code == 404
        assert client.get(f"/api/v1/calls/{call.pk}/").status_code == 404
        assert str(call.pk) not in client.get("/calls/").content.decode()
        assert live.floor_snapshot(user)["calls"] == {}
    assert Client().post("/practice/").status_code == 302 and Client().get("/practice/").status_code == 302
    assert Call.objects.count() == 1
    assert f"team.{call.team_id}" not in call.groups()
    assert call.pk in live.agent_snapshot(bob)["calls"] or str(call.pk) in live.agent_snapshot(bob)["calls"]


def test_it_counts_nowhere(alice: User, bob: User, dana: User) -> None:
    Webhook.objects.create(name="x", url="https://example.com/", events=["call.finished", "alert.raised"])
    call = begun(bob)
    put(call, range(20), loud=20)
    tasks.score_due()
    close(call)
    tasks.score_due()
    call.refresh_from_db()
    assert call.status == CallStatus.ENDED and call.final
    trends.learn(call.pk)
    assert not CallFact.objects.exists() and not Delivery.objects.exists()
    assert reviewing.candidates(alice) == [] and reviewing.candidates(dana) == []
    assert practising.forget_old() == 0
    Call.objects.update(started_at=timezone.now() - timedelta(days=2))
    assert practising.forget_old() == 1 and not Call.objects.exists()
    assert not ledger().keys_of(str(call.pk))


def test_no_feeling_is_read_from_the_voice_of_who_practises(
    bob: User, make_call: Callable[..., Call]
) -> None:
    """As the caller either: it is an employee's. The same sound is read on a real call."""
    mine, real = begun(bob), make_call("CA1")
    for call in (mine, real):
        put(call, range(20), loud=12)
    while ledger().due_count():
        tasks.score_due()
    assert VoiceWindow.objects.filter(call=real).exists()
    assert not VoiceWindow.objects.filter(call=mine).exists() and mine.turns.exists()
    page = logged_in(bob).get(f"/calls/{mine.pk}/").content.decode()
    assert "no voice is read for feelings" in page
    assert "Your voice is not read for feelings" in logged_in(bob).get("/practice/").content.decode()


def test_what_cannot_be(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    sam = User.objects.create_user("sam", role=Role.SUPERVISOR)
    page = logged_in(sam).post("/practice/").content.decode()
    assert "no rubric to practise by" in page and not Call.objects.exists()
    call = begun(bob)
    ticket = logged_in(bob).post(f"/calls/{call.pk}/ticket").json()["ticket"]
    assert ticket and ticket != logged_in(bob).post(f"/calls/{call.pk}/ticket").json()["ticket"]
    assert logged_in(bob).get(f"/calls/{call.pk}/ticket").status_code == 405
    Source.objects.update(enabled=False)
    answer = logged_in(bob).post(f"/calls/{call.pk}/ticket")
    assert answer.status_code == 400 and "Begin a new one" in answer.json()["error"]
    monkeypatch.setattr(practising, "MOST_A_DAY", 1)
    assert "try again tomorrow" in logged_in(bob).post("/practice/").content.decode()


def test_a_real_call_has_no_ticket(make_call: Callable[..., Call], bob: User) -> None:
    call = make_call("CA1")
    assert logged_in(bob).post(f"/calls/{call.pk}/ticket").status_code == 404
    assert "data-practice" not in logged_in(bob).get(f"/calls/{call.pk}/").content.decode()


def test_supervisors_practise_too(alice: User, billing: Team) -> None:
    call = begun(alice)
    assert call.agent == alice and call.team == billing
    assert access.visible_calls(alice).filter(pk=call.pk).exists()


def test_the_page_may_reach_the_media_server(bob: User) -> None:
    policy = logged_in(bob).get("/practice/").headers["Content-Security-Policy"]
    assert site.MEDIA_URL_BASE in policy.split("connect-src")[1].split(";")[0]


@pytest.mark.browser
def test_with_a_microphone(
    web_server: Any,
    session_of: Callable[[User], str],
    bob: User,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    t = np.arange(48000 * 4) / 48000
    with wave.open(str(tmp_path / "voice.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48000)
        out.writeframes((12000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes())
    args = ["--no-sandbox", "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={tmp_path}/voice.wav"]  # fmt: skip
    trouble: list[str] = []

    def steps() -> None:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
            context = browser.new_context(base_url=web_server.http, permissions=["microphone"])
            cookie = {"name": site.SESSION_COOKIE_NAME, "value": session_of(bob), "url": web_server.http}
            context.add_cookies([cookie])  # type: ignore[list-item]
            page = context.new_page()
            page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: trouble.append(str(error)))
            page.set_viewport_size({"width": 390, "height": 800})
            page.goto("/practice/")
            assert Axe().run(page).response["violations"] == []
            page.get_by_role("button", name="Begin").click()
            page.wait_for_url("**/calls/*-*/")
            found = Axe().run(page).response["violations"]
            assert found == [], [node["html"] for one in found for node in one["nodes"]]
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.get_by_role("button", name="Microphone on").click()
            page.get_by_text("You are heard.").wait_for()
            page.wait_for_timeout(3000)
            page.get_by_role("radio", name="the agent").check()
            page.wait_for_timeout(2500)
            page.get_by_role("button", name="End the call").click()
            page.get_by_text("The call is over.").wait_for()
            until = time.monotonic() + 20
            while Call.objects.get().is_live and time.monotonic() < until:
                aside(tasks.score_due)
                page.wait_for_timeout(200)
            page.get_by_role("heading", name="Final score").wait_for()
            browser.close()

    aside(steps)
    known = [one for one in trouble if "ji27qzEtxXZW" not in one]
    assert not known, known
    call = Call.objects.get()
    assert call.status == CallStatus.ENDED and call.end_reason == "The call ended."
    legs = call.counters
    assert legs["customer"]["received_ms"] > 4000 and legs["customer"]["lost_ms"] < 500
    letters = "".join(
        CoverageBlock.objects.filter(call=call, channel="customer").values_list("hops", flat=True)
    )
    assert set(letters.rstrip(".")) == {"s"}
    loud = {name: call.speech.filter(channel=name).first() for name in ("customer", "agent")}
    assert loud["customer"] and loud["agent"] and loud["customer"].start_ms < loud["agent"].start_ms
