"""Small charts of weeks and of calls, as numbers for a template's SVG, and what may be said of them.

Pure; no queries. Every coordinate is a string already, so that no language puts a comma into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from math import sqrt
from statistics import median
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext

from calls.rollups import BINS, Quartiles

ENOUGH_CALLS = 8
"""With fewer the notch of a median (1.57 IQR / √n) is wider than half the calls' own spread."""
ENOUGH_WEEKS = 3
"""One week to speak of and two before it: a single one is no habit to compare with."""
NOTCH = 1.57
"""Medians whose notches do not overlap differ at about 95 % (McGill, Tukey and Larsen 1978)."""
NOTCH_SHARE = 1.39
"""The same for shares: 1.96 / √2 standard errors."""

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, FLOOR = 30, 8, 10, 112
"""The plot's edges; under its floor stand the bars of n and the dates."""
BAR_FLOOR, BAR_MOST = 134, 16


@dataclass(frozen=True)
class Point:
    """One week, on a scale of 0-100. Without `low` and `high` it is a share with no spread of its own."""

    n: int
    middle: float
    noise: float
    """Half the notch: medians nearer than their noises together are not told apart."""
    low: float | None = None
    high: float | None = None


Line = Sequence[tuple[date, Point | None]]


def spread_point(told: Quartiles, factor: float) -> Point:
    q1, middle, q3 = (value * factor for value in (told.q1, told.median, told.q3))
    return Point(told.n, middle, NOTCH * (q3 - q1) / sqrt(told.n), q1, q3)


def share_point(part: float, whole: float) -> Point | None:
    """Of all of a week's together, where a call has too few for a share of its own."""
    if whole < 1:
        return None
    share = min(1.0, part / whole)
    return Point(round(whole), 100 * share, 100 * NOTCH_SHARE * sqrt(share * (1 - share) / whole))


# --- what may be said ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    tone: str
    """up | same | down: against the weeks before; few: not enough to say; none: nothing at all."""
    now: Point | None = None
    week: date | None = None
    before: float | None = None
    weeks: int = 0
    """With enough calls."""


def claim(line: Line, step: float) -> Claim:
    """The newest week with enough calls against those before it; `step`: what is too little to matter."""
    enough = [(week, point) for week, point in line if point and point.n >= ENOUGH_CALLS]
    if not any(point for _, point in line):
        return Claim("none")
    if len(enough) < ENOUGH_WEEKS:
        return Claim("few", weeks=len(enough))
    (week, now), earlier = enough[-1], [point for _, point in enough[:-1]]
    before = median(point.middle for point in earlier)
    noise = median(point.noise * sqrt(point.n) for point in earlier) / sqrt(sum(p.n for p in earlier))
    change = now.middle - before
    told_apart = abs(change) >= step and abs(change) > now.noise + noise
    tone = ("up" if change > 0 else "down") if told_apart else "same"
    return Claim(tone, now, week, before, len(enough))


def day(week: date) -> str:
    return date_format(week, "j M")


# --- drawings ------------------------------------------------------------------------------------


def weeks_drawing(line: Line, words: Sequence[str], marks: Sequence[date] = ()) -> dict[str, Any]:
    """A median line in its band of quartiles over the weeks, with bars of n; a week without calls is a gap.

    `words`: what to read out for each week. `marks`: weeks from which on a new rubric scored.
    """
    places = [(n, week, point) for n, (week, point) in enumerate(line)]
    step = (WIDTH - LEFT - RIGHT) / max(1, len(line))
    most = max((point.n for _, point in line if point), default=1)

    def x(n: float) -> float:
        return LEFT + (n + 0.5) * step

    runs = [
        [(n, point) for n, _, point in run if point]
        for known, run in groupby(places, key=lambda place: place[2] is not None)
        if known
    ]
    return {
        "view": f"0 0 {WIDTH} {HEIGHT}",
        "grid": [{"y": y_at(v), "label_y": f"{_y(v) + 4:.1f}", "value": v} for v in (0, 50, 100)],
        "left": f"{LEFT}",
        "right": f"{WIDTH - RIGHT}",
        "band": "".join(band(run, x, step) for run in runs),
        "line": "".join(
            "M" + "L".join(f"{x(n):.1f} {y_at(point.middle)}" for n, point in run) for run in runs
        ),
        "weeks": [
            {
                "x": f"{LEFT + n * step:.1f}",
                "width": f"{step:.1f}",
                "cx": f"{x(n):.1f}",
                "cy": y_at(point.middle) if point else "",
                "enough": bool(point and point.n >= ENOUGH_CALLS),
                "bar_x": f"{x(n) - step * 0.35:.1f}",
                "bar_width": f"{step * 0.7:.1f}",
                "bar_y": f"{BAR_FLOOR - BAR_MOST * point.n / most:.1f}" if point else "",
                "bar_height": f"{BAR_MOST * point.n / most:.1f}" if point else "",
                "words": said,
            }
            for (n, _, point), said in zip(places, words, strict=True)
        ],
        "marks": [f"{LEFT + n * step:.1f}" for n, week, _ in places if week in marks and n],
        "top": f"{TOP}",
        "floor": f"{FLOOR}",
        "height": f"{FLOOR - TOP}",
        "first": day(line[0][0]) if line else "",
        "last": day(line[-1][0]) if line else "",
        "label_y": f"{HEIGHT - 3}",
    }


def band(run: Sequence[tuple[int, Point]], x: Any, step: float) -> str:
    """A closed path around quartiles; of a week alone a narrow one."""
    edges = [(x(n), p.low, p.high) for n, p in run if p.low is not None and p.high is not None]
    if not edges:
        return ""
    if len(edges) == 1:
        at, low, high = edges[0]
        edges = [(at - step / 4, low, high), (at + step / 4, low, high)]
    there = [f"{at:.1f} {y_at(high)}" for at, _, high in edges]
    back = [f"{at:.1f} {y_at(low)}" for at, low, _ in reversed(edges)]
    return f"M{'L'.join(there + back)}Z"


def _y(value: float) -> float:
    return FLOOR - (FLOOR - TOP) * min(100.0, max(0.0, value)) / 100


def y_at(value: float | None) -> str:
    return f"{_y(value or 0.0):.1f}"


COLUMNS = 20
BOX_Y, BOX_HEIGHT = 4, 10
HISTOGRAM_TOP = 22


def calls_drawing(places: Mapping[int, int], quartiles: tuple[float, float, float] | None) -> dict[str, Any]:
    """A histogram over a scale of 0-100 with the box of its quartiles above."""
    counts = columns(places)
    most = max(counts, default=0) or 1
    width = (WIDTH - LEFT - RIGHT) / COLUMNS
    tall = FLOOR - HISTOGRAM_TOP

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / 100

    box = None
    if quartiles:
        q1, middle, q3 = quartiles
        box = {
            "x": f"{x(q1):.1f}",
            "width": f"{max(1.0, x(q3) - x(q1)):.1f}",
            "middle": f"{x(middle):.1f}",
            "y": f"{BOX_Y}",
            "height": f"{BOX_HEIGHT}",
            "under": f"{BOX_Y + BOX_HEIGHT}",
        }
    return {
        "view": f"0 0 {WIDTH} {FLOOR + 18}",
        "left": f"{LEFT}",
        "right": f"{WIDTH - RIGHT}",
        "floor": f"{FLOOR}",
        "label_y": f"{FLOOR + 14}",
        "half": f"{x(50):.1f}",
        "box": box,
        "columns": [
            {
                "x": f"{LEFT + n * width + 0.5:.1f}",
                "width": f"{width - 1:.1f}",
                "y": f"{FLOOR - tall * count / most:.1f}",
                "height": f"{tall * count / most:.1f}",
            }
            for n, count in enumerate(counts)
            if count
        ],
    }


def columns(places: Mapping[int, int]) -> list[int]:
    """A histogram of places in COLUMNS columns; the upper end of the scale is in the last."""
    counts = [0] * COLUMNS
    for place, n in places.items():
        counts[min(place * COLUMNS // BINS, COLUMNS - 1)] += n
    return counts


def column_words(n: int) -> str:
    """The range of a column on the scale of 0-100."""
    width = 100 // COLUMNS
    return gettext("%(low)s to %(high)s") % {"low": n * width, "high": (n + 1) * width}


STRIP = 100


def strip(shares: Mapping[str, float], order: Sequence[str]) -> list[dict[str, str]]:
    """One bar of STRIP units, a part for each share above nothing."""
    parts, at = [], 0.0
    for name in order:
        if (share := shares.get(name) or 0.0) > 0:
            parts.append({"name": name, "x": f"{STRIP * at:.2f}", "width": f"{STRIP * share:.2f}"})
            at += share
    return parts
