"""`manage.py export FILE`: finished calls as CSV or Parquet, of any size, for the site's own warehouse."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from calls import auditing, exports, policy
from calls.models import Team


class Command(BaseCommand):
    help = "Write a row for each finished call. Agents are named only where the policy allows it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="ends with .csv or .parquet")
        parser.add_argument("--first", default="1970-01-02", help="first day (UTC), like 2026-01-31")
        parser.add_argument("--last", default="", help="last day, included; today")
        parser.add_argument("--team", default="", help="of this team only")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        if file.suffix not in (".csv", ".parquet"):
            raise CommandError(f"{file}: the name must end with .csv or .parquet.")
        first, last = _day(options["first"]), _day(options["last"] or timezone.now().date().isoformat())
        teams = Team.objects.filter(name=options["team"]) if options["team"] else Team.objects.all()
        if options["team"] and not teams:
            raise CommandError(f"There is no team {options['team']!r}.")
        named = not policy.current().hr_lock
        wanted = exports.Wanted(list(teams.values_list("pk", flat=True)), first, last, named=named)
        part = file.with_name(file.name + ".part")
        try:
            if file.suffix == ".csv":
                with part.open("w", newline="", encoding="utf-8") as text:
                    n = exports.write_csv(exports.rows(wanted), text)
            else:
                with part.open("wb") as raw:
                    n = exports.write_parquet(exports.rows(wanted), raw)
            os.replace(part, file)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
        auditing.exported(
            None, f"calls{file.suffix}", first=str(first), last=str(last), rows=n, named=named,
            by="command line", team=options["team"] or None,
        )  # fmt: skip
        self.stdout.write(f"{n} calls in {file}" + ("" if named else "; agents are not named (policy)"))


def _day(said: str) -> date:
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise CommandError(f"{said!r} is not a day: write it like 2026-01-31.") from None
