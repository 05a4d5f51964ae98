"""A question asked again: a sign that the answer was not understood (SCIENCE §1). Words only."""

from __future__ import annotations

import re
from collections.abc import Sequence

WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
ASKING = frozenset(
    ("what", "which", "who", "whose", "where", "when", "why", "how", "is", "are", "am", "was", "were", "do")
    + ("does", "did", "can", "could", "will", "would", "should", "shall", "have", "has", "may", "might")
)
EMPTY = frozenset(
    ("a", "an", "the", "and", "or", "but", "so", "then", "to", "of", "in", "on", "at", "for")
    + (
        "with",
        "from",
        "it",
        "its",
        "it's",
        "that",
        "that's",
        "this",
        "these",
        "those",
        "there",
        "i",
        "i'm",
        "me",
    )
    + (
        "my",
        "you",
        "your",
        "we",
        "our",
        "they",
        "be",
        "been",
        "being",
        "just",
        "again",
        "still",
        "please",
        "sorry",
    )
    + ("okay", "ok", "well", "um", "uh", "er", "oh", "yes", "no", "yeah", "right", "not", "if", "as")
    + ("now", "get")
)
SAME_SHARE = 0.6
"""Of the shorter question's telling words, this share must come again …"""
SAME_WORDS = 2
"""… and at least so many of them."""


def asked_again(text: str, previous: Sequence[str]) -> str | None:
    """The question in `text` that one of the speaker's `previous` turns already asked, else None."""
    before = [words for turn in previous for _, words in questions(turn)]
    for question, words in questions(text):
        for other in before:
            shared = len(words & other)
            if shared >= SAME_WORDS and shared >= SAME_SHARE * min(len(words), len(other)):
                return question
    return None


def questions(text: str) -> list[tuple[str, frozenset[str]]]:
    """Each sentence that asks (by its mark, or by how it begins) with its telling words."""
    found = []
    for sentence in re.findall(r"[^.!?]+[.!?]*", text):
        words = WORD.findall(sentence.lower().replace("\u2019", "'"))
        telling = frozenset(w for w in words if w not in EMPTY and w not in ASKING)
        head = next((w for w in words if w not in EMPTY), "")
        if telling and (sentence.rstrip().endswith("?") or head in ASKING):
            found.append((sentence.strip(), telling))
    return found
