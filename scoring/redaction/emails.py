"""E-mail addresses, printed, said or spelt out. Walks back from "at … dot com"; linear in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scoring.redaction.numbers import ONES, TEENS, TENS, TIMES, words

TLD = r"(?:com|net|org|edu|gov|info|biz|co|io|uk|ca|au|nz|ie|de|fr|es|nl|br|pt|eu|app|dev)"
WORD_TLD = r"(?:me|us|it|in|no|be|at|is)"  # words too: only after a spoken dot or right behind a printed one
DOT = r"(?:\s?\.\s?|\s{1,3}dot\s{1,3})"
ENDING = rf"(?:{DOT}{TLD}|(?:\.|\s{{1,3}}dot\s{{1,3}}){WORD_TLD})"
LABEL = r"[a-z0-9][\w-]{0,40}"
DOMAIN = rf"{LABEL}(?:\s[\w-]{{1,20}}){{0,2}}(?:{DOT}{LABEL}){{0,3}}?{ENDING}\b(?:{ENDING}\b)?"
HOST = re.compile(rf"(?:\s{{0,3}}@\s{{0,3}}|[\s,]{{1,3}}at(?:\s?sign)?[\s,]{{1,3}})(?:the\s)?{DOMAIN}", re.I)
PRINTED = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}\s?@\s?[\w-]{0,64}[a-z][\w-]{0,64}(?:\s?\.\s?[\w-]{1,30}){0,5}", re.I
)
NOT_A_NAME = words("us me it look looking online site website or store here available is find visit out this")
JOINERS = words("dot . underscore _ dash hyphen - minus plus + under score period point")
AS_IN = words("for like as in")
STOPS = NOT_A_NAME | words(
    """my email e mail address to it's its that's is the use could can send so and uh um well instead at
    please you a an on right right? okay yes yeah reach write contact just or i i'm am name's his her their"""
)
PIECE = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[._+\-]|\S")
REACH = 600  # characters before the "at" that may spell the name


def emails(text: str) -> Iterator[tuple[int, int]]:
    """Spans of addresses in the text."""
    for found in PRINTED.finditer(text):
        yield found.span()
    for host in HOST.finditer(text):
        start = _name_before(text, host.start())
        if start is not None:
            yield start, host.end()


def _name_before(text: str, end: int) -> int | None:
    """Where the name that ends at `end` begins; None if what stands there is none."""
    first = max(0, end - REACH)
    pieces = [
        (m.group().lower().replace("’", "'"), first + m.start()) for m in PIECE.finditer(text[first:end])
    ]
    at = len(pieces)
    names = 0
    while at and pieces[at - 1][0] in ",;:":
        at -= 1
    if not at or pieces[at - 1][0] in NOT_A_NAME:
        return None
    start: int | None = None
    joined = True
    while at:
        word, place = pieces[at - 1]
        if at >= 3 and pieces[at - 2][0] in AS_IN and _letter(pieces[at - 3][0]):
            at, start = at - 3, pieces[at - 3][1]
        elif (
            at >= 4 and pieces[at - 2][0] == "in" and pieces[at - 3][0] == "as" and _letter(pieces[at - 4][0])
        ):
            at, start = at - 4, pieces[at - 4][1]
        elif _letter(word) or word in JOINERS or _number(word):
            at, start, joined = at - 1, place, joined or word in JOINERS
        elif (
            word == ","
            and start is not None
            or (
                word in ("that's", "that", "is", "s")
                and start is not None
                and at >= 2
                and _spells(text[start:end])
            )
        ):
            at -= 1
        elif (joined or names < 2) and word.isalnum() and word not in STOPS:
            at, start, joined, names = at - 1, place, False, names + 1
        else:
            break
    return start


def _letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha()


def _number(word: str) -> bool:
    return any(c.isdigit() for c in word) or any(word in known for known in (ONES, TEENS, TENS, TIMES))


def _spells(said: str) -> bool:
    return len(re.findall(r"\b[a-z]\b", said, re.I)) >= 3
