from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from calls.models import Rubric, RubricVersion
from scoring.rubric import default_rubric

SHIPPED = "Shipped default"


def seed_rubric() -> RubricVersion:
    """The house rubric in force. A changed default becomes a new version, never an edit,
    and is published over an older default only: a rubric that the house made its own stays.
    """
    spec = default_rubric().to_dict()
    newest = RubricVersion.objects.filter(rubric__team=None).order_by("-number", "-pk").first()
    if newest is None:
        rubric, _ = Rubric.objects.get_or_create(name="House rubric", team=None)
        return rubric.versions.create(number=1, spec=spec, note=SHIPPED)
    if newest.spec == spec or newest.note != SHIPPED:
        return newest
    return newest.rubric.versions.create(number=newest.number + 1, spec=spec, note=SHIPPED)


class Command(BaseCommand):
    help = "Publish the shipped rubric, unless it is in force or the house has made its own."

    def handle(self, *args: Any, **options: Any) -> None:
        version = seed_rubric()
        kept = version.spec != default_rubric().to_dict()
        why = " stays in force: it is the house's own, so the shipped default was not published"
        self.stdout.write(f"{version}{why if kept else ''}")
