"""`python -m bench`: every bench; `python -m bench calls …`: one of them; `… shots`: pictures."""

from __future__ import annotations

import importlib
import os
import sys

import django

BENCHES = ("calls", "floor_tick", "fuzz", "nudges", "openings", "trends", "voice_serving")
ASKED = ("shots",)
"""Run only when asked for: they measure nothing."""


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "empathy_dash.settings")
    django.setup()
    names = [sys.argv[1]] if len(sys.argv) > 1 else list(BENCHES)
    if names[0] not in BENCHES + ASKED:
        print(f"No bench {names[0]!r}: choose of {', '.join(BENCHES + ASKED)}.", file=sys.stderr)
        return 2
    return max(importlib.import_module(f"bench.{name}").main(sys.argv[2:]) for name in names)


sys.exit(main())
