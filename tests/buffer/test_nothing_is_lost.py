"""Any interleaving of writes, claims, crashes and late finishes: every hop is heard, in order, once.

The stand-in worker's stream state is the list of what it has heard, so that a hop that is skipped,
doubled or out of order shows.
"""

from __future__ import annotations

from collections import defaultdict

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.buffer import Claim, Ledger
from scoring.types import Channel, StreamState
from tests.buffer.conftest import Put, piece

CALLS = ("a", "b", "c")
STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(CALLS), st.sampled_from(list(Channel)), st.integers(1, 12)),
    st.tuples(st.just("lose"), st.sampled_from(CALLS), st.sampled_from(list(Channel)), st.integers(1, 3)),
    st.tuples(st.just("again"), st.sampled_from(CALLS), st.sampled_from(list(Channel)), st.integers(1, 5)),
    st.tuples(st.just("claim"), st.integers(1, 9), st.integers(1, 40), st.none()),
    st.tuples(st.just("finish"), st.integers(0, 5), st.none(), st.none()),
    st.tuples(st.just("crash"), st.integers(0, 5), st.none(), st.none()),
    st.tuples(st.just("wait"), st.integers(1, 50), st.none(), st.none()),
)


class World:
    def __init__(self, put: Put, ledger: Ledger) -> None:
        self.put, self.ledger = put, ledger
        self.now = 1000
        self.next: dict[tuple[str, Channel], int] = defaultdict(int)
        self.sent: dict[tuple[str, Channel], list[int]] = defaultdict(list)
        self.working: list[tuple[Claim, list[StreamState]]] = []

    def step(self, kind: str, first, second, third) -> None:  # type: ignore[no-untyped-def]
        self.now += 1
        if kind == "put":
            self.put([self.fresh(first, second) for _ in range(third)])
        elif kind == "lose":
            self.next[first, second] += third
        elif kind == "again":
            self.put([piece(first, second, n, self.now) for n in self.sent[first, second][-third:]])
        elif kind == "claim":
            self.claim(limit=first, lease_ms=second)
        elif kind == "finish" and self.working:
            self.ledger.done(*self.working.pop(first % len(self.working)))
        elif kind == "crash" and self.working:
            self.working.pop(first % len(self.working))
        elif kind == "wait":
            self.now += first

    def fresh(self, call: str, channel: Channel):  # type: ignore[no-untyped-def]
        index = self.next[call, channel]
        self.next[call, channel] += 1
        self.sent[call, channel].append(index)
        return piece(call, channel, index, self.now)

    def claim(self, limit: int, lease_ms: int) -> bool:
        claims = self.ledger.claim(limit, lease_ms, now=self.now)
        assert sum(len(claim.hops) for claim in claims) <= limit
        self.working += [(claim, self.hear(claim)) for claim in claims]
        return bool(claims)

    def hear(self, claim: Claim) -> list[StreamState]:
        states = []
        for channel in Channel:
            state = self.ledger.load_state(claim.call_id, channel)
            fresh = [h.index for h in claim.hops if h.channel is channel and h.index >= state.next_index]
            if fresh:
                said = [*state.detail.get("heard", []), *fresh]
                state = StreamState(channel, fresh[-1] + 1, 0, {"heard": said})
            states.append(state)
        return states

    def drain(self) -> None:
        """The workers that still live take everything; those that crashed never come back."""
        for _ in range(10_000):
            self.now += 100
            if not self.claim(32, 50):
                return
            for claim, states in self.working:
                self.ledger.done(claim, states)
            self.working.clear()
        raise AssertionError("the ledger does not empty")


@pytest.mark.real
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=60))
def test_every_hop_is_heard_once_and_in_order(
    put: Put, ledger: Ledger, clean_redis: redis.Redis, steps: list[tuple]
) -> None:
    clean_redis.flushdb()
    world = World(put, ledger)
    for step in steps:
        world.step(*step)
    world.drain()
    assert ledger.due_count() == 0 and clean_redis.hlen("attempts") == 0
    for (call, channel), indexes in world.sent.items():
        assert ledger.load_state(call, channel).detail.get("heard", []) == indexes
