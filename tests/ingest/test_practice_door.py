"""Practice at the media door: only the call that was begun, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import websockets
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.utils import timezone

from calls import practising, record
from calls.access import MediaSource
from calls.choices import CallStatus, Protocol
from calls.models import Call, RubricVersion, Source, User
from tests.ingest.peers import HIGH, LOW, close_of, linear, started, woven
from tests.ingest.test_door import ended
from tests.servers import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
MakeSource = Callable[..., MediaSource]


@pytest.mark.real
async def test_a_ticket_that_was_kept_makes_no_call_of_a_colleague(
    door: Server, make_source: MakeSource, rubric: RubricVersion, bob: User
) -> None:
    await sync_to_async(make_source)()  # the settings that name this door
    call = await sync_to_async(practising.begin)(bob)
    now, later = [await sync_to_async(practising.ticket)(call) for _ in range(2)]
    address = f"{door.ws}/media/stream/practice-{call.team_id}/"
    async with websockets.connect(address, subprotocols=[websockets.Subprotocol("empathy.v1")]) as socket:
        assert (await started(socket, call.external_ref, ticket=now))["type"] == "started"
        await socket.send(woven(linear(HIGH), linear(LOW), 2))
        await socket.send('{"type":"stop"}')
        assert await close_of(socket) == 1000
    await ended(call.external_ref)
    over = timezone.now() - timedelta(seconds=61)
    await Call.objects.aupdate(status=CallStatus.ENDED, ended_at=over)
    async with websockets.connect(address) as socket:
        more: dict[str, Any] = {"ticket": later, "parameters": {"agent": "alice", "queue": "Fees"}}
        await started(socket, call.external_ref, **more)
        await socket.send(woven(linear(HIGH), linear(LOW), 2))
        await socket.send('{"type":"stop"}')
        said = json.loads(await socket.recv())
        assert (said["type"], said["code"], said["message"]) == ("error", "refused", "practice over")
        assert await close_of(socket) == 1008
    assert await Call.objects.acount() == 1
    one = await Call.objects.aget()
    assert one.practice and one.agent_id == bob.pk and one.counters["customer"]["received_ms"] == 500


@pytest.mark.parametrize("after_s", [None, 30, 61])
def test_a_practice_source_takes_what_was_begun(
    rubric: RubricVersion, bob: User, after_s: int | None
) -> None:
    call = practising.begin(bob)
    source = Source.objects.get()
    ref = "somebody-else" if after_s is None else call.external_ref
    if after_s is not None:
        over = timezone.now() - timedelta(seconds=after_s)
        Call.objects.update(status=CallStatus.ENDED, ended_at=over)
    new = record.OpenCall(source.pk, Protocol.STREAM, ref, "S1", timezone.now(), {"agent": "alice"})
    if after_s == 30:
        assert record.open_call(new).call_id == str(call.pk)
    else:
        with pytest.raises(record.NotTaken, match="practice over"):
            record.open_call(new)
    assert Call.objects.get().agent == bob and Call.objects.get().practice


def test_no_other_source_takes_its_name(bob: User) -> None:
    assert bob.team
    with pytest.raises(ValidationError, match="kept for practice"):
        Source(name="x", slug="practice-7", team=bob.team).full_clean()
    found = practising.source_of(bob.team)
    found.full_clean()
    assert found.practice and practising.source_of(bob.team) == found
