"""`kill -9` in mid-call: everything received is scored, nothing twice, and the call says what was lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from streamdouble.api import call as place_call
from streamdouble.session import SessionConfig

from bench.product import Product, wait_for
from tests.e2e.conftest import media_address

pytestmark = [pytest.mark.real, pytest.mark.models]


async def play(running: Product, customer: Path, config: SessionConfig, *kills: tuple[float, str]) -> str:
    """Place the call; `kills` are (seconds into it, name of the process). Returns its reference."""
    before = {ref for (ref,) in running.sql("select external_ref from calls_call")}
    call = asyncio.create_task(place_call(media_address(running), audio_path=customer, config=config))
    began = time.monotonic()
    for at_s, name in kills:
        await asyncio.sleep(max(0.0, began + at_s - time.monotonic()))
        running.kill(name)
    with suppress(Exception):  # a call whose media process dies breaks off
        await call
    [ref] = {ref for (ref,) in running.sql("select external_ref from calls_call")} - before
    return str(ref)


def finished(running: Product, ref: str, timeout_s: float) -> dict[str, Any]:
    def row() -> Any:
        rows = running.sql(
            "select id, status, notes, end_reason, final, media_ms from calls_call where external_ref = %s",
            ref,
        )
        return rows[0] if rows and rows[0][1] != "live" else None

    names = ("id", "status", "notes", "end_reason", "final", "media_ms")
    return dict(zip(names, wait_for(row, timeout_s), strict=True))


def hops(running: Product, call_id: Any, channel: str) -> str:
    rows = running.sql(
        "select hops from calls_coverageblock where call_id = %s and channel = %s order by block",
        call_id,
        channel,
    )
    return "".join(letters for (letters,) in rows).rstrip(".")


def assert_nothing_owed(running: Product, call_id: Any) -> None:
    client = redis.Redis.from_url(running.urls().redis)
    assert not [m for m in client.zrange("due", 0, -1) if str(call_id).encode() in m]


def assert_once(running: Product, call_id: Any) -> None:
    """No turn twice, and none on top of another of the same channel."""
    for channel in ("customer", "agent"):
        turns = running.sql(
            "select start_ms, end_ms from calls_turn where call_id = %s and channel = %s order by start_ms",
            call_id,
            channel,
        )
        assert turns
        assert all(a[1] <= b[0] + 300 for a, b in zip(turns, turns[1:], strict=False)), turns


def test_a_worker_dies_in_mid_call(
    real_product: Product,
    call_wavs: Callable[..., tuple[Path, Path]],
    config_for: Callable[..., SessionConfig],
) -> None:
    customer, agent = call_wavs("fee-dispute-recovers", 0, 30)
    config = config_for(real_product, agent)
    ref = asyncio.run(play(real_product, customer, config, (6, "score1"), (12, "score2"), (18, "score1")))
    call = finished(real_product, ref, 120)
    assert call["status"] == "ended", call
    for channel in ("customer", "agent"):
        letters = hops(real_product, call["id"], channel)
        assert len(letters) >= 60 and set(letters) == {"s"}, letters
    assert_nothing_owed(real_product, call["id"])
    assert_once(real_product, call["id"])


def test_the_media_process_dies_in_mid_call(
    real_product: Product,
    call_wavs: Callable[..., tuple[Path, Path]],
    config_for: Callable[..., SessionConfig],
) -> None:
    customer, agent = call_wavs("fee-dispute-recovers", 0, 30)
    config = config_for(real_product, agent)
    ref = asyncio.run(play(real_product, customer, config, (15, "media")))
    call = finished(real_product, ref, 120)
    assert call["status"] == "lost", call
    assert any("is lost" in note for note in call["notes"]), call["notes"]
    for channel in ("customer", "agent"):
        letters = hops(real_product, call["id"], channel)
        assert 25 <= len(letters) <= 31 and set(letters) == {"s"}, letters
    assert call["final"] and call["final"]["coverage"]["notes"]
    assert_nothing_owed(real_product, call["id"])
    assert_once(real_product, call["id"])


def test_workers_die_while_a_recording_is_scored(
    real_product: Product, call_wavs: Callable[..., tuple[Path, Path]]
) -> None:
    customer, agent = call_wavs("fee-dispute-recovers", 0, 60)
    session = real_product.log_in("alice")
    token = {"X-CSRFToken": session.cookies["csrftoken"], "Referer": real_product.url}
    [[team]] = real_product.sql("select team_id from calls_source where slug = 'phone'")
    files = [customer.read_bytes(), agent.read_bytes()]
    said = {
        "team": team, "layout": "two-files", "told": True,
        "files": [{"name": path.name, "size": len(body)} for path, body in zip((customer, agent), files, strict=True)],
    }  # fmt: skip
    address = f"{real_product.url}/api/v1/recordings/"
    made = session.post(address, json=said, headers=token, timeout=10)
    assert made.status_code == 201, made.text
    for part, body in enumerate(files):
        head = token | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        path = f"{address}{made.json()['id']}/parts/{part}"
        assert session.patch(path, data=body, headers=head, timeout=30).ok

    def told() -> dict[str, Any]:
        found: dict[str, Any] = session.get(f"{address}{made.json()['id']}/", timeout=10).json()
        return found

    for share, name in ((10, "recordings"), (30, "score1"), (50, "recordings"), (60, "score2")):
        wait_for(lambda least=share: told()["percent"] >= least, 180)
        real_product.kill(name)
    done = wait_for(lambda: (now := told())["state"] == "done" and now, 240)
    [[status, media_ms, final]] = real_product.sql(
        "select status, media_ms, final from calls_call where id = %s", done["call"]
    )
    assert status == "ended" and media_ms == 60_000 and final
    for channel in ("customer", "agent"):
        assert hops(real_product, done["call"], channel) == "s" * 120
    assert_nothing_owed(real_product, done["call"])
    assert_once(real_product, done["call"])
