from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from calls.models.people import Team
from scoring.rubric import RubricSpec


class Rubric(models.Model):
    """A named way to score. A team without one of its own uses the rubric without a team."""

    name = models.CharField(max_length=80, unique=True)
    team = models.OneToOneField(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="rubric")

    def __str__(self) -> str:
        return self.name


class RubricVersion(models.Model):
    """Immutable: the database refuses to update a row, so an old call's score stays explainable."""

    rubric = models.ForeignKey(Rubric, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    spec = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=("rubric", "number"), name="rubricversion_number")]
        ordering = ("rubric", "number")

    def __str__(self) -> str:
        return f"{self.rubric} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk and not kwargs.get("force_insert"):
            raise ValidationError("A rubric version never changes; publish a new one.")
        super().save(*args, **kwargs)

    def as_spec(self) -> RubricSpec:
        return RubricSpec.from_dict(self.spec)


@cache
def spec_of(version_id: int) -> RubricSpec:
    """Versions are immutable, so a process reads each once."""
    return RubricVersion.objects.get(pk=version_id).as_spec()


def rubric_version_for(team_id: int | None) -> RubricVersion:
    """The team's current version, or the house's, as for whoever has no team.

    LookupError when nothing was ever published.
    """
    versions = RubricVersion.objects.select_related("rubric")
    found = (
        team_id is not None and versions.filter(rubric__team_id=team_id).order_by("-number").first()
    ) or versions.filter(rubric__team=None).order_by("-number").first()
    if found is None:
        raise LookupError("No rubric is published: run `manage.py seed_rubric`.")
    return found
