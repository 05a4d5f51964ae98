from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from calls.choices import Role


class Team(models.Model):
    name = models.CharField(max_length=80, unique=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person with one role. Agents belong to a team; supervisors watch one or several."""

    role = models.CharField(max_length=12, choices=Role.choices, default=Role.AGENT)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="agents")
    supervises = models.ManyToManyField(Team, blank=True, related_name="supervisors")

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    @property
    def initials(self) -> str:
        return "".join(word[0] for word in str(self).split()[:2]).upper()

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def is_supervisor(self) -> bool:
        return self.role == Role.SUPERVISOR

    @property
    def is_agent(self) -> bool:
        return self.role == Role.AGENT
