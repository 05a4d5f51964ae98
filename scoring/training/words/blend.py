"""Fit how far phrase rules and heads are believed per label, on the calibration turns.

python -m scoring.training.words.blend [--own FOLDER] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from scoring.blend import HEAD_EDGE, RULE_EDGE, WEIGHTS, Blend, log_odds
from scoring.evaluate_contact_centre import KINDS, read_ways, table
from scoring.language import FusedLanguage, load_language
from scoring.training.labelled_turns import FOLDER, PRESENT, read_turns

from .fit import fit_stack

EDGES = {"rules": RULE_EDGE, "heads": HEAD_EDGE}
BEFORE = (0.3, 0.9)
"""Weights of rules and heads before the calibration turns are seen, since those are few …"""
PULL = 8.0
"""… and how strongly a fit is held to them."""
LEAST = (0.3, 0.0)
"""Rules keep this weight: the calibration turns' hard negatives were written against them, and a phrase that
an admin adds must be felt."""


def fit_blend(model: FusedLanguage, folder: Path) -> Blend:
    """Per label a logistic stack of the two log-odds, held to BEFORE by PULL."""
    turns = read_turns(folder)
    ways = read_ways(model, turns)
    fitted = {}
    for kind, (channel, names) in KINDS.items():
        rows = [n for n, turn in enumerate(turns) if turn.channel is channel]
        meant = table([getattr(turns[n], kind) for n in rows], names) >= PRESENT
        said = {way: table([getattr(ways[way][n], kind) for n in rows], names) for way in ("rules", "heads")}
        for column, name in enumerate(names):
            opinions = np.stack(
                [[log_odds(p, edge) for p in said[way][:, column]] for way, edge in EDGES.items()], axis=1
            )
            weights = fit_stack(opinions, meant[:, column], np.array(BEFORE), PULL, LEAST)
            rule, head, offset = (round(float(w), 3) for w in weights)
            fitted[name] = (rule, head, offset)
    return Blend(fitted)


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--own", type=Path, default=FOLDER, help="folder with calibrate/")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    model = load_language()
    if not isinstance(model, FusedLanguage):
        raise SystemExit("the language heads are not on this machine: nothing to blend with")
    blend = fit_blend(model, options.own / "calibrate")
    document = {"fitted_on": "contact_centre/calibrate", "labels": {k: list(v) for k, v in blend.of.items()}}
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    for name, weights in blend.of.items():
        rule, head, offset = weights
        print(f"{name:14} rules {rule:.2f}  heads {head:.2f}  offset {offset:+.2f}", file=sys.stderr)


if __name__ == "__main__":
    main()
