"""Trends: own past only, nothing claimed of a few, the same page for both, and nothing for outsiders."""

from __future__ import annotations

import csv
import io
import os
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connection
from django.test import Client
from django.utils import timezone, translation

from calls import rollups, trends
from calls.choices import Role
from calls.models import CallFact, Policy, Rubric, RubricVersion, Source, Team, User
from calls.rollups import Quartiles
from calls.views.small_multiples import (
    Point,
    calls_drawing,
    claim,
    columns,
    share_point,
    spread_point,
    strip,
    weeks_drawing,
)
from calls.views.trends import CSV_COLUMNS, harmless
from tests.calls.test_trends import final, finished

Open = Callable[..., Any]
SKIP = "Nothing to show for these weeks"


def in_browser(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.browser(pytest.mark.django_db(transaction=True)(test))


def facts(team: Team, who: User | None, weeks: int = 6, calls: int = 9, **fields: Any) -> None:
    """Calls that are over and learned, an hour apart in each of the last weeks; empathy rises by 5 a week."""
    version = RubricVersion.objects.get(number=1)
    rows = []
    for n, week in enumerate(rollups.weeks_back(weeks)):
        for k in range(calls):
            rows.append(
                CallFact(
                    call_id=uuid.uuid4(), team=team, agent=who, rubric_version=version, week=week, hour=8 + k,
                    ended_at=timezone.now() - timedelta(weeks=weeks - 1 - n), handle_ms=300_000 + 1000 * k,
                    **{
                        "coverage": 0.95, "synthetic": False, "topic": "Fees" if k % 2 else "", "empathy": 50 + 5 * n + k % 3,
                        "courtesy": 0.8, "listening": 0.9, "recovered": 1.0, "met_share": 0.5, "fit_anxiety": 0.3,
                        "opportunities": 2, "met": 1, "missed": 1, "needs_anxiety": 2, "missed_anxiety": 1,
                        "cues_shown": 2, "cues_settled": 2, "cues_taken": 1, "outlook": 0.25,
                        "outlook_status": "steady", "time_calm": 0.75, "time_anxiety": 0.25,
                    } | fields,
                )
            )  # fmt: skip
    CallFact.objects.bulk_create(rows)
    with connection.cursor() as cursor:
        rollups.roll_up_all(cursor)


@pytest.fixture
def told(billing: Team, bob: User, transactional_db: None) -> None:
    facts(billing, bob)


# --- what may be said ----------------------------------------------------------------------------

WEEKS = rollups.weeks_back(6)


def line(*middles: float | None, n: int = 20, iqr: float = 8.0) -> list[Any]:
    """A week for each; None is a week without calls."""
    told = [m if m is None else Quartiles(n, m - iqr / 2, m, m + iqr / 2, m * n) for m in middles]
    return [(week, one and spread_point(one, 1.0)) for week, one in zip(WEEKS, told, strict=False)]


@pytest.mark.parametrize(
    "found, tone",
    [
        (line(), "none"),
        (line(None, None), "none"),
        (line(50, 60), "few"),
        (line(50, 52, 70, n=7), "few"),
        (line(50, 52, 70), "up"),
        (line(70, None, 72, 50), "down"),
        (line(50, 52, 55), "same"),
        (line(50, 52, 70, iqr=60), "same"),
        (line(50, 50, 51, iqr=0), "same"),
    ],
)
def test_a_change_is_named_when_it_is_more_than_chance(found: Any, tone: str) -> None:
    assert claim(found, step=2.0).tone == tone


def test_the_newest_week_with_enough_calls_is_spoken_of() -> None:
    weeks = [*line(50, 50, 70), (WEEKS[3], Point(2, 10.0, 0.0, 5.0, 15.0))]
    found = claim(weeks, 2.0)
    assert (found.week, found.before) == (WEEKS[2], 50) and found.now is not None and found.now.middle == 70


def test_shares_of_all_of_a_week() -> None:
    assert share_point(0, 0) is None
    point = share_point(6, 8)
    assert point is not None and (point.n, point.middle, point.low) == (8, 75.0, None)
    rising = [(week, share_point(part, 200)) for week, part in zip(WEEKS, (40, 50, 44, 120), strict=False)]
    assert claim(rising, 3.0).tone == "up"


def test_drawings_leave_gaps_and_speak_no_language() -> None:
    with translation.override("de"):
        drawing = weeks_drawing(line(50, 60, None, 70), ["x"] * 4, [WEEKS[1]])
    assert drawing["line"].count("M") == 2 and drawing["band"].count("Z") == 2 and len(drawing["marks"]) == 1
    assert not [text for text in re.findall(r"[\d.,]+", drawing["line"] + drawing["band"]) if "," in text]
    assert [bool(week["cy"]) for week in drawing["weeks"]] == [True, True, False, True]
    assert weeks_drawing([], [])["line"] == ""


def test_histograms() -> None:
    assert columns({0: 1, 4: 1, 5: 2, 99: 3, 100: 1}) == [2, 2, *[0] * 17, 4]
    assert (
        calls_drawing({}, None)["columns"] == []
        and calls_drawing({50: 4}, (50, 50.5, 51))["box"]["width"] == "2.8"
    )
    assert rollups.quantile({}, 0.5) is None
    assert [rollups.quantile({10: 2, 20: 3}, share) for share in (0.25, 0.5, 1.0)] == [10, 20, 20]
    assert [
        part["width"] for part in strip({"calm": 0.75, "anxiety": 0.25}, ["calm", "sadness", "anxiety"])
    ] == ["75.00", "25.00"]


# --- an agent's page -----------------------------------------------------------------------------


@pytest.mark.django_db
def test_who_may_see_an_agents_trends(
    client: Client, told: None, alice: User, bob: User, carol: User, billing: Team
) -> None:
    Policy.objects.create(region="us", hr_lock=False)
    paths = [f"/agents/{bob.pk}/trends/", f"/agents/{bob.pk}/trends.csv"]
    mine = ["/me/trends/", "/me/trends.csv"]
    mate = User.objects.create_user("mate", role=Role.AGENT, team=billing)
    boss = User.objects.create_user("boss", role=Role.ADMIN)

    def answers(user: User | None, *asked: str) -> set[int]:
        client.logout()
        if user:
            client.force_login(user)
        return {client.get(path).status_code for path in asked}

    assert answers(None, *paths, *mine) == {302}
    assert answers(bob, *paths, *mine) == {200}
    assert answers(alice, *paths) == answers(boss, *paths) == {200}
    assert answers(carol, *paths) == answers(mate, *paths) == {404}
    assert answers(alice, *mine) == answers(carol, *mine) == {404}
    assert answers(alice, f"/agents/{alice.pk}/trends/", "/agents/999999999999999999999/trends/") == {404}
    bob.team = None
    bob.save()
    assert answers(alice, *paths) == {404}, "no longer in the team"
    assert answers(bob, *paths) == {200}


@pytest.mark.django_db
def test_the_supervisor_sees_the_very_same_page(client: Client, told: None, alice: User, bob: User) -> None:
    Policy.objects.create(region="us", hr_lock=False)  # else only the agent has the CSV

    def main(user: User, path: str) -> str:
        client.force_login(user)
        page = re.search(r"<main.*</main>", client.get(path).content.decode(), re.S)
        assert page
        shown = page.group().replace(f"/agents/{bob.pk}/trends.csv", "/me/trends.csv")
        return re.sub(r"\s+", " ", re.sub(r"<p class=\"small\"><a href=\"/me/reviews/\">.*?</p>", "", shown))

    own = main(bob, "/me/trends/")
    assert own == main(alice, f"/agents/{bob.pk}/trends/") == main(bob, f"/agents/{bob.pk}/trends/")
    assert "Trends of Bob Okafor" in own and "above own earlier weeks" in own


@pytest.mark.django_db
@pytest.mark.parametrize("weeks", ["", "abc", "0", "-5", "13'--", "99999999999999999999", "١٣", "52"])
def test_any_period_asked_for(client: Client, told: None, alice: User, bob: User, weeks: str) -> None:
    for user, path in ((bob, "/me/trends/"), (alice, f"/teams/{bob.team_id}/trends/")):
        client.force_login(user)
        answer = client.get(path, {"weeks": weeks})
        assert answer.status_code == 200
        assert answer.context["weeks"] == (52 if weeks == "52" else 26 if user == bob else 13)


@pytest.mark.django_db
def test_an_empty_page_says_when_it_fills(client: Client, bob: User, alice: User) -> None:
    client.force_login(bob)
    page = client.get("/me/trends/").content.decode()
    assert SKIP in page and "3 weeks with 8 calls each" in page and '<svg viewBox="0 0 320' not in page
    client.force_login(alice)
    assert SKIP in client.get(f"/teams/{bob.team_id}/trends/").content.decode()


@pytest.mark.django_db
def test_strengths_come_first_and_little_is_not_claimed(client: Client, billing: Team, bob: User) -> None:
    facts(billing, bob, fit_sadness=0.9)
    CallFact.objects.filter(week=rollups.weeks_back(1)[0]).update(listening=0.2)
    CallFact.objects.filter(week__lt=rollups.weeks_back(2)[0]).update(fit_sadness=None)
    with connection.cursor() as cursor:
        rollups.roll_up_all(cursor)
    client.force_login(bob)
    panels = client.get("/me/trends/").context["panels"]
    tones = {panel["metric"]: panel["tone"] for panel in panels}
    assert tones == {
        "empathy": "up", "recovered": "same", "cues": "same", "listening": "down", "fit_anxiety": "same",
        "fit_sadness": "few", "fit_frustration": "none", "fit_confusion": "none",
    }  # fmt: skip
    order = [panel["metric"] for panel in panels]
    assert order == [
        "empathy",
        "recovered",
        "cues",
        "fit_anxiety",
        "listening",
        "fit_sadness",
        "fit_frustration",
        "fit_confusion",
    ]
    assert [panel["strong"] for panel in panels] == [True, True, True] + [False] * 5
    [few] = [panel for panel in panels if panel["metric"] == "fit_sadness"]
    assert few["words"] == "Too few to say: it takes 3 weeks with 8 each, so far there are 2."


@pytest.mark.django_db
def test_a_new_rubric_is_marked(client: Client, told: None, bob: User) -> None:
    newer = RubricVersion.objects.create(
        rubric=Rubric.objects.get(), number=2, spec=RubricVersion.objects.get().spec
    )
    CallFact.objects.filter(week__gte=rollups.weeks_back(2)[0]).update(rubric_version=newer)
    client.force_login(bob)
    answer = client.get("/me/trends/")
    assert (
        len(answer.context["changes"]) == 1
        and "A new rubric scored from the week of" in answer.content.decode()
    )


@pytest.mark.django_db
def test_moments_to_replay(client: Client, source: Source, alice: User, bob: User, travel: Team) -> None:
    now = timezone.now()
    well = finished(source, bob, now)
    badly = finished(source, bob, now, final=final(20.0, (("anxiety", 0.1), ("sadness", 0.9))))
    elsewhere = finished(source, bob, now, team=travel, final=final(20.0, (("sadness", 0.2),)))
    running = finished(source, bob, now, status="live", final=None)
    for call in (well, badly, elsewhere, running):
        trends.learn(call.pk)
    client.force_login(bob)
    found = client.get("/me/trends/").context["replays"]
    assert {replay["call"].pk for replay in found["best"]} == {well.pk, badly.pk}
    assert [replay["call"].pk for replay in found["missed"]] == [elsewhere.pk, badly.pk] or {
        replay["call"].pk for replay in found["missed"]
    } == {elsewhere.pk, badly.pk}
    page = client.get("/me/trends/").content.decode()
    assert f'href="/calls/{badly.pk}/"' in page and "Anxious at 0:01, answered with a fit of 10" in page
    client.force_login(alice)
    page = client.get(f"/agents/{bob.pk}/trends/").content.decode()
    assert f"/calls/{badly.pk}/" in page and str(elsewhere.pk) not in page
    badly.delete()
    client.force_login(bob)
    assert str(badly.pk) not in client.get("/me/trends/").content.decode(), "gone before it was forgotten"


@pytest.mark.django_db
def test_made_up_calls_are_labelled_and_give_way_to_real_ones(
    client: Client, billing: Team, bob: User
) -> None:
    facts(billing, bob, synthetic=True, empathy=99)
    client.force_login(bob)
    page = client.get("/me/trends/").content.decode()
    assert '<span class="synthetic">' in page and "median 99" in page
    facts(billing, bob, empathy=60)
    page = client.get("/me/trends/").content.decode()
    assert '<span class="synthetic">' not in page and "median 99" not in page


# --- CSV -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_csv(client: Client, told: None, bob: User) -> None:
    bob.first_name = '=HYPERLINK("http://x","y")'
    bob.save()
    CallFact.objects.update(outlook=-0.5)
    with connection.cursor() as cursor:
        rollups.roll_up_all(cursor)
    client.force_login(bob)
    answer = client.get("/me/trends.csv")
    assert answer["Content-Type"].startswith("text/csv") and "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert tuple(rows[0]) == ("agent", *CSV_COLUMNS)
    assert all(row["agent"].startswith("'=HYPERLINK") for row in rows)
    empathy = [row for row in rows if row["metric"] == "empathy"]
    assert len(empathy) == 6 and [
        float(empathy[0][name]) for name in ("calls", "q1", "median", "q3", "sum")
    ] == [9, 50, 51, 52, 459]
    assert {row["median"] for row in rows if row["metric"] == "outlook"} == {"-0.5"}, "a number is no formula"


@pytest.mark.django_db
def test_a_teams_csv(client: Client, billing: Team, alice: User, bob: User, carol: User) -> None:
    """Under the lock, weeks of fewer than three agents would tell of them."""
    others = [User.objects.create_user(f"b{n}", role=Role.AGENT, team=billing) for n in range(2)]
    facts(billing, bob, weeks=4)
    facts(billing, others[0], weeks=3)
    path = f"/teams/{billing.pk}/trends.csv"
    assert client.get(path).status_code == 302
    for user in (bob, carol):
        client.force_login(user)
        assert client.get(path).status_code == 404
    client.force_login(alice)
    locked = client.get(path)
    assert locked.status_code == 403 and "fewer than 3 agents" in locked.content.decode()
    assert client.post(path).status_code == 405
    facts(billing, others[1], weeks=2)
    facts(billing, None, weeks=6)
    billing.name = "@SUM(A1)"
    billing.save()
    rows = list(csv.DictReader(io.StringIO(client.get(path).content.decode())))
    assert {row["team"] for row in rows} == {"'@SUM(A1)"}
    by_week = {row["week"]: row["calls"] for row in rows if row["metric"] == "empathy"}
    weeks = [week.isoformat() for week in rollups.weeks_back(6)]
    assert by_week == {weeks[0]: "9", weeks[1]: "9", weeks[4]: "36", weeks[5]: "36"}, (
        "nobody's calls tell of nobody"
    )
    told = {row["metric"]: row for row in rows if row["week"] == weeks[5]}
    assert (told["time_calm"]["calls"], told["time_calm"]["sum"], told["needs_anxiety"]["calls"]) == (
        "36",
        "27.0",
        "36",
    )
    Policy.objects.create(region="us", hr_lock=False)
    rows = list(csv.DictReader(io.StringIO(client.get(path).content.decode())))
    assert len({row["week"] for row in rows}) == 6
    assert "bob" not in client.get(path).content.decode().lower()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"])
def test_formulas_are_defused(text: str) -> None:
    assert harmless([text, "a=b", "", -1.5]) == [f"'{text}", "a=b", "", -1.5]


# --- a team's page -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_who_may_see_a_teams_trends(client: Client, told: None, alice: User, bob: User, carol: User) -> None:
    path = f"/teams/{bob.team_id}/trends/"
    assert client.get(path).status_code == 302
    for user, status in ((bob, 404), (carol, 404), (alice, 200)):
        client.force_login(user)
        assert client.get(path).status_code == status
    assert client.get("/teams/999999999999999999999/trends/").status_code == 404


@pytest.mark.django_db
def test_one_address_leads_everybody_to_their_trends(client: Client, alice: User, bob: User) -> None:
    assert client.get("/trends/")["Location"].startswith("/account/login/")
    for user, place in ((bob, "/me/trends/"), (alice, f"/teams/{bob.team_id}/trends/")):
        client.force_login(user)
        assert client.get("/trends/")["Location"] == place
    alice.supervises.clear()
    client.force_login(alice)
    assert client.get("/trends/")["Location"] == "/"


@pytest.mark.django_db
def test_a_team_without_names_or_ranks(client: Client, told: None, alice: User, bob: User) -> None:
    facts(bob.team, None, weeks=1, calls=3, coverage=0.5, topic="=cmd <b>", time_calm=1.0, time_anxiety=0.0)
    client.force_login(alice)
    answer = client.get(f"/teams/{bob.team_id}/trends/")
    page = answer.content.decode()
    assert "Bob" not in page.partition("To talk with one person")[0]
    assert answer.context["coverage"] == {"calls": 57, "share": "93 %", "patchy": 3, "below": "90 %"}
    [empathy] = [one for one in answer.context["spreads"] if one["metric"] == "empathy"]
    assert empathy["n"] == 57 and empathy["words"].startswith("Half of the 57 calls lie between ")
    needs = {
        need["state"]: (need["needs"], need["missed"], need["share"]) for need in answer.context["needs"]
    }
    assert needs["anxiety"] == (114, 57, "50 %") and needs["sadness"] == (0, 0, "–")
    topics = {topic["name"]: topic for topic in answer.context["topics"]}
    assert set(topics) == {"Fees", "no queue named", "=cmd <b>"} and not topics["=cmd <b>"]["enough"]
    assert dict(topics["Fees"]["shares"])["anxiety"] == "25 %" and "<b>" not in page
    assert [hour["name"] for hour in answer.context["hours"]] == [f"{hour:02d}:00" for hour in range(8, 17)]
    first = answer.context["beside"][0]
    assert (first["n"], first["audio"], first["met"], first["at_risk"]) == (12, "5:02", "50 %", "0 %")
    assert first["states"] == ["0 %", "19 %", "0 %", "0 %"], "frustration, anxiety, confusion, sadness"
    assert "not known yet" in page


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture
def shown(told: None, source: Source, billing: Team, bob: User) -> None:
    facts(billing, bob, weeks=2, calls=3, fit_sadness=0.4, time_sadness=0.2, topic="Cards")
    for made in (final(), final(20.0, (("anxiety", 0.1),))):
        trends.learn(finished(source, bob, timezone.now(), final=made).pk)


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("which", ["agent", "team", "empty"])
def test_axe_finds_nothing(
    page_for: Open, shown: None, alice: User, bob: User, carol: User, scheme: str, width: int, which: str
) -> None:
    paths = {
        "agent": f"/agents/{bob.pk}/trends/", "team": f"/teams/{bob.team_id}/trends/",
        "empty": f"/teams/{carol.supervises.get().pk}/trends/",
    }  # fmt: skip
    page = page_for(
        carol if which == "empty" else alice, color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    page.goto(paths[which])
    assert page.locator("main h1").inner_text().startswith("Trends of")
    for summary in page.locator("summary").all()[:2]:
        summary.click()
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/trends-{which}-{width}-{scheme}.png", full_page=True)
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter((node) => node.getBoundingClientRect().right > innerWidth"
        " && !node.closest('.scroll-x')).map((node) => node.outerHTML.slice(0, 80))"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), wide
    small = page.evaluate(
        "[...document.querySelectorAll('main a, main summary')].filter((node) => node.getClientRects().length"
        " && node.getBoundingClientRect().height < 24).map((node) => node.textContent)"
    )
    assert small == []


@in_browser
def test_a_week_is_read_where_it_is_pointed_at(page_for: Open, shown: None, bob: User) -> None:
    page = page_for(bob, viewport={"width": 1200, "height": 900})
    page.goto("/me/trends/")
    panel = page.locator('[data-panel="empathy"]')
    panel.get_by_text("Point at a week to read it.").wait_for()
    panel.locator(".hit").last.hover()
    panel.get_by_text("calls").first.wait_for()
    assert "median 7" in panel.locator("[data-readout]").inner_text()
    panel.get_by_text("Numbers, week by week").click()
    assert panel.locator("tbody tr").count() == 6
    href = page.locator("[data-missed] a").get_attribute("href")
    assert href == CallFact.objects.get(missed=1, fit_anxiety__lt=0.2).call.get_absolute_url()


@in_browser
def test_hours_are_told_by_the_readers_clock(page_for: Open, shown: None, alice: User, bob: User) -> None:
    page = page_for(alice, timezone_id="Asia/Kolkata")
    page.goto(f"/teams/{bob.team_id}/trends/")
    page.get_by_role("columnheader", name="Hour, here").wait_for()
    names = page.locator("[data-hour]").all_inner_texts()
    assert "13:30" in names and names == sorted(names)  # 8 UTC; the newest calls are of this very hour


@in_browser
def test_without_script_all_is_there(page_for: Open, shown: None, alice: User, bob: User) -> None:
    page = page_for(alice, java_script_enabled=False)
    page.goto(f"/teams/{bob.team_id}/trends/")
    assert page.locator("figure svg").first.is_visible()
    assert "08:00" in page.locator("[data-hour]").all_inner_texts()
