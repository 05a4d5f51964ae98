"""`language --contact-centre`: our own labelled turns (docs/labelling.md) against rules, heads and both.

Returns everything a plot needs (reliability bins, confusion counts) and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.language import FusedLanguage, LanguageModel, Reading, RuleLanguage, TurnText
from scoring.rubric import BEHAVIOUR_NAMES, STATE_NAMES, default_rubric
from scoring.training.data import DataError
from scoring.training.labelled_turns import PRESENT, LabelledTurn, read_scenario
from scoring.types import Channel

Report = dict[str, Any]
Table = npt.NDArray[np.float64]
BINS = 10
CALM = "calm"
KINDS = {
    "states": (Channel.CUSTOMER, STATE_NAMES),
    "behaviours": (Channel.AGENT, BEHAVIOUR_NAMES),
}


def auc(score: Sequence[float] | npt.NDArray[Any], truth: Sequence[bool] | npt.NDArray[Any]) -> float | None:
    """Area under the ROC curve with ties counted half; None when one class is absent."""
    values, yes = np.asarray(score, float), np.asarray(truth, bool)
    positives, negatives = int(yes.sum()), int((~yes).sum())
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    total = float(ranks[inverse][yes].sum())
    return round((total - positives * (positives + 1) / 2) / (positives * negatives), 4)


def contact_centre(model: LanguageModel, folder: Path, split: str) -> Report:
    """Per way of reading and kind: precision, recall, F1 at .5, AUC and n per label."""
    turns = labelled_turns(folder / split)
    report: Report = {"split": split, "scenarios": len({t.scenario for t in turns}), "n": len(turns)}
    for way, readings in read_ways(model, turns).items():
        report[way] = {}
        for kind, (channel, names) in KINDS.items():
            rows = [n for n, turn in enumerate(turns) if turn.channel is channel]
            said = table([getattr(readings[n], kind) for n in rows], names)
            meant = table([getattr(turns[n], kind) for n in rows], names)
            report[way][kind] = measures(said, meant >= PRESENT, names)
            if kind == "states":
                report[way][kind] |= reliability(said, meant >= PRESENT, names)
                report[way][kind]["confusion"] = confusion(said, meant, names)
            report[way][kind]["hard"] = hard_cases(said, meant >= PRESENT, [turns[n] for n in rows])
    return report


def labelled_turns(folder: Path) -> list[LabelledTurn]:
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise DataError(f"{folder}: expected a folder of *.yaml with labelled turns; see docs/labelling.md")
    return [turn for file in files for turn in scenario(file)]


def scenario(file: Path) -> list[LabelledTurn]:
    try:
        turns = read_scenario(file)
    except (TypeError, RecursionError) as error:
        raise DataError(f"{file}: expected turns as in docs/labelling.md ({error})") from error
    if not turns:
        raise DataError(f"{file} has no turns; see docs/labelling.md")
    return turns


def read_ways(model: LanguageModel, turns: Sequence[LabelledTurn]) -> dict[str, list[Reading]]:
    """The same turns read by phrase rules alone, by trained heads alone and as shipped."""
    texts = [TurnText(turn.channel, turn.text, turn.previous) for turn in turns]
    ways = {"rules": RuleLanguage(default_rubric()).read(texts)}
    if isinstance(model, FusedLanguage):
        ways["heads"] = [heads_alone(t, o.of) for t, o in zip(texts, model.opinions(texts), strict=True)]
        ways["both"] = model.read(texts)
    return ways


def heads_alone(turn: TurnText, values: Mapping[str, float]) -> Reading:
    return Reading(states=values) if turn.channel is Channel.CUSTOMER else Reading(behaviours=values)


def table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Table:
    return np.asarray([[row.get(name, 0.0) for name in names] for row in rows], float).reshape(-1, len(names))


def measures(said: Table, truth: npt.NDArray[np.bool_], names: Sequence[str]) -> Report:
    """A label counts as found from .5, as in the labelling guide."""
    found = said >= PRESENT
    per: dict[str, Report] = {}
    for k, name in enumerate(names):
        hits, n = int((found[:, k] & truth[:, k]).sum()), int(truth[:, k].sum())
        precision = hits / max(1, int(found[:, k].sum()))
        recall = hits / max(1, n)
        per[name] = {
            "precision": round(precision, 4),
            "recall": round(recall, 4),
            "f1": round(2 * hits / max(1, int(found[:, k].sum()) + n), 4),
            "auc": auc(said[:, k], truth[:, k]),
            "n": n,
        }
    known = [row for row in per.values() if row["n"]]
    return {
        "turns": len(said),
        "per_label": per,
        "macro_f1": mean([row["f1"] for row in known]),
        "macro_auc": mean([row["auc"] for row in known if row["auc"] is not None]),
    }


def mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def reliability(said: Table, truth: npt.NDArray[np.bool_], names: Sequence[str]) -> Report:
    """Expected calibration error and the bins behind it, per label."""
    bins: dict[str, list[Report]] = {}
    error: dict[str, float] = {}
    for k, name in enumerate(names):
        place = np.minimum((said[:, k] * BINS).astype(int), BINS - 1)
        bins[name] = [
            {
                "low": at / BINS,
                "high": (at + 1) / BINS,
                "n": int((place == at).sum()),
                "said": round(float(said[place == at, k].mean()), 4),
                "true": round(float(truth[place == at, k].mean()), 4),
            }
            for at in range(BINS)
            if (place == at).any()
        ]
        total = max(1, len(said))
        error[name] = round(sum(b["n"] * abs(b["said"] - b["true"]) for b in bins[name]) / total, 4)
    return {"ece": error, "reliability": bins}


def confusion(said: Table, meant: Table, names: Sequence[str]) -> Report:
    """Rows: the strongest state meant; columns: the strongest found; calm when none reaches .5."""
    labels = [*names, CALM]

    def strongest(values: Table) -> npt.NDArray[np.int64]:
        return np.where(values.max(1) >= PRESENT, values.argmax(1), len(names))

    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (strongest(meant), strongest(said)), 1)
    return {"labels": labels, "counts": counts.tolist()}


def hard_cases(said: Table, truth: npt.NDArray[np.bool_], turns: Sequence[LabelledTurn]) -> Report:
    """Per `hard` tag: the share of turns of which every label is right."""
    right = ((said >= PRESENT) == truth).all(1)
    tags = sorted({tag for turn in turns for tag in turn.hard})
    rows = {tag: [n for n, turn in enumerate(turns) if tag in turn.hard] for tag in tags}
    rows["(none)"] = [n for n, turn in enumerate(turns) if not turn.hard]
    return {
        tag: {"n": len(at), "all_right": round(float(right[at].mean()), 4)} for tag, at in rows.items() if at
    }


def contact_centre_table(report: Report) -> list[str]:
    lines = [f"contact centre ({report['split']})  {report['scenarios']} scenarios, {report['n']} turns"]
    ways = [way for way in ("rules", "heads", "both") if way in report]
    for kind, (_, names) in KINDS.items():
        lines.append(f"  {kind:14}" + "".join(f"{way + ' F1 / AUC':>20}" for way in ways) + "     n")
        for name in names:
            rows = [report[way][kind]["per_label"][name] for way in ways]
            lines.append(
                f"  {name:14}"
                + "".join(f"{shown(r['f1'], r['auc']):>20}" for r in rows)
                + f"{rows[0]['n']:6}"
            )
        macro = [(report[way][kind]["macro_f1"], report[way][kind]["macro_auc"]) for way in ways]
        lines.append(f"  {'macro':14}" + "".join(f"{shown(*m):>20}" for m in macro))
    return lines


def shown(*values: float | None) -> str:
    return " / ".join("-" if value is None else f"{value:.3f}" for value in values)
