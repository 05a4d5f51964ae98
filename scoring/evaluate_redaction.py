"""The `redaction` task of `python -m scoring.evaluate` (SCIENCE §9): what leaks, what is masked in vain.

Reads what redaction left as somebody after the number would: figures and words, any marks between, turns
joined. It shares no code with the matching in `scoring.redact`. docs/redaction.md tells the CSV's format.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
NOTHING_PLANTED = frozenset(
    ("", "0", "no", "none", "false", "clean", "negative", "neg", "keep", "safe", "benign", "ok", "o")
    + ("survivor", "false friend", "false_friend", "not_sensitive", "[]", "{}", "n", "f", "null", "nan")
)
MASK = re.compile(r"\[[^\]]*\]|<[^>]*>|\*{3,}|█+")
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


def redaction(options: argparse.Namespace) -> tuple[Report, str]:
    """Leaks: rows after which a planted secret (or, if not named, anything) can be read. n: rows."""
    calls: dict[str, Conversation] = {}
    leaks, over, survivors, survivors_masked, n, planted = [], [], 0, 0, 0, 0
    for n, case in enumerate(read_cases(options.csv), 1):
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
    rows, names = _read(path)

    def column(known: Sequence[str]) -> str | None:
        return next((names[name] for name in known if name in names), None)

    text, secret, spans = column(TEXT_COLUMNS), column(SECRET_COLUMNS), column(SPAN_COLUMNS)
    masked = column(MASKED_COLUMNS)
    if masked and not any(MASK.search(row.get(masked) or "") for row in rows):
        masked = None
    label, keep, kind = column(LABEL_COLUMNS), column(KEEP_COLUMNS), column(KIND_COLUMNS)
    if text is None or (secret or spans or masked or label) is None:
        raise DataError(f"{path} has the columns {', '.join(names)}; it needs {ACCEPTED}")
    call, who = column(CALL_COLUMNS), column(WHO_COLUMNS)
    for number, row in enumerate(rows, 2):
        written = row.get(text) or ""
        secrets: tuple[str, ...] = ()
        kept = _parts(row.get(keep)) if keep else ()
        try:
            if secret:
                secrets = _parts(row.get(secret))
            elif spans:
                secrets = tuple(written[a:b] for a, b in _spans(row.get(spans)))
            elif masked:
                secrets = _masked_away(written, row.get(masked) or "")
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} line {number}: {error}") from error
        named = bool(secret or spans or masked)
        marked = (row.get(label) or "").strip().lower() not in NOTHING_PLANTED if label else False
        yield Case(
            turns=_turns(written),
            secrets=secrets,
            keep=kept,
            planted=bool(secrets) if named else marked,
            named=named,
            kind=(row.get(kind) or "") if kind else "",
            call=(row.get(call) or "") if call else "",
            speaker=(row.get(who) or "") if who else "",
        )


def _read(path: Path) -> tuple[list[dict[str, str]], dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}") from error
    if not rows:
        raise DataError(f"{path} has no rows")
    return rows, {name.strip().lower().replace(" ", "_"): name for name in rows[0] if name}


def _turns(written: str) -> tuple[str, ...]:
    """One turn, or several as a JSON list or between ||."""
    listed = _json(written)
    if isinstance(listed, list):
        return tuple(str(turn.get("text", "") if isinstance(turn, dict) else turn) for turn in listed)
    return tuple(turn.strip() for turn in written.split("||"))


def _parts(value: str | None) -> tuple[str, ...]:
    """Several between | or ;, or a JSON list."""
    listed = _json(value or "")
    if isinstance(listed, list):
        parts = [
            str(p.get("text") or p.get("value") or "") if isinstance(p, Mapping) else str(p) for p in listed
        ]
    else:
        parts = re.split(r"[|;]", value or "")
    return tuple(p.strip() for p in parts if p.strip() and p.strip().lower() not in ("none", "null", "nan"))


def _spans(value: str | None) -> Iterator[tuple[int, int]]:
    """[[start, end], …], [{"start": …, "end": …}, …] or "start-end, start:end"."""
    listed = _json(value or "")
    if isinstance(listed, list):
        flat = listed and all(isinstance(x, int) for x in listed)
        for span in [listed] if flat else listed:
            if isinstance(span, Mapping):
                yield int(span["start"]), int(span["end"])
            else:
                yield int(span[0]), int(span[1])
        return
    for found in re.finditer(r"(\d+)\s*[-:,]\s*(\d+)", value or ""):
        yield int(found[1]), int(found[2])


def _masked_away(written: str, masked: str) -> tuple[str, ...]:
    """What the masked text no longer says."""
    pattern = "(.*?)".join(re.escape(part) for part in MASK.split(masked))
    found = re.fullmatch(pattern, written, re.S)
    if found is None:
        raise ValueError("the masked text does not fit the text")
    return tuple(part.strip() for part in found.groups() if part.strip())


def _json(value: str) -> Any:
    if not value.lstrip().startswith("["):
        return None
    try:
        return json.loads(value)
    except ValueError:
        return None
