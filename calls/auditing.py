"""One line in the audit log for each change, in the transaction that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from calls.choices import Did
from calls.models import Change, User

Values = Mapping[str, Any]


def exported(actor: User | None, what: str, **told: Any) -> None:
    """Data left the system: which file, and how much. No call is named, so that none outlives its purge."""
    Change.objects.create(
        actor_id=actor.pk if actor else None,
        actor=str(actor)[:200] if actor else "",
        did=Did.EXPORTED,
        subject_type="export",
        subject_id="",
        subject=what[:200],
        after={name: value for name, value in told.items() if value is not None},
    )


def record(
    actor: User | None, did: Did, subject: Model, before: Values | None = None, after: Values | None = None
) -> None:
    """Keep only what differs; nothing where values were given and none differs."""
    old, new = dict(before or {}), dict(after or {})
    differing = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if (old or new) and not differing:
        return
    Change.objects.create(
        actor_id=actor.pk if actor else None,
        actor=str(actor)[:200] if actor else "",
        did=did,
        subject_type=str(subject._meta.model_name),
        subject_id=str(subject.pk),
        subject=str(subject)[:200],
        before={name: old[name] for name in differing if name in old},
        after={name: new[name] for name in differing if name in new},
    )
