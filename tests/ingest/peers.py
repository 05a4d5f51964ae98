"""Phone systems as these tests play them: what they send, how they sign and how they say goodbye."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import websockets
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPSignatureComponentResolver,
    HTTPSignatureKeyResolver,
    algorithms,
)
from websockets.exceptions import ConnectionClosed

from calls.access import MediaSource
from scoring.audio import decode_mulaw
from scoring.types import Channel
from tests.servers import Server

MakeSource = Callable[..., MediaSource]
CUSTOMER, AGENT = Channel.CUSTOMER, Channel.AGENT
HIGH, LOW = b"\x91" * 4000, b"\x15" * 4000  # half a second of each; as 16 bit they come back the same
COVERED = ("@request-target", "@authority", "audiohook-organization-id", "audiohook-session-id", "audiohook-correlation-id", "x-api-key")  # fmt: skip
MEDIA = {"type": "audio", "format": "PCMU", "channels": ["external", "internal"], "rate": 8000}


def woven(one: bytes, two: bytes, width: int = 1) -> bytes:
    out = bytearray(len(one) * 2)
    for n in range(width):
        out[n :: 2 * width], out[width + n :: 2 * width] = one[n::width], two[n::width]
    return bytes(out)


def linear(mulaw: bytes) -> bytes:
    return decode_mulaw(mulaw).astype("<i2").tobytes()


def address(door: Server, source: MediaSource, query: str = "") -> str:
    return f"{door.ws}/media/{source.protocol}/{source.slug}/{query}"


def with_key(door: Server, source: MediaSource, query: str = "", **more: Any) -> websockets.connect:
    headers = {"Authorization": f"Bearer {source.secrets[0]}"}
    return websockets.connect(
        address(door, source, query), additional_headers=headers, compression=None, **more
    )


async def close_of(socket: Any, seconds: float = 15) -> int:
    async with asyncio.timeout(seconds):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


# --- Genesys AudioHook ----------------------------------------------------------------------------


class Target(HTTPSignatureComponentResolver):
    derived_component_resolvers = {
        **HTTPSignatureComponentResolver.derived_component_resolvers,
        "@request-target": lambda resolver: "/" + resolver.message.url.split("/", 3)[3],
    }


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def resolve_private_key(self, key_id: str) -> bytes:
        return self.secret

    resolve_public_key = resolve_private_key


def hook_headers(
    source: MediaSource, session: str, secret: str = "", age_s: int = 0, nonce: str = "", **changes: str
) -> dict[str, str]:
    """Signed by a library that is not ours."""
    headers = {
        "Audiohook-Organization-Id": str(uuid.uuid4()),
        "Audiohook-Session-Id": session,
        "Audiohook-Correlation-Id": str(uuid.uuid4()),
        "X-API-KEY": source.slug,
    }
    request = SimpleNamespace(
        method="GET", url=source.public_url.replace("ws://", "http://"), headers=headers
    )
    created = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age_s)
    key = base64.b64decode(secret or source.secrets[0])
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Keys(key), component_resolver_class=Target
    )
    signer.sign(
        request, key_id=source.slug, created=created, expires=created + datetime.timedelta(seconds=10),
        nonce=nonce or uuid.uuid4().hex, covered_component_ids=COVERED, label="sig1",
    )  # fmt: skip
    return headers | changes


class Hook:
    """Genesys's side: counts both ways, and is the one that closes."""

    def __init__(self, socket: Any, session: str) -> None:
        self.socket, self.session, self.seq, self.heard = socket, session, 0, 0

    async def send(self, kind: str, position: str = "PT0S", **parameters: Any) -> None:
        self.seq += 1
        message = {
            "version": "2",
            "id": self.session,
            "type": kind,
            "seq": self.seq,
            "serverseq": self.heard,
            "position": position,
        }
        await self.socket.send(json.dumps(message | {"parameters": parameters}))

    async def answer(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            message = json.loads(await self.socket.recv())
        self.heard += 1
        assert (
            message["seq"] == self.heard
            and message["clientseq"] == self.seq
            and message["id"] == self.session
        )
        return message

    async def open(self, conversation: str, media: list | None = None) -> dict[str, Any]:
        await self.send(
            "open",
            conversationId=conversation,
            participant={"id": "p", "ani": "+4912345"},
            media=media or [MEDIA],
        )
        return await self.answer()

    async def close(self, reason: str = "end") -> None:
        await self.send("close", reason=reason)
        assert (await self.answer())["type"] == "closed"
        await self.socket.close()


def hook(door: Server, source: MediaSource, session: str = "", **how: Any) -> tuple[websockets.connect, str]:
    session = session or str(uuid.uuid4())
    return websockets.connect(
        address(door, source), additional_headers=hook_headers(source, session, **how), compression=None
    ), session


# --- our own stream -------------------------------------------------------------------------------


def begin(call: str, **more: Any) -> str:
    return json.dumps(
        {
            "type": "start",
            "call_ref": call,
            "format": "pcm_s16le",
            "rate": 8000,
            "channels": ["customer", "agent"],
        }
        | more
    )


async def started(socket: Any, call: str, **more: Any) -> dict[str, Any]:
    await socket.send(begin(call, **more))
    return json.loads(await socket.recv())
