"""Words around a number: which kind they tell, what they say it is not, and which of them weigh nothing."""

from __future__ import annotations

import re
from typing import Literal

from scoring.redaction.numbers import CURRENCY, FILLERS, ONES, SCALES, TEENS, TENS, TIMES, UNITS, words

Kind = Literal["card", "code", "expiry", "phone", "number", "email"]

CARRIERS = FILLERS | words(
    """my number numbers digits digit are ending ends in starts with first last four sure yep right alright
    well let me see here we go you ready i got it was hold on one sec second please of thank thanks and
    go goes ahead i'll read think guess would be that says hang wait no good perfect great"""
)
READING_ON = words("uh um er erm and then yeah yes okay ok it's so that's dash dot double triple")
"""In a turn of these and of digits, what sounds like a digit is one."""
PIECES_OF_NUMBERS = frozenset(
    w[:n] for w in (*ONES, *TEENS, *TENS, *TIMES, *SCALES, "the", "that") for n in range(1, len(w) + 1)
)
PIECES = PIECES_OF_NUMBERS | {w[:n] for w in (*CARRIERS, "you") for n in range(1, len(w) + 1)}
"""Beginnings of number words: where a text may have been cut."""
YEAR_WORDS = words("in since until till from year of by")
SECRET_CODE = (
    r"c\W{0,2}v\W{0,2}[vcs]\W?2?|c\.?s\.?c|cvs|see[ -]?v+|cb[vb]|security (?:code|number)|"
    r"(?:pin|pass|access|auth\w*|verification|confirmation|one[- ]time|"
    r"(?:three|four|3|4)[- ]digit) ?(?:code|number|password)|passcode|password|pass word|pin is|"
    r"o\.?t\.?p|sort code|routing"
)
KIND_WORDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "expiry",
        re.compile(r"\b(?:expir\w+|exp|valid (?:thru|through|until|to)|good (?:thru|through))\b", re.I),
    ),
    (
        "code",
        re.compile(
            rf"\b(?:{SECRET_CODE}|(?:my|the) pin|code (?:on|from|they|you|is)|(?:the|my|is the|that) code|"
            r"(?:three|four|3|4) (?:digits?|numbers) on|"
            r"the (?:three|four|3|4) (?:digits|numbers)|(?:on|at|across) the (?:back|reverse)|"
            r"signature (?:strip|panel))\b",
            re.I,
        ),
    ),
    (
        "card",
        re.compile(
            r"\b(?:cards?|credit|debit|visa|master ?card|amex|american express|discover|maestro|"
            r"diners|pay(?:ing)? with|read (?:that|it|this) back|long number|sixteen digit|"
            r"(?:number|digits) (?:on|across) the front|16[- ]digit|pan)\b",
            re.I,
        ),
    ),
    (
        "number",
        re.compile(
            r"\b(?:social security|social|s\.?s\.?n|national insurance|passport|licen[cs]e|tax id|account|"
            r"i-?ban|sort|member(?:ship)? (?:id|number)|policy number|medicare|date of birth|last four)\b",
            re.I,
        ),
    ),
    (
        "phone",
        re.compile(
            r"\b(?:phone|telephone|mobile|cell|call(?:ing)? (?:me|you|us|back)|reach me|text me|"
            r"(?:phone|contact|callback|call back) number|landline|whatsapp|area code)\b",
            re.I,
        ),
    ),
)
STRICTEST: tuple[Kind, ...] = ("code", "number", "card", "expiry", "phone")
SECRET_KINDS: tuple[Kind, ...] = ("card", "code", "number")
TOLD = re.compile(
    rf"\b(?:(?P<code>{SECRET_CODE}|(?:my|the) pin)|"
    r"(?P<number>s\.?s\.?n|social security|social|account number)|"
    r"(?P<card>card(?:'?s)?(?: number| no| ending| ends| is|,? it'?s| says| was)))"
    r"(?:\s+(?:number|code|is|was|in|with|says|you|sent|me|they|i|got|gave|the|for|my|this))*"
    r"\W*(?:(?:it'?s|uh|um|then|and)\W*)*$",
    re.I,
)
"""Before a number: what follows is that code or number, whatever it looks like."""
IS_IT = re.compile(r"\W*(?:is|that'?s|was)\b", re.I)
"""After a number: it is told what it is."""
NAMED = re.compile(
    r"\b(?:order|ticket|reference|ref|case|booking|confirmation|tracking|flight|room|invoice|claim|gate|model|"
    r"part|serial|extension|ext|house|apartment|apt|flat|suite|unit|seat|zip|post|postal|zip code|error|"
    r"version|page|chapter|bus|train|channel|terminal|platform|item|job|incident|windows|street number|"
    r"locker|live at|building|block|ba|aa|ua)\b"
    r"(?:\s+(?:number|numbers|no|code|id|is|was|are|#|num))*\W*(?:(?:it'?s|uh|um)\W*)?(?:[a-z0]{1,3}\W?)?$",
    re.I,
)
"""Before a number: it names an order, a ticket, a room and nobody."""
MONEY = re.compile(
    r"\b(?:paid|pay|costs?|total|balance|owed?|price|charged|bill|worth|earn\w*|spent|refund\w*|mileage|limit)\b",
    re.I,
)
MONEY_OF = re.compile(MONEY.pattern + r"\s+(?:(?:me|us|is|was|about|around|over|only)\s+){0,2}$", re.I)
STREET = re.compile(r"\W+(?:[A-Z]\w+\s+){1,3}(?:st|street|ave|avenue|road|rd|drive|lane|way|court)\b", re.I)
LISTED = re.compile(
    r"\d{1,3}(?:, \d{1,3})*,? (?:and|or) \d{1,3}|\d{1,2}(?:, (?:and )?then \d{1,2}){1,2}", re.I
)
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
MONTH_WORD = re.compile(rf"\b{MONTH}\b", re.I)
IBAN = re.compile(r"\b[A-Z]{2}[ -]?\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b(?:[ -]\d+\b)*")
"""With the digits behind it: "is 400000 000000 6" looks like an Icelandic one, and is a card."""
OF_SUMS = UNITS | frozenset(CURRENCY) | {"%"}
NOT_MONEY = UNITS - words(
    """dollar dollars buck bucks pound pounds quid euro euros cent cents pence usd gbp eur grand k million
    billion st nd rd th times"""
)
LIST_MARKS = ",;.&"
LABEL = re.compile(r"\[(?:card|code|phone|number|email)\]")
