"""Play recordings as a live call through a real door, in any protocol it speaks."""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
import uuid
from functools import partial
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from calls import phones, reservations
from calls.access import MediaSource, media_source
from calls.choices import Protocol
from calls.ingest import auth, signatures
from calls.models import Call, Source
from calls.simulate import MAX_SPEED, Plan, Sides, SimulationError, legs, play, read_stereo, read_two
from scoring.audio import AudioError


class Command(BaseCommand):
    help = "Play recordings as a live call: through a real WebSocket, signed, in real time."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--customer", help="what the customer says: any audio file")
        parser.add_argument("--agent", help="what the agent says: any audio file")
        parser.add_argument("--stereo", help="both in one file: left customer, right agent")
        parser.add_argument(
            "--source",
            default="",
            help="slug of the source to call through (phone; or the first of --protocol)",
        )
        parser.add_argument(
            "--protocol",
            default="",
            choices=["", *(p for p in Protocol.values if p != Protocol.RECORDING)],
            help="what the phone system speaks (the source's own)",
        )
        parser.add_argument(
            "--url", default=settings.MEDIA_URL_BASE, help=f"media server ({settings.MEDIA_URL_BASE})"
        )
        parser.add_argument("--speed", type=float, default=1.0, help=f"times real time, up to {MAX_SPEED:g}")
        parser.add_argument("--agent-user", default="", help="username of the agent who takes the call")
        parser.add_argument("--queue", default="", help="queue the call came through")
        parser.add_argument("--label", default="", help="a name for the call")
        parser.add_argument("--loop", action="store_true", help="call again when it has ended, until Ctrl-C")

    def handle(self, *args: Any, **options: Any) -> None:
        speed = options["speed"]
        if not 0 < speed <= MAX_SPEED:
            raise CommandError(
                f"--speed {speed:g}: between 0 and {MAX_SPEED:g}; the server refuses faster calls."
            )
        source = find_source(options["source"], options["protocol"])
        both = read(options)
        named = {"agent": options["agent_user"], "queue": options["queue"], "label": options["label"]}
        try:
            while True:
                sent = self.call(source, both, options["url"], named, speed)
                self.stdout.write(self.style.SUCCESS(f"Played {sent:.1f} s."))
                if not options["loop"]:
                    return
        except SimulationError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("Hung up.")

    def call(self, source: MediaSource, both: Sides, url: str, named: dict[str, str], speed: float) -> float:
        """One call; how many seconds of it were sent."""
        plan = plan_call(source, both, url, named, speed)
        self.stdout.write(
            f"Call {plan.call_sid} through {source.slug!r} ({source.protocol}), {both.seconds:.1f} s …"
        )
        looker = threading.Thread(target=self.tell, args=(source, plan.call_sid), daemon=True)
        if source.protocol in ("twilio", "signalwire"):
            sent = asyncio.run(play(plan, started=looker.start))
        elif source.protocol == "audiosocket":
            pair = reservations.reserve(
                redis.Redis.from_url(settings.REDIS_URL),
                source.slug,
                plan.call_sid,
                parameters=dict(plan.parameters),
            )
            sounds = [(pair.customer, both.customer), (pair.agent, both.agent)]
            address = settings.AUDIOSOCKET_PUBLIC
            asyncio.run(phones.play_audiosocket(address, sounds, speed=speed, started=looker.start))
            sent = both.seconds
        else:
            path = f"/media/{source.protocol}/{source.slug}/"
            ref = plan.call_sid
            said = {name: value for name, value in plan.parameters.items() if name != "token"}
            token = partial(auth.mint_token, source, ref) if source.one_time_tokens_required else None
            calls = phones.phones(source.protocol, path, credentials(source), both, ref, said, token)
            asyncio.run(phones.play(calls, url, speed=speed, started=looker.start))
            sent = both.seconds
        looker.join(10)
        return sent

    def tell(self, source: MediaSource, call_sid: str) -> None:
        """Where to watch it."""
        try:
            call = wait_for_call(source, call_sid)
        finally:
            connection.close()
        if call is None:
            self.stderr.write(
                "The server took the stream, but no call has appeared in this database: does it use another?"
            )
        else:
            self.stdout.write(f"  id   {call.pk}\n  page {settings.PUBLIC_URL}{call.get_absolute_url()}")


def read(options: dict[str, Any]) -> Sides:
    stereo, customer, agent = options["stereo"], options["customer"], options["agent"]
    if bool(stereo) == bool(customer or agent) or bool(customer) != bool(agent):
        raise CommandError("Give either --customer FILE and --agent FILE, or --stereo FILE.")
    try:
        return read_stereo(stereo) if stereo else read_two(customer, agent)
    except (AudioError, SimulationError) as error:
        raise CommandError(str(error)) from error


def credentials(source: MediaSource) -> dict[str, str]:
    """What this phone system proves itself with."""
    if source.protocol == "audiohook":
        return signatures.sign(source, str(uuid.uuid4()))
    return {"Authorization": f"Bearer {source.secrets[0]}"}


def find_source(slug: str, protocol: str = "") -> MediaSource:
    try:
        if not slug and protocol:
            first = Source.objects.filter(protocol=protocol, enabled=True).order_by("pk").first()
            if first is None:
                raise CommandError(f"There is no source that speaks {protocol}; add one, or give --source.")
            slug = first.slug
        source = media_source(slug or "phone")
    except OperationalError as error:
        raise CommandError(
            "The database does not answer. Is the demo running (`make demo`; with another PORT, say the "
            f"same here), or is DATABASE_URL wrong? ({str(error).strip().splitlines()[0]})"
        ) from error
    if source is None:
        slugs = ", ".join(Source.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no source {slug or 'phone'!r}. Sources: {slugs}.")
    if not source.enabled:
        raise CommandError(f"Source {slug!r} is disabled; enable it in the admin.")
    if protocol and source.protocol != protocol:
        raise CommandError(
            f"Source {source.slug!r} speaks {source.protocol}, not {protocol}; leave out one of the two."
        )
    return source


def plan_call(source: MediaSource, both: Sides, base_url: str, named: dict[str, str], speed: float) -> Plan:
    """Signs for the configured address, connects to `base_url`; a token if the source asks for one."""
    path = f"/media/{source.protocol}/{source.slug}/"
    plan = Plan(
        url=base_url.rstrip("/") + path,
        signature=auth.sign(source.secrets[0], source.public_url),
        legs=legs(both, source.roles),
        speed=speed,
    )
    parameters = {name: value for name, value in named.items() if value}
    if source.one_time_tokens_required:
        parameters["token"] = auth.mint_token(source, plan.call_sid)
    return Plan(**{**vars(plan), "parameters": parameters})


def wait_for_call(source: MediaSource, call_sid: str, seconds: float = 10) -> Call | None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if call := Call.objects.filter(source_id=source.id, external_ref=call_sid).first():
            return call
        time.sleep(0.1)
    return None
