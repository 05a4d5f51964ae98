"""The ledger of cues: shares that claim nothing from a handful, no agent's name, nothing for outsiders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.utils import timezone

from calls import nudging
from calls.models import Call, RubricVersion, ShownNudge, User
from calls.views.cues import ledger, share

Open = Callable[..., Any]


def fill(call: Call, verdict: str = "helpful", n: int = 6) -> str:
    nudging._precision.clear()
    rule = RubricVersion.objects.get(pk=call.rubric_version_id).as_spec().nudging.rules[0]
    for at in range(n):
        ShownNudge.objects.create(
            call=call, agent=call.agent, rule=rule.id, t_ms=at * 60_000, state=rule.state, missing=rule.missing,
            cue=rule.cue, verdict=verdict, verdict_at=timezone.now(), taken=at % 2 == 0,
            recovered_ms=9000 if at % 2 == 0 else None,
        )  # fmt: skip
    return rule.id


def test_a_handful_claims_nothing() -> None:
    assert share(0, 0) == "–"
    assert share(2, 4) == "2 of 4, too few to say"
    assert share(3, 6) == "50% of 6"


@pytest.mark.django_db
def test_what_became_of_the_cues(make_call: Callable[..., Call]) -> None:
    call = make_call("CA1")
    rule = fill(call)
    found = ledger(RubricVersion.objects.get(pk=call.rubric_version_id), [call.team_id])
    [row] = [row for row in found["rows"] if row["rule"] == rule]
    assert (row["shown"], row["helpful"], row["taken_words"]) == (6, 6, "50% of 6")
    assert row["recovered_taken"] == "3 of 3, too few to say"
    assert found["shown"] == 6
    assert ledger(RubricVersion.objects.get(pk=call.rubric_version_id), [])["shown"] == 0


@pytest.mark.django_db
def test_outsiders_and_agents_see_nothing(
    make_call: Callable[..., Call], alice: User, bob: User, carol: User, client: Client
) -> None:
    call = make_call("CA1")
    fill(call)
    client.force_login(bob)
    assert client.get("/cues/").status_code == 404
    client.force_login(carol)
    answer = client.get("/cues/")
    assert answer.status_code in (200, 404)
    assert "50% of 6" not in answer.content.decode()
    client.force_login(alice)
    page = client.get("/cues/").content.decode()
    assert "50% of 6" in page
    assert str(bob) not in page and bob.username not in page


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_axe_finds_nothing(
    page_for: Open, make_call: Callable[..., Call], alice: User, scheme: str, width: int
) -> None:
    fill(make_call("CA1"), verdict="wrong", n=12)
    page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/cues/")
    page.get_by_text("switched itself off").first.wait_for()
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
