"""A dashboard socket lasts no longer than its viewer's right to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client

from calls import consumers
from calls.choices import Role
from calls.models import Call, Team, User
from tests.web.test_sockets import Socket, heard, opened, publish

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
Strip = Callable[[User, Client], Any]
SECRET = {"id": "x", "quote": "my card was stolen"}
RIGHTS_END: dict[str, Strip] = {
    "switched off": lambda user, client: User.objects.filter(pk=user.pk).update(is_active=False),
    "logged out": lambda user, client: client.logout(),
    "another role": lambda user, client: User.objects.filter(pk=user.pk).update(role=Role.AGENT),
    "off the team": lambda user, client: user.supervises.clear(),
    "another password": lambda user, client: User.objects.filter(pk=user.pk).update(password="!"),
    "deleted": lambda user, client: User.objects.filter(pk=user.pk).delete(),
}
each_way = pytest.mark.parametrize("strip", RIGHTS_END.values(), ids=RIGHTS_END)
each_page = pytest.mark.parametrize("page", ["floor", "call"])


@pytest.fixture
def client(alice: User) -> Client:
    """Alice's browser."""
    found = Client()
    found.force_login(alice)
    return found


@pytest.fixture
def socket_of(client: Client, full_call: Call) -> Callable[[str], Socket]:
    def make(page: str) -> Socket:
        path = "/ws/floor/" if page == "floor" else f"/ws/calls/{full_call.pk}/"
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        cookie = f"{settings.SESSION_COOKIE_NAME}={session}".encode()
        return Socket(
            path, [(b"origin", b"http://testserver"), (b"host", b"testserver"), (b"cookie", cookie)]
        )

    return make


def group_of(page: str, call: Call) -> str:
    return f"team.{call.team_id}" if page == "floor" else f"call.{call.pk}"


async def closed(socket: Socket) -> int:
    """The code it is closed with; before it may come ticks and how far behind we are, but no call."""
    while (answer := await socket.receive_output(8))["type"] == "websocket.send":
        message = json.loads(answer["text"])
        told = {event["type"] for event in message.get("events", [])}
        assert message["type"] in ("tick", "events") and told <= {"lag"}, message
    return int(answer["code"])


@each_page
@each_way
async def test_without_the_right_the_next_tick_closes_the_socket(
    socket_of: Any, client: Client, alice: User, full_call: Call, strip: Strip, page: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(consumers, "TICK_S", 0.3)
    socket = await sync_to_async(socket_of)(page)
    await opened(socket)
    await sync_to_async(strip)(alice, client)
    assert await closed(socket) == consumers.NOT_YOURS
    await publish([(group_of(page, full_call), {"type": "tile", "tile": SECRET})])
    assert await socket.receive_nothing(0.3)
    await socket.leave()


@each_page
@each_way
async def test_without_the_right_a_refetch_brings_no_snapshot(
    socket_of: Any, client: Client, alice: User, strip: Strip, page: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(consumers, "TICK_S", 60.0)
    monkeypatch.setattr(consumers, "FLUSH_S", 0.1)
    monkeypatch.setattr(consumers, "URGENT_S", 0.1)
    socket = await sync_to_async(socket_of)(page)
    await opened(socket)
    await sync_to_async(strip)(alice, client)
    await socket.say('{"type": "refetch"}')
    assert await closed(socket) == consumers.NOT_YOURS
    await socket.leave()


@each_page
async def test_who_keeps_the_right_keeps_the_socket(
    socket_of: Any, alice: User, full_call: Call, travel: Team, page: str, monkeypatch: Any
) -> None:
    """Also while she is given another team: an open floor shows it then, and hears of it."""
    monkeypatch.setattr(consumers, "TICK_S", 0.2)
    socket = await sync_to_async(socket_of)(page)
    await opened(socket)
    await sync_to_async(alice.supervises.add)(travel)
    if page == "floor":
        assert f"team.{travel.pk}" in (await heard(socket, "snapshot"))["seq"]
        theirs = full_call.tile | {"id": "theirs", "team": travel.pk}
        await publish([(f"team.{travel.pk}", {"type": "tile", "tile": theirs})])
        while not any(
            event.get("tile", {}).get("id") == "theirs" for event in (await heard(socket, "events"))["events"]
        ):
            pass
    for _ in range(3):
        assert (await socket.next())["type"] in ("tick", "events")  # the floor's lag comes as an event
    await publish([(group_of(page, full_call), {"type": "tile", "tile": full_call.tile | SECRET})])
    while not any(event["type"] == "tile" for event in (await heard(socket, "events"))["events"]):
        pass
    await socket.leave()
