"""From text to runs of digits: words, figures, doubles, homophones, hesitations; and what is a quantity.

Knows how numbers are said, not which of them may be kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

MAX_FILLERS = 4  # words that may stand between two groups of one number
OH_REACH = 8  # tokens around an "oh" that may show it to be a zero


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ONES = {"zero": "0", "oh": "0", "o": "0", "nought": "0", "naught": "0", "fife": "5", "niner": "9"}
ONES |= {w: str(n) for n, w in enumerate(("one", "two", "three", "four", "five"), 1)}
ONES |= {w: str(n) for n, w in enumerate(("six", "seven", "eight", "nine"), 6)}
PLURALS = {w + ("es" if w == "six" else "s"): d for w, d in ONES.items() if w != "o"} | {"zeroes": "0"}
TEENS = {w: str(n) for n, w in enumerate(("ten", "eleven", "twelve", "thirteen", "fourteen"), 10)}
TEENS |= {w: str(n) for n, w in enumerate(("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"), 15)}
TENS = {w: str(n) for n, w in enumerate(("twenty", "thirty", "forty", "fifty"), 2)}
TENS |= {w: str(n) for n, w in enumerate(("sixty", "seventy", "eighty", "ninety"), 6)}
TENS["fourty"] = "4"
OHS = ("o", "oh", "oo", "ooo", "oooo")
TIMES = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
SCALES = {"hundred": "00", "thousand": "000"}
HOMOPHONES = {"to": "2", "too": "2", "for": "4", "fore": "4", "won": "1", "ate": "8", "tree": "3", "sex": "6"}
FILLERS = words(
    """and then uh um er erm ah hmm mm mhm huh dash hyphen space dot comma slash stroke point okay ok yeah yes
    so next again sorry like that's it's is a the"""
) | frozenset(HOMOPHONES)
PAUSE = re.compile(
    r"\b(?:let me (?:see|check|think)|h[ao](?:ng|ld) on|(?:uh,? )?no,? (?:wait|sorry)|scratch that|"
    r"i me(?:an|ant)|(?:and |then )*after (?:that|this)|followed by|next (?:is|one)|i think|make that|"
    r"one (?:sec|second|moment|minute)\b|(?:and )?(?:the )?last (?:one |bit )?is|is first|correction|"
    r"(?:uh|um|er),? no|actually|rather|i (?:guess|believe|suppose)|you know|where was i|again that's|"
    r"or rather|my bad|my mistake)\b",
    re.I,
)
UNITS = words(
    """dollar dollars buck bucks pound pounds quid euro euros cent cents pence percent usd gbp eur minute
    minutes hour hours day days week weeks month months year years time times mile miles km kilometers
    kilometres meters metres feet foot inches kilos kg lbs grand k am pm a.m p.m o'clock degrees people
    items pieces digit digits megs mb gb tb megabytes gigabytes megabits mbps gigs watts volts stars million
    billion st nd rd th"""
)
CURRENCY = "$£€¥"
TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[^\w\s]|_")
QUANTITY = re.compile(
    rf"[{CURRENCY}]\s?\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|[{CURRENCY}]\s?\d{{1,7}}(?:\.\d{{1,2}})?(?!\d)"
    r"|(?<![\d.,-])\d{1,2}:\d{2}(?::\d{2})?(?![\d:])"  # a time
    r"|(?<![\d./-])\d{1,2}/\d{1,2}/(?:(?:19|20)\d{2}|\d{2})(?![\d/-])"  # a date
    r"|(?<![\d./-])\d{1,2}[.-]\d{1,2}[.-](?:19|20)\d{2}(?![\d/-]|\.\d)"
    r"|(?<![\d./-])(?:19|20)\d{2}-\d{2}-\d{2}(?![\d-])"
    r"|(?<![\d.,])\d{1,5}\.\d{1,2}(?!\.?\d)"  # a decimal
    r"|(?<![\d.,])\d{1,3},\d{3}(?!,?\d)|(?<![\d/.-])24/7(?![\d/-])"
)
# An amount before its unit, in the letters of `_shape`: "1,250.75", "two hundred and five", "one fifty".
BELOW_100 = r"(?:[oe]|t-?o?)"
BELOW_1000 = rf"(?:{BELOW_100}(?:ha?{BELOW_100}?)?)"
AMOUNT = re.compile(
    rf"(?:f(?:,[fz]){{0,4}}(?:\.[fz])?k?|(?:{BELOW_1000}ka?)?{BELOW_1000}|{BELOW_1000}k|{BELOW_1000}t-?o?)(?=u)"
)
TIMES_SIGN = re.compile(r"(?<=\d{3})[xX](?=\d{2})")
O_AMONG_FIGURES = re.compile(r"\b[oO]*\d[\doO]*\b")


@dataclass(frozen=True)
class Token:
    text: str
    start: int
    end: int
    digits: str = ""
    """What it contributes to a number; "" for anything else."""
    bar: bool = False
    """Part of a price, date, time or other quantity: no number runs through it."""
    soft: bool = False
    """Only sounds like its digit ("for", "to")."""
    lead: bool = False
    """Says how often the next digit stands: "double", "two" of "two sevens"."""
    pause: bool = False
    """Hesitation inside a number: "let me see"."""

    @property
    def bridges(self) -> bool:
        return (
            self.pause
            or self.lead
            or self.text in FILLERS
            or self.text in TIMES
            or self.text in SCALES
            or (len(self.text) == 1 and not self.text.isalnum() and self.text not in CURRENCY)
        )


@dataclass(frozen=True)
class Run:
    """Groups of digits that may be one number. Softs count once `soft_counts` says so."""

    start: int
    end: int
    groups: tuple[str, ...]
    softs: int = 0
    """How many of the groups only sound like digits."""

    @property
    def digits(self) -> str:
        return "".join(self.groups)

    @property
    def by_digit(self) -> bool:
        """Read out digit by digit, as numbers that identify something are."""
        return sum(len(group) == 1 for group in self.groups) >= 4


def fold(text: str) -> str:
    """Digits of other scripts as ASCII and the letter O among figures as 0, one character for one."""
    plain = "".join(
        c if c.isascii() or (digit := unicodedata.digit(c, None)) is None else str(digit) for c in text
    )
    plain = TIMES_SIGN.sub("-", plain)
    return O_AMONG_FIGURES.sub(lambda m: m.group().replace("o", "0").replace("O", "0"), plain)


def tokenise(text: str, taken: Sequence[tuple[int, int]] = ()) -> list[Token]:
    """Words, figures and marks of a folded text, with what each says as digits; `taken` spans left out."""
    pauses = [m.span() for m in PAUSE.finditer(text)]
    found: list[Token] = []
    held = sorted(taken, reverse=True)
    for m in TOKEN.finditer(text):
        while held and held[-1][1] <= m.start():
            held.pop()
        if not held or m.start() < held[-1][0]:
            found.append(Token(m.group().lower().replace("’", "'"), m.start(), m.end()))
    place, spans = 0, iter([*pauses, (len(text) + 1, len(text) + 1)])
    start, end = next(spans)
    for place, token in enumerate(found):
        while token.start >= end:
            start, end = next(spans)
        if start <= token.start:
            found[place] = replace(token, pause=True)
    tokens: list[Token] = []
    for place, token in enumerate(found):
        before = found[place - 1] if place else None
        if token.text in PLURALS and tokens and before and before.text in ("two", "three", "four", "five"):
            count = int(ONES[before.text])
            tokens[-1] = replace(tokens[-1], digits="", lead=True)
            tokens.append(replace(token, digits=PLURALS[token.text] * count))
            continue
        tokens.append(_read(found, place, tokens[-1] if tokens else None))
    _hear_soft(tokens)
    return _barred(tokens, text)


def _read(found: Sequence[Token], place: int, said: Token | None) -> Token:
    token = found[place]
    before = found[place - 1] if place else None
    if before and before.text == "-" and place > 1 and found[place - 2].text in TIMES:
        before = found[place - 2]
    after = found[place + 1] if place + 1 < len(found) else None
    digits = "" if token.pause else _digits(token, before, after, said)
    if token.text in OHS and digits and not _beside_a_number(found, place):
        digits = ""
    return replace(token, digits=digits, lead=token.text in TIMES)


def _digits(token: Token, before: Token | None, after: Token | None, said: Token | None) -> str:
    word = token.text
    if word.isdecimal():
        return "".join(str(int(c)) for c in word)
    if not word.isascii() and (folded := unicodedata.normalize("NFKC", word)).isdecimal():
        return folded  # a circled ten and the like
    if before is not None and before.text in TIMES:
        digit = ONES.get(word) or HOMOPHONES.get(word) or PLURALS.get(word)
        if digit:
            return digit * TIMES[before.text]
    if word in ONES:
        return ONES[word]
    if word in OHS:
        return "0" * len(word)
    if word in TEENS:
        return TEENS[word]
    if word in TENS:
        units = after is not None and (ONES.get(after.text, "0") != "0" or after.text == "-")
        return TENS[word] if units else TENS[word] + "0"
    if word in SCALES and said is not None and said.digits and not numeric(after):
        return SCALES[word]
    return ""


def _beside_a_number(found: Sequence[Token], place: int) -> bool:
    """Whether "oh" is a zero: the next word on one of its sides is a number, marks and "uh" apart."""
    if found[place].text == "o" and all(t.bridges for t in found if t is not found[place]):
        return True  # the letter on its own
    for side in (found[place + 1 : place + 1 + OH_REACH], found[max(0, place - OH_REACH) : place][::-1]):
        if side and side[0].text in OHS:
            return True
        said = (t for t in side if t.text not in OHS and (numeric(t) or t.text in PLURALS or not t.bridges))
        nearest = next(said, None)
        if numeric(nearest) or (nearest is not None and nearest.text in PLURALS):
            return True
        if any(t.text in HOMOPHONES and t.text not in ("to", "too") for t in side[:1]):
            return True
    return False


def numeric(token: Token | None) -> bool:
    return token is not None and (
        token.text.isdecimal() or any(token.text in known for known in (ONES, TEENS, TENS, TIMES))
    )


def _hear_soft(tokens: list[Token]) -> None:
    """Give homophones their digit where a digit or another homophone stands next to them."""
    hard = [bool(t.digits) for t in tokens]
    plain = [i for i, t in enumerate(tokens) if hard[i] or t.text in HOMOPHONES or not _is_mark(t)]
    for at, place in enumerate(plain):
        token = tokens[place]
        if token.digits or token.pause or token.text not in HOMOPHONES:
            continue
        beside = [plain[i] for i in (at - 1, at + 1) if 0 <= i < len(plain)]
        if any(hard[i] or tokens[i].text in HOMOPHONES or tokens[i].lead for i in beside):
            tokens[place] = replace(token, digits=HOMOPHONES[token.text], soft=True)


def _is_mark(token: Token) -> bool:
    return not token.text.isalnum() or token.text in ("uh", "um", "er", "erm", "and", "then", "dash", "dot")


# --- quantities -------------------------------------------------------------------------------


def amounts(tokens: Sequence[Token], text: str) -> list[range]:
    """Where the tokens are a well-formed price, time, date or number with its unit."""
    shape = "".join(_shape(token) for token in tokens)
    found = [range(*m.span()) for m in AMOUNT.finditer(shape)]
    at = 0
    for m in QUANTITY.finditer(text):
        while at < len(tokens) and tokens[at].start < m.start():
            at += 1
        end = at
        while end < len(tokens) and tokens[end].start < m.end():
            end += 1
        padded = re.match(rf"[{CURRENCY}]\s?0\d", m.group())
        if end > at and not padded:
            found.append(range(at, end))
    return [amount for amount in found if not _cut_from_number(tokens, amount)]


def _barred(tokens: list[Token], text: str) -> list[Token]:
    for amount in amounts(tokens, text):
        for place in amount:
            tokens[place] = replace(tokens[place], bar=True)
    return tokens


def _cut_from_number(tokens: Sequence[Token], amount: range) -> bool:
    """Digits go on right before or after it ("3088 77 dollars", "12:34 56", "8:375.83")."""
    for beside, beyond, gap in (
        (amount[0] - 1, amount[0] - 2, amount[0]),
        (amount[-1] + 1, amount[-1] + 2, amount[-1] + 1),
    ):
        if 0 <= beside < len(tokens):
            if tokens[beside].digits and not tokens[beside].soft:
                return True
            glued = 0 < gap < len(tokens) and tokens[gap - 1].end == tokens[gap].start
            if glued and tokens[beside].text in ".:/" and 0 <= beyond < len(tokens):
                near = tokens[beyond]
                if near.digits and (near.end == tokens[beside].start or near.start == tokens[beside].end):
                    return True
    return False


def _shape(token: Token) -> str:
    """A letter for what a token can be within an amount."""
    word = token.text
    if word.isdecimal():
        return "z" if len(word) > 1 and word[0] == "0" else "f"
    if token.digits and not token.soft:
        for letter, known in (("e", TEENS), ("t", TENS), ("h", ("hundred",)), ("k", SCALES)):
            if word in known:
                return letter
        return "x" if len(token.digits) > 1 or token.digits == "0" else "o"
    if word in SCALES:
        return "h" if word == "hundred" else "k"
    return "u" if word in UNITS or word == "%" else "a" if word == "and" else word if word in ",.-" else "x"


# --- runs -------------------------------------------------------------------------------------


def runs(tokens: Sequence[Token]) -> list[Run]:
    done: list[Run] = []
    held: list[Token] = []
    fillers = 0
    paused = False
    for token in [*tokens, Token("", 0, 0, bar=True)]:
        if (token.digits or token.lead) and not token.bar:
            held.append(token)
            fillers, paused = 0, False
        elif held and (token.bar or not token.bridges or fillers >= MAX_FILLERS):
            done += _run(held)
            held, fillers = [], 0
        elif held and token.text.isalpha():
            fillers += not (token.pause and paused)
            paused = token.pause
    return done


def _run(held: Sequence[Token]) -> list[Run]:
    """Without the words at its ends that only sound like digits, unless several stand there."""
    said = [t for t in held if t.digits]
    hard = sum(not t.soft for t in said)
    single = sum(len(t.digits) == 1 for t in said)
    softs = sum(t.soft for t in said)
    if hard == 0 and softs < 3:
        return []
    counted = single >= 3 and (hard >= 2 or softs >= 3) or (hard >= 1 and softs >= 2)
    if not counted:
        said = [t for t in said if not t.soft]
        softs = 0
    if not said:
        return []
    leads = [t.start for t in held if t.lead and t.start < said[0].start]
    start = (
        leads[-1] if leads and not [t for t in held if leads[-1] < t.start < said[0].start] else said[0].start
    )
    return [Run(start, said[-1].end, tuple(t.digits for t in said), softs)]
