"""Which calls are over: not those that wait for a worker, not those whose stream came back."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import DataError, connection
from django.utils import timezone

from calls import record, tasks
from calls.buffer import Claim, Writer, ledger
from calls.choices import CallStatus
from calls.ingest import twilio
from calls.models import Call, Source, Speech, Turn
from scoring.types import HOP_MS
from tests.calls.test_tasks import close, coverage, put

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
MakeCall = Callable[..., Call]
LONG_AGO_S = settings.STALE_CALL_S * 3


@pytest.fixture
def old_call(make_call: MakeCall) -> Callable[..., Call]:
    """A call whose two hops are scored, and which nobody has scored for long."""

    def make(ref: str = "CA1", *, media_ago_s: float = LONG_AGO_S) -> Call:
        call = make_call(ref, started_at=timezone.now() - timedelta(seconds=LONG_AGO_S))
        put(call, range(2), at_ms=ms_ago(media_ago_s))
        tasks.score_due()
        forget(call)
        return call

    return make


def ms_ago(seconds: float) -> int:
    return int((time.time() - seconds) * 1000)


def forget(call: Call) -> None:
    """No worker has touched it for long."""
    Call.objects.filter(pk=call.pk).update(scored_at=timezone.now() - timedelta(seconds=LONG_AGO_S))


def status(call: Call) -> str:
    return str(Call.objects.values_list("status", flat=True).get(pk=call.pk))


# --- lost, or only waiting -------------------------------------------------------------------------


def test_a_call_whose_media_died_is_lost_and_leaves_nothing_behind(old_call: Callable[..., Call]) -> None:
    call = old_call()
    tasks.close_stale()
    assert status(call) == CallStatus.LOST
    tasks.score_due()
    assert status(call) == CallStatus.LOST and not ledger().closing_ready()
    assert not [key for kind in ("audio",) for key in ledger().client.keys(f"{kind}:*")]


def test_a_call_whose_media_says_that_it_runs_is_not_lost(old_call: Callable[..., Call]) -> None:
    """On hold, or paused for a card number: nothing comes, for minutes."""
    call, other = old_call("CA-held"), old_call("CA-died")

    async def still_there() -> None:
        writer = Writer.connect(settings.REDIS_URL)
        await writer.running([str(call.pk)], int(time.time() * 1000))
        await writer.close()

    asyncio.run(still_there())
    tasks.close_stale()
    assert (status(call), status(other)) == (CallStatus.LIVE, CallStatus.LOST)


def test_what_was_being_said_when_media_died_is_written(make_call: MakeCall) -> None:
    call = make_call(started_at=timezone.now() - timedelta(seconds=LONG_AGO_S))
    put(call, range(16), loud=16, at_ms=ms_ago(LONG_AGO_S))
    for _ in range(5):
        tasks.score_due()
    assert not Turn.objects.exists()
    forget(call)
    tasks.close_stale()
    tasks.score_due()
    assert status(call) == CallStatus.LOST
    assert [(turn.start_ms, turn.end_ms) for turn in Turn.objects.all()] == [(0, 8000)]


def test_a_practice_waits_longer_for_its_first_sound(make_call: MakeCall) -> None:
    practice = make_call("CA-p", started_at=timezone.now() - timedelta(seconds=LONG_AGO_S))
    Call.objects.update(practice=True)
    tasks.close_stale()
    assert status(practice) == CallStatus.LIVE
    Call.objects.update(started_at=timezone.now() - 2 * record.PRACTICE_WAITS)
    tasks.close_stale()
    assert status(practice) == CallStatus.LOST


def test_a_call_that_never_said_a_word_is_lost(make_call: MakeCall) -> None:
    call = make_call(started_at=timezone.now() - timedelta(seconds=LONG_AGO_S))
    tasks.close_stale()
    assert status(call) == CallStatus.LOST


def test_a_call_that_waits_for_a_worker_is_not_lost(make_call: MakeCall) -> None:
    """Workers were away since it began: all it said is owed, however old it is."""
    call = make_call(started_at=timezone.now() - timedelta(seconds=LONG_AGO_S))
    put(call, range(8), at_ms=ms_ago(LONG_AGO_S))
    tasks.close_stale()
    assert status(call) == CallStatus.LIVE and ledger().due_count() == 8
    tasks.score_due()
    assert coverage(call) == "s" * 8


def test_a_call_in_a_workers_hands_is_not_lost(old_call: Callable[..., Call]) -> None:
    call = old_call()
    put(call, range(2, 4), at_ms=ms_ago(LONG_AGO_S))
    assert ledger().claim()
    tasks.close_stale()
    assert status(call) == CallStatus.LIVE and ledger().due_count() == 2


def test_a_call_whose_media_put_something_lately_is_not_lost(old_call: Callable[..., Call]) -> None:
    call = old_call(media_ago_s=settings.STALE_CALL_S / 2)
    assert ledger().due_count() == 0
    tasks.close_stale()
    assert status(call) == CallStatus.LIVE


@pytest.mark.parametrize(
    "error",
    [ValueError("bad data"), DataError("bad data")],
    ids=lambda error: type(error).__name__,
)
def test_a_lost_call_that_cannot_be_written_holds_up_no_other(
    old_call: Callable[..., Call], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    calls = [old_call(f"CA{n}") for n in range(3)]
    bad = calls[1]
    write_view = record.write_view

    def cannot(call: Call, *args: Any, **kwargs: Any) -> Any:
        if call.pk == bad.pk:
            raise error
        return write_view(call, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(record, "write_view", cannot)
        tasks.close_stale()
    assert [status(call) for call in calls] == [CallStatus.LOST, CallStatus.LIVE, CallStatus.LOST]
    tasks.close_stale()
    assert status(bad) == CallStatus.LOST


# --- a worker that lost its lease ------------------------------------------------------------------


def rows(call: Call) -> tuple[Any, ...]:
    return (
        list(Turn.objects.filter(call=call).order_by("start_ms").values_list("start_ms", "end_ms", "text")),
        list(Speech.objects.filter(call=call).order_by("start_ms").values_list("start_ms", "end_ms")),
        coverage(call),
        Call.objects.filter(pk=call.pk).values("status", "media_ms", "scored_at", "ended_at", "final").get(),
    )


def slow_closer(call: Call) -> Claim:
    """A worker that has the closing call in its hands for longer than its lease."""
    close(call)
    [claim] = ledger().claim_closing(lease_ms=1, now=1000)
    return claim


def test_a_worker_that_lost_its_lease_writes_nothing(make_call: MakeCall) -> None:
    """Its audio is gone by then: what it would write is silence over another worker's words."""
    call = make_call()
    put(call, range(12), loud=4)
    [slow] = ledger().claim(lease_ms=1, now=1000)
    tasks.score_due()
    before = rows(call)
    assert before[0] and before[2] == "s" * 12
    tasks.score([slow])
    assert rows(call) == before and ledger().due_count() == 0


def test_a_worker_that_lost_its_lease_does_not_revive_a_finished_call(make_call: MakeCall) -> None:
    call = make_call()
    put(call, range(2))
    tasks.score_due()
    slow = slow_closer(call)
    tasks.score_due()
    before = rows(call)
    assert status(call) == CallStatus.ENDED
    tasks.score([slow])
    tasks.settle(slow, None)  # even if its lease went only after it had recorded
    assert rows(call) == before and not ledger().client.exists("closing", "leases")


# --- a stream that comes back ----------------------------------------------------------------------


def come_back(call: Call, stream_ref: str = "MZ-back") -> record.Opened:
    opened = record.open_call(
        record.OpenCall(call.source_id, "twilio", call.external_ref, stream_ref, timezone.now(), {})
    )
    assert opened.resumed and opened.call_id == str(call.pk)
    return opened


def resume(call: Call) -> None:
    """What the media process says to the buffer (Writer.resume) when a stream goes on."""
    ledger().client.zrem("closing", str(call.pk))


def before_the_close(call: Call, claim: Claim) -> None:
    come_back(call)
    resume(call)
    tasks.score([claim])


def while_it_is_recorded(call: Call, claim: Claim) -> None:
    come_back(call)
    tasks.score([claim])
    resume(call)


def after_the_close(call: Call, claim: Claim) -> None:
    tasks.score([claim])
    come_back(call)
    resume(call)


def while_another_process_says_goodbye(call: Call, claim: Claim) -> None:
    """The old stream's process knows nothing of the new stream, which another process has."""
    come_back(call)
    record.media_ended(str(call.pk), "No audio for 30 s.", {})
    tasks.score([claim])


@pytest.mark.parametrize(
    "come",
    [before_the_close, while_it_is_recorded, after_the_close, while_another_process_says_goodbye],
    ids=lambda come: come.__name__,
)
def test_a_stream_that_comes_back_is_live_again_and_its_hops_are_scored(
    make_call: MakeCall, come: Callable[[Call, Claim], None]
) -> None:
    call = make_call()
    put(call, range(2))
    tasks.score_due()
    close(call)
    [claim] = ledger().claim_closing()
    come(call, claim)
    put(call, range(2, 8), loud=6)
    tasks.score_due()
    call.refresh_from_db()
    assert call.status == CallStatus.LIVE and call.tile["status"] == "live"
    assert (call.ended_at, call.end_reason, call.final) == (None, "", None)
    assert coverage(call) == "s" * 8 and call.media_ms == 8 * HOP_MS
    close(call)
    tasks.score_due()
    call.refresh_from_db()
    assert call.status == CallStatus.ENDED and call.final is not None and call.turns.exists()


def test_counters_written_while_a_stream_comes_back_are_kept(
    make_call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old stream ends (another process) just as the new one has found the call."""
    call = make_call()
    find = record._cut_off_just_before

    def end() -> None:
        record.media_ended(str(call.pk), "The audio stream was cut off.", {"frames": 500, "malformed": 3})
        connection.close()

    ending = threading.Thread(target=end)

    def find_then_end(*args: Any) -> Any:
        found = find(*args)
        ending.start()
        ending.join(0.5)  # it waits for us; were it not to, it would be done by now
        return found

    monkeypatch.setattr(record, "_cut_off_just_before", find_then_end)
    come_back(call)
    ending.join(10)
    call.refresh_from_db()
    assert call.counters["frames"] == 500 and call.counters["malformed"] == 3 and call.stream_ref == "MZ-back"


def test_a_stream_with_long_names_comes_back_to_its_call(source: Source) -> None:
    def opened(stream_ref: str) -> record.Opened:
        new = record.OpenCall(source.pk, "twilio", "C" * 150, stream_ref, timezone.now(), {})
        return record.open_call(new)

    first, second = opened("M" * 150), opened("N" * 150)
    assert second.resumed and second.call_id == first.call_id


def test_a_start_full_of_nul_opens_a_call(source: Source) -> None:
    parameters = {"agent": "\0bob", "queue": "Fe\0es", "label": "\0"}
    inner = {"streamSid": "M\0Z", "callSid": "C\0A", "customParameters": parameters}
    start = twilio.parse(json.dumps({"event": "start", "start": inner}))
    assert isinstance(start, twilio.Start)
    new = record.OpenCall(
        source.pk, "twilio", start.call_sid, start.stream_sid, timezone.now(), start.parameters
    )
    call = Call.objects.get(pk=record.open_call(new).call_id)
    assert (call.external_ref, call.stream_ref, call.queue, call.label) == ("CA", "MZ", "Fees", "")
