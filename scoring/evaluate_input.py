"""Reads the files that `scoring.evaluate` is given. Whatever is wrong is a DataError that names the file,
the row (1: the first below the header) and what was expected. Knows no task."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scoring.training.data import DataError

Row = dict[str, str]


def read_text(path: Path, expected: str) -> str:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; expected {expected}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({why}); expected {expected}") from None
    if not text.strip():
        raise DataError(f"{path} is empty; expected {expected}")
    return text


def read_json(path: Path, expected: str) -> Any:
    try:
        return json.loads(read_text(path, expected))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}); expected {expected}") from None


def read_rows(path: Path, expected: str, columns: Iterable[str] = ()) -> list[Row]:
    """The rows of a CSV that has these columns and in every row as many fields as the header."""
    reader = csv.DictReader(io.StringIO(read_text(path, expected), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{path} line {reader.reader.line_num}: {error}; expected {expected}") from None
    names = reader.fieldnames or []
    if missing := [name for name in columns if name not in names]:
        raise DataError(f"{path}: no column {', '.join(missing)}; expected {expected}")
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise DataError(
                f"{path} row {number}: expected {len(names)} fields as in the header; "
                "put a text with commas in quotes"
            )
    if not rows:
        raise DataError(f"{path} has no rows; expected {expected}")
    return rows


def read_number(row: Row, column: str, where: str) -> float:
    try:
        number = float(row[column])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}, {column}: expected a number, not {row[column]!r}")
    return number
