"""Erasing a person who has left: their name goes from everywhere, what their calls add up to stays.

There is no way back. Free words of others ("ask Bob") are not searched: those about calls go with the calls.
"""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import auditing, derived, helping
from calls.choices import Did
from calls.models import Call, NudgeChoices, User


class Refused(ValueError):
    """Cannot be done, said in words for the person who asked."""


def pseudonym(user: User) -> str:
    """In English on every page: it is stored as a name, in place of one."""
    return f"Former {user.role} {user.pk}"


def erase(actor: User, user: User, typed: str) -> None:
    """`typed`: the user name, as a sign that it is meant. Refused names what to do first."""
    with transaction.atomic():
        user = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        if user.erased_at is not None:
            raise Refused(_("This person was erased already."))
        if user.is_active:
            raise Refused(_("Switch the person off first: whoever may log in is not erased."))
        if typed.strip() != user.username:
            raise Refused(_("Type the user name to erase it: this cannot be taken back."))
        before = {"username": user.username, "name": str(user), "initials": user.initials}
        _account(user)
        auditing.record(actor, Did.ANONYMISED, user)
        _elsewhere(user, before)


def _account(user: User) -> None:
    user.username, user.first_name, user.last_name = f"former-{user.pk}", pseudonym(user), ""
    user.email, user.last_login, user.erased_at = "", None, timezone.now()
    user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save()
    user.end_sessions()
    user.api_tokens.filter(revoked_at=None).update(revoked_at=timezone.now())
    EmailAddress.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    NudgeChoices.objects.filter(agent=user).delete()


def _elsewhere(user: User, before: dict[str, str]) -> None:
    """Copies of the name: in stored documents, in events on their way, and in both logs."""
    of_people = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(content_type=of_people, object_id=str(user.pk)).update(object_repr=str(user))
    given: dict[str, Any] = before | {
        "pk": user.pk, "key": str(user.pk), "new": str(user), "now": user.username, "short": user.initials,
        "told": f"named agent {before['username']!r},", "instead": f"named agent {user.username!r},",
        "fields": ["username", "first_name", "last_name", "email"],
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('calls.erasing', 'on', true)")
        for query in COPIES:
            cursor.execute(query, given)
        cursor.execute("SELECT set_config('calls.erasing', '', true)")
    looked_after = Call.objects.filter(alerts__acknowledged_by=user, tile__has_key="helpers")
    for call in looked_after.exclude(tile__helpers=[]).distinct():  # under an earlier name, perhaps
        helping.retile_alerts(helping.locked_call(call), derived.alerts_of(call))


COPIES = (
    """UPDATE calls_call SET tile = tile ||
        jsonb_build_object('agent', %(new)s::text, 'initials', %(short)s::text)
    WHERE agent_id = %(pk)s AND tile ? 'agent'""",
    """UPDATE calls_call SET tile = jsonb_set(tile, '{followers}', (
        SELECT jsonb_agg(CASE WHEN f->>'id' = %(key)s
            THEN f || jsonb_build_object('name', %(new)s::text) ELSE f END)
        FROM jsonb_array_elements(tile->'followers') f))
    WHERE EXISTS (SELECT 1 FROM jsonb_array_elements(
        CASE WHEN jsonb_typeof(tile->'followers') = 'array' THEN tile->'followers' ELSE '[]' END) f
        WHERE f->>'id' = %(key)s)""",
    """UPDATE calls_call SET notes = replace(notes::text, %(told)s, %(instead)s)::jsonb
    WHERE position(%(told)s in notes::text) > 0""",
    """UPDATE calls_delivery SET body = jsonb_set(body, '{data,agent}', to_jsonb(%(now)s::text))
    WHERE body->'data'->>'agent' = %(username)s""",
    """UPDATE calls_change SET actor = %(new)s, address = NULL WHERE actor_id = %(pk)s""",
    """UPDATE calls_change SET subject = %(new)s, address = NULL,
        before = before - %(fields)s::text[], after = after - %(fields)s::text[]
    WHERE subject_type = 'user' AND subject_id = %(key)s""",
    """UPDATE calls_change SET after = jsonb_set(after, '{agent}', to_jsonb(%(new)s::text))
    WHERE after->>'agent' = %(name)s AND subject_type = 'export'""",
    """UPDATE calls_change SET subject = %(new)s WHERE subject_id = '' AND subject = %(username)s""",
)
"""Lines of the audit log stay: who (now without a name) did what, when. Its trigger lets no more through."""
