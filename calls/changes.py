"""What a floor's page already holds of each call, so that it is told only what is new.

A busy floor has a new second for 200 calls each second; said in whole, each brings its last minute along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from calls.choices import CallStatus

Doc = dict[str, Any]
LIVE = str(CallStatus.LIVE)


class Held:
    """The live tiles of one page. A call that is over is told in whole again, since pages let it go."""

    def __init__(self, tiles: Iterable[Doc] = ()) -> None:
        self.tiles = {tile["id"]: tile for tile in tiles if tile["status"] == LIVE}

    def shortened(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event as this page needs it; of tiles it holds, what changed. Notes it as told."""
        if event["type"] != "tile":
            return event
        tile = event["tile"]
        old = self.tiles.pop(tile["id"], None)
        if tile["status"] == LIVE:
            self.tiles[tile["id"]] = tile
        if old is None or old.keys() - tile.keys():
            return event
        return {"type": "changed", "id": tile["id"], **changes(old, tile)}


def changes(old: Doc, new: Doc) -> Doc:
    """Fields that differ, and what became of the line of distress; `changed` is the way back."""
    others = new.keys() - {"spark"}
    fields = {name: new[name] for name in others if name not in old or old[name] != new[name]}
    if old["spark"] == new["spark"]:
        return {"set": fields}
    return {"set": fields, "spark": moved(old["spark"], new["spark"])}


def moved(old: list[Any], new: list[Any]) -> Doc:
    """`[t_ms, distress]` points: `drop` the first of the old ones, `keep` so many, `add` the rest."""
    drop = sum(t < new[0][0] for t, _ in old) if new else len(old)
    keep = 0
    for before, after in zip(old[drop:], new, strict=False):
        if before != after:
            break
        keep += 1
    return {"drop": drop, "keep": keep, "add": new[keep:]}


def told(tiles: Mapping[str, Doc], event: dict[str, Any]) -> Doc | None:
    """What an event makes of a call's tile, for a page that holds `tiles`; None if it is of none of them."""
    if event["type"] == "tile":
        return dict(event["tile"])
    held = tiles.get(event["id"]) if event["type"] == "changed" else None
    return changed(held, event) if held else None


def changed(tile: Doc, event: dict[str, Any]) -> Doc:
    """The tile after `changes`."""
    tile = tile | event["set"]
    if spark := event.get("spark"):
        drop = spark["drop"]
        tile["spark"] = tile["spark"][drop : drop + spark["keep"]] + spark["add"]
    return tile
