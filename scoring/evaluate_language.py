"""The `language` and `empathy-pairs` tasks of `scoring.evaluate` (formats: docs/models.md, Words)."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.evaluate_contact_centre import auc, contact_centre, contact_centre_table
from scoring.language import FusedLanguage, LanguageModel, Reading, TurnText, load_language
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
BATCH = 512


def read_all(model: LanguageModel, turns: list[TurnText]) -> list[Reading]:
    return [r for at in range(0, len(turns), BATCH) for r in model.read(turns[at : at + BATCH])]


def goemotions(model: LanguageModel, tsv: Path, labels_file: Path) -> Report:
    """Macro-F1 over the file's labels, at the thresholds that ship with the heads."""
    if not isinstance(model, FusedLanguage):
        raise DataError("the trained language heads are not here (scoring/weights/language)")
    from scoring.language_heads import LABELS

    names = labels_file.read_text("utf-8").split()
    if sorted(names) != sorted(LABELS):
        raise DataError(f"{labels_file}: expected the 28 GoEmotions labels")
    columns = [LABELS.index(name) for name in names]
    texts, truth = [], []
    for line in tsv.read_text("utf-8").splitlines():
        text, ids = line.split("\t")[:2]
        texts.append(text)
        truth.append([n in {int(i) for i in ids.split(",")} for n in range(len(names))])
    y = np.asarray(truth)
    said = model.label_probabilities(texts)[:, columns] >= model.thresholds[columns]
    f1 = 2 * (said & y).sum(0) / np.maximum(said.sum(0) + y.sum(0), 1)
    per_label = {name: round(float(v), 4) for name, v in zip(names, f1, strict=True)}
    return {"n": len(texts), "macro_f1": round(float(f1.mean()), 4), "per_label": per_label}


def support_chats(model: LanguageModel, files: Sequence[Path]) -> Report:
    """AUC per state over the customer's sentences, and of the agent's empathic ones."""
    turns: list[TurnText] = []
    emotions: list[int] = []
    for file in files:
        for chat in json.loads(file.read_text("utf-8")):
            for text, emotion, channel in chat_sentences(chat):
                turns.append(TurnText(channel, text))
                emotions.append(emotion)
    if not turns:
        raise DataError("no sentences with an emotion in these files")
    readings = read_all(model, turns)
    pairs = list(zip(turns, readings, emotions, strict=True))
    mine = [(r, e) for t, r, e in pairs if t.channel is Channel.CUSTOMER]
    theirs = [(r, e) for t, r, e in pairs if t.channel is Channel.AGENT]
    found = {
        name: auc([r.states.get(CHAT_STATES[name], 0.0) for r, _ in mine], [e in ids for _, e in mine])
        for name, ids in CHAT_EMOTIONS.items()
    }
    found["agent_empathy"] = auc([empathic(r) for r, _ in theirs], [e == EMPATHY_ID for _, e in theirs])
    return {"n": len(turns), "customer": len(mine), "agent": len(theirs), "auc": found}


def chat_sentences(chat: dict[str, Any]) -> list[tuple[str, int, Channel]]:
    rows = []
    for turn in chat["turns"]:
        customer = turn["floor"] == "inbound"
        channel = Channel.CUSTOMER if customer else Channel.AGENT
        texts = turn["text_mt" if customer else "text_src"]
        rows += [(t, e, channel) for t, e in zip(texts, turn["Emotion"], strict=False) if isinstance(e, int)]
    return rows


def politeness(model: LanguageModel, file: Path) -> Report:
    """AUC of the politest quarter against the rudest, on requests the shipped head never saw and on all."""
    if not isinstance(model, FusedLanguage):
        raise DataError("the trained language heads are not here (scoring/weights/language)")
    from scoring.training.words.data import read_politeness

    try:
        texts, share, held_out = read_politeness(file)
    except (KeyError, ValueError) as error:
        raise DataError(f"{file}: needs the columns Request, Id and Normalized Score") from error
    said = np.concatenate([model.politeness(texts[n : n + BATCH]) for n in range(0, len(texts), BATCH)])
    ends = (share < 0.25) | (share > 0.75)
    kept = ends & held_out
    return {
        "n": int(held_out.sum()),
        "auc": auc(said[kept], share[kept] > 0.5),
        "r": round(float(np.corrcoef(said[held_out], share[held_out])[0, 1]), 4),
        "n_all": len(texts),
        "auc_all": auc(said[ends], share[ends] > 0.5),
    }


def empathic(reading: Reading) -> float:
    """How empathic an agent is: a feeling named or a fault owned; courtesy and next steps are neither."""
    return max(reading.behaviours["acknowledge"], reading.behaviours["own"])


def empathy_pairs(model: LanguageModel, file: Path, behaviour: str) -> Report:
    """AUC of a behaviour's strength for "some" (level > 0) against "none", of the response."""
    with file.open(encoding="utf-8", newline="") as rows:
        pairs = list(csv.DictReader(rows))
    need = {"seeker_post", "response_post", "level"}
    if not pairs or not need <= set(pairs[0]):
        raise DataError(f"{file}: needs the columns {', '.join(sorted(need))}")
    turns = [TurnText(Channel.AGENT, p["response_post"], (p["seeker_post"],)) for p in pairs]
    scores = [r.behaviours.get(behaviour, 0.0) for r in read_all(model, turns)]
    return {"n": len(pairs), "any_vs_none_auc": auc(scores, [float(p["level"]) > 0 for p in pairs])}


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
            lines.append(f"  {name:14} AUC " + ("-" if value is None else f"{value:.3f}"))
    for name, part in report.get("politeness", {}).items():
        lines.append(f"politeness  {name}  held out {part['n']}  AUC {part['auc']:.3f}  r {part['r']:.3f}")
    if "contact_centre" in report:
        lines += contact_centre_table(report["contact_centre"])
    return "\n".join(lines)


def pairs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csv", type=Path, required=True, help="seeker_post, response_post, level")
    parser.add_argument("--behaviour", required=True, choices=["acknowledge", "understand", "explore"])


def run_pairs(options: argparse.Namespace) -> tuple[Report, str]:
    report = empathy_pairs(load_language(), options.csv, options.behaviour)
    value = report["any_vs_none_auc"]
    shown = "-" if value is None else f"{value:.3f}"
    return report, f"{options.behaviour}: n {report['n']}  any-vs-none AUC {shown}"
