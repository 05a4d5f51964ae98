"""Rubric pages: read by those who are scored, changed by admins, published after a try."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from calls import drafting, tasks, trying
from calls.choices import Role
from calls.models import Call, Change, Policy, Rubric, RubricPlan, RubricVersion, Team, User
from tests.calls.test_drafting import GOOD, STRICT
from tests.calls.test_policy import tell

Open = Callable[..., Any]


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


@pytest.fixture
def house(transactional_db: None, bob: User) -> Rubric:
    call_command("seed_rubric")
    return Rubric.objects.get(team=None)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_who_reads_and_who_changes(house: Rubric, alice: User, bob: User, carol: User, dana: User) -> None:
    own = Rubric.objects.create(name="Billing", team=bob.team)
    drafting.publish(own, dana, "a start", drafting.save(own, dana, GOOD, 0).revision)
    pages = [f"/rubrics/{own.pk}/", f"/rubrics/{own.pk}/diff/1/1/"]
    for page in ["/rubrics/", *pages, f"/rubrics/{own.pk}/draft/"]:
        assert Client().get(page).status_code == 302
    for user, status in ((alice, 200), (bob, 200), (carol, 404), (dana, 200)):
        assert {logged_in(user).get(page).status_code for page in pages} == {status}, user
        answer = logged_in(user).get(f"/rubrics/{own.pk}/draft/").status_code
        assert answer == (200 if user is dana else 404)
    assert b"Billing" not in logged_in(carol).get("/rubrics/").content
    for user in (alice, bob, carol):
        assert logged_in(user).post("/rubrics/", {"team": own.team_id}).status_code == 404
        assert logged_in(user).post(f"/rubrics/{own.pk}/draft/", {"do": "publish"}).status_code == 404
    assert RubricVersion.objects.filter(rubric=own).count() == 1


def test_a_team_called_like_another_rubric_gets_one_too(house: Rubric, dana: User, bob: User) -> None:
    """Names of rubrics are unique, those of teams have nothing to do with them."""
    client = logged_in(dana)
    first = Team.objects.create(name=house.name)
    long = Team.objects.create(name="x" * 80)
    Rubric.objects.create(name="x" * 80)
    for team, name in ((first, f"{house.name} (2)"), (long, "x" * 72 + " (2)"), (bob.team, "Billing")):
        answer = client.post("/rubrics/", {"team": team.pk})
        made = Rubric.objects.get(team=team)
        assert made.name == name and answer["Location"] == f"/rubrics/{made.pk}/draft/"
        assert client.post("/rubrics/", {"team": team.pk})["Location"] == answer["Location"], "asked twice"
    assert Rubric.objects.filter(name=house.name).get() == house


@pytest.mark.parametrize("number", ["0", "99", "2147483648", "99999999999999999999"])
def test_a_version_that_is_not_there(house: Rubric, dana: User, number: str) -> None:
    client = logged_in(dana)
    assert client.get(f"/rubrics/{house.pk}/diff/{number}/1/").status_code == 404
    assert client.get(f"/rubrics/{number}/").status_code in (404, 200 if number == str(house.pk) else 404)
    assert client.post("/rubrics/", {"team": number}).status_code == 404


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"text": "a: [", "do": "publish", "note": "x"}, "cannot be published"),
        ({"text": "a: [", "do": "replay", "size": "30", "days": "30"}, "cannot be tried"),
        ({"text": STRICT, "do": "replay", "size": "31", "days": "30"}, "from those offered"),
        ({"text": STRICT, "do": "replay"}, "from those offered"),
        ({"text": STRICT, "do": "publish", "note": "x", "untried": " "}, "has not been tried"),
        (
            {"text": STRICT, "do": "schedule", "note": "x", "untried": "", "at": "2099-01-01T00:00"},
            "not been tried",
        ),
        ({"text": STRICT, "do": "publish", "note": "x", "untried": "x" * 201}, "at most 200"),
        ({"text": STRICT, "do": "publish", "note": ""}, "Say why"),
        ({"text": STRICT, "do": "publish", "note": "x" * 201}, "at most 200"),
        ({"text": GOOD, "do": "publish", "note": "x"}, "Nothing differs"),
        ({"text": STRICT, "do": "schedule", "note": "x", "at": "soon"}, "Give a day and a time"),
        ({"text": STRICT, "do": "schedule", "note": "x", "at": "2001-01-01T00:00"}, "from now on"),
        ({"text": "x" * 200_001, "do": "save"}, "Not saved"),
        ({"text": STRICT, "do": "cancel", "plan": "7"}, "called off"),
        ({"text": STRICT, "do": "save", "revision": "7"}, "saved this draft after you opened it"),
    ],
)
def test_bad_input_is_named_and_the_text_stays(
    house: Rubric, dana: User, said: dict[str, str], words: str
) -> None:
    answer = logged_in(dana).post(f"/rubrics/{house.pk}/draft/", {"revision": "0", "untried": "so"} | said)
    assert answer.status_code == 200 and words in answer.content.decode()
    assert answer.context["text"] == said["text"]
    assert house.versions.count() == 1 and not RubricPlan.objects.exists()


def test_a_call_scored_again(
    house: Rubric, make_call: Callable[..., Call], alice: User, carol: User, dana: User
) -> None:
    call = tell(make_call("CA1"))
    version = drafting.publish(house, dana, "why", drafting.save(house, dana, STRICT, 0).revision)
    address = f"/calls/{call.pk}/rescored/?version={version.pk}"
    page = logged_in(alice).get(address)
    (_, before), (_, after) = page.context["sides"]
    assert (
        before["empathy"] == pytest.approx(call.final["empathy"], abs=0.1)
        and after["empathy"] != before["empathy"]
    )  # type: ignore[index]
    assert logged_in(carol).get(address).status_code == 404
    for odd in ("0", "x", "99999999999999999999"):
        assert logged_in(alice).get(f"/calls/{call.pk}/rescored/?version={odd}").status_code == 404
    assert b"is running" in logged_in(alice).get(f"/calls/{make_call('CA2').pk}/rescored/").content
    call.refresh_from_db()
    assert call.rubric_version.number == 1


def test_alerts_are_named_in_words(
    house: Rubric, alice: User, dana: User, make_call: Callable[..., Call]
) -> None:
    call = tell(make_call("CA1"))
    text = GOOD.replace("switched_off: []", "switched_off: [distress-high, silence]").replace(
        "id: frustration-unanswered, state: frustration, seconds: 40",
        "id: frustration-unanswered, state: frustration, seconds: 44",
    )
    client, here = logged_in(dana), f"/rubrics/{house.pk}/"
    said = {"revision": "0", "text": text, "do": "replay", "size": "30", "days": "7"}
    client.post(f"{here}draft/", said)
    assert trying.go_on() == 1
    page = client.get(f"{here}draft/").content.decode()
    replayed = page[page.index('id="replay-title"') : page.index("The same stored turns")]
    assert "− High distress" in replayed and "distress-high" not in replayed
    page = client.post(
        f"{here}draft/", {"revision": "1", "text": text, "do": "publish", "note": "x"}, follow=True
    ).content.decode()
    assert "Frustrated for 44 s, and nobody has acknowledged it" in page
    assert page.count("switched off") == 2
    version = house.versions.get(number=2)
    scored = client.get(f"/calls/{call.pk}/rescored/?version={version.pk}").content.decode()
    assert "<div>High distress</div>" in scored and ">distress-high" not in scored


def test_a_planned_version_is_shown_and_called_off(house: Rubric, dana: User) -> None:
    client = logged_in(dana)
    at = timezone.now() + timezone.timedelta(days=2)
    said = {
        "text": STRICT,
        "revision": "0",
        "do": "schedule",
        "note": "in two days",
        "untried": "nobody called yet",
        "at": f"{at:%Y-%m-%dT%H:%M}",
    }
    assert client.post(f"/rubrics/{house.pk}/draft/", said).status_code == 302
    assert b"in two days" in client.get(f"/rubrics/{house.pk}/").content
    plan = RubricPlan.objects.get()
    assert client.post(f"/rubrics/{house.pk}/draft/", {"do": "cancel", "plan": plan.pk}).status_code == 302
    assert not RubricPlan.objects.exists()


def test_publishing_needs_a_trial_of_exactly_what_is_saved(
    house: Rubric, dana: User, alice: User, bob: User, make_call: Callable[..., Call]
) -> None:
    calls = [tell(make_call(f"CA{n}")) for n in range(12)]
    client, address = logged_in(dana), f"/rubrics/{house.pk}/draft/"
    said = {"text": STRICT, "revision": "0", "size": "30", "days": "7", "note": "courtesy"}
    assert client.post(address, said | {"do": "replay"}).status_code == 302
    assert "0 of 12 calls tried" in client.get(address).content.decode()
    running = client.post(address, said | {"do": "publish", "revision": "1"})
    assert "still running" in running.content.decode()
    assert trying.go_on() == 10
    calls[0].delete()  # the oldest: not tried yet
    assert trying.go_on() == 2 and trying.go_on() == 0
    page = client.get(address)
    assert page.context["replay"].calls == 11
    assert page.context["agents"] is None, "the shipped policy keeps figures with the agent"
    Policy.objects.create(hr_lock=False, note="they agreed", author=dana)
    [agent] = client.get(address).context["agents"]
    assert agent.name == str(bob) and agent.calls == 11 and agent.changed == 11
    other = said | {"text": STRICT.replace("met: .4", "met: .45", 1), "do": "publish", "revision": "1"}
    assert "not been tried" in client.post(address, other).content.decode()
    assert client.get(address).context["outdated"]
    back = client.post(address, said | {"do": "publish", "revision": "2"})
    assert back.status_code == 302 and house.versions.count() == 2, "tried once, it is tried"
    assert Change.objects.filter(did="published", after__has_key="without a trial").count() == 0


def test_without_a_trial_the_reason_is_audited_also_for_a_plan(house: Rubric, dana: User) -> None:
    client, address = logged_in(dana), f"/rubrics/{house.pk}/draft/"
    said = {"text": STRICT, "revision": "0", "note": "courtesy", "untried": "no call yet"}
    later = timezone.now() + timezone.timedelta(days=1)
    at = {"do": "schedule", "at": f"{later:%Y-%m-%dT%H:%M}"}
    assert client.post(address, said | at).status_code == 302
    [made] = drafting.publish_due(later)
    [change] = Change.objects.filter(did="published", after__has_key="without a trial")
    assert change.after["without a trial"] == "no call yet" and change.subject == str(made)


def test_without_a_call_a_trial_is_over_at_once(house: Rubric, dana: User) -> None:
    client, address = logged_in(dana), f"/rubrics/{house.pk}/draft/"
    said = {"text": STRICT, "revision": "0", "size": "200", "days": "365", "note": "courtesy"}
    client.post(address, said | {"do": "replay"})
    assert "counts as tried" in client.get(address).content.decode()
    assert client.post(address, said | {"do": "publish", "revision": "1"}).status_code == 302


def test_a_plan_that_no_longer_fits_is_shown_and_called_off(house: Rubric, dana: User) -> None:
    spec = house.versions.get().spec | {"gone": 1}
    at = timezone.now()
    plan = RubricPlan.objects.create(rubric=house, spec=spec, note="x", author=dana, starts_at=at)
    assert drafting.publish_due(at) == [] and drafting.publish_due(at) == []
    page = logged_in(dana).get(f"/rubrics/{house.pk}/").content.decode()
    assert "Not published" in page and "gone: unknown field" in page
    drafting.cancel(house, plan.pk, dana)
    answer = logged_in(dana).get(f"/rubrics/{house.pk}/draft/?part=text")
    assert "gone" in answer.context["problems"][0][0].where


@pytest.mark.browser
def test_a_draft_is_corrected_tried_and_published(
    page_for: Open, house: Rubric, make_call: Callable[..., Call], alice: User, dana: User
) -> None:
    old = tell(make_call("CA1"))
    page = page_for(dana)
    page.goto("/rubrics/")
    page.get_by_role("link", name=str(house)).click()
    page.get_by_role("link", name="Change it").click()
    page.get_by_role("button", name="Advanced: as text").click()
    box = page.get_by_label("The rubric as text (YAML)")
    box.fill(STRICT.replace("met: .4", "met: forty"))
    page.get_by_role("button", name="Save", exact=True).last.click()
    page.get_by_role("heading", name="To correct before it can be published").wait_for()
    page.locator("[data-line]").first.click()
    line = box.evaluate("(box) => box.value.slice(box.selectionStart, box.selectionEnd)")
    assert "met: forty" in line
    assert Axe().run(page).response["violations"] == []
    box.fill(STRICT)
    page.get_by_role("button", name="Save and try").click()
    page.get_by_text("0 of 1 calls tried.").wait_for()
    page.get_by_label("Why, beside the version for good").fill("too soon")
    tasks.try_drafts()
    page.locator("dd", has_text="1 call").wait_for()
    assert page.get_by_label("Why, beside the version for good").input_value() == "too soon"
    assert Axe().run(page).response["violations"] == []
    page.get_by_text("score.courtesy").wait_for()
    page.get_by_label("Why, beside the version for good").fill("courtesy counts more")
    page.get_by_role("button", name="Publish now").click()
    page.get_by_text("Published: calls that begin from now on").wait_for()
    page.get_by_role("link", name="against v1").click()
    page.get_by_text("score.fit").wait_for()
    assert make_call("CA2").rubric_version.number == 2
    old.refresh_from_db()
    assert old.rubric_version.number == 1


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(
    page_for: Open,
    house: Rubric,
    make_call: Callable[..., Call],
    alice: User,
    dana: User,
    scheme: str,
    width: int,
) -> None:
    call = tell(make_call("CA1"))
    Team.objects.create(name="Claims")
    version = drafting.publish(house, dana, "why", drafting.save(house, dana, STRICT, 0).revision)
    drafting.save(house, dana, STRICT + "x: [", 0)
    page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900})
    for path in (
        "/rubrics/", f"/rubrics/{house.pk}/", f"/rubrics/{house.pk}/diff/1/2/", f"/rubrics/{house.pk}/draft/?part=text",
        f"/calls/{call.pk}/rescored/?version={version.pk}",
    ):  # fmt: skip
        page.goto(path)
        assert Axe().run(page).response["violations"] == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
