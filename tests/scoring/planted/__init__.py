"""The planted set of redaction: what callers read out, as a recogniser prints it, and what only looks alike.

Written from the side of who wants the number, without a look at how `scoring.redact` finds it: it
shares no word list with it. `python -m tests.scoring.planted` writes tests/data/redaction/planted.csv
anew; the same seed gives the same file.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from tests.scoring.planted.call import Call
from tests.scoring.planted.families import (
    cards,
    codes,
    corrections,
    cvvs,
    emails,
    expiries,
    hostile,
    ibans,
    over_turns,
    partials,
    phones,
    socials,
)
from tests.scoring.planted.friends import friends

CSV = Path(__file__).parents[2] / "data" / "redaction" / "planted.csv"
COLUMNS = ("call", "turn", "speaker", "text", "secret", "kind", "keep", "family")

FAMILIES = (
    cards,
    corrections,
    over_turns,
    partials,
    cvvs,
    expiries,
    socials,
    ibans,
    phones,
    emails,
    codes,
    hostile,
    friends,
)


def calls(seed: int = 8) -> Iterator[Call]:
    for family in FAMILIES:
        r = random.Random(f"{seed} {family.__name__}")
        for call in family(r):
            if call.secrets and not call.keep:
                call.turns = [(who, dress(r, text)) for who, text in call.turns]
            yield call


def rows(seed: int = 8) -> Iterator[dict[str, str]]:
    for number, call in enumerate(calls(seed), 1):
        for turn, (speaker, text) in enumerate(call.turns, 1):
            yield {
                "call": str(number),
                "turn": str(turn),
                "speaker": speaker,
                "text": text,
                "secret": "|".join(call.secrets),
                "kind": call.kind,
                "keep": "|".join(k for k in call.keep if k in text),
                "family": call.family,
            }


def dress(r: random.Random, text: str) -> str:
    """Recognisers differ in case and marks."""
    return r.choice(
        [text, text, text, text.lower(), text.upper(), re.sub(r"(?<=\w)[.,?!](?=\s|$)", "", text)]
    )
