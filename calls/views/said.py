"""Sentences that scoring and record made in English, in the reader's language.

Scoring knows no Django and stores its sentences as they were made; here each is known by its pattern and
said again. What a caller or agent said (in “quotes”), names, and a site's own rubric stay as they are.
The page's script does the same with `sayings()`, so that first paint and update read alike.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _

WHOLE = (
    _("Unassigned"),  # in place of an agent's name
    # risk and reason (scoring.view, scoring.alerts)
    _("Angry"),
    _("Frustrated"),
    _("Anxious"),
    _("Confused"),
    _("Sad"),
    _("Distress is easing"),
    _("no acknowledgement yet"),
    _("not summed up yet"),
    _("nobody asked what is wrong"),
    _("no apology yet"),
    _("no next step yet"),
    _("Asks for a supervisor"),
    _("asks for a supervisor"),
    _("Speaks of a complaint or legal action"),
    _("speaks of a complaint or legal action"),
    _("Wants to cancel or leave"),
    _("wants to cancel or leave"),
    _("Escalates"),
    _("escalates"),
    _("Agent's words sound dismissive"),
    _("agent's words sound dismissive"),
    _("Agent's words sound blaming"),
    _("agent's words sound blaming"),
    _("nobody has acknowledged it"),
    _("nobody has reassured the caller"),
    _("nobody has cleared it up"),
    _("High distress"),
    _("A need left unanswered"),
    _("Unexplained silence"),
    # the why-list and the outlook (scoring.empathy, scoring.states, scoring.outlook)
    _("cut in on an upset caller"),
    _("nothing that fits"),
    _("calm or mixed"),
    _("acknowledge"),
    _("understand"),
    _("explore"),
    _("own"),
    _("reassure"),
    _("calm"),
    _("satisfied"),
    _("satisfaction"),
    _("frustration"),
    _("anxiety"),
    _("confusion"),
    _("sadness"),
    _("unsure"),
    _("angry"),
    _("afraid"),
    _("confused"),
    _("sad"),
    _("happy"),
    _("dismissive"),
    _("blaming"),
    # the call and its coverage (calls.wire, calls.record)
    _("Waiting for the first words"),
    _("The stream was cut and came back; what was said between is lost."),
    _("The audio stream stopped without saying goodbye."),
    _("The caller objected: nothing more is analysed"),
    _("Waiting for the caller’s consent"),
    # the firewall's test (scoring.firewall)
    _("Make a window of the agent's channel"),
    _("Make a window of no channel"),
    _("Refill a caller's window"),
    _("Hand plain audio to the model"),
    _("Hand a disguised window to the model"),
    _("Hand a caller's window to the model"),
    # cues of the rubric that comes with the product (scoring/rubrics/default.yaml)
    _("Name the frustration before the fix."),
    _("Say that you hear how hard this is, before the fix."),
    _("Say sorry and own what went wrong."),
    _("Say what you will do next, and by when."),
    _("Reassure: say what is safe and what happens next."),
    _("Say that the worry makes sense."),
    _("Say it again in simpler words, then check."),
    _("Ask which part is unclear."),
    _("Slow down: say you are sorry to hear it."),
    _("Take one step off their hands, and say which."),
    _("Say what you are doing while it is quiet."),
    _("Let the caller finish, then sum it up."),
    # its playbook's solutions
    _("Block the card and the access first; then go through the last payments together."),
    _("One person for everything: note your name, stop letters to the late customer, ask for one copy only."),
    _("Take the charge back now or put it on hold while it is checked, and confirm that in writing."),
    _("Test the line while they wait; where an engineer must come, offer mobile data for the time between."),
)

PATTERNS = (
    # The most particular first: the first that fits is taken. What fills {feeling} is one of the words above.
    _("High distress for {seconds} s"),
    _("Over {seconds} s of unexplained silence"),
    _("{seconds} s of silence, not announced"),
    _("high distress for {seconds} s"),
    _("over {seconds} s of unexplained silence"),
    _("left the caller's {feeling} unanswered"),
    _("answer to {feeling}: {shown} ({share}%)"),
    _("voice sounds {feeling} ({share}%)"),
    _("said “{words}”, but the call ended otherwise"),
    _("said “{words}”"),
    _("dismissive: “{words}”"),
    _("blaming: “{words}”"),
    _(
        "switched itself off: {few} of {many} verdicts were “helpful” "
        "(expected precision {share}%, floor {floor}%)"
    ),
    _("at its strongest: {feeling}"),
    _("at the end: {feeling}"),
    _("{few} of {many} opportunities neither met nor recovered"),
    _("No step promised yet. Caller: “{words}”"),
    _("Agent: “{words}”"),
    _("Nothing was received after {time}; whatever was said later is lost."),
    _("The caller objected at {time}; nothing later is analysed."),
    _("The source named agent {name}, who is not on this team."),
    _("Audio could not be kept: {reason}."),
    _("{feeling} for {seconds} s, and {detail}"),
    _("{feeling}, and {detail}"),
    _("{feeling} for {seconds} s, {detail}"),
    _("{feeling} for {seconds} s"),
    _("{feeling}, {detail}"),
)
SPOKEN = frozenset({"words", "name"})
"""Slots that hold somebody's own words: never translated."""
SLOT = re.compile(r"\\\{(\w+)\\\}")


def said(text: str) -> str:
    """`text` in the active language; itself when no pattern knows it."""
    if not text or source_language():
        return text
    if text in KNOWN:
        return gettext(text)
    for pattern, shape in shapes():
        slots = found.groupdict() if (found := shape.fullmatch(text)) else {}
        if slots and slots.get("feeling", "calm") in KNOWN:
            slots |= {name: listed(value) for name, value in slots.items() if name not in SPOKEN}
            return gettext(pattern).format(**slots)
    return text


def listed(text: str) -> str:
    """Each of some words with ", " between them."""
    return ", ".join(said(part) for part in text.split(", "))


def sayings() -> dict[str, Any]:
    """The same for the page's script: {"whole": {text: translation}, "shapes": [[regex, translation]]}."""
    if source_language():
        return {"whole": {}, "shapes": []}
    return {
        "whole": {text: gettext(text) for text in WHOLE},
        "shapes": [[source(pattern, "(?<{}>"), gettext(pattern)] for pattern in PATTERNS],
        "spoken": sorted(SPOKEN),
    }


KNOWN = frozenset(WHOLE)


def source_language() -> bool:
    return (get_language() or "en").startswith("en")


@cache
def shapes() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((pattern, re.compile(source(pattern, "(?P<{}>"))) for pattern in PATTERNS)


def source(pattern: str, opens: str) -> str:
    """A regular expression for a pattern, with a named group for each slot."""
    escaped = re.sub(r"([.*+?^${}()|\[\]\\])", r"\\\1", pattern)
    return "^" + SLOT.sub(lambda slot: opens.format(slot[1]) + ".+?)", escaped) + "$"
