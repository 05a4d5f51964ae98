"""Makes written text look recognised: no marks, words misheard, dropped or said twice. On the fly, seeded."""

from __future__ import annotations

import random
import re

MARKS = re.compile(r"[^\w\s']+")
SOUND_ALIKE = {
    "their": ("there", "they're"), "there": ("their",), "they're": ("there",), "your": ("you're", "you"),
    "you're": ("your",), "to": ("two", "too"), "too": ("to",), "two": ("to", "too"), "for": ("four",),
    "four": ("for",), "its": ("it's",), "it's": ("its",), "hear": ("here",), "here": ("hear",),
    "know": ("no",), "no": ("know",), "right": ("write",), "by": ("buy",), "bye": ("by", "buy"),
    "are": ("our", "or"), "our": ("are", "hour"), "hour": ("our",), "then": ("than",), "than": ("then",),
    "would": ("wood",), "see": ("sea",), "new": ("knew",), "knew": ("new",), "one": ("won",), "won": ("one",),
    "wait": ("weight",), "weight": ("wait",), "bill": ("build",), "build": ("bill",), "fee": ("free",),
    "charged": ("charge",), "charge": ("charged",), "and": ("in", "an"),
    "in": ("and",), "an": ("and",), "the": ("a",), "a": ("the",), "been": ("bin",), "of": ("have",),
    "have": ("of",), "him": ("them",), "them": ("him",), "is": ("as",), "as": ("is",), "was": ("were",),
    "meter": ("metre", "me to"), "account": ("a count",), "order": ("older",), "refund": ("re fund",),
    "sorry": ("sorry sorry",), "i'm": ("im", "i am"), "i'll": ("all", "ill"),
    "we'll": ("well",), "well": ("we'll",), "so": ("sew",), "be": ("bee",), "through": ("threw",),
    "whole": ("hole",), "week": ("weak",), "mail": ("male",), "sent": ("cent",), "where": ("wear",),
    "which": ("witch",), "whether": ("weather",), "scared": ("scarred",), "worried": ("worry",),
}  # fmt: skip
FILLERS = ("um", "uh", "er", "like", "you know", "so", "well", "i mean")
NEVER_DROPPED = frozenset(
    [
        "not",
        "no",
        "never",
        "don't",
        "can't",
        "won't",
        "didn't",
        "isn't",
        "wasn't",
        "nothing",
        "nobody",
        "without",
    ]
)
"""Losing one of these would turn the label over."""


def misheard(text: str, rng: random.Random, rate: float = 0.06) -> str:
    """The text as a recogniser might give it; the meaning stays."""
    if rng.random() < 0.7:
        text = MARKS.sub(" ", text)
    if rng.random() < 0.5:
        text = text.lower()
    said: list[str] = []
    for word in text.split():
        plain = word.lower()
        chance = rng.random()
        if plain in NEVER_DROPPED:
            said.append(word)
        elif plain in SOUND_ALIKE and chance < 3 * rate:
            said.append(rng.choice(SOUND_ALIKE[plain]))
        elif chance < rate / 2:
            continue
        elif chance < rate:
            said += [word, word]
        elif chance < 1.5 * rate:
            said += [rng.choice(FILLERS), word]
        else:
            said.append(word)
    return " ".join(said) or text
