"""`manage.py models pull|verify|list [name …]`: the open weights scoring needs."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from scoring import assets


class Command(BaseCommand):
    help = "Fetch, check or list the open model weights that scoring uses."
    requires_system_checks = ()  # it is what you run to get past the check for missing models

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["pull", "verify", "list"])
        parser.add_argument("names", nargs="*", metavar="name", help=", ".join(assets.ASSETS))

    def handle(self, *args: Any, **options: Any) -> None:
        code = assets.run(options["action"], options["names"], say=self.stdout.write)
        if code:
            sys.exit(code)
