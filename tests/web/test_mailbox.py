from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from calls import live
from calls.mailbox import MAX_EVENTS, SETTLE_S, Mailbox


def tile(call: str, media_ms: int) -> dict:
    return {"type": "tile", "tile": {"id": call, "media_ms": media_ms}}


events = st.lists(
    st.one_of(
        st.builds(tile, st.sampled_from("abc"), st.integers(0, 99)),
        st.builds(lambda lag: {"type": "lag", "lag_ms": lag}, st.integers(0, 99)),
    ),
    max_size=30,
)


@given(events)
def test_what_is_taken_says_the_same_as_all_events(given_events: list[dict]) -> None:
    box = Mailbox()
    box.begin({"team.1": 7}, 0.0)
    whole = taken = {"now": "", "lag_ms": 0, "calls": {}}
    for number, event in enumerate(given_events, start=8):
        box.put("team.1", number, event, 0.0)
        whole = live.apply(whole, event)
    before, after, kept = box.take()
    for event in kept:
        taken = live.apply(taken, event)
    assert taken == whole
    assert (before, after) == ({"team.1": 7}, {"team.1": 7 + len(given_events)})
    assert not box.wants_snapshot


def test_a_gap_wants_a_snapshot() -> None:
    box = Mailbox()
    box.begin({"team.1": 3}, 0.0)
    box.put("team.1", 5, tile("a", 1), 0.0)
    assert box.wants_snapshot


def test_an_echo_is_dropped_and_counters_that_began_again_are_noticed() -> None:
    box = Mailbox()
    box.begin({"team.1": 3}, 100.0)
    box.put("team.1", 2, tile("a", 1), 101.0)
    assert not box.events and not box.wants_snapshot
    box.put("team.1", 1, tile("a", 1), 100.0 + SETTLE_S + 1)
    assert box.wants_snapshot


def test_a_full_box_wants_a_snapshot() -> None:
    box = Mailbox()
    box.begin({}, 0.0)
    for number in range(1, MAX_EVENTS + 2):
        box.put("call.1", number, {"type": "turn", "turn": {}}, 0.0)
    assert box.wants_snapshot
