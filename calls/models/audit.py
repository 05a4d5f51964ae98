"""What people changed. Rows are only ever added: the database refuses to change or delete one."""

from __future__ import annotations

from django.db import models

from calls.choices import Did


class Change(models.Model):
    """Who changed what, in names and values of that time; no secrets, and no keys that could vanish."""

    at = models.DateTimeField(auto_now_add=True)
    actor_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=200, blank=True)
    did = models.CharField(max_length=12, choices=Did.choices)
    subject_type = models.CharField(max_length=20)
    subject_id = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    address = models.GenericIPAddressField(null=True, blank=True, help_text="Where a log-in came from.")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        ordering = ("-at", "-pk")
        indexes = [
            models.Index(fields=("-at", "-id"), name="change_at"),
            models.Index(fields=("subject_type", "subject_id"), name="change_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.did} {self.subject}"
