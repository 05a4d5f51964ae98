"""The `language` and `empathy-pairs` tasks of `scoring.evaluate` (formats: docs/models.md, Words)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.evaluate_contact_centre import auc, contact_centre, contact_centre_table, shown
from scoring.evaluate_input import read_json, read_number, read_rows, read_text
from scoring.language import FusedLanguage, LanguageModel, Reading, TurnText, load_language
from scoring.rubric import default_rubric
from scoring.training.data import DataError
from scoring.types import Channel, State

Report = dict[str, Any]
CHAT_EMOTIONS = {"frustration": (3, 5, 6), "anxiety": (7,), "confusion": (4,), "positive": (0, 1)}
"""0 empathy, 1 happiness, 2 neutral, 3 disappointment, 4 confusion, 5 frustration, 6 anger, 7 anxiety."""
CHAT_STATES = {
    "frustration": State.FRUSTRATION,
    "anxiety": State.ANXIETY,
    "confusion": State.CONFUSION,
    "positive": State.SATISFACTION,
}
EMPATHY_ID = 0
EMOTIONS = 8
CHATS = 'a list of chats: [{"turns": [{"floor", "text_mt" or "text_src", "Emotion"}, …]}, …]'
BATCH = 512


def read_all(model: LanguageModel, turns: list[TurnText]) -> list[Reading]:
    return [r for at in range(0, len(turns), BATCH) for r in model.read(turns[at : at + BATCH])]


def goemotions(model: LanguageModel, tsv: Path, labels_file: Path) -> Report:
    """Macro-F1 over the file's labels, at the thresholds that ship with the heads."""
    if not isinstance(model, FusedLanguage):
        raise DataError("the trained language heads are not here (scoring/weights/language)")
    from scoring.language_heads import LABELS

    expected = f"the {len(LABELS)} GoEmotions labels, one a line in the order of their ids"
    names = read_text(labels_file, expected).split()
    if sorted(names) != sorted(LABELS):
        raise DataError(f"{labels_file}: expected {expected}")
    columns = [LABELS.index(name) for name in names]
    texts, ids = labelled_texts(tsv, len(names))
    y = np.asarray([[n in row for n in range(len(names))] for row in ids])
    said = model.label_probabilities(texts)[:, columns] >= model.thresholds[columns]
    f1 = 2 * (said & y).sum(0) / np.maximum(said.sum(0) + y.sum(0), 1)
    per_label = {name: round(float(v), 4) for name, v in zip(names, f1, strict=True)}
    return {"n": len(texts), "macro_f1": round(float(f1.mean()), 4), "per_label": per_label}


def labelled_texts(tsv: Path, labels: int) -> tuple[list[str], list[set[int]]]:
    expected = f"text, tab, label ids from 0 to {labels - 1} with commas between, tab, id"
    texts, ids = [], []
    for number, line in enumerate(read_text(tsv, expected).split("\n"), 1):
        if not line:
            continue
        text, *fields = line.split("\t")
        listed = fields[0].split(",") if fields else []
        if not listed or not all(i.isdecimal() and int(i) < labels for i in listed):
            raise DataError(f"{tsv} line {number}: expected {expected}, not {line[:80]!r}")
        texts.append(text)
        ids.append({int(i) for i in listed})
    return texts, ids


def support_chats(model: LanguageModel, files: Sequence[Path]) -> Report:
    """AUC per state over the customer's sentences, and of the agent's empathic ones."""
    turns: list[TurnText] = []
    emotions: list[int] = []
    for file in files:
        chats = read_json(file, CHATS)
        if not isinstance(chats, list):
            raise DataError(f"{file}: expected {CHATS}")
        for number, chat in enumerate(chats, 1):
            for text, emotion, channel in chat_sentences(chat, f"{file} chat {number}"):
                turns.append(TurnText(channel, text))
                emotions.append(emotion)
    if not turns:
        raise DataError(f"no sentence with an emotion in {', '.join(map(str, files))}; expected {CHATS}")
    readings = read_all(model, turns)
    pairs = list(zip(turns, readings, emotions, strict=True))
    mine = [(r, e) for t, r, e in pairs if t.channel is Channel.CUSTOMER]
    theirs = [(r, e) for t, r, e in pairs if t.channel is Channel.AGENT]
    unread = default_rubric().fusion.prior  # what a turn without a known word counts as, here as in a call
    found = {
        name: auc([r.states.get(CHAT_STATES[name], unread) for r, _ in mine], [e in ids for _, e in mine])
        for name, ids in CHAT_EMOTIONS.items()
    }
    found["agent_empathy"] = auc([empathic(r) for r, _ in theirs], [e == EMPATHY_ID for _, e in theirs])
    return {"n": len(turns), "customer": len(mine), "agent": len(theirs), "auc": found}


def chat_sentences(chat: Any, where: str) -> list[tuple[str, int, Channel]]:
    turns = chat.get("turns") if isinstance(chat, dict) else None
    if not isinstance(turns, list):
        raise DataError(f"{where}: expected {CHATS}")
    rows = []
    for number, turn in enumerate(turns, 1):
        floor = turn.get("floor") if isinstance(turn, dict) else None
        if floor not in ("inbound", "outbound"):
            raise DataError(f"{where} turn {number}, floor: expected inbound or outbound, not {floor!r}")
        field = "text_mt" if floor == "inbound" else "text_src"
        channel = Channel.CUSTOMER if floor == "inbound" else Channel.AGENT
        texts, emotions = turn.get(field), turn.get("Emotion")
        if not _all(texts, str) or not _all(emotions, int | None) or len(texts) != len(emotions):
            raise DataError(
                f"{where} turn {number}: expected as many sentences in {field} as emotions in Emotion"
            )
        if strange := [e for e in emotions if e is not None and not 0 <= e < EMOTIONS]:
            raise DataError(
                f"{where} turn {number}, Emotion: expected 0 to {EMOTIONS - 1} or null, not {strange[0]}"
            )
        rows += [(t, e, channel) for t, e in zip(texts, emotions, strict=True) if e is not None]
    return rows


def _all(values: Any, kind: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def politeness(model: LanguageModel, file: Path) -> Report:
    """AUC of the politest quarter against the rudest, on requests the shipped head never saw and on all."""
    if not isinstance(model, FusedLanguage):
        raise DataError("the trained language heads are not here (scoring/weights/language)")
    from scoring.training.words.data import is_held_out, percentile

    columns = ("Id", "Request", "Normalized Score")
    rows = read_rows(file, f"a CSV with the columns {', '.join(columns)}", columns)
    texts = [row["Request"] for row in rows]
    share = percentile(
        np.asarray([read_number(row, columns[-1], f"{file} row {n}") for n, row in enumerate(rows, 1)])
    )
    held_out = np.asarray([is_held_out(row["Id"]) for row in rows])
    said = np.concatenate([model.politeness(texts[n : n + BATCH]) for n in range(0, len(texts), BATCH)])
    ends = (share < 0.25) | (share > 0.75)
    kept = ends & held_out
    return {
        "n": int(held_out.sum()),
        "auc": auc(said[kept], share[kept] > 0.5),
        "r": correlation(said[held_out], share[held_out]),
        "n_all": len(texts),
        "auc_all": auc(said[ends], share[ends] > 0.5),
    }


def correlation(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float | None:
    """Pearson's r; None where it is not defined."""
    return round(float(np.corrcoef(a, b)[0, 1]), 4) if len(a) > 1 and np.ptp(a) and np.ptp(b) else None


def empathic(reading: Reading) -> float:
    """How empathic an agent is: a feeling named or a fault owned; courtesy and next steps are neither."""
    return max(reading.behaviours["acknowledge"], reading.behaviours["own"])


def empathy_pairs(model: LanguageModel, file: Path, behaviour: str) -> Report:
    """AUC of a behaviour's strength for "some" (level > 0) against "none", of the response."""
    columns = ("seeker_post", "response_post", "level")
    pairs = read_rows(file, f"a CSV with the columns {', '.join(columns)}", columns)
    some = [read_number(p, "level", f"{file} row {n}") > 0 for n, p in enumerate(pairs, 1)]
    turns = [TurnText(Channel.AGENT, p["response_post"], (p["seeker_post"],)) for p in pairs]
    scores = [r.behaviours.get(behaviour, 0.0) for r in read_all(model, turns)]
    return {"n": len(pairs), "any_vs_none_auc": auc(scores, some)}


def language_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--goemotions", type=Path, metavar="TSV", help="text, label ids, id; tab-separated")
    parser.add_argument("--labels", type=Path, metavar="TXT", help="label names in the order of their ids")
    parser.add_argument(
        "--support-chats", type=Path, nargs="+", metavar="JSON", help="chats with an emotion per sentence"
    )
    parser.add_argument(
        "--politeness", type=Path, nargs="+", metavar="CSV", help="Id, Request, Normalized Score"
    )
    parser.add_argument("--contact-centre", type=Path, metavar="DIR", help="our own turns: docs/labelling.md")
    parser.add_argument("--split", default="test", help="folder under --contact-centre (default: test)")
    parser.add_argument(
        "--rules-only", action="store_true", help="measure the phrase rules without the heads"
    )


def run_language(options: argparse.Namespace) -> tuple[Report, str]:
    model = load_language(stand_in=options.rules_only)
    report: Report = {"model": model.version}
    if options.goemotions:
        if not options.labels:
            raise DataError("--goemotions needs --labels")
        report["goemotions"] = goemotions(model, options.goemotions, options.labels)
    if options.support_chats:
        report["support_chats"] = support_chats(model, options.support_chats)
    if options.politeness:
        report["politeness"] = {file.name: politeness(model, file) for file in options.politeness}
    if options.contact_centre:
        report["contact_centre"] = contact_centre(model, options.contact_centre, options.split)
    if len(report) == 1:
        raise DataError("give --goemotions with --labels, --support-chats, --politeness or --contact-centre")
    return report, language_table(report)


def language_table(report: Report) -> str:
    lines = [report["model"]]
    if "goemotions" in report:
        part = report["goemotions"]
        lines.append(f"GoEmotions  n {part['n']}  macro-F1 {part['macro_f1']:.3f}")
    if "support_chats" in report:
        lines.append(f"support chats  n {report['support_chats']['n']}")
        for name, value in report["support_chats"]["auc"].items():
            lines.append(f"  {name:14} AUC {shown(value)}")
    for name, part in report.get("politeness", {}).items():
        lines.append(
            f"politeness  {name}  held out {part['n']}  AUC {shown(part['auc'])}  r {shown(part['r'])}"
        )
    if "contact_centre" in report:
        lines += contact_centre_table(report["contact_centre"])
    return "\n".join(lines)


def pairs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csv", type=Path, required=True, help="seeker_post, response_post, level")
    parser.add_argument("--behaviour", required=True, choices=["acknowledge", "understand", "explore"])


def run_pairs(options: argparse.Namespace) -> tuple[Report, str]:
    report = empathy_pairs(load_language(), options.csv, options.behaviour)
    auc_shown = shown(report["any_vs_none_auc"])
    return report, f"{options.behaviour}: n {report['n']}  any-vs-none AUC {auc_shown}"
