"""What a rubric's fields are called on a page, what they do, and what the rubric's own checks say, in words.

A field that is not named here gets a readable name; nothing else depends on this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.utils.translation import gettext, gettext_lazy, gettext_noop

from calls.views.paint import LOOK
from calls.views.said import source
from calls.yaml_edit import Path

_ = gettext_lazy

PARTS = {
    "weights": _("Weights"),
    "cues": _("Cues"),
    "phrases": _("Phrases"),
    "alerts": _("Alerts and risk"),
    "thresholds": _("Thresholds"),
    "text": _("Advanced: as text"),
}
PART_OF = {
    "weights": "weights", "score": "weights", "courtesy": "weights", "penalties": "weights",
    "nudging": "cues", "phrases": "phrases", "alerting": "alerts", "risk": "alerts",
}  # fmt: skip

CHOICES = {
    "distress": _("Upset, whichever way"),
    "caller-stops": _("the caller stops speaking"),
    "silence": _("a silence"),
    "interrupted": _("the agent cut in"),
    "customer": _("caller"),
    "agent": _("agent"),
    "anger": _("anger"),
    "escalation": _("escalation"),
    "urgency": _("urgency"),
    "closing-thanks": _("thanks at the end"),
    "loyalty": _("loyalty"),
    "politeness": _("politeness"),
    "gratitude": _("gratitude"),
    "greeting": _("greeting"),
    "closing": _("goodbye"),
    "hold": _("announces a wait"),
    "angry": _("angry voice"),
    "disgust": _("disgusted voice"),
    "fear": _("fearful voice"),
    "happy": _("happy voice"),
    "neutral": _("neutral voice"),
    "sad": _("sad voice"),
}

LABELS: dict[str, Any] = {
    "name": _("Name of this version"),
    "weights": _("What counts when a caller feels"),
    "score": _("What the score is made of"),
    "score.fit": _("Answers that fit the feeling"),
    "score.courtesy": _("Courtesy"),
    "score.listening": _("Listening"),
    "score.recovery": _("Caller recovers"),
    "score.penalty": _("Taken off for faults, at most"),
    "courtesy": _("Courtesy"),
    "courtesy.politeness": _("Polite words"),
    "courtesy.gratitude": _("Thanks"),
    "courtesy.greeting": _("Greeting"),
    "courtesy.politeness_full_share": _("Share of polite turns that counts in full"),
    "penalties": _("Faults"),
    "penalties.dismissive": _("Dismissive words"),
    "penalties.blaming": _("Blaming words"),
    "penalties.harm_strength": _("How sure such words must be"),
    "penalties.ignored": _("A feeling left unanswered"),
    "penalties.ignored_below": _("Unanswered: an answer weaker than"),
    "penalties.interrupting": _("Cutting in on an upset caller"),
    "penalties.unexplained_silence": _("Silence without a word why"),
    "penalties.total": _("Faults that take off all there is"),
    "opportunity": _("When empathy is called for"),
    "opportunity.affect": _("How strong a feeling must be"),
    "opportunity.merge_turns": _("Turns apart that are one opportunity"),
    "opportunity.window_turns": _("Agent’s turns that may answer"),
    "opportunity.second_turn_factor": _("What an answer one turn later is worth"),
    "opportunity.repeat_factor": _("What the same words again are worth"),
    "opportunity.repeat_similarity": _("How alike words must be to be the same"),
    "opportunity.met": _("From here on an answer counts as given"),
    "timing": _("Timing"),
    "timing.floor_taking_ms": _("Talking over the caller for so long is cutting in"),
    "timing.overlaps_per_minute_full": _("Cut-ins a minute that take off all of listening"),
    "timing.silence_ms": _("A silence from"),
    "timing.hold_ms": _("An announced wait explains up to"),
    "timing.join_gap_ms": _("A pause within one turn, up to"),
    "timing.turn_gap_ms": _("One speaker’s turns are one, up to"),
    "fusion": _("How feelings are read"),
    "fusion.prior": _("Before anything is heard, from words"),
    "fusion.voice_prior": _("Before anything is heard, from the voice"),
    "fusion.words": _("How far words count"),
    "fusion.voice": _("How far the voice counts"),
    "fusion.voice_map": _("What a voice says about feelings"),
    "fusion.voice_alone_cap": _("Most that the voice alone may say"),
    "fusion.voice_tau_ms": _("A voice reading fades in"),
    "fusion.full_words": _("Words from which a turn counts in full"),
    "fusion.rise": _("How fast a feeling rises"),
    "fusion.fall": _("How fast a feeling falls"),
    "fusion.enter": _("A feeling is named from"),
    "fusion.leave": _("… until it is below"),
    "fusion.margin": _("Ahead of the next by"),
    "fusion.confidence_floor": _("Below this it is called unsure"),
    "fusion.severity": _("How much a feeling weighs as distress"),
    "fusion.voice_baseline_windows": _("Voice readings before a caller’s own way counts"),
    "fusion.voice_baseline_cap": _("How far a caller’s own way may move it"),
    "risk": _("Risk"),
    "risk.watch": _("Watch from a distress of"),
    "risk.watch_leave": _("… until it is below"),
    "risk.help": _("Help now from"),
    "risk.help_leave": _("… until it is below"),
    "risk.recent_ms": _("Words and faults count for"),
    "live": _("The score while a call runs"),
    "live.prior": _("Where it begins"),
    "live.prior_weight": _("Opportunities that this beginning is worth"),
    "live.step": _("Most points in one agent’s turn"),
    "live.spread": _("Spread of one opportunity"),
    "live.z": _("Width of the band, in standard deviations"),
    "nudging": _("How often, and how sure"),
    "nudging.rules": _("Cue rules"),
    "nudging.rules.id": _("Id"),
    "nudging.rules.state": _("When the caller is"),
    "nudging.rules.missing": _("and the agent has not yet"),
    "nudging.rules.cue": _("Cue, as the agent reads it"),
    "nudging.rules.moment": _("at the moment of"),
    "nudging.rules.phrases": _("Ways to say it"),
    "nudging.rules.active": _("This rule is on"),
    "nudging.every_ms": _("At most one cue in"),
    "nudging.per_call": _("Cues a call, at most"),
    "nudging.strong": _("No cues for agents who answer this well"),
    "nudging.affect": _("How strong this turn’s distress must be"),
    "nudging.lasting": _("… and what lasts from turns before"),
    "nudging.helped": _("… right after the agent has helped"),
    "nudging.terse": _("… in a turn of few words"),
    "nudging.few_words": _("Few words are fewer than"),
    "nudging.first": _("… while the caller first says what is the matter"),
    "nudging.apart": _("Ahead of the next feeling by, to be named"),
    "nudging.precision_floor": _("A rule switches itself off below this share of “helpful”"),
    "nudging.min_verdicts": _("… after so many verdicts"),
    "alerting": _("Alerts"),
    "alerting.distress": _("Distress that lasts: from"),
    "alerting.sustained_ms": _("… for"),
    "alerting.harm_strength": _("Dismissive or blaming words: how sure"),
    "alerting.escalation": _("Asks for a supervisor, complains, leaves: how sure"),
    "alerting.silence_ms": _("Silence without a word why, from"),
    "phrases": _("Phrases"),
    "phrases.id": _("Id"),
    "phrases.who": _("Said by"),
    "phrases.says": _("It says"),
    "phrases.any": _("Patterns"),
    "phrases.strength": _("How sure these words alone make one"),
    "phrases.unless": _("Not where these overlap"),
    "phrases.negatable": _("A “not” before it takes it back"),
    "alignment": _("Response fit"),
    "alignment.met": _("Met from"),
    "alignment.settle_ms": _("Recovered after calm of"),
    "outlook": _("Outlook (loyalty)"),
    "outlook.peak": _("Distress at its strongest"),
    "outlook.end": _("Distress at the end"),
    "outlook.unresolved": _("Left unresolved"),
    "outlook.leave": _("Wants to leave"),
    "outlook.complaint": _("Complains"),
    "outlook.person": _("Asks for somebody else"),
    "outlook.thanks": _("Thanks"),
    "outlook.recommend": _("Would recommend"),
    "outlook.faded": _("What is left of it when the call ends otherwise"),
    "outlook.frustration": _("How much frustration weighs"),
    "outlook.anxiety": _("How much anxiety weighs"),
    "outlook.confusion": _("How much confusion weighs"),
    "outlook.sadness": _("How much sadness weighs"),
    "outlook.threshold": _("More than steady, either way, from"),
    "outlook.min_turns": _("Caller’s turns before it says anything"),
    "outlook.evidence_turns": _("Turns at which it is half sure"),
    "outlook.ceiling": _("Never surer than"),
}

HELP: dict[str, Any] = {
    "weights": _("Each row adds up to 1. An empty field counts nothing."),
    "score": _("Fit, courtesy, listening and recovery add up to 1."),
    "nudging.rules": _("Tried in this order: the first that fits gives its cue."),
    "nudging.rules.phrases": _("One on each line, at most two."),
    "phrases": _("Phrases act while a turn is heard: changed ones show in calls to come."),
    "phrases.any": _(
        "One on each line. (a|b) one of, [x] perhaps, * up to three words, call~ any word that begins so, "
        "? a question mark."
    ),
    "phrases.unless": _("One on each line: “sorry”, but not where it is “sorry to hear”."),
    "phrases.negatable": _("Off where the pattern has its own “not”."),
    "penalties.harm_strength": _("Below it kind corrections were taken for brush-offs."),
    "fusion.voice": _("The voice model learned from acted speech, so it counts less than words."),
    "nudging.lasting": _("No cue about what the last turn hardly shows any more."),
    "nudging.terse": _("Readings of few words were useless most often."),
    "nudging.first": _("What callers first say is about a problem, whether they are calm or not."),
    "nudging.apart": _("Otherwise the rules for any distress fit."),
}

UNITS = {"_ms": _("seconds"), "_turns": _("turns"), "_words": _("words"), "_windows": _("readings")}


def part(key: str) -> str:
    return str(PARTS[key]) if key in PARTS else label((key,))[0]


def label(path: Path) -> tuple[str, str]:
    """Name of a field and what it is for, or ""."""
    key = key_of(path)
    return str(LABELS.get(key) or readable(str(path[-1]))), str(HELP.get(key, ""))


def key_of(path: Path) -> str:
    return ".".join(step for step in path if isinstance(step, str))


def readable(name: str) -> str:
    plain = name.removesuffix("_ms").replace("_", " ").replace("-", " ").strip()
    return plain[:1].upper() + plain[1:] or name


def unit(name: str) -> str:
    return next((str(word) for end, word in UNITS.items() if name.endswith(end)), "")


def choice(name: str) -> str:
    for table in ("state", "behaviour"):
        if name in LOOK[table]:
            return str(LOOK[table][name][1])
    return str(CHOICES.get(name) or readable(name))


def titles(item: Mapping[str, Any]) -> tuple[str, str]:
    """A rule's or phrase's heading, and what it is about."""
    said = [str(item[key]) for key in ("cue", "title", "name", "id") if item.get(key)]
    about = [choice(str(item[key])) for key in ("who", "state", "says", "missing") if item.get(key)]
    return (said[0] if said else gettext("A new one"))[:120], " · ".join(about)


# --- what the rubric's own checks say --------------------------------------------------------------------

PROBLEMS = (
    gettext_noop("missing"),
    gettext_noop("is given twice"),
    gettext_noop("must not be empty"),
    gettext_noop("needs at least one"),
    gettext_noop("must be true or false"),
    gettext_noop("must be text"),
    gettext_noop("must be a list"),
    gettext_noop("must be a mapping of fields"),
    gettext_noop("unknown field; allowed: {names}"),
    gettext_noop("unknown; one of {names}"),
    gettext_noop("{value} is not allowed for the {who}; one of {names}"),
    gettext_noop("{value} is not allowed; one of {names}"),
    gettext_noop("must be a whole number from {low} to {high}, not {value}"),
    gettext_noop("must be a number from {low} to {high}, not {value}"),
    gettext_noop("must map {names} to numbers"),
    gettext_noop("must map {names} to rows"),
    gettext_noop("fit, courtesy, listening and recovery must add up to 1, not {total}"),
    gettext_noop("must add up to 1, not {total}"),
    gettext_noop("must be at most {name} ({value})"),
    gettext_noop("id {value} is used twice"),
    gettext_noop("at most {high}, not {value}"),
    gettext_noop("{value}: {sign} is not allowed; use words, ( | ), [ ], *, ~ and ?"),
    gettext_noop("{value}: {sign} closes nothing"),
    gettext_noop("{value}: put ( ) around the choices of '|'"),
    gettext_noop("{value}: {sign} is missing"),
    gettext_noop("{value}: would match nothing at all"),
)


def problem(wrong: str) -> str:
    """What is wrong, in the reader's language; as it is when no pattern knows it."""
    for pattern, shape in _shapes():
        if found := shape.fullmatch(wrong):
            return gettext(pattern).format(**found.groupdict())
    return wrong


@cache
def _shapes() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((pattern, re.compile(source(pattern, "(?P<{}>"), re.DOTALL)) for pattern in PROBLEMS)
