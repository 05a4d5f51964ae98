"""The ledger of cues: shares that claim nothing from a handful, no agent's name, nothing for outsiders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.utils import timezone

from calls import nudging
from calls.choices import Role
from calls.models import Call, RubricVersion, ShownNudge, Team, User
from calls.views.cues import ledger, share

Open = Callable[..., Any]


def fill(call: Call, verdict: str = "helpful", n: int = 6) -> str:
    nudging._precision.clear()
    rule = RubricVersion.objects.get(pk=call.rubric_version_id).as_spec().nudging.rules[0]
    for at in range(n):
        ShownNudge.objects.create(
            call=call, agent=call.agent, rule=rule.id, t_ms=at * 60_000, shown_ms=at * 60_000, state=rule.state, missing=rule.missing,
            cue=rule.cue, verdict=verdict, verdict_at=timezone.now(), taken=at % 2 == 0,
            recovered_ms=9000 if at % 2 == 0 else None,
        )  # fmt: skip
    return rule.id


def test_a_handful_claims_nothing() -> None:
    assert share(0, 0) == "none yet"
    assert share(2, 4) == "2 of 4, too few to say"
    assert share(3, 6) == "50% of 6"


@pytest.mark.django_db
def test_what_became_of_the_cues(make_call: Callable[..., Call]) -> None:
    call = make_call("CA1")
    rule = fill(call)
    fill(make_call("CA2"), verdict="not_now", n=2)
    version = RubricVersion.objects.get(pk=call.rubric_version_id)
    found = ledger(version, [call.team_id])
    [row] = [row for row in found["rows"] if row["rule"] == rule]
    assert (row["shown"], row["taken_words"]) == (8, "50% of 8")
    assert row["verdicts"] == [("Helpful", 6), ("Not helpful", 0), ("Wrong", 0), ("Not now", 2)]
    assert row["precision_words"] == "89%, 6 verdicts"
    assert (
        row["recovered_taken"] == row["recovered_missed"].replace("0 of", "4 of") == "4 of 4, too few to say"
    )
    assert found["shown"] == 8 and not found["elsewhere"] and not found["off"]
    assert ledger(version, [])["shown"] == 0


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/cues/", "/alerts/", "/floor/", "/calls/", "/rubrics/"])
def test_a_page_opens_before_any_rubric_was_published(client: Client, path: str) -> None:
    boss = User.objects.create(username="boss", role="supervisor")
    boss.supervises.add(Team.objects.create(name="New"))
    client.force_login(boss)
    page = client.get(path)
    assert page.status_code == 200
    assert path != "/cues/" or "No rubric is published yet" in page.content.decode()


@pytest.mark.django_db
def test_cues_of_rules_that_are_gone_are_counted(make_call: Callable[..., Call]) -> None:
    call = make_call("CA1")
    fill(call)
    ShownNudge.objects.update(rule="an-older-rule")
    found = ledger(RubricVersion.objects.get(pk=call.rubric_version_id), [call.team_id])
    assert found["elsewhere"] == found["shown"] == 6


@pytest.mark.django_db
def test_who_may_see_it(
    make_call: Callable[..., Call], alice: User, bob: User, carol: User, client: Client
) -> None:
    fill(make_call("CA1"))
    assert client.get("/cues/").status_code == 302
    client.force_login(bob)
    assert client.get("/cues/").status_code == 404
    client.force_login(User.objects.create_user("nobody", role=Role.AGENT))
    assert client.get("/cues/").status_code == 404
    client.force_login(carol)
    page = client.get("/cues/").content.decode()
    assert "No cue was shown lately" in page and "50% of 6" not in page
    client.force_login(alice)
    page = client.get("/cues/").content.decode()
    assert "50% of 6" in page and "No cue was shown lately" not in page
    assert "Bob" not in page and bob.username not in page
    carol.supervises.clear()
    client.force_login(carol)
    assert "You watch no team yet" in client.get("/cues/").content.decode()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 900, 1400])
def test_axe_finds_nothing(
    page_for: Open, make_call: Callable[..., Call], alice: User, scheme: str, width: int
) -> None:
    rule = fill(make_call("CA1"), verdict="wrong", n=12)
    page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/cues/")
    row = page.locator(f'[data-rule="{rule}"]')
    assert "switched itself off: 0 of 12" in row.inner_text()
    assert page.get_by_text("1 rule switched off").is_visible()
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert row.get_by_role("rowheader").count() == 1 and row.get_by_role("cell").count() == 9


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_on_a_phone_each_rule_is_a_card(page_for: Open, make_call: Callable[..., Call], alice: User) -> None:
    rule = fill(make_call("CA1"))
    page = page_for(alice, viewport={"width": 390, "height": 800})
    page.goto("/cues/")
    assert page.evaluate(
        "(rule) => [...document.querySelectorAll(`[data-rule=${rule}] > *`)].every("
        "(cell) => cell.getBoundingClientRect().right <= innerWidth)", rule
    )  # fmt: skip
    overlapping = page.evaluate(
        "(rule) => { const boxes = [...document.querySelectorAll(`[data-rule=${rule}] > *`)].map("
        "(cell) => cell.getBoundingClientRect()); return boxes.some((a, n) => boxes.slice(n + 1).some((b) =>"
        " a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)) }", rule
    )  # fmt: skip
    assert not overlapping
    label = page.locator(f'[data-rule="{rule}"] td').first
    assert "Shown" in label.evaluate("(cell) => getComputedStyle(cell, '::before').content")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_wide_table_scrolls_by_keyboard(
    page_for: Open, make_call: Callable[..., Call], alice: User
) -> None:
    fill(make_call("CA1"))
    page = page_for(alice, viewport={"width": 800, "height": 800})
    page.goto("/cues/")
    page.get_by_role("region", name="Rules of").focus()
    page.keyboard.press("ArrowRight")
    scrolled = page.locator(":focus")
    for _ in range(40):
        if scrolled.evaluate("node => node.scrollLeft") > 0:
            return
        page.wait_for_timeout(50)
    pytest.fail("the arrow key did not scroll the table")
