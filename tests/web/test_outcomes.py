"""The page that takes outcomes: for admins; first what a file would do, then doing it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from calls import outcomes, trends
from calls.choices import Role
from calls.derived import first_tile
from calls.models import Call, CallOutcome, OutcomeImport, Source, Team, User
from tests.calls.test_outlooks import tell as tell
from tests.calls.test_trends import MONDAY, finished

Open = Callable[..., Any]
pytestmark = pytest.mark.django_db


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


@pytest.fixture
def call(source: Source, bob: User) -> Call:
    return finished(source, bob, MONDAY, external_ref="CA-1")


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def upload(client: Client, text: str | bytes) -> Any:
    raw = text if isinstance(text, bytes) else text.encode()
    return client.post("/outcomes/", {"file": SimpleUploadedFile("o.csv", raw)})


def test_nobody_but_admins(alice: User, bob: User, carol: User, dana: User, call: Call) -> None:
    assert Client().get("/outcomes/").status_code == 302
    for user in (alice, bob, carol):
        assert logged_in(user).get("/outcomes/").status_code == 404
        assert upload(logged_in(user), "external_ref,csat\nCA-1,5\n").status_code == 404
    assert logged_in(dana).get("/outcomes/").status_code == 200
    assert not CallOutcome.objects.exists()


def test_first_shown_then_done(dana: User, call: Call) -> None:
    client = logged_in(dana)
    page = upload(client, "external_ref,csat\nCA-1,5\n").content.decode()
    assert "Satisfaction (CSAT), 1 to 5: – → 5" in page and not CallOutcome.objects.exists()
    [sure] = re.findall(r'name="sure" value="(\w+)"', page)
    said = {"text": "external_ref,csat\nCA-1,5\n", "sure": sure}
    CallOutcome.objects.create(call=call, csat=1, changed_at=MONDAY)
    page = client.post("/outcomes/", said).content.decode()
    assert "changed meanwhile" in page and CallOutcome.objects.get().csat == 1
    [sure] = re.findall(r'name="sure" value="(\w+)"', page)
    assert client.post("/outcomes/", said | {"sure": sure}).status_code == 302
    assert CallOutcome.objects.get().csat == 5 and OutcomeImport.objects.get().changed == 1
    assert "1 call has news" in client.get("/outcomes/").content.decode()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "Choose a file"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a,b\n", "wrong"),
        (b"x" * 500_001, "at most"),
        (b"external_ref,csat\n<script>alert(1)</script>,5\nCA-1,9\n", "2 rows have errors"),
    ],
)
def test_a_file_that_cannot_be_taken(dana: User, call: Call, raw: bytes, words: str) -> None:
    page = upload(logged_in(dana), raw).content.decode()
    assert words in page and 'role="alert"' in page and "<script>alert" not in page
    assert "Do it" not in page


def test_many_wrong_rows_do_not_make_a_page_without_end(dana: User) -> None:
    page = upload(logged_in(dana), "external_ref,csat\n" + "CA-x,5\n" * 4000).content.decode()
    assert "4000 rows have errors" in page and page.count("data-bad") == 200


def test_the_team_page_tells_outcomes_with_their_number(
    dana: User, alice: User, billing: Team, source: Source, bob: User
) -> None:
    page = logged_in(alice)
    refs = [
        finished(source, bob, trends.timezone.now(), external_ref=f"CA-{n}").external_ref for n in range(9)
    ]
    trends.recompute()
    before = page.get(f"/teams/{billing.pk}/trends/").content.decode()
    assert "are not known yet" in before
    rows = [f"{ref},{'yes' if n % 3 else 'no'},{4 if n < 7 else ''},{300 + n}" for n, ref in enumerate(refs)]
    plan = outcomes.plan_csv("external_ref,resolved,csat,handle_time_s\n" + "\n".join(rows))
    outcomes.apply(plan, dana, "page")
    trends.learn_missing()
    answer = page.get(f"/teams/{billing.pk}/trends/")
    counted = answer.context["beside"][0]["counted"]
    assert counted[0] == {"n": 9, "words": "5:04"} and counted[1] == {"n": 9, "words": "67 %"}
    assert counted[2] == {"n": 7, "words": ""}, "seven are too few"
    assert counted[3] == {"n": 0, "words": ""}
    assert "are not known yet" not in answer.content.decode()


@pytest.mark.browser
@pytest.mark.real
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_taking_a_file(
    page_for: Open, dana: User, call: Call, transactional_db: None, tmp_path: Path, scheme: str, width: int
) -> None:
    page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
    file = tmp_path / "o.csv"
    file.write_text("external_ref,csat,churned\nCA-1,5,no\nCA-2,7,no\n")
    page.goto("/outcomes/")
    page.set_input_files("#file", file)
    page.click("text=See what it would do")
    page.locator("[data-bad]").wait_for()
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    file.write_text("external_ref,csat,churned\nCA-1,5,no\n")
    page.set_input_files("#file", file)
    page.click("text=See what it would do")
    page.click("text=Do it")
    assert page.locator("[role=status]").inner_text() == "1 call has news."
    assert CallOutcome.objects.get().csat == 5
    assert Axe().run(page).response["violations"] == []


@pytest.mark.browser
@pytest.mark.real
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_outlook_held_against_outcomes(
    page_for: Open, dana: User, tell: Open, transactional_db: None, scheme: str, width: int
) -> None:
    tell(120)
    page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/outcomes/outlook/")
    page.click("text=Fit to these outcomes")
    page.fill("[name=reason]", "held-out figures are better")
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("text=Put it into use")
    page.get_by_text("is in use since").wait_for()
    assert page.locator(".square circle").count() >= 4
    page.fill("#back-reason", "only a try")
    page.click("text=Take it back")
    page.get_by_text("The shipped outlook is in use").wait_for()


def test_the_calls_page_tells_its_supervisor_and_its_agent(
    alice: User, bob: User, carol: User, call: Call, dana: User
) -> None:
    page = f"/calls/{call.pk}/"
    Call.objects.filter(pk=call.pk).update(tile=first_tile(call))
    assert "data-outcome" not in logged_in(alice).get(page).content.decode(), "nobody has said anything"
    outcomes.apply(outcomes.plan_csv("external_ref,csat,churned\nCA-1,2,no\n"), dana, "page")
    for user in (alice, bob):
        found = logged_in(user).get(page).content.decode()
        told = re.search(r"<dl[^>]*data-outcome>(.*?)</dl>", found, re.DOTALL)
        assert told and re.findall(r"<d[td]>([^<]*)", told[1]) == [
            "Satisfaction (CSAT), 1 to 5", "2", "Left", "no",
        ]  # fmt: skip
    assert logged_in(carol).get(page).status_code == 404
