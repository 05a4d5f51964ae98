"""The dashboard sockets, on the real application, PostgreSQL and Valkey."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from unittest.mock import ANY
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings

from calls import consumers, practising, push
from calls.choices import Role
from calls.models import Call, User
from empathy_dash.asgi import application

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


class Socket(ApplicationCommunicator):
    """A client of one socket. (channels.testing needs daphne, which the product does not.)"""

    def __init__(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": headers,
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self) -> int | None:
        """None when accepted, else the code it was closed with."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(5)
        return answer.get("code", 1000) if answer["type"] == "websocket.close" else None

    async def say(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def next(self) -> dict[str, Any]:
        answer = await self.receive_output(8)
        assert answer["type"] == "websocket.send", answer
        return json.loads(answer["text"])

    async def leave(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(5)


@pytest.fixture
def socket_as(session_of: Callable[[User], str]) -> Callable[[str, User | None], Socket]:
    def make(path: str, user: User | None) -> Socket:
        headers = [(b"origin", b"http://testserver"), (b"host", b"testserver")]
        if user:
            headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={session_of(user)}".encode()))
        return Socket(path, headers)

    return make


async def refused(socket: Socket) -> int:
    code = await socket.connect()
    assert code is not None
    return code


async def opened(socket: Socket) -> dict[str, Any]:
    assert await socket.connect() is None
    return await heard(socket, "snapshot")


async def heard(socket: Socket, kind: str) -> dict[str, Any]:
    """The next message of that kind; ticks come when they come."""
    while True:
        message = await socket.next()
        if message["type"] == kind:
            return message
        assert message["type"] == "tick", message


publish = sync_to_async(push.publish)


async def test_outsiders_are_refused_before_they_are_accepted(
    socket_as: Any, alice: User, bob: User, carol: User, full_call: Call
) -> None:
    for path, user in [
        ("/ws/floor/", None),
        ("/ws/floor/", bob),
        (f"/ws/calls/{full_call.pk}/", None),
        (f"/ws/calls/{full_call.pk}/", carol),
        (f"/ws/calls/{uuid4()}/", alice),
        ("/ws/nothing/", alice),
    ]:
        socket = await sync_to_async(socket_as)(path, user)
        assert await refused(socket) == consumers.NOT_YOURS, (path, user)


async def test_practice_is_nobody_elses(
    socket_as: Any, alice: User, bob: User, carol: User, rubric: Any
) -> None:
    call = await sync_to_async(practising.begin)(bob)
    dana = await sync_to_async(User.objects.create_user)("dana", role=Role.ADMIN)
    for user in (carol, alice, dana, None):
        socket = await sync_to_async(socket_as)(f"/ws/calls/{call.pk}/", user)
        assert await refused(socket) == consumers.NOT_YOURS, user
    socket = await sync_to_async(socket_as)(f"/ws/calls/{call.pk}/", bob)
    assert (await opened(socket))["call"]["tile"]["id"] == str(call.pk)
    await socket.leave()


async def test_carols_floor_stays_empty(socket_as: Any, carol: User, full_call: Call) -> None:
    socket = await sync_to_async(socket_as)("/ws/floor/", carol)
    assert (await opened(socket))["floor"]["calls"] == {}
    await publish([(g, {"type": "tile", "tile": full_call.tile}) for g in full_call.groups()])
    assert await socket.next() == {"type": "tick", "now": ANY}, "the next thing she hears"
    await socket.leave()


async def test_alice_gets_a_snapshot_then_events(socket_as: Any, alice: User, full_call: Call) -> None:
    socket = await sync_to_async(socket_as)("/ws/floor/", alice)
    snapshot = await opened(socket)
    assert list(snapshot["floor"]["calls"]) == [str(full_call.pk)]
    group = f"team.{full_call.team_id}"
    tiles = [full_call.tile | {"media_ms": n} for n in range(5)]
    await publish([(group, {"type": "tile", "tile": tile}) for tile in tiles])
    message = await heard(socket, "events")
    assert message["from"] == snapshot["seq"]
    assert message["seq"][group] == snapshot["seq"][group] + 5
    expected = {"type": "changed", "id": str(full_call.pk), "set": {"media_ms": 4}}
    assert message["events"] == [expected], "only the newest tile of a call, and of that what changed"
    await socket.leave()


async def test_messages_come_at_most_once_a_second(socket_as: Any, alice: User, full_call: Call) -> None:
    socket = await sync_to_async(socket_as)("/ws/floor/", alice)
    await opened(socket)
    group, stamps = f"team.{full_call.team_id}", []
    loop = asyncio.get_running_loop()
    feeding = asyncio.create_task(feed(group, full_call.tile))
    while len(stamps) < 4:
        await heard(socket, "events")
        stamps.append(loop.time())
    feeding.cancel()
    assert all(later - earlier > 0.9 for earlier, later in zip(stamps, stamps[1:], strict=False))
    await socket.leave()


async def feed(group: str, tile: dict[str, Any]) -> None:
    while True:
        await publish([(group, {"type": "tile", "tile": tile})])
        await asyncio.sleep(0.1)


async def test_a_gap_and_a_refetch_lead_to_a_snapshot(
    socket_as: Any, bob: User, full_call: Call, clean_redis: Any
) -> None:
    socket = await sync_to_async(socket_as)(f"/ws/calls/{full_call.pk}/", bob)
    snapshot = await opened(socket)
    assert len(snapshot["call"]["turns"]) == 12
    group = f"call.{full_call.pk}"
    clean_redis.incr(f"seq:{group}")  # An event whose message never came.
    await publish([(group, {"type": "tile", "tile": full_call.tile})])
    fresh = await heard(socket, "snapshot")
    assert fresh["seq"] == snapshot["seq"] + 2
    await socket.say('{"type": "refetch"}')
    assert (await heard(socket, "snapshot"))["seq"] == fresh["seq"]
    await socket.say("not json")
    await socket.say("[1, 2]")
    clean_redis.incr(f"seq:{group}")  # Lost, and nothing follows: the tick finds out.
    assert (await heard_late(socket, "snapshot"))["seq"] == fresh["seq"] + 1
    await socket.leave()


async def heard_late(socket: Socket, kind: str) -> dict[str, Any]:
    for _ in range(12):
        message = await socket.next()
        if message["type"] == kind:
            return message
    raise AssertionError(f"no {kind}")
