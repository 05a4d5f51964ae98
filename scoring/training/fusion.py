"""Fit and measure how words and voice are fused into states (`fusion` in the rubric).

Nobody has labelled calls with both. So each written customer turn (docs/labelling.md) is given a voice: a
clip of an actor of the validation split who acts the turn's state with probability `SHOWN`, else a neutral
one. That is an assumption, not a finding, and every figure is given for several values of it. The weights
are fitted on the calibration turns with one half of the speakers and measured on the test turns with the
other half.

    python -m scoring.training.fusion --manifest CSV --audio TAR… [--write RUBRIC.yaml]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scoring.rubric import DEFAULT_FILE, FusionRules, default_rubric
from scoring.states import fuse, voice_evidence
from scoring.training.labelled_turns import FOLDER, PRESENT, LabelledTurn, read_turns
from scoring.types import FELT, Channel, State, Turn, VoiceState

SEED = 20
SHOWN = 0.5
"""How often a felt state is heard in the voice, when the weights are fitted."""
SHOWN_TABLE = (0.0, 0.25, 0.5, 0.75, 1.0)
CALM_SOUNDS_ELSE = 0.15
"""How often somebody who feels nothing in particular sounds as if."""
ACTED: Mapping[State, tuple[str, ...]] = {
    State.FRUSTRATION: ("angry", "angry", "disgust"),
    State.ANXIETY: ("fear",),
    State.CONFUSION: ("neutral",),
    State.SADNESS: ("sad",),
    State.SATISFACTION: ("happy",),
}
DRAWS = 8
"""Voices drawn per turn: the draw should not decide the figures."""
RIDGE = 0.02
"""Pull of each weight towards the rubric's own."""
HEARD_CONFIDENCE = 0.9
"""Transcript confidence of a written turn."""

Report = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """A turn with words as the model read them, the voice it was given, and what its author meant."""

    turn: Turn
    voice: VoiceState
    truth: frozenset[State]


def read_words(turns: Sequence[LabelledTurn], language: Any) -> list[Turn]:
    """The customer's turns as the language model reads them."""
    from scoring.language import TurnText

    mine = [t for t in turns if t.channel is Channel.CUSTOMER]
    readings = language.read([TurnText(t.channel, t.text, t.previous) for t in mine])
    return [
        Turn(
            t.channel,
            n * 10_000,
            n * 10_000 + 5000,
            t.text,
            HEARD_CONFIDENCE,
            states=r.states,
            cues=r.cues,
        )
        for n, (t, r) in enumerate(zip(mine, readings, strict=True))
    ]


def truth_of(turns: Sequence[LabelledTurn]) -> list[frozenset[State]]:
    return [
        frozenset(s for s in FELT if t.states.get(s, 0.0) >= PRESENT)
        for t in turns
        if t.channel is Channel.CUSTOMER
    ]


def hear_voices(manifest: Path, audio: Sequence[Path], model: Any) -> dict[int, dict[str, list[VoiceState]]]:
    """Voice states of the validation clips by half of the speakers (0 and 1) and acted emotion."""
    from scoring.training.voice.clips import Archive, read_manifest
    from scoring.training.voice.measure import score_clips
    from scoring.voice import EMOTIONS

    clips, _ = read_manifest(manifest, "val")
    probs, _, _ = score_clips(model, Archive(audio), clips)
    half = {name: n % 2 for n, name in enumerate(sorted({c.speaker for c in clips}))}
    out: dict[int, dict[str, list[VoiceState]]] = {0: {}, 1: {}}
    for clip, row in zip(clips, probs, strict=True):
        named = {e: float(p) for e, p in zip(EMOTIONS, row, strict=True)}
        state = VoiceState(0, 3000, named, max(named.values()), 2500, model.version)
        out[half[clip.speaker]].setdefault(clip.emotion, []).append(state)
    return out


def give_voices(
    words: Sequence[Turn],
    truth: Sequence[frozenset[State]],
    voices: Mapping[str, Sequence[VoiceState]],
    shown: float,
    seed: int = SEED,
) -> list[Heard]:
    """DRAWS voices per turn: the acted state with probability `shown`, else neutral."""
    rng = np.random.default_rng(seed)
    out = []
    for turn, felt in zip(words, truth, strict=True):
        for _ in range(DRAWS):
            emotion = "neutral"
            if felt and rng.random() < shown:
                state = sorted(felt)[rng.integers(len(felt))]
                emotion = ACTED[state][rng.integers(len(ACTED[state]))]
            elif not felt and rng.random() < CALM_SOUNDS_ELSE:
                emotion = sorted(voices)[rng.integers(len(voices))]
            clips = voices[emotion]
            out.append(Heard(turn, clips[rng.integers(len(clips))], felt))
    return out


def silent(turn: Turn) -> Turn:
    """The same turn without its words."""
    return replace(turn, text="", states={}, cues=())


def fused_of(heard: Sequence[Heard], rules: FusionRules, way: str) -> np.ndarray:
    """Fused values [n, 5] from "words", "voice" or "both"."""
    rows = []
    for item in heard:
        turn = silent(item.turn) if way == "voice" else item.turn
        voice = None if way == "words" else voice_evidence(item.voice, rules)
        fused = fuse(turn, voice, rules)
        rows.append([fused[s] for s in FELT])
    return np.asarray(rows)


def measure(heard: Sequence[Heard], rules: FusionRules) -> Report:
    """Per way of hearing and state: AUC, F1 at `enter`, expected calibration error; and their means."""
    from scoring.training.voice.measure import auc, ece

    report: Report = {}
    for way in ("voice", "words", "both"):
        values, states = fused_of(heard, rules, way), {}
        for column, state in enumerate(FELT):
            truth = np.array([state in item.truth for item in heard])
            p = values[:, column]
            said = p >= rules.enter
            right = np.where(p >= 0.5, truth, ~truth)
            states[str(state)] = {
                "n": int(truth.sum()) // DRAWS,
                "auc": auc(truth, p),
                "f1": f1(truth, said),
                "precision": ratio((truth & said).sum(), said.sum()),
                "recall": ratio((truth & said).sum(), truth.sum()),
                "ece": ece(right, np.maximum(p, 1 - p)),
            }
        report[way] = {
            "states": states,
            "macro_f1": mean([s["f1"] for s in states.values()]),
            "macro_auc": mean([s["auc"] for s in states.values()]),
        }
    return report


def f1(truth: np.ndarray, said: np.ndarray) -> float:
    return ratio(2 * (truth & said).sum(), truth.sum() + said.sum())


def ratio(part: Any, whole: Any) -> float:
    return round(float(part) / float(whole), 4) if whole else 0.0


def mean(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None]
    return round(sum(known) / len(known), 4) if known else 0.0


def fit(heard: Sequence[Heard], rules: FusionRules) -> FusionRules:
    """Per state the two reliabilities that make the fused odds most likely, pulled towards the old ones.

    A coordinate search over what `fuse` itself computes, so that nothing about fusion is written twice.
    """
    words, voice = dict(rules.words), dict(rules.voice)
    for column, state in enumerate(FELT):
        truth = np.array([state in item.truth for item in heard])

        def loss(w: float, v: float, *, state: State = state, column: int = column, y: Any = truth) -> float:
            tried = replace(rules, words={**words, state: w}, voice={**voice, state: v})
            p = np.clip(fused_of(heard, tried, "both")[:, column], 1e-6, 1 - 1e-6)
            nll = -np.where(y, np.log(p), np.log(1 - p)).mean()
            pull = (w - rules.words[state]) ** 2 + (v - rules.voice[state]) ** 2
            return float(nll + RIDGE * pull)

        can_hear = state in rules.voice_map
        grid = [
            (w, v)
            for w in np.arange(0.4, 1.01, 0.1)
            for v in (np.arange(0, 0.81, 0.1) if can_hear else [0.0])
        ]
        w, v = min(grid, key=lambda pair: loss(*pair))
        words[state], voice[state] = round(float(w), 2), round(float(v), 2)
    return replace(rules, words=words, voice=voice)


def write_rubric(path: Path, rules: FusionRules) -> None:
    """Replace the two lines of reliabilities in a rubric file, leaving all else as it is."""
    text = path.read_text()
    for name in ("words", "voice"):
        values: Mapping[str, float] = getattr(rules, name)
        line = ", ".join(f"{state}: {value:g}" for state, value in values.items())
        text, n = re.subn(rf"(?m)^  {name}: \{{.*\}}$", f"  {name}: {{{line}}}", text)
        if n != 1:
            raise SystemExit(f"{path}: no line `  {name}: {{…}}` to replace")
    path.write_text(text)


def table(report: Mapping[float, Report]) -> str:
    lines = [
        f"{'voice shows it':>16} {'':7}" + "".join(f"{s:>14}" for s in FELT) + f"{'macro F1':>10} {'AUC':>6}"
    ]
    for shown, ways in report.items():
        for way, r in ways.items():
            cells = "".join(f"{s['f1']:>8.2f} {s['auc'] or 0:.2f} " for s in r["states"].values())
            lines.append(f"{shown:>16.0%} {way:7}{cells} {r['macro_f1']:>9.3f} {r['macro_auc']:.3f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--audio", type=Path, nargs="+", required=True)
    parser.add_argument("--turns", type=Path, default=FOLDER, help="folder with calibrate/ and test/")
    parser.add_argument(
        "--write", type=Path, nargs="?", const=DEFAULT_FILE, help="store the fit in this rubric"
    )
    options = parser.parse_args()

    from scoring.language import load_language
    from scoring.voice import load_voice

    language, rules = load_language(), default_rubric().fusion
    voices = hear_voices(options.manifest, options.audio, load_voice())
    sets = {name: read_turns(options.turns / name) for name in ("calibrate", "test")}
    words = {name: read_words(turns, language) for name, turns in sets.items()}
    truth = {name: truth_of(turns) for name, turns in sets.items()}
    fitted = fit(give_voices(words["calibrate"], truth["calibrate"], voices[0], SHOWN), rules)
    report = {}
    for name, tried in (("before", rules), ("fitted", fitted)):
        report[name] = {
            shown: measure(give_voices(words["test"], truth["test"], voices[1], shown), tried)
            for shown in SHOWN_TABLE
        }
        print(f"\n{name}: words {dict(tried.words)} voice {dict(tried.voice)}", file=sys.stderr)
        print(table(report[name]), file=sys.stderr)
    if options.write:
        write_rubric(options.write, fitted)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
