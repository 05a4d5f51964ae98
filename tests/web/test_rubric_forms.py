"""The rubric's editor: forms and text are one draft, any input is kept and named, and nothing typed is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from django.test import Client

from calls import drafting, tasks
from calls.models import Call, Rubric, RubricDraft, User
from calls.views import rubric_form
from tests.calls.test_drafting import GOOD, STRICT
from tests.calls.test_policy import tell
from tests.web.test_rubrics import dana, house, logged_in

__all__ = ["dana", "house"]
Open = Callable[..., Any]


def sent(part: str, text: str = GOOD, **typed: str) -> dict[str, str]:
    """What a browser sends of a part's form, with some fields typed over."""
    fields = {one.name: one.value for one in rubric_form.shape(text, part).every_field()}
    return fields | {"text": text, "part": part, "revision": "0", "do": "save"} | typed


def stored() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(RubricDraft.objects.get().text)
    return found


@pytest.mark.parametrize("part", list(rubric_form.parts()))
def test_every_part_is_shown_and_a_form_sent_back_changes_nothing(
    house: Rubric, dana: User, part: str
) -> None:
    page = logged_in(dana).get(f"/rubrics/{house.pk}/draft/?part={part}")
    assert page.status_code == 200 and page.context["part"] == part
    if part != rubric_form.AS_TEXT:
        assert rubric_form.applied(GOOD, part, sent(part)) == GOOD
        assert page.content.decode().count('name="v.') >= len(list(page.context["form"].every_field()))


def test_every_field_of_a_rubric_is_on_some_form(house: Rubric) -> None:
    shown = {
        one.path
        for part in rubric_form.parts()
        if part != "text"
        for one in rubric_form.shape(GOOD, part).every_field()
    }
    leaves = set()

    def walk(value: Any, path: tuple[Any, ...]) -> None:
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                walk(inner, (*path, key))
        else:
            leaves.add(path)

    walk(drafting.default_rubric().to_dict(), ())
    assert leaves <= shown


@pytest.mark.parametrize(
    ("part", "name", "typed", "kept", "words"),
    [
        ("weights", "v.weights.frustration.own", "a lot", "a lot", "must be a number from 0 to 1"),
        ("weights", "v.weights.frustration.own", "-0.25", -0.25, "must be a number from 0 to 1"),
        ("weights", "v.weights.frustration.own", "0,9", 0.9, "must add up to 1"),
        ("weights", "v.weights.frustration.own", "nan", "nan", "must be a number"),
        ("weights", "v.score.fit", "9" * 4000, "9" * 4000, "must be a number"),
        ("thresholds", "v.timing.silence_ms", "0.5", 500, "must be a number from 1 to 120"),
        ("thresholds", "v.fusion.full_words", "2.5", 2.5, "must be a whole number from 1 to 50"),
        ("thresholds", "v.opportunity.met", "", "", "must be a number"),
        ("cues", "v.nudging.rules.0.cue", " ", "", "must not be empty"),
        ("cues", "v.nudging.rules.0.phrases", "a\nb\nc", ["a", "b", "c"], "at most 2"),
        ("cues", "v.nudging.rules.0.state", "bliss", "bliss", "is not allowed"),
        ("phrases", "v.phrases.0.any", "\n \n", [], "needs at least one"),
        ("phrases", "v.phrases.0.any", "(a", ["(a"], "is missing"),
        ("phrases", "v.phrases.0.id", "waiting", "waiting", "is used twice"),
    ],
)  # fmt: skip
def test_what_is_typed_is_kept_and_named_beside_its_field(
    house: Rubric, dana: User, part: str, name: str, typed: str, kept: object, words: str
) -> None:
    client = logged_in(dana)
    address = f"/rubrics/{house.pk}/draft/"
    assert client.post(address, sent(part, **{name: typed})).status_code == 302
    found: Any = stored()
    for step in name.split(".")[1:]:
        found = found[int(step)] if step.isdigit() else found[step]
    assert found == kept
    page = client.get(f"{address}?part={part}").content.decode()
    form = page[page.index('id="part-title"') : page.index('class="column side"')]
    assert words in form and 'class="wrong"' in form
    for do in ("publish", "schedule"):
        again = sent(
            part,
            RubricDraft.objects.get().text,
            revision="1",
            do=do,
            note="x",
            untried="so",
            at="2099-01-01T00:00",
        )
        assert client.post(address, again).status_code == 200
    assert house.versions.count() == 1


def test_rows_are_added_moved_switched_off_and_removed(house: Rubric, dana: User) -> None:
    client, address = logged_in(dana), f"/rubrics/{house.pk}/draft/"
    ids = [rule["id"] for rule in yaml.safe_load(GOOD)["nudging"]["rules"]]
    steps = [
        ("add:nudging.rules", [*ids, "new-1"]),
        ("up:nudging.rules.1", [ids[1], ids[0], *ids[2:], "new-1"]),
        ("drop:nudging.rules.2", [ids[1], ids[0], *ids[3:], "new-1"]),
        ("drop:nudging.rules.99", [ids[1], ids[0], *ids[3:], "new-1"]),
        ("add:weights", [ids[1], ids[0], *ids[3:], "new-1"]),
    ]
    text = GOOD
    for revision, (do, expected) in enumerate(steps):
        assert (
            client.post(address, sent("cues", text, revision=str(min(revision, 3)), do=do)).status_code == 302
        ), do
        text = RubricDraft.objects.get().text
        assert [rule["id"] for rule in stored()["nudging"]["rules"]] == expected
    assert "# What callers first say" in text, "comments stay"
    off = {"v.nudging.rules.0.active": "false", "v.nudging.rules.13.cue": "Say it.", "revision": "3"}
    assert client.post(address, sent("cues", text, **off)).status_code == 302
    spec = drafting.check(RubricDraft.objects.get().text).spec
    assert spec is not None and not spec.nudging.rules[0].active


def test_the_same_draft_as_form_and_as_text(house: Rubric, dana: User) -> None:
    client, address = logged_in(dana), f"/rubrics/{house.pk}/draft/"
    go = client.post(address, sent("weights", do="go:text", **{"v.score.penalty": "0.2"}))
    page = client.get(go["Location"])
    assert "penalty: 0.2}" in page.context["text"] and page.context["part"] == "text"
    broken = page.context["text"] + "x: ["
    answer = client.post(
        address, {"text": broken, "part": "text", "revision": "1", "do": "go:weights"}, follow=True
    )
    assert answer.context["part"] == "text" and answer.context["text"] == broken
    assert "cannot be shown as forms" in answer.content.decode()


def test_who_saves_second_by_form_sees_what_differs(house: Rubric, dana: User, alice: User) -> None:
    drafting.save(house, alice, STRICT, 0)
    answer = logged_in(dana).post(
        f"/rubrics/{house.pk}/draft/", sent("weights", **{"v.score.penalty": "0.2"})
    )
    assert "Alice" in answer.content.decode()
    assert {change.where for change in answer.context["apart"]} == {
        "score.fit",
        "score.courtesy",
        "score.penalty",
    }
    [mine] = [one for one in answer.context["form"].every_field() if one.name == "v.score.penalty"]
    assert mine.value == "0.2" and RubricDraft.objects.get().text == STRICT


def test_ten_thousand_rows(house: Rubric, dana: User) -> None:
    client, address = logged_in(dana), f"/rubrics/{house.pk}/draft/"
    many = GOOD + "".join(
        f'  - {{id: p{n}, who: agent, says: own, strength: .5, any: ["word{n}"]}}\n' for n in range(1500)
    )
    drafting.save(house, dana, many, 0)
    page = client.get(f"{address}?part=phrases&page=3")
    [phrases] = page.context["form"].lists
    assert phrases.pages > 10 and len(phrases.entries) < 120
    said = {one.name: one.value for one in page.context["form"].every_field()}
    at = phrases.entries[5].path[1]
    said |= {
        "text": many,
        "part": "phrases",
        "page": "3",
        "revision": "1",
        "do": "save",
        f"v.phrases.{at}.strength": "0.75",
    }
    assert client.post(address, said).status_code == 302
    assert stored()["phrases"][at]["strength"] == 0.75 and len(stored()["phrases"]) == 1546
    flood = {f"v.phrases.{n}.id": "x" for n in range(10_000)}
    answer = client.post(address, {"part": "phrases"} | flood)
    assert answer.status_code == 400 and "too large" in answer.content.decode()


@pytest.mark.parametrize(
    "odd", [{"part": "x"}, {"page": "99999999999"}, {"do": "go:nowhere"}, {"do": "find:a.b"}, {"do": "up:x"}]
)
def test_odd_parts_and_buttons_save_and_lead_back(house: Rubric, dana: User, odd: dict[str, str]) -> None:
    answer = logged_in(dana).post(f"/rubrics/{house.pk}/draft/", sent("weights") | odd, follow=True)
    assert answer.status_code == 200


def test_nobody_but_admins_sends_the_form(house: Rubric, alice: User, bob: User, carol: User) -> None:
    for user in (alice, bob, carol):
        assert logged_in(user).post(f"/rubrics/{house.pk}/draft/", sent("weights")).status_code == 404
    assert Client().post(f"/rubrics/{house.pk}/draft/", sent("weights")).status_code == 302
    assert not RubricDraft.objects.exists()


@pytest.mark.browser
def test_a_weight_and_a_phrase_by_form_tried_and_published(
    page_for: Open, house: Rubric, make_call: Callable[..., Call], alice: User, dana: User
) -> None:
    tell(make_call("CA1"))
    page = page_for(dana)
    page.goto(f"/rubrics/{house.pk}/")
    page.get_by_role("link", name="Change it").click()
    row = page.get_by_role("row", name="Frustrated")
    cells = row.get_by_role("textbox")
    cells.nth(3).fill("0.35")
    assert row.locator("output").inner_text() == "1.10"
    cells.nth(0).fill("0,20")
    assert row.locator("output").inner_text() == "1.00"
    page.get_by_role("button", name="Cues", exact=True).click()
    page.get_by_text("Name the frustration before the fix.").click()
    first = page.locator("details[open]")
    first.get_by_label("Ways to say it").fill("I hear you.")
    first.get_by_label("Cue, as the agent reads it").press("Enter")
    page.get_by_text("Saved.").wait_for()
    page.get_by_role("button", name="Save and try").click()
    page.get_by_text("0 of 1 calls tried.").wait_for()
    tasks.try_drafts()
    page.get_by_text("Tried on", exact=True).wait_for()
    page.get_by_label("Why, beside the version for good").fill("owning counts more")
    page.get_by_role("button", name="Publish now").click()
    page.get_by_text("Published: calls that begin from now on").wait_for()
    spec = house.versions.get(number=2).as_spec()
    assert spec.weights["frustration"] == {
        "acknowledge": 0.2,
        "understand": 0.2,
        "explore": 0.1,
        "own": 0.35,
        "reassure": 0.15,
    }
    assert spec.nudging.rules[0].phrases == ("I hear you.",)


@pytest.mark.browser
def test_the_form_saves_without_script_and_a_problem_leads_to_its_field(
    page_for: Open, house: Rubric, dana: User
) -> None:
    page = page_for(dana, java_script_enabled=False)
    page.goto(f"/rubrics/{house.pk}/draft/?part=thresholds")
    page.get_by_label("From here on an answer counts as given").fill("forty")
    page.get_by_role("button", name="Save", exact=True).last.click()
    assert page.locator(".wrong").inner_text().endswith("Write a number in this range.")
    page.get_by_role("button", name="Weights", exact=True).click()
    page.get_by_role("button", name="show").click()
    assert page.get_by_label("From here on an answer counts as given").input_value() == "forty"


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width", "language"), [("light", 1280, "en"), ("dark", 390, "de")])
def test_axe_finds_nothing_on_any_part(
    page_for: Open, house: Rubric, dana: User, scheme: str, width: int, language: str
) -> None:
    wrong = GOOD.replace("own: .25, reassure: .15", "own: .25, reassure: much", 1).replace(
        "met: .4\n", "met: 4\n", 1
    )
    drafting.save(house, dana, wrong.replace('cue: "Name the frustration before the fix."', "cue: 7"), 0)
    page = page_for(dana, color_scheme=scheme, viewport={"width": width, "height": 900}, locale=language)
    for part in rubric_form.parts():
        page.goto(f"/rubrics/{house.pk}/draft/?part={part}")
        assert Axe().run(page).response["violations"] == [], part
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), part
        if directory := os.environ.get("SHOTS"):
            page.screenshot(
                path=f"{directory}/{part}-{width}.png", full_page=part in ("weights", "cues", "alerts")
            )
