"""Alerts of what lasts and of what nobody answers: one a cause, again only when it has left and come back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings

from scoring.rubric import ALERT_CAUSES, LastingRule, RubricError, RubricSpec, default_rubric
from scoring.types import AlertCause, CallView, Channel, Cue, Risk, Speech, Turn
from scoring.view import view
from tests.scoring.made_pieces import calls

RUBRIC = default_rubric()
MINUTE = 60_000


def caller(at_s: float, state: str = "frustration", strength: float = 0.65, long_s: float = 4) -> Turn:
    words = "this is what I have been telling you about all the time now"
    return Turn(
        Channel.CUSTOMER, int(1000 * at_s), int(1000 * (at_s + long_s)), words, 1.0, states={state: strength}
    )


def calm(at_s: float) -> Turn:
    return replace(
        caller(at_s), states={"satisfaction": 0.9}, text="thank you that is really very kind of you to do"
    )


def agent(at_s: float, **behaviours: float) -> Turn:
    start, words = (
        int(1000 * at_s),
        f"word{at_s} and then line{at_s} of form{at_s} please",
    )  # never said twice
    return Turn(Channel.AGENT, start, start + 3000, words, 1.0, behaviours=behaviours)


def seen(turns: list[Turn], rubric: RubricSpec = RUBRIC, later_ms: int = 0, closed: bool = False) -> CallView:
    now_ms = max(t.end_ms for t in turns) + later_ms
    return view(turns, [], [], rubric, now_ms=now_ms, closed=closed)


def raised(turns: list[Turn], rubric: RubricSpec = RUBRIC, **how: int) -> list[tuple[str, int]]:
    return [(a.cause, a.episode) for a in seen(turns, rubric, **how).alerts]


def with_alerting(**changes: object) -> RubricSpec:
    return RubricSpec.from_dict(RUBRIC.to_dict() | {"alerting": RUBRIC.to_dict()["alerting"] | changes})


NEVER_ANSWERED = [caller(0), agent(5), caller(9), agent(14), caller(18)]


def test_a_need_that_two_turns_leave_unanswered_is_an_alert() -> None:
    [alert] = seen(NEVER_ANSWERED).alerts
    title = "Frustrated for 13 s, and nobody has acknowledged it"
    assert (alert.cause, alert.t_ms, alert.title) == ("unanswered", 17_000, title)
    assert alert.severity is Risk.WATCH
    assert alert.quote.startswith("this is what I have been")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("anxiety", "Anxious for 13 s, and nobody has reassured the caller"),
        ("confusion", "Confused for 13 s, and nobody has cleared it up"),
        ("sadness", "Sad for 13 s, and nobody has acknowledged it"),
    ],
)
def test_it_says_what_is_lacking(state: str, says: str) -> None:
    turns = [replace(t, states={state: 0.65}) if t.states else t for t in NEVER_ANSWERED]
    assert [a.title for a in seen(turns).alerts] == [says]


@pytest.mark.parametrize("which", [1, 3])
def test_an_answer_in_either_turn_raises_none(which: int) -> None:
    turns = list(NEVER_ANSWERED)
    turns[which] = replace(turns[which], behaviours={"acknowledge": 0.9})
    assert raised(turns) == []


def test_while_the_agent_may_still_go_on_nothing_is_missing() -> None:
    turns = NEVER_ANSWERED[:4]
    assert raised(turns) == []
    going_on = [*turns, replace(agent(17.5), behaviours={"acknowledge": 0.9})]
    assert raised([*going_on, caller(21)]) == []
    assert raised(turns, later_ms=RUBRIC.timing.turn_gap_ms + 1) == [("unanswered", 1)]


def test_an_answer_that_comes_after_it_does_not_take_it_back() -> None:
    after = [*NEVER_ANSWERED, agent(23, acknowledge=0.9), caller(27), agent(32, own=0.9, reassure=0.9)]
    assert seen(after).alerts == seen(NEVER_ANSWERED).alerts


def test_a_caller_who_is_calm_by_then_needs_nobody() -> None:
    assert raised([caller(0), agent(5), calm(9), agent(14), calm(18)]) == []


def test_a_brush_off_has_its_own_alert_and_no_second_for_the_missing_answer() -> None:
    harmful = replace(
        agent(5, dismissive=0.9), cues=(Cue("dismissive", 0.9, 0.9, "not my problem", "rule:not-my-problem"),)
    )
    assert raised([caller(0), harmful, caller(9), agent(14), caller(18)]) == [("dismissive", 1)]


def test_the_end_of_the_call_settles_it_too() -> None:
    turns = [caller(0), caller(5), agent(10)]
    assert raised(turns) == []
    assert [(a.cause, a.t_ms) for a in seen(turns, closed=True).alerts] == [("unanswered", 13_000)]


def test_what_lasts_is_an_alert_though_it_was_answered() -> None:
    """Every turn of the agent answers a little, and the caller stays upset."""
    turns = [t for n in range(16) for t in (caller(9 * n), agent(9 * n + 5, acknowledge=0.9))]
    [alert] = seen(turns).alerts
    assert (alert.cause, alert.title) == ("frustration-lasting", "Frustrated for 120 s")
    assert alert.t_ms == 13_000 + 120_000  # strong enough from the second turn on


def test_what_lasts_without_an_answer_is_an_alert_sooner() -> None:
    """The agent never has two turns in the window of one need, so none is settled before."""
    off = with_alerting(switched_off=["unanswered"])
    turns = [t for n in range(7) for t in (caller(9 * n), agent(9 * n + 5))]
    [alert] = seen(turns, off).alerts
    assert alert.title == "Frustrated for 40 s, and nobody has acknowledged it"
    assert (alert.cause, alert.t_ms) == ("frustration-unanswered", 53_000)
    turns[3] = replace(turns[3], behaviours={"acknowledge": 0.9})
    assert raised(turns, off) == []


def test_what_was_answered_once_is_not_said_to_be_unanswered_since() -> None:
    """The first need is answered; a later one is not, while the caller is upset all the time."""
    turns = [caller(0), agent(5, acknowledge=0.9), caller(9), agent(14, own=0.9)]
    turns += [caller(18), agent(23, explore=0.9), caller(27), *shifted(NEVER_ANSWERED, 36_000)]
    [alert] = seen(turns, with_alerting(lasting=[])).alerts
    assert (alert.cause, alert.t_ms) == ("unanswered", 53_000)
    assert alert.title == "Frustrated for 13 s, and nobody has acknowledged it"


def test_who_only_listens_has_left_nothing_unanswered() -> None:
    turns = [caller(5 * n, long_s=4.5) for n in range(12)]
    assert raised(turns) == []


def test_a_dip_is_no_end_and_a_weak_state_no_beginning() -> None:
    off = with_alerting(switched_off=["unanswered"])
    weak = [t for n in range(8) for t in (caller(9 * n, strength=0.5), agent(9 * n + 5))]
    assert raised(weak, off) == []


def test_of_one_stretch_of_distress_only_the_first_is_told() -> None:
    furious = [t for n in range(20) for t in (caller(9 * n, strength=0.95), agent(9 * n + 5))]
    [alert] = seen(furious).alerts
    assert alert.cause == "unanswered"
    without = with_alerting(switched_off=["unanswered"])
    [alert] = seen(furious, without).alerts
    assert (alert.cause, alert.severity) == ("distress-high", Risk.HELP)
    assert alert.title == "Frustrated for 20 s, and nobody has acknowledged it"


def shifted(turns: list[Turn], by_ms: int) -> list[Turn]:
    return [replace(t, start_ms=t.start_ms + by_ms, end_ms=t.end_ms + by_ms) for t in turns]


def upset_twice(calm_s: int) -> list[Turn]:
    """Upset, well for so long, upset again."""
    well = [t for n in range(calm_s // 10 + 1) for t in (agent(23 + 10 * n), calm(27 + 10 * n))]
    return [*NEVER_ANSWERED, *well, *shifted(NEVER_ANSWERED, well[-1].start_ms + 9000)]


def test_who_is_upset_again_long_after_raises_again_and_soon_after_does_not() -> None:
    assert raised(upset_twice(60)) == [("unanswered", 1)]
    twice = seen(upset_twice(900)).alerts
    assert [(a.cause, a.episode) for a in twice] == [("unanswered", 1), ("unanswered", 2)]
    assert twice[1].t_ms - twice[0].t_ms > 15 * MINUTE
    assert raised(upset_twice(900), with_alerting(again_ms=30 * MINUTE)) == [("unanswered", 1)]


def test_dead_air_is_told_again_when_people_talked_between() -> None:
    def quiet_after(*breaks: int) -> list[AlertCause]:
        speech = [Speech(Channel.AGENT, 1000 * s, 1000 * (s + 5)) for s in (0, *breaks)]
        return list(view([], [], speech, RUBRIC, now_ms=1000 * (breaks[-1] + 10), closed=True).alerts)

    assert [a.episode for a in quiet_after(40, 80)] == [1]  # a word into the silence
    talk = range(45, 200, 5)
    assert [(a.episode, a.t_ms) for a in quiet_after(40, *talk, 240)] == [(1, 35_000), (2, 230_000)]


def test_words_said_over_and_over_are_one_alert() -> None:
    def asks(at_s: int) -> Turn:
        cue = Cue("escalation", 0.9, 0.9, "your supervisor", "rule:escalation-person")
        return replace(caller(at_s, strength=0.1), cues=(cue,))

    quiet_off = with_alerting(switched_off=["silence"])
    assert raised([asks(n * 100) for n in range(12)], quiet_off) == [("escalation-person", 1)]
    assert raised([asks(0), asks(900)], quiet_off) == [("escalation-person", 1), ("escalation-person", 2)]


@pytest.mark.parametrize("cause", ["unanswered", "silence", "escalation-person", "frustration-lasting"])
def test_each_can_be_switched_off(cause: str) -> None:
    cue = Cue("escalation", 0.9, 0.9, "your supervisor", "rule:escalation-person")
    loud = [t for n in range(20) for t in (replace(caller(9 * n), cues=(cue,)), agent(9 * n + 5))]
    rest = [c for c in (*ALERT_CAUSES, *(r.id for r in RUBRIC.alerting.lasting)) if c != cause]
    only = with_alerting(switched_off=rest)
    assert raised(loud, only, later_ms=MINUTE) == [(cause, 1)]
    assert raised(loud, with_alerting(switched_off=[*rest, cause]), later_ms=MINUTE) == []


def test_a_stored_rubric_of_before_reads_and_does_without() -> None:
    old = RUBRIC.to_dict()
    for name in ("again_ms", "unanswered", "dip", "lasting", "switched_off"):
        del old["alerting"][name]
    spec = RubricSpec.from_dict(old)
    assert spec.alerting.lasting == () and spec.alerting.switched_off == ("unanswered",)
    assert raised(NEVER_ANSWERED, spec) == []
    assert RubricSpec.from_dict(spec.to_dict()) == spec


RULE = {"id": "x", "state": "anxiety", "seconds": 30, "intensity": 0.5, "unanswered": False}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"lasting": [RULE | {"id": "Not so/good"}]},
            "alerting.lasting.Not so/good.id: must be 1 to 40 small",
        ),
        (
            {"lasting": [RULE | {"id": "silence"}]},
            "alerting.lasting.silence.id: is the name of another alert",
        ),
        ({"lasting": [RULE, RULE]}, "alerting.lasting: id 'x' is used twice"),
        (
            {"lasting": [RULE | {"id": f"x{n}"} for n in range(21)]},
            "alerting.lasting: at most 20 rules, not 21",
        ),
        ({"lasting": [RULE | {"state": "calm"}]}, "alerting.lasting[0].state: 'calm' is not allowed; one of"),
        (
            {"lasting": [RULE | {"seconds": 2}]},
            "alerting.lasting[0].seconds: must be a whole number from 5 to",
        ),
        ({"lasting": [RULE | {"unanswered": 1}]}, "alerting.lasting[0].unanswered: must be true or false"),
        ({"lasting": [{"id": "x"}]}, "alerting.lasting[0].state: missing"),
        ({"switched_off": ["shouting"]}, "alerting.switched_off: there is no alert 'shouting'; one of"),
        ({"again_ms": 1}, "alerting.again_ms: must be a whole number from 10000 to 3.6e+06, not 1"),
    ],
)
def test_a_bad_rule_is_named(changes: dict[str, object], says: str) -> None:
    with pytest.raises(RubricError) as caught:
        with_alerting(**changes)
    assert any(problem.startswith(says) for problem in caught.value.problems), caught.value.problems


EAGER = replace(
    RUBRIC,
    alerting=replace(
        RUBRIC.alerting,
        again_ms=10_000,
        sustained_ms=4000,
        silence_ms=10_000,
        switched_off=(),
        lasting=tuple(
            LastingRule(f"{state}-{unanswered}".lower(), state, unanswered, 5, 0.5)
            for state in ("frustration", "anxiety", "sadness")
            for unanswered in (True, False)
        ),
    ),
)


@settings(max_examples=150, deadline=None)
@given(calls())
def test_what_was_raised_stays_and_nothing_takes_its_place(turns: list[Turn]) -> None:
    """Heard piece by piece: an alert comes once and stays as it was, whatever is said later."""
    heard, told = in_turn(turns), list[AlertCause]()
    for n in range(1, len(heard) + 1):
        seen_now = view(heard[:n], [], [], EAGER, now_ms=heard[n - 1].end_ms, closed=False)
        found = [replace(a, until_ms=None) for a in seen_now.alerts]  # how long it goes on may change
        kept = [a for a in found if a in told]
        assert kept == sorted(told, key=lambda a: (a.t_ms, a.cause))
        told = found
    counts = Counter(a.cause for a in told)
    assert sorted((a.cause, a.episode) for a in told) == sorted(
        (cause, n + 1) for cause, count in counts.items() for n in range(count)
    )


def in_turn(turns: list[Turn]) -> list[Turn]:
    """One after the other: nobody talks over anybody."""
    out: list[Turn] = []
    for turn in turns:
        at = max(turn.start_ms, out[-1].end_ms + 200 if out else 0)
        out.append(replace(turn, start_ms=at, end_ms=at + turn.end_ms - turn.start_ms))
    return out
