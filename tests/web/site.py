"""The real templates, scripts and CSP over made-up calls, without database or Redis.

python -m tests.web.site [port] [tiles]    # then look at http://127.0.0.1:8747/floor/
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.web.site_settings")
import django  # noqa: E402

django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.shortcuts import render  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.views.i18n import JavaScriptCatalog  # noqa: E402

from calls import wire  # noqa: E402
from calls.changes import Held  # noqa: E402
from calls.consumers import FLUSH_S, PULSE_S, URGENT_S  # noqa: E402
from calls.views.call import call_context  # noqa: E402
from calls.views.me import me_context  # noqa: E402
from calls.views.paint import LOOK, floor_paint  # noqa: E402
from calls.views.wall import NO_FILTER  # noqa: E402
from empathy_dash import urls as product  # noqa: E402
from tests.web import made_up  # noqa: E402

TILES = int(os.environ.get("TILES", "12"))
URGENT = bool(os.environ.get("URGENT"))
"""Every tick brings what should not wait, so that ticks come as fast as they may."""
EVERY_S = URGENT_S if URGENT else FLUSH_S
PULSE_EVERY = round(PULSE_S / EVERY_S)


class Person(SimpleNamespace):
    def __str__(self) -> str:
        return self.name


ALICE = Person(
    pk=1, name="Alice Moreau", is_authenticated=True, is_supervisor=True, is_admin=False, is_agent=False
)
BOB = Person(
    pk=3, name="Bob Okafor", is_authenticated=True, is_supervisor=False, is_admin=False, is_agent=True
)


def floor(request: HttpRequest) -> HttpResponse:
    count = int(request.GET.get("n", TILES))
    snapshot = made_up.floor(count)
    wanted = {name: request.GET.get(name, "") for name in ("team", "queue", "q")}
    teams = [SimpleNamespace(pk=1, name="Billing"), SimpleNamespace(pk=2, name="Payments")]
    context = {
        "section": "floor", "look": LOOK, "snapshot": snapshot, "floor": floor_paint(snapshot, wanted), "wanted": wanted,
        "teams": teams, "queues": made_up.QUEUES, "first_run": "first" in request.GET, "user": ALICE,
    }  # fmt: skip
    return render(request, "floor/floor.html", context)


def wall(request: HttpRequest) -> HttpResponse:
    snapshot = on_the_wall(made_up.floor(int(request.GET.get("n", TILES))))
    context = {"look": LOOK, "snapshot": snapshot, "floor": floor_paint(snapshot, NO_FILTER)}
    return render(request, "floor/wall.html", context)


def on_the_wall(floor: made_up.Doc) -> made_up.Doc:
    return floor | {"calls": {pk: wire.wall_tile(tile) for pk, tile in floor["calls"].items()}}


def call(request: HttpRequest, call_id: Any) -> HttpResponse:
    document = made_up.call(ended=str(call_id).endswith("2"))
    document["tile"]["id"] = str(call_id)
    now = timezone.now()
    document |= made_up.helped(document, now)
    context = call_context(document, now, helps=True, messages=document["final"] is None)
    return render(request, "call/call.html", context | {"user": ALICE})


def me(request: HttpRequest) -> HttpResponse:
    return render(request, "me/me.html", me_context(made_up.mine(), timezone.now()) | {"user": BOB})


urlpatterns = [
    path("floor/", floor, name="floor"),
    path("floor/wall/", wall, name="wall"),
    path("calls/<uuid:call_id>/", call, name="call"),
    path("me/", me, name="me"),
    path("language/words.js", JavaScriptCatalog.as_view(), name="javascript-catalog"),
    *product.urlpatterns,  # so that every link has an address; what is behind it needs the product
]
pages = get_asgi_application()


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        return await socket(scope, receive, send)
    await pages(scope, receive, send)


def document(address: str) -> made_up.Doc:
    """What the socket at that address starts from."""
    if address == "/ws/floor/":
        return made_up.floor(TILES)
    if address == "/ws/me/":
        return made_up.mine()
    doc = made_up.call(ended=address.endswith("2/"))
    doc["tile"]["id"] = address.split("/")[-2]
    return doc | made_up.helped(doc, timezone.now())


async def socket(scope: Any, receive: Any, send: Any) -> None:
    """A snapshot, then made-up events every EVERY_S, until the page goes."""
    await receive()
    await send({"type": "websocket.accept"})
    say = lambda message: send({"type": "websocket.send", "text": orjson.dumps(message).decode()})  # noqa: E731
    dice, is_floor, is_me = random.Random(1), scope["path"] == "/ws/floor/", scope["path"] == "/ws/me/"
    ended = scope["path"].endswith("2/")
    doc = document(scope["path"])
    name = "floor" if is_floor else "me" if is_me else "call"
    seq, is_wall = 1, scope["query_string"] == b"wall=1"
    shown = on_the_wall(doc) if is_wall else doc
    held = Held(shown["calls"].values()) if is_floor else None
    await say({"type": "snapshot", "seq": seq, name: shown, "now": datetime.now(UTC).isoformat()})

    async def until_gone() -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    gone = asyncio.create_task(until_gone())
    while not gone.done():
        await asyncio.wait({gone}, timeout=EVERY_S)
        now = datetime.now(UTC)
        if held:
            events = made_up.next_floor_events(doc, now, dice)
            if is_wall:
                events = [event | {"tile": wire.wall_tile(event["tile"])} for event in events]
            events = [held.shortened(event) for event in events]
        elif is_me:
            events = made_up.next_own_events(doc, now)
        else:
            events = [] if ended else made_up.next_call_events(doc, now, dice)
        if not gone.done():
            await say({"type": "events", "from": seq, "seq": seq + 1, "urgent": URGENT, "events": events})
            if seq % PULSE_EVERY == 0:
                await say({"type": "tick", "now": now.isoformat()})
        seq += 1


if __name__ == "__main__":
    import uvicorn

    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8747
    uvicorn.run(application, host="127.0.0.1", port=port, log_level="warning")
