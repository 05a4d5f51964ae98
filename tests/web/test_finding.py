"""The list of calls: what is looked for, what is refused, pages that neither skip nor repeat, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connection
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from calls import finding, helping, reviewing
from calls.choices import CallStatus, Role
from calls.models import Alert, Call, Source, Team, User

pytestmark = pytest.mark.django_db
Open = Callable[..., Any]
Make = Callable[..., Call]
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def shown(client: Client, question: str = "") -> list[str]:
    """The references on the page, in order."""
    page = client.get(f"/calls/{question}")
    assert page.status_code == 200, page.content.decode()
    return re.findall(r'<td class="small ref" title="([^"]*)"', page.content.decode())


@pytest.fixture
def three(make_call: Make, bob: User, alice: User) -> list[Call]:
    """One live with an open alert, one ended calm, one lost; a day apart."""
    made = [
        make_call(f"CA-{n}{n}", NOON - timedelta(days=n), queue=queue)
        for n, queue in enumerate(["Fees", "Travel desk", "fees"])
    ]
    for call, risk in zip(made, ["help", "calm", "watch"], strict=True):
        call.tile = call.tile_base() | {"risk": risk, "alerts_open": int(risk == "help")}
    made[1].status, made[2].status = CallStatus.ENDED, CallStatus.LOST
    for call in made:
        call.ended_at = None if call.is_live else call.started_at + timedelta(minutes=4)
        call.save()
    Alert.objects.create(call=made[0], cause="leave", t_ms=1, title="Wants to leave", severity="help")
    taken = Alert.objects.create(call=made[2], cause="leave", t_ms=1, title="x", severity="help")
    helping.acknowledge(taken, alice)
    Call.objects.update(tile={})  # what a tile says is not asked here
    for call in made:
        Call.objects.filter(pk=call.pk).update(tile={"risk": call.tile["risk"]})
    return made


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("", [0, 1, 2]),
        ("?ref=CA-11", [1]), ("?ref=CA-", [0, 1, 2]), ("?ref=A-11", []), ("?ref=CA%2511", []),
        ("?queue=FEES", [0, 2]), ("?queue=fee", []),
        ("?status=live", [0]), ("?status=ended", [1]), ("?status=lost", [2]),
        ("?risk=help", [0]), ("?risk=watch", [2]), ("?alert=open", [0]),
        ("?first=2026-11-02", [0, 1]), ("?last=2026-11-01", [2]), ("?first=2026-11-02&last=2026-11-02", [1]),
        ("?queue=fees&status=lost", [2]), ("?queue=&risk=&ref=", [0, 1, 2]),
    ],
)  # fmt: skip
def test_each_thing_that_can_be_asked(
    three: list[Call], alice: User, question: str, found: list[int]
) -> None:
    # A tile of nothing but its risk is too little to paint; only which calls are found is asked here.
    asked = finding.read(dict(part.split("=", 1) for part in question[1:].split("&") if part), alice)
    rows = finding.page(Call.objects.filter(asked.which)).rows
    want = [f"CA-{n}{n}" for n in found]
    assert [row.external_ref for row in rows] == want and not asked.troubles


def test_by_team_agent_source_and_own_name(make_call: Make, alice: User, bob: User, source: Source) -> None:
    call = make_call("CA-1")
    client = logged_in(alice)
    for question in f"team={call.team_id}", f"agent={bob.pk}", f"source={source.pk}", f"ref={call.pk}":
        assert shown(client, f"?{question}") == ["CA-1"], question
    make_call("CA-2", agent="nobody-known")
    assert shown(client, f"?agent={bob.pk}") == ["CA-1"]


BAD = [
    ("team", "x"), ("team", "999999"), ("agent", "0"), ("agent", "²"), ("source", "9" * 40), ("status", "gone"),
    ("risk", "high"), ("alert", "yes"), ("first", "2026-02-30"), ("last", "0001-01-01"), ("last", "tomorrow"),
    ("ref", "x" * 121), ("queue", "x" * 121), ("older", "1"), ("newer", "1~2026~x"), ("older", "\x00"),
    ("older", "0~2026-01-01T00:00:00~00000000-0000-0000-0000-000000000000"),
    ("older", "0~0001-01-01T00:00:00+14:00~00000000-0000-0000-0000-000000000000"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "words"), BAD)
def test_what_cannot_be_asked_is_named_and_shows_nothing(
    three: list[Call], alice: User, name: str, words: str
) -> None:
    answer = logged_in(alice).get("/calls/", {name: words})
    page = answer.content.decode()
    assert answer.status_code == 400 and "Nothing is shown until this is put right" in page
    assert "<tbody>" not in page and "CA-00" not in page


def test_days_the_wrong_way_round(three: list[Call], alice: User) -> None:
    page = logged_in(alice).get("/calls/", {"first": "2026-11-03", "last": "2026-11-01"})
    assert page.status_code == 400 and "before the first day" in page.content.decode()


def test_carol_finds_nothing_whatever_she_asks(
    make_call: Make, carol: User, bob: User, source: Source
) -> None:
    call = make_call("CA-1")
    client = logged_in(carol)
    assert shown(client) == shown(client, "?ref=CA-1") == shown(client, f"?ref={call.pk}") == []
    for name, value in ("team", call.team_id), ("agent", bob.pk), ("source", source.pk):
        answer = client.get("/calls/", {name: value})
        assert answer.status_code == 400 and "Bob" not in answer.content.decode(), name
    page = client.get("/calls/").content.decode()
    assert "Bob Okafor" not in page and "Billing" not in page


def test_an_agent_finds_among_their_own(make_call: Make, bob: User) -> None:
    make_call("CA-mine")
    make_call("CA-other", agent="somebody")
    client = logged_in(bob)
    assert shown(client) == shown(client, "?ref=CA-") == ["CA-mine"]
    assert 'name="team"' not in client.get("/calls/").content.decode()


def test_who_scores_a_call_does_not_find_it_by_its_risk(three: list[Call], alice: User) -> None:
    reviewing.start(three[1], alice)
    for said in {"risk": "calm"}, {"alert": "open"}:
        rows = finding.page(Call.objects.filter(finding.read(said, alice).which)).rows
        assert three[1] not in rows


def test_pages_neither_skip_nor_repeat(make_call: Make, alice: User) -> None:
    made = [
        make_call(f"CA-{n:03}", NOON - timedelta(minutes=n // 3)) for n in range(60)
    ]  # three at each minute
    Call.objects.filter(pk__in=[call.pk for call in made[::2]]).update(status=CallStatus.ENDED)
    client = logged_in(alice)
    expected = [
        call.external_ref
        for call in sorted(
            Call.objects.all(), key=lambda c: (c.is_live, c.started_at, c.pk), reverse=True
        )
    ]  # fmt: skip
    pages, address = [], "/calls/?queue=fees"
    while address:
        html = client.get(address).content.decode()
        pages.append(re.findall(r'ref" title="([^"]*)"', html))
        if len(pages) == 2:  # one more comes in while somebody reads
            make_call("CA-new")
        links = dict(re.findall(r'href="(\?[^"]*)">(Newer|Older)', html))
        back = {words: link.replace("&amp;", "&") for link, words in links.items()}
        address = f"/calls/{back['Older']}" if "Older" in back else ""
    assert [len(page) for page in pages] == [25, 25, 10] and sum(pages, []) == expected
    middle = re.findall(r'ref" title="([^"]*)"', client.get(f"/calls/{back['Newer']}").content.decode())
    assert middle == pages[1]


@pytest.mark.django_db(transaction=True)
def test_a_page_far_down_reads_an_index(make_call: Make, alice: User, billing: Team) -> None:
    """20,000 calls: neither the first page nor a late one sorts or reads them all."""
    call = make_call("CA-first")
    columns = [
        field.column
        for field in Call._meta.concrete_fields
        if field.column not in ("id", "started_at", "status", "external_ref")
    ]
    quoted = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO calls_call (id, started_at, status, external_ref, {quoted}) "
            f"SELECT gen_random_uuid(), started_at - n * interval '1 minute', 'ended', 'CA-' || n, {quoted} "
            "FROM calls_call, generate_series(1, 20000) n WHERE id = %s",
            [call.pk],
        )
        cursor.execute("ANALYZE calls_call")
    dana = User.objects.create_user("dana", role=Role.ADMIN)
    place = finding.Place(False, timezone.now() - timedelta(minutes=15_000), call.pk)
    plans = []
    for older in None, place:
        with_plan = PlansOf()
        with connection.execute_wrapper(with_plan):
            rows = finding.page(Call.objects.all(), older=older).rows
        assert len(rows) == 25
        plans += with_plan.plans
    reference = Call.objects.filter(finding.read({"ref": "CA-1999"}, dana).which).explain()
    assert all("call_newest" in plan or "call_live" in plan for plan in plans), plans
    assert not any("Seq Scan on calls_call" in plan for plan in [*plans, reference])
    assert "call_reference" in reference


class PlansOf:
    """Asks PostgreSQL for the plan of each query that passes."""

    def __init__(self) -> None:
        self.plans: list[str] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "calls_appeal" not in sql:  # those of the page's rows, by their keys
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}", params)
                self.plans.append("\n".join(line for (line,) in cursor.fetchall()))
        return execute(sql, params, many, context)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_finding_one_by_its_reference(
    page_for: Open, full_call: Call, make_call: Make, alice: User, scheme: str, width: int
) -> None:
    make_call("CA-other")
    page = page_for(alice, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/calls/")
    expect(page.locator("tbody tr")).to_have_count(2)
    for _ in range(2):
        assert not Axe().run(page).violations_count
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_label("Reference, or how it begins").fill("CA-fu")
        page.get_by_label("With an open alert").check()
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Show all")).to_be_visible()
        expect(page.locator("tbody tr")).to_have_count(1)
    assert page.locator("tbody").get_by_text("CA-full").is_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("tbody tr")).to_have_count(2)
