"""Takes card numbers and the like out of a transcript before anything stores or shows it.

A pure function of the text and of what the same speaker's earlier turns carried. What is carried
holds no digit: only that a number was being read out, and which kind was being talked about.
English. Where it must choose, it masks: SCIENCE §8 wants no leak.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["card", "code", "phone", "number", "email"]

# --- numbers an expert might argue with -----------------------------------------------------
LONG = 9  # any run of so many digits is masked, whatever it is
CARD_DIGITS = range(13, 20)
NEAR_WORDS = 14  # a kind's words colour numbers this many words away
CARRY_TURNS = 3  # … and the same speaker's next turns
PENDING_TURNS = 2  # a number being read out may go on in so many later turns
MAX_FILLERS = 3  # words that may stand between two groups of one number


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# --- words ----------------------------------------------------------------------------------
ONES = {"zero": "0", "oh": "0", "o": "0", "nought": "0", "naught": "0", "fife": "5", "niner": "9"}
ONES |= {w: str(n) for n, w in enumerate(("one", "two", "three", "four", "five"), 1)}
ONES |= {w: str(n) for n, w in enumerate(("six", "seven", "eight", "nine"), 6)}
TEENS = {w: str(n) for n, w in enumerate(("ten", "eleven", "twelve", "thirteen", "fourteen"), 10)}
TEENS |= {w: str(n) for n, w in enumerate(("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"), 15)}
TENS = {w: str(n) for n, w in enumerate(("twenty", "thirty", "forty", "fifty"), 2)}
TENS |= {w: str(n) for n, w in enumerate(("sixty", "seventy", "eighty", "ninety"), 6)}
TENS["fourty"] = "4"
OHS = ("o", "oh")
TIMES = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
SCALES = {"hundred": "00", "thousand": "000"}
HOMOPHONES = _set("to too for fore won ate tree sex niner")
FILLERS = (
    _set(
        """and then uh um er erm ah hmm mm dash hyphen space dot comma slash stroke point okay ok yeah yes so
    next again sorry like that's it's is a the"""
    )
    | HOMOPHONES
)
CARRIERS = FILLERS | _set(
    """my number numbers digits digit are ending ends in starts with first last four sure yep right alright
    well let me see here we go you ready i got it was hold on one sec second please of thank thanks and
    go ahead i'll read"""
)
YEAR_WORDS = _set("in since until till from year of by")
UNITS = _set(
    """dollar dollars buck bucks pound pounds quid euro euros cent cents pence percent usd gbp eur minute
    minutes hour hours day days week weeks month months year years time times mile miles km kilometers
    kilometres meters metres feet inches kilos kg lbs grand k am pm a.m p.m o'clock degrees people items
    pieces megs mb gb tb megabytes gigabytes megabits mbps gigs watts volts stars million billion st nd
    rd th"""
)
KIND_WORDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "code",
        re.compile(
            r"\b(?:c\.?v\.?[vc]\.?2?|c\.?s\.?c|security (?:code|number)|(?:pin|pass|access|auth\w*|"
            r"verification|confirmation|one[- ]time) ?(?:code|number|password)|passcode|password|"
            r"my pin|the pin|pin is|o\.?t\.?p|expir\w+|exp date|valid (?:thru|through|until)|"
            r"(?:on|at) the back|sort code|routing)\b",
            re.I,
        ),
    ),
    (
        "card",
        re.compile(
            r"\b(?:cards?|credit|debit|visa|master ?card|amex|american express|discover|maestro|"
            r"diners|long number|sixteen digit|16[- ]digit|pan)\b",
            re.I,
        ),
    ),
    (
        "number",
        re.compile(
            r"\b(?:social security|social|s\.?s\.?n|national insurance|passport|licen[cs]e|tax id|"
            r"account|iban|sort|member(?:ship)? (?:id|number)|policy number|medicare|date of birth)\b",
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
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
EXPIRY = re.compile(r"\b(?:expir\w+|exp|valid (?:thru|through|until|to)|good (?:thru|through))\b", re.I)
READING = re.compile(r"\bcard'?s? (?:number|ending)|\bnumber(?:'s| is)", re.I)
EXACT = re.compile(
    r"\b(?:c\.?v\.?[vc]\.?2?|c\.?s\.?c|security code|s\.?s\.?n|social security|sort code)\b", re.I
)
MONTH_WORD = re.compile(rf"\b{MONTH}\b", re.I)

# --- whole patterns -------------------------------------------------------------------------
TLD = r"(?:com|net|org|edu|gov|info|biz|co|io|me|uk|us|ca|au|nz|ie|de|fr|es|it|nl|br|pt|in|eu|app|dev)"
DOT = r"(?:\s*\.\s*|\s+dot\s+)"
DOMAIN = rf"[a-z0-9][\w-]*(?:{DOT}[a-z0-9][\w-]*){{0,3}}{DOT}{TLD}\b"
JOIN = r"(?:\s*[._+-]\s*|\s+(?:dot|underscore|under ?score|dash|hyphen|minus|plus)\s+)"
LOCAL = rf"(?:\b[a-z0-9]\s+){{0,30}}[\w'+-]+(?:{JOIN}[\w'+-]+){{0,6}}(?:\s+(?:\d+|{'|'.join(ONES)}))*"
EMAIL = re.compile(
    rf"[\w.+-]+\s?@\s?[\w-]+(?:\s?\.\s?[\w-]+)*|{LOCAL}(?:\s+at\s+|\s+at\s*sign\s+){DOMAIN}", re.I
)
NOT_A_NAME = _set("us me it look looking online site website or store here available is")
IBAN = re.compile(r"\b[A-Z]{2}[ -]?\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b")
CURRENCY = "$£€¥"
TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[^\w\s]|_")
QUANTITY = re.compile(
    rf"[{CURRENCY}]\s?\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|[{CURRENCY}]\s?\d{{1,7}}(?:\.\d{{1,2}})?(?!\d)"
    r"|(?<![\d.,-])\d{1,2}:\d{2}(?::\d{2})?(?![\d:])"  # a time
    r"|(?<![\d./-])\d{1,2}/\d{1,2}/(?:19|20)?\d{2}(?![\d/.-])"  # a date
    r"|(?<![\d./-])\d{1,2}[.-]\d{1,2}[.-](?:19|20)\d{2}(?![\d/.-])"
    r"|(?<![\d./-])(?:19|20)\d{2}-\d{2}-\d{2}(?![\d-])"
    r"|(?<![\d.,])\d{1,5}\.\d{1,2}(?![\d.])"  # a decimal
)


@dataclass(frozen=True)
class Carry:
    """What the same speaker's earlier turns left behind. Holds no digit."""

    pending: int = 0
    """For so many more turns, digits may continue a number that was being read out."""
    kinds: tuple[tuple[Kind, int], ...] = ()
    """Kinds that were talked about, each with the turns it still colours."""

    @classmethod
    def load(cls, detail: Mapping[str, Any]) -> Carry:
        kinds = tuple((kind, int(turns)) for kind, turns in detail.get("kinds", ()))
        return cls(int(detail.get("pending", 0)), kinds)

    def dump(self) -> dict[str, object]:
        return {"pending": self.pending, "kinds": [list(kind) for kind in self.kinds]}


@dataclass(frozen=True)
class Mask:
    """Text [start, end) of the original is replaced by [label]."""

    start: int
    end: int
    label: Kind


@dataclass(frozen=True)
class Redacted:
    text: str
    masks: tuple[Mask, ...]
    carry: Carry


def redact(text: str, carry: Carry | None = None) -> Redacted:
    """Mask what must not be kept; `carry` is that of the same speaker's turn before."""
    carry = carry or Carry()
    text = _plain_digits(text)
    masks = list(_patterns(text))
    strict = carry.pending > 0 or bool(READING.search(text)) or bool(EXACT.search(text))
    tokens = _tokens(text, masks, strict=strict)
    runs = _runs(tokens)
    for run in runs:
        label = _judge(run, text, tokens, carry)
        if label is not None:
            masks.append(Mask(run.start, run.end, label))
    masks.extend(_cards_in_disguise(tokens, text, carry))
    masks.extend(_expiry_months(text, masks))
    merged = tuple(_merged(text, masks))
    return Redacted(apply(text, merged), merged, _carried(text, runs, merged, carry))


def _plain_digits(text: str) -> str:
    """Digits of other scripts and circled ones as ASCII, one character for one."""
    return "".join(
        c if c.isascii() or (digit := unicodedata.digit(c, None)) is None else str(digit) for c in text
    )


def _cards_in_disguise(tokens: Sequence[Token], text: str, carry: Carry) -> Iterable[Mask]:
    """A card number that marks or words of money, time or quantity run through: as long as a card's,
    and either valid or said of a card."""
    lifted = [replace(t, bar=False) for t in tokens if t.text not in UNITS and t.text not in CURRENCY]
    for run in _runs(lifted):
        of_a_card = len(run.digits) >= CARD_DIGITS.start and _kind(run, text, carry) == "card"
        if of_a_card or (len(run.digits) in CARD_DIGITS and luhn(run.digits)):
            yield Mask(run.start, run.end, "card")


def apply(text: str, masks: Iterable[Mask]) -> str:
    """The text with each mask written as its label."""
    out, at = [], 0
    for mask in masks:
        out += [text[at : mask.start], f"[{mask.label}]"]
        at = mask.end
    return "".join([*out, text[at:]])


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 check digit."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


# --- from text to runs of digits ------------------------------------------------------------


@dataclass(frozen=True)
class Token:
    text: str
    start: int
    end: int
    digits: str = ""
    """What it contributes to a number; "" for anything else."""
    bar: bool = False
    """Part of a price, date, time or other quantity: no number runs through it."""


@dataclass(frozen=True)
class Run:
    """Groups of digits that may be one number."""

    start: int
    end: int
    groups: tuple[str, ...]

    @property
    def digits(self) -> str:
        return "".join(self.groups)

    @property
    def by_digit(self) -> bool:
        """Read out digit by digit, as numbers that identify something are."""
        return sum(len(group) == 1 for group in self.groups) >= 4


def _patterns(text: str) -> Iterable[Mask]:
    for found in EMAIL.finditer(text):
        local = re.split(r"\s+at\s+", found.group(), flags=re.I)[0].split()
        if "@" in found.group() or local[-1].lower() not in NOT_A_NAME:
            yield Mask(found.start(), found.end(), "email")
    for found in IBAN.finditer(text):
        if sum(c.isdigit() for c in found.group()) >= LONG:
            yield Mask(found.start(), found.end(), "number")


def _tokens(text: str, masks: Sequence[Mask], *, strict: bool = False) -> list[Token]:
    """Words, figures and marks, with what each says as digits; `strict` knows no dates or decimals."""
    found = [
        Token(m.group().lower().replace("’", "'"), m.start(), m.end())
        for m in TOKEN.finditer(text)
        if not any(mask.start <= m.start() < mask.end for mask in masks)
    ]
    tokens: list[Token] = []
    for place, token in enumerate(found):
        before = found[place - 1] if place else None
        after = found[place + 1] if place + 1 < len(found) else None
        digits = _digits(token, before, after, tokens[-1] if tokens else None)
        if token.text in OHS and not _beside_a_number(found, place):
            digits = ""
        tokens.append(Token(token.text, token.start, token.end, digits, bool(digits and _unit(after))))
    for quantity in QUANTITY.finditer(text):
        inside = [i for i, token in enumerate(tokens) if quantity.start() <= token.start < quantity.end()]
        price = quantity.group()[0] in CURRENCY
        if inside and (price or not (strict or _in_long_number(tokens, inside))):
            tokens[inside[0] : inside[-1] + 1] = [replace(tokens[i], bar=True) for i in inside]
    return tokens


def _in_long_number(tokens: Sequence[Token], inside: Sequence[int]) -> bool:
    """A "date" or "decimal" that is really a slice of a number as long as a card's."""
    first, last = inside[0], inside[-1]
    while first and not tokens[first - 1].bar and (tokens[first - 1].digits or _bridges(tokens[first - 1])):
        first -= 1
    while last + 1 < len(tokens) and not tokens[last].bar:
        if not (tokens[last + 1].digits or _bridges(tokens[last + 1])):
            break
        last += 1
    return sum(len(token.digits) for token in tokens[first : last + 1]) >= CARD_DIGITS.start


def _unit(after: Token | None) -> bool:
    return after is not None and (after.text in UNITS or after.text == "%")


def _digits(token: Token, before: Token | None, after: Token | None, said: Token | None) -> str:
    word = token.text
    if word.isdecimal():
        return "".join(str(int(c)) for c in word)
    if before is not None and before.text in TIMES and (digit := ONES.get(word)):
        return digit * TIMES[before.text]
    if word in ONES:
        return ONES[word]
    if word in TEENS:
        return TEENS[word]
    if word in TENS:
        units = after is not None and ONES.get(after.text, "0") != "0"
        units = units or (after is not None and after.text == "-")
        return TENS[word] if units else TENS[word] + "0"
    if word in SCALES and said is not None and said.digits and not _numeric(after):
        return SCALES[word]
    return ""


def _beside_a_number(tokens: Sequence[Token], place: int) -> bool:
    """Whether "oh" is a zero: the next word on one of its sides is a number, marks and "uh" apart."""
    for side in (tokens[place + 1 : place + 9], tokens[max(0, place - 8) : place][::-1]):
        if side and side[0].text in OHS:
            return True
        words = (t for t in side if t.text not in OHS and (_numeric(t) or not _bridges(t)))
        if _numeric(next(words, None)):
            return True
    return False


def _numeric(token: Token | None) -> bool:
    return token is not None and (
        token.text.isdecimal() or any(token.text in w for w in (ONES, TEENS, TENS, TIMES))
    )


def _runs(tokens: Sequence[Token]) -> list[Run]:
    runs: list[Run] = []
    groups: list[str] = []
    start = end = fillers = 0
    for place, token in enumerate([*tokens, Token("", 0, 0, bar=True)]):
        if token.digits and not token.bar:
            before = tokens[place - 1] if place else token
            if not groups:
                start = before.start if before.text in TIMES else token.start
            groups.append(token.digits)
            end, fillers = token.end, 0
        elif groups and (token.bar or not _bridges(token) or fillers >= MAX_FILLERS):
            runs.append(Run(start, end, tuple(groups)))
            groups, fillers = [], 0
        elif groups:
            fillers += token.text.isalpha()
    return runs


def _bridges(token: Token) -> bool:
    return (
        token.text in FILLERS
        or token.text in TIMES
        or token.text in SCALES
        or (len(token.text) == 1 and not token.text.isalnum() and token.text not in CURRENCY)
    )


# --- what to mask ---------------------------------------------------------------------------


def _judge(run: Run, text: str, tokens: Sequence[Token], carry: Carry) -> Kind | None:
    """The label under which a run of digits is masked, or None to leave it."""
    n = len(run.digits)
    kind = _kind(run, text, carry)
    if n in CARD_DIGITS and luhn(run.digits):
        return "card"
    if n >= LONG:
        return kind if kind in ("card", "phone") else "number"
    if _only_digits(tokens) and n >= (2 if carry.pending else 3) and not _is_year(run, carry):
        return kind or "number"
    if carry.pending and n >= 3 and not _is_year(run, Carry()):
        return kind or "number"
    if _is_dated(run, text) and not EXPIRY.search(text):
        return None
    if kind == "code" and n >= 3:
        return "code"
    if carry.pending and kind == "code" and n == 2 and _only_digits(tokens):
        return "code"
    if kind == "card" and (n >= 4 or (n == 3 and len(run.groups) > 1)):
        return "card"
    if kind == "number" and n >= 4:
        return "number"
    if n >= 7 or (run.by_digit and n >= 4) or (len(run.groups) > 1 and n >= 6):
        return "phone" if kind == "phone" else "number"
    return None


def _is_dated(run: Run, text: str) -> bool:
    """A year that reads as one: "in 2023", "since 1998"."""
    before = text[: run.start].rstrip().rsplit(None, 1)
    return bool(before) and before[-1].lower() in YEAR_WORDS and _is_year(run, Carry())


def _only_digits(tokens: Sequence[Token]) -> bool:
    """The turn says a number and nothing else of weight."""
    words = [t for t in tokens if t.text.isalnum() or "'" in t.text]
    if any(t.bar for t in words):
        return False
    return all(t.digits or t.text in CARRIERS or t.text in TIMES or t.text in SCALES for t in words)


def _is_year(run: Run, carry: Carry) -> bool:
    digits = run.digits
    whole = len(run.groups) == 1 or run.groups[0] in ("19", "20")
    return not carry.pending and len(digits) == 4 and digits[:2] in ("19", "20") and whole


def _kind(run: Run, text: str, carry: Carry) -> Kind | None:
    """Which kind of number is being talked about: the nearest word of a kind, else the carried."""
    near: list[tuple[int, int, Kind]] = []
    for rank, (kind, pattern) in enumerate(KIND_WORDS):
        for found in pattern.finditer(text):
            between = (
                text[found.end() : run.start] if found.end() <= run.start else text[run.end : found.start()]
            )
            distance = len(between.split())
            if distance <= NEAR_WORDS:
                near.append((distance if found.end() <= run.start else distance + 4, rank, kind))
    if near:
        return min(near)[2]
    return carry.kinds[0][0] if carry.kinds else None


def _expiry_months(text: str, masks: Sequence[Mask]) -> Iterable[Mask]:
    """The date that follows "expires": in figures, or a month by name with what follows it."""
    for word in EXPIRY.finditer(text):
        rest = text[word.end() : word.end() + 60]
        figures = re.search(r"\b\d{1,2}\s*[/.-]\s*(?:20)?\d{2}\b|\b\d{1,2}\s+(?:20)?\d{2}\b", rest)
        month = MONTH_WORD.search(rest)
        spoken = _spoken_date(rest)
        for start, end in filter(None, (figures and figures.span(), spoken)):
            yield Mask(word.end() + start, word.end() + end, "code")
        if month is not None:
            tail = re.match(r"[\s,of]*(?:[\w-]+\s*){0,3}", rest[month.end() :])
            words = TOKEN.finditer(rest[month.end() : month.end() + (tail.end() if tail else 0)])
            ends = [m.end() for m in words if _numeric(Token(m.group().lower(), 0, 0))]
            yield Mask(word.end() + month.start(), word.end() + month.end() + max(ends, default=0), "code")


def _spoken_date(rest: str) -> tuple[int, int] | None:
    """Two spoken numbers in a row, as in "oh four twenty seven"."""
    runs = [run for run in _runs(_tokens(rest, ())) if 2 <= len(run.digits) <= 8]
    return (runs[0].start, runs[0].end) if runs else None


def _merged(text: str, masks: Iterable[Mask]) -> Iterable[Mask]:
    """In order; overlapping ones become one under the first's label."""
    kept: list[Mask] = []
    for mask in sorted(masks, key=lambda m: (m.start, -m.end)):
        if kept and mask.start < kept[-1].end:
            kept[-1] = Mask(kept[-1].start, max(kept[-1].end, mask.end), kept[-1].label)
        else:
            kept.append(mask)
    return kept


def _carried(text: str, runs: Sequence[Run], masks: Sequence[Mask], carry: Carry) -> Carry:
    masked = {(mask.start, mask.end) for mask in masks if mask.label != "email"}
    reading = any((run.start, run.end) in masked or len(run.digits) >= 4 for run in runs)
    pending = PENDING_TURNS if reading or masked else max(0, carry.pending - 1)
    latest = [
        (found[-1].start(), kind) for kind, pattern in KIND_WORDS if (found := list(pattern.finditer(text)))
    ]
    fresh = [(kind, CARRY_TURNS) for _, kind in sorted(latest, reverse=True)]
    kept = [
        (kind, left if reading and left else left - 1)
        for kind, left in carry.kinds
        if left > 1 and kind not in dict(fresh)
    ]
    return Carry(pending, (*fresh, *kept))
