"""Plots of the model cards: reliability and confusion, from the JSON of `scoring.evaluate`.

    python -m scoring.evaluate voice … --json > voice.json
    python -m scoring.training.plots voice.json --out docs/images

Needs matplotlib (requirements-dev.txt).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scoring.training.data import DataError

INK, QUIET, ACCENT = "#1f2933", "#9aa5b1", "#0b7285"
CELL_LIGHT = 0.55
"""A confusion cell darker than this carries light text."""

Report = Mapping[str, Any]


def read_report(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a JSON report of scoring.evaluate: {error}") from error
    if not list(figures_in(report)):
        raise DataError(f"{path} holds neither confusion nor reliability; is it an evaluate report?")
    return dict(report)


def figures_in(report: Any, name: str = "") -> Iterator[tuple[str, Report]]:
    """(name, part) of every part with something to plot, however deep."""
    if not isinstance(report, dict):
        return
    if "confusion" in report or "reliability" in report:
        yield name or "all", report
    for key, value in report.items():
        yield from figures_in(value, f"{name} {key}".strip())


def draw(name: str, part: Report, path: Path) -> None:
    """One image: the confusion matrix (shares of each row) and the reliability diagram, as far as there."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sides = [key for key in ("confusion", "reliability") if part.get(key)]
    figure, axes = pyplot.subplots(1, len(sides), figsize=(4.6 * len(sides), 4.2), squeeze=False)
    for axis, side in zip(axes[0], sides, strict=True):
        (confusion if side == "confusion" else reliability)(axis, part)
    figure.suptitle(f"{name} (n = {part.get('n', '?')})", color=INK, fontsize=11)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def confusion(axis: Any, part: Report) -> None:
    labels, rows = part["labels"], part["confusion"]
    shares = [[cell / max(1, sum(row)) for cell in row] for row in rows]
    axis.imshow(shares, cmap="BuGn", vmin=0, vmax=1)
    axis.set_xticks(range(len(labels)), labels, rotation=40, ha="right", fontsize=8)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    for y, row in enumerate(shares):
        for x, share in enumerate(row):
            colour = "white" if share > CELL_LIGHT else INK
            axis.text(x, y, f"{share:.2f}", ha="center", va="center", fontsize=8, color=colour)
    axis.set_xlabel("found", color=INK)
    axis.set_ylabel("meant", color=INK)


def reliability(axis: Any, part: Report) -> None:
    bins: Sequence[Report] = part["reliability"]
    most = max(b["n"] for b in bins)
    axis.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle="--")
    axis.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], color=ACCENT, linewidth=1.2)
    sizes = [12 + 120 * b["n"] / most for b in bins]
    axis.scatter([b["confidence"] for b in bins], [b["accuracy"] for b in bins], s=sizes, color=ACCENT)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.set_xlabel("confidence said", color=INK)
    axis.set_ylabel("right", color=INK)
    axis.set_title(f"ECE {part['ece']:.3f}" if part.get("ece") is not None else "", fontsize=9, color=INK)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reports", type=Path, nargs="+", help="JSON reports")
    parser.add_argument("--out", type=Path, required=True, help="folder for the images")
    options = parser.parse_args(argv)
    try:
        reports = {path: read_report(path) for path in options.reports}
    except DataError as error:
        parser.exit(2, f"plots: {error}\n")
    for path, report in reports.items():
        for name, part in figures_in(report):
            target = options.out / f"{path.stem}-{name.split()[-1]}.png"
            draw(name, part, target)
            print(target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
