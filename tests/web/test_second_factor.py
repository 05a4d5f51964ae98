"""A second factor at log-in: set up by its owner, asked for from then on, sealed where it is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.test import Client, override_settings

from calls.accounts import SealedSecrets
from calls.models import User

pytestmark = pytest.mark.django_db
PASSWORD = "a long and quiet afternoon"


@pytest.fixture
def person(bob: User) -> User:
    bob.set_password(PASSWORD)
    bob.save()
    return bob


def code(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))


def log_in(client: Client, person: User) -> Any:
    return client.post("/account/login/", {"login": person.username, "password": PASSWORD})


def set_up(client: Client) -> str:
    asked = client.get("/account/2fa/totp/activate/")
    assert asked.status_code == 302, "the password is asked for once more"
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    page = client.get("/account/2fa/totp/activate/").content.decode()
    [secret] = re.findall(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page)
    answer = client.post("/account/2fa/totp/activate/", {"code": code(secret)})
    assert answer.status_code == 302, answer.content.decode()
    return secret


def test_from_then_on_a_password_is_not_enough(person: User, client: Client) -> None:
    log_in(client, person)
    secret = set_up(client)
    client.post("/account/logout/")
    answer = log_in(client, person)
    assert answer.status_code == 302 and "2fa" in answer.url
    assert client.get("/me/").status_code == 302, "not in yet"
    assert client.post("/account/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert client.get("/me/").status_code == 302
    Authenticator.objects.filter(user=person).update(last_used_at=None)
    client.post("/account/2fa/authenticate/", {"code": code(secret)})
    assert client.get("/me/").status_code in (200, 302)


def test_what_is_kept_is_sealed(person: User, client: Client) -> None:
    log_in(client, person)
    secret = set_up(client)
    kept = [str(row.data) for row in Authenticator.objects.filter(user=person)]
    assert kept and all(secret not in data for data in kept)


def test_an_older_key_still_opens_and_a_lost_one_says_so() -> None:
    with override_settings(SECRET_KEY="k" * 50, SECRET_KEY_FALLBACKS=[]):
        sealed = SealedSecrets().encrypt("JBSWY3DPEHPK3PXP")
    with override_settings(SECRET_KEY="n" * 50, SECRET_KEY_FALLBACKS=["k" * 50]):
        assert SealedSecrets().decrypt(sealed) == "JBSWY3DPEHPK3PXP"
    with override_settings(SECRET_KEY="n" * 50, SECRET_KEY_FALLBACKS=[]):
        with pytest.raises(ValueError, match="SECRET_KEY_FALLBACKS"):
            SealedSecrets().decrypt(sealed)


def test_strangers_are_sent_to_the_log_in(client: Client) -> None:
    for path in ("/account/2fa/", "/account/2fa/totp/activate/", "/account/2fa/recovery-codes/"):
        assert client.get(path).status_code == 302


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(
    transactional_db: None, page_for: Callable[..., Any], person: User, scheme: str, width: int
) -> None:
    person.password = make_password(PASSWORD, hasher=PBKDF2PasswordHasher())  # type: ignore[arg-type]
    person.save()  # The server knows the real hasher only.
    page = page_for(None, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/account/login/")
    page.get_by_label("User name").fill(person.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log out").wait_for()
    for path, heading in (("/account/2fa/", "Two-Factor"), ("/account/2fa/totp/activate/", "Activate")):
        page.goto(path)
        if "reauthenticate" in page.url:
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Confirm").click()
        page.get_by_role("heading", name=heading).first.wait_for()
        found = Axe().run(page)
        assert not found.violations_count, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
