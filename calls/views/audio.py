"""/calls/<id>/audio: what was kept of a finished call, whole or one range of it. Each listening is a look."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from calls import access, helping, keeping
from calls.models import User

PIECE = 256 * 1024
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Unsatisfiable(ValueError):
    """A range that begins after the end."""


@dataclass(frozen=True)
class Range:
    first: int
    last: int
    """Both are sent."""

    @property
    def size(self) -> int:
        return self.last - self.first + 1


@login_required
@require_safe
def audio(request: HttpRequest, call_id: UUID) -> HttpResponseBase:
    call = access.get_call_or_404(request.user, call_id)
    found = keeping.find(call.pk)
    if found is None:
        return HttpResponseNotFound(gettext("No audio is kept of this call."), content_type="text/plain")
    assert isinstance(request.user, User)  # outsiders got a 404
    if request.method == "GET":
        helping.listened(call, request.user)
    return answer(found, request.headers.get("Range", ""))


def answer(path: Path, asked: str) -> HttpResponseBase:
    total = path.stat().st_size
    response: HttpResponseBase
    try:
        part = wanted(asked, total)
    except Unsatisfiable:
        response = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{total}"
    else:
        whole = Range(0, total - 1)
        response = StreamingHttpResponse(read(path, part or whole), content_type="audio/ogg")
        response["Content-Length"] = (part or whole).size
        if part:
            response.status_code = 206
            response["Content-Range"] = f"bytes {part.first}-{part.last}/{total}"
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, no-store"
    response["Content-Encoding"] = (
        "identity"  # else the gzip middleware would pack it, and ranges would not fit
    )
    response["X-Content-Type-Options"] = "nosniff"
    return response


def wanted(asked: str, total: int) -> Range | None:
    """RFC 9110 §14: one range of bytes; None (all of it) for anything else. Unsatisfiable."""
    found = RANGE.fullmatch(asked.strip())
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        if int(last) == 0:
            raise Unsatisfiable
        return Range(max(0, total - int(last)), total - 1)
    if last and int(last) < int(first):
        return None
    if int(first) >= total:
        raise Unsatisfiable
    return Range(int(first), min(int(last or total), total - 1))


async def read(path: Path, part: Range) -> AsyncIterator[bytes]:
    """In pieces, none of them on the event loop's own time."""
    with await asyncio.to_thread(path.open, "rb") as file:
        left = part.size
        await asyncio.to_thread(file.seek, part.first)
        while left and (piece := await asyncio.to_thread(file.read, min(PIECE, left))):
            left -= len(piece)
            yield piece
