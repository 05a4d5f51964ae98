from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from calls import demo
from calls.choices import Role
from calls.management.commands.seed_rubric import seed_rubric
from calls.models import Source, Team, User

PASSWORD = "empathy-demo"
LOGINS = (
    ("supervisor", "alice", "Alice Moreau"),
    ("agent", "maya.torres", "Maya Torres"),
    ("admin", "dana", "Dana Whitfield"),
)


@transaction.atomic
def seed() -> list[dict[str, str]]:
    """Teams, people and sources of the demo; safe to run again. Returns the log-ins."""
    seed_rubric()
    care, other = (Team.objects.get_or_create(name=name)[0] for name in ("Customer care", "Travel desk"))
    for role, username, name in LOGINS:
        person(username, name, role, care if role == Role.AGENT else None)
    User.objects.get(username="alice").supervises.add(care)
    person("carol", "Carol Jensen", Role.SUPERVISOR, None).supervises.add(other)
    for name in sorted({demo.load_script(path).agent_name for path in demo.script_paths()}):
        person(demo.agent_username(name), name, Role.AGENT, care)
    Source.objects.get_or_create(
        slug="demo", defaults={"name": "Simulated floor", "team": care, "synthetic": True}
    )
    Source.objects.filter(slug="demo", synthetic=True).update(keep_audio=True)
    Source.objects.get_or_create(slug="phone", defaults={"name": "Phone line", "team": care})
    return [{"role": role, "username": username, "password": PASSWORD} for role, username, _ in LOGINS]


def person(username: str, name: str, role: str, team: Team | None) -> User:
    first, _, last = name.partition(" ")
    fields = {"first_name": first, "last_name": last, "role": role, "team": team}
    admin = role == Role.ADMIN
    user, new = User.objects.get_or_create(
        username=username, defaults=fields | {"is_staff": admin, "is_superuser": admin}
    )
    if new:
        user.set_password(PASSWORD)
        user.save()
    return user


class Command(BaseCommand):
    help = "Fill an empty database with the demo's teams, people and sources."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the log-ins as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        logins = seed()
        if options["json"]:
            self.stdout.write(json.dumps({"logins": logins}))
            return
        for login in logins:
            self.stdout.write(f"{login['role']:<11} {login['username']:<8} {login['password']}")
