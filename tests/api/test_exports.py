"""Exports: CSV and Parquet say the same, no formula runs, days are whole, an agent takes all of it away."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from calls import exports, reviewing, trends
from calls.models import Call, CallFact, Message, NudgeChoices, User
from tests.api.conftest import As, finish

pytestmark = pytest.mark.django_db


def test_both_kinds_say_the_same(as_token: As, alice: User, bob: User, finished: Call, unlocked: Any) -> None:
    client = as_token(alice)
    table = list(csv.DictReader(io.StringIO(client.get("/api/v1/export/calls.csv").content.decode())))
    parquet = client.get("/api/v1/export/calls.parquet")
    assert parquet["content-type"] == "application/vnd.apache.parquet"
    rows = pq.read_table(io.BytesIO(parquet.content))
    assert rows.schema.names == list(table[0]) and rows.num_rows == len(table) == 1
    fact = CallFact.objects.get()
    told = rows.to_pylist()[0]
    assert told["call"] == table[0]["call"] == str(finished.pk) and told["agent"] == "bob"
    assert (
        told["empathy"]
        == pytest.approx(fact.empathy, rel=1e-5)
        == pytest.approx(float(table[0]["empathy"]), rel=1e-5)
    )
    assert told["ended_at"] == finished.ended_at.replace(
        microsecond=finished.ended_at.microsecond // 1000 * 1000
    )


def test_appeals_are_told(as_token: As, alice: User, bob: User, finished: Call) -> None:
    Call.objects.filter(pk=finished.pk).update(final=(finished.final or {}) | {"empathy": 41.0})
    finished.refresh_from_db()
    client = as_token(alice)

    def told() -> tuple[str, ...]:
        text = client.get("/api/v1/export/calls.csv").content.decode()
        row = next(csv.DictReader(io.StringIO(text)))
        return row["under_appeal"], row["appeal_decision"], row["empathy"], row["machine_empathy"]

    def shape() -> tuple[Any, ...]:
        found = client.get(f"/api/v1/calls/{finished.pk}/").json()
        return found["under_appeal"], found["appeal_decision"], found["decided_empathy"]

    made = reviewing.appeal(finished, None, bob, "she agreed")
    assert told() == ("True", "", "", "41.0") and shape() == (True, "", None)
    reviewing.decide(made, alice, "changed", "heard again", 60)
    assert told() == ("False", "changed", "60.0", "41.0") and shape() == (False, "changed", 60.0)
    listed = client.get("/api/v1/calls/").json()["results"][0]
    assert listed["decided_empathy"] == 60.0 and listed["final"]["empathy"] == 41.0, "both values are kept"


def test_no_formula_runs(as_token: As, alice: User, make_call: Callable[..., Call]) -> None:
    call = finish(make_call("=1+1", queue="@SUM(A1)"))
    trends.learn(call.pk)
    text = as_token(alice).get("/api/v1/export/calls.csv").content.decode()
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["external_ref"] == "'=1+1" and row["topic"] == "'@SUM(A1)"


def test_days_are_whole_and_both_ends_count(as_token: As, alice: User, finished: Call) -> None:
    day = timezone.now().date()
    client = as_token(alice)

    def count(first: Any, last: Any) -> int:
        return (
            client.get(f"/api/v1/export/calls.csv?first={first}&last={last}").content.decode().count("\n") - 1
        )

    assert count(day, day) == 1
    assert count(day - timedelta(days=9), day - timedelta(days=1)) == 0
    assert count(day + timedelta(days=1), day + timedelta(days=2)) == 0
    assert count(day - timedelta(days=200), day) == 1


def test_more_than_one_answer_can_hold(
    as_token: As, alice: User, finished: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from calls.api import export

    monkeypatch.setattr(export, "MOST_ROWS", 0)
    answer = as_token(alice).get("/api/v1/export/calls.csv")
    assert answer.status_code == 422 and "shorter span" in answer.json()["detail"]


def test_many_rows_come_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "CHUNK", 3)
    row = dict.fromkeys(exports.SCHEMA.names)
    out = io.BytesIO()
    assert exports.write_parquet(({**row, "call": str(n)} for n in range(10)), out) == 10
    assert pq.ParquetFile(out).num_row_groups == 4
    assert pq.read_table(out)["call"].to_pylist() == [str(n) for n in range(10)]


def test_an_agent_takes_all_of_it_away(alice: User, bob: User, carol: User, finished: Call) -> None:
    review = reviewing.start(finished, alice)
    reviewing.submit(review, {}, 4, "kept calm")
    Message.objects.create(call=finished, sender=alice, text="=well done")
    NudgeChoices.objects.create(agent=bob, muted=True)
    client = Client()
    client.force_login(bob)
    answer = client.get("/me/data.zip")
    found = zipfile.ZipFile(io.BytesIO(answer.content))
    texts = {name: found.read(name).decode() for name in found.namelist()}
    assert json.loads(texts["person.json"])["cues"]["muted"] is True
    assert (
        str(finished.pk) in texts["calls.csv"]
        and "kept calm" in texts["reviews.csv"]
        and "'=well done" in texts["messages.csv"]
    )
    assert texts["turns.csv"].count("third time") == 2, "own words only"
    named = {
        line.split()[0] for line in texts["README.txt"].splitlines() if ".csv" in line or ".json" in line
    }
    assert named == set(texts) - {"README.txt"}
    for user in (alice, carol):
        other = Client()
        other.force_login(user)
        assert other.get("/me/data.zip").status_code == 404
    assert Client().get("/me/data.zip").status_code == 302 and client.post("/me/data.zip").status_code == 405


def test_the_command_writes_the_same(finished: Call, tmp_path: Any) -> None:
    for name in ("calls.csv", "calls.parquet"):
        call_command("export", tmp_path / name, stdout=io.StringIO())
    assert pq.read_table(tmp_path / "calls.parquet")["call"].to_pylist() == [str(finished.pk)]
    row = next(csv.DictReader(io.StringIO((tmp_path / "calls.csv").read_text())))
    assert row["call"] == str(finished.pk) and row["agent"] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.csv", "calls.parquet"]


@pytest.mark.parametrize(
    ("said", "words"),
    [(["x.txt"], "must end"), (["x.csv", "--first", "May"], "not a day"), (["x.csv", "--team", "No"], "no team"),
     (["/nowhere/x.csv"], "cannot be written")],
)  # fmt: skip
def test_what_the_command_refuses(db: None, said: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("export", *said)
