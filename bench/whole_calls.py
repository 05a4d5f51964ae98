"""Room that whole calls take: the demo's calls, written many times, piece by piece, by `record`.

Used by `python -m bench trends`. Everything a call leaves in PostgreSQL counts: turns with their words, voice
windows, moments, coverage, cues, alerts, who looked, the call itself, and its fact in the trends.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

STEP_MS = 4000
"""Of a call in one batch: each rewrites the call's view, as live scoring does."""
STRETCHES = 3
"""Of speech in a turn; the engine finds 58 in the 17 turns of one of these calls."""
WARM = 0.2
"""Part of the sample written before measuring: a table's first page is not what a call takes."""


def measure(site: Any, count: int) -> dict[str, Any]:
    """Megabytes per 100,000 calls by table, indexes and TOAST included. The calls are gone afterwards."""
    from django.db import connection

    heard = list(scripted())
    warm = max(1, int(count * WARM))
    lengths = [write(site, heard, n) for n in range(warm)]
    before = sizes()
    lengths = [write(site, heard, n) for n in range(warm, count)]
    grown = {table: size - before.get(table, 0) for table, size in sizes().items()}
    n, hours = count - warm, sum(lengths) / 3_600_000
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE calls_call, calls_callfact, calls_teamweek, calls_agentweek, calls_teamfelt CASCADE"
        )
    whole = sum(grown.values())
    return {
        "calls": n,
        "mean_s": round(hours * 3600 / n),
        "mb_per_100k_calls": round(whole / 1e6 / n * 100_000),
        "mb_per_1000_hours": round(whole / 1e6 / hours * 1000),
        "by_table": {
            table.removeprefix("calls_"): round(size / 1e6 / n * 100_000)
            for table, size in sorted(grown.items(), key=lambda item: -item[1])
            if size / whole > 0.001
        },
    }


def sizes() -> dict[str, int]:
    """Bytes by table, once what is dead was swept up."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables")
        return dict(cursor.fetchall())


def scripted() -> Iterator[Any]:
    """The demo's calls as they are timed in their recordings: words read by the language model; voice windows
    and stretches of speech as many as the engine finds in such a call."""
    from calls.demo import AUDIO, SCRIPTS
    from scoring.evaluate_calls import read_scripts
    from scoring.evaluate_nudges import Pieces, labelled, read_words
    from scoring.language import load_language

    model = load_language()
    for lines in read_scripts(SCRIPTS, AUDIO).values():
        read = read_words([labelled(line) for line in lines], model)
        turns = [replace(turn, words=words_of(turn)) for turn in read.turns]
        yield Pieces(
            turns,
            [v for turn in turns for v in windows(turn)],
            [s for turn in turns for s in stretches(turn)],
        )


def words_of(turn: Any) -> tuple[Any, ...]:
    """Evenly over the turn."""
    from scoring.types import Word

    said = turn.text.split()
    step = (turn.end_ms - turn.start_ms) // max(1, len(said))
    return tuple(
        Word(text, turn.start_ms + n * step, turn.start_ms + (n + 1) * step, 0.87)
        for n, text in enumerate(said)
    )


def windows(turn: Any) -> Iterator[Any]:
    """One each three seconds of the caller."""
    from scoring.types import WINDOW_MS, Channel, VoiceState

    if turn.channel is Channel.CUSTOMER:
        names = ("angry", "disgust", "fear", "happy", "neutral", "sad")
        for at in range(turn.start_ms, turn.end_ms, WINDOW_MS):
            yield VoiceState(at, at + WINDOW_MS, dict.fromkeys(names, 0.1667), 0.4321, 2500, "voice/bench")


def stretches(turn: Any) -> Iterator[Any]:
    """People draw breath."""
    from scoring.types import Speech

    third = (turn.end_ms - turn.start_ms) // STRETCHES
    for n in range(STRETCHES):
        yield Speech(turn.channel, turn.start_ms + n * third, turn.start_ms + (n + 1) * third - 100)


def write(site: Any, heard: Sequence[Any], n: int) -> int:
    """One of the recordings as a call of its own, piece by piece; its length in ms."""
    from calls import helping, record, trends
    from calls.models import Call
    from scoring.types import HOP_MS

    dice = random.Random(n)
    source, pieces = dice.choice(site.sources), heard[n % len(heard)]
    agent = dice.choice([user for user in site.agents if user.team_id == source.team_id])
    length_ms = max(turn.end_ms for turn in pieces.turns) + 2 * STEP_MS
    began = datetime.now(UTC) - timedelta(days=dice.randrange(300), seconds=dice.randrange(80_000))
    parameters = {"agent": agent.username, "queue": "Fees", "notice": "yes"}
    name = f"CA{uuid.UUID(int=dice.getrandbits(128)).hex}"
    opened = record.open_call(record.OpenCall(source.pk, "twilio", name, f"MZ{name[2:]}", began, parameters))
    call = Call.objects.get(pk=opened.call_id)
    helping.look(call, site.boss)
    for at in range(0, length_ms, STEP_MS):
        hops = range(at // HOP_MS, min(at + STEP_MS, length_ms) // HOP_MS)
        record.record_scores([batch(opened.call_id, within(pieces, at), hops)], "engine/1 bench")
    record.media_ended(opened.call_id, "hung up", {"frames": length_ms // 20})
    record.record_scores([batch(opened.call_id, {}, range(0), close=True)], "engine/1 bench")
    Call.objects.filter(pk=opened.call_id).update(ended_at=began + timedelta(milliseconds=length_ms))
    trends.learn(opened.call_id)
    return length_ms


def within(pieces: Any, at: int) -> dict[str, tuple[Any, ...]]:
    """What ends in this stretch of the call."""
    return {
        name: tuple(piece for piece in getattr(pieces, name) if at <= piece.end_ms < at + STEP_MS)
        for name in ("turns", "voice", "speech")
    }


def batch(call_id: str, found: Mapping[str, tuple[Any, ...]], hops: range, close: bool = False) -> Any:
    from calls.choices import Outcome
    from calls.record import Scored
    from scoring.types import CallHeard, Channel

    heard = CallHeard(
        call_id, (), found.get("turns", ()), found.get("voice", ()), found.get("speech", ()), {"vad": 1.0}
    )
    outcomes = {(channel, n): Outcome.SCORED for channel in Channel for n in hops}
    return Scored(call_id, heard, outcomes, dict.fromkeys(Channel, hops.stop), close=close)
