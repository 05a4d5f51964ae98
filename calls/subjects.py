"""All that is stored of one call, for its caller: a copy to take away."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from calls import keeping
from calls.models import Call, CallOutcome
from calls.outcomes import KINDS

RELATED = (
    "turns", "voice", "speech", "moments", "alerts", "nudges", "shown_nudges", "messages", "remarks", "looks",
    "follows", "consents", "coverage", "labels",
)  # fmt: skip
OWN = (
    "id", "external_ref", "queue", "label", "caller_gender", "started_at", "ended_at", "media_ms", "final",
    "tile", "view", "notes", "opted_in_at", "opted_out_at", "purged",
)  # fmt: skip
LEFT_OUT = {
    "id",
    "call_id",
    "user_id",
    "agent_id",
    "author_id",
    "sender_id",
    "acknowledged_by_id",
    "resolved_by_id",
}
"""Row numbers, and our people: they are no data of the caller's."""
OUR_PEOPLE = ("agent", "initials", "followers", "helpers")


def document(call: Call) -> dict[str, Any]:
    own = {name: getattr(call, name) for name in OWN}
    own["tile"] = {k: v for k, v in (call.tile or {}).items() if k not in OUR_PEOPLE}
    rows = {name: [_row(row) for row in getattr(call, name).values()] for name in RELATED}
    outcome = CallOutcome.objects.filter(call=call).values(*KINDS, "changed_at").first()
    return {"call": own, "outcome": outcome, **rows}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in LEFT_OUT}


def copy(call: Call) -> bytes:
    """A zip of call.json and, where audio is kept, call.ogg."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("call.json", json.dumps(document(call), cls=DjangoJSONEncoder, indent=1))
        audio = keeping.find(call.pk)
        if audio is not None:
            archive.write(audio, "call.ogg", compress_type=zipfile.ZIP_STORED)
    return made.getvalue()
