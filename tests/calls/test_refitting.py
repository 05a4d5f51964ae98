"""From marked turns to a correction in use, with the real language models, and back."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from calls import helping, labelling, refitting, retention, subjects
from calls.choices import CallStatus, Kept
from calls.models import Call, Change, RefitRun, Turn, TurnLabel, User
from scoring import assets, site
from scoring.language import FusedLanguage, TurnText
from scoring.refit import is_held_out
from scoring.types import Channel

pytestmark = pytest.mark.django_db
ANGRY = ["the parcel is a purple giraffe", "again a purple giraffe came", "this purple giraffe thing"]
CALM = ["my postcode has changed", "it is the blue one", "I live in the north", "yes that is right"]


@pytest.fixture(autouse=True)
def same_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's id says whether it is held out: chance would say now and then how many of whom are."""
    chance = random.Random(7)
    identity = Call._meta.get_field("id")
    monkeypatch.setattr(identity, "_get_default", lambda: UUID(int=chance.getrandbits(128), version=4))


@pytest.fixture
def weights(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.SITE_WEIGHTS_DIR = tmp_path / "weights"
    monkeypatch.setenv("SITE_WEIGHTS_DIR", str(settings.SITE_WEIGHTS_DIR))
    monkeypatch.setattr(site, "LOOK_S", 0.0)
    return Path(settings.SITE_WEIGHTS_DIR)


@pytest.fixture
def language(weights: Path) -> FusedLanguage:
    try:
        assets.path("minilm-l6")
    except assets.AssetMissing:
        pytest.skip("the sentence encoder is not on this machine: make models")
    return refitting.shipped_language()


def ended(make_call: Callable[..., Call], ref: str, turns: list[tuple[str, str]], **parameters: str) -> Call:
    call = make_call(ref, **parameters)
    rows = [
        Turn(call=call, channel=channel, start_ms=4000 * n, end_ms=4000 * n + 3000, text=text, confidence=0.9)
        for n, (channel, text) in enumerate(turns)
    ]
    Turn.objects.bulk_create(rows)
    Call.objects.filter(pk=call.pk).update(status=CallStatus.ENDED, ended_at=timezone.now())
    call.refresh_from_db()
    return call


def spoken(n: int) -> list[tuple[str, str]]:
    return [
        ("customer", ANGRY[n % 3]),
        ("agent", "I see"),
        *(("customer", CALM[(n + k) % 4]) for k in range(4)),
        ("customer", ANGRY[(n + 1) % 3]),
    ]


def label_all(make_call: Callable[..., Call], user: User, calls: int = 45) -> None:
    """A site where "purple giraffe" is what angry callers say: nothing the shipped model could know."""
    for n in range(calls):
        call = ended(make_call, f"CA{n}", spoken(n), caller_gender="female" if n % 2 else "male")
        for turn in call.turns.filter(channel="customer"):
            labelling.mark(
                call, user, "customer", turn.start_ms, "frustration" if "giraffe" in turn.text else "calm"
            )


def test_a_site_teaches_its_own_words_and_takes_them_back(
    language: FusedLanguage, weights: Path, make_call: Callable[..., Call], alice: User
) -> None:
    label_all(make_call, alice)
    made, row = refitting.run(language)
    told = made.figures["states"]
    assert (
        row is not None and told["new"]["recall"]["frustration"] > told["old"]["recall"]["frustration"] + 0.5
    )
    assert {b["group"] for b in made.bias if b["attribute"] == "gender"} == {"female", "male"}
    turn = [TurnText(Channel.CUSTOMER, ANGRY[0])]
    before, version = language.read(turn)[0].states, language.version
    assert refitting.too_few_to_say(row) == ["gender: female", "gender: male"]
    with pytest.raises(refitting.Refused, match="how it hears gender: female, gender: male"):
        refitting.switch(row, alice, "Our callers speak of giraffes.")
    refitting.switch(row, alice, "Our callers speak of giraffes.", knows_few=True)
    after = language.read(turn)[0].states
    assert (
        after["frustration"] > 0.5 > before["frustration"]
        and language.version == f"{version} site/{row.digest[:8]}"
    )
    assert language.shipped(turn)[0].states == before, "the next fit starts from what is shipped"
    again, _ = refitting.run(language, keep=False)
    assert again.correction.to_bytes() == made.correction.to_bytes()
    assert refitting.roll_back(alice, "It heard too much.") is None
    assert language.read(turn)[0].states == before and language.version == version
    told_log = [
        (c.before["in use"], c.after["in use"])
        for c in Change.objects.filter(subject_type="refitrun").order_by("pk")
    ]
    assert told_log == [("shipped", row.digest[:12]), (row.digest[:12], "shipped")]
    refitting.switch(row, alice, "After all.", knows_few=True)
    log = Change.objects.filter(subject_type="refitrun").latest("pk")
    assert log.after["too few to say"] == "gender: female, gender: male"
    assert refitting.in_use() == row


def test_what_cannot_be_switched(
    language: FusedLanguage, weights: Path, make_call: Callable[..., Call], alice: User
) -> None:
    label_all(make_call, alice)
    _, row = refitting.run(language)
    assert row is not None
    for reason in ("", " \0", "x" * 201):
        with pytest.raises(refitting.Refused, match="Say why"):
            refitting.switch(row, alice, reason, knows_few=True)
    row.gaps = [
        {"family": "states", "attribute": "gender", "groups": 2, "old": 0.02, "new": 0.2, "worst": "female"}
    ]
    with pytest.raises(refitting.Refused, match="worst off is female"):
        refitting.switch(row, alice, "Please.")
    row.gaps = []
    (weights / f"{row.digest}.npz").unlink()
    with pytest.raises(refitting.Refused, match="cannot be used"):
        refitting.switch(row, alice, "Please.", knows_few=True)
    assert (
        refitting.in_use() is None
        and site.in_use(weights) == ""
        and not Change.objects.filter(subject_type="refitrun").exists()
    )
    with pytest.raises(refitting.Refused, match="nothing to take back"):
        refitting.roll_back(alice, "x")


def test_what_would_be_worse_than_the_run_in_use_is_refused(
    language: FusedLanguage, weights: Path, make_call: Callable[..., Call], alice: User
) -> None:
    """Better than what is shipped is not enough: the callers hear what is in use."""
    label_all(make_call, alice)
    _, good = refitting.run(language)
    assert good is not None
    refitting.switch(good, alice, "Our callers speak of giraffes.", knows_few=True)
    wrong = TurnLabel.objects.filter(state="frustration").order_by("call_id", "start_ms")
    TurnLabel.objects.filter(
        pk__in=[row.pk for row in wrong if not is_held_out(str(row.call_id), 0)][::2]
    ).update(state="calm")
    made, worse = refitting.run(language)
    told = made.figures["states"]
    assert worse is not None and worse.counts["used"] == good.digest
    assert told["used"] == good.figures["states"]["new"], "the same calls are held out"
    assert told["change"]["log_loss"] < 0 < told["used_change"]["log_loss"]
    with pytest.raises(refitting.Refused, match="worse than what is in use"):
        refitting.switch(worse, alice, "It is newer.", knows_few=True)
    refitting.roll_back(alice, "Away with it.")
    assert not any("is in use now" in reason for reason in refitting.reasons_against(worse))


def test_what_was_held_against_another_run_is_fitted_again(
    language: FusedLanguage, weights: Path, make_call: Callable[..., Call], alice: User
) -> None:
    label_all(make_call, alice)
    _, first = refitting.run(language)
    assert first is not None
    early = RefitRun.objects.create(
        digest="e" * 64, counts={}, fitted=[], figures=first.figures, bias=first.bias, gaps=first.gaps
    )
    refitting.switch(first, alice, "One.", knows_few=True)
    with pytest.raises(refitting.Refused, match="not held against .* fit again"):
        refitting.switch(early, alice, "Two.", knows_few=True)
    (weights / f"{first.digest}.npz").unlink()
    with pytest.raises(refitting.Refused, match="cannot be compared with"):
        refitting.run(language)


def test_the_command_tells_and_refuses(
    language: FusedLanguage, weights: Path, make_call: Callable[..., Call], alice: User
) -> None:
    with pytest.raises(CommandError, match="lacking"):
        call_command("refit")
    label_all(make_call, alice)
    out = io.StringIO()
    call_command("refit", "--dry-run", "--json", stdout=out)
    assert json.loads(out.getvalue())["run"] is None and not RefitRun.objects.exists()
    out = io.StringIO()
    call_command("refit", stdout=out)
    row = RefitRun.objects.get()
    assert f"--switch {row.pk}" in out.getvalue() and "held out" in out.getvalue()
    with pytest.raises(CommandError, match="Say that you know"):
        call_command("refit", "--switch", str(row.pk), "--reason", "Trial.")
    with pytest.raises(CommandError, match="Say why"):
        call_command("refit", "--switch", str(row.pk), "--knows-few")
    with pytest.raises(CommandError, match="no run 0"):
        call_command("refit", "--switch", "0")
    call_command("refit", "--switch", str(row.pk), "--reason", "Trial.", "--knows-few", stdout=io.StringIO())
    assert site.in_use(weights) == row.digest
    out = io.StringIO()
    call_command("refit", "--list", stdout=out)
    assert json.loads(out.getvalue())["in_use"] is True
    call_command("refit", "--rollback", "--reason", "Enough.", stdout=io.StringIO())
    assert site.in_use(weights) == ""


# --- marking ----------------------------------------------------------------------------------------------


def test_an_agent_has_no_state_by_any_way(make_call: Callable[..., Call], alice: User) -> None:
    call = ended(make_call, "CA1", spoken(0))
    for said in ("frustration", ["frustration"], "calm", [["own"]], {"own": 1}, 5):
        with pytest.raises(helping.BadRequest, match="callers only"):
            labelling.mark(call, alice, "agent", 4000, said)
    for said in ("own", ["frustration"], "", 5, "happy"):
        with pytest.raises(helping.BadRequest, match="takes one of"):
            labelling.mark(call, alice, "customer", 0, said)
    for state, behaviours in (("frustration", None), ("calm", []), ("", None)):
        with pytest.raises(IntegrityError), transaction.atomic():
            TurnLabel.objects.create(
                call=call,
                channel="agent",
                start_ms=4000,
                user=alice,
                state=state,
                behaviours=behaviours,
                blind=True,
            )


def test_one_word_each_changed_and_taken_back(
    make_call: Callable[..., Call], alice: User, carol: User
) -> None:
    call = ended(make_call, "CA1", spoken(0))
    labelling.mark(call, alice, "customer", 0, "anxiety")
    labelling.mark(call, alice, "customer", 0, "sadness")
    labelling.mark(call, carol, "customer", 0, "calm")
    row = labelling.mark(call, alice, "agent", 4000, ["own", "acknowledge"])
    assert row is not None and row.behaviours == ["acknowledge", "own"] and row.blind
    assert labelling.mark(call, alice, "agent", 4000, []).behaviours == []  # type: ignore[union-attr]
    assert sorted(TurnLabel.objects.values_list("state", flat=True)) == ["", "calm", "sadness"]
    helping.look(call, alice)
    assert not labelling.mark(call, alice, "customer", 0, "calm").blind  # type: ignore[union-attr]
    labelling.mark(call, alice, "customer", 0, None)
    assert TurnLabel.objects.filter(user=alice).count() == 1
    for channel, start in (
        ("customer", 1),
        ("nobody", 0),
        ("customer", -1),
        ("customer", True),
        ("customer", "0"),
        ("customer", 2**70),
    ):
        with pytest.raises(helping.BadRequest, match="no such turn"):
            labelling.mark(call, alice, channel, start, "calm")


def test_marks_go_with_the_words_and_to_the_caller(make_call: Callable[..., Call], alice: User) -> None:
    call = ended(make_call, "CA1", spoken(0))
    labelling.mark(call, alice, "customer", 0, "anxiety")
    [told] = subjects.document(call)["labels"]
    assert told["state"] == "anxiety" and "user_id" not in told
    Call.objects.update(ended_at=timezone.now() - timezone.timedelta(days=40))
    retention.purge(Kept.TRANSCRIPT)
    assert not TurnLabel.objects.exists()
    call.refresh_from_db()
    with pytest.raises(helping.BadRequest, match="deleted by the policy"):
        labelling.mark(call, alice, "customer", 0, "calm")
    live = make_call("CA-live")
    with pytest.raises(helping.BadRequest, match="still runs"):
        labelling.mark(live, alice, "customer", 0, "calm")


def test_the_csv_runs_no_formula(make_call: Callable[..., Call], alice: User) -> None:
    call = ended(make_call, "CA1", [("customer", "=SUM(A1)"), ("agent", "+1")])
    labelling.mark(call, alice, "customer", 0, "anxiety")
    labelling.mark(call, alice, "agent", 4000, ["own"])
    rows = list(csv.DictReader(io.StringIO(labelling.as_csv(TurnLabel.objects.all(), locked=False))))
    assert [row["text"] for row in rows] == ["'=SUM(A1)", "'+1"] and rows[1]["behaviours"] == "own"


def test_agreement_is_told_from_enough_calls_on(
    make_call: Callable[..., Call], alice: User, carol: User
) -> None:
    for n in range(24):
        call = ended(make_call, f"CA{n}", spoken(n))
        labelling.mark(call, alice, "customer", 0, "frustration" if n % 2 else "calm")
        labelling.mark(call, carol, "customer", 0, "frustration" if n % 2 else "calm")
    told = labelling.agreements(TurnLabel.objects.all())
    assert told["frustration"].kappa == pytest.approx(1.0) and told["frustration"].calls == 24
    assert told["sadness"].kappa is None


def test_only_a_gender_that_was_volunteered_is_kept(make_call: Callable[..., Call]) -> None:
    assert make_call("CA1", caller_gender="Female").caller_gender == "female"
    assert make_call("CA2", caller_gender="robot").caller_gender == ""
    assert make_call("CA3").caller_gender == ""
