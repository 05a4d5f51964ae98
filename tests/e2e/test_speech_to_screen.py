"""A phone stream in at one end, a supervisor's floor at the other; nothing between is made up."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamdouble.api import call as place_call
from streamdouble.session import SessionConfig
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bench.product import Product, wait_for
from calls.changes import told
from tests.e2e.conftest import media_address

pytestmark = [pytest.mark.real, pytest.mark.models]


class Screen(threading.Thread):
    """What arrives on a dashboard socket."""

    def __init__(self, running: Product, path: str, username: str) -> None:
        super().__init__(daemon=True)
        self.running, self.path = running, path
        self.session = running.log_in(username)
        self.messages: list[dict[str, Any]] = []
        self.stop = threading.Event()

    def run(self) -> None:
        with self.running.socket(self.path, self.session) as ws:
            while not self.stop.is_set():
                try:
                    self.messages.append(json.loads(ws.recv(timeout=0.5)))
                except TimeoutError:
                    continue
                except ConnectionClosed:
                    return

    def tiles(self) -> list[dict[str, Any]]:
        """Each tile as it was after each event of it."""
        held, seen = {}, []
        for message in list(self.messages):
            held |= message.get("floor", {}).get("calls", {})
            for event in message.get("events", ()):
                if tile := told(held, event):
                    held[tile["id"]] = tile
                    seen.append(tile)
        return seen


def test_speech_in_state_out(
    real_product: Product,
    call_wavs: Callable[..., tuple[Path, Path]],
    config_for: Callable[..., SessionConfig],
) -> None:
    customer, agent = call_wavs("fee-dispute-recovers", 0, 36)
    screen = Screen(real_product, "/ws/floor/", "alice")
    outsider = Screen(real_product, "/ws/floor/", "carol")
    for watcher in (screen, outsider):
        watcher.start()
    wait_for(lambda: screen.messages and outsider.messages)
    config = config_for(real_product, agent, label="speech to screen")
    report = asyncio.run(place_call(media_address(real_product), audio_path=customer, config=config))
    ref = report.result.identity.call_sid

    def closed() -> Any:
        return real_product.sql(
            "select id, status, final, media_ms from calls_call where external_ref = %s and status <> 'live'",
            ref,
        )

    [(call_id, status, final, media_ms)] = wait_for(closed, 60)
    wait_for(lambda: any(tile["status"] == "ended" for tile in screen.tiles()), 10)
    for watcher in (screen, outsider):
        watcher.stop.set()

    tiles = [tile for tile in screen.tiles() if tile["id"] == str(call_id)]
    states = {tile["state"] for tile in tiles}
    assert "frustration" in states, states
    assert any(tile["quote"] for tile in tiles) and any(tile["reason"] for tile in tiles)
    assert not outsider.tiles(), "Carol must see nothing"

    assert status == "ended" and media_ms >= 35_000
    assert final["opportunities"] >= 1 and 0 <= final["empathy"] <= 100
    for channel in ("customer", "agent"):
        ledger = final["coverage"]["channels"][channel]
        assert ledger["scored_ms"] == ledger["received_ms"] >= 35_000
        assert ledger["lost_ms"] == ledger["failed_ms"] == 0
    words = " ".join(
        text
        for (text,) in real_product.sql(
            "select text from calls_turn where call_id = %s order by start_ms", call_id
        )
    ).lower()
    assert "third time" in words and "fee" in words
    alice = real_product.log_in("alice")
    assert alice.get(f"{real_product.url}/calls/{call_id}/", timeout=10).status_code == 200
    carol = real_product.log_in("carol")
    assert carol.get(f"{real_product.url}/calls/{call_id}/", timeout=10).status_code == 404


def test_the_call_socket_is_closed_to_outsiders(real_product: Product) -> None:
    [(call_id,)] = real_product.sql("select id from calls_call limit 1") or [(None,)]
    if call_id is None:
        pytest.skip("no call was made before this test")
    with real_product.socket(f"/ws/calls/{call_id}/", real_product.log_in("alice")) as ws:
        assert json.loads(ws.recv(timeout=10))["type"] == "snapshot"
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        with real_product.socket(f"/ws/calls/{call_id}/", real_product.log_in("carol")) as ws:
            ws.recv(timeout=10)
