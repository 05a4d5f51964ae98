"""Getting in: single sign-on, a second factor where a role must have one, a forgotten password, and what is noted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from asgiref.sync import sync_to_async
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as site
from django.core import checks, mail
from django.core.cache import cache, caches
from django.test import Client
from django.utils import timezone
from joserfc.jwk import RSAKey

from calls import forgotten, tasks, tokens
from calls.choices import Role
from calls.models import Change, Policy, User
from tests import issuer as issuers
from tests.conftest import PASSWORD
from tests.issuer import Issuer
from tests.web.test_sockets import Socket

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_counted(clean_redis: Any) -> Iterator[None]:
    cache.clear()
    yield
    caches["shared"].clear()
    cache.clear()


@pytest.fixture
def dana(db: None) -> User:
    user = User.objects.create_user(
        "dana", password=PASSWORD, first_name="Dana", last_name="Ito", role=Role.ADMIN
    )
    return user


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def by_password(user: User, client: Client | None = None) -> Client:
    client = client or Client()
    client.post("/account/login/", {"login": user.username, "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get("/policy/").status_code == 200


def notes() -> list[tuple[str, str]]:
    return list(Change.objects.order_by("pk").values_list("did", "subject"))


# --- single sign-on ----------------------------------------------------------------------------------------


@pytest.fixture
def issuer(settings: Any, bob: User) -> Iterator[Issuer]:
    User.objects.filter(pk=bob.pk).update(email="Bob@Example.com")
    with issuers.running() as made:
        made.claims = {"email": "bob@example.com", "email_verified": True}
        use(settings, made)
        yield made


def use(settings: Any, made: Issuer) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_NAME = made.url, made.client_id, "Example ID"
    app = {"provider_id": "sso", "name": "Example ID", "client_id": made.client_id, "secret": made.client_secret,
           "settings": {"server_url": made.url, "uid_field": "bound"}}  # fmt: skip
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}


def sign_on(client: Client, query: str = "") -> Any:
    """As a browser would go: to the issuer, and back."""
    there = client.get(f"/account/sso/login/{query}")
    if there.status_code != 302:
        return there
    back = requests.get(there["location"], allow_redirects=False, timeout=5).headers["location"]
    return client.get(back.removeprefix("http://testserver"))


def test_the_first_log_in_binds_and_later_ones_go_by_that(issuer: Issuer, bob: User) -> None:
    client = Client()
    answer = sign_on(client, "?next=/me/trends/")
    assert (answer.status_code, answer["location"]) == (302, "/me/trends/") and is_in(client)
    [account] = SocialAccount.objects.all()
    assert account.user == bob and account.extra_data == {} and "u-1" not in account.uid
    client.post("/account/logout/")
    issuer.claims = {"email": "robert@new.example", "email_verified": False}  # the address has changed since
    assert sign_on(Client()).status_code == 302
    assert [did for did, _ in notes()] == ["bound", "in", "out", "in"]
    issuer.claims = {"sub": "u-2", "email": "bob@example.com", "email_verified": True}
    stranger = Client()
    answer = sign_on(stranger)
    assert answer.status_code == 403 and "another log-in" in answer.content.decode() and not is_in(stranger)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"email_verified": False}, "does not say that"), ({"email_verified": None}, "does not say that"),
        ({"email_verified": "yes"}, "does not say that"), ({"email": "nobody@example.com"}, "Nobody here"),
        ({"email": None}, "gave no e-mail"), ({"email": ["bob@example.com"]}, "gave no e-mail"),
        ({"email": "b\0b@example.com"}, "gave no e-mail"), ({"email": "bob@example.com%"}, "Nobody here"),
    ],
)  # fmt: skip
def test_who_is_not_let_in_and_why(issuer: Issuer, claims: dict[str, Any], words: str) -> None:
    issuer.claims |= claims
    issuer.userinfo = {"sub": "u-1"}
    client = Client()
    answer = sign_on(client)
    assert answer.status_code == 403 and words in answer.content.decode()
    assert not is_in(client) and not SocialAccount.objects.exists() and User.objects.count() == 1
    assert notes()[-1][0] == "failed"


def test_two_with_one_address_and_one_switched_off(
    issuer: Issuer, bob: User, carol: User, settings: Any
) -> None:
    User.objects.filter(pk=carol.pk).update(email="bob@example.COM")
    assert "Several people" in sign_on(Client()).content.decode()
    User.objects.filter(pk=bob.pk).update(is_active=False)
    client = Client()
    assert sign_on(client).status_code == 302 and is_in(client)
    User.objects.filter(pk=carol.pk).update(is_active=False)
    client = Client()
    answer = sign_on(client)
    assert answer.status_code == 403 and "switched off" in answer.content.decode() and not is_in(client)


def test_an_address_is_believed_where_the_site_says_so(issuer: Issuer, settings: Any) -> None:
    issuer.claims["email_verified"] = None
    settings.OIDC_TRUST_EMAIL = True
    client = Client()
    assert sign_on(client).status_code == 302 and is_in(client)


def test_what_userinfo_adds_counts_for_the_same_subject_only(issuer: Issuer) -> None:
    issuer.userinfo, issuer.claims = {"sub": "u-9", "email": "bob@example.com", "email_verified": True}, {}
    assert sign_on(Client()).status_code == 502
    issuer.userinfo["sub"] = "u-1"
    assert sign_on(Client()).status_code == 302


@pytest.mark.parametrize(
    "wrong", ["signature", "audience", "issuer", "expired", "no id_token", "config", "secret", "junk"]
)
def test_a_token_that_is_not_good(
    issuer: Issuer, wrong: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong == "signature":
        issuer.signs_with = RSAKey.generate_key(2048, parameters={"kid": "k1"})
    elif wrong == "audience":
        issuer.claims["aud"] = "somebody else"
    elif wrong == "issuer":
        issuer.claims["iss"] = "https://evil.example"
    elif wrong == "expired":
        issuer.claims["exp"] = int(time.time()) - 3600
    elif wrong == "config":
        issuer.config["issuer"] = "https://evil.example"
        issuer.claims["iss"] = "https://evil.example"
    elif wrong == "secret":
        issuer.client_secret = "changed"
    else:
        real = issuer.token
        said = {"no id_token": {"access_token": "x", "token_type": "Bearer"}, "junk": {"hello": 1}}[wrong]
        monkeypatch.setattr(issuer, "token", lambda asked: (200, said) if real(asked) else (200, {}))
    client = Client()
    answer = sign_on(client)
    assert answer.status_code in (400, 502) and "did not work" in answer.content.decode(), answer.content[
        :300
    ]
    assert not is_in(client) and not SocialAccount.objects.exists()


def test_unsigned_tokens_and_shared_secrets_are_refused(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jwt

    claims = {
        "iss": issuer.url,
        "aud": "empathy",
        "sub": "u-1",
        "exp": int(time.time()) + 60,
        **issuer.claims,
    }
    for token in (
        jwt.encode(claims, "", algorithm="none", headers={"kid": "k1"}),
        jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"kid": "k1"}),
        "a.b.c", "",
    ):  # fmt: skip
        monkeypatch.setattr(
            issuer,
            "token",
            lambda _, token=token: (200, {"access_token": "x", "token_type": "Bearer", "id_token": token}),
        )
        client = Client()
        assert sign_on(client).status_code in (400, 502) and not is_in(client)


def test_a_callback_nobody_asked_for(issuer: Issuer) -> None:
    there = Client().get("/account/sso/login/")["location"]
    back = (
        requests.get(there, allow_redirects=False, timeout=5)
        .headers["location"]
        .removeprefix("http://testserver")
    )
    for path in (
        back,
        "/account/sso/callback/",
        "/account/sso/callback/?code=1&state=x",
        "/account/sso/callback/?error=access_denied",
    ):
        client = Client()
        assert client.get(path).status_code == 400 and not is_in(client), path


@pytest.mark.parametrize("down", ["/.well-known/openid-configuration", "/token", "/jwks", "all"])
def test_the_issuer_is_away_and_passwords_still_work(
    issuer: Issuer, bob: User, settings: Any, down: str
) -> None:
    issuer.down = down
    if down == "all":
        settings.OIDC_ISSUER = "http://127.0.0.1:1"
        issuer.port = 1
        use(settings, issuer)
    answer = sign_on(Client())
    assert answer.status_code == 502 and "Try again" in answer.content.decode()
    assert is_in(by_password(bob))


def test_where_it_leads_is_ours(issuer: Issuer) -> None:
    for away in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        assert sign_on(Client(), f"?next={away}")["location"] == "/", away
    assert sign_on(Client(), "?process=connect&scope=admin&auth_params=prompt=none").status_code == 302


def test_only_by_the_issuer_but_for_admins(issuer: Issuer, settings: Any, bob: User, dana: User) -> None:
    settings.OIDC_ONLY = True
    client = Client()
    answer = client.post("/account/login/", {"login": "bob", "password": PASSWORD})
    assert answer.status_code == 403 and "switched off" in answer.content.decode() and not is_in(client)
    assert is_in(by_password(dana))
    client = Client()
    assert sign_on(client).status_code == 302 and is_in(client)
    assert "Administrators" in Client().get("/account/login/").content.decode()


def test_without_configuration_there_is_none(bob: User) -> None:
    assert Client().get("/account/sso/login/").status_code == 404
    assert Client().get("/account/sso/callback/?code=1&state=2").status_code == 404
    assert "sso" not in Client().get("/account/login/").content.decode()


def test_half_a_configuration_is_named(settings: Any) -> None:
    settings.OIDC_ISSUER = "https://id.example.com"
    [found] = [one for one in checks.run_checks() if one.id == "calls.E004"]
    assert "OIDC_CLIENT_ID" in found.hint
    settings.OIDC_CLIENT_ID = "x"
    assert not [one for one in checks.run_checks() if one.id == "calls.E004"]


# --- a second factor that must be --------------------------------------------------------------------------


@pytest.fixture
def agents_must(db: None) -> Policy:
    return Policy.objects.create(second_factor=["agent"])


def give_factor(user: User) -> str:
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    TOTP.activate(user, secret)
    return secret


def test_nothing_else_opens_before_it_is_set_up(agents_must: Policy, bob: User, alice: User) -> None:
    _, token = tokens.make(bob, "x", ["calls"], 7)
    client = by_password(bob)
    for path in ("/me/", "/calls/", "/policy/", "/me/data.zip", "/admin/", "/tokens/", "/nowhere/"):
        answer = client.get(path)
        assert answer.status_code == 302 and answer["location"] == "/account/2fa/totp/activate/", path
    assert client.post("/me/choices", {}).status_code == 302
    assert client.get("/api/v1/who").status_code == 403
    assert client.get("/account/2fa/totp/activate/").status_code in (200, 302)
    assert client.get("/language/words.js").status_code == 200
    assert is_in(by_password(alice)), "supervisors need none"
    give_factor(bob)
    assert is_in(client)


@pytest.mark.django_db(transaction=True)
async def test_sockets_stay_closed_too(bob: User, session_of: Callable[[User], str]) -> None:
    cookie = f"{site.SESSION_COOKIE_NAME}={await sync_to_async(session_of)(bob)}".encode()
    headers = [(b"cookie", cookie), (b"origin", b"http://testserver"), (b"host", b"testserver")]
    socket = Socket("/ws/me/", headers)
    assert await socket.connect() is None
    await socket.leave()
    await sync_to_async(Policy.objects.create)(second_factor=["agent"])
    assert await Socket("/ws/me/", headers).connect() == 4404


def test_the_issuers_own_factor_counts(issuer: Issuer, agents_must: Policy, bob: User) -> None:
    for amr, enough in (
        (["pwd"], False),
        (None, False),
        ("mfa", False),
        ([{}], False),
        (["pwd", "mfa"], True),
        (["hwk"], True),
    ):
        issuer.claims["amr"] = amr
        client = Client()
        assert sign_on(client).status_code == 302
        assert is_in(client) is enough, amr
    give_factor(bob)
    client = Client()
    assert sign_on(client)["location"] == "/" and is_in(client)
    issuer.claims["amr"] = ["pwd"]
    client = Client()
    assert "2fa" in sign_on(client)["location"] and not is_in(client)


def test_an_admin_removes_somebodys_factor(dana: User, alice: User, bob: User, carol: User) -> None:
    give_factor(bob)
    give_factor(dana)
    his, admin = logged_in(bob), logged_in(dana)
    path = f"/people/{bob.pk}/second-factor"
    for user in (alice, bob, carol):
        assert logged_in(user).post(path, {"reason": "x"}).status_code == 404
    assert Client().post(path).status_code == 302 and admin.get(path).status_code == 405
    assert "Say why" in admin.post(path, {"reason": " "}, follow=True).content.decode()
    assert (
        "your own"
        in admin.post(f"/people/{dana.pk}/second-factor", {"reason": "x"}, follow=True).content.decode()
    )
    assert Authenticator.objects.count() == 2 and is_in(his)
    assert "no second factor now" in admin.post(path, {"reason": "phone lost"}, follow=True).content.decode()
    assert not Authenticator.objects.filter(user=bob).exists() and not is_in(his), "and he is logged out"
    row = Change.objects.get(did="factor-")
    assert row.after == {"reason": "phone lost"} and row.actor == "Dana Ito" and row.subject == "Bob Okafor"


# --- a forgotten password ------------------------------------------------------------------------------------


@pytest.fixture
def mails(settings: Any, bob: User) -> list[Any]:
    settings.EMAIL_HOST = "mail.example.com"
    settings.CELERY_TASK_ALWAYS_EAGER = True
    from empathy_dash.celery import app

    app.conf.task_always_eager = True
    User.objects.filter(pk=bob.pk).update(email="bob@example.com")
    yield mail.outbox
    app.conf.task_always_eager = False


def test_a_link_sets_a_new_password_once_and_ends_sessions(mails: list[Any], bob: User) -> None:
    old = logged_in(bob)
    page = Client().post("/forgotten/", {"email": "BOB@example.com"})
    assert "is on its way" in page.content.decode()
    [letter] = mails
    assert letter.to == ["bob@example.com"] and "within an hour" in letter.body
    [path] = re.findall(r"(/invited/\S+)", letter.body)
    new = "an entirely new sentence"
    assert Client().post(path, {"new_password1": new, "new_password2": new}).status_code == 302
    bob.refresh_from_db()
    assert bob.check_password(new) and not is_in(old)
    assert Client().get(path).status_code == 404
    assert notes()[-1][0] == "password"


def test_it_does_not_go_around_the_second_factor(mails: list[Any], bob: User) -> None:
    give_factor(bob)
    Client().post("/forgotten/", {"email": "bob@example.com"})
    [path] = re.findall(r"(/invited/\S+)", mails[0].body)
    client = Client()
    client.post(
        path, {"new_password1": "an entirely new sentence", "new_password2": "an entirely new sentence"}
    )
    assert not is_in(client)
    answer = client.post("/account/login/", {"login": "bob", "password": "an entirely new sentence"})
    assert "2fa" in answer["location"] and not is_in(client)


def test_it_runs_out_after_an_hour(mails: list[Any], bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    bob.refresh_from_db()
    made = forgotten.tokens.make_token(bob)
    assert forgotten.tokens.check_token(bob, made) and not forgotten.tokens.check_token(None, made)
    from datetime import datetime

    later = datetime.now() + timedelta(seconds=forgotten.GOOD_FOR_S + 2)
    monkeypatch.setattr(forgotten.ResetTokens, "_now", lambda self: later)
    assert not forgotten.tokens.check_token(bob, made)


def test_the_same_answer_for_whomever(mails: list[Any], bob: User, alice: User) -> None:
    def told(email: str) -> str:
        return re.sub(r'value="\w{64}"', "", Client().post("/forgotten/", {"email": email}).content.decode())

    known = told("bob@example.com")
    assert told("nobody@example.com") == known and len(mails) == 1
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert told("bob@example.com") == known and len(mails) == 1, "nobody who is switched off"


@pytest.mark.parametrize(
    "email", ["", "x", "x@", "a" * 300 + "@example.com", "bob@example.com\nBcc: x@y.z", "\0"]
)
def test_no_address_at_all(mails: list[Any], email: str) -> None:
    page = Client().post("/forgotten/", {"email": email})
    assert page.status_code == 200 and "errorlist" in page.content.decode() and not mails


def test_not_too_often(mails: list[Any], bob: User) -> None:
    pages = [Client().post("/forgotten/", {"email": "bob@example.com"}).content.decode() for _ in range(5)]
    assert len(mails) == 3 and "too often" in pages[-1] and "too often" not in pages[2]


def test_without_e_mail_it_says_whom_to_ask(bob: User) -> None:
    assert "Ask your administrator" in Client().get("/forgotten/").content.decode()
    assert "is on its way" not in Client().post("/forgotten/", {"email": "x@example.com"}).content.decode()
    assert Client().get("/account/password/reset/").status_code == 404
    assert tasks.send_reset("nobody@example.com", "en") is None


# --- what is noted --------------------------------------------------------------------------------------------


def test_logging_in_leaves_no_message_for_a_later_page(client: Client, dana: User) -> None:
    client.post("/account/login/", {"login": "dana", "password": PASSWORD})
    page = client.get("/sources/").content.decode()
    assert "Sources" in page and "signed in" not in page.lower()


def test_every_way_in_and_out_is_noted_with_its_address(bob: User, dana: User) -> None:
    client = Client(REMOTE_ADDR="203.0.113.9")
    client.post("/account/login/", {"login": "bob", "password": "a guess that is wrong"})
    client.post("/account/login/", {"login": "bob", "password": PASSWORD})
    client.post("/account/logout/")
    assert [(did, name) for did, name in notes()] == [
        ("failed", "bob"),
        ("in", "Bob Okafor"),
        ("out", "Bob Okafor"),
    ]
    rows = list(Change.objects.all())
    assert {row.address for row in rows} == {"203.0.113.9"} and "a guess" not in str(
        [row.after for row in rows]
    )
    page = logged_in(dana).get("/audit/?address=203.0.113&did=failed").content.decode()
    assert (
        "could not log in:" in page
        and "203.0.113.9" in page
        and "logged out:" not in page[page.index('<ul class="lines') :]
    )


def test_many_failures_fill_no_table(bob: User) -> None:
    for n in range(8):
        Client().post("/account/login/", {"login": "bob", "password": f"guess {n}"})
    assert len(notes()) == 1


def test_a_proxy_is_believed_only_where_there_is_one(bob: User, settings: Any) -> None:
    for proxies, told in ((0, "127.0.0.1"), (1, "198.51.100.7")):
        settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
        Client(headers={"X-Forwarded-For": "6.6.6.6, 198.51.100.7"}).post(
            "/account/login/", {"login": "bob", "password": PASSWORD}
        )
        assert Change.objects.first().address == told
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 3


def test_times_that_are_none_are_said(dana: User, alice: User) -> None:
    client = logged_in(dana)
    today = timezone.now().date()
    assert "logged in:" in client.get(f"/audit/?first={today}&last={today}").content.decode()
    assert "Nothing fits" in client.get("/audit/?last=2001-01-01").content.decode()
    for first in ("May", "2026-02-31", "0001-01-01", "9999-12-31"):
        page = client.get(f"/audit/?first={first}")
        assert page.status_code == 200 and "Give days like" in page.content.decode(), first
    assert logged_in(alice).get("/audit/").status_code == 404


# --- by hand -----------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_role_that_must_have_a_factor_sets_it_up_by_hand(
    page_for: Callable[..., Any], dana: User, bob: User
) -> None:
    from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password

    User.objects.update(password=make_password(PASSWORD, hasher=PBKDF2PasswordHasher()))
    dana.refresh_from_db()
    admin = page_for(dana, viewport={"width": 1280, "height": 900})
    admin.goto("/policy/")
    admin.get_by_role("group", name="Who must have a second factor").get_by_label("Agent").check()
    admin.get_by_label("Why, for those").fill("Since today.")
    admin.get_by_role("button", name="Put").or_(
        admin.locator("form.change button[type=submit]")
    ).first.click()
    admin.get_by_text("The new policy is in force.").wait_for()
    assert Axe().run(admin).response["violations"] == []
    for scheme, width in (("dark", 390), ("light", 1280)):
        Authenticator.objects.all().delete()
        page = page_for(None, color_scheme=scheme, viewport={"width": width, "height": 900})
        page.goto("/forgotten/")
        assert Axe().run(page).response["violations"] == []
        page.goto("/account/login/")
        assert Axe().run(page).response["violations"] == []
        page.get_by_label("User name").fill("bob")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/account/**")
        page.goto("/me/")
        if "reauthenticate" in page.url:
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Confirm").click()
        page.wait_for_url("**/account/2fa/totp/activate/**")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        secret = page.locator("#authenticator_secret").input_value()
        page.locator("[name=code]").fill(code(secret))
        page.get_by_role("button", name="Activate").click()
        page.wait_for_url("**/recovery-codes/**")
        page.goto("/me/")
        page.wait_for_url("**/me/")
        page.goto("/calls/")  # no socket of his is left to be refused
    admin.goto(f"/people/{bob.pk}/")
    admin.get_by_role("textbox", name="Why").fill("phone lost")
    assert Axe().run(admin).response["violations"] == []
    admin.get_by_role("button", name="Remove it").click()
    admin.get_by_text("no second factor now").wait_for()
    page.goto("/me/")
    page.wait_for_url("**/account/login/**")


def code(secret: str) -> str:
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time

    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))
