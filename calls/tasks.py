"""Where ingest, scoring, record and push meet. The work is in the ledger, not in the message:
a wake-up that is lost or doubled is harmless.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import structlog
from celery import current_app, shared_task
from celery.signals import worker_ready
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerDown

from calls import (
    consent,
    delivering,
    drafting,
    firewall_kept,
    forgotten,
    helping,
    keeping,
    metrics,
    policy,
    practising,
    record,
    recordings,
    retention,
    sourcing,
    transcripts,
    trends,
    trying,
)
from calls.buffer import Claim, ledger
from calls.choices import CallStatus, Outcome
from calls.models import HOPS_PER_BLOCK, Call, Turn
from calls.record import Scored
from scoring.engine import Engine, EngineError, load_engine
from scoring.firewall import self_test
from scoring.types import HOP_SAMPLES, CallHeard, CallWork, Channel, Samples, StreamState, StreamWork

log = structlog.get_logger(__name__)
BEHIND_MS = 1500
SHIFT_S = 1.0
"""How long one wake-up keeps a worker, while there is work."""
FINISH_S = 5.0
"""How long housekeeping finishes recordings before it looks at other things."""
TRIAL_S = 1.0
AGAIN_S = 600.0
"""A recording that could not be finished is tried again after this."""
MADE_UP_STAYS = timedelta(hours=6)
"""Nobody needs a synthetic call's sound for longer, and a demo that runs for days would fill the disk."""


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
        try_firewall()
    print("worker ready", flush=True)


@shared_task
def try_firewall() -> None:
    """On the very model that this worker scores with."""
    voice = engine().voice
    tried = self_test(voice)
    wrong = [one.attempt for one in tried if not one.right]
    firewall_kept.keep(voice.version, tried)
    if wrong:
        log.error("the channel firewall does not hold", model=voice.version, attempts=wrong)


@shared_task
def score_due() -> None:
    """Claim due hops across calls, score them in one go, record them, and only then let go."""
    until = time.monotonic() + SHIFT_S
    while read_given() + len(claims := next_claims()):
        if claims:
            score(claims)
        if time.monotonic() > until:
            wake()
            return


def next_claims() -> Sequence[Claim]:
    """Live calls first, then calls that have ended, then recordings; never of two kinds together."""
    claims = ledger().claim(batch_size())
    live = [claim for claim in claims if not is_recorded(claim)]
    wanted = live or ledger().claim_closing(limit=1) or claims
    for claim in claims:
        if claim not in wanted:
            ledger().release(claim, failed=False)
    return wanted


def read_given() -> int:
    """Words that platforms sent: a few calls of them. How many calls were read."""
    done = 0
    for owed in transcripts.claim(ledger()):
        call_id = owed.claim.call_id
        call = Call.objects.filter(pk=call_id).first()
        if call is None or call.is_withheld or "transcript" in call.purged:
            transcripts.drop(ledger(), call_id)
        elif unread := (owed := transcripts.silenced(ledger(), owed, consent.kept_out(call))).unread:
            speaking = tuple(ledger().load_state(call_id, channel) for channel in Channel)
            heard = CallHeard(call_id, speaking, tuple(engine().read_given(unread)), (), (), {})
            over = call.status != CallStatus.LIVE
            record.record_scores([Scored(call_id, heard, {}, {}, close=over)], engine().version)
            transcripts.settle(ledger(), owed)
            if over:
                learn_soon(call_id)
        else:
            transcripts.settle(ledger(), owed)
        ledger().release(owed.claim)
        done += 1
    return done


def is_recorded(claim: Claim) -> bool:
    return any(recordings.is_recorded(hop.received_ms) for hop in claim.hops)


def batch_size() -> int:
    """Small while we keep up, so that nobody waits for another call's words; full when behind."""
    return settings.SCORE_BATCH if ledger().lag_ms() > BEHIND_MS else max(1, settings.SCORE_BATCH // 4)


def score(claims: Sequence[Claim]) -> None:
    """One batch, end to end. What cannot be heard or written now is given back, to be tried again."""
    metrics.BATCH.observe(sum(len(claim.hops) for claim in claims))
    ids = [claim.call_id for claim in claims]
    withheld, yes_ms = consent.withheld(ids), consent.since_ms(ids)
    voice, mixed, told = policy.current().voice, recordings.mixed(ids), given_words(ids)
    practised = practice(ids) if voice else set()
    nothing: tuple[CallWork | None, Lost] = (None, {})
    gathered = {
        claim: nothing
        if claim.call_id in withheld
        else gather(
            claim,
            voice and claim.call_id not in practised,
            claim.call_id in mixed,
            claim.call_id in told,
            yes_ms.get(claim.call_id, 0),
        )
        for claim in claims
    }
    heard = hear([work for work, _ in gathered.values() if work])
    ready = [c for c, (work, _) in gathered.items() if not work or not c.hops or c.call_id in heard]
    for claim in set(claims) - set(ready):
        ledger().release(claim)
    ready = [claim for claim in ready if ledger().extend(claim)]  # else somebody else has it by now
    try:
        troubles = keep([gathered[claim] for claim in ready if claim.call_id in heard])
        batch = [
            withhold(claim)
            if claim.call_id in withheld
            else result(
                claim,
                heard.get(claim.call_id),
                gathered[claim][1],
                troubles.get(claim.call_id, "") or wordless(claim, told),
            )
            for claim in ready
        ]
        record.record_scores(batch, engine().version)
    except Exception as error:
        for claim in ready:
            if claim.hops:  # a close that fails waits out its lease, so that others pass
                ledger().release(claim, failed=not isinstance(error, OperationalError))
        raise
    for claim in ready:
        settle(claim, heard.get(claim.call_id))


def wordless(claim: Claim, told: set[str]) -> str:
    """A note at the end of a call whose platform was to tell its words, and has not."""
    if claim.hops or claim.call_id not in told or Turn.objects.filter(call_id=claim.call_id).exists():
        return ""
    return "No transcript had come when the call ended."


def hear(work: Sequence[CallWork]) -> dict[str, CallHeard]:
    """By call; a call that could not be heard is missing, and the log says why."""
    try:
        return {heard.call_id: heard for heard in engine().hear(work)}
    except EngineError as error:
        log.error("batch not heard", error=str(error))
        return {}


Lost = dict[tuple[Channel, int], Outcome]
"""Hops without audio, and why."""


def given_words(call_ids: Sequence[str]) -> set[str]:
    """Those of these calls whose words their platform tells."""
    found = Call.objects.filter(pk__in=call_ids, given_words=True).values_list("pk", flat=True)
    return {str(pk) for pk in found}


def practice(call_ids: Sequence[str]) -> set[str]:
    """Those in which an employee speaks, as whichever side: no feeling is read from that voice."""
    found = Call.objects.filter(pk__in=call_ids, practice=True).values_list("pk", flat=True)
    return {str(pk) for pk in found}


def gather(
    claim: Claim, voice: bool = True, mixed: bool = False, told: bool = False, yes_ms: int = 0
) -> tuple[CallWork | None, Lost]:
    """The audio a claim needs, and the hops without any. No work for poison, claimed by itself.
    `yes_ms`: what came before is silence, and withheld."""
    streams, lost = [], Lost()
    early = [hop for hop in claim.hops if hop.received_ms < yes_ms]
    for channel in Channel:
        state = ledger().load_state(claim.call_id, channel)
        fresh = [h.index for h in claim.hops if h.channel is channel and h.index >= state.next_index]
        last = max(fresh, default=state.next_index - 1)
        stored = ledger().read_audio(claim.call_id, channel, state.keep_from_index, last)
        # A leg that joins later has lost nothing.
        since = state.next_index or min(fresh, default=0)
        lost |= {(channel, n): Outcome.LOST for n in stored.missing if n >= since}
        lost |= {(channel, n): Outcome.PAUSED for n in stored.paused if n >= since}
        if said := [hop.index for hop in early if hop.channel is channel]:
            stored.samples[: max(0, max(said) + 1 - state.keep_from_index) * HOP_SAMPLES] = 0
            lost |= {(channel, n): Outcome.WITHHELD for n in said}
            # Nor may a later claim hear it as what came before.
            ledger().drop_audio_before(claim.call_id, channel, max(said) + 1)
        streams.append(StreamWork(state, stored.samples, last + 1 - state.next_index))
    if any(hop.poison for hop in claim.hops):
        return None, lost
    work = CallWork(
        claim.call_id, tuple(streams), closing=not claim.hops, voice=voice, mixed=mixed, words=not told
    )
    return work, lost


def keep(heard: Sequence[tuple[CallWork | None, Lost]]) -> dict[str, str]:
    """Hand the new hops of a batch to `keeping`, where source and site keep audio. What could not be
    heard is not kept: nobody has masked it. A note for each call whose audio could not be written."""
    works = {work.call_id: (work, lost) for work, lost in heard if work} if keeping.is_on() else {}
    if not works:
        return {}
    troubles: dict[str, str] = {}
    wanted = Call.objects.filter(pk__in=works, source__keep_audio=True).values_list("pk", "notes")
    for pk, notes in wanted:
        work, lost = works[str(pk)]
        try:
            for stream in work.streams:
                keeping.write(work.call_id, stream.state.channel, new_hops(stream, lost))
        except OSError as error:
            if not any(note.startswith(keeping.TROUBLE) for note in notes):
                troubles[work.call_id] = keeping.words(error)
                log.warning("audio not kept", call=work.call_id, error=str(error))
    return troubles


def new_hops(stream: StreamWork, lost: Lost) -> dict[int, Samples]:
    """By index; without those that never came, whose silence must not be laid over anything."""
    channel, first = stream.state.channel, stream.state.next_index
    fresh = stream.audio[len(stream.audio) - stream.hops * HOP_SAMPLES :].reshape(-1, HOP_SAMPLES)
    return {n: hop for n, hop in enumerate(fresh, first) if (channel, n) not in lost}


def result(claim: Claim, heard: CallHeard | None, lost: Lost, trouble: str = "") -> Scored:
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
    note = trouble if heard else what
    return Scored(claim.call_id, heard, outcomes, ahead, close=not claim.hops, note=note)


def withhold(claim: Claim) -> Scored:
    """What to write for a call without consent: that its audio came, and nothing of what was in it."""
    outcomes = {(hop.channel, hop.index): Outcome.WITHHELD for hop in claim.hops}
    ahead = {hop.channel: hop.index + 1 for hop in claim.hops}
    return Scored(claim.call_id, None, outcomes, ahead, close=not claim.hops)


def settle(claim: Claim, heard: CallHeard | None) -> None:
    """Off the ledger, now that it is committed; then forget the audio nobody needs again."""
    if not claim.hops:
        if not ledger().drop_closed(claim, heard.streams if heard else ()):
            record.reopen(claim.call_id)
        learn_soon(claim.call_id)
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
    if ledger().overdue(1000) or ledger().closing_ready(limit=1) or transcripts.owed(ledger()):
        wake()


@shared_task
def close_stale() -> None:
    """Calls whose media process died can send no goodbye."""
    since = timezone.now() - timedelta(seconds=settings.STALE_CALL_S)
    at_ms = int(since.timestamp() * 1000)
    lost = record.close_lost(since, lambda call_id: ledger().silent_since(call_id, at_ms))
    for call_id in lost:
        log.warning("call lost", call=call_id)
        ledger().mark_closing(call_id, at_ms)  # a turn may be open: its words are written as at any end
        learn_soon(call_id)
    if lost:
        wake()


def learn_soon(call_id: str) -> None:
    """A call that ended, or goes on after all. A message that is lost is made up for by `learn_missing`."""
    with suppress(BrokerDown):
        current_app.send_task(
            "calls.tasks.learn_call", (call_id,), ignore_result=True, expires=3600, retry=False
        )


def learn_these(call_ids: Iterable[UUID]) -> None:
    """Several calls of which something else is known now: outcomes came. Lost messages are made up for."""
    ids = [str(call_id) for call_id in call_ids]
    with suppress(BrokerDown):
        for start in range(0, len(ids), trends.CHUNK):
            some = ids[start : start + trends.CHUNK]
            current_app.send_task("calls.tasks.learn_calls", (some,), ignore_result=True, retry=False)


@shared_task
def learn_calls(call_ids: list[str]) -> None:
    trends.learn_all(call_ids)


@shared_task
def learn_call(call_id: str) -> None:
    """A finished call's numbers enter the trends; harmless twice, late, or for a call that goes on."""
    trends.learn(call_id)


@shared_task
def learn_missing(everything: bool = False) -> None:
    """What no message reached: calls not learned yet, changed or gone."""
    trends.learn_missing(2000 if everything else 200, since=None if everything else trends.RECENT)


_not_before: dict[str, float] = {}


@shared_task
def finish_kept() -> None:
    """The raw audio of calls that are over, however they ended, becomes what can be played."""
    waiting = keeping.running()
    status = {str(pk): s for pk, s in Call.objects.filter(pk__in=waiting).values_list("pk", "status")}
    until = time.monotonic() + FINISH_S
    for call_id in waiting:
        if call_id not in status:
            forget(call_id)
        elif status[call_id] != CallStatus.LIVE and time.monotonic() >= _not_before.get(call_id, 0):
            finish(call_id)
        if time.monotonic() > until:
            return


def finish(call_id: str) -> None:
    try:
        keeping.finish(call_id, {channel: quiet(call_id, channel) for channel in Channel})
    except OSError as error:
        _not_before[call_id] = time.monotonic() + AGAIN_S
        if note(call_id, keeping.words(error)):
            log.warning("recording not finished", call=call_id, error=str(error))


def quiet(call_id: str, channel: Channel) -> list[tuple[int, int]]:
    """What of a finished call must not be heard: see keeping.quiet_spans."""
    call = Call.objects.get(pk=call_id)
    turns = [
        keeping.Told(turn.start_ms, turn.end_ms, open=bool(turn.text) and not turn.redacted)
        for turn in call.turns.filter(channel=channel).only("start_ms", "end_ms", "text", "redacted")
    ]
    speech = list(call.speech.filter(channel=channel).values_list("start_ms", "end_ms"))
    blocks = call.coverage.filter(channel=channel).values_list("block", "hops")
    failed = [
        block * HOPS_PER_BLOCK + place
        for block, hops in blocks
        for place, letter in enumerate(hops)
        if letter in (Outcome.FAILED, Outcome.SKIPPED, Outcome.WITHHELD)
    ]
    return keeping.quiet_spans(turns, speech, failed)


def note(call_id: str, words: str) -> bool:
    """Say on the call that its audio could not be kept; False if that was said before."""
    with transaction.atomic():
        call = Call.objects.select_for_update(of=("self",)).filter(pk=call_id).first()
        if call is None or any(said.startswith(keeping.TROUBLE) for said in call.notes):
            return False
        call.notes = [*call.notes, words]
        call.save(update_fields=["notes"])
    return True


@shared_task
def forget_strays() -> None:
    """Recordings whose call is gone (a crash came between the two), and old made-up ones."""
    names = keeping.kept()
    old = {"synthetic": True, "ended_at__lt": timezone.now() - MADE_UP_STAYS}
    for start in range(0, len(names), 1000):
        some = names[start : start + 1000]
        stay = Call.objects.filter(pk__in=some).exclude(**old).values_list("pk", flat=True)
        for call_id in set(some) - {str(pk) for pk in stay}:
            forget(call_id)


@shared_task
def forget_practice() -> None:
    practising.forget_old()


def forget(call_id: str) -> None:
    try:
        keeping.forget(call_id)
    except OSError as error:
        log.error("audio of a deleted call cannot be removed", call=call_id, error=str(error))


@shared_task
def publish_due() -> None:
    """Rubrics whose planned time has come."""
    for version in drafting.publish_due():
        log.info("rubric published as planned", version=str(version))


@shared_task
def try_drafts() -> None:
    """Rubric drafts on calls that are over, a short while at a time, so that nothing waits for a trial."""
    until = time.monotonic() + TRIAL_S
    while time.monotonic() < until and trying.go_on():
        pass


@shared_task
def send_reset(email: str, language: str) -> None:
    forgotten.send(email, language)


@shared_task
def test_source(slug: str, language: str = "en") -> None:
    """A sample call through a source's public address."""
    sourcing.start_test(slug, language)


@shared_task
def deliver_webhooks() -> None:
    """Events that other systems wait for."""
    delivering.start()


@shared_task
def forget_deliveries() -> None:
    delivering.forget_old()


@shared_task
def purge_due() -> None:
    """What the policy no longer lets us keep."""
    retention.purge_due()


@shared_task
def close_looks() -> None:
    """Pages that went away without a word no longer count as looking on."""
    helping.close_lapsed_looks()


@shared_task
def score_recordings() -> None:
    """Each second, on a queue of its own, since decoding takes its time: live work first."""
    if recordings.feed() or ledger().is_owed_from(recordings.AFTER_LIVE_MS):
        wake()  # again, even with nothing new: the worker that took the last wake-up may have died
    if recordings.prepare_next():
        recordings.feed()
        wake()


@shared_task
def tidy_uploads() -> None:
    recordings.tidy()
