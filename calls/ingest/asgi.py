"""The media door for WebSockets: a raw ASGI app, because a frame must cost microseconds. No channel
layer here.

Nothing is heard before its sender is known (by the handshake, or by a ticket in the first message),
and nothing is sent but what the protocol asks for. One coroutine a stream; `hub` writes for all.
"""

from __future__ import annotations

import asyncio
import gc
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import structlog
from django.conf import settings

from calls import metrics
from calls.access import MediaSource
from calls.ingest import audiosocket, door, talking
from calls.ingest.door import BROKEN, NORMAL, POLICY, TOO_BIG
from calls.ingest.hub import Hub, Place, Refused, hub
from calls.ingest.wires import WIRES, Vouched, Wire
from calls.ingest.words import Handshake, Say, Talk

log = structlog.get_logger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = re.compile(r"^/media/(?P<protocol>[a-z]{1,20})/(?P<slug>[-\w]{1,60})/?$")
GOODBYE_S = 10.0
"""For a phone system that closes the socket itself, after its last word."""
NONCE_TTL_S = 60
MAX_FRAME_BYTES = 64 * 1024
RESTART = 1012
SWITCH_S = 0.0005


async def media_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await _Connection(scope, receive, send, hub()).serve()
    elif scope["type"] == "http":
        await _http(scope, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)


async def _http(scope: Scope, send: Send) -> None:
    status, body = (200, b"ok\n") if scope["path"] == "/health/live" else (404, b"not found\n")
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Streams flush themselves as the server disconnects them; this catches what is left."""
    sockets: audiosocket.Door | None = None
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                sockets = await audiosocket.open_door(hub()) if settings.AUDIOSOCKET else None
            except OSError as error:
                why = f"AudioSocket cannot listen at {settings.AUDIOSOCKET}: {error}"
                await send({"type": "lifespan.startup.failed", "message": why})
                return
            _stop_in_words()
            _be_prompt()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            with suppress(Exception):
                if sockets:
                    await sockets.close()
                await hub().close()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _be_prompt() -> None:
    """Nothing may hold the loop up while calls open: not a thread that writes their rows, which CPython lets
    run for 5 ms at a time, nor the garbage collector, which looks through all that was imported."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()


def _stop_in_words() -> None:
    """On a signal to stop, streams end themselves a moment before the server cuts them off. Only where a
    server has taken the signal: its own handler comes after ours."""
    loop, here = asyncio.get_running_loop(), hub()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if not callable(before) or before is signal.default_int_handler:
            continue

        def stop(signum: int, frame: FrameType | None, before: Any = before) -> None:
            loop.call_soon_threadsafe(here.stop)
            before(signum, frame)

        with suppress(ValueError):  # not the main thread
            signal.signal(number, stop)


def _handshake(scope: Scope) -> Handshake:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        text, key = value.decode("latin-1"), name.decode("latin-1").lower()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    query = scope.get("query_string", b"").decode("latin-1")
    return Handshake(scope["path"], query, headers, tuple(scope.get("subprotocols") or ()))


@dataclass
class _Connection:
    """One socket, from handshake to the last flush."""

    scope: Scope
    receive: Receive
    send: Send
    hub: Hub
    gone: bool = field(default=False, init=False)
    """The other side has closed the socket."""
    peer: str = field(default="", init=False)
    source: MediaSource = field(default=door.NOBODY, init=False)
    _finding: asyncio.Task[MediaSource | Refused] | None = field(default=None, init=False)
    """Who it is, where a ticket in the first message is to prove it."""

    async def serve(self) -> None:
        began = asyncio.get_running_loop().time()
        await self.receive()
        match, shake = PATH.match(self.scope["path"]), _handshake(self.scope)
        self.peer = self._peer(shake)
        try:
            place = self.hub.unproved.take(self.peer)
        except Refused as refusal:
            self._refused_early(None, refusal.reason, shake)
            await self.send({"type": "websocket.close", "code": refusal.code})
            return
        try:
            wire = WIRES.get(match["protocol"]) if match else None
            await self._serve(match["slug"] if match else "", wire, shake, place, began)
        finally:
            place.leave()
            if self._finding:
                self._finding.cancel()

    async def _serve(
        self, slug: str, wire: Wire | None, shake: Handshake, place: Place, began: float
    ) -> None:
        if wire and wire.vouch(door.NOBODY, shake).state == "later":
            # One answer for all until the ticket comes, so that nobody learns which sources exist.
            self._finding = asyncio.create_task(self._named(slug, wire, shake))
            await self._accept(wire, shake)
            await self._talk(wire, wire.talk(shake), place, vouched=False)
            return
        try:
            source = await self._known(slug, wire, shake)
        except Refused as refusal:  # nobody can tell now: said, since another try may do
            door.refuse(refusal, slug)
            await self.send({"type": "websocket.accept"})
            await self._close(refusal.code, refusal.reason)
            return
        if source is None or wire is None:
            await asyncio.sleep(began + door.REFUSAL_DELAY_S - asyncio.get_running_loop().time())
            await self.send({"type": "websocket.close", "code": POLICY})
            return
        place.leave()
        self.source = source
        await self._accept(wire, shake)
        await self._talk(wire, wire.talk(shake), place, vouched=True)

    async def _accept(self, wire: Wire, shake: Handshake) -> None:
        accept = {"type": "websocket.accept"}
        if chosen := next((p for p in shake.subprotocols if p in wire.subprotocols), None):
            accept["subprotocol"] = chosen
        await self.send(accept)

    async def _talk(self, wire: Wire, talk: Talk, place: Place, *, vouched: bool) -> None:
        code, why = NORMAL, "ended"
        try:
            await self._stream(wire, talk, place, vouched)
        except Refused as refusal:
            code, why = refusal.code, refusal.reason
            door.refuse(refusal, self.source.slug)
            if self.source is not door.NOBODY:
                self.hub.refused(self.source.slug, refusal.reason)
            if not vouched and code == POLICY:
                await asyncio.sleep(door.REFUSAL_DELAY_S)
            with suppress(Exception):
                await self.say(talk.refusal(code, why))
        except Exception:
            code, why = BROKEN, "internal error"
            log.exception("media stream broke", source=self.source.slug)
            with suppress(Exception):
                await self.say(talk.refusal(code, why))
        if code == NORMAL and self.hub.stopping:
            code, why = RESTART, "the server restarts"
        with suppress(Exception):  # the other side may have closed already
            if talk.lingers:
                await self._wait_for_goodbye(talk)
            await self._close(code, why)

    async def _close(self, code: int, why: str) -> None:
        await self.send({"type": "websocket.close", "code": code, "reason": _short(why)})

    # -- who it is

    async def _find(self, slug: str, wire: Wire | None) -> tuple[MediaSource | None, bool]:
        """The source of the address, if it takes calls this way, and whether the peer may be its. Refused."""
        source = await door.find_source(self.hub, slug) if slug and wire else None
        if source is None or not source.enabled or wire is not WIRES.get(source.protocol):
            return None, False
        return source, door.is_from(source.networks, self.peer)

    async def _named(self, slug: str, wire: Wire, shake: Handshake) -> MediaSource | Refused:
        """Whose ticket is to be checked; for what is unknown or comes from elsewhere, nobody's."""
        try:
            source, here = await self._find(slug, wire)
        except Refused as refusal:
            return refusal
        if source and not here:
            self._refused_early(source, "address not allowed", shake)
        return source if source and here else door.NOBODY

    async def _known(self, slug: str, wire: Wire | None, shake: Handshake) -> MediaSource | None:
        """The source whose secret signed the handshake. One answer for all that is wrong. Refused."""
        source, here = await self._find(slug, wire)
        vouched = wire.vouch(source or door.NOBODY, shake) if wire else Vouched("no")
        if source and not here:
            why = "address not allowed"
        elif source and vouched.state == "yes":
            nonce = f"nonce:{source.id}:{vouched.nonce}"
            if not vouched.nonce or await door.first(self.hub, nonce, NONCE_TTL_S):
                return source
            why = "nonce replayed"
        else:
            why = "bad signature" if source else "unknown source"
        self._refused_early(source, why, shake)
        return None

    def _refused_early(self, source: MediaSource | None, why: str, shake: Handshake) -> None:
        metrics.MEDIA_REFUSED.labels(why).inc()
        log.warning("media handshake refused", path=shake.path[:120], reason=why)
        if source:
            self.hub.refused(source.slug, why)

    def _peer(self, shake: Handshake) -> str:
        """Where the connection comes from; behind TRUSTED_PROXIES, what the outermost of them saw."""
        proxies: int = settings.ALLAUTH_TRUSTED_PROXY_COUNT
        told = [one.strip() for one in shake.headers.get("x-forwarded-for", "").split(",") if one.strip()]
        if proxies and len(told) >= proxies:
            return told[-proxies]
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    # -- the stream

    async def _stream(self, wire: Wire, talk: Talk, place: Place, vouched: bool) -> None:
        begun = await talking.wait_for_begin(self, talk)
        if begun is None:
            return
        begin, rest = begun
        if self._finding:
            found = await self._finding
            if isinstance(found, Refused):
                raise found
            self.source = found
        line = await door.admit(self.hub, self.source, begin, wire.roles, vouched=vouched)
        place.leave()
        await talking.attend(self, line, talk, rest)

    async def say(self, texts: Iterable[str]) -> None:
        for text in texts:
            if not self.gone:
                await self.send({"type": "websocket.send", "text": text})

    async def _wait_for_goodbye(self, talk: Talk) -> None:
        with suppress(TimeoutError, Refused):
            async with asyncio.timeout(GOODBYE_S):
                while not self.gone and (frame := await self.frame()) is not None:
                    await self.say(one.text for one in talk.hear(frame) if isinstance(one, Say))

    async def frame(self) -> str | bytes | None:
        """The next frame; None once the socket is closed."""
        message = await self.receive()
        if message["type"] != "websocket.receive":
            self.gone = True
            return None
        text: str | None = message.get("text")
        frame: str | bytes = text if text is not None else message.get("bytes") or b""
        if len(frame) > MAX_FRAME_BYTES:
            raise Refused(TOO_BIG, "frame too big")
        return frame


def _short(reason: str) -> str:
    """A close frame holds 123 bytes of reason."""
    return reason.encode()[:120].decode(errors="ignore")
