"""How far phrase rules and trained heads are believed, per label: a logistic stack of their log-odds.

The numbers are fitted on our calibration turns by `python -m scoring.training.words.blend`, shipped as JSON
so that people can read them and a site can fit its own. Pure arithmetic, no numpy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights" / "language" / "blend.json"
RULE_EDGE = 0.05
"""Rules say 0 when they found nothing: weak evidence against, so their odds are cut here."""
HEAD_EDGE = 0.001
"""Heads tell small probabilities apart: cutting them cost a third of what they rank (AUC .83 to .76)."""
UNFITTED = (1.0, 0.9)
"""Without a fit: rules as they are, heads a little less (SCIENCE §2), whichever says more."""


def log_odds(p: float, edge: float) -> float:
    p = min(1 - edge, max(edge, p))
    return math.log(p / (1 - p))


@dataclass(frozen=True)
class Blend:
    """Per label the weights of rules and heads, and an offset."""

    of: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path = WEIGHTS) -> Blend:
        """ValueError for a file that is not per label three numbers."""
        try:
            raw = json.loads(file.read_text())["labels"]
            return cls({str(k): (float(r), float(h), float(o)) for k, (r, h, o) in raw.items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{file} does not hold a blend of rules and heads: {error!r}") from error

    def __call__(self, label: str, rules: float, heads: float) -> float:
        """Probability 0-1 of `label` given what rules and heads say of it, each 0-1."""
        if label not in self.of:
            r, h = UNFITTED
            return 1.0 - (1.0 - r * rules) * (1.0 - h * heads)
        r, h, offset = self.of[label]
        return 1 / (1 + math.exp(-(r * log_odds(rules, RULE_EDGE) + h * log_odds(heads, HEAD_EDGE) + offset)))
