"""A caller's yes or no to being analysed, logged, and in force from the next hop on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import helping
from calls.choices import Said
from calls.models import Call, ConsentEvent, User
from scoring.types import Channel


def withheld(call_ids: Sequence[str]) -> set[str]:
    """Those of these calls whose audio must not be analysed now."""
    found = Call.objects.filter(pk__in=call_ids).only("opted_in_at", "opted_out_at", "asks_consent")
    return {str(call.pk) for call in found if call.is_withheld}


def since_ms(call_ids: Sequence[str]) -> dict[str, int]:
    """When (ms since 1970) the callers that were asked said yes: what came before may not be analysed, late
    as it may be looked at."""
    asked = Call.objects.filter(pk__in=call_ids, asks_consent=True).values_list("pk", "opted_in_at")
    return {str(pk): int(at.timestamp() * 1000) for pk, at in asked if at is not None}


def kept_out(call: Call) -> list[dict[str, Any]]:
    """Spans of a call, like its pauses and with them, of which no word may be kept: it was before the yes."""
    if not call.asks_consent or call.opted_in_at is None:
        return list(call.pauses)
    until = max(0, int((call.opted_in_at - call.started_at) / timedelta(milliseconds=1)))
    return [{"since": 0, "until": until, "channels": [c.value for c in Channel]}, *call.pauses]


def from_stream(call_id: str, said: Said) -> None:
    """What a running stream says of its caller. BadRequest, as `note`; nothing where the call is gone."""
    call = Call.objects.filter(pk=call_id).first()
    if call is not None:
        note(call, None, said)


def note(call: Call, user: User | None, said: object, how: str = "") -> None:
    """Log what the caller was told or said. No ends the analysis for good; a yes after it needs a new call.

    `how` it came, if not from the phone system (no `user`) or by a person's hand. BadRequest names what
    cannot be done. Said twice, the first time stands.
    """
    if said not in Said.values:
        raise helping.BadRequest(f"said must be one of {', '.join(Said.values)}, not {said!r}.")
    with transaction.atomic():
        call = helping.locked_call(call)
        if said == Said.YES and call.opted_out_at:
            raise helping.BadRequest(_("The caller objected in this call: that stands until the next one."))
        if not call.is_live:
            raise helping.BadRequest(_("The call is over. What was kept of it can be deleted on its page."))
        how = how or ("person" if user else "source")
        ConsentEvent.objects.create(call=call, said=str(said), how=how, user=user)
        if said == Said.NO and call.opted_out_at is None:
            call.opted_out_at = timezone.now()
            call.notes = [
                *call.notes,
                f"The caller objected at {clock(call.media_ms)}; nothing later is analysed.",
            ]
        if said == Said.YES and call.opted_in_at is None:
            call.opted_in_at = timezone.now()
        call.save(update_fields=["opted_in_at", "opted_out_at", "notes"])
        helping.retile(call, not_scored=call.withheld_words(), consent=call.consent)


def clock(ms: int) -> str:
    return f"{ms // 60_000}:{ms // 1000 % 60:02d}"
