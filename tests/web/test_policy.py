"""The policy page, the firewall's test, the data of a call, and an objection on the agent's page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import caches
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from calls import firewall_kept, record, tasks
from calls.choices import Role
from calls.models import Call, ConsentEvent, Policy, Purge, User

Open = Callable[..., Any]
GOOD = {
    "region": "uk", "asked": "notice", "voice": "on", "cues": "on", "hr_lock": "on", "audio_days": "5",
    "transcript_days": "60", "features_days": "90", "scores_days": "400", "note": "we moved",
}  # fmt: skip


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def ended(call: Call, days: float = 0) -> Call:
    record.record_scores([record.Scored(str(call.pk), None, {}, {}, close=True)])
    Call.objects.filter(pk=call.pk).update(ended_at=timezone.now() - timedelta(days=days))
    call.refresh_from_db()
    return call


@pytest.mark.django_db
def test_everybody_reads_it_and_admins_change_it(alice: User, bob: User, dana: User) -> None:
    assert Client().get(reverse("policy")).status_code == 302
    for user in (alice, bob):
        answer = logged_in(user).get(reverse("policy"))
        assert answer.status_code == 200 and b"Put in force" not in answer.content
        assert logged_in(user).post(reverse("policy"), GOOD).status_code == 404
        assert logged_in(user).post(reverse("purge_now")).status_code == 404
    assert b"What was deleted" not in logged_in(bob).get(reverse("policy")).content
    assert logged_in(dana).post(reverse("policy"), GOOD).status_code == 302
    made = Policy.objects.get()
    assert (made.region, made.transcript_days, made.author) == ("uk", 60, dana)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("transcript_days", "181", "At most 180 days in this region."),
        ("audio_days", "61", "cannot be kept longer than"),
        ("audio_days", "-1", "greater than or equal to 0"),
        ("audio_days", "9" * 30, "At most"),
        ("scores_days", "x", "whole number"),
        ("region", "mars", "Select a valid choice"),
        ("note", "", "required"),
        ("note", "a\0b", "Null characters"),
        ("hr_lock", "", "stays on in this region"),
    ],
)
def test_bad_input_is_named_and_what_was_typed_stays(dana: User, field: str, value: str, words: str) -> None:
    answer = logged_in(dana).post(reverse("policy"), GOOD | {field: value})
    page = answer.content.decode()
    assert words in page and f'value="{(GOOD | {field: value})["features_days"]}"' in page
    assert "Nothing was changed" in page and not Policy.objects.exists()


@pytest.mark.django_db
def test_a_regions_beginning_is_loaded_and_not_yet_in_force(dana: User) -> None:
    client = Client()
    client.force_login(dana)
    page = client.post("/policy/", {"region": "us", "load": "1", "audio_days": "3"}).content.decode()
    assert "Loaded for United States" in page and 'name="scores_days" value="1095"' in page
    assert not Policy.objects.exists()
    odd = client.post("/policy/", {"region": "mars", "load": "1"})
    assert (
        odd.status_code == 200
        and "Nothing was changed" in odd.content.decode()
        and not Policy.objects.exists()
    )


def test_carol_finds_no_data_of_a_call(
    make_call: Callable[..., Call], carol: User, alice: User, bob: User
) -> None:
    call = make_call("CA1")
    for name, method in (
        ("call_data", "get"),
        ("export_call", "get"),
        ("erase_call", "post"),
        ("consent", "post"),
    ):
        address = reverse(name, args=[call.pk])
        json = {"content_type": "application/json"} if name == "consent" else {}
        assert getattr(logged_in(carol), method)(address, **json).status_code == 404, name
        assert getattr(Client(), method)(address).status_code == 302
    for user in (alice, bob):
        assert logged_in(user).get(reverse("call_data", args=[call.pk])).status_code == 200
        assert logged_in(user).get(reverse("export_call", args=[call.pk])).status_code == 404
        assert logged_in(user).post(reverse("erase_call", args=[call.pk]), {"reason": "x"}).status_code == 404
    assert Call.objects.filter(pk=call.pk).exists()


@pytest.mark.django_db
def test_erasing_needs_an_end_and_a_reason(make_call: Callable[..., Call], dana: User) -> None:
    call, client = make_call("CA1"), logged_in(dana)
    address = reverse("erase_call", args=[call.pk])
    assert b"The call is running" in client.post(address, {"reason": "asked"}).content
    ended(call)
    assert b"Say why" in client.post(address, {"reason": " \0 "}).content
    assert b"at most 200" in client.post(address, {"reason": "x" * 201}).content
    copy = client.get(reverse("export_call", args=[call.pk]))
    assert copy.status_code == 200 and copy.content[:2] == b"PK"
    assert client.post(address, {"reason": "the caller asked"}).status_code == 302
    proof = Purge.objects.get()
    assert not Call.objects.exists() and proof.is_proven and proof.user == dana
    assert str(call.pk) not in str(Purge.objects.values().get())


@pytest.mark.django_db
@pytest.mark.parametrize("said", ["maybe", None, 7, ["no"], {"a": 1}])
def test_a_consent_that_is_none_is_refused(make_call: Callable[..., Call], bob: User, said: Any) -> None:
    call = make_call("CA1")
    answer = logged_in(bob).post(
        reverse("consent", args=[call.pk]), {"said": said}, content_type="application/json"
    )
    assert answer.status_code == 400 and "notice, yes, no" in answer.json()["error"]


@pytest.mark.django_db
def test_one_agents_figures_stay_with_the_agent(alice: User, bob: User) -> None:
    address = reverse("agent_trends_csv", args=[bob.pk])
    answer = logged_in(alice).get(address)
    assert answer.status_code == 403 and "only the agent" in answer.content.decode()
    assert logged_in(bob).get(reverse("my_trends_csv")).status_code == 200
    Policy.objects.create(region="us", hr_lock=False)
    assert logged_in(alice).get(address).status_code == 200


@pytest.mark.django_db
def test_a_page_of_a_purged_call_still_opens(full_call: Call, alice: User) -> None:
    from calls import retention

    ended(full_call, days=100)
    retention.purge_due()
    answer = logged_in(alice).get(full_call.get_absolute_url())
    assert answer.status_code == 200 and b"deleted by the policy" in answer.content


@pytest.mark.browser
def test_an_admin_changes_the_policy_and_purges(
    page_for: Open, make_call: Callable[..., Call], dana: User
) -> None:
    ended(make_call("CA1"), days=800)
    Policy.objects.create(note="first", author=dana)
    for scheme, width in (("light", 1280), ("dark", 390)):
        page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
        page.goto("/policy/")
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("United Kingdom").check()
    page.get_by_text("Loaded for United Kingdom.").wait_for()
    assert page.get_by_label("Scores, days").input_value() == "730"
    page.get_by_label("Audio, days").fill("999")
    page.get_by_label("Why, for those who read this later").fill("we moved")
    page.get_by_role("button", name="Put in force").click()
    page.get_by_text("At most 90 days in this region.").wait_for()
    assert Axe().run(page).response["violations"] == []
    page.get_by_label("Audio, days").fill("6")
    page.get_by_role("button", name="Put in force").click()
    page.get_by_text("The new policy is in force.").wait_for()
    page.get_by_role("button", name="Purge what is due now").click()
    page.get_by_text("Purged:").wait_for()
    page.get_by_role("cell", name="nothing left").first.wait_for()
    assert not Call.objects.exists()
    caches["shared"].delete(firewall_kept.KEY)
    page.goto("/policy/firewall/")
    page.get_by_text("Not known yet.").wait_for()
    tasks.try_firewall()
    page.reload()
    page.get_by_text("It holds.").wait_for()
    page.get_by_text(
        "Tried by a scoring worker on the model it scores with: " + tasks.engine().voice.version
    ).wait_for()
    assert page.get_by_role("cell", name="refused", exact=True).count() == 5
    assert page.get_by_role("cell", name="taken, as it should be").count() == 1
    assert Axe().run(page).response["violations"] == []


@pytest.mark.browser
def test_an_objection_on_the_agents_page(page_for: Open, full_call: Call, bob: User, alice: User) -> None:
    page, floor = page_for(bob, viewport={"width": 390, "height": 900}), page_for(alice)
    page.goto("/me/")
    floor.goto("/floor/")
    floor.locator(".line-state[data-line=live]").wait_for()
    page.locator(".line-state[data-line=live]").wait_for()
    page.get_by_text("The caller objects").click()
    assert Axe().run(page).response["violations"] == []
    page.get_by_role("button", name="Stop the analysis").click()
    page.get_by_text("The caller objected", exact=True).wait_for()
    floor.get_by_text("The caller objected: nothing more is analysed").first.wait_for()
    assert ConsentEvent.objects.get().user == bob
    page.goto(f"/calls/{full_call.pk}/data/")
    page.get_by_text("noted by Bob Okafor").wait_for()
    assert Axe().run(page).response["violations"] == []


@pytest.mark.django_db
def test_an_objection_can_be_noted_on_the_data_page(
    alice: User, bob: User, carol: User, make_call: Callable[..., Call]
) -> None:
    call = make_call("CA-form")
    path = reverse("call_data", args=[call.pk])
    assert "The caller objects" in logged_in(alice).get(path).content.decode()
    assert logged_in(carol).post(path, {"said": "no"}).status_code == 404
    page = logged_in(alice).post(path, {"said": "maybe"})
    assert page.status_code == 200 and b'role="alert"' in page.content
    assert logged_in(alice).post(path, {"said": "no"}).status_code == 302
    call.refresh_from_db()
    assert call.opted_out_at and "The caller objects" not in logged_in(bob).get(path).content.decode()
    page = logged_in(bob).post(path, {"said": "yes"}).content.decode()
    assert "that stands until the next one" in page
