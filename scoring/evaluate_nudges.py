"""The `nudges` task of `python -m scoring.evaluate`: would each cue have been useful, by its rule's intent?

A cue is useful when, by the labels of the call's author and not by our own reading, (1) the caller feels the
rule's state in the turn that just ended or in the one before it (label >= PRESENT), and (2) the agent has not
shown the missing behaviour since that need arose (label >= PRESENT). Cues after a silence or an interruption
are counted apart: labels say nothing of them. Labelled calls (docs/labelling.md) are read by the words model
alone and given even times; scripted demo calls are heard, with their voices.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from scoring.evaluate_calls import Line, as_meant, read_scripts
from scoring.language import TurnText, load_language
from scoring.rubric import RubricSpec, default_rubric
from scoring.training.data import DataError
from scoring.training.labelled_turns import PRESENT, LabelledTurn, read_turns
from scoring.types import DISTRESS, Channel, NudgeCandidate, Speech, State, Turn
from scoring.view import view

Report = dict[str, Any]
WORDS_PER_S = 2.5
BETWEEN_MS = 600
"""Labelled turns have no times: so fast is speech, and so long the gap between turns."""
ENDS_NEAR_MS = 2500
"""A heard turn's end is this near to its scripted one's, at most."""


@dataclass(frozen=True)
class Labelled:
    """One turn as its author meant it, and when it is heard."""

    channel: Channel
    end_ms: int
    states: frozenset[str]
    behaviours: frozenset[str]


@dataclass(frozen=True)
class Judged:
    call: str
    cue: NudgeCandidate
    useful: bool
    why: str
    said: str


def nudges_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--contact-centre", type=Path, metavar="DIR", help="our own turns: docs/labelling.md")
    parser.add_argument("--split", default="calibrate", help="folder under it (default: calibrate)")
    parser.add_argument("--scripts", type=Path, help="folder with a YAML script per call")
    parser.add_argument("--audio", type=Path, help="folder with index.json and <name>.opus")


def run_nudges(options: argparse.Namespace) -> tuple[Report, str]:
    rubric = default_rubric()
    sets: dict[str, tuple[int, list[Judged], int]] = {}
    if options.contact_centre:
        sets[f"contact centre ({options.split})"] = own_calls(options.contact_centre / options.split, rubric)
    if options.scripts and options.audio:
        sets["scripted calls, heard"] = heard_calls(options.scripts, options.audio, rubric)
    if not sets:
        raise DataError("give --contact-centre, or --scripts with --audio")
    report = {name: summed(*found) for name, found in sets.items()}
    return report, "\n".join(table(name, part) for name, part in report.items())


def own_calls(folder: Path, rubric: RubricSpec) -> tuple[int, list[Judged], int]:
    """(calls, judged cues, cues as meant) of labelled calls, read by the words model."""
    model = load_language()
    judged: list[Judged] = []
    calls = meant = 0
    for name, group in groupby(read_turns(folder), key=lambda turn: turn.scenario):
        said = list(group)
        readings = model.read([TurnText(t.channel, t.text, t.previous) for t in said])
        ends = list(times(said))
        turns = [
            Turn(t.channel, start, end, t.text, 0.9, states=r.states, behaviours=r.behaviours, cues=r.cues)
            for t, r, (start, end) in zip(said, readings, ends, strict=True)
        ]
        labels = [
            Labelled(t.channel, end, present(t.states), present(t.behaviours))
            for t, (_, end) in zip(said, ends, strict=True)
        ]
        as_told = [
            Turn(t.channel, start, end, t.text, 1.0, states=dict(t.states), behaviours=dict(t.behaviours))
            for t, (start, end) in zip(said, ends, strict=True)
        ]
        judged += judge(name, cues(turns, rubric), labels, turns)
        meant += len(cues(as_told, rubric))
        calls += 1
    return calls, judged, meant


def heard_calls(scripts: Path, audio: Path, rubric: RubricSpec) -> tuple[int, list[Judged], int]:
    """The same for scripted calls, played through the whole engine."""
    from scoring.audio import AudioError, read_recording
    from scoring.engine import load_engine

    engine, judged, meant = load_engine(), [], 0
    found = read_scripts(scripts, audio)
    for name, lines in found.items():
        try:
            recording = read_recording(audio / f"{name}.opus")
        except AudioError as error:
            raise DataError(str(error)) from error
        scored = engine.score_recording(recording.samples[0], recording.samples[1], rubric)
        judged += judge(name, scored.view.nudges, list(map(labelled, lines)), scored.turns)
        meant += len(as_meant(lines, rubric).nudges)
    return len(found), judged, meant


def cues(turns: Sequence[Turn], rubric: RubricSpec) -> tuple[NudgeCandidate, ...]:
    speech = [Speech(turn.channel, turn.start_ms, turn.end_ms) for turn in turns]
    return view(turns, (), speech, rubric, now_ms=turns[-1].end_ms, closed=True).nudges


def labelled(line: Line) -> Labelled:
    states = frozenset({str(line.state)} if line.state and line.state != State.CALM else ())
    return Labelled(line.channel, line.end_ms, states, frozenset(line.behaviours))


def judge(
    call: str, shown: Sequence[NudgeCandidate], labels: Sequence[Labelled], turns: Sequence[Turn]
) -> list[Judged]:
    judged = []
    for cue in shown:
        before = [t for t in labels if t.end_ms <= cue.t_ms + ENDS_NEAR_MS]
        heard = [t for t in turns if t.channel is Channel.CUSTOMER and t.end_ms <= cue.t_ms]
        useful, why = intent(cue, before)
        judged.append(Judged(call, cue, useful, why, heard[-1].text if heard else ""))
    return judged


def intent(cue: NudgeCandidate, before: Sequence[Labelled]) -> tuple[bool, str]:
    """Whether the rule's intent holds by the author's labels, else what is wrong with the cue."""
    callers = [n for n, turn in enumerate(before) if turn.channel is Channel.CUSTOMER]
    felt = [n for n in callers[-2:] if cue.state in before[n].states]
    if not felt:
        others = {s for n in callers[-2:] for s in before[n].states if s in set(DISTRESS)}
        return False, f"the caller is {' and '.join(sorted(others)) or 'calm'}"
    arose = felt[0]
    for n in reversed(callers[: callers.index(felt[0])]):
        if cue.state not in before[n].states:
            break
        arose = n
    if any(cue.missing in turn.behaviours for turn in before[arose:]):
        return False, f"the agent has shown {cue.missing} already"
    return True, ""


def times(said: Sequence[LabelledTurn]) -> Iterator[tuple[int, int]]:
    at = 0
    for turn in said:
        end = at + max(800, round(1000 * len(turn.text.split()) / WORDS_PER_S))
        yield at, end
        at = end + BETWEEN_MS


def present(values: Any) -> frozenset[str]:
    return frozenset(str(name) for name, value in values.items() if value >= PRESENT)


def summed(calls: int, judged: Sequence[Judged], meant: int) -> Report:
    by_rule: dict[str, Counter[bool]] = {}
    for j in judged:
        by_rule.setdefault(j.cue.rule, Counter())[j.useful] += 1
    useful = sum(j.useful for j in judged)
    return {
        "calls": calls,
        "cues": len(judged),
        "cues_per_call": round(len(judged) / calls, 2) if calls else None,
        "cues_per_call_as_meant": round(meant / calls, 2) if calls else None,
        "useful": useful,
        "precision": round(useful / len(judged), 3) if judged else None,
        "rules": {rule: {"cues": c.total(), "useful": c[True]} for rule, c in sorted(by_rule.items())},
        "not_useful": [
            {"call": j.call, "t_ms": j.cue.t_ms, "rule": j.cue.rule, "why": j.why, "caller": j.said}
            for j in judged
            if not j.useful
        ],
    }


def table(name: str, report: Report) -> str:
    lines = [
        f"{name}: {report['calls']} calls, {report['cues']} cues, {report['cues_per_call']} a call "
        f"(as meant {report['cues_per_call_as_meant']}), useful {report['useful']} ({report['precision']})"
    ]
    lines += [f"  {rule:34} {part['useful']:3} of {part['cues']}" for rule, part in report["rules"].items()]
    lines += [
        f"  < {miss['call']} {miss['t_ms'] / 1000:.0f} s {miss['rule']}: {miss['why']}: {miss['caller'][:80]}"
        for miss in report["not_useful"]
    ]
    return "\n".join(lines)
