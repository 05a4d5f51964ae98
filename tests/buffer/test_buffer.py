"""The ledger on a real Valkey: order, leases, poison, closing."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import redis

from calls.buffer import MAX_ATTEMPTS, Claim, Ledger, StoredPiece, Writer
from scoring.audio import decode_mulaw
from scoring.types import HOP_SAMPLES, Channel, StreamState
from tests.buffer.conftest import Put, piece

CUSTOMER, AGENT = Channel.CUSTOMER, Channel.AGENT
LATER = 10**14


def heard(claims: list[Claim]) -> dict[str, list[int]]:
    return {f"{c.call_id}/{h.channel}": [] for c in claims for h in c.hops} | {
        f"{c.call_id}/{channel}": [h.index for h in c.hops if h.channel is channel]
        for c in claims
        for channel in {h.channel for h in c.hops}
    }


def test_a_put_hop_is_claimed_with_its_audio(put: Put, ledger: Ledger) -> None:
    assert put([piece("a", CUSTOMER, 0), piece("a", AGENT, 0)]) == 2
    (claim,) = ledger.claim()
    assert heard([claim]) == {"a/customer": [0], "a/agent": [0]}
    assert not any(hop.poison for hop in claim.hops)
    audio, missing, _ = ledger.read_audio("a", CUSTOMER, 0, 0)
    assert missing == [] and np.array_equal(audio, decode_mulaw(bytes(HOP_SAMPLES)))


def test_putting_twice_is_putting_once(put: Put, ledger: Ledger) -> None:
    assert put([piece("a", CUSTOMER, 0)]) == put([piece("a", CUSTOMER, 0)]) == 1
    assert ledger.due_count() == 1


def test_hops_leave_in_index_order_though_their_names_sort_otherwise(put: Put, ledger: Ledger) -> None:
    put([piece("a", CUSTOMER, n, at=5000) for n in range(12)])
    assert heard(ledger.claim(64)) == {"a/customer": list(range(12))}


def test_clocks_that_jump_back_do_not_change_the_order(put: Put, ledger: Ledger) -> None:
    put([piece("a", CUSTOMER, 0, at=9000), piece("a", CUSTOMER, 5, at=10)])
    assert heard(ledger.claim(1)) == {"a/customer": [0]}


def test_the_oldest_call_comes_first_and_both_channels_move(put: Put, ledger: Ledger) -> None:
    put([piece("new", CUSTOMER, n, at=9000 + n) for n in range(40)])
    put([piece("old", c, n, at=1000 + n) for n in range(40) for c in Channel])
    found = heard(ledger.claim(8))
    assert found == {"old/customer": [0, 1, 2, 3], "old/agent": [0, 1, 2, 3]}


def test_a_call_is_in_one_pair_of_hands(put: Put, ledger: Ledger) -> None:
    put([piece("a", CUSTOMER, 0), piece("b", CUSTOMER, 0)])
    first = ledger.claim(1, lease_ms=1000, now=0)
    put([piece("a", AGENT, 0)])
    assert heard(first) == {"a/customer": [0]}
    assert heard(ledger.claim(now=999, lease_ms=10)) == {"b/customer": [0]}
    assert ledger.claim(now=500) == []
    assert [claim.call_id for claim in ledger.claim(1, now=1000)] == ["a"]


def test_an_old_holder_cannot_finish(put: Put, ledger: Ledger) -> None:
    put([piece("a", CUSTOMER, 0)])
    (old,) = ledger.claim(lease_ms=10, now=0)
    (new,) = ledger.claim(lease_ms=10, now=10)
    assert not ledger.done(old, [StreamState(CUSTOMER, 1)])
    assert ledger.load_state("a", CUSTOMER).next_index == 0
    assert not ledger.release(old) and not ledger.extend(old)
    assert ledger.done(new, [StreamState(CUSTOMER, 1, 0, {"open": [1, 2]})])
    assert ledger.load_state("a", CUSTOMER) == StreamState(CUSTOMER, 1, 0, {"open": [1, 2]})
    assert ledger.due_count() == 0 and ledger.claim() == []


def test_a_late_finish_counts_if_nobody_took_over(put: Put, ledger: Ledger) -> None:
    put([piece("a", CUSTOMER, 0)])
    (claim,) = ledger.claim(lease_ms=10, now=0)
    assert ledger.done(claim)


def test_extending_keeps_others_out(put: Put, ledger: Ledger) -> None:
    put([piece("a", CUSTOMER, 0)])
    (claim,) = ledger.claim(lease_ms=10, now=0)
    assert ledger.extend(claim, 100, now=5)
    assert ledger.claim(now=50) == []


def test_a_hop_that_kills_workers_becomes_poison_alone(
    put: Put, ledger: Ledger, clean_redis: redis.Redis
) -> None:
    put([piece("bad", CUSTOMER, n) for n in range(6)] + [piece("good", CUSTOMER, 0, at=1100)])
    assert len(ledger.claim(lease_ms=1, now=0)) == 2
    assert heard(ledger.claim(lease_ms=1, now=10)) == {"bad/customer": [0, 1, 2, 3, 4, 5]}  # no company
    assert heard(ledger.claim(lease_ms=1, now=20)) == {"bad/customer": [0]}  # alone
    (claim,) = ledger.claim(lease_ms=1, now=30)
    assert [hop.poison for hop in claim.hops] == [True] and claim.hops[0].attempts == MAX_ATTEMPTS + 1
    assert ledger.done(claim, [StreamState(CUSTOMER, 1)])
    rest = []
    for now in range(40, 80, 10):
        for found in ledger.claim(lease_ms=1, now=now):
            rest += [(found.call_id, h.index) for h in found.hops if not h.poison]
            assert ledger.done(found)
    assert sorted(rest) == [("bad", 1), ("bad", 2), ("bad", 3), ("good", 0)]
    for now in range(80, 120, 10):
        for found in ledger.claim(now=now):
            assert not any(hop.poison for hop in found.hops) and ledger.done(found)
    assert ledger.due_count() == 0 and clean_redis.hlen("attempts") == 0


def test_giving_back_what_was_not_tried_costs_no_attempt(put: Put, ledger: Ledger) -> None:
    put([piece("a", CUSTOMER, 0)])
    for _ in range(MAX_ATTEMPTS + 3):
        (claim,) = ledger.claim()
        assert claim.hops[0].attempts == 1
        assert ledger.release(claim, failed=False)
    (claim,) = ledger.claim()
    ledger.release(claim)
    assert ledger.claim()[0].hops[0].attempts == 2


def test_missing_hops_are_zeros_and_named(put: Put, ledger: Ledger) -> None:
    put([piece("a", CUSTOMER, 1), piece("a", CUSTOMER, 3)])
    audio, missing, _ = ledger.read_audio("a", CUSTOMER, 0, 3)
    assert missing == [0, 2] and len(audio) == 4 * HOP_SAMPLES
    assert not audio[:HOP_SAMPLES].any() and audio[HOP_SAMPLES : 2 * HOP_SAMPLES].any()
    assert len(ledger.read_audio("a", CUSTOMER, 3, 2)[0]) == 0


@pytest.mark.parametrize("codec,payload", [("s", np.arange(4000, dtype="<i2").tobytes()), ("a", bytes(4000))])
def test_other_codecs(put: Put, ledger: Ledger, codec: str, payload: bytes) -> None:
    put([StoredPiece("a", CUSTOMER, 0, 1, payload, codec)])
    audio = ledger.read_audio("a", CUSTOMER, 0, 0).samples
    assert len(audio) == HOP_SAMPLES and audio[3] == (3 if codec == "s" else audio[0])


def test_the_cap_takes_a_prefix_and_known_hops_still_pass(
    ledger: Ledger, runner: asyncio.Runner, writer: Writer
) -> None:
    writer.cap = 5
    pieces = [piece("a", CUSTOMER, n) for n in range(8)]
    assert runner.run(writer.put_many(pieces)) == 5
    assert runner.run(writer.put_many(pieces)) == 5
    assert ledger.due_count() == 5
    assert ledger.read_audio("a", CUSTOMER, 0, 7)[1] == [5, 6, 7]


def test_lag_and_overdue(put: Put, ledger: Ledger) -> None:
    assert ledger.lag_ms() == 0 and ledger.overdue() == 0
    put([piece("a", CUSTOMER, 0, at=1000), piece("a", CUSTOMER, 1, at=1500)])
    assert ledger.lag_ms(now=4000) == 3000
    assert ledger.overdue(2000, now=3100) == 1


def test_a_call_closes_when_nothing_of_it_is_due(
    put: Put, ledger: Ledger, runner: asyncio.Runner, writer: Writer
) -> None:
    put([piece("a", CUSTOMER, 0), piece("b", CUSTOMER, 0)])
    runner.run(writer.mark_closing("a", 1))
    assert ledger.closing_ready() == [] == ledger.claim_closing()
    for claim in ledger.claim():
        if claim.call_id == "a":
            assert ledger.closing_ready() == []
            ledger.done(claim, [StreamState(CUSTOMER, 1)])
    assert ledger.closing_ready() == ["a"]
    (closing,) = ledger.claim_closing()
    assert closing.call_id == "a" and closing.hops == ()
    assert ledger.closing_ready() == [] == ledger.claim_closing()
    assert ledger.drop_closed(closing, [StreamState(CUSTOMER, 1, 1)])
    assert ledger.closing_ready() == [] and ledger.read_audio("a", CUSTOMER, 0, 0)[1] == [0]
    assert ledger.load_state("a", CUSTOMER).next_index == 1


def test_a_stream_that_comes_back_while_its_call_closes(
    put: Put, ledger: Ledger, runner: asyncio.Runner, writer: Writer
) -> None:
    put([piece("a", CUSTOMER, n) for n in range(3)])
    for claim in ledger.claim():
        ledger.done(claim, [StreamState(CUSTOMER, 3)])
    ledger.mark_closing("a", 1)
    (closing,) = ledger.claim_closing()
    assert runner.run(writer.resume("a")) == {CUSTOMER: 3, AGENT: 0}
    put([piece("a", CUSTOMER, 3)])
    assert not ledger.drop_closed(closing)
    (claim,) = ledger.claim()
    assert heard([claim]) == {"a/customer": [3]}
    assert ledger.load_state("a", CUSTOMER).next_index == 3


def test_a_stream_that_comes_back_after_its_call_closed(
    put: Put, ledger: Ledger, runner: asyncio.Runner, writer: Writer
) -> None:
    put([piece("a", CUSTOMER, n) for n in range(3)])
    for claim in ledger.claim():
        ledger.done(claim, [StreamState(CUSTOMER, 3, 1)])
    ledger.mark_closing("a", 1)
    assert ledger.drop_closed(ledger.claim_closing()[0])
    assert runner.run(writer.resume("a")) == {CUSTOMER: 3, AGENT: 0}
    assert ledger.load_state("a", CUSTOMER).next_index == 3


def test_dropping_a_call_leaves_no_key_behind(put: Put, ledger: Ledger, clean_redis: redis.Redis) -> None:
    put([piece("a", c, n) for c in Channel for n in range(5)])
    (claim,) = ledger.claim(4)
    ledger.done(claim, [StreamState(CUSTOMER, 2), StreamState(AGENT, 2)])
    assert ledger.drop_audio_before("a", CUSTOMER, 2) == 2
    assert ledger.drop_audio_before("a", CUSTOMER, 2) == 0
    ledger.claim()
    ledger.mark_closing("a", 1)
    assert ledger.drop_call("a") == 8
    assert clean_redis.keys("*") == []


def test_once_is_once(runner: asyncio.Runner, writer: Writer) -> None:
    assert [runner.run(writer.once("x", 10)) for _ in range(2)] == [True, False]


def test_many_streams_ask_at_the_same_moment(runner: asyncio.Runner, writer: Writer) -> None:
    async def ask() -> list[bool]:
        return await asyncio.gather(*(writer.once(f"nonce-{n % 200}", 60) for n in range(400)))

    assert sum(runner.run(ask())) == 200, (
        "each name is first once, and none is refused for want of a connection"
    )
