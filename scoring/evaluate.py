"""`python -m scoring.evaluate TASK … --json`: measure the shipped models on labelled data (SCIENCE.md §9).

JSON goes to stdout (with --json), a table for people to stderr. A task is one entry in TASKS; its code
stays with the model it measures and is imported only when it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.assets import AssetMissing
from scoring.training.data import DataError

Report = dict[str, Any]


@dataclass(frozen=True)
class Task:
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], tuple[Report, str]]
    """Options -> (the JSON report, a table for people). Raises DataError for bad input."""


def _voice_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--manifest", type=Path, required=True, help="CSV: file, corpus, speaker, gender, emotion, split …"
    )
    parser.add_argument(
        "--audio", type=Path, nargs="+", required=True, help="tar files or folders that hold the clips"
    )
    parser.add_argument("--split", help="only rows of this split")
    parser.add_argument(
        "--baseline",
        choices=["causal", "none"],
        default="none",
        help="judge each clip against its speaker's earlier ones, as a call does, or alone",
    )
    parser.add_argument("--model", help="model folder (default: VOICE_MODEL, else the shipped one)")
    parser.add_argument("--device", default="cpu")


def _voice(options: argparse.Namespace) -> tuple[Report, str]:
    from scoring.evaluate_input import read_rows
    from scoring.training.voice.clips import COLUMNS
    from scoring.training.voice.measure import measure, table
    from scoring.voice import load_voice

    expected = f"for --manifest a CSV with the columns {', '.join(COLUMNS)}"
    for number, row in enumerate(read_rows(options.manifest, expected, COLUMNS), 1):
        if not Path(row["file"]).name:
            raise DataError(f"{options.manifest} row {number}, file: expected an audio file's name")
    try:
        model = load_voice(options.model, options.device)
    except ValueError as error:
        raise DataError(str(error)) from error
    report = measure(model, options.manifest, options.audio, options.split, options.baseline)
    return report, table(report)


def _redaction(options: argparse.Namespace) -> tuple[Report, str]:
    from scoring.evaluate_redaction import redaction

    return redaction(options)


def _speech(options: argparse.Namespace) -> tuple[Report, str]:
    from scoring.evaluate_speech import speech

    return speech(options)


def _speech_arguments(parser: argparse.ArgumentParser) -> None:
    from scoring.evaluate_speech import speech_arguments

    speech_arguments(parser)


def _redaction_arguments(parser: argparse.ArgumentParser) -> None:
    from scoring.evaluate_redaction import redaction_arguments

    redaction_arguments(parser)


def _language_arguments(parser: argparse.ArgumentParser) -> None:
    from scoring.evaluate_language import language_arguments

    language_arguments(parser)


def _language(options: argparse.Namespace) -> tuple[Report, str]:
    from scoring.evaluate_language import run_language

    return run_language(options)


def _pairs_arguments(parser: argparse.ArgumentParser) -> None:
    from scoring.evaluate_language import pairs_arguments

    pairs_arguments(parser)


def _pairs(options: argparse.Namespace) -> tuple[Report, str]:
    from scoring.evaluate_language import run_pairs

    return run_pairs(options)


def _calls_arguments(parser: argparse.ArgumentParser) -> None:
    from scoring.evaluate_calls import calls_arguments

    calls_arguments(parser)


def _calls(options: argparse.Namespace) -> tuple[Report, str]:
    from scoring.evaluate_calls import run_calls

    return run_calls(options)


def _nudges_arguments(parser: argparse.ArgumentParser) -> None:
    from scoring.evaluate_nudges import nudges_arguments

    nudges_arguments(parser)


def _nudges(options: argparse.Namespace) -> tuple[Report, str]:
    from scoring.evaluate_nudges import run_nudges

    return run_nudges(options)


TASKS: dict[str, Task] = {
    "language": Task("felt states and empathy in words", _language_arguments, _language),
    "empathy-pairs": Task("a behaviour's strength against labelled pairs", _pairs_arguments, _pairs),
    "speech": Task("words and CPU of speech recognition", _speech_arguments, _speech),
    "redaction": Task("what redaction leaks and what it masks in vain", _redaction_arguments, _redaction),
    "calls": Task("scripted calls, expected against found turn by turn", _calls_arguments, _calls),
    "nudges": Task("would each cue have been useful, by its rule's intent", _nudges_arguments, _nudges),
    "voice": Task("acted emotion from the voice", _voice_arguments, _voice),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scoring.evaluate", description=__doc__)
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, task in TASKS.items():
        sub = tasks.add_parser(name, help=task.help, description=task.help)
        task.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print the report as JSON on stdout")
    options = parser.parse_args(argv)
    try:
        report, table = TASKS[options.task].run(options)
    except (DataError, AssetMissing) as error:
        print(f"evaluate {options.task}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(table, file=sys.stderr)
    if options.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
