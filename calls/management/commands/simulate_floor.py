"""A floor to look at: the demo calls, over and over, each with its own agent."""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from calls.access import MediaSource
from calls.choices import Role
from calls.demo import DemoCall, DemoError, agent_username, load_all
from calls.management.commands.send_call import find_source, plan_call
from calls.models import User
from calls.simulate import Sides, SimulationError, play, read_stereo
from scoring.audio import AudioError

PAUSE_S = 5.0
"""Between two calls of one agent."""
RETRY_S = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Script:
    demo: DemoCall
    both: Sides


@dataclass(frozen=True)
class Seat:
    agent: str
    """Username; "" when the team has no agent."""
    scripts: tuple[Script, ...]


class Command(BaseCommand):
    help = "Play the demo calls through the demo source, in real time, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--calls", type=int, default=0, help="how many at once (one per demo agent)")
        parser.add_argument("--stagger", type=float, default=7.0, help="seconds between their starts (7)")
        parser.add_argument("--source", default="demo", help="slug of the source to call through (demo)")
        parser.add_argument(
            "--url", default=settings.MEDIA_URL_BASE, help=f"media server ({settings.MEDIA_URL_BASE})"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        source = find_source(options["source"])
        try:
            scripts = [Script(demo, read_stereo(demo.audio_path)) for demo in load_all()]
        except (DemoError, AudioError, SimulationError) as error:
            raise CommandError(str(error)) from error
        seats = seats_for(scripts, source.team_id, options["calls"])
        self.stdout.write(f"{len(seats)} calls at once through {source.slug!r}. Ctrl-C stops.")
        asyncio.run(self.run(source, seats, options["stagger"], options["url"]))
        self.stdout.write("Stopped.")

    async def run(self, source: MediaSource, seats: list[Seat], stagger_s: float, url: str) -> None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        async with asyncio.TaskGroup() as group:
            for number, seat in enumerate(seats):
                group.create_task(self.work(seat, source, url, number * stagger_s, stop))

    async def work(
        self, seat: Seat, source: MediaSource, url: str, delay_s: float, stop: asyncio.Event
    ) -> None:
        """Call after call, until told to stop. Waits for a server that is away."""
        await pause(delay_s, stop)
        turn, failed = 0, 0
        while not stop.is_set():
            script = seat.scripts[turn % len(seat.scripts)]
            named = {"agent": seat.agent, "queue": script.demo.queue, "label": script.demo.title}
            plan = plan_call(source, script.both, url, named, speed=1.0)
            try:
                await play(plan, stop=stop)
                turn, failed = turn + 1, 0
                await pause(PAUSE_S, stop)
            except SimulationError as error:
                wait_s = RETRY_S[min(failed, len(RETRY_S) - 1)]
                failed += 1
                self.stderr.write(f"{script.demo.slug}: {error} Again in {wait_s:.0f} s.")
                await pause(wait_s, stop)


async def pause(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def seats_for(scripts: list[Script], team_id: int, count: int) -> list[Seat]:
    """Who sits where: first each agent that the scripts name, with that agent's calls; then other
    agents of the team, with any. More seats than agents, and some take two calls at once."""
    on_team = User.objects.filter(team_id=team_id, role=Role.AGENT, is_active=True).order_by("pk")
    usernames = list(on_team.values_list("username", flat=True))
    own: dict[str, list[Script]] = {}
    for script in scripts:
        own.setdefault(agent_username(script.demo.agent_name), []).append(script)
    agents = [*(u for u in own if u in usernames), *(u for u in usernames if u not in own)] or [""]
    seats = []
    for number in range(count or len(own)):
        agent, again = agents[number % len(agents)], number // len(agents)
        choice = own.get(agent) or scripts
        offset = (again if agent in own else number) % len(choice)
        seats.append(Seat(agent, tuple(choice[offset:] + choice[:offset])))
    return seats
