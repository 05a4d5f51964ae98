"""CSV files that people upload, read strictly: what is wrong is said in words, by line, and what they would
do is shown before it is done."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.utils.translation import gettext as _

MOST_BYTES = 500_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Refused(ValueError):
    """Cannot be done, said in words for the person who asked."""


@dataclass(frozen=True)
class Row:
    """A line, and what it would do."""

    line: int
    name: str
    errors: tuple[tuple[str, str], ...] = ()
    """(column or "", what is wrong)."""
    changes: tuple[tuple[str, Any, Any], ...] = ()
    """(what, before, after)."""
    is_new: bool = False


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Plan(Generic[R]):
    """What a file would do; nothing is written yet."""

    rows: tuple[R, ...] = ()
    trouble: str = ""
    """Why nothing of the file can be read."""
    text: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """Of what it would do: another one means that something changed meanwhile."""
        return hashlib.sha256(repr(self.rows).encode()).hexdigest()

    @property
    def bad(self) -> tuple[R, ...]:
        return tuple(row for row in self.rows if row.errors)

    @property
    def good(self) -> tuple[R, ...]:
        return tuple(row for row in self.rows if not row.errors and (row.is_new or row.changes))


def decoded(raw: bytes) -> str:
    """Text of an uploaded file. Refused with what to do about it."""
    if len(raw) > MOST_BYTES:
        raise Refused(
            _("The file has {n} bytes; at most {most} are read. Split it.").format(
                n=len(raw), most=MOST_BYTES
            )
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(
            _("The file is not UTF-8 (byte {at}): save it as “CSV UTF-8”.").format(at=error.start + 1)
        ) from error


def rows(
    text: str, columns: Sequence[str], needed: Sequence[str], most: int
) -> Iterator[tuple[int, dict[str, str], str]]:
    """(line, cells by column, what is wrong with the line or ""). Refused when the file is no such table.

    The first line names columns out of `columns`, at least one of `needed` among them.
    """
    if "\0" in text:
        raise Refused(_("The file holds a NUL character: it is no CSV, or it is damaged."))
    first = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if ";" in first else ",", strict=True
    )
    try:
        names = [name.strip().lower() for name in reader.fieldnames or []]
        _check_header(names, columns, needed)
        reader.fieldnames = names
        for count, cells in enumerate(reader):
            if count >= most:
                raise Refused(_("At most {most} rows are read. Split the file.").format(most=most))
            extra, wrong = cells.pop(None, None), ""  # type: ignore[call-overload]
            told = {name: cell for name, cell in cells.items() if cell is not None}
            if extra or len(told) < len(names):
                wrong = _("has {n} cells, the first line has {most}").format(
                    n=len(told) + len(extra or ()), most=len(names)
                )
            yield reader.line_num, {name: cell.strip() for name, cell in told.items()}, wrong
    except csv.Error as error:
        raise Refused(_("Line {n} is no CSV: {error}.").format(n=reader.line_num, error=error)) from error


def _check_header(names: Sequence[str], columns: Sequence[str], needed: Sequence[str]) -> None:
    unknown = [name for name in names if name not in columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if unknown or doubled or not set(needed) & set(names):
        wrong = ", ".join(repr(name) for name in (unknown or doubled)) or _("no {column}").format(
            column=", ".join(needed)
        )
        raise Refused(
            _("The first line must name columns out of {columns}; wrong: {wrong}.").format(
                columns=", ".join(columns), wrong=wrong
            )
        )


def cell(text: str) -> str:
    """Never a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def uncell(text: str) -> str:
    """What `cell` was given: an export can be read again as it is."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
