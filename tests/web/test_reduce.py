"""static/js/reduce.js and calls/live.py `apply` change documents alike."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from calls import live
from tests.web import made_up

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
RUN = """async (cases) => {
  const { applyAll } = await import('/static/js/reduce.js');
  return cases.map(([doc, events]) => applyAll(doc, events));
}"""
ROUNDS = 60


def floor_events(doc: dict[str, Any], dice: random.Random) -> list[dict[str, Any]]:
    ids = [*doc["calls"], "00000000-0000-0000-0000-0000000000ff"]
    tiles = [*doc["calls"].values()]
    return [
        dice.choice(
            [
                lambda: {
                    "type": "tile",
                    "tile": dice.choice(tiles) | {"risk": dice.choice(["calm", "help"])},
                },
                lambda: {"type": "tile", "tile": dice.choice(tiles) | {"id": dice.choice(ids)}},
                lambda: {
                    "type": "changed",
                    "id": dice.choice(ids),
                    "set": {"risk": dice.choice(["calm", "help"])},
                },
                lambda: {
                    "type": "changed",
                    "id": dice.choice(ids),
                    "set": {"media_ms": dice.randrange(9000)},
                    "spark": {
                        "drop": dice.randrange(70),
                        "keep": dice.randrange(70),
                        "add": [[dice.randrange(9000), 0.5]],
                    },
                },
                lambda: {"type": "lag", "lag_ms": dice.randrange(9000)},
                lambda: {"type": "something new"},
            ]
        )()
        for _ in range(dice.randrange(12))
    ]


def call_events(doc: dict[str, Any], dice: random.Random) -> list[dict[str, Any]]:
    def view() -> dict[str, Any]:
        since = dice.randrange(0, 260_000)
        moments = [m | {"empathy": None} for m in doc["moments"] if m["t_ms"] >= since][
            : dice.randrange(1, 9)
        ]
        parts = ("opportunities", "nudges", "alerts", "why", "timing", "components", "alignment", "outlook")
        return {"type": "view", "since_ms": since, "moments": moments} | {
            p: doc[p][:1] if isinstance(doc[p], list) else doc[p] for p in parts
        }

    def turn() -> dict[str, Any]:
        changes = {
            "start_ms": dice.choice([1500, 20_000, 77_777]),
            "channel": dice.choice(["agent", "customer"]),
        }
        return {"type": "turn", "turn": dice.choice(doc["turns"]) | changes}

    kinds: list[Callable[[], dict[str, Any]]] = [
        view, turn, turn,
        lambda: {"type": "tile", "tile": doc["tile"] | {"media_ms": dice.randrange(9000)}},
        lambda: {"type": "coverage", "coverage": {"channels": {}, "notes": ["x"]}},
        lambda: {"type": "final", "final": {"empathy": 50.5}},
        lambda: {"type": "something new"},
    ]  # fmt: skip
    return [dice.choice(kinds)() for _ in range(dice.randrange(12))]


def test_script_and_server_apply_alike(page_for: Callable[..., Any]) -> None:
    dice = random.Random(20261122)
    cases = []
    for _ in range(ROUNDS):
        floor, call = made_up.floor(5), made_up.call(minutes=0.8)
        cases += [(floor, floor_events(floor, dice)), (call, call_events(call, dice))]
    page = page_for(None)
    page.goto("/account/login/")
    for (doc, events), scripted in zip(cases, page.evaluate(RUN, cases), strict=True):
        before = copy.deepcopy(doc)
        served = doc
        for event in events:
            served = live.apply(served, event)
        assert scripted == served
        assert doc == before
