"""The connection test, and the networks a source may come from, against a real media process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
import websockets
from django.conf import settings as site
from websockets.exceptions import ConnectionClosed, InvalidStatus

from calls import health, sourcing
from calls.access import MediaSource
from calls.ingest import auth
from calls.models import Call, RubricVersion, Source

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
Make = Callable[..., MediaSource]


@pytest.mark.parametrize(
    "protocol", ["twilio", "audiohook", "stream", "asterisk", "freeswitch", "vonage", "telnyx", "audiosocket"]
)
def test_a_sample_call_goes_through_and_leaves_nothing(
    make_source: Make, rubric: RubricVersion, protocol: str
) -> None:
    roles = {
        "audiohook": {"external": "customer", "internal": "agent"},
        "twilio": {"inbound": "customer", "outbound": "agent"},
    }
    source = make_source(
        protocol=protocol, roles=roles.get(protocol, {"customer": "customer", "agent": "agent"})
    )
    if protocol == "telnyx":
        Source.objects.filter(slug=source.slug).update(roles={"inbound": "customer", "outbound": "agent"})
    told = sourcing.run_test(source.slug)
    assert told["ok"], told
    assert not Call.objects.exists()
    assert sourcing.last_test(source.slug)["words"] == told["words"]  # type: ignore[index]


@pytest.mark.parametrize(
    "protocol", ["twilio", "stream", "asterisk", "freeswitch", "vonage", "telnyx", "exotel"]
)
def test_a_sample_call_brings_a_token_for_each_connection(
    make_source: Make, rubric: RubricVersion, protocol: str
) -> None:
    tracks = {"inbound": "customer", "outbound": "agent"}
    roles = tracks if protocol in ("twilio", "telnyx") else {"customer": "customer", "agent": "agent"}
    source = make_source(protocol=protocol, roles=roles)
    Source.objects.filter(slug=source.slug).update(token_required=True)
    told = sourcing.run_test(source.slug)
    assert told["ok"], told


def test_what_is_wrong_is_said(make_source: Make, rubric: RubricVersion, settings: Any) -> None:
    source = make_source(protocol="stream")
    settings.MEDIA_URL_BASE = "ws://127.0.0.1:1"
    told = sourcing.run_test(source.slug)
    assert not told["ok"] and "Nothing answers" in told["words"]
    assert not sourcing.run_test("nowhere")["ok"]


def test_a_call_from_elsewhere_is_refused_and_noted(make_source: Make, rubric: RubricVersion) -> None:
    inside = make_source(protocol="stream", networks=["127.0.0.0/8"])
    assert sourcing.run_test(inside.slug)["ok"]
    outside = make_source(protocol="stream", networks=["203.0.113.0/24", "2001:db8::/32"])
    told = sourcing.run_test(outside.slug)
    assert not told["ok"] and "203.0.113.0/24" in told["words"], "and says how to try it all the same"
    assert "eigene" in sourcing.run_test(outside.slug, "de")["words"]
    known = health.read(redis.Redis.from_url(site.REDIS_URL), outside.slug)
    assert known.last_reason == "address not allowed" and known.refused == {"address not allowed": 2}


async def test_a_wrong_signature_is_noted_for_a_source_that_exists_only(make_source: Make, door: Any) -> None:
    from asgiref.sync import sync_to_async

    source = await sync_to_async(make_source)(protocol="twilio")
    for slug in (source.slug, "nobody"):
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            headers = {"X-Twilio-Signature": auth.sign("wrong", source.public_url)}
            async with websockets.connect(
                f"{door.ws}/media/twilio/{slug}/", additional_headers=headers
            ) as socket:
                await socket.recv()
    client = redis.Redis.from_url(site.REDIS_URL)
    assert health.read(client, source.slug).refused == {"bad signature": 1}
    assert not client.keys("source:nobody:*")
