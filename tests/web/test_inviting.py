"""Invitations: by a real SMTP conversation where there is a server, by links wherever it fails."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core import mail
from django.test import Client

from calls import inviting
from calls.choices import Role
from calls.models import Change, Team, User
from tests.web.test_people import dana, logged_in

__all__ = ["dana"]
Open = Callable[..., Any]


class Post(socketserver.StreamRequestHandler):
    """As much of SMTP as a client needs; addresses that begin with "bounce" are refused."""

    def handle(self) -> None:
        self.say("220 post")
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word == "DATA":
                self.say("354 go on")
                letter = []
                while (part := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    letter.append(part)
                self.server.letters.append("\n".join(letter))  # type: ignore[attr-defined]
            refused = word == "RCPT" and "<bounce" in line
            self.say("550 nobody here" if refused else "221 bye" if word == "QUIT" else "250 fine")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def letters(settings: Any) -> Iterator[list[str]]:
    """What a mail server took."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post) as server:
        server.daemon_threads = True
        server.letters = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.server_address[1]
        settings.EMAIL_USE_TLS = False
        yield server.letters  # type: ignore[attr-defined]
        server.shutdown()


@pytest.fixture
def newcomers(db: None) -> list[User]:
    made = [("ann", "ann@example.com"), ("ben", "bounce@example.com"), ("cem", "")]
    return [User.objects.create_user(name, email=address, first_name=name.title()) for name, address in made]


def links(page: str) -> list[str]:
    return re.findall(r"http://testserver(/invited/[^\"<\s]+)", page)


def test_who_gets_mail_and_whose_link_is_shown(letters: list[str], dana: User, newcomers: list[User]) -> None:
    answer = logged_in(dana).post("/people/invite/", {"who": [user.pk for user in newcomers]})
    page = answer.content.decode()
    assert answer.context["sent"] == 1 and len(letters) == 1
    by_hand = {one.user.username: one.trouble for one in answer.context["by_hand"]}
    assert (
        set(by_hand) == {"ben", "cem"} and "nobody here" in by_hand["ben"] and "no address" in by_hand["cem"]
    )
    assert len(links(page)) == 2
    plain = letters[0].replace("=\n", "").replace("=3D", "=")
    sent = re.search(r"http://testserver(/invited/\S+)", plain)
    assert sent and sent[1] not in page and "ann" in letters[0]
    for path in [sent[1], *links(page)]:
        assert Client().get(path).status_code == 200
    assert Change.objects.filter(did="linked", subject_type="user").count() == 3


def test_a_mail_server_that_is_not_there_holds_up_nothing(
    settings: Any, dana: User, newcomers: list[User]
) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Post) as gone:
        port = gone.server_address[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    answer = logged_in(dana).post("/people/invite/", {"who": [user.pk for user in newcomers]})
    assert answer.context["sent"] == 0 and len(links(answer.content.decode())) == 3
    assert "does not answer" in answer.content.decode()


def test_a_slow_mail_server_is_not_waited_for(
    letters: list[str], monkeypatch: pytest.MonkeyPatch, dana: User, newcomers: list[User]
) -> None:
    monkeypatch.setattr(inviting, "WITHIN_S", -1.0)
    answer = logged_in(dana).post("/people/invite/", {"who": [newcomers[0].pk]})
    assert not letters and "too slow" in answer.context["by_hand"][0].trouble


def test_without_a_mail_server_links_are_made(dana: User, newcomers: list[User]) -> None:
    page = logged_in(dana).post("/people/invite/", {"who": [newcomers[0].pk]}).content.decode()
    assert len(links(page)) == 1 and not mail.outbox


@pytest.mark.parametrize("who", [[], ["x"], ["99999999999999"], ["0"], ["\0"]])
def test_nobody_chosen(dana: User, newcomers: list[User], who: list[str]) -> None:
    answer = logged_in(dana).post("/people/invite/", {"who": who})
    assert answer.status_code == 400 and "Choose at least one" in answer.content.decode()
    assert not Change.objects.filter(did="linked").exists()


def test_who_has_a_password_or_has_left_is_not_invited(dana: User, newcomers: list[User], bob: User) -> None:
    newcomers[0].is_active = False
    newcomers[0].save()
    asked = {"who": [newcomers[0].pk, bob.pk]}
    assert logged_in(dana).post("/people/invite/", asked).status_code == 400
    assert set(inviting.waiting()) == {dana, *newcomers[1:]}


def test_after_an_import_the_new_people_are_invited(dana: User, billing: Team) -> None:
    client = logged_in(dana)
    text = f"username,email,role,team\nzoe,zoe@example.com,{Role.AGENT},Billing\n"
    digest = client.post("/people/import/", {"text": text}).context["plan"].digest
    answer = client.post("/people/import/", {"text": text, "sure": digest}, follow=True)
    assert answer.redirect_chain[-1][0] == "/people/invite/" and "zoe@example.com" in answer.content.decode()


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_on_invitations(
    page_for: Open, transactional_db: None, dana: User, newcomers: list[User], scheme: str, width: int
) -> None:
    page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/people/invite/")
    assert Axe().run(page).response["violations"] == []
    page.get_by_role("button", name="Make links").click()
    page.get_by_text("to be handed over: each link works once").wait_for()
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
