"""Where ingest, scoring, record and push meet. The work is in the ledger, not in the message:
a wake-up that is lost or doubled is harmless.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import structlog
from celery import current_app, shared_task
from celery.signals import worker_ready
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from calls import helping, metrics, record
from calls.buffer import Claim, ledger
from calls.choices import Outcome
from calls.record import Scored
from scoring.engine import Engine, EngineError, load_engine
from scoring.types import CallHeard, CallWork, Channel, StreamState, StreamWork

log = structlog.get_logger(__name__)
BEHIND_MS = 1500
SHIFT_S = 1.0
"""How long one wake-up keeps a worker, while there is work."""


@cache
def engine() -> Engine:
    """This worker's engine, with its models; loaded once, at worker start."""
    made = load_engine(
        stand_in=settings.STAND_IN_MODELS,
        voice=settings.VOICE_MODEL or None,
        speech=settings.SPEECH_MODEL,
        device=settings.DEVICE,
    )
    made.warm()
    return made


@worker_ready.connect
def _warm(sender: Any, **_: Any) -> None:
    """A scoring worker takes its first call only when its models are loaded and have run once."""
    if "score" in sender.app.amqp.queues.consume_from:
        engine()
    print("worker ready", flush=True)


@shared_task
def score_due() -> None:
    """Claim due hops across calls, score them in one go, record them, and only then let go."""
    until = time.monotonic() + SHIFT_S
    while claims := ledger().claim(batch_size()) or ledger().claim_closing(limit=1):
        score(claims)
        if time.monotonic() > until:
            wake()
            return


def batch_size() -> int:
    """Small while we keep up, so that nobody waits for another call's words; full when behind."""
    return settings.SCORE_BATCH if ledger().lag_ms() > BEHIND_MS else max(1, settings.SCORE_BATCH // 4)


def score(claims: Sequence[Claim]) -> None:
    """One batch, end to end. What cannot be heard or written now is given back, to be tried again."""
    metrics.BATCH.observe(sum(len(claim.hops) for claim in claims))
    gathered = {claim: gather(claim) for claim in claims}
    heard = hear([work for work, _ in gathered.values() if work])
    ready = [c for c, (work, _) in gathered.items() if not work or not c.hops or c.call_id in heard]
    for claim in set(claims) - set(ready):
        ledger().release(claim)
    ready = [claim for claim in ready if ledger().extend(claim)]  # else somebody else has it by now
    batch = [result(claim, heard.get(claim.call_id), gathered[claim][1]) for claim in ready]
    try:
        record.record_scores(batch, engine().version)
    except Exception as error:
        for claim in ready:
            if claim.hops:  # a close that fails waits out its lease, so that others pass
                ledger().release(claim, failed=not isinstance(error, OperationalError))
        raise
    for claim in ready:
        settle(claim, heard.get(claim.call_id))


def hear(work: Sequence[CallWork]) -> dict[str, CallHeard]:
    """By call; a call that could not be heard is missing, and the log says why."""
    try:
        return {heard.call_id: heard for heard in engine().hear(work)}
    except EngineError as error:
        log.error("batch not heard", error=str(error))
        return {}


Lost = dict[tuple[Channel, int], Outcome]


def gather(claim: Claim) -> tuple[CallWork | None, Lost]:
    """The audio a claim needs, and the hops that never came. No work for poison, claimed by itself."""
    streams, lost = [], Lost()
    for channel in Channel:
        state = ledger().load_state(claim.call_id, channel)
        fresh = [h.index for h in claim.hops if h.channel is channel and h.index >= state.next_index]
        last = max(fresh, default=state.next_index - 1)
        audio, missing = ledger().read_audio(claim.call_id, channel, state.keep_from_index, last)
        lost |= {(channel, n): Outcome.LOST for n in missing if n >= state.next_index}
        streams.append(StreamWork(state, audio, last + 1 - state.next_index))
    if any(hop.poison for hop in claim.hops):
        return None, lost
    return CallWork(claim.call_id, tuple(streams), closing=not claim.hops), lost


def result(claim: Claim, heard: CallHeard | None, lost: Lost) -> Scored:
    """What to write for a claim. A lost hop stays lost, though silence was heard in its place."""
    outcome = Outcome.SCORED if heard else Outcome.FAILED
    outcomes = {(hop.channel, hop.index): outcome for hop in claim.hops} | lost
    if heard:
        ahead = {state.channel: state.next_index for state in heard.streams}
        for stage, cpu_ms in heard.cpu_ms.items():
            metrics.STAGE_CPU.labels(stage).inc(cpu_ms)
    else:
        ahead = {hop.channel: hop.index + 1 for hop in claim.hops}
    what = (
        "Some audio could not be scored after three tries." if claim.hops else "Its last words are missing."
    )
    note = "" if heard else what
    return Scored(claim.call_id, heard, outcomes, ahead, close=not claim.hops, note=note)


def settle(claim: Claim, heard: CallHeard | None) -> None:
    """Off the ledger, now that it is committed; then forget the audio nobody needs again."""
    if not claim.hops:
        if not ledger().drop_closed(claim, heard.streams if heard else ()):
            record.reopen(claim.call_id)
        return
    states = heard.streams if heard else [skip(claim, channel) for channel in Channel]
    if ledger().done(claim, states):
        for state in states:
            ledger().drop_audio_before(claim.call_id, state.channel, state.keep_from_index)


def skip(claim: Claim, channel: Channel) -> StreamState:
    """The stream's state when its claimed hops are given up: it starts afresh after them."""
    state = ledger().load_state(claim.call_id, channel)
    last = max((h.index + 1 for h in claim.hops if h.channel is channel), default=state.next_index)
    return state if last <= state.next_index else StreamState(channel, last, last)


def wake() -> None:
    current_app.send_task("calls.tasks.score_due", queue="score", ignore_result=True, expires=10)


@shared_task
def reconcile() -> None:
    """Each second: wake workers for what is owed too long or ready to close."""
    metrics.LAG.set(ledger().lag_ms())
    if ledger().overdue(1000) or ledger().closing_ready(limit=1):
        wake()


@shared_task
def close_stale() -> None:
    """Calls whose media process died can send no goodbye."""
    since = timezone.now() - timedelta(seconds=settings.STALE_CALL_S)
    at_ms = int(since.timestamp() * 1000)
    for call_id in record.close_lost(since, lambda call_id: ledger().silent_since(call_id, at_ms)):
        log.warning("call lost", call=call_id)
        ledger().drop_call(call_id)


@shared_task
def close_looks() -> None:
    """Pages that went away without a word no longer count as looking on."""
    helping.close_lapsed_looks()
