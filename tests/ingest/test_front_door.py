"""Who floods the front door, comes from elsewhere or while the database is away."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import redis
import websockets
from asgiref.sync import sync_to_async
from websockets.exceptions import InvalidStatus

from calls import health, reservations
from calls.access import MediaSource
from calls.ingest import auth, hub, sources
from calls.ingest.sources import Sources, Unknowable, networks_of
from calls.models import Call
from tests.ingest.conftest import message, start
from tests.ingest.peers import HIGH, LOW, close_of, linear, started, woven
from tests.ingest.test_audiosocket import dial, hung_up
from tests.ingest.test_door import until
from tests.ingest.test_trouble import HEADERS, SOURCE, Line, Rows, hop, rows  # noqa: F401
from tests.servers import Server

MakeSource = Callable[..., MediaSource]


# --- who is known, without a database ----------------------------------------------------------------


class Database:
    """Answers with what it has, or fails; counts how often it was asked."""

    def __init__(self, known: Mapping[str, MediaSource]) -> None:
        self.known, self.asked, self.away, self.hangs = dict(known), 0, False, False
        self.slow_s = 0.0

    async def __call__(self, do: Any) -> Mapping[str, MediaSource]:
        self.asked += 1
        found = dict(self.known)
        await asyncio.sleep(3600 if self.hangs else self.slow_s)
        if self.away:
            raise ConnectionError("no database")
        return found


async def test_names_that_are_not_there_cost_a_few_queries() -> None:
    database = Database({"main": SOURCE})
    known, began = Sources(database), time.monotonic()
    asked = [known.find(f"none-{n}") for n in range(500)] + [known.find("main") for _ in range(500)]
    found = await asyncio.gather(*asked)
    assert found[:500] == [None] * 500 and found[500:] == [SOURCE] * 500
    assert database.asked <= 2 + (time.monotonic() - began) / sources.NEW_S


async def test_one_that_was_just_made_is_found() -> None:
    database = Database({})
    known = Sources(database)
    assert await known.find("main") is None
    database.known["main"] = SOURCE
    assert await known.find("main") == SOURCE


async def test_one_that_was_made_while_a_look_was_under_way_is_found() -> None:
    database = Database({"old": SOURCE})
    known = Sources(database)
    database.slow_s = 0.3
    first = asyncio.create_task(known.find("old"))
    await asyncio.sleep(0.1)
    database.known = {"main": SOURCE}  # the look that is under way has read what was there before
    assert await known.find("main") == SOURCE and await first == SOURCE


async def test_a_change_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FRESH_S", 0.05)
    database = Database({"main": SOURCE})
    known = Sources(database)
    assert await known.find("main") == SOURCE
    database.known["main"] = off = replace(SOURCE, enabled=False)
    await asyncio.sleep(0.06)
    assert await known.find("main") == off


async def test_who_comes_while_it_is_looked_again_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FRESH_S", 1.0)
    database = Database({"main": SOURCE})
    known = Sources(database)
    await known.find("main")
    database.known["main"] = off = replace(SOURCE, enabled=False)
    database.slow_s = 0.2
    await asyncio.sleep(0.6)  # over half of it: the next to ask has it looked at, and goes by what is known
    async with asyncio.timeout(0.1):
        assert await known.find("main") == SOURCE
    await asyncio.sleep(0.25)
    async with asyncio.timeout(0.1):
        assert await known.find("main") == off
    assert database.asked == 2


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_a_database_that_is_away_leaves_what_was_known(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(sources, "FRESH_S", 0.01)
    monkeypatch.setattr(sources, "PATIENCE_S", 0.1)
    database = Database({"main": SOURCE})
    known = Sources(database)
    await known.find("main")
    setattr(database, how, True)
    await asyncio.sleep(0.02)
    monkeypatch.setattr(sources, "LOOK_S", 0.2)
    async with asyncio.timeout(2):
        assert await known.find("main") == SOURCE and await known.find("none") is None
    assert database.asked > 1


async def test_nobody_can_tell_before_the_first_answer() -> None:
    database = Database({"main": SOURCE})
    database.away, known = True, Sources(database)
    with pytest.raises(Unknowable):
        await known.find("main")
    database.away = False
    assert await known.find("main") == SOURCE


def test_where_a_protocol_may_come_from() -> None:
    one = replace(SOURCE, protocol="audiosocket", networks=("10.0.0.0/8",))
    two = replace(one, networks=("192.0.2.0/24",))
    assert networks_of([SOURCE, replace(one, enabled=False)], "audiosocket") is None
    assert set(networks_of([one, two, SOURCE], "audiosocket") or ()) == {"10.0.0.0/8", "192.0.2.0/24"}
    assert networks_of([one, replace(two, networks=())], "audiosocket") == ()


# --- the door, with the row stubbed ------------------------------------------------------------------


def from_address(peer: str, *frames: str) -> Line:
    line = Line()
    line.scope["client"] = (peer, 40_000)
    return line.say(*frames)


async def refused(line: Line) -> tuple[int, str, bool]:
    code = await line.close_code()
    return code, line.sent[-1].get("reason", ""), line.accepted


async def test_a_call_while_the_database_restarts(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def away() -> None:
        raise RuntimeError("the database system is starting up")

    real = sources.media_sources
    monkeypatch.setattr(sources, "media_sources", away)
    assert await refused(Line().say(start("CA1", "MZ1"))) == (1013, "no database", True)
    monkeypatch.setattr(sources, "media_sources", real)
    assert await Line().say(start("CA2", "MZ2"), hop(0), message("stop")).close_code() == 1000
    monkeypatch.setattr(sources, "media_sources", away)
    monkeypatch.setattr(sources, "FRESH_S", 0.0)
    assert await Line().say(start("CA3", "MZ3"), hop(0), message("stop")).close_code() == 1000
    assert [new.external_ref for new in rows.opened] == ["CA2", "CA3"]


async def test_so_many_may_be_here_unproved(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(hub, "MOST_UNPROVED_THERE", 2)
    monkeypatch.setattr(hub, "MOST_UNPROVED", 3)
    telnyx = replace(SOURCE, protocol="telnyx")
    monkeypatch.setattr(sources, "media_sources", lambda: {"main": telnyx})

    def waiting(peer: str) -> Line:
        line = Line(headers=[], path="/media/telnyx/main/")
        line.scope["client"] = (peer, 1)
        return line

    held = [waiting("192.0.2.1"), waiting("192.0.2.1")]
    await until(lambda: all(line.accepted for line in held))
    third = waiting("192.0.2.1")
    assert await third.close_code() == 1013 and not third.accepted
    other = waiting("192.0.2.2")
    await until(lambda: other.accepted)
    assert (await waiting("192.0.2.3").close_code()) == 1013, "nor any more in all"
    begun = {"stream_id": "S", "start": {"call_session_id": "C", "custom_parameters": {}}}
    begun["start"]["custom_parameters"] = {"token": auth.mint_token(telnyx, "C")}  # type: ignore[index]
    held[0].say(json.dumps({"event": "start", **begun}))
    await until(lambda: len(rows.opened) == 1)
    again = waiting("192.0.2.1")
    await until(lambda: again.accepted)
    for line in (*held, other, again):
        line.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await line.close_code()
    assert not hub.hub().unproved._taken


async def test_a_token_is_not_spent_on_a_full_house(
    rows: Rows,  # noqa: F811
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strict = replace(SOURCE, one_time_tokens_required=True)
    monkeypatch.setattr(sources, "media_sources", lambda: {"main": strict})
    settings.MEDIA_MAX_STREAMS_PER_SOURCE = 0
    token = auth.mint_token(strict, "CA1")
    assert await refused(Line().say(start("CA1", "MZ1", token="bad"))) == (1008, "bad token", True)
    assert await refused(Line().say(start("CA1", "MZ1", token=token))) == (1013, "full", True)
    settings.MEDIA_MAX_STREAMS_PER_SOURCE = 1
    assert await Line().say(start("CA1", "MZ1", token=token), hop(0), message("stop")).close_code() == 1000
    assert await refused(Line().say(start("CA1", "MZ2", token=token))) == (1008, "token used", True)


# --- the door as a process ---------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.django_db(transaction=True)
class TestElsewhere:
    async def test_what_a_sender_writes_of_himself_is_not_believed(
        self, door: Server, make_source: MakeSource, clean_redis: redis.Redis
    ) -> None:
        """Uvicorn believes 127.0.0.1, where a TLS terminator of the same machine connects from."""
        source = await sync_to_async(make_source)(networks=["203.0.113.0/24"])
        signed = auth.sign(source.secrets[0], source.public_url)
        for told in ("203.0.113.9", "203.0.113.9:5000", "203.0.113.9, 127.0.0.1"):
            headers = {"X-Twilio-Signature": signed, "X-Forwarded-For": told}
            with pytest.raises(InvalidStatus):
                async with websockets.connect(source.public_url, additional_headers=headers):
                    pass
        await until(lambda: health.read(clean_redis, source.slug).refused == {"address not allowed": 3})

    async def test_who_brings_a_ticket_learns_nothing(
        self, door: Server, make_source: MakeSource, clean_redis: redis.Redis
    ) -> None:
        source = await sync_to_async(make_source)(protocol="stream", networks=["203.0.113.0/24"])
        answers = []
        for slug in (source.slug, "nobody-here"):
            async with websockets.connect(f"{door.ws}/media/stream/{slug}/") as socket:
                ticket = auth.mint_token(source, "C1")
                said = await started(socket, "C1", ticket=ticket)
                answers.append((said, await close_of(socket), socket.close_reason))
        assert answers[0] == answers[1] and answers[0][1:] == (1008, "bad token")
        refused = health.read(clean_redis, source.slug).refused
        assert refused == {"address not allowed": 1} and not await Call.objects.aexists()

    async def test_audiosocket_hears_nobody_from_elsewhere(
        self, door: Server, make_source: MakeSource, clean_redis: redis.Redis
    ) -> None:
        source = await sync_to_async(make_source)(protocol="audiosocket", networks=["203.0.113.0/24"])
        await asyncio.sleep(sources.FRESH_S)  # that the door knows no other one of before
        pair = await sync_to_async(reservations.reserve)(clean_redis, source.slug, "C1")
        reader, writer = await dial(door, pair.customer)
        assert await hung_up(reader) == b""
        writer.close()
        assert await sync_to_async(clean_redis.exists)(f"reserved:leg:{pair.customer}"), "and it is not spent"

    async def test_a_stranger_gets_no_frame_in(self, door: Server, make_source: MakeSource) -> None:
        await sync_to_async(make_source)()
        async with websockets.connect(f"{door.ws}/media/stream/{uuid.uuid4().hex[:20]}/") as socket:
            await socket.send(woven(linear(HIGH), linear(LOW), 2))
            assert await close_of(socket) == 1002
        assert not await Call.objects.aexists()
