"""How good a voice model is on labelled clips: the `voice` task of scoring.evaluate (SCIENCE.md §9)."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.training.data import DataError
from scoring.training.voice.clips import Archive, Clip, read_manifest, windows_of
from scoring.types import Channel, CustomerWindow
from scoring.voice import EMOTIONS, Baseline, VoiceModel

DISTRESS = ("angry", "disgust", "fear", "sad")  # heard as frustration, anxiety, sadness (SCIENCE.md §1)
KEEP = (1.0, 0.8, 0.6, 0.4, 0.2)
ECE_BINS = 10
RECALL = 0.8  # of the distressed clips, where false alarms are counted
BATCH_CLIPS = 64

Report = dict[str, Any]


def measure(
    model: VoiceModel,
    manifest: Path,
    audio: Sequence[Path],
    split: str | None = None,
    baseline: str = "none",
    without: Collection[str] = (),
) -> Report:
    """The JSON of SCIENCE.md §9. A clip longer than a window is the mean of its windows' probabilities.

    `baseline="causal"`: each clip is judged against its speaker's earlier clips, in the manifest's order.
    `without` names corpora to skip.
    """
    clips, left_out = read_manifest(manifest, split)
    clips = [c for c in clips if c.corpus not in without]
    archive = Archive(audio)
    absent = set(archive.missing(c.file for c in clips))
    present = [c for c in clips if c.file not in absent]
    if not present:
        raise DataError(
            f"none of the {len(clips)} clips that {manifest} names is in {', '.join(map(str, audio))} "
            f"(first: {clips[0].file}); pass the tar or folder that holds them with --audio"
        )
    if absent:
        print(
            f"warning: no audio for {len(absent)} clips, first {min(absent)}; they are left out",
            file=sys.stderr,
        )
    probs, windows, cpu_s = score_clips(model, archive, present, baseline == "causal")
    corpora = sorted({c.corpus for c in present})
    return {
        "model": model.version,
        "baseline": baseline,
        "by_corpus": {name: _corpus(present, probs, name) for name in corpora},
        "windows": windows,
        "windows_per_cpu_second": round(windows / cpu_s, 1) if cpu_s > 0 else None,
        "left_out": left_out,
        "missing_audio": len(absent),
        "distress_classes": list(DISTRESS),
    }


def score_clips(
    model: VoiceModel, archive: Archive, clips: Sequence[Clip], causal: bool = False
) -> tuple[np.ndarray, int, float]:
    """(probabilities [clips, 6], windows scored, CPU seconds spent scoring them)."""
    model.score([_labelled_window(np.zeros(8000, dtype=np.float32))])  # warm up, outside the clock
    rows: list[np.ndarray] = []
    windows, cpu_s = 0, 0.0
    callers: defaultdict[tuple[str, str], Baseline] = defaultdict(Baseline)
    for start in range(0, len(clips), BATCH_CLIPS):
        batch = clips[start : start + BATCH_CLIPS]
        cut = [windows_of(archive.read(c.file)) for c in batch]
        flat = [_labelled_window(w) for clip in cut for w in clip]
        who = [callers[c.corpus, c.speaker] for c, clip in zip(batch, cut, strict=True) for _ in clip]
        began = time.process_time()
        scores = iter(model.score(flat, who if causal else None))
        cpu_s += time.process_time() - began
        windows += len(flat)
        for clip in cut:
            rows.append(np.mean([list(next(scores).probs.values()) for _ in clip], axis=0))
    return np.stack(rows), windows, cpu_s


def _labelled_window(samples: np.ndarray) -> CustomerWindow:
    """Labelled corpora stand for the customer; a real call's channels never come through here."""
    return CustomerWindow.from_channel(Channel.CUSTOMER, samples, 0)


def _corpus(clips: Sequence[Clip], probs: np.ndarray, corpus: str) -> Report:
    rows = [i for i, c in enumerate(clips) if c.corpus == corpus]
    truth = np.array([EMOTIONS.index(clips[i].emotion) for i in rows])
    genders = np.array([clips[i].gender for i in rows])
    return metrics(truth, probs[rows], genders)


def metrics(truth: np.ndarray, probs: np.ndarray, genders: np.ndarray) -> Report:
    """Figures of one corpus from class indices [n], probabilities [n, 6] and genders [n]."""
    guess, confidence = probs.argmax(axis=1), probs.max(axis=1)
    right = guess == truth
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), dtype=int)
    np.add.at(confusion, (truth, guess), 1)
    distressed = np.isin(truth, [EMOTIONS.index(e) for e in DISTRESS])
    distress = probs[:, [EMOTIONS.index(e) for e in DISTRESS]].sum(axis=1)
    return {
        "n": len(truth),
        "uar": uar(truth, guess),
        "accuracy": _round(right.mean()),
        "ece": ece(right, confidence),
        "distress_auc": auc(distressed, distress),
        "false_alarm_at_80_recall": false_alarm(distressed, distress, RECALL),
        "uar_by_gender": {
            str(g): uar(truth[genders == g], guess[genders == g]) for g in np.unique(genders) if g
        },
        "coverage": [
            {"keep": k, "accuracy": _round(_most_confident(right, confidence, k).mean())} for k in KEEP
        ],
        "reliability": reliability(right, confidence),
        "labels": list(EMOTIONS),
        "confusion": confusion.tolist(),  # rows: intended; columns: scored
    }


def uar(truth: np.ndarray, guess: np.ndarray) -> float:
    """Unweighted average recall over the classes that occur in `truth`."""
    return _round(np.mean([(guess[truth == c] == c).mean() for c in np.unique(truth)]))


def ece(right: np.ndarray, confidence: np.ndarray) -> float:
    """Expected calibration error, ECE_BINS bins of equal width (Guo et al. 2017)."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in np.unique(bins)]
    return _round(sum(gaps) / len(right))


def reliability(right: np.ndarray, confidence: np.ndarray) -> list[Report]:
    """The bins behind `ece`: mean confidence, share that was right, how many."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return [
        {
            "confidence": _round(confidence[bins == b].mean()),
            "accuracy": _round(right[bins == b].mean()),
            "n": int((bins == b).sum()),
        }
        for b in np.unique(bins)
    ]


def auc(positive: np.ndarray, score: np.ndarray) -> float | None:
    """Area under the ROC curve, ties counted half; None when one side is empty."""
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return _round((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def false_alarm(positive: np.ndarray, score: np.ndarray, recall: float) -> float | None:
    """Share of the others at or above the score that finds `recall` of `positive`; None without both."""
    if not positive.any() or positive.all():
        return None
    found = np.sort(score[positive])[::-1]
    floor = found[max(0, int(np.ceil(recall * len(found))) - 1)]
    return _round((score[~positive] >= floor).mean())


def _most_confident(right: np.ndarray, confidence: np.ndarray, keep: float) -> np.ndarray:
    return right[np.argsort(-confidence, kind="stable")[: max(1, round(keep * len(right)))]]


def _round(value: Any) -> float:
    return round(float(value), 4)


def table(report: Report) -> str:
    """The report for people."""
    lines = [
        f"model {report['model']}, baseline {report['baseline']}",
        f"{'corpus':12}{'n':>6}{'UAR':>7}{'acc':>7}{'ECE':>7}{'distress AUC':>14}{'false alarms':>14}"
        "  UAR by gender",
    ]
    for corpus, r in report["by_corpus"].items():
        genders = "  ".join(f"{g} {v:.3f}" for g, v in r["uar_by_gender"].items())
        distress, alarms = (
            "-" if r[key] is None else f"{r[key]:.3f}" for key in ("distress_auc", "false_alarm_at_80_recall")
        )
        lines.append(
            f"{corpus:12}{r['n']:>6}{r['uar']:>7.3f}{r['accuracy']:>7.3f}{r['ece']:>7.3f}"
            f"{distress:>14}{alarms:>14}  {genders}"
        )
        kept = "  ".join(f"{c['keep']:.0%} {c['accuracy']:.3f}" for c in r["coverage"])
        lines.append(f"{'':12}accuracy of the most confident: {kept}")
    if report["left_out"]:
        lines.append(
            "left out, other emotions: " + ", ".join(f"{e} {n}" for e, n in report["left_out"].items())
        )
    lines.append(f"{report['windows']} windows, {report['windows_per_cpu_second']} per CPU second")
    return "\n".join(lines)
