"""A page told only what changed holds the same floor as one told everything."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from calls import live
from calls.changes import Held
from tests.web import made_up

points = st.dictionaries(st.integers(0, 12), st.sampled_from([0.1, 0.2, 0.3]), max_size=9).map(
    lambda found: [[t, found[t]] for t in sorted(found)]
)
tiles = st.builds(
    lambda call, status, state, spark, more: (
        {"id": call, "status": status, "state": state, "spark": spark} | more
    ),
    st.sampled_from("abc"),
    st.sampled_from(["live", "live", "live", "ended"]),
    st.sampled_from(["calm", "sadness", None]),
    points,
    st.dictionaries(st.sampled_from(["quote", "empathy"]), st.sampled_from(["", None, 1.5]), max_size=2),
)
events = st.one_of(
    tiles.map(lambda tile: {"type": "tile", "tile": tile}), st.just({"type": "lag", "lag_ms": 3})
)


@given(st.lists(tiles, max_size=3), st.lists(events, max_size=20))
def test_the_page_holds_the_same(before: list[dict[str, Any]], told: list[dict[str, Any]]) -> None:
    whole = page = {"lag_ms": 0, "calls": {tile["id"]: tile for tile in before}}
    held = Held(page["calls"].values())
    for event in told:
        whole = live.apply(whole, event)
        page = live.apply(page, held.shortened(event))
        assert page == whole
        # A page lets calls go once they are over, and has no tile then that a change could be of.
        page = page | {"calls": {pk: tile for pk, tile in page["calls"].items() if tile["status"] == "live"}}
        whole = whole | {"calls": dict(page["calls"])}


def test_a_second_of_a_busy_floor_is_short() -> None:
    floor = made_up.floor(50)
    held = Held(floor["calls"].values())
    second = made_up.next_floor_events(floor, datetime.now(UTC), random.Random(1))
    told = [held.shortened(event) for event in second]
    assert {event["type"] for event in told} == {"changed"}
    assert len(str(told)) < len(str(second)) / 4
    assert all(len(event["spark"]["add"]) == 1 for event in told)


def test_a_call_that_is_over_is_told_in_whole_again() -> None:
    [tile] = made_up.floor(1)["calls"].values()
    held = Held([tile])
    over = tile | {"status": "ended"}
    assert held.shortened({"type": "tile", "tile": over})["set"] == {"status": "ended"}
    assert held.shortened({"type": "tile", "tile": over}) == {"type": "tile", "tile": over}
