"""`manage.py refit`: fit the site's correction to its labels, look at it, put it into use or take it back."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from calls import refitting
from calls.models import RefitRun
from scoring.refit import Fit, TooFew, refusals, too_small


class Command(BaseCommand):
    help = "Fit heads and calibration to the site's own labels (docs/refit.md). Shipped weights never change."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seed", type=int, default=0, help="chooses the held-out calls")
        parser.add_argument("--dry-run", action="store_true", help="fit and tell, keep nothing")
        parser.add_argument("--switch", metavar="RUN", type=int, help="put a kept run into use")
        parser.add_argument("--rollback", action="store_true", help="back to what was in use before")
        parser.add_argument("--reason", default="", help="why; for the audit log")
        parser.add_argument(
            "--knows-few", action="store_true", help="you know of which groups too few turns tell"
        )
        parser.add_argument("--list", action="store_true", help="the kept runs")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["list"]:
                self.told(options, [summary(row) for row in RefitRun.objects.all()])
            elif options["switch"] is not None:
                row = RefitRun.objects.filter(pk=options["switch"]).first()
                if row is None:
                    raise CommandError(f"There is no run {options['switch']}: see refit --list.")
                refitting.switch(row, None, options["reason"], options["knows_few"])
                self.stdout.write(f"{row} is in use; workers follow within half a minute.")
            elif options["rollback"]:
                now = refitting.roll_back(None, options["reason"])
                self.stdout.write(f"{now or 'What is shipped'} is in use.")
            else:
                made, row = refitting.run(
                    refitting.shipped_language(), options["seed"], not options["dry_run"]
                )
                self.told(options, report(made, row))
        except (refitting.Refused, TooFew) as error:
            raise CommandError(str(error)) from error

    def told(self, options: dict[str, Any], document: Any) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(document))
            return
        for line in document if isinstance(document, list) else words(document):
            self.stdout.write(json.dumps(line) if isinstance(line, dict) else line)


def summary(row: RefitRun) -> dict[str, Any]:
    return {
        "run": row.pk, "made_at": row.made_at.isoformat(), "digest": row.digest, "in_use": row.is_in_use,
        "counts": row.counts, "against": refitting.reasons_against(row),
    }  # fmt: skip


def report(made: Fit, row: RefitRun | None) -> dict[str, Any]:
    return {
        "run": row.pk if row else None, "digest": row.digest if row else None, "counts": made.counts,
        "fitted": list(made.fitted), "figures": made.figures, "bias": made.bias, "gaps": made.gaps,
        "against": refusals(made.figures, made.gaps, settings.REFIT_MAX_GAP),
        "too_few_to_say": too_small(made.bias),
    }  # fmt: skip


def words(document: dict[str, Any]) -> list[str]:
    counts = document["counts"]
    lines = [
        f"{counts['turns']} labelled turns in {counts['calls']} calls; {counts['held_out_calls']} held out."
    ]
    lines.append(f"Fitted: {', '.join(document['fitted'])}.")
    for family, told in document["figures"].items():
        for name in ("uar", "macro_f1", "log_loss", "ece"):
            lines.append(f"{family:<12}{name:<10}{told['old'][name]!s:>9} → {told['new'][name]!s:>9}")
        low, high = told["change"]["uar_interval"]
        lines.append(f"{family:<12}UAR changes by {told['change']['uar']} (95 % {low} to {high})")
    for gap in document["gaps"]:
        between = f"{gap['old']} → {gap['new']}" if gap["old"] is not None else "too few to say"
        lines.append(f"{gap['family']:<12}gap by {gap['attribute']:<8}{between}")
    if document["too_few_to_say"]:
        lines.append(
            f"Too few turns to say how it hears {', '.join(document['too_few_to_say'])}: --knows-few."
        )
    lines += [f"Not to be switched: {reason}" for reason in document["against"]]
    if document["run"] is not None:
        lines.append(
            f"Kept as run {document['run']}. To use it: manage.py refit --switch {document['run']} --reason …"
        )
    return lines
