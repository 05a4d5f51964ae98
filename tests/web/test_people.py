"""People, teams, import and audit pages: for admins alone; a link sets a password once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from calls.choices import Role
from calls.models import Change, Team, User

Open = Callable[..., Any]
PAGES = [
    "/people/",
    "/people/new/",
    "/people/import/",
    "/people/invite/",
    "/people.csv",
    "/teams/",
    "/audit/",
]


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.django_db
def test_nobody_but_admins(alice: User, bob: User, carol: User, dana: User) -> None:
    pages = [*PAGES, f"/people/{bob.pk}/"]
    for page in pages:
        assert Client().get(page).status_code == 302, page
        for user in (alice, bob, carol):
            assert logged_in(user).get(page).status_code == 404, page
            assert logged_in(user).post(page).status_code == 404, page
        assert logged_in(dana).get(page).status_code == 200, page
    assert logged_in(alice).post(f"/people/{bob.pk}/link").status_code == 404
    assert not Change.objects.exclude(did__in=("in", "exported")).exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["q=%00", "team=nope", "role='", "page=99999999999999", "page=x", "q=" + "a" * 5000]
)
def test_any_question(dana: User, query: str) -> None:
    for page in ("/people/", "/audit/"):
        assert logged_in(dana).get(f"{page}?{query}").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "said", [{}, {"do": "add"}, {"do": "add", "name": "=x"}, {"do": "add", "name": "Billing"}]
)
def test_a_team_that_cannot_be(dana: User, billing: Team, said: dict[str, str]) -> None:
    if not said:
        said = {"do": "rename", "team": str(billing.pk), "name": " "}
    answer = logged_in(dana).post("/teams/", said)
    assert answer.status_code == 200 and b'role="alert"' in answer.content
    assert list(Team.objects.filter(name="Billing")) == [billing]
    for team in ("0", "x", "9" * 30):
        assert logged_in(dana).post("/teams/", {"do": "remove", "team": team}).status_code == 404


@pytest.mark.django_db
def test_a_link_sets_a_password_once(dana: User, bob: User) -> None:
    client = logged_in(dana)
    client.post(f"/people/{bob.pk}/link")
    page = client.get(f"/people/{bob.pk}/").content.decode()
    [path] = re.findall(r"http://testserver(/invited/[^\"]+)", page)
    assert path not in client.get(f"/people/{bob.pk}/").content.decode()
    guest = Client()
    assert "bob" in guest.get(path).content.decode()
    assert guest.post(path, {"new_password1": "x", "new_password2": "y"}).status_code == 200
    good = "a long and quiet river"
    assert guest.post(path, {"new_password1": good, "new_password2": good}).status_code == 302
    bob.refresh_from_db()
    assert bob.check_password(good)
    assert guest.get(path).status_code == 404
    for odd in ("/invited/x/y/", "/invited/MQ/c-d/", "/invited/OTk5OTk5OTk5OTk5OTk5OTk5OTk5/a-b/"):
        assert guest.get(odd).status_code == 404
    assert [row.did for row in Change.objects.exclude(did="in").order_by("pk")] == ["linked", "password"]
    client.post(f"/people/{bob.pk}/link")
    User.objects.filter(pk=bob.pk).update(is_active=False)
    [path] = re.findall(r"/invited/[^\"]+", client.get(f"/people/{bob.pk}/").content.decode()) or [
        "/invited/x/y/"
    ]
    assert guest.get(path).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raw", "words"),
    [(b"", "Choose a file"), (b"\xff\xfe", "not UTF-8"), (b"a,b\n", "wrong"), (b"x" * 500_001, "at most")],
)
def test_a_file_that_cannot_be_read(dana: User, raw: bytes, words: str) -> None:
    answer = logged_in(dana).post("/people/import/", {"file": SimpleUploadedFile("p.csv", raw)})
    assert answer.status_code == 200 and words in answer.content.decode()


@pytest.mark.django_db
def test_what_somebody_changed_meanwhile_is_shown_before_it_is_done(
    dana: User, bob: User, billing: Team
) -> None:
    client, text = logged_in(dana), "username,first_name\nbob,Robert\n"
    page = client.post(
        "/people/import/", {"file": SimpleUploadedFile("p.csv", text.encode())}
    ).content.decode()
    [sure] = re.findall(r'name="sure" value="(\w+)"', page)
    User.objects.filter(pk=bob.pk).update(first_name="Rob")
    page = client.post("/people/import/", {"text": text, "sure": sure}).content.decode()
    assert "Somebody changed these people meanwhile" in page and "Rob → Robert" in page
    bob.refresh_from_db()
    assert bob.first_name == "Rob"
    [sure] = re.findall(r'name="sure" value="(\w+)"', page)
    assert client.post("/people/import/", {"text": text, "sure": sure}).status_code == 302
    bob.refresh_from_db()
    assert bob.first_name == "Robert"


@pytest.mark.django_db
def test_what_the_plain_admin_changes_is_audited(dana: User, billing: Team) -> None:
    dana.is_staff = dana.is_superuser = True
    dana.save()
    client = logged_in(dana)
    assert client.post(f"/admin/calls/team/{billing.pk}/change/", {"name": "Bills"}).status_code == 302
    assert Change.objects.get(subject_type="team").after == {"fields": "Name"}


@pytest.mark.django_db
def test_the_plain_admin_leaves_roles_alone(dana: User, bob: User) -> None:
    dana.is_staff = dana.is_superuser = True
    dana.save()
    client = logged_in(dana)
    page = client.get(f"/admin/calls/user/{dana.pk}/change/").content.decode()
    assert 'name="email"' in page and 'name="role"' not in page and 'name="is_active"' not in page
    assert client.post(f"/admin/calls/user/{bob.pk}/delete/", {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=bob.pk).exists()


@pytest.mark.browser
def test_people_by_hand_and_by_file(page_for: Open, dana: User, bob: User, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("username,first_name,role,team\nnia,Nia,agent,Billing\nbob,Bob,boss,Billing\n")
    for scheme, width in (("dark", 390), ("light", 1280)):
        page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
        for path in ("/people/", f"/people/{bob.pk}/", "/people/import/", "/teams/", "/audit/"):
            page.goto(path)
            assert Axe().run(page).response["violations"] == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.goto("/people/import/")
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="See what it would do").click()
    page.get_by_text("Nothing is imported while any row has an error.").wait_for()
    assert page.locator("[data-bad]").inner_text().split("\n")[0].startswith("3")
    assert Axe().run(page).response["violations"] == []
    file.write_text(file.read_text().replace("boss", "agent"))
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="See what it would do").click()
    page.get_by_role("button", name="Do it").click()
    page.get_by_text("1 person made or changed.").wait_for()
    page.get_by_role("heading", name="Invite people").wait_for()
    page.goto("/people/")
    page.get_by_role("link", name="Nia").click()
    page.get_by_label("Last name").fill("Boateng")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    page.get_by_role("button", name="Make a log-in link").click()
    address = page.get_by_label("Log-in link").input_value()
    guest = page_for(None)
    guest.goto(address)
    assert Axe().run(guest).response["violations"] == []
    page.get_by_role("link", name="Audit log").click()
    page.locator("li", has_text="made a log-in link for").wait_for()
    page.get_by_text("last_name: – → Boateng").wait_for()


@pytest.mark.browser
def test_somebody_who_left_is_erased(page_for: Open, dana: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    for scheme, width in (("dark", 390), ("light", 1280)):
        page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
        page.goto(f"/people/{bob.pk}/")
        page.get_by_role("heading", name="Erase the name").wait_for()
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if folder := os.environ.get("SHOTS"):
            page.screenshot(path=f"{folder}/person-{scheme}.png", full_page=True)
    page.get_by_label("Type bob to erase it").fill("bob")
    page.get_by_role("button", name="Erase the name for good").click()
    page.get_by_role("heading", level=1, name=f"Former agent {bob.pk}").wait_for()
    page.get_by_text("was erased on").wait_for()
    assert Axe().run(page).response["violations"] == []
