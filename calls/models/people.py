from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.crypto import salted_hmac

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

    erased_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the name was erased, for good."
    )
    session_stamp = models.CharField(max_length=16, blank=True, help_text="A new one ends all sessions.")

    def _get_session_auth_hash(self, secret: Any = None) -> str:
        """Sessions hold as long as the password and the stamp do."""
        key_salt = "calls.User.get_session_auth_hash"
        value = f"{self.password}{self.session_stamp}"
        return salted_hmac(key_salt, value, secret=secret, algorithm="sha256").hexdigest()

    def end_sessions(self) -> None:
        self.session_stamp = secrets.token_hex(8)
        self.save(update_fields=["session_stamp"])

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
