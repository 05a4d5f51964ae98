"""Sources by hand: made, changed, secrets rotated, health in words; admins only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as site
from django.test import Client

from calls import health
from calls.choices import Protocol, Role
from calls.ingest.wires import WIRES
from calls.models import Change, Source, Team, User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
Open = Callable[..., Any]


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def filled(where: Team, **said: Any) -> dict[str, Any]:
    return {
        "name": "Fees line",
        "slug": "fees",
        "protocol": "audiohook",
        "team": str(where.pk),
        "enabled": "on",
    } | said


def test_nobody_but_admins(source: Source, alice: User, bob: User, carol: User, dana: User) -> None:
    for path in ("/sources/", "/sources/new/", f"/sources/{source.pk}/", f"/sources/{source.pk}/do"):
        assert Client().get(path).status_code == 302, path
        for user in (alice, bob, carol):
            assert logged_in(user).get(path).status_code == 404, path
            assert logged_in(user).post(path, {"do": "rotate"}).status_code == 404, path
    assert logged_in(dana).get("/sources/").status_code == 200
    assert source.secret not in logged_in(dana).get(f"/sources/{source.pk}/").content.decode()
    assert list(Source.objects.values_list("secret", flat=True)) == [source.secret]


def test_made_with_the_usual_legs_and_a_secret_shown_once(dana: User, billing: Team) -> None:
    client = logged_in(dana)
    page = client.post("/sources/new/", filled(billing), follow=True).content.decode()
    made = Source.objects.get()
    assert made.roles == {"external": "customer", "internal": "agent"}
    assert made.secret in page and made.secret not in client.get(f"/sources/{made.pk}/").content.decode()
    assert "API key: fees" in page and made.media_url in page and "docs/connect/genesys.md" in page
    row = Change.objects.get(subject_type="source")
    assert row.did == "created" and made.secret not in json.dumps(row.after)


@pytest.mark.parametrize("protocol", [p for p in Protocol.values if p != Protocol.RECORDING])
def test_every_protocol_can_be_made_and_has_a_recipe(dana: User, billing: Team, protocol: str) -> None:
    client = logged_in(dana)
    client.post("/sources/new/", filled(billing, protocol=protocol))
    made = Source.objects.get()
    page = client.get(f"/sources/{made.pk}/")
    from calls.views.sources import RECIPES

    recipe = site.BASE_DIR / "docs" / "connect" / f"{RECIPES.get(protocol, protocol)}.md"
    assert page.status_code == 200 and recipe.exists() and recipe.name in page.content.decode()
    assert protocol in {*WIRES, "audiosocket"} and set(made.roles.values()) == {"customer", "agent"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"name": ""}, "required"), ({"slug": "a b"}, "slug"), ({"slug": "billing-line"}, "already exists"),
        ({"protocol": "carrier-pigeon"}, "valid choice"), ({"networks": "10.0.0.0/33"}, "no network"),
        ({"networks": "\n".join(["10.0.0.0/8"] * 51)}, "at most 50"), ({"listen_url": "ftp://x"}, "https://"),
        ({"barge_url": "https://pbx/{id}"}, "{id} is not known"), ({"barge_url": "https://{agent}/"}, "host must be"),
        ({"caller": "x", "agent": "x"}, "Map two legs"), ({"token_required": "on"}, "can bring no token"), ({"team": "99"}, "valid choice"),
    ],
)  # fmt: skip
def test_one_that_cannot_be(
    dana: User, billing: Team, source: Source, said: dict[str, str], words: str
) -> None:
    page = logged_in(dana).post("/sources/new/", filled(billing, **said))
    assert page.status_code == 200 and words in page.content.decode(), page.content.decode()[-3000:]
    assert Source.objects.count() == 1


def test_changed_but_not_where_phone_systems_know_it(dana: User, source: Source, travel: Team) -> None:
    client = logged_in(dana)
    said = filled(
        travel,
        slug="other",
        name="New name",
        protocol="stream",
        caller="in",
        agent="out",
        networks="203.0.113.0/24\n2001:db8::/32",
    )
    assert client.post(f"/sources/{source.pk}/", said).status_code == 302
    source.refresh_from_db()
    assert (source.slug, source.protocol, source.team.name) == ("billing-line", "twilio", "Billing")
    assert source.name == "New name" and source.roles == {"in": "customer", "out": "agent"}
    assert source.networks == ["203.0.113.0/24", "2001:db8::/32"]
    assert Change.objects.get(subject_type="source").before["name"] == "Billing line"


def test_two_secrets_live_until_the_old_one_is_dropped(dana: User, billing: Team) -> None:
    made = Source.objects.create(name="x", slug="x", team=billing, protocol="stream")
    client, first = logged_in(dana), made.secret
    page = client.post(f"/sources/{made.pk}/do", {"do": "rotate"}, follow=True).content.decode()
    made.refresh_from_db()
    assert made.secret != first and made.previous_secret == first and made.secret in page
    client.post(f"/sources/{made.pk}/do", {"do": "drop"})
    made.refresh_from_db()
    assert made.previous_secret == ""
    assert (
        "Only one secret is live"
        in client.post(f"/sources/{made.pk}/do", {"do": "drop"}, follow=True).content.decode()
    )
    for given in ("short", "has a space in it!!", "ü" * 20, "x" * 201, made.secret):
        page = client.post(
            f"/sources/{made.pk}/do", {"do": "rotate", "secret": given}, follow=True
        ).content.decode()
        assert "16 to 200" in page or "in use already" in page, given
    page = client.post(
        f"/sources/{made.pk}/do", {"do": "rotate", "secret": "a" * 32}, follow=True
    ).content.decode()
    made.refresh_from_db()
    assert made.secret == "a" * 32 and "a" * 32 not in page, "who pasted it knows it"
    assert "a" * 32 not in json.dumps(list(Change.objects.values("before", "after")))


def test_a_system_that_signs_by_itself_has_its_own_token(dana: User, source: Source) -> None:
    page = logged_in(dana).post(f"/sources/{source.pk}/do", {"do": "rotate"}, follow=True).content.decode()
    assert "paste its auth token" in page
    page = logged_in(dana).post(f"/sources/{source.pk}/do", {"do": "dance"}, follow=True).content.decode()
    assert "Nothing was asked for" in page
    Source.objects.update(enabled=False)
    page = logged_in(dana).post(f"/sources/{source.pk}/do", {"do": "test"}, follow=True).content.decode()
    assert "switch that on first" in page


def test_health_is_told_in_words(dana: User, source: Source) -> None:
    async def media() -> None:
        client = redis.asyncio.Redis.from_url(site.REDIS_URL)
        meter = health.Meter()
        meter._at -= 2
        await health.tell(
            client, meter.take([("a", "billing-line", 100, 1500.0), ("b", "billing-line", 50, 0.0)])
        )
        await health.refused(client, "billing-line", "bad signature")
        await health.refused(client, "billing-line", "no leg of the source: <b>x</b> is none")
        await client.aclose()

    asyncio.run(media())
    page = logged_in(dana).get(f"/sources/{source.pk}/").content.decode()
    assert "2 streams" in page and "75 frames a second" in page and "1.5 s lost" in page
    assert "compare the secret" in page and "see which leg is whose" in page and "<b>x</b>" not in page
    assert "see which leg is whose" in logged_in(dana).get("/sources/").content.decode()


def test_frames_of_streams_that_go_on_are_counted_when_another_ends() -> None:
    meter, found = health.Meter(), []
    for frames in ({"a": 100, "b": 9000}, {"a": 300}, {"a": 500, "c": 40}):
        meter._at -= 2
        told = meter.take([(which, "line", n, 0.0) for which, n in frames.items()])
        found.append((told["line"]["streams"], round(told["line"]["frames_per_s"])))
    assert [n for n, _ in found] == [2, 1, 2]
    assert abs(found[1][1] - 100) < 3 and abs(found[2][1] - 120) < 3, found


def test_without_redis_the_page_says_so(dana: User, source: Source, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert "nobody can tell" in logged_in(dana).get(f"/sources/{source.pk}/").content.decode()
    assert logged_in(dana).get("/sources/").status_code == 200


@pytest.mark.browser
def test_sources_by_hand(page_for: Open, dana: User, source: Source, billing: Team) -> None:
    for scheme, width in (("dark", 390), ("light", 1280)):
        page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
        for path in ("/sources/", "/sources/new/", f"/sources/{source.pk}/"):
            page.goto(path)
            assert Axe().run(page).response["violations"] == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.goto("/sources/new/")
    page.get_by_label("Name", exact=True).fill("Hotline")
    page.get_by_label("Last part of its address").fill("hotline")
    page.get_by_label("Phone system", exact=True).select_option(label="Asterisk chan_websocket")
    page.get_by_label("Team", exact=True).select_option(label="Billing")
    page.get_by_role("button", name="Save").click()
    secret = page.get_by_role("textbox", name="Secret", exact=True).input_value()
    assert Source.objects.get(slug="hotline").secret == secret
    page.get_by_role("button", name="New secret").click()
    page.get_by_text("Both secrets are good").wait_for()
    page.get_by_role("button", name="Drop the old one").click()
    page.get_by_text("Only the new secret is good now.").wait_for()


def test_every_reason_that_the_door_gives_has_words(settings: Any) -> None:
    """Read off the door's own source: a new refusal without words to act on fails here."""
    import re

    from calls.views.sources import REASONS

    folder = settings.BASE_DIR / "calls" / "ingest"
    text = "\n".join(path.read_text() for path in folder.glob("*.py"))
    given = re.findall(r'(?:Refused\(\w+, |Unusable\()f?["\']([^"\']+)["\']', text)
    given += re.findall(r'^NO_\w+ = \(?\s*["\']([^"\']+)["\']', text, re.M)
    plain = {reason.partition(":")[0] for reason in given}
    assert {"audio format", "no role", "bad token", "start"} <= plain
    assert plain - set(REASONS) <= {"unknown source"}, plain - set(REASONS)


def test_an_audiohook_secret_must_be_base64(dana: User, billing: Team) -> None:
    made = Source.objects.create(name="G", slug="g", team=billing, protocol="audiohook")
    client = logged_in(dana)
    page = client.post(
        f"/sources/{made.pk}/do",
        {"do": "rotate", "secret": "not base64 at all!!"[:18].replace(" ", "_")},
        follow=True,
    )
    assert "base64" in page.content.decode()
    made.refresh_from_db()
    first = made.secret
    client.post(f"/sources/{made.pk}/do", {"do": "rotate", "secret": "c2VjcmV0IG9mIGdlbmVzeXM="})
    made.refresh_from_db()
    assert (made.secret, made.previous_secret) == ("c2VjcmV0IG9mIGdlbmVzeXM=", first)


def test_refusals_are_forgotten_day_by_day(clean_redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused() -> None:
        client = redis.asyncio.Redis.from_url(site.REDIS_URL)
        await health.refused(client, "x", "full")
        await client.aclose()

    client, now = redis.Redis.from_url(site.REDIS_URL), health.time.time()
    asyncio.run(refused())
    monkeypatch.setattr(health.time, "time", lambda: now + 20 * 86400)
    asyncio.run(refused())
    assert health.read(client, "x").refused == {"full": 2}
    monkeypatch.setattr(health.time, "time", lambda: now + 35 * 86400)
    assert health.read(client, "x").refused == {"full": 1}
