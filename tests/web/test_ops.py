"""What the people who run it may ask, what others may not, and what a log line must not say."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest
import structlog
from django.core import mail
from django.db import OperationalError
from django.test import Client

from calls import record
from calls.access import MediaSource
from calls.choices import Role
from calls.ingest import asgi, auth, door
from calls.models import RubricVersion, User
from empathy_dash import embedded
from tests import servers

TOKEN = "a-token-for-the-scraper"


def client_of(user: User | None) -> Client:
    client = Client()
    if user:
        client.force_login(user)
    return client


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_user("root", role=Role.ADMIN, is_staff=True, is_superuser=True)


# --- metrics ---------------------------------------------------------------------------------------


def test_metrics_are_for_staff(alice: User, bob: User, carol: User, root: User) -> None:
    admin_only_here = User.objects.create_user("amy", role=Role.ADMIN)
    for outsider in (None, alice, bob, carol, admin_only_here):
        assert client_of(outsider).get("/metrics").status_code == 404, outsider
    answer = client_of(root).get("/metrics")
    assert answer.status_code == 200 and b"empathy_" in answer.content


@pytest.mark.parametrize(
    ("token", "given", "status"),
    [
        (TOKEN, f"Bearer {TOKEN}", 200),
        (TOKEN, "Bearer wrong", 404),
        (TOKEN, TOKEN, 404),
        (TOKEN, "Bearer ", 404),
        (TOKEN, "Bearer clé", 404),
        (TOKEN, "", 404),
        ("", "Bearer ", 404),
        ("", "Bearer", 404),
        ("", "", 404),
    ],
)
def test_metrics_take_the_one_token_that_is_set(
    db: None, settings: Any, token: str, given: str, status: int
) -> None:
    settings.METRICS_TOKEN = token
    assert Client().get("/metrics", headers={"Authorization": given}).status_code == status


# --- health ----------------------------------------------------------------------------------------


def test_a_healthy_site_says_so_to_anybody_and_says_no_more(rubric: RubricVersion) -> None:
    live, ready = Client().get("/health/live"), Client().get("/health/ready")
    assert live.status_code == 200 and len(live.content) < 20
    assert ready.status_code == 200 and ready.json() == {"ready": True, "problems": {}}


def test_a_site_that_is_not_ready_names_the_part_and_not_its_address(
    rubric: RubricVersion, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = embedded.free_ports()
    settings.REDIS_URL = f"redis://:hunter2@127.0.0.1:{port}/0"

    def away() -> None:
        raise OperationalError("connection to db.internal failed: user empathy, password hunter2")

    monkeypatch.setattr(RubricVersion.objects, "exists", away)
    answer = Client().get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "problems": {"database": "does not answer", "redis": "does not answer"},
    }


def test_a_site_without_a_rubric_is_not_ready(db: None) -> None:
    answer = Client().get("/health/ready")
    assert answer.status_code == 503 and "seed_rubric" in answer.json()["problems"]["rubric"]


# --- accounts --------------------------------------------------------------------------------------

CLOSED = [
    "signup/",
    "email/",
    "confirm-email/",
    "confirm-email/MQ:1abc:def/",
    "password/set/",
    "password/reset/",
    "password/reset/done/",
    "password/reset/key/1-abc/",
    "password/reset/key/done/",
]


@pytest.mark.parametrize("path", CLOSED)
def test_account_pages_that_nobody_needs_are_closed_and_mail_nobody(bob: User, path: str) -> None:
    User.objects.filter(pk=bob.pk).update(email="bob@example.org")
    form = {
        "username": "eve",
        "password1": "correct horse 1",
        "email": "bob@example.org",
        "action_add": "",
    }
    for user in (None, bob):
        for ask in (client_of(user).get, client_of(user).post):
            assert ask(f"/account/{path}", form).status_code == 404, (user, ask)
    assert not mail.outbox and not User.objects.filter(username="eve").exists()


def test_the_admin_uses_the_one_log_in(alice: User, root: User) -> None:
    answer = Client().get("/admin/", follow=True)
    assert answer.redirect_chain[-1] == ("/account/login/?next=%2Fadmin%2F", 302)
    assert answer.status_code == 200
    assert Client().post("/admin/login/", {"username": "root", "password": "x"}).status_code == 302
    assert client_of(alice).get("/admin/", follow=True).status_code == 403
    assert client_of(root).get("/admin/").status_code == 200
    assert client_of(root).get("/admin/login/", follow=True).status_code == 200


# --- log lines -------------------------------------------------------------------------------------

KEY, CARD = "k3y-of-the-line", "4111111111111111"


def test_an_exception_is_logged_without_locals(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        secret = "".join(["hun", "ter2"])  # not in the source line that the traceback quotes
        raise RuntimeError(f"of {len(secret)} letters")

    try:
        fail()
    except RuntimeError:
        structlog.get_logger("tests").exception("it failed")
    assert "of 7 letters" in caplog.text and "Traceback" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_worker_that_fails_logs_no_locals() -> None:
    """As a process of its own sets up its logging, with nothing of pytest's in between."""
    program = """
import django, structlog
django.setup()
try:
    secret = "".join(["hun", "ter2"])
    raise RuntimeError("boom")
except RuntimeError:
    structlog.get_logger("calls.tasks").exception("it failed")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=servers.ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "empathy_dash.settings"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "RuntimeError: boom" in said and "hunter2" not in said


def test_a_call_that_cannot_be_opened_is_logged_without_keys_or_what_was_sent(
    clean_redis: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    roles = {"inbound": "customer", "outbound": "agent"}
    source = MediaSource(1, "a", 1, "twilio", True, (KEY,), "ws://x/media/twilio/a/", False, roles, False)
    assert KEY not in repr(source)

    async def found(hub: object, slug: str) -> MediaSource:
        return source

    def away(new: object) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(door, "find_source", found)
    monkeypatch.setattr(record, "open_call", away)
    monkeypatch.setattr(door, "OPEN_TRIES_S", (0,))
    start = {"streamSid": "MZ-log", "callSid": "CA", "customParameters": {"pan": CARD}}
    frames = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": json.dumps({"event": "start", "start": start})},
        {"type": "websocket.disconnect", "code": 1006},
    ]
    signature = auth.sign(KEY, source.public_url).encode()
    scope = {
        "type": "websocket",
        "path": "/media/twilio/a/",
        "headers": [(b"x-twilio-signature", signature)],
    }

    async def receive() -> dict[str, Any]:
        return frames.pop(0)

    async def send(message: object) -> None:
        pass

    asyncio.run(asgi.media_app(scope, receive, send))
    assert "could not open the call" in caplog.text and "RuntimeError: no database" in caplog.text
    assert KEY not in caplog.text and CARD not in caplog.text
