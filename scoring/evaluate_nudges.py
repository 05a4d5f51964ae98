"""The `nudges` task of `python -m scoring.evaluate`: would each cue have been useful, by its rule's intent?

A call whose author labelled every turn is played twice: as meant (the labels are what was found) and as read
(by the words model, or heard by the whole engine with `--audio`). Either way it grows second by second
through `view`, and a candidate counts as a cue when a live call would have shown it: new, fresh, spaced.

A cue is *useful* when, by the author's labels and never by our own reading (present: label >= PRESENT),
1. the caller's turn just before it, all that was said since the agent last spoke, has the rule's state, and
2. the agent has not shown the rule's missing behaviour since that need arose: since the first of the caller's
   unbroken turns with that state.
*late*: 1 fails, but the turn before that had the state, and 2 holds from there; not useful, told apart.

A *need* is an unbroken run of the caller's turns with any distress. It is *left* when, at the end of one of
its turns, the intent of some rule held and the agent's next turn showed none of what such rules ask for.
*Missed*: left, without a useful cue in it. Spacing and fading make even a call as meant miss some.
A labelled or unheard call has no times: it is given even ones, so cues about silence cannot come up there.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from scoring.agreement import wilson
from scoring.behaviour import exchanges
from scoring.evaluate_calls import MEANT_BEHAVIOUR, MEANT_STATE, Line, read_script, read_scripts
from scoring.evaluate_contact_centre import labelled_turns
from scoring.evaluate_input import read_text
from scoring.language import LanguageModel, TurnText, load_language
from scoring.nudges import Wanted, has_passed
from scoring.rubric import ANY_DISTRESS, RubricSpec, default_rubric
from scoring.training.data import DataError
from scoring.training.labelled_turns import PRESENT, PREVIOUS_TURNS, LabelledTurn
from scoring.types import DISTRESS, Behaviour, Channel, NudgeCandidate, Speech, State, Turn, VoiceState
from scoring.view import unique_turns, view

Report = dict[str, Any]
TARGET = 0.8
WORDS_PER_S = 2.5
BETWEEN_MS = 600
"""Written turns have no times: so fast is speech, and so long the gap between turns."""
STEP_MS = 1000
FRESH_MS = 8_000
"""As in live calls: an older candidate is not shown any more."""
CALM, OTHER, LATE, ALREADY = "calm", "another state", "late", "already shown"
"""What is wrong with a cue that is not useful."""


@dataclass(frozen=True)
class Labelled:
    """One turn as its author meant it, and when it is said."""

    channel: Channel
    start_ms: int
    end_ms: int
    text: str
    states: Mapping[str, float]
    behaviours: Mapping[str, float]

    def has(self, label: str) -> bool:
        return max(self.states.get(label, 0.0), self.behaviours.get(label, 0.0)) >= PRESENT


@dataclass(frozen=True)
class Pieces:
    """What was found in a call, as live scoring hands it on."""

    turns: Sequence[Turn]
    voice: Sequence[VoiceState]
    speech: Sequence[Speech]


@dataclass(frozen=True)
class Played:
    """One call: its labels and what was read in it."""

    name: str
    labels: Sequence[Labelled]
    read: Pieces


@dataclass(frozen=True)
class Judged:
    call: str
    cue: NudgeCandidate
    fault: str
    """"" when it is useful."""
    said: str
    """The caller's turn just before."""


@dataclass(frozen=True)
class Talk:
    """What one side says before the other does, by the labels."""

    channel: Channel
    turns: tuple[Labelled, ...]

    def has(self, label: str) -> bool:
        """A label, or any distress."""
        return bool(self.upset) if label == ANY_DISTRESS else any(turn.has(label) for turn in self.turns)

    @property
    def upset(self) -> list[State]:
        return [state for state in DISTRESS if any(turn.has(state) for turn in self.turns)]


@dataclass(frozen=True)
class Need:
    start_ms: int
    until_ms: int
    left: bool


def nudges_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--contact-centre", type=Path, metavar="DIR", help="our own turns: docs/labelling.md")
    parser.add_argument("--split", default="calibrate", help="folder under it (default: calibrate)")
    parser.add_argument("--scripts", type=Path, metavar="DIR", help="folder with a YAML script per call")
    parser.add_argument(
        "--audio", type=Path, metavar="DIR", help="hear the scripts: folder of index.json, <name>.opus"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these scripts")
    parser.add_argument("--stand-in", action="store_true", help="stand-in models: tests the plumbing only")


def run_nudges(options: argparse.Namespace) -> tuple[Report, str]:
    if not options.scripts and not options.contact_centre:
        raise DataError("give --scripts DIR (and --audio DIR to hear them), or --contact-centre DIR")
    if not options.scripts and (options.audio or options.only):
        raise DataError("--audio and --only need --scripts DIR")
    rubric, sets = default_rubric(), {}
    if options.contact_centre:
        name = f"contact centre ({options.split}), words read"
        sets[name] = own_calls(options.contact_centre / options.split, load_language(options.stand_in))
    if options.scripts and options.audio:
        found = read_scripts(options.scripts, options.audio, options.only)
        sets["scripted calls, heard"] = heard_calls(found, options.audio, rubric, options.stand_in)
    elif options.scripts:
        sets["scripted calls, words read"] = written_calls(
            options.scripts, options.only, load_language(options.stand_in)
        )
    report = {
        "target": TARGET,
        "sets": {name: measured(list(calls), rubric) for name, calls in sets.items()},
    }
    return report, table(report)


# -- calls


def own_calls(folder: Path, model: LanguageModel) -> Iterator[Played]:
    """Labelled scenarios, read by the words model."""
    for name, group in groupby(labelled_turns(folder), key=lambda turn: turn.scenario):
        said: list[LabelledTurn] = list(group)
        labels = [
            Labelled(turn.channel, start, end, turn.text, turn.states, turn.behaviours)
            for turn, (start, end) in zip(said, times([turn.text for turn in said]), strict=True)
        ]
        yield Played(name, labels, read_words(labels, model))


def written_calls(scripts: Path, only: Sequence[str] | None, model: LanguageModel) -> Iterator[Played]:
    """Scripts without their recordings, read by the words model."""
    paths = {path.stem: path for path in sorted(scripts.glob("*.yaml"))}
    if missing := sorted(set(only or ()) - set(paths)):
        raise DataError(f"no script {', '.join(missing)} in {scripts}; there are {', '.join(paths)}")
    if not paths:
        raise DataError(f"no *.yaml in {scripts}; expected a folder with a script per call")
    for name in only or paths:
        lines = read_untimed(paths[name])
        labels = [
            replace(labelled(line), start_ms=start, end_ms=end)
            for line, (start, end) in zip(lines, times([line.text for line in lines]), strict=True)
        ]
        yield Played(name, labels, read_words(labels, model))


def heard_calls(
    scripts: Mapping[str, Sequence[Line]], audio: Path, rubric: RubricSpec, stand_in: bool
) -> Iterator[Played]:
    """Scripts with their recordings, heard by the whole engine."""
    from scoring.audio import AudioError, read_recording
    from scoring.engine import load_engine

    engine = load_engine(stand_in=stand_in)
    for name, lines in scripts.items():
        path = audio / f"{name}.opus"
        try:
            recording = read_recording(path)
        except AudioError as error:
            raise DataError(str(error)) from error
        if recording.channels != 2:
            raise DataError(f"{path}: expected 2 channels, caller and agent, not {recording.channels}")
        scored = engine.score_recording(recording.samples[0], recording.samples[1], rubric)
        yield Played(
            name, [labelled(line) for line in lines], Pieces(scored.turns, scored.voice, scored.speech)
        )


def read_untimed(path: Path) -> list[Line]:
    """A script's lines without regard to when they are heard."""
    try:
        count = len(yaml.safe_load(read_text(path, "a call's script"))["turns"])
    except (yaml.YAMLError, RecursionError, TypeError, KeyError):
        count = 0  # read_script says what is wrong
    return read_script(path, {"turns": [{"start_ms": n, "end_ms": n + 1} for n in range(count)]})


def labelled(line: Line) -> Labelled:
    states = {line.state: MEANT_STATE} if line.state and line.state != State.CALM else {}
    behaviours = dict.fromkeys((b for b in line.behaviours if b in set(Behaviour)), MEANT_BEHAVIOUR)
    return Labelled(line.channel, line.start_ms, line.end_ms, line.text, states, behaviours)


def times(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    at = 0
    for text in texts:
        end = at + max(800, round(1000 * len(text.split()) / WORDS_PER_S))
        yield at, end
        at = end + BETWEEN_MS


def read_words(labels: Sequence[Labelled], model: LanguageModel) -> Pieces:
    said: dict[Channel, list[str]] = {channel: [] for channel in Channel}
    texts = []
    for turn in labels:
        texts.append(TurnText(turn.channel, turn.text, tuple(said[turn.channel][-PREVIOUS_TURNS:])))
        said[turn.channel].append(turn.text)
    readings = model.read(texts)
    return pieces(
        replace(said_by(turn), states=reading.states, behaviours=reading.behaviours, cues=reading.cues)
        for turn, reading in zip(labels, readings, strict=True)
    )


def as_meant(labels: Sequence[Labelled]) -> Pieces:
    """The call in which everything is found as its author meant it, and for sure.

    A label says how strong a state is, a reading how likely: what is present is as good as certain.
    """
    return pieces(
        replace(said_by(turn), states=certain(turn.states), behaviours=dict(turn.behaviours))
        for turn in labels
    )


def certain(states: Mapping[str, float]) -> dict[str, float]:
    return {state: 0.9 + 0.1 * value for state, value in states.items() if value >= PRESENT}


def said_by(turn: Labelled) -> Turn:
    return Turn(turn.channel, turn.start_ms, turn.end_ms, turn.text, confidence=1.0)


def pieces(turns: Iterator[Turn]) -> Pieces:
    said = list(turns)
    return Pieces(said, (), [Speech(turn.channel, turn.start_ms, turn.end_ms) for turn in said])


# -- cues


def cues(found: Pieces, rubric: RubricSpec) -> list[NudgeCandidate]:
    """What the agent would have been shown while the call ran, but for waiting until somebody pauses."""
    shown: list[NudgeCandidate] = []
    end_ms = max((turn.end_ms for turn in found.turns), default=0)
    for now_ms in range(STEP_MS, end_ms + 2 * STEP_MS, STEP_MS):
        turns = unique_turns([turn for turn in found.turns if turn.end_ms <= now_ms])
        candidates = so_far(found, turns, now_ms, rubric, [cue.t_ms for cue in shown])
        newest = max(candidates, key=lambda c: c.t_ms, default=None)
        if newest is None or now_ms - newest.t_ms > FRESH_MS or len(shown) >= rubric.nudging.per_call:
            continue
        if has_passed(newest, exchanges(turns, rubric.timing), rubric):
            continue
        if not shown or newest.t_ms - shown[-1].t_ms >= rubric.nudging.every_ms:
            shown.append(newest)
    return shown


def so_far(
    found: Pieces, turns: Sequence[Turn], now_ms: int, rubric: RubricSpec, shown: Sequence[int]
) -> tuple[NudgeCandidate, ...]:
    voice = [window for window in found.voice if window.end_ms <= now_ms]
    speech = [
        replace(heard, end_ms=min(heard.end_ms, now_ms)) for heard in found.speech if heard.start_ms < now_ms
    ]
    wanted = Wanted(shown=shown)
    return view(turns, voice, speech, rubric, now_ms=now_ms, closed=False, wanted=wanted).nudges


def judge(
    call: str, shown: Sequence[NudgeCandidate], labels: Sequence[Labelled], rubric: RubricSpec
) -> list[Judged]:
    states = {rule.id: rule.state for rule in rubric.nudging.rules}
    judged = []
    for cue in shown:
        talk = talks([turn for turn in labels if turn.start_ms < cue.t_ms])
        caller = [t for t in talk if t.channel is Channel.CUSTOMER]
        said = " ".join(turn.text for turn in caller[-1].turns) if caller else ""
        judged.append(Judged(call, cue, fault(cue, states[cue.rule], talk), said))
    return judged


def fault(cue: NudgeCandidate, state: str, talk: Sequence[Talk]) -> str:
    """What is wrong with a cue after this talk; "" when the intent of its rule, for `state`, holds."""
    callers = [n for n, t in enumerate(talk) if t.channel is Channel.CUSTOMER]
    last = talk[callers[-1]] if callers else None
    if last is not None and last.has(state):
        return ALREADY if cue.missing in shown_since(talk, state) else ""
    if len(callers) > 1 and talk[callers[-2]].has(state):
        earlier = shown_since(talk[: callers[-1]], state)
        return ALREADY if cue.missing in earlier else LATE
    return OTHER if last is not None and last.upset else CALM


def talks(labels: Sequence[Labelled]) -> list[Talk]:
    return [Talk(channel, tuple(turns)) for channel, turns in groupby(labels, key=lambda turn: turn.channel)]


def shown_since(talk: Sequence[Talk], state: str) -> set[Behaviour]:
    """Behaviours of the agent since the caller's last unbroken turns with this state began."""
    arose = len(talk)
    for n in reversed(range(len(talk))):
        if talk[n].channel is Channel.CUSTOMER:
            if not talk[n].has(state):
                break
            arose = n
    return {b for t in talk[arose:] for b in Behaviour if t.channel is Channel.AGENT and t.has(b)}


def needs(labels: Sequence[Labelled], rubric: RubricSpec) -> list[Need]:
    talk = talks(labels)
    callers = [n for n, t in enumerate(talk) if t.channel is Channel.CUSTOMER]
    found = []
    for upset, run in groupby(callers, key=lambda n: bool(talk[n].upset)):
        turns = list(run)
        if not upset:
            continue
        after = next((n for n in callers if n > turns[-1]), None)
        until_ms = talk[after].turns[0].start_ms if after is not None else labels[-1].end_ms + FRESH_MS
        left = any(is_left(talk, n, rubric) for n in turns)
        found.append(Need(talk[turns[0]].turns[0].start_ms, until_ms, left))
    return found


def is_left(talk: Sequence[Talk], n: int, rubric: RubricSpec) -> bool:
    """Some rule's intent holds at the end of this turn, and the agent's next does nothing of the kind."""
    wanted = {
        rule.missing
        for rule in rubric.nudging.rules
        if talk[n].has(rule.state) and rule.missing not in shown_since(talk[: n + 1], rule.state)
    }
    answered = n + 1 < len(talk)
    return answered and bool(wanted) and not any(talk[n + 1].has(b) for b in wanted)


# -- the report


def measured(calls: Sequence[Played], rubric: RubricSpec) -> Report:
    found = {call.name: needs(call.labels, rubric) for call in calls}
    ways = {
        "as meant": {call.name: cues(as_meant(call.labels), rubric) for call in calls},
        "as read": {call.name: cues(call.read, rubric) for call in calls},
    }
    return {
        "calls": len(calls),
        "needs": sum(map(len, found.values())),
        **{
            way: summed({c.name: judge(c.name, shown[c.name], c.labels, rubric) for c in calls}, found)
            for way, shown in ways.items()
        },
    }


def summed(judged: Mapping[str, Sequence[Judged]], open_needs: Mapping[str, Sequence[Need]]) -> Report:
    every = [j for part in judged.values() for j in part]
    useful = sum(not j.fault for j in every)
    late = sum(j.fault == LATE for j in every)
    rules: dict[str, Counter[str]] = {}
    for j in every:
        rules.setdefault(j.cue.rule, Counter())[j.fault] += 1
    left = [(name, need) for name, found in open_needs.items() for need in found if need.left]
    missed = sum(not any(helps(j, need) for j in judged[name]) for name, need in left)
    return {
        "cues": len(every),
        "cues_per_call": ratio(len(every), len(judged)),
        "useful": useful,
        "precision": ratio(useful, len(every)),
        "precision_95": wilson(useful, len(every)),
        "precision_with_late": ratio(useful + late, len(every)),
        "needs_left": len(left),
        "missed": missed,
        "missed_share": ratio(missed, len(left)),
        "rules": {
            rule: {"cues": c.total(), "useful": c[""], "faults": {k: n for k, n in c.items() if k}}
            for rule, c in sorted(rules.items())
        },
        "not_useful": [
            {"call": j.call, "t_ms": j.cue.t_ms, "rule": j.cue.rule, "fault": j.fault, "caller": j.said}
            for j in every
            if j.fault
        ],
    }


def helps(judged: Judged, need: Need) -> bool:
    return not judged.fault and need.start_ms <= judged.cue.t_ms <= need.until_ms


def ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def table(report: Report) -> str:
    lines = []
    for name, part in report["sets"].items():
        lines.append(f"{name}: {part['calls']} calls, {part['needs']} needs of callers")
        for way in ("as meant", "as read"):
            lines += way_lines(way, part[way], report["target"])
    return "\n".join(lines)


def way_lines(way: str, part: Report, target: float) -> Iterator[str]:
    precision = part["precision"]
    below = f" < {target}" if precision is not None and precision < target else ""
    low, high = part["precision_95"] or (None, None)
    yield (
        f"  {way}: {part['cues']} cues ({part['cues_per_call']} a call), useful {part['useful']} = "
        f"{precision}{below} (95 %: {low}-{high}; with late ones {part['precision_with_late']}); "
        f"missed {part['missed']} of {part['needs_left']} needs left by the agent"
    )
    for rule, of in part["rules"].items():
        faults = ", ".join(f"{n} {fault}" for fault, n in of["faults"].items())
        yield f"    {rule:26} {of['useful']:3} of {of['cues']:<3} {faults}"
    for miss in part["not_useful"]:
        at, said = f"{miss['t_ms'] / 1000:.0f} s", miss["caller"][:76]
        yield f"    < {miss['call']} {at} {miss['rule']}, {miss['fault']}: {said}"
