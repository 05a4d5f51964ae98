"""Score recordings offline, through the same engine as a live call. Stores nothing."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from scoring.assets import AssetMissing
from scoring.audio import Recording, looks_mixed, read_recording
from scoring.engine import Engine, EngineError, ScoredRecording, load_engine
from scoring.types import Samples

MIXED = (
    "Both sides are on one channel: transcript and timing only. Whose voice it is cannot be known, so no "
    "emotion and no empathy is inferred. Use a two-channel recording, or --customer FILE --agent FILE."
)
ALONE = "Only the customer's side was given: the agent cannot be judged."


class Command(BaseCommand):
    help = "Score call recordings: one stereo FILE per call, or --customer FILE --agent FILE."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="*", metavar="FILE", help="stereo recordings")
        parser.add_argument("--customer", help="the customer's side, alone in its file")
        parser.add_argument("--agent", help="the agent's side, alone in its file")
        parser.add_argument(
            "--customer-channel", choices=["left", "right"], default="left", help="default: left"
        )
        parser.add_argument("--json", action="store_true", help="print a JSON timeline per call")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            calls = list(
                gather(**{k: options[k] for k in ("files", "customer", "agent", "customer_channel")})
            )
            engine = load_engine(
                stand_in=settings.STAND_IN_MODELS,
                voice=settings.VOICE_MODEL or None,
                speech=settings.SPEECH_MODEL,
                device=settings.DEVICE,
            )
            documents = [document(engine, call) for call in calls]
        except (ValueError, AssetMissing, EngineError) as trouble:
            raise CommandError(str(trouble)) from trouble
        if options["json"]:
            self.stdout.write(json.dumps(documents if len(documents) > 1 else documents[0], indent=1))
        else:
            for told in documents:
                self.stdout.write(table(told))


Call = tuple[str, Samples, Samples | None, bool]
"""A name, the customer's side (or the mix), the agent's side, whether it is a mix."""


def gather(files: list[str], customer: str | None, agent: str | None, customer_channel: str) -> list[Call]:
    """The calls to score. Raises CommandError for wrong arguments, AudioError for bad files."""
    if files and (customer or agent):
        raise CommandError("Give stereo FILEs or --customer and --agent, not both.")
    if agent and not customer:
        raise CommandError("--agent needs --customer: emotion is read from the customer only.")
    if customer:
        told = one_side(customer), one_side(agent) if agent else None
        return [(Path(customer).name, *told, False)]
    if not files:
        raise CommandError("Nothing to score: give a stereo FILE, or --customer FILE --agent FILE.")
    return [stereo(name, read_recording(name), customer_channel) for name in files]


def one_side(path: str) -> Samples:
    recording = read_recording(path)
    if recording.channels > 1 and not looks_mixed(recording):
        raise CommandError(f"{path} has {recording.channels} different channels; give it as FILE instead.")
    samples: Samples = recording.samples[0]
    return samples


def stereo(name: str, recording: Recording, customer_channel: str) -> Call:
    if recording.channels > 2:
        raise CommandError(f"{name} has {recording.channels} channels; a call has two (customer, agent).")
    if looks_mixed(recording):
        return Path(name).name, recording.samples[0], None, True
    left, right = recording.samples
    sides = (left, right) if customer_channel == "left" else (right, left)
    return Path(name).name, *sides, False


def document(engine: Engine, call: Call) -> dict[str, Any]:
    """The JSON timeline of one call; names as in docs/contracts.md."""
    name, customer, agent, mixed = call
    scored = engine.score_recording(customer, agent, mixed=mixed)
    view = asdict(scored.view)
    notes = [MIXED] if mixed else [] if agent is not None else [ALONE]
    return {
        "file": name,
        "seconds": round(scored.seconds, 3),
        "turns": [asdict(turn) for turn in scored.turns],
        "voice": [asdict(state) for state in scored.voice],
        **view,
        "coverage": coverage(scored, agent is not None, mixed, notes),
        "versions": {"engine": engine.version, "rubric": scored.rubric},
        "cpu_ms": {stage: round(ms, 1) for stage, ms in scored.cpu_ms.items()},
    }


def coverage(scored: ScoredRecording, agent: bool, mixed: bool, notes: list[str]) -> dict[str, Any]:
    """What was heard on each channel, and what was not and why."""
    heard = {}
    for channel in ("customer", "agent") if agent else ("customer",):
        talked = sum(s.end_ms - s.start_ms for s in scored.speech if s.channel == channel)
        heard[channel] = {
            "received_ms": round(scored.seconds * 1000),
            "scored_ms": round(scored.seconds * 1000),
            "speech_ms": talked,
            "silent_ms": max(0, round(scored.seconds * 1000) - talked),
            "turns": sum(turn.channel == channel for turn in scored.turns),
            "not_understood": sum(turn.channel == channel and not turn.text for turn in scored.turns),
            "voice_windows": len(scored.voice) if channel == "customer" else 0,
        }
    return {"channels": heard, "mixed": mixed, "notes": notes}


def table(told: dict[str, Any]) -> str:
    """The same for people: turns, then the outcome."""
    lines = [f"{told['file']}  {told['seconds']:.0f} s  {told['versions']['engine']}"]
    lines += [
        f"{turn['start_ms'] / 1000:7.1f}  {turn['channel']:8}  {turn['text'] or '(not understood)'}"
        for turn in told["turns"]
    ]
    empathy = "no opportunity" if told["empathy"] is None else f"{told['empathy']:.0f}"
    lines.append(f"risk {told['risk']}  {told['reason']}  empathy {empathy}")
    lines += [f"note: {note}" for note in told["coverage"]["notes"]]
    return "\n".join(lines)
