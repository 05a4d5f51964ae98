"""Phrases an admin can edit, matched on normalised words; knows nothing of models or calls.

Pattern language: plain words; `(a|b c)` one of; `[x]` perhaps; `*` up to three words of any kind,
`**` up to ten; `call~` any word that begins so; `?` a question mark. Contractions are spelled out on
both sides ("I've" = "i have"), and everything is bounded, so no pattern can run away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .rubric import Phrase

WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|\?")
WHOLE = {
    "can't": "can not",
    "cant": "can not",
    "cannot": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "let's": "let us",
    "i'm": "i am",
    "im": "i am",
    "ive": "i have",
    "dont": "do not",
    "didnt": "did not",
    "doesnt": "does not",
    "isnt": "is not",
    "wasnt": "was not",
    "arent": "are not",
    "havent": "have not",
    "hasnt": "has not",
    "couldnt": "could not",
    "wouldnt": "would not",
    "shouldnt": "should not",
    "thats": "that is",
    "whats": "what is",
    "youre": "you are",
    "youve": "you have",
    "theyre": "they are",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
    "ok": "okay",
    "dunno": "do not know",
    "ain't": "is not",
    "y'all": "you all",
}
ENDINGS = {"'ve": " have", "'re": " are", "'ll": " will", "'d": " would", "'m": " am", "'s": " is"}
NEGATORS = frozenset({"not", "never", "without", "hardly", "neither", "nor"})
NEGATION_REACH = 3
FILLERS = frozenset(
    ("like", "you", "know", "um", "uh", "er", "erm", "i", "mean", "kind", "sort", "of", "actually", "exactly")
    + ("that", "all", "too", "so", "really", "even", "particularly", "say", "saying")
)
"""Words that do not count between a "not" and what it denies: "not, like, you know, terrified"."""
STRONGER = frozenset(
    {"very", "really", "so", "extremely", "absolutely", "completely", "totally", "incredibly"}
)
WEAKER = frozenset({"bit", "little", "slightly", "somewhat", "kinda"})
QUOTE_WORDS = 14


class PatternError(ValueError):
    """A pattern that cannot be read."""


@dataclass(frozen=True)
class Spoken:
    """A text as plain words, with the way back to the original characters."""

    original: str
    plain: str
    """" word word ? word " (one space around each word)."""
    starts: tuple[int, ...]
    """Where each plain word begins in `plain`."""
    spans: tuple[tuple[int, int], ...]
    """Which characters of `original` each plain word comes from."""
    words: tuple[str, ...]

    def quote(self, start: int, end: int) -> str:
        """The original words around plain[start:end]: the whole sentence when short, else a part of it."""
        first, last = self._index(start), self._index(end - 1)
        begin, stop = self._sentence(first, last)
        if stop - begin >= QUOTE_WORDS:
            begin = max(begin, first - 2)
            stop = min(stop, max(last, begin + QUOTE_WORDS - 1))
        return self.original[self.spans[begin][0] : self.spans[stop][1]].strip()

    def _sentence(self, first: int, last: int) -> tuple[int, int]:
        while first > 0 and not self._breaks(first):
            first -= 1
        while last + 1 < len(self.spans) and not self._breaks(last + 1):
            last += 1
        return first, last

    def _breaks(self, n: int) -> bool:
        """A sentence mark between word n-1 and word n."""
        return any(mark in ".!?;" for mark in self.original[self.spans[n - 1][0] : self.spans[n][0]])

    def before(self, start: int, count: int) -> tuple[str, ...]:
        first = self._index(start)
        return self.words[max(0, first - count) : first]

    def _index(self, at: int) -> int:
        from bisect import bisect_right

        return max(0, bisect_right(self.starts, at) - 1)


def spell_out(word: str) -> str:
    """ "i've" → "i have"; a possessive 's also becomes "is", on both sides alike."""
    if word in WHOLE:
        return WHOLE[word]
    if word.endswith("n't"):
        return word[:-3] + " not"
    for ending, full in ENDINGS.items():
        if word.endswith(ending):
            return word[: -len(ending)] + full
    return word


def spoken(text: str) -> Spoken:
    lowered = text.replace("\u2019", "'").lower()
    if len(lowered) != len(text):  # rare letters whose lower case is longer
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for match in WORD.finditer(lowered):
        for word in spell_out(match.group()).split():
            words.append(word)
            spans.append(match.span())
    starts, at = [], 1
    for word in words:
        starts.append(at)
        at += len(word) + 1
    plain = f" {' '.join(words)} " if words else " "
    return Spoken(text, plain, tuple(starts), tuple(spans), tuple(words))


TOKEN = re.compile(r"\s+|\(|\)|\||\[|\]|\*\*?|\?|[A-Za-z0-9][A-Za-z0-9'\u2019]*~?")


@cache
def compile_pattern(pattern: str) -> str:
    """The regular expression source for one pattern; PatternError says what is wrong."""
    out, closers, at = [], [], 0
    while at < len(pattern):
        token = TOKEN.match(pattern, at)
        if token is None:
            raise PatternError(
                f"{pattern!r}: {pattern[at]!r} is not allowed; use words, ( | ), [ ], *, ~ and ?"
            )
        at, text = token.end(), token.group()
        if text in "([":
            closers.append(")" if text == "(" else "]")
            out.append("(?:")
        elif text in ")]":
            if not closers or closers.pop() != text:
                raise PatternError(f"{pattern!r}: {text!r} closes nothing")
            out.append(")" if text == ")" else ")?")
        elif text == "|":
            if not closers:
                raise PatternError(f"{pattern!r}: put ( ) around the choices of '|'")
            out.append("|")
        elif text[0] == "*":
            out.append(r"(?:\S+ ){0,3}?" if text == "*" else r"(?:\S+ ){0,10}?")
        elif text == "?":
            out.append(r"\? ")
        elif text.strip():
            out.append(_word(text))
    if closers:
        raise PatternError(f"{pattern!r}: {closers[-1]!r} is missing")
    source = "".join(out)
    if not source or re.match(re.compile(f"(?:{source})$"), ""):
        raise PatternError(f"{pattern!r}: would match nothing at all")
    return source


def _word(text: str) -> str:
    word = text.replace("\u2019", "'").lower()
    if word.endswith("~"):
        return re.escape(word[:-1]) + r"\S* "
    return "".join(re.escape(part) + " " for part in spell_out(word).split())


@dataclass(frozen=True)
class Found:
    phrase: Phrase
    strength: float
    quote: str


class PhraseBook:
    """The phrases of one rubric for one channel, compiled once."""

    def __init__(self, phrases: Sequence[Phrase]) -> None:
        self._rules = [(phrase, one_of(phrase.any), one_of(phrase.unless)) for phrase in phrases]

    def find(self, text: Spoken) -> Iterator[Found]:
        """At most one hit per phrase: the first that is not negated."""
        for phrase, pattern, unless in self._rules:
            if pattern is None:
                continue
            for match in pattern.finditer(text.plain):
                if unless is not None and covers(unless, match, text.plain):
                    continue
                if phrase.negatable and is_negated(text.before(match.start(), 3 * NEGATION_REACH)):
                    continue
                strength = phrase.strength * emphasis(text.before(match.start(), 2))
                yield Found(phrase, min(1.0, strength), text.quote(match.start(), match.end()))
                break


def one_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("(?<= )(?:" + "|".join(map(compile_pattern, patterns)) + ")")


def covers(unless: re.Pattern[str], match: re.Match[str], text: str) -> bool:
    """Whether an exception overlaps these matched words."""
    return any(m.start() < match.end() and m.end() > match.start() for m in unless.finditer(text))


def is_negated(before: Sequence[str]) -> bool:
    """Whether one of the last NEGATION_REACH words that carry meaning denies what follows."""
    telling = [word for word in before if word not in FILLERS][-NEGATION_REACH:]
    return any(word in NEGATORS for word in telling) or before[-1:] == ("no",)


def emphasis(before: Sequence[str]) -> float:
    if any(word in STRONGER for word in before):
        return 1.15
    return 0.75 if any(word in WEAKER for word in before) else 1.0
