"""Sources as admins keep them: made, changed, secrets rotated, and tried with a sample call. All audited."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
import uuid
from functools import partial
from typing import Any

import numpy as np
import redis
import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from calls import auditing, phones, reservations
from calls.access import MediaSource, media_source
from calls.choices import Did, Protocol
from calls.ingest import auth, signatures
from calls.models import Call, Source, User
from calls.models.sources import new_secret
from calls.simulate import Plan, Sides, SimulationError, legs, play
from scoring.audio import encode_mulaw
from scoring.types import Channel

log = structlog.get_logger(__name__)
GIVEN = (Protocol.TWILIO, Protocol.SIGNALWIRE)
"""Phone systems that sign with a secret of their own, which is pasted here."""
SAMPLE_S = 3.0
TRIED_FOR_S = 600
TEST_LABEL = "Connection test"


class Refused(ValueError):
    """Cannot be; the text says why and what to do."""


def values(source: Source) -> dict[str, Any]:
    """What the audit log keeps: no secret."""
    return {
        "name": source.name, "slug": source.slug, "protocol": source.protocol, "team": source.team.name,
        "enabled": source.enabled, "token_required": source.token_required, "keep_audio": source.keep_audio,
        "given_words": source.given_words,
        "roles": dict(source.roles), "networks": list(source.networks),
        "listen_url": source.listen_url.partition("?")[0],
        "barge_url": source.barge_url.partition("?")[0],
    }  # fmt: skip


def save(source: Source, actor: User, before: dict[str, Any]) -> None:
    """A checked source is written; `before` is {} for a new one."""
    with transaction.atomic():
        source.save()
        auditing.record(actor, Did.CHANGED if before else Did.CREATED, source, before, values(source))


def rotate(source: Source, actor: User, given: str = "") -> None:
    """A new secret; the one before it is good until `drop_old`. Refused when it is too weak to be one."""
    given = given.strip()
    if not given and source.protocol in GIVEN:
        raise Refused(
            _("{name} signs with a secret of its own: paste its auth token.").format(
                name=source.get_protocol_display()
            )
        )
    if given and not (
        16 <= len(given) <= 200 and given.isascii() and given.isprintable() and " " not in given
    ):
        raise Refused(_("A secret has 16 to 200 characters, ASCII, without spaces."))
    if given and source.protocol == Protocol.AUDIOHOOK and not _is_base64(given):
        raise Refused(
            _("Genesys signs with a secret in base64, and this is none: leave it empty and we make one.")
        )
    if given in (source.secret, source.previous_secret) and given:
        raise Refused(_("That secret is in use already."))
    source.previous_secret, source.secret = source.secret, given or new_secret()
    source.rotated_at = timezone.now()
    with transaction.atomic():
        source.save(update_fields=["secret", "previous_secret", "rotated_at"])
        auditing.record(actor, Did.CHANGED, source, {"secret": "before"}, {"secret": "rotated"})


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def drop_old(source: Source, actor: User) -> None:
    """The secret before the last rotation is no longer good."""
    if not source.previous_secret:
        raise Refused(_("Only one secret is live: there is no old one."))
    source.previous_secret = ""
    with transaction.atomic():
        source.save(update_fields=["previous_secret"])
        auditing.record(actor, Did.CHANGED, source, {"old secret": "live"}, {"old secret": "dropped"})


# --- trying it with a call -------------------------------------------------------------------------------


def start_test(slug: str, language: str) -> None:
    """In a thread: it takes a few seconds, and housekeeping has other things to do."""
    threading.Thread(target=run_test, args=(slug, language), name="source-test", daemon=True).start()


def run_test(slug: str, language: str = "en") -> dict[str, Any]:
    """Play a sample call through the source's public address, look whether both legs arrived, and take the
    call away again. What came of it, in the language of who asked, is kept for TRIED_FOR_S."""
    try:
        found = media_source(slug)
        with translation.override(language):
            ok, words = _tried(found) if found else (False, _("The source is gone."))
    except Exception as error:
        log.exception("connection test failed", source=slug)
        ok, words = False, f"The test itself broke: {type(error).__name__}."
    finally:
        connection.close()
    told = {"ok": ok, "words": words, "at": time.time()}
    _redis().set(f"source:{slug}:tried", json.dumps(told), ex=TRIED_FOR_S)
    return told


def last_test(slug: str) -> dict[str, Any] | None:
    raw = _redis().get(f"source:{slug}:tried")
    return json.loads(raw) if isinstance(raw, bytes) else None


def _tried(source: MediaSource) -> tuple[bool, str]:
    """Whether it works, and what came of it."""
    ref = f"test-{uuid.uuid4().hex[:12]}"
    try:
        asyncio.run(_play(source, ref))
        call = _arrived(source, ref)
        if call is None:
            return False, _("The server took the call, but it did not appear: is the database the same?")
        heard = _heard(call)
        lost = sum(call.counters[name].get("lost_ms", 0) for name in heard)
    except SimulationError as error:
        only = _(
            "The test comes from this server itself: name its own address among the networks "
            "({networks}) for as long as you try."
        ).format(networks=", ".join(source.networks))
        return False, f"{error} {only}" if source.networks else str(error)
    finally:  # however far it came
        Call.objects.filter(source_id=source.id, external_ref=ref).delete()
    if not heard:
        return False, _("The call appeared, and nothing of either leg arrived.")
    if len(heard) < 2:
        only = _("Only one leg arrived ({leg}): see which leg is whose, under Settings.")
        return False, only.format(leg=heard[0])
    arrived = _("{seconds:.0f} s of both legs arrived, {lost:.1f} s lost.")
    return True, arrived.format(seconds=SAMPLE_S, lost=lost / 1000)


async def _play(source: MediaSource, ref: str) -> None:
    both, named = sample(), {"label": TEST_LABEL}
    token = partial(auth.mint_token, source, ref) if source.one_time_tokens_required else None
    if source.protocol in GIVEN:
        signature = auth.sign(source.secrets[0], source.public_url)
        await play(
            Plan(
                url=source.public_url,
                signature=signature,
                legs=legs(both, source.roles),
                speed=1.0,
                call_sid=ref,
                parameters={**named, "token": token()} if token else named,
            )
        )
        return
    if source.protocol == Protocol.AUDIOSOCKET:
        pair = reservations.reserve(_redis(), source.slug, ref, parameters=named)
        sounds = [(pair.customer, both.customer), (pair.agent, both.agent)]
        await phones.play_audiosocket(settings.AUDIOSOCKET_PUBLIC, sounds)
        return
    headers = {"Authorization": f"Bearer {source.secrets[0]}"}
    if source.protocol == Protocol.AUDIOHOOK:
        headers = signatures.sign(source, str(uuid.uuid4()))
    path = f"/media/{source.protocol}/{source.slug}/"
    await phones.play(
        phones.phones(source.protocol, path, headers, both, ref, named, token), settings.MEDIA_URL_BASE
    )


def sample() -> Sides:
    """Two tones, a leg each: nothing that could be taken for words."""
    t = np.arange(int(8000 * SAMPLE_S)) / 8000
    sides = [encode_mulaw((6000 * np.sin(2 * np.pi * hz * t)).astype(np.int16)) for hz in (330, 440)]
    return Sides(*sides)


def _arrived(source: MediaSource, ref: str, seconds: float = 15) -> Call | None:
    """The call, once what was sent has been laid down (or as far as it came)."""
    until, call = time.monotonic() + seconds, None
    while time.monotonic() < until:
        call = Call.objects.filter(source_id=source.id, external_ref=ref).first() or call
        if call is not None and len(_heard(call)) == 2:
            break
        time.sleep(0.25)
    return call


def _heard(call: Call) -> list[str]:
    """Legs of which anything arrived, once their stream has ended."""
    return [name for name in Channel if call.counters.get(name, {}).get("received_ms", 0) > 0]


def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL)
