"""A cue on the agent's screen: shown once, when its moment is now and the agent wants it; judged; settled."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from calls import helping, live, nudging, record
from calls.choices import Outcome
from calls.models import Call, NudgeChoices, RubricVersion, ShownNudge
from calls.views.cues import ledger
from scoring.types import Channel, Turn
from tests.calls.pieces import agent, customer, scored

pytestmark = pytest.mark.django_db
Make = Callable[..., Call]


@pytest.fixture(autouse=True)
def fresh_precision() -> None:
    nudging._precision.clear()


SOLVED = "Block the card and the access first; then go through the last payments together."


@pytest.mark.parametrize(("queue", "solution"), [("Fraud", SOLVED), ("Cards", "")])
def test_a_call_of_a_queue_gets_what_the_playbook_has_for_it(
    make_call: Make, queue: str, solution: str
) -> None:
    call = make_call("CA1", queue=queue)
    hear(call, upset(), until_s=4)
    row = ShownNudge.objects.get()
    assert row.rule == "anxiety-reassure" and row.solution == solution
    assert ("I am blocking it" in row.phrases[0]) is bool(solution)
    call = Call.objects.get(pk=call.pk)
    assert call.agent is not None
    page, mine = live.call_snapshot(call), live.agent_snapshot(call.agent)
    docs = [page["nudges"][0], page["cues"][0], mine["cues"][0]]
    assert all((doc["solution"], doc["link"]) == (solution, "") for doc in docs)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr("calls.push.publish", lambda messages: found.extend(messages))
    return found


def upset(start_ms: int = 0) -> Turn:
    return replace(customer(start_ms), states={"anxiety": 0.9}, cues=())


def hear(call: Call, *turns: Turn, until_s: int, close: bool = False, since_s: int = 0) -> Call:
    record.record_scores([scored(str(call.pk), *turns, hops=range(since_s, until_s), close=close)])
    return Call.objects.get(pk=call.pk)


def test_a_cue_is_shown_once_and_told_to_agent_and_call(
    make_call: Make, sent: list[tuple[str, dict[str, Any]]], django_capture_on_commit_callbacks: Any
) -> None:
    call = make_call("CA1")
    with django_capture_on_commit_callbacks(execute=True):
        hear(call, upset(), until_s=4)
        hear(call, until_s=5, since_s=4)
    [row] = ShownNudge.objects.all()
    assert (row.agent, row.state, row.t_ms) == (call.agent, "anxiety", 2500)
    told = [group for group, event in sent if event["type"] == "cue"]
    assert told == [f"agent.{call.agent_id}", f"call.{call.pk}"]


def test_events_lead_to_the_fresh_snapshot(
    make_call: Make, sent: list[tuple[str, dict[str, Any]]], django_capture_on_commit_callbacks: Any
) -> None:
    call = make_call("CA1")
    hear(call, upset(), until_s=4)
    call = Call.objects.get(pk=call.pk)
    assert call.agent is not None
    page, mine = live.call_snapshot(call), live.agent_snapshot(call.agent)
    with django_capture_on_commit_callbacks(execute=True):
        hear(call, agent(3000, reassure=0.9, acknowledge=0.9), until_s=8, since_s=4)
        [row] = ShownNudge.objects.select_related("call")
        helping.judge(row, "helpful")
        helping.choose(call.agent, {"every_s": 90, "kinds_off": ["own"]})
    for group, event in copy.deepcopy(sent):
        if group == f"call.{call.pk}":
            page = live.apply(page, event)
        if group == f"agent.{call.agent_id}":
            mine = live.apply(mine, event)
    call = Call.objects.get(pk=call.pk)
    assert page["cues"] == live.call_snapshot(call)["cues"] and page["cues"][0]["taken"] is True
    assert mine == live.agent_snapshot(call.agent)


@pytest.mark.parametrize(
    "choices",
    [
        {"muted": True},
        {"kinds_off": ["reassure", "acknowledge", "understand", "explore", "own"]},
        {"per_call": 0},
    ],
)
def test_the_agents_choices_are_kept(make_call: Make, choices: dict[str, Any]) -> None:
    call = make_call("CA1")
    NudgeChoices.objects.create(agent=call.agent, **choices)
    hear(call, upset(), until_s=4)
    assert not ShownNudge.objects.exists()


def test_with_one_kind_off_another_cue_takes_its_place(make_call: Make) -> None:
    call = make_call("CA1")
    NudgeChoices.objects.create(agent=call.agent, kinds_off=["reassure"])
    hear(call, upset(), until_s=4)
    assert [row.rule for row in ShownNudge.objects.all()] == ["anxiety-acknowledge"]


def test_a_moment_that_passed_unused_blocks_no_other(make_call: Make) -> None:
    """One kind off, and no other fits: 20 s later, well within 45 s, one that does is shown."""
    call = make_call("CA1")
    NudgeChoices.objects.create(agent=call.agent, kinds_off=["reassure", "acknowledge"])
    hear(call, upset(), until_s=4)
    assert not ShownNudge.objects.exists()
    hear(call, replace(upset(20_000), states={"frustration": 0.95}), until_s=46, since_s=8)
    assert [row.rule for row in ShownNudge.objects.all()] == ["frustration-own"]


def test_a_moment_that_nobody_was_on_the_screen_for_uses_nothing_up(make_call: Make) -> None:
    call = make_call("CA1")
    choices = NudgeChoices.objects.create(agent=call.agent, muted=True)
    hear(call, upset(), until_s=6)
    choices.muted = False
    choices.save()
    hear(call, upset(20_000), until_s=46, since_s=6)
    assert [row.t_ms for row in ShownNudge.objects.all()] == [22_500]


def test_choices_follow_a_rubric_that_allows_less(make_call: Make) -> None:
    call = make_call("CA1")
    agent = call.agent
    assert agent is not None
    NudgeChoices.objects.create(agent=agent, every_s=15, per_call=20)
    told = live.agent_snapshot(agent)["choices"]
    assert told == {
        "muted": False, "every_s": 45, "per_call": 6, "kinds_off": [],
        "limits": {"every_s": [45, 600], "per_call": [0, 6]},
    }  # fmt: skip
    old = RubricVersion.objects.get(pk=call.rubric_version_id)
    spec = old.spec | {"nudging": old.spec["nudging"] | {"every_ms": 90_500, "per_call": 2}}
    RubricVersion.objects.create(rubric=old.rubric, number=old.number + 1, spec=spec)
    told = live.agent_snapshot(agent)["choices"]
    assert (told["every_s"], told["per_call"], told["limits"]["per_call"]) == (91, 2, [0, 2])
    with pytest.raises(
        helping.BadRequest, match="every_s must be 91 to 600 under your team's rubric, not 90"
    ):
        helping.choose(agent, {"every_s": 90})


def test_a_moment_that_has_passed_is_not_shown(make_call: Make) -> None:
    call = make_call("CA1")
    hear(call, upset(), until_s=60)
    assert call.nudges.exists() and not ShownNudge.objects.exists()


def test_two_cues_are_spaced_as_the_agent_wants(make_call: Make) -> None:
    call = make_call("CA1")
    NudgeChoices.objects.create(agent=call.agent, every_s=120)
    hear(call, upset(), until_s=4)
    hear(call, upset(60_000), until_s=64, since_s=60)
    assert ShownNudge.objects.count() == 1


def test_two_cues_are_spaced_as_they_come_to_the_screen(make_call: Make) -> None:
    """The first waited for the end of an answer: the 45 s begin then, not when the caller had stopped."""
    call = make_call("CA1")
    hear(call, upset(), replace(agent(3000, courtesy=0.9), end_ms=20_000), until_s=42)
    [first] = ShownNudge.objects.all()
    assert (first.t_ms, first.shown_ms) == (2500, 21_000)
    hear(call, upset(50_000), until_s=106, since_s=42)
    assert ShownNudge.objects.count() == 1
    hear(call, upset(66_000), until_s=138, since_s=106)
    assert [row.shown_ms for row in ShownNudge.objects.all()] == [21_000, 69_000]


@pytest.mark.parametrize("letter", [Outcome.LOST, Outcome.FAILED, Outcome.SKIPPED, Outcome.WITHHELD])
def test_what_nobody_heard_is_no_silence_of_the_agents(make_call: Make, letter: Outcome) -> None:
    """No cue and no alert about it, and it costs no points."""
    scores = []
    for outcome in (Outcome.PAUSED, letter):
        call = make_call(f"CA-{outcome}")
        hear(call, customer(0), agent(3000), until_s=12)
        cues, alerts = call.shown_nudges.count(), call.alerts.count()
        for since in range(12, 90, 4):
            lost = {(channel, n): outcome for channel in Channel for n in range(since, since + 4)}
            record.record_scores([record.Scored(str(call.pk), None, lost, dict.fromkeys(Channel, since + 4))])
        assert (call.shown_nudges.count(), call.alerts.count()) == (cues, alerts)
        hear(call, customer(46_000), until_s=108, since_s=90)
        scores.append(hear(call, until_s=108, since_s=108, close=True).final)
    assert scores[0] and scores[1]
    assert scores[0]["components"] == scores[1]["components"] and not scores[1]["timing"]["dead_air_ms"]


def test_a_side_that_does_not_come_is_not_silent(make_call: Make) -> None:
    """The agent's own line broke off, or never was."""
    for ref, since in ("CA-off", 12), ("CA-never", 0):
        call = make_call(ref)
        both = scored(str(call.pk), customer(0), hops=range(12))
        outcomes = {
            key: letter for key, letter in both.outcomes.items() if key[0] is Channel.CUSTOMER or since
        }
        record.record_scores([replace(both, outcomes=outcomes)])
        for at in range(12, 100, 4):
            alone = {(Channel.CUSTOMER, n): Outcome.SCORED for n in range(at, at + 4)}
            record.record_scores([replace(scored(str(call.pk), hops=range(at, at + 4)), outcomes=alone)])
        call.refresh_from_db()
        assert not call.alerts.filter(cause="silence").exists()
        assert call.view["timing"]["longest_silence_ms"] <= 6000
        assert call.view["components"]["L"] is None, "nobody heard whether the agent listens"


def test_none_once_the_caller_objected(make_call: Make) -> None:
    call = make_call("CA1")
    Call.objects.update(opted_out_at=timezone.now())
    hear(call, upset(), until_s=4)
    assert not ShownNudge.objects.exists()


@pytest.mark.parametrize(("answer", "taken"), [({"reassure": 0.9}, True), ({"courtesy": 0.9}, False)])
def test_taken_is_what_was_heard_next(make_call: Make, answer: dict[str, float], taken: bool) -> None:
    call = make_call("CA1")
    hear(call, upset(), until_s=4)
    row = ShownNudge.objects.get()
    assert row.taken is None
    said = {row.missing if k == "reassure" else k: v for k, v in answer.items()}
    hear(call, agent(3000, **said), until_s=7, since_s=4, close=True)
    row.refresh_from_db()
    assert row.taken is taken


def test_a_rule_that_agents_find_wrong_switches_itself_off(make_call: Make) -> None:
    call = make_call("CA1")
    hear(call, upset(), until_s=4)
    shown = ShownNudge.objects.get()
    for n in range(12):
        ShownNudge.objects.create(
            call=call, agent=call.agent, rule=shown.rule, t_ms=100_000 + n, state="anxiety", missing="reassure",
            cue="x", shown_ms=100_000 + n, verdict="wrong", verdict_at=timezone.now(),
        )  # fmt: skip
    nudging._precision.clear()
    other = make_call("CA2")
    hear(other, upset(), until_s=4)
    assert shown.rule not in set(other.shown_nudges.values_list("rule", flat=True))
    version = RubricVersion.objects.get(pk=call.rubric_version_id)
    [row] = [r for r in ledger(version, [call.team_id])["rows"] if r["rule"] == shown.rule]
    assert row["switched_off"] and row["shown"] == 13 and "0 of 12" in row["reason"]


def said_while(call: Call, hops: range, channel: Channel, *turns: Turn, **detail: object) -> None:
    """Hops heard at whose end a channel's segmenter stands as `detail` says."""
    piece = scored(str(call.pk), *turns, hops=hops)
    assert piece.heard is not None
    stream = replace(next(s for s in piece.heard.streams if s.channel is channel), detail={"ear": detail})
    record.record_scores([replace(piece, heard=replace(piece.heard, streams=(stream,)))])


@pytest.mark.parametrize("detail", [{"stretch": 81, "turn": 81}, {"turn": 81}], ids=["speaks", "breathes"])
def test_no_cue_while_the_agent_speaks_but_at_the_end_of_the_answer(
    make_call: Make, detail: dict[str, int]
) -> None:
    call = make_call("CA1")
    said_while(call, range(9), Channel.AGENT, upset(), **detail)  # since 2.6 s, and it is 4.5 s
    said_while(call, range(9, 24), Channel.AGENT, **detail)
    assert call.nudges.exists() and not ShownNudge.objects.exists()
    answer = replace(agent(2600, explore=0.9), end_ms=11_500)
    hear(call, answer, until_s=26, since_s=24)
    assert [row.t_ms for row in ShownNudge.objects.all()] == [2500], (
        "9 s later, but the answer has just ended"
    )


def test_an_answer_that_has_only_just_begun_holds_no_cue_back(make_call: Make) -> None:
    call = make_call("CA1")
    said_while(call, range(7), Channel.AGENT, upset(), stretch=81, turn=81)  # since 2.6 s, and it is 3.5 s
    assert ShownNudge.objects.count() == 1


def test_a_new_sentence_is_not_the_beginning_of_an_answer(make_call: Make) -> None:
    call = make_call("CA1")
    said_while(call, range(9), Channel.AGENT, upset(), turn=81)
    said_while(call, range(9, 12), Channel.AGENT, replace(agent(2600, explore=0.9), end_ms=5100), turn=180)
    assert call.nudges.exists() and not ShownNudge.objects.exists()


def test_one_long_sentence_is_not_the_beginning_of_an_answer(make_call: Make) -> None:
    call = make_call("CA1")
    said_while(call, range(6), Channel.AGENT, upset(), turn=80, joined=True)  # cut after twelve seconds
    assert call.nudges.exists() and not ShownNudge.objects.exists()


def test_no_cue_for_what_the_agent_has_just_done(make_call: Make) -> None:
    call = make_call("CA1")
    said_while(call, range(9), Channel.AGENT, upset(), turn=81)
    hear(call, agent(2600, reassure=0.9), until_s=13, since_s=9)
    assert [cue.missing for cue in call.nudges.all()] == ["reassure"] and not ShownNudge.objects.exists()


def test_no_cue_about_what_the_caller_said_before_they_spoke_again(make_call: Make) -> None:
    call = make_call("CA1")
    said_while(call, range(9), Channel.AGENT, upset(), turn=81)
    calm = replace(customer(6000, "okay that is good to know then"), states={"satisfaction": 0.8}, cues=())
    hear(call, agent(2600, explore=0.9), calm, until_s=18, since_s=9)
    assert call.nudges.exists() and not ShownNudge.objects.exists()


def test_none_waits_for_ever(make_call: Make) -> None:
    call = make_call("CA1")
    said_while(call, range(9), Channel.AGENT, upset(), turn=81)
    hear(call, replace(agent(2600, explore=0.9), end_ms=24_000), until_s=50, since_s=9)
    assert call.nudges.exists() and not ShownNudge.objects.exists()


def test_no_cue_while_the_caller_goes_on(make_call: Make) -> None:
    call = make_call("CA1")
    breath = scored(str(call.pk), upset(), hops=range(0, 5))
    assert breath.heard is not None
    going_on = replace(breath.heard.streams[0], channel=Channel.CUSTOMER, detail={"ear": {"stretch": 140}})
    record.record_scores([replace(breath, heard=replace(breath.heard, streams=(going_on,)))])
    assert not ShownNudge.objects.exists()
    hear(call, until_s=6, since_s=5)
    assert ShownNudge.objects.count() == 0, "no view is made before it may matter"
    hear(call, until_s=8, since_s=6)
    assert ShownNudge.objects.count() == 1, "the caller stopped after all"
