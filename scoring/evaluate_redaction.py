"""The `redaction` task of `python -m scoring.evaluate` (SCIENCE §9): what leaks, what is masked in vain.

Reads what redaction left as somebody after the number would: figures and words, any marks between, turns
joined. It shares no code with the matching in `scoring.redact`. docs/redaction.md tells the CSV's format.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scoring.evaluate_input import read_rows
from scoring.redact import Carry, Redacted, redact
from scoring.training.data import DataError

Report = dict[str, Any]

TEXT_COLUMNS = (
    "text",
    "utterance",
    "transcript",
    "input",
    "turn_text",
    "turns",
    "sentence",
    "original",
    "raw",
)
SECRET_COLUMNS = (
    *("secret", "secrets", "planted", "must_mask", "must_not_appear", "leak", "forbidden", "digits"),
    *("value", "values", "pii", "sensitive", "sensitive_text", "entity", "entities"),
)
SPAN_COLUMNS = ("spans", "span", "masks", "offsets")
MASKED_COLUMNS = ("redacted", "masked", "expected", "expected_text", "expected_redacted", "target", "gold")
LABEL_COLUMNS = (
    "label",
    "labels",
    "kind",
    "type",
    "redact",
    "is_sensitive",
    "has_pii",
    "expected",
    "category",
)
KEEP_COLUMNS = ("keep", "must_keep", "keeps", "survive", "survivors", "must_survive", "benign", "allowed")
KIND_COLUMNS = ("kind", "type", "category")
CALL_COLUMNS = ("call", "call_id", "conversation", "conversation_id", "dialogue", "dialog", "group")
WHO_COLUMNS = ("channel", "speaker", "who", "role")
ACCEPTED = (
    f"a column of text ({', '.join(TEXT_COLUMNS)}) and one of secrets ({', '.join(SECRET_COLUMNS)}), "
    f"spans ({', '.join(SPAN_COLUMNS)}), masked text ({', '.join(MASKED_COLUMNS)}) or labels "
    f"({', '.join(LABEL_COLUMNS)}); optional: keep ({', '.join(KEEP_COLUMNS)}), kind, call "
    f"({', '.join(CALL_COLUMNS)}) and speaker ({', '.join(WHO_COLUMNS)})"
)
SPANS = (
    '[[27, 32]], [{"start": 27, "end": 32}], 27-32 or 27:32 (several: 27:32;40:44), or nothing; '
    "characters of the text, counted from 0, the end not included"
)
SECRETS = (
    "words as in the text or a number in any spelling (several: | or ; between, or a JSON list), or nothing"
)
NO_PARTS = ("", "none", "null", "nan", "[]", "{}")
NOTHING_PLANTED = frozenset(
    ("", "0", "no", "none", "false", "clean", "negative", "neg", "keep", "safe", "benign", "ok", "o")
    + ("survivor", "false friend", "false_friend", "not_sensitive", "[]", "{}", "n", "f", "null", "nan")
)
PAIR = r"\d+\s*[-:,]\s*\d+"
PLAIN_SPANS = re.compile(rf"{PAIR}(\s*[;,|\s]\s*{PAIR})*")
MASK = re.compile(r"\[[^\]]*\]|<[^>]*>|\*{3,}|█+")
SAID_IN_MAIL = re.compile(r"\b(?:at|dot|point|underscore|dash|hyphen)\b", re.I)
RUN = 4  # so many digits in a row of a longer secret are a leak
SHOWN = 100


def redaction_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csv", type=Path, required=True, help=ACCEPTED)


@dataclass(frozen=True)
class Case:
    """One row: the turns it holds, what must not survive in them and what must."""

    turns: tuple[str, ...]
    secrets: tuple[str, ...]
    keep: tuple[str, ...]
    planted: bool
    named: bool
    """The secrets are named; else only that there is one."""
    kind: str
    call: str
    speaker: str


@dataclass
class Conversation:
    """Redacts the turns of a call in order, as the engine does, and remembers what it let through."""

    carries: dict[str, Carry] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)

    def hear(self, speaker: str, text: str) -> Redacted:
        others = [carry for who, carry in self.carries.items() if who != speaker]
        done = redact(text, self.carries.get(speaker), others)
        self.carries[speaker] = done.carry
        self.said.append((speaker, done.text))
        return done

    def views(self, turns: int) -> Iterator[str]:
        """The last `turns` turns alone, joined to the turns before, and to the speaker's own before."""
        if not turns:
            return
        last = self.said[-turns:]
        yield " ".join(text for _, text in last)
        yield " ".join(text for _, text in self.said[-turns - 8 :])
        yield " ".join(text for who, text in self.said[-turns - 16 :] if who == last[-1][0])

    def everything(self, speaker: str) -> tuple[str, str]:
        """All that was said, and what this speaker said of it."""
        return (
            " ".join(text for _, text in self.said),
            " ".join(text for who, text in self.said if who == speaker),
        )


def redaction(options: argparse.Namespace) -> tuple[Report, str]:
    """Leaks: rows after which a planted secret (or, if not named, anything) can be read. n: rows."""
    calls: dict[str, Conversation] = {}
    leaks, over, survivors, survivors_masked, n, planted = [], [], 0, 0, 0, 0
    cases = list(read_cases(options.csv))
    check_secrets(cases, options.csv)
    for n, case in enumerate(cases, 1):
        talk = calls.setdefault(case.call, Conversation()) if case.call else Conversation()
        done = [talk.hear(case.speaker, text) for text in case.turns]
        planted += case.planted
        views = list(talk.views(len(done)))
        masked = any(turn.masks for turn in done)
        if case.named:
            leaked = any(survives(s, v, case) for s in case.secrets for v in views)
        else:
            leaked = case.planted and not masked
        lost = [part for part in case.keep if not any(part in turn.text for turn in done)]
        survivors += len(case.keep)
        survivors_masked += len(lost)
        if leaked:
            leaks.append(n)
        if lost or (not case.planted and masked):
            over.append(n)
    report = {
        "leaks": len(leaks),
        "over_redacted": len(over),
        "n": n,
        "planted": planted,
        "survivors": survivors,
        "survivors_masked": survivors_masked,
        "leak_rows": leaks[:SHOWN],
        "over_redacted_rows": over[:SHOWN],
    }
    told = f"{len(leaks)} leaks in {planted} planted rows, {len(over)} over-redacted, of {n}"
    return report, f"{told}; {survivors_masked} of {survivors} phrases to keep were masked"


# --- what can still be read -------------------------------------------------------------------


def _counted(words: str, first: int) -> dict[str, str]:
    return {word: str(n) for n, word in enumerate(words.split(), first)}


DIGIT = _counted("zero one two three four five six seven eight nine", 0) | {
    "oh": "0",
    "o": "0",
    "nought": "0",
    "niner": "9",
}
TEEN = _counted("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 10)
TEN = _counted("twenty thirty forty fifty sixty seventy eighty ninety", 2)
HEARD_AS = {"to": "2", "too": "2", "for": "4", "fore": "4", "won": "1", "ate": "8", "tree": "3"}
AGAIN = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def survives(secret: str, text: str, case: Case | None = None) -> bool:
    """As written; as letters with anything between; or enough digits of it in a row, however said."""
    kind = case.kind.lower() if case else ""
    for part in case.keep if case else ():
        text = text.replace(part, " ")
    text = MASK.sub(" ", text)
    if "@" in secret:
        text = SAID_IN_MAIL.sub(" ", text)
    if not any(c.isdigit() for c in secret) and not _said(secret):
        return _collapsed(secret) in _collapsed(text)
    if any(c.isalpha() for c in secret) and _collapsed(secret) in _collapsed(text):
        return True
    if "@" in secret:
        return False
    digits = "".join(c for c in secret if c.isdigit()) or _said(secret)
    if "expir" in kind or kind == "exp":
        return _date_survives(digits, text)
    run = min(len(digits), 3 if len(digits) < RUN or kind in ("cvv", "cvc") else RUN)
    if len(digits) <= 6 and kind not in ("cvv", "cvc"):
        run = len(digits)
    grams = {digits[i : i + run] for i in range(len(digits) - run + 1)}
    return len(digits) > 1 and any(gram in said for gram in grams for said in readings(text))


def readings(text: str) -> set[str]:
    """Every digit a reader could get out of the text, in order: hundreds as said or as noughts, and
    words that only sound like digits where several stand together."""
    plain = {_said(text, hundreds=h) for h in (False, True)}
    words = re.findall(r"[a-z]+|\d+", text.lower())
    together, run = [], []
    for word in [*words, ""]:
        if word in HEARD_AS or _said(word):
            run.append(HEARD_AS.get(word) or _said(word))
        else:
            together += run if len(run) >= RUN - 1 else []
            run = []
    return plain | {"".join(together)}


def _said(text: str, *, hundreds: bool = False) -> str:
    words = re.findall(r"[^\W\d_]+|\d+", text.lower())
    out: list[str] = []
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        if word.isdecimal():
            out.append("".join(str(int(c)) for c in word))
        elif word in DIGIT:
            out.append(DIGIT[word] * AGAIN.get(before, 1))
        elif word in TEEN:
            out.append(TEEN[word])
        elif word in TEN:
            out.append(TEN[word] + ("" if DIGIT.get(after, "0") != "0" else "0"))
        elif word.rstrip("s") in DIGIT and before in DIGIT:
            out[-1:] = [DIGIT[word.rstrip("s")] * max(1, int(DIGIT[before]))]
        elif hundreds and out and word in ("hundred", "thousand"):
            out.append("00" if word == "hundred" else "000")
    return "".join(out)


def _date_survives(digits: str, text: str) -> bool:
    month, year = digits[:2], digits[-2:]
    said = _said(text)
    if any(form in said for form in (month + year, month + "20" + year)):
        return True
    named = re.search(MONTHS[int(month) - 1] + r"[a-z]*\b", text, re.I) if 0 < int(month) < 13 else None
    return named is not None and year in _said(text[named.end() :])


def _collapsed(text: str) -> str:
    return re.sub(r"[\W_]", "", re.sub(r"\b([a-z]) (?:as in|for|like) [a-z]+", r"\1", text.lower()))


# --- rows -------------------------------------------------------------------------------------


def read_cases(path: Path) -> Iterator[Case]:
    """The rows of a CSV in any of the formats of docs/redaction.md. Raises DataError."""
    rows = read_rows(path, ACCEPTED)
    names = {name.strip().lower().replace(" ", "_"): name for name in rows[0]}

    def column(known: Sequence[str]) -> str | None:
        return next((names[name] for name in known if name in names), None)

    text, secret, spans = column(TEXT_COLUMNS), column(SECRET_COLUMNS), column(SPAN_COLUMNS)
    masked = column(MASKED_COLUMNS)
    if masked and not any(MASK.search(row[masked]) for row in rows):
        masked = None
    label, keep, kind = column(LABEL_COLUMNS), column(KEEP_COLUMNS), column(KIND_COLUMNS)
    if text is None or (secret or spans or masked or label) is None:
        raise DataError(f"{path} has the columns {', '.join(names)}; expected {ACCEPTED}")
    call, who = column(CALL_COLUMNS), column(WHO_COLUMNS)
    for number, row in enumerate(rows, 1):
        written = row[text]
        try:
            secrets = _parts(row[secret]) if secret else ()
            if spans and not secrets:
                secrets = tuple(written[a:b] for a, b in _spans(row[spans], len(written)))
            if masked and not secrets:
                secrets = _masked_away(written, row[masked])
        except ValueError as error:
            raise DataError(f"{path} row {number}: {error}") from error
        named = bool(secret or spans or masked)
        marked = row[label].strip().lower() not in NOTHING_PLANTED if label else False
        yield Case(
            turns=_turns(written),
            secrets=secrets,
            keep=_parts(row[keep]) if keep else (),
            planted=bool(secrets) if named else marked,
            named=named,
            kind=row[kind] if kind else "",
            call=row[call] if call else "",
            speaker=row[who] if who else "",
        )


def check_secrets(cases: Sequence[Case], path: Path) -> None:
    """DataError for a secret that nobody said: it could never be counted as a leak.

    In a call it may stand in another turn, and a number may be cut off before all of it is said."""
    calls: dict[str, Conversation] = {}
    talks = [calls.setdefault(case.call, Conversation()) if case.call else Conversation() for case in cases]
    for talk, case in zip(talks, cases, strict=True):
        talk.said += [(case.speaker, text) for text in case.turns]
    for number, (talk, case) in enumerate(zip(talks, cases, strict=True), 1):
        everybody, speaker = talk.everything(case.speaker)
        for secret in case.secrets:
            cut_off = case.call and len(_said(speaker)) < len(_said(secret))
            if not (cut_off or _stands_in(everybody, secret, case) or _stands_in(speaker, secret, case)):
                raise DataError(
                    f"{path} row {number}: the secret {secret!r} is not in the text; expected {SECRETS}"
                )


def _stands_in(text: str, secret: str, case: Case) -> bool:
    """As a leak would be read, or a number but for its noughts: "thirty four" for 304, 1/33 for 01/33."""
    if secret in text or survives(secret, text, replace(case, keep=())):
        return True
    figures = _said(secret).replace("0", "")
    return figures != "" and any(figures in said.replace("0", "") for said in readings(text))


def _turns(written: str) -> tuple[str, ...]:
    """One turn, or several as a JSON list or between ||."""
    listed = _json(written)
    if isinstance(listed, list):
        return tuple(str(turn.get("text", "") if isinstance(turn, dict) else turn) for turn in listed)
    return tuple(turn.strip() for turn in written.split("||"))


def _parts(value: str) -> tuple[str, ...]:
    """Several between | or ;, or a JSON list."""
    listed = _json(value)
    if isinstance(listed, list):
        parts = [str(p.get("text") or p.get("value") if isinstance(p, Mapping) else p) for p in listed]
        if any(isinstance(p, Mapping) and not (p.get("text") or p.get("value")) for p in listed):
            raise ValueError(f"cannot read {value!r}; expected {SECRETS}")
    else:
        parts = re.split(r"[|;]", value)
    return tuple(p.strip() for p in parts if p.strip() and p.strip().lower() not in NO_PARTS)


def _spans(value: str, length: int) -> list[tuple[int, int]]:
    """(start, end) pairs in any of the formats SPANS; ValueError where one is not in a text this long."""
    spans = _pairs(value.strip())
    if spans is None:
        raise ValueError(f"cannot read the spans {value!r}; expected {SPANS}")
    for start, end in spans:
        if not 0 <= start < end <= length:
            raise ValueError(
                f"the span {start}-{end} is outside the text, which has {length} characters; expected {SPANS}"
            )
    return spans


def _pairs(value: str) -> list[tuple[int, int]] | None:
    if value.lower() in NO_PARTS:
        return []
    if PLAIN_SPANS.fullmatch(value):
        ends = [int(figures) for figures in re.findall(r"\d+", value)]
        return list(zip(ends[::2], ends[1::2], strict=True))
    try:
        listed = _json(value) or ast.literal_eval(value)  # JSON, or what Python prints
        single = isinstance(listed, Mapping) or isinstance(listed[0], int)
        return [_ends(span) for span in ([listed] if single else listed)]
    except (ValueError, TypeError, KeyError, IndexError, SyntaxError, MemoryError, RecursionError):
        return None


def _ends(span: Any) -> tuple[int, int]:
    if isinstance(span, str):
        raise ValueError("a string is no pair")
    start, end = (span["start"], span["end"]) if isinstance(span, Mapping) else span[:2]
    return int(str(start)), int(str(end))


def _masked_away(written: str, masked: str) -> tuple[str, ...]:
    """What the masked text no longer says."""
    pattern = "(.*?)".join(re.escape(part) for part in MASK.split(masked))
    found = re.fullmatch(pattern, written, re.S)
    if found is None:
        raise ValueError(
            "the masked text is not the text; expected the same with [anything] where it is masked"
        )
    parts = tuple(part.strip() for part in found.groups() if part.strip())
    if found.groups() and not parts:
        raise ValueError("the masked text masks nothing of the text")
    return parts


def _json(value: str) -> Any:
    if not value.lstrip().startswith("["):
        return None
    try:
        return json.loads(value)
    except ValueError:
        return None
