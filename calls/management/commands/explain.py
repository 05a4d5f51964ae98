"""`manage.py explain CALL T_MS`: which words and which second of voice moved which state in one turn."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from calls.derived import Pieces, load_pieces
from calls.models import Call
from scoring.audio import looks_mixed, read_recording
from scoring.engine import SAID_TURNS
from scoring.explain import Explanation, HeardVoice, explain
from scoring.types import Channel, Turn

LINES = 15
MIXED = (
    "{file} has both sides on one channel (mono, or two that are the same): whose voice it is cannot be "
    "known, so nothing is read from it. Give the two-channel recording, caller left, or leave out --audio."
)


class Command(BaseCommand):
    help = "Explain the caller's turn at (or last before) a time: words, voice, and what each moved."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("call", type=UUID, metavar="CALL", help="the call's id")
        parser.add_argument("t_ms", type=int, metavar="T_MS", help="media time in the turn, ms")
        parser.add_argument(
            "--deep", action="store_true", help="read the text again without each word and phrase"
        )
        parser.add_argument(
            "--audio", metavar="FILE", help="the call's recording, caller left: hear it again by seconds"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        call = Call.objects.select_related("rubric_version").filter(pk=options["call"]).first()
        if call is None:
            raise CommandError("No such call.")
        pieces = load_pieces([str(call.pk)])[str(call.pk)]
        turn = turn_at(pieces, options["t_ms"])
        spec = call.rubric_version.as_spec()
        language = voice = None
        if options["deep"]:
            from scoring.language import load_language

            # As the engine does: it reads words by the default phrases, whatever the call's rubric.
            language = load_language(stand_in=settings.STAND_IN_MODELS)
        if options["audio"]:
            voice = heard(options["audio"])
        told = explain(turn, pieces.voice, spec, language, voice, previous_of(pieces, turn))
        self.stdout.write(table(told))


def turn_at(pieces: Pieces, t_ms: int) -> Turn:
    """The caller's turn over a time, else the last before it. CommandError when there is none."""
    mine = sorted(
        (t for t in pieces.turns if t.channel is Channel.CUSTOMER and t.start_ms <= t_ms),
        key=lambda t: t.start_ms,
    )
    if not mine:
        raise CommandError("The caller had not spoken by then; only the caller's turns are read for states.")
    return mine[-1]


def previous_of(pieces: Pieces, turn: Turn) -> tuple[str, ...]:
    """What the language model was told of the same speaker's earlier turns when it read this one."""
    before = sorted(
        (t for t in pieces.turns if t.channel is turn.channel and t.start_ms < turn.start_ms),
        key=lambda t: t.start_ms,
    )
    return tuple(t.text for t in before if t.text.strip())[-SAID_TURNS:]


def heard(file: str) -> HeardVoice:
    """The recording's left channel and the configured voice model. CommandError when it holds both sides."""
    from scoring.assets import AssetMissing
    from scoring.voice import STAND_IN, load_voice

    name = STAND_IN if settings.STAND_IN_MODELS else settings.VOICE_MODEL or None
    try:
        recording = read_recording(file)
        if looks_mixed(recording):
            raise CommandError(MIXED.format(file=file))
        return HeardVoice(load_voice(name, settings.DEVICE), recording.samples[0])
    except (OSError, ValueError, AssetMissing) as trouble:
        raise CommandError(str(trouble)) from trouble


def table(told: Explanation) -> str:
    lines = [f"turn at {told.turn_start_ms / 1000:.1f} s: {told.text or '(not understood)'}", ""]
    lines.append(f"words ({'read again without each' if told.deep_words else 'from stored cues'})")
    lines += [
        f"  {part.amount:+.3f}  {part.state:13} {part.kind:7} “{part.text}”" for part in told.words[:LINES]
    ] or ["  nothing that moves a state"]
    lines.append(f"voice ({'heard again without each second' if told.deep_voice else 'stored windows'})")
    lines += [
        f"  {part.amount:+.3f}  {part.state:13} {part.start_ms / 1000:.1f}–{part.end_ms / 1000:.1f} s"
        for part in told.voice[:LINES]
    ] or ["  nothing that moves a state"]
    lines.append("fusion            fused   words   voice")
    lines += [
        f"  {part.state:13} {part.fused:7.3f} {part.words:+7.3f} {part.voice:+7.3f}" for part in told.fusion
    ]
    lines.append("Each line is with less without; lines need not add up.")
    return "\n".join(lines)
