from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from calls.models import Rubric, RubricVersion
from scoring.rubric import default_rubric


def seed_rubric() -> RubricVersion:
    """The house rubric at its newest; a changed default becomes a new version, never an edit."""
    rubric, _ = Rubric.objects.get_or_create(name="House rubric", team=None)
    spec = default_rubric().to_dict()
    newest = rubric.versions.order_by("-number").first()
    if newest and newest.spec == spec:
        return newest
    number = newest.number + 1 if newest else 1
    return rubric.versions.create(number=number, spec=spec, note="Shipped default")


class Command(BaseCommand):
    help = "Publish the shipped rubric, if the database does not have it yet."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(str(seed_rubric()))
