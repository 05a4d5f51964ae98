from __future__ import annotations

import dataclasses

import pytest

from scoring.nudges import Wanted, rule_precision
from scoring.rubric import RubricError, RubricSpec, default_rubric
from scoring.types import CallView, Channel, NudgeCandidate, Risk, Speech, Turn
from scoring.view import ANY_CUE, view
from tests.scoring.language_calls import ANGER_THAT_RECOVERS, BAD_AGENT, CALM_CALL, turns_of

RUBRIC = default_rubric()
ANGRY = ("customer", "this is ridiculous I'm fed up with you people")
ANGRY_STILL = ("customer", "I have had enough of being treated like this, it is outrageous")


def seen(lines: list[tuple[str, str]], speech: tuple[Speech, ...] = (), later_ms: int = 0) -> CallView:
    turns = turns_of(lines)
    return view(turns, [], speech, RUBRIC, now_ms=turns[-1].end_ms + later_ms, closed=False)


def test_a_nudge_comes_when_the_upset_caller_stops() -> None:
    turns = turns_of([ANGRY])
    nudge = view(turns, [], [], RUBRIC, now_ms=turns[0].end_ms, closed=False).nudges[0]
    assert (nudge.t_ms, nudge.rule, nudge.missing) == (
        turns[0].end_ms,
        "frustration-acknowledge",
        "acknowledge",
    )


def test_nudges_keep_their_distance_and_their_limit() -> None:
    nudges = seen([ANGRY, ("agent", "what is your zip code")] * 80).nudges
    assert len(nudges) == RUBRIC.nudging.per_call
    assert all(b.t_ms - a.t_ms >= RUBRIC.nudging.every_ms for a, b in zip(nudges, nudges[1:], strict=False))


def test_what_was_said_is_not_asked_for_again() -> None:
    rubric = dataclasses.replace(RUBRIC, nudging=dataclasses.replace(RUBRIC.nudging, every_ms=0))
    turns = turns_of([ANGRY, ("agent", "I can hear how frustrating this is for you"), ANGRY_STILL])
    rules = [n.rule for n in view(turns, [], [], rubric, now_ms=turns[-1].end_ms, closed=False).nudges]
    assert rules == ["frustration-acknowledge", "frustration-own"]


def test_never_while_the_agent_speaks() -> None:
    turns = turns_of([ANGRY])
    talking = (Speech(Channel.CUSTOMER, 0, turns[0].end_ms), Speech(Channel.AGENT, 1000, 60_000))
    assert not view(turns, [], talking, RUBRIC, now_ms=60_000, closed=False).nudges


@pytest.mark.parametrize(("over", "cued"), [({"explore": 0.9}, True), ({"understand": 0.9}, False)])
def test_whoever_cut_in_is_told_so_once_they_have_stopped(over: dict[str, float], cued: bool) -> None:
    rules = tuple(dataclasses.replace(r, active=r.moment == "interrupted") for r in RUBRIC.nudging.rules)
    rubric = dataclasses.replace(RUBRIC, nudging=dataclasses.replace(RUBRIC.nudging, rules=rules))
    said = " ".join(["and then it failed again"] * 4)
    turns = [
        Turn(Channel.CUSTOMER, 0, 5000, said, 1.0, states={"frustration": 0.95}),
        Turn(Channel.AGENT, 5500, 8000, "go on", 1.0, behaviours={"courtesy": 0.9}),
        Turn(Channel.CUSTOMER, 9000, 20_000, said, 1.0, states={"frustration": 0.95}),
        Turn(Channel.AGENT, 18_000, 26_000, said, 1.0, behaviours=over),
    ]
    speech = [Speech(turn.channel, turn.start_ms, turn.end_ms) for turn in turns]
    before = view(turns[:3], [], speech[:3], rubric, now_ms=25_000, closed=False)
    after = view(turns, [], speech, rubric, now_ms=28_000, closed=False)
    assert not before.nudges
    assert [(n.rule, n.t_ms) for n in after.nudges] == [("frustration-interrupted", 26_000)] * cued


def test_cues_fade_for_an_agent_who_answers_well() -> None:
    good = (
        "agent",
        "I'm so sorry, I understand how frustrating this must be, so you were charged twice, "
        "can you tell me what happened, I will refund it today and you will have it by friday",
    )
    other = (
        "agent",
        "we apologise, that must be awful for you, what you are saying is that it failed, "
        "when did it start, I have sent an engineer and you are covered do not worry",
    )
    nudges = seen([ANGRY, good, ("customer", "okay then"), other] * 6).nudges
    assert len(nudges) <= 2


@pytest.mark.parametrize(
    ("before", "words", "anxiety", "cued"),
    [
        ("explore", 14, 0.62, True),
        ("own", 14, 0.62, False),  # what they tell of has perhaps just gone
        ("own", 14, 0.7, True),
        ("explore", 5, 0.7, False),  # in few words
        ("explore", 5, 0.95, True),
        ("explore", 14, 0.57, False),
    ],
)
def test_a_doubtful_reading_needs_to_be_surer(before: str, words: int, anxiety: float, cued: bool) -> None:
    turns = [
        Turn(Channel.CUSTOMER, 0, 900, " ".join(["so"] * 13), 1.0),
        Turn(Channel.AGENT, 1000, 4000, "well here we are now", 1.0, behaviours={before: 0.9}),
        after_5_s({"anxiety": anxiety}, words),
    ]
    assert [n.state for n in cues_of(turns)] == ["anxiety"] * cued


def after_5_s(states: dict[str, float], words: int = 14) -> Turn:
    return Turn(Channel.CUSTOMER, 5000, 9000, " ".join(["so"] * words), 1.0, states=states)


def cues_of(turns: list[Turn], wanted: Wanted = ANY_CUE) -> tuple[NudgeCandidate, ...]:
    return view(turns, [], [], RUBRIC, now_ms=turns[-1].end_ms, closed=False, wanted=wanted).nudges


@pytest.mark.parametrize(
    ("states", "rules"),
    [
        ({"frustration": 0.7}, []),  # "I have been sent the wrong beans", said by whoever minds or does not
        ({"frustration": 0.9}, ["frustration-acknowledge"]),
        ({"frustration": 0.62, "anxiety": 0.59, "sadness": 0.59}, ["distress-acknowledge"]),
    ],
)
def test_what_is_the_matter_is_not_yet_distress(states: dict[str, float], rules: list[str]) -> None:
    assert [n.rule for n in cues_of([after_5_s(states)])] == rules


@pytest.mark.parametrize(
    ("sadness", "anxiety", "rule"),
    [(0.9, 0.3, "sadness-acknowledge"), (0.9, 0.6, "distress-acknowledge"), (0.3, 0.9, "anxiety-reassure")],
)
def test_of_two_close_distresses_none_is_named(sadness: float, anxiety: float, rule: str) -> None:
    [cue] = cues_of([after_5_s({"sadness": sadness, "anxiety": anxiety})])
    assert cue.rule == rule


def test_a_rubric_without_rules_for_any_distress_names_the_strongest() -> None:
    rules = tuple(rule for rule in RUBRIC.nudging.rules if rule.state != "distress")
    rubric = dataclasses.replace(RUBRIC, nudging=dataclasses.replace(RUBRIC.nudging, rules=rules))
    turn = after_5_s({"sadness": 0.9, "anxiety": 0.75})
    [cue] = view([turn], [], [], rubric, now_ms=9000, closed=False).nudges
    assert cue.rule == "sadness-acknowledge"


def test_what_the_agent_has_only_just_done_is_not_asked_for_by_a_new_need() -> None:
    turns = [
        Turn(Channel.CUSTOMER, 0, 900, " ".join(["so"] * 13), 1.0),
        Turn(Channel.AGENT, 1000, 4000, "well here we are now", 1.0, behaviours={"reassure": 0.9}),
        after_5_s({"anxiety": 0.9}),
    ]
    assert [n.rule for n in cues_of(turns)] == ["anxiety-acknowledge"]


def test_a_calm_call_is_left_alone() -> None:
    call = seen(CALM_CALL)
    assert (call.nudges, call.alerts, call.risk, call.reason) == ((), (), Risk.CALM, "")


def test_one_alert_per_cause() -> None:
    call = seen(BAD_AGENT * 3)
    causes = [a.cause for a in call.alerts]
    assert len(causes) == len(set(causes))
    assert {"blaming", "dismissive", "escalation-person", "escalation-complaint", "distress-high"} <= set(
        causes
    )
    assert next(a for a in call.alerts if a.cause == "blaming").quote == "well you should have read the terms"


def test_a_long_silence_after_distress_is_an_alert_unless_announced() -> None:
    assert "silence" in [a.cause for a in seen([ANGRY, ("agent", "right so")], later_ms=31_000).alerts]
    waiting = seen([ANGRY, ("agent", "let me check that for you please bear with me")], later_ms=31_000)
    assert "silence" not in [a.cause for a in waiting.alerts]


def test_an_answer_that_nobody_heard_may_have_been_a_good_one() -> None:
    """It is not judged: no fault, no alert, no response, though what came later is an answer to nothing."""
    sorry = ("agent", "I can hear how frustrating this is for you, I am so sorry, I will put it right now")
    bad = ("agent", "what is your zip code, and the colour of your first car")
    turns = turns_of([ANGRY, sorry, ANGRY_STILL, bad, ("customer", "it is blue"), bad, ("customer", "yes")])
    gone = turns[1]
    left = [turn for turn in turns if turn is not gone and turn.start_ms != turns[2].start_ms]
    unheard = [Speech(Channel.AGENT, gone.start_ms - 200, gone.end_ms)]
    judged, spared = (
        view(left, [], [], RUBRIC, now_ms=turns[-1].end_ms, closed=True, unheard=lost)
        for lost in ((), unheard)
    )
    assert (
        any("unanswered" in line.text for line in judged.why) and judged.opportunities[0].response is not None
    )
    assert not any("unanswered" in line.text for line in spared.why)
    assert spared.opportunities[0].response is None and spared.empathy is None
    assert not {"unanswered", "distress-high"} & {
        alert.cause for alert in spared.alerts if "nobody" in alert.title
    }


def test_what_nobody_heard_was_not_silence() -> None:
    turns = turns_of([ANGRY, ("agent", "what is your zip code")])
    end = turns[-1].end_ms
    later = dataclasses.replace(turns[0], start_ms=end + 60_000, end_ms=end + 62_000)
    quiet, unheard = (
        view([*turns, later], [], [], RUBRIC, now_ms=later.end_ms, closed=True, unheard=stretches)
        for stretches in ((), [Speech(side, end, end + 60_000) for side in Channel])
    )
    assert "silence" in {a.cause for a in quiet.alerts} and quiet.timing.dead_air_ms == 60_000
    assert "silence" not in {a.cause for a in unheard.alerts} and not unheard.timing.dead_air_ms


@pytest.mark.parametrize("words", ["One moment.", "Just one moment please."])
def test_a_wait_announced_in_two_words_costs_nothing(words: str) -> None:
    turns = turns_of([ANGRY, ("agent", "I am so sorry about that"), ("customer", "yes"), ("agent", words)])
    end = turns[-1].end_ms
    later = dataclasses.replace(turns[1], start_ms=end + 18_000, end_ms=end + 20_000)
    seen = view([*turns, later], [], [], RUBRIC, now_ms=later.end_ms, closed=True)
    assert seen.timing.hold_ms >= 18_000 and not any("silence" in line.text for line in seen.why)


def caller_gone(start_ms: int, end_ms: int) -> list[Speech]:
    return [Speech(Channel.CUSTOMER, start_ms, end_ms)]


def test_no_state_is_said_to_last_while_nothing_is_heard() -> None:
    turns = turns_of([ANGRY, ("agent", "what is your zip code")])
    heard, later = turns[-1].end_ms + 10_000, turns[-1].end_ms + 40_000
    reasons = [
        view(turns, [], [], RUBRIC, now_ms=now, closed=False, unheard=unheard).reason
        for now, unheard in (
            (heard, ()),
            (later, caller_gone(heard, later)),
            (later, caller_gone(heard, later - 1000)),
        )
    ]
    assert reasons[0] == reasons[1] != reasons[2], reasons


def test_a_recovered_call_has_no_alarm_left() -> None:
    assert seen(ANGER_THAT_RECOVERS).risk is Risk.CALM


def test_a_cue_carries_the_playbook_and_a_rule_that_is_off_gives_none() -> None:
    turns = turns_of([ANGRY])
    first = view(turns, [], [], RUBRIC, now_ms=turns[0].end_ms, closed=False).nudges[0]
    assert 1 <= len(first.phrases) <= 2
    [off] = cues_of(turns, Wanted(switched_off={first.rule}))
    assert off.rule == "frustration-own"
    everything = {rule.id for rule in RUBRIC.nudging.rules}
    assert not cues_of(turns, Wanted(switched_off=everything))


def test_the_next_rule_takes_the_place_of_a_kind_that_is_off() -> None:
    turns = turns_of([ANGRY])
    assert [cue.rule for cue in cues_of(turns)] == ["frustration-acknowledge"]
    assert [cue.rule for cue in cues_of(turns, Wanted(kinds_off={"acknowledge"}))] == ["frustration-own"]
    assert not cues_of(turns, Wanted(kinds_off={"acknowledge", "own", "reassure"}))


STILL_ANGRY = [ANGRY, ("agent", "what is your zip code")] * 12


def test_only_what_was_shown_counts() -> None:
    turns = turns_of(STILL_ANGRY)
    ends = [turn.end_ms for turn in turns if turn.channel is Channel.CUSTOMER]
    newest = cues_of(turns, Wanted(shown=()))[-1]
    assert newest.t_ms == ends[-1], "nothing was shown, so nothing is in its way"
    near = Wanted(shown=(ends[-2],))
    assert cues_of(turns, near)[-1].t_ms == ends[-2], "the one just shown keeps its distance"
    used_up = Wanted(shown=tuple(ends[: RUBRIC.nudging.per_call]))
    assert [cue.t_ms for cue in cues_of(turns, used_up)] == list(used_up.shown or ())
    gone = Wanted(shown=(ends[-1] - 10_000,))  # its turn came again with other words
    assert ends[-1] not in [cue.t_ms for cue in cues_of(turns, gone)]


def test_of_moments_that_passed_unused_few_are_told() -> None:
    turns = turns_of(STILL_ANGRY)
    *past, newest = [cue.t_ms for cue in cues_of(turns, Wanted(shown=()))]
    assert newest == turns[-2].end_ms and len(past) > 1
    assert all(b - a >= RUBRIC.nudging.every_ms for a, b in zip(past, past[1:], strict=False))


def test_every_rule_has_words_to_say_and_never_more_than_two() -> None:
    assert all(1 <= len(rule.phrases) <= 2 for rule in RUBRIC.nudging.rules)
    rules = (dataclasses.replace(RUBRIC.nudging.rules[0], phrases=("a", "b", "c")),)
    with pytest.raises(RubricError, match="at most 2"):
        dataclasses.replace(RUBRIC, nudging=dataclasses.replace(RUBRIC.nudging, rules=rules)).validate()


def test_a_rule_under_its_floor_switches_itself_off_and_says_so() -> None:
    good = [("frustration-own", "helpful")] * 9 + [("frustration-own", "wrong")]
    bad = [("anxiety-reassure", "not")] * 7 + [("anxiety-reassure", "helpful")] * 2
    early = [("sadness-acknowledge", "wrong")] * 3 + [("sadness-acknowledge", "not now")] * 30
    found = rule_precision([*good, *bad, *early], RUBRIC.nudging)
    assert found["frustration-own"].precision == pytest.approx(11 / 13, abs=1e-4)
    assert found["anxiety-reassure"].switched_off
    assert "2 of 9" in found["anxiety-reassure"].reason
    assert not found["sadness-acknowledge"].switched_off
    unasked = found["confusion-explore"]
    assert (unasked.precision, unasked.switched_off, unasked.reason) == (
        pytest.approx(2 / 3, abs=1e-4),
        False,
        "",
    )


def test_a_later_good_answer_does_not_take_a_cue_back() -> None:
    lines = [ANGRY, ("agent", "what is your zip code")] * 4
    before = seen(lines).nudges
    after = seen(
        [*lines, ("customer", "okay then"), ("agent", "I am so sorry, I understand how frustrating this is")]
    ).nudges
    assert after[: len(before)] == before


FRAUD = {"id": "fraud", "state": "distress", "queues": ["Fraud"], "solution": "Block the card first.",
         "link": "https://desk.example/fraud"}  # fmt: skip
TWICE = {
    "id": "twice",
    "state": "frustration",
    "words": ["(charged|billed) [me] twice"],
    "phrases": ["You paid once."],
}


def with_playbook(*entries: dict[str, object]) -> RubricSpec:
    plain = RUBRIC.to_dict()
    return RubricSpec.from_dict(plain | {"nudging": plain["nudging"] | {"playbook": list(entries)}})


def cue_in(queue: str, said: str, *entries: dict[str, object]) -> NudgeCandidate:
    turns = turns_of([("customer", said)])
    [cue] = view(turns, [], [], with_playbook(*entries), now_ms=turns[-1].end_ms, closed=False,
                 wanted=Wanted(queue=queue)).nudges  # fmt: skip
    return cue


def test_a_queue_has_its_own_solution_and_another_has_not() -> None:
    own = cue_in(" fraud", ANGRY[1], FRAUD)
    assert (own.solution, own.link) == ("Block the card first.", "https://desk.example/fraud")
    assert own.phrases == RUBRIC.nudging.rules[0].phrases, "it has none of its own, so the rule's stay"
    other = cue_in("Billing", ANGRY[1], FRAUD)
    assert (other.solution, other.link, other.rule) == ("", "", own.rule)


def test_words_of_the_caller_are_a_topic_too() -> None:
    said = "you charged me twice, this is ridiculous, I'm fed up with you people"
    assert cue_in("Billing", said, TWICE).phrases == ("You paid once.",)
    assert cue_in("Billing", ANGRY[1], TWICE).phrases != ("You paid once.",)
    both = TWICE | {"queues": ["Cards"]}
    assert cue_in("Billing", said, both).phrases != ("You paid once.",), "both, where both are given"
    assert cue_in("Cards", said, both).phrases == ("You paid once.",)


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({}, True),
        ({"state": "anxiety"}, False),
        ({"missing": "acknowledge"}, True),
        ({"missing": "own"}, False),
    ],
)
def test_an_entry_is_for_a_state_and_for_what_is_missing(changes: dict[str, object], given: bool) -> None:
    assert bool(cue_in("Fraud", ANGRY[1], FRAUD | changes).solution) is given


def test_the_first_entry_that_fits_is_taken() -> None:
    later = FRAUD | {"id": "later", "solution": "Something else."}
    assert cue_in("Fraud", ANGRY[1], FRAUD, later).solution == "Block the card first."


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"queues": []}, "nudging.playbook.fraud: give queues, words or both"),
        ({"solution": "", "link": ""}, "nudging.playbook.fraud: give phrases, a solution or both"),
        ({"phrases": ["a", "b", "c"]}, "nudging.playbook.fraud.phrases: at most 2, not 3"),
        ({"phrases": [" "]}, "nudging.playbook.fraud.phrases: has 1 characters"),
        ({"solution": "x" * 201}, "nudging.playbook.fraud.solution: has 201 characters"),
        ({"words": ["(a|b"]}, "nudging.playbook.fraud.words: '(a|b'"),
        ({"solution": "", "phrases": ["a"]}, "nudging.playbook.fraud.link: goes with a solution"),
        ({"state": "calm"}, "nudging.playbook[0].state: 'calm' is not allowed"),
        ({"missing": "smile"}, "nudging.playbook[0].missing: 'smile' is not allowed"),
        ({"colour": 1}, "nudging.playbook[0].colour: unknown"),
        *(
            ({"link": link}, "nudging.playbook.fraud.link: must be a whole address that begins with https://")
            for link in ("http://desk.example", "javascript:alert(1)", "https://", "https://a@desk.example",
                         "https://desk.example/a b", "https://[", "https://desk.example/<x>", "//desk.example")
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_entry_is_named(changes: dict[str, object], says: str) -> None:
    with pytest.raises(RubricError) as caught:
        with_playbook(FRAUD | changes)
    assert len(caught.value.problems) == 1 and caught.value.problems[0].startswith(says)


def test_a_rubric_without_a_severity_is_refused() -> None:
    spec = RUBRIC.to_dict()
    spec["fusion"] = spec["fusion"] | {"severity": {"frustration": 1.0}}
    with pytest.raises(RubricError, match=r"fusion\.severity\.sadness: missing"):
        RubricSpec.from_dict(spec)


@pytest.mark.parametrize(
    ("said", "asks"),
    [
        ("I want to speak to your manager", True),
        ("get me a supervisor", True),
        ("can I talk to someone else please", True),
        ("put me through to somebody senior", True),
        ("is there a manager", True),
        ("Manager, please.", True),
        ("someone else has used my card I think", False),
        ("the branch manager was very kind to me yesterday", False),
        ("I am the office manager here", False),
        ("you actually rang my manager", False),
        ("they gave the plot to somebody else", False),
    ],
)
def test_who_asks_for_a_supervisor(said: str, asks: bool) -> None:
    cues = {cue.source for turn in turns_of([("customer", said)]) for cue in turn.cues}
    assert ("rule:escalation-person" in cues) is asks


def test_an_id_is_used_once_and_a_rubric_of_before_the_playbook_still_loads() -> None:
    with pytest.raises(RubricError, match="nudging.playbook: id 'fraud' is used twice"):
        with_playbook(FRAUD, FRAUD)
    plain = RUBRIC.to_dict()
    old = plain | {"nudging": {name: value for name, value in plain["nudging"].items() if name != "playbook"}}
    assert RubricSpec.from_dict(old).nudging.playbook == ()
