"""The planted set: nothing leaks from it, what identifies nobody stays, cuts and hostile texts do no harm."""

from __future__ import annotations

import csv
import json
import random
import re
import time

import pytest

from scoring.evaluate import main
from scoring.evaluate_redaction import Case, Conversation, read_cases, survives
from scoring.redact import redact
from tests.scoring import planted

LIMIT_OVER = 0.02
HOSTILE_CHARS, CPU_SECONDS = 10_000, 5.0


def test_the_file_is_what_the_generator_writes() -> None:
    with planted.CSV.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == list(planted.rows())
    assert len({row["text"] for row in rows}) >= 1200


def test_nothing_leaks_and_little_is_masked_in_vain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redaction", "--csv", str(planted.CSV), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["leaks"] == 0
    assert told["survivors_masked"] <= LIMIT_OVER * told["survivors"]
    assert told["over_redacted"] <= LIMIT_OVER * told["n"]


@pytest.mark.parametrize("seed", [101, 102])
def test_nothing_leaks_from_other_seeds(seed: int) -> None:
    for call in planted.calls(seed):
        talk = Conversation()
        for speaker, text in call.turns:
            talk.hear(speaker, text)
        case = Case((), tuple(call.secrets), tuple(call.keep), True, True, call.kind, "", "")
        for view in talk.views(len(call.turns)):
            assert not any(survives(s, view, case) for s in call.secrets), (call, talk.said)


def test_redacting_twice_is_redacting_once() -> None:
    for row in planted.rows():
        once = redact(row["text"]).text
        assert redact(once).text == once


READ_OUT = ("card", "card misheard", "card hesitating", "card corrected", "phone", "ssn")
"""Not IBANs: cut behind the bank, two digits on each side of its letters may show."""


YEAR = re.compile(r"\b(?:19|2[0o])[\do]{2}\b|\b(?:nineteen|twenty)[ -]\w+(?:[ -]\w+)?", re.I)
"""What was said so far reads as a year, and only a later digit tells that it is none."""


def test_a_text_cut_anywhere_between_words_leaks_nothing() -> None:
    r = random.Random(5)
    for case, row in zip(read_cases(planted.CSV), planted.rows(), strict=True):
        if row["family"] not in READ_OUT:
            continue
        text = row["text"]
        places = [m.start() for m in re.finditer(r"\s", text)]
        for cut in r.sample(places, min(6, len(places))):
            done = redact(text[:cut]).text
            left = YEAR.sub(" ", done)
            assert not any(survives(secret, left, case) for secret in case.secrets), (text[:cut], done)


HOSTILE = """a|1|one|4111|a.|a@|a b c at|x at y dot|oh|double|two threes|$1 dollars|1:23|12/12/12|for to too|card 1|
let me see|no wait|one, and|m as in mike|-|twenty-|1,|expires may|GB82 WEST|[card]|12.5 7|card 41 x|cvv|at|dot|that's|
uh|(|1x|0o|1998|order number|card number is is is|hundred|thousand and|pay with 1|1 is my pin""".replace(
    "\n", ""
).split("|")


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("gap", ["", " "])
def test_a_hostile_text_takes_bounded_time(piece: str, gap: str) -> None:
    text = ((piece + gap) * HOSTILE_CHARS)[:HOSTILE_CHARS]
    start = time.process_time()
    redact(text)
    assert time.process_time() - start < CPU_SECONDS
