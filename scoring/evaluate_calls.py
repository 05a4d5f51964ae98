"""The `calls` task of `python -m scoring.evaluate`: scripted calls, turn by turn, expected against found.

A labelled call is a recording (left the customer, right the agent), a script (`<name>.yaml`: per turn the
caller's intended state or the agent's behaviours) and `index.json` beside the audio, which says when
each turn is heard. What the author expects of the empathy score is what `view` makes of a call in which
every turn is found exactly as it was meant.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scoring.evaluate_input import read_json, read_text
from scoring.rubric import RubricSpec, default_rubric
from scoring.states import trace
from scoring.training.data import DataError
from scoring.types import Behaviour, CallView, Channel, Moment, Speech, State, Turn
from scoring.view import view

Report = dict[str, Any]

MEANT_STATE = 0.9
MEANT_BEHAVIOUR = 1.0
"""How strong a scripted state or behaviour counts in the call as it was meant."""
HEARD_SHARE = 0.5
"""A heard turn belongs to the scripted turn that covers at least this share of it."""
SHOWN_AFTER_MS = 500
"""What is shown is read this long after the turn's end: the endpointing adds a little."""


@dataclass(frozen=True)
class Line:
    """One scripted turn and when it is heard."""

    channel: Channel
    start_ms: int
    end_ms: int
    text: str
    state: str | None
    behaviours: tuple[str, ...]


def calls_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scripts", type=Path, required=True, help="folder of <name>.yaml")
    parser.add_argument("--audio", type=Path, required=True, help="folder of <name>.opus and index.json")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these calls")
    parser.add_argument("--stand-in", action="store_true", help="stand-in models: tests the plumbing only")


def run_calls(options: argparse.Namespace) -> tuple[Report, str]:
    from scoring.audio import AudioError, read_recording
    from scoring.engine import load_engine

    scripts = read_scripts(options.scripts, options.audio, options.only)
    engine, rubric = load_engine(stand_in=options.stand_in), default_rubric()
    calls, cpu, seconds = {}, Counter[str](), 0.0
    for name, lines in scripts.items():
        path = options.audio / f"{name}.opus"
        try:
            recording = read_recording(path)
        except AudioError as error:
            raise DataError(str(error)) from error
        if recording.channels != 2:
            raise DataError(f"{path}: expected 2 channels, caller and agent, not {recording.channels}")
        scored = engine.score_recording(recording.samples[0], recording.samples[1], rubric)
        calls[name] = compare(lines, scored.turns, scored.view, rubric)
        cpu.update({stage: ms / 1000 for stage, ms in scored.cpu_ms.items()})
        seconds += scored.seconds
    report = {
        "engine": engine.version,
        "calls": calls,
        **totals(calls.values()),
        "cpu_ms_per_call_second": {k: round(1000 * v / seconds, 2) for k, v in cpu.items()},
    }
    return report, table(report)


def read_scripts(scripts: Path, audio: Path, only: Sequence[str] | None = None) -> dict[str, list[Line]]:
    """Every script with its times; DataError names the file and what is wrong with it."""
    file, expected = audio / "index.json", '{"calls": {name: {"turns": [{"start_ms", "end_ms"}, …]}, …}}'
    index = read_json(file, expected)
    if not isinstance(index, dict) or not isinstance(index.get("calls"), dict):
        raise DataError(f"{file}: expected {expected}")
    names = sorted(path.stem for path in scripts.glob("*.yaml"))
    if missing := sorted(set(only or ()) - set(names)):
        raise DataError(f"no script {', '.join(missing)} in {scripts}; there are {', '.join(names)}")
    wanted = [name for name in names if not only or name in only]
    if not wanted:
        raise DataError(f"no *.yaml in {scripts}; expected a folder with a script per call")
    return {name: read_script(scripts / f"{name}.yaml", index["calls"].get(name)) for name in wanted}


def read_script(path: Path, times: Any) -> list[Line]:
    expected = "turns: [{who, text, state or behaviours}, …]"
    try:
        raw = yaml.safe_load(read_text(path, expected))
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} is not YAML ({error}); expected {expected}") from error
    turns = raw.get("turns") if isinstance(raw, dict) else None
    if not isinstance(turns, list) or not turns:
        raise DataError(f"{path}: expected {expected}")
    heard = times.get("turns") if isinstance(times, dict) else None
    if not isinstance(heard, list) or len(heard) != len(turns):
        told = f"{len(heard)} times" if isinstance(heard, list) else "no times"
        raise DataError(f"{path}: {len(turns)} turns, but {told} in index.json; expected one per turn")
    return [
        read_line(turn, at, f"{path} turn {number}")
        for number, (turn, at) in enumerate(zip(turns, heard, strict=True), 1)
    ]


def read_line(turn: Any, at: Any, where: str) -> Line:
    """One turn of a script and its entry in index.json."""
    if not isinstance(turn, dict) or turn.get("who") not in list(Channel):
        raise DataError(f"{where}: expected who: {' or '.join(Channel)}")
    if not isinstance(turn.get("text"), str):
        raise DataError(f"{where}: expected text, not {turn.get('text')!r}")
    channel, state, behaviours = Channel(turn["who"]), turn.get("state"), turn.get("behaviours", [])
    if state not in list(State) if channel is Channel.CUSTOMER else state is not None:
        raise DataError(f"{where}: expected for the customer a state ({', '.join(State)}), not {state!r}")
    if not isinstance(behaviours, list) or not all(isinstance(b, str) for b in behaviours):
        raise DataError(f"{where}: expected a list of behaviours, not {behaviours!r}")
    start, end = (at.get("start_ms"), at.get("end_ms")) if isinstance(at, dict) else (None, None)
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end:
        raise DataError(f"{where}: expected start_ms < end_ms in index.json, not {start!r} and {end!r}")
    return Line(channel, start, end, turn["text"], state, tuple(behaviours))


def as_meant(lines: Sequence[Line], rubric: RubricSpec) -> CallView:
    """The call as its author meant it: every state and behaviour found, no voice."""
    turns = [
        Turn(
            line.channel,
            line.start_ms,
            line.end_ms,
            line.text,
            confidence=1.0,
            states={line.state: MEANT_STATE} if line.state and line.state != State.CALM else {},
            behaviours=dict.fromkeys((b for b in line.behaviours if b in set(Behaviour)), MEANT_BEHAVIOUR),
        )
        for line in lines
    ]
    speech = [Speech(line.channel, line.start_ms, line.end_ms) for line in lines]
    return view(turns, (), speech, rubric, now_ms=lines[-1].end_ms, closed=True)


def compare(lines: Sequence[Line], turns: Sequence[Turn], found: CallView, rubric: RubricSpec) -> Report:
    """One row per scripted turn, and the call's empathy as meant and as found."""
    meant = as_meant(lines, rubric)
    fused = {f.turn.start_ms: f for f in trace(turns, (), rubric.fusion).feelings}
    rows = []
    for line in lines:
        heard = [t for t in turns if t.channel is line.channel and covers(line, t)]
        row: Report = {
            "t_ms": line.end_ms,
            "who": str(line.channel),
            "text": line.text,
            "heard": " ".join(t.text for t in heard),
            "empathy_meant": _live(meant.moments, line.end_ms),
            "empathy": _live(found.moments, line.end_ms + SHOWN_AFTER_MS),
        }
        if line.channel is Channel.CUSTOMER:
            feelings = [fused[t.start_ms] for t in heard if t.start_ms in fused]
            row |= {
                "expected": line.state,
                "words": strongest([f.fused for f in feelings], rubric),
                "shown": _shown(found.moments, line.end_ms + SHOWN_AFTER_MS),
            }
        else:
            strengths = {b: max((t.behaviours.get(b, 0.0) for t in heard), default=0.0) for b in Behaviour}
            row |= {
                "expected": [b for b in line.behaviours if b in strengths],
                "found": [str(b) for b, c in strengths.items() if c >= rubric.opportunity.met],
            }
        rows.append(row)
    return {
        "turns": rows,
        "empathy_meant": meant.empathy,
        "empathy": found.empathy,
        "interval": [found.empathy_low, found.empathy_high],
    }


def covers(line: Line, turn: Turn) -> bool:
    both = min(line.end_ms, turn.end_ms) - max(line.start_ms, turn.start_ms)
    return both >= HEARD_SHARE * (turn.end_ms - turn.start_ms)


def strongest(fused: Sequence[Mapping[State, float]], rubric: RubricSpec) -> str:
    """The state that a turn's pieces say together; calm when none is clear."""
    best = {s: max(f[s] for f in fused) for s in fused[0]} if fused else {}
    top = max(best, key=best.__getitem__, default=None)
    return str(top) if top is not None and best[top] >= rubric.fusion.enter else str(State.CALM)


def _moment(moments: Sequence[Moment], t_ms: int) -> Moment | None:
    return next((m for m in reversed(moments) if m.t_ms <= t_ms), None)


def _live(moments: Sequence[Moment], t_ms: int) -> float | None:
    moment = _moment(moments, t_ms)
    return moment.empathy if moment else None


def _shown(moments: Sequence[Moment], t_ms: int) -> str:
    moment = _moment(moments, t_ms)
    return str(moment.state) if moment else str(State.UNSURE)


def totals(calls: Any) -> Report:
    """How often the states agree, and hits, false alarms and misses per behaviour."""
    rows = [row for call in calls for row in call["turns"]]
    customer = [row for row in rows if row["who"] == Channel.CUSTOMER]
    behaviours = {}
    for b in Behaviour:
        pairs = [(b in r["expected"], b in r["found"]) for r in rows if r["who"] == Channel.AGENT]
        behaviours[str(b)] = {
            "hits": pairs.count((True, True)),
            "false": pairs.count((False, True)),
            "missed": pairs.count((True, False)),
        }
    return {
        "n_customer_turns": len(customer),
        "agree_turn": sum(row["words"] == row["expected"] for row in customer),
        "agree_shown": sum(row["shown"] == row["expected"] for row in customer),
        "behaviours": behaviours,
    }


def table(report: Report) -> str:
    """One table per call; what differs is marked with `<`."""
    lines = list(_lines(report["calls"]))
    n = report["n_customer_turns"]
    lines += [
        f"states: {report['agree_turn']} of {n} customer turns agree by the turn, "
        f"{report['agree_shown']} as shown then",
        "behaviours, hits/false/missed: "
        + ", ".join(f"{b} {c['hits']}/{c['false']}/{c['missed']}" for b, c in report["behaviours"].items()),
        "CPU ms per call second: "
        + ", ".join(f"{stage} {ms:.1f}" for stage, ms in report["cpu_ms_per_call_second"].items()),
    ]
    return "\n".join(lines)


def _lines(calls: Mapping[str, Report]) -> Iterator[str]:
    for name, call in calls.items():
        yield f"\n{name}: empathy meant {_number(call['empathy_meant'])}, found {_number(call['empathy'])}"
        for row in call["turns"]:
            if row["who"] == Channel.CUSTOMER:
                expected, found = row["expected"], f"{row['words']} (shown {row['shown']})"
                differs = expected not in (row["words"], row["shown"])
            else:
                expected, found = " ".join(row["expected"]) or "-", " ".join(row["found"]) or "-"
                differs = set(row["expected"]) != set(row["found"])
            yield (
                f"{row['t_ms'] / 1000:6.1f} {row['who'][0].upper()} {expected:30.30} {found:36.36} "
                f"{_number(row['empathy_meant']):>5} {_number(row['empathy']):>5} {'<' if differs else ' '} "
                f"{row['heard'][:70]}"
            )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
