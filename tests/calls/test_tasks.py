"""Hops in, rows out, nothing left owed: the task on the real Valkey and PostgreSQL, with the stand-in engine."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import OperationalError

from calls import record, replays, tasks
from calls.buffer import MAX_ATTEMPTS, PAUSED, StoredPiece, Writer, ledger
from calls.choices import CallStatus
from calls.models import Call, Speech, Turn
from scoring import speech
from scoring.engine import EngineError
from scoring.types import HOP_MS, HOP_SAMPLES, CallHeard, CallWork, Channel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
MakeCall = Callable[..., Call]
SILENCE = b"\xff" * HOP_SAMPLES


def voice(index: int) -> bytes:
    """A hop that the stand-in takes for speech."""
    return random.Random(index).randbytes(HOP_SAMPLES)


def put(
    call: Call,
    hops: Sequence[int],
    channel: Channel = Channel.CUSTOMER,
    *,
    loud: int = 0,
    at_ms: int = 0,
    codec: str = "u",
) -> None:
    """Makes hops due, as the media process does; those below `loud` hold speech."""

    async def write() -> int:
        writer = Writer.connect(settings.REDIS_URL)
        received_ms = at_ms or int(time.time() * 1000)
        pieces = [
            StoredPiece(
                str(call.pk),
                channel,
                n,
                received_ms,
                b"" if codec == PAUSED else voice(n) if n < loud else SILENCE,
                codec,
            )
            for n in hops
        ]
        taken = await writer.put_many(pieces)
        await writer.close()
        return taken

    assert asyncio.run(write()) == len(hops)


def coverage(call: Call, channel: Channel = Channel.CUSTOMER) -> str:
    """A letter a hop, up to the last one that anything is known of."""
    blocks = call.coverage.filter(channel=channel).order_by("block").values_list("hops", flat=True)
    return "".join(blocks).rstrip(".")


def next_index(call: Call, channel: Channel = Channel.CUSTOMER) -> int:
    return ledger().load_state(str(call.pk), channel).next_index


def close(call: Call) -> None:
    """The stream has said goodbye."""
    ledger().mark_closing(str(call.pk), int(time.time() * 1000))


class Ears:
    """What the stand-in engine was asked for, and whom it cannot hear."""

    def __init__(self) -> None:
        self.deaf_to: set[str] = set()
        self.asked: list[str] = []
        self.hear_really = tasks.engine().hear

    def hear(self, work: Sequence[CallWork]) -> list[CallHeard]:
        """As Engine.hear promises: a call that cannot be heard is left out; EngineError if all are."""
        self.asked += [call.call_id for call in work]
        able = [call for call in work if call.call_id not in self.deaf_to]
        if work and not able:
            raise EngineError("could not hear any of it")
        return self.hear_really(able)


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Ears:
    found = Ears()
    monkeypatch.setattr(tasks.engine(), "hear", found.hear)
    return found


# --- hops become rows ------------------------------------------------------------------------------


def test_hops_become_rows_and_leave_the_ledger(make_call: MakeCall) -> None:
    call = make_call()
    for channel in Channel:
        put(call, range(10), channel, loud=4)
    tasks.score_due()
    call.refresh_from_db()
    assert {(turn.channel, bool(turn.text)) for turn in Turn.objects.filter(call=call)} == {
        (channel.value, True) for channel in Channel
    }
    assert Speech.objects.filter(call=call).exists()
    assert call.media_ms == 10 * HOP_MS and call.scored_at and call.engine == tasks.engine().version
    for channel in Channel:
        assert coverage(call, channel) == "s" * 10
        assert next_index(call, channel) == 10
    assert ledger().due_count() == 0
    assert not ledger().client.exists("attempts", "leases")


def test_audio_that_nobody_needs_again_is_forgotten(make_call: MakeCall) -> None:
    call = make_call()
    put(call, range(20), loud=4)
    tasks.score_due()
    state = ledger().load_state(str(call.pk), Channel.CUSTOMER)
    kept = {int(key.rsplit(b":", 1)[1]) for key in ledger().client.keys("audio:*")}
    assert kept == set(range(state.keep_from_index, 20)) and len(kept) < 20


def test_a_second_wake_up_changes_nothing(make_call: MakeCall, ears: Ears) -> None:
    call = make_call()
    put(call, range(4), loud=4)
    tasks.score_due()
    before, ears.asked[:] = Call.objects.values().get(), []
    tasks.score_due()
    assert Call.objects.values().get() == before and not ears.asked


def test_a_hop_that_never_came_is_lost_and_is_not_called_silence(make_call: MakeCall) -> None:
    call = make_call()
    put(call, range(3))
    put(call, range(5, 8))
    tasks.score_due()
    assert coverage(call) == "sssllsss" and next_index(call) == 8


def test_a_leg_that_joins_later_has_lost_nothing(make_call: MakeCall) -> None:
    call = make_call()
    put(call, range(4))
    tasks.score_due()
    put(call, range(4, 10))
    put(call, [*range(6, 8), 9], Channel.AGENT)
    tasks.score_due()
    assert coverage(call) == "s" * 10 and coverage(call, Channel.AGENT) == "......ssls"


@pytest.mark.parametrize("pause", [True, False])
def test_a_pause_is_neither_a_loss_nor_anybodys_silence(make_call: MakeCall, pause: bool) -> None:
    """Half a minute in which a card number is told: the agent did not let the caller wait."""
    call = make_call()
    for channel in Channel:
        put(call, range(4), channel, loud=4)
        put(call, range(4, 74), channel, codec=PAUSED if pause else "u")
        put(call, range(74, 78), channel, loud=78)
    tasks.score_due()
    close(call)
    tasks.score_due()
    call.refresh_from_db()
    assert coverage(call) == ("ssss" + "p" * 70 + "ssss" if pause else "s" * 78)
    heard = call.final["coverage"]["channels"]["customer"]
    assert (heard["paused_ms"], heard["lost_ms"]) == (35_000 if pause else 0, 0)
    timing = call.final["timing"]
    assert (timing["dead_air_ms"] > 25_000, timing["longest_silence_ms"] > 25_000) == (not pause, not pause)
    [same] = replays.heard([call])
    assert ("silence" in replays.seen(same, call.rubric_version.as_spec()).alerts) is not pause


# --- what cannot be heard --------------------------------------------------------------------------


def test_what_cannot_be_heard_fails_after_three_tries_and_the_call_goes_on(
    make_call: MakeCall, ears: Ears
) -> None:
    call = make_call()
    put(call, range(3))
    ears.deaf_to = {str(call.pk)}
    tasks.score_due()
    call.refresh_from_db()
    assert coverage(call) == "fff" and next_index(call) == 3 and ledger().due_count() == 0
    assert call.notes == ["Some audio could not be scored after three tries."]
    assert call.status == CallStatus.LIVE and call.media_ms == 3 * HOP_MS
    assert len(ears.asked) <= 3 * MAX_ATTEMPTS
    ears.deaf_to = set()
    put(call, range(3, 8), loud=6)
    tasks.score_due()
    assert coverage(call) == "fffsssss" and next_index(call) == 8
    assert Turn.objects.filter(call=call).exists()


def test_a_call_that_cannot_be_heard_does_not_hurt_its_neighbour(make_call: MakeCall, ears: Ears) -> None:
    bad, good = make_call("CA1"), make_call("CA2")
    for call in (bad, good):
        put(call, range(2))
    ears.deaf_to = {str(bad.pk)}
    tasks.score_due()
    assert (coverage(bad), coverage(good)) == ("ff", "ss")
    assert ears.asked.count(str(good.pk)) == 1


def test_what_killed_three_workers_is_not_heard_a_fourth_time(make_call: MakeCall, ears: Ears) -> None:
    call = make_call()
    put(call, range(1))
    for death in range(1, MAX_ATTEMPTS + 1):
        assert ledger().claim(lease_ms=1, now=death * 1000)
    tasks.score_due()
    assert coverage(call) == "f" and not ears.asked and ledger().due_count() == 0


def test_a_database_that_is_away_uses_up_no_try(make_call: MakeCall, monkeypatch: pytest.MonkeyPatch) -> None:
    call = make_call()
    put(call, range(4))

    def away(*_: object) -> None:
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(record, "record_scores", away)
        for _ in range(MAX_ATTEMPTS + 1):
            with pytest.raises(OperationalError):
                tasks.score_due()
    assert ledger().due_count() == 4 and not ledger().client.exists("attempts")
    tasks.score_due()
    assert coverage(call) == "ssss"


def test_what_whisper_says_holds_no_nul() -> None:
    """PostgreSQL takes none, and one would hold up every call of the batch."""
    tokenizer = SimpleNamespace(timestamp_begin=100, decode=lambda tokens: "my\0 bill\0")
    result = SimpleNamespace(sequences_ids=[[1, 2]], scores=[-0.1], no_speech_prob=0.0)
    assert speech._read(tokenizer, result, 2.0).text == "my bill"


# --- the end of a call -----------------------------------------------------------------------------


def test_the_last_words_are_heard_before_a_call_is_closed(make_call: MakeCall) -> None:
    call = make_call()
    put(call, range(4), loud=4)
    close(call)
    assert ledger().closing_ready() == [], "not while hops are owed"
    tasks.score_due()
    call.refresh_from_db()
    assert call.status == CallStatus.ENDED and call.ended_at and call.final is not None
    assert Turn.objects.filter(call=call).exists() and coverage(call) == "ssss" and not call.notes
    assert not ledger().client.exists("closing", "leases") and not ledger().client.keys("audio:*")


def test_a_closing_call_whose_last_words_cannot_be_heard_is_closed_and_says_so(
    make_call: MakeCall, ears: Ears
) -> None:
    call = make_call()
    put(call, range(4), loud=4)
    tasks.score_due()
    close(call)
    ears.deaf_to, ears.asked[:] = {str(call.pk)}, []
    tasks.score_due()
    call.refresh_from_db()
    assert call.status == CallStatus.ENDED and call.final is not None
    assert call.notes == ["Its last words are missing."]
    assert ears.asked == [str(call.pk)], "once"
    assert not ledger().client.exists("closing", "leases")


def test_a_close_that_cannot_be_written_lets_others_pass(
    make_call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, *others = [make_call(f"CA{n}") for n in range(3)]
    for call in (bad, *others):
        put(call, range(2))
    tasks.score_due()
    for call in (bad, *others):
        close(call)
    write_view = record.write_view

    def cannot(call: Call, *args: object, **kwargs: object) -> object:
        if call.pk == bad.pk:
            raise ValueError("bad data")
        return write_view(call, *args, **kwargs)

    monkeypatch.setattr(record, "write_view", cannot)
    with pytest.raises(ValueError, match="bad data"):
        tasks.score_due()
    tasks.score_due()
    assert {str(c.pk): c.status for c in Call.objects.all()} == {
        str(bad.pk): CallStatus.LIVE,
        **{str(call.pk): CallStatus.ENDED for call in others},
    }
    assert ledger().client.zrange("closing", 0, -1) == [str(bad.pk).encode()], "it is tried again later"
