"""Marking turns by hand, what was marked, and runs in and out of use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client

from calls import labelling
from calls.choices import Role
from calls.models import Call, RefitRun, TurnLabel, User
from scoring import site
from scoring.site import Correction
from tests.calls.test_refitting import ended, spoken

pytestmark = pytest.mark.django_db
Open = Callable[..., Any]


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


@pytest.fixture
def call(make_call: Callable[..., Call], alice: User, bob: User) -> Call:
    return ended(make_call, "CA-mark", spoken(0))


@pytest.fixture
def run(settings: Any, tmp_path: Path) -> RefitRun:
    settings.SITE_WEIGHTS_DIR = tmp_path
    made = Correction(
        ("frustration",), np.ones(1, np.float32), np.ones(1, np.float32), np.zeros((1, 4), np.float32), "ad"
    )
    figure = {"uar": 0.5, "macro_f1": 0.4, "log_loss": 0.3, "ece": 0.1, "recall": {}, "n": {}}
    return RefitRun.objects.create(
        digest=site.store(tmp_path, made), fitted=["frustration"],
        counts={"turns": 300, "calls": 40, "held_out_calls": 12, "seed": 0},
        figures={"states": {"turns": 90, "calls": 12, "old": figure, "new": figure | {"uar": 0.7},
                            "change": {"uar": 0.2, "log_loss": -0.1, "uar_interval": [0.1, 0.3]}}},
        bias=[{"family": "states", "attribute": "gender", "group": "female", "turns": 50, "few": False, "old": 0.6, "new": 0.7},
              {"family": "states", "attribute": "gender", "group": "other", "turns": 3, "few": True, "old": None, "new": None}],
        gaps=[{"family": "states", "attribute": "gender", "groups": 1, "old": None, "new": None}],
    )  # fmt: skip


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, call: Call, **said: Any) -> Any:
    return client.post(f"/calls/{call.pk}/labels/mark", said, "application/json")


def test_who_may_mark_and_who_reads(call: Call, alice: User, bob: User, carol: User, dana: User) -> None:
    path = f"/calls/{call.pk}/labels/"
    assert Client().get(path).status_code == 302
    assert (
        logged_in(carol).get(path).status_code == 404
        and post(logged_in(carol), call, channel="customer", start_ms=0, said="calm").status_code == 404
    )
    assert logged_in(bob).post(path, {"turn": "customer 0", "state": "calm"}).status_code == 404
    assert post(logged_in(bob), call, channel="customer", start_ms=0, said="calm").status_code == 404
    assert not TurnLabel.objects.exists()
    assert post(logged_in(alice), call, channel="customer", start_ms=0, said="frustration").status_code == 204
    page = logged_in(bob).get(path).content.decode()
    assert "Alice Moreau" in page and "Frustrated" in page and "<form" not in page[page.index("<main") :]
    assert logged_in(dana).get(path).status_code == 200
    for other in ("/reviews/labels/", "/reviews/labels.csv"):
        assert logged_in(bob).get(other).status_code == 404
        assert "CA-mark" not in logged_in(carol).get(other).content.decode()
    name = labelling.pseudonym(call.pk)
    assert name not in logged_in(carol).get("/reviews/labels.csv").content.decode()
    assert name in logged_in(alice).get("/reviews/labels.csv").content.decode()


def test_where_turns_are_marked_no_machine_is_shown(call: Call, alice: User) -> None:
    call.turns.filter(channel="customer").update(states={"frustration": 0.875})
    page = logged_in(alice).get(f"/calls/{call.pk}/labels/").content.decode()
    assert "0.875" not in page and "checked" not in page and "<mark" not in page


def test_without_a_script_it_works_too(call: Call, alice: User) -> None:
    client, path = logged_in(alice), f"/calls/{call.pk}/labels/"
    assert client.post(path, {"turn": "customer 0", "state": "anxiety"})["location"].endswith("#t-customer-0")
    client.post(path, {"turn": "agent 4000", "behaviours": ["own", "courtesy"]})
    client.post(path, {"turn": "customer 8000", "state": "calm"})
    client.post(path, {"turn": "customer 8000", "clear": "1"})
    assert [(r.state, r.behaviours) for r in TurnLabel.objects.all()] == [
        ("anxiety", None),
        ("", ["own", "courtesy"]),
    ]
    for said in (
        {},
        {"turn": "x"},
        {"turn": "customer 0"},
        {"turn": "agent 4000", "behaviours": "calm"},
        {"turn": "customer 99999999999999999"},
    ):
        page = client.post(path, said)
        assert page.status_code == 400 and 'role="alert"' in page.content.decode(), said
    for body in ({}, {"channel": "customer"}, {"channel": "customer", "start_ms": 0, "said": 5}):
        assert post(client, call, **body).status_code == 400, body


def test_a_running_call_is_not_marked(make_call: Callable[..., Call], alice: User) -> None:
    call = make_call("CA-live")
    assert logged_in(alice).get(f"/calls/{call.pk}/labels/").status_code == 404
    assert post(logged_in(alice), call, channel="customer", start_ms=0, said="calm").status_code == 400


def test_runs_are_for_admins(run: RefitRun, alice: User, bob: User, carol: User, dana: User) -> None:
    for user in (alice, bob, carol):
        assert logged_in(user).get("/reviews/refits/").status_code == 404
        assert logged_in(user).post("/reviews/refits/", {"run": run.pk, "reason": "x"}).status_code == 404
    client = logged_in(dana)
    for said in ({"run": run.pk}, {"do": "rollback", "reason": "x"}):
        page = client.post("/reviews/refits/", said)
        assert page.status_code == 200 and 'role="alert"' in page.content.decode()
    assert client.post("/reviews/refits/", {"run": "x", "reason": "x"}).status_code == 404
    run.refresh_from_db()
    assert not run.is_in_use
    RefitRun.objects.update(
        gaps=[
            {
                "family": "states",
                "attribute": "gender",
                "groups": 2,
                "old": 0.1,
                "new": 0.4,
                "worst": "female",
            }
        ]
    )
    page = client.post("/reviews/refits/", {"run": run.pk, "reason": "x"}).content.decode()
    assert "worst off is female" in page and "Put it into use" not in page


def test_who_switches_says_to_know_of_whom_nothing_is_known(run: RefitRun, dana: User) -> None:
    client, said = logged_in(dana), {"run": run.pk, "reason": "good figures"}
    RefitRun.objects.update(
        gaps=[
            {
                "family": "states",
                "attribute": "line",
                "groups": 2,
                "old": 0.125,
                "new": 0.0625,
                "worst": "lossy",
            }
        ]
    )
    page = client.post("/reviews/refits/", said).content.decode()
    assert "too few turns to say how it hears gender: other" in page
    assert "I know that too few turns tell how it hears gender: other." in page
    assert "0.125" in page and "0.063" in page and "lossy" in page, "gaps are shown"
    assert client.post("/reviews/refits/", said | {"knows_few": "no"}).status_code == 200
    assert client.post("/reviews/refits/", said | {"knows_few": "yes"}).status_code == 302
    run.refresh_from_db()
    assert run.is_in_use


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_marking_by_hand(page_for: Open, call: Call, alice: User, dana: User, run: RefitRun) -> None:
    for scheme, width in (("dark", 390), ("light", 1280)):
        page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
        page.goto(f"/calls/{call.pk}/labels/")
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    first = page.locator("#t-customer-0")
    first.get_by_label("Frustrated").check()
    first.get_by_text("marked").wait_for()
    second = page.locator("#t-agent-4000")
    second.get_by_label("None of these").check()
    second.get_by_text("marked").wait_for()
    second.get_by_label("None of these").press("Shift+Tab")
    page.keyboard.press("Space")
    page.wait_for_function("!document.querySelector('#t-agent-4000 [name=none]').checked")
    second.get_by_text("marked", exact=True).wait_for()
    first.get_by_role("button", name="Take back").click()
    first.get_by_text("taken back").wait_for()
    page.route("**/labels/mark", lambda route: route.fulfill(status=404))
    first.get_by_label("Calm").check()
    first.get_by_text("Not kept.").wait_for()
    page.unroute("**/labels/mark")
    first.get_by_label("Anxious").check()
    first.get_by_text("marked").wait_for()
    [agents, callers] = sorted(TurnLabel.objects.all(), key=lambda row: row.channel)
    assert callers.state == "anxiety" and agents.behaviours and len(agents.behaviours) == 1
    labelling.mark(call, dana, "customer", 0, "calm")
    for scheme, width in (("dark", 390), ("light", 1280)):
        page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
        for path in ("/reviews/labels/", "/reviews/refits/"):
            page.goto(path)
            assert Axe().run(page).response["violations"] == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
